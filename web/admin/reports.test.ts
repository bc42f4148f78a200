import assert from 'node:assert/strict';
import { test } from 'node:test';

import { daysOf, given, lastDays, lengthOf, spanOf } from './reports.ts';

test('days are UTC, both ends included, and never more than a month', () => {
  assert.deepEqual(daysOf('2026-02-27', '2026-03-02'), ['2026-02-27', '2026-02-28', '2026-03-01', '2026-03-02']);
  assert.equal(daysOf('2026-01-01', '2026-12-31').length, 31);
  assert.deepEqual(lastDays(7, new Date('2026-11-21T23:59:59Z')), { from: '2026-11-15', to: '2026-11-21' });
});

test('times are told as people say them', () => {
  assert.deepEqual([5, 60, 61, 3599, 3600, 7260].map(lengthOf), ['5 s', '1 min 0 s', '1 min 1 s', '59 min 59 s', '1 h 0 min', '2 h 1 min']);
  assert.deepEqual([spanOf(0, 60), spanOf(60, 300), spanOf(1800, 3600), spanOf(3600, 7200), spanOf(7200, null)], ['< 1 min', '1–5 min', '30 min–1 h', '1–2 h', '2 h +']);
});

test('what was not filled in is not asked for', () => {
  assert.deepEqual(given({ group: '', agent: 'ann' }), { agent: 'ann' });
});
