import assert from 'node:assert/strict';
import { test } from 'node:test';

import { scale } from './charts.ts';

test('the scale is round, and no bar is higher than it', () => {
  for (let most = 0; most < 5000; most += 1) {
    const { top, step } = scale(most);
    assert.ok(top >= most && top % step === 0 && Number.isInteger(step), `${most}: ${top} by ${step}`);
    assert.ok(top / step <= 5, `${most} has few lines`);
  }
  assert.deepEqual([scale(0), scale(3), scale(7), scale(100)].map(({ top }) => top), [1, 3, 8, 100]);
});
