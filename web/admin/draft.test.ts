import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Item } from './api.ts';
import { count, move, put, stepped, valueAt, type Place } from './draft.ts';

const link = (title: string): Extract<Item, { kind: 'link' }> => ({ kind: 'link', title, url: `https://good.example/${title}`, active: true });
const items = (): Item[] => {
  const within = ['x', 'y'].map((title) => ({ title, url: `https://good.example/${title}`, active: true }));
  return [link('a'), { kind: 'folder', name: 'F', active: true, links: within }, link('b')];
};
const shape = (list: readonly Item[]): string => list.map((item) => (item.kind === 'link' ? item.title : `(${item.links.map((one) => one.title).join('')})`)).join('');

test('items move within and between lists, and folders do not nest', () => {
  const cases: [Place, Place, string, Place | undefined][] = [
    [[0], [3], '(xy)ba', [2]],
    [[2], [0], 'ba(xy)', [0]],
    [[0], [1, 1], '(xay)b', [0, 1]],
    [[2], [1, 2], 'a(xyb)', [1, 2]],
    [[1, 0], [1, 2], 'a(yx)b', [1, 1]],
    [[1, 1], [0], 'ya(x)b', [0]],
    [[1], [3], 'ab(xy)', [2]],
    [[1], [1, 0], 'a(xy)b', undefined],
    [[1], [0, 0], 'a(xy)b', undefined],
    [[0], [2, 0], 'a(xy)b', undefined],
  ];
  for (const [from, to, wanted, place] of cases) {
    const list = items();
    assert.deepEqual(move(list, from, to), place, `${from} to ${to}`);
    assert.equal(shape(list), wanted, `${from} to ${to}`);
    assert.equal(count(list), 5);
  }
});

test('arrow keys reach every place and stop at the ends', () => {
  const walk = (place: Place, keys: string[]): string => {
    const list = items();
    let now = place;
    for (const key of keys) {
      const to = stepped(list, now, key);
      now = (to && move(list, now, to)) ?? now;
    }
    return shape(list);
  };
  assert.equal(walk([0], ['ArrowDown']), '(xy)ab');
  assert.equal(walk([0], ['ArrowDown', 'ArrowRight']), '(xya)b');
  assert.equal(walk([0], ['ArrowDown', 'ArrowRight', 'ArrowUp', 'ArrowUp']), '(axy)b');
  assert.equal(walk([0], ['ArrowDown', 'ArrowRight', 'ArrowLeft']), '(xy)ab');
  assert.equal(walk([1, 0], ['ArrowUp']), 'ax(y)b');
  assert.equal(walk([1, 1], ['ArrowDown']), 'a(x)yb');
  assert.equal(walk([0], ['ArrowUp', 'ArrowLeft', 'ArrowRight', 'x']), 'a(xy)b');
  assert.equal(walk([2], ['ArrowDown']), 'a(xy)b');
});

test('pointers name places, also those with slashes', () => {
  const bundle = { roles: { 'a/b': { active: true } }, list: [{ url: 'x' }] };
  assert.equal(valueAt(bundle, '/roles/a~1b/active'), true);
  assert.equal(valueAt(bundle, '/list/0/url'), 'x');
  assert.equal(valueAt(bundle, '/none/0/url'), undefined);
  put(bundle, '/roles/a~1b/active', false);
  assert.equal(bundle.roles['a/b'].active, false);
});
