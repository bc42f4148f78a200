import assert from 'node:assert/strict';
import { test } from 'node:test';

import { wordsOf } from './view.ts';

// R082
test('only an https address becomes a link to terms', () => {
  const terms = 'https://shop.example/terms';
  assert.deepEqual(wordsOf({ text: 'May we look?', terms }), { text: 'May we look?', terms });
  for (const bad of ['http://shop.example/', 'javascript:alert(1)', 'data:text/html,x', '/terms', '']) {
    assert.deepEqual(wordsOf({ text: 'x', terms: bad }), { text: 'x' }, bad);
  }
  assert.deepEqual(wordsOf({ text: 'x' }), { text: 'x' });
});
