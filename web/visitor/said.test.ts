import assert from 'node:assert/strict';
import { test } from 'node:test';

import { wordsOf } from './said.ts';

// R082
test('only an https address becomes a link to terms', () => {
  const terms = 'https://shop.example/terms';
  assert.deepEqual(wordsOf({ text: 'May we look?', terms, words: '1f' }), { text: 'May we look?', terms, words: '1f' });
  for (const bad of ['http://shop.example/', 'javascript:alert(1)', 'data:text/html,x', '/terms', '']) {
    assert.deepEqual(wordsOf({ text: 'x', terms: bad, words: '1f' }), { text: 'x', words: '' }, `${bad}: not shown, so not named`);
  }
  assert.deepEqual(wordsOf({ text: 'x', words: '1f' }), { text: 'x', words: '1f' });
});
