import assert from 'node:assert/strict';
import { test } from 'node:test';
import { statementOf, type HandledTrack } from './statement.ts';

function tab(handle: { origin?: string; handle?: string } | null): HandledTrack {
  return { getCaptureHandle: () => handle } as unknown as HandledTrack;
}

test('a tab is known by its capture handle, and by nothing else', () => {
  // R004, rules.md decision 8
  const said = (handle: Parameters<typeof tab>[0]) => statementOf(tab(handle), 'browser', 'https://good.example/opened');
  assert.deepEqual(said(null), { assurance: 'surface' });
  assert.deepEqual(said({ handle: 'https://good.example/a' }), { assurance: 'surface' }, 'a page that hides its origin proves nothing');
  assert.deepEqual(said({ origin: 'https://good.example' }), { url: 'https://good.example/', assurance: 'proved' });
  const deep = { origin: 'https://good.example', handle: 'https://good.example/a_b?c#d' };
  assert.deepEqual(said(deep), { url: 'https://good.example/a_b?c#d', assurance: 'proved' });
  for (const handle of ['https://evil.example/a', 'https://good.example.evil.example/', 'not an address', '/a']) {
    assert.equal(said({ origin: 'https://good.example', handle }).url, 'https://good.example/', handle);
  }
  assert.deepEqual(statementOf({} as HandledTrack, 'browser', undefined), { assurance: 'surface' }, 'a browser without handles');
});

test('a window is stated to show the bookmark that was opened', () => {
  // R037, R038
  assert.deepEqual(statementOf(undefined, 'window', 'https://good.example/a'), { url: 'https://good.example/a', assurance: 'stated' });
  assert.deepEqual(statementOf(undefined, 'window', undefined), { assurance: 'surface' });
  for (const surface of ['monitor', undefined] as const) {
    assert.deepEqual(statementOf(undefined, surface, 'https://good.example/a'), { assurance: 'surface' });
  }
});
