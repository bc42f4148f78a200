import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { files, stamp } from './generate.ts';

test('the typed client was made of the document as it is', () => {
  const [first] = readFileSync(files.output, 'utf8').split('\n', 1);
  assert.equal(first, stamp(readFileSync(files.document)), 'run "npm run client" and commit the result');
});
