import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { KeyWatch, shownKey, stillGood } from './key.ts';

// R109
test('a key is on screen as long as it is good, and the newest one counts', () => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  let expired = 0;
  const watch = new KeyWatch(() => { expired += 1; });
  const key = shownKey({ key: '123456789', expires_s: 600 });
  watch.watch(key);
  mock.timers.tick(599_000);
  assert.deepEqual([expired, stillGood(key)], [0, key]);
  watch.watch(shownKey({ key: '987654321', expires_s: 600 }));
  mock.timers.tick(1_000);
  assert.deepEqual([expired, stillGood(key)], [0, undefined], 'the one before is no longer shown');
  mock.timers.tick(599_000);
  assert.equal(expired, 1);
  watch.watch(shownKey({ key: '111111111', expires_s: 600 }));
  watch.watch(undefined);
  mock.timers.tick(600_000);
  assert.equal(expired, 1, 'an agent has used it');
  mock.timers.reset();
});
