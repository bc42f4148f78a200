import assert from 'node:assert/strict';
import { test } from 'node:test';

import { trouble } from './trouble.ts';

test('on macOS a refused picker says how the system is told to allow it', () => {
  // R008
  const mac = 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Chrome/148.0.0.0';
  const linux = 'Mozilla/5.0 (X11; Linux x86_64) Chrome/148.0.0.0';
  assert.equal(trouble('NotAllowedError', mac), 'how_to');
  assert.equal(trouble('NotAllowedError', linux), 'nothing_shared');
  assert.equal(trouble('AbortError', mac), 'nothing_shared');
  assert.equal(trouble('NotReadableError', mac), 'unable');
});
