/** What the console reads from the stream of events, and what it takes from the page around it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wishOf } from './embed.ts';
import { parseEvents } from './lobby.ts';

test('events are read whole, whatever pieces they come in; signs of life are none', () => {
  const text = ': alive\n\nevent: presence\ndata: {"visitor":"m","state":"present"}\n\nevent: invite.declined\ndata: {"invite":"1"}\n\nevent: pre';
  const { events, left } = parseEvents(text);
  assert.deepEqual(events.map((event) => event.name), ['presence', 'invite.declined']);
  assert.deepEqual(events[0]?.data, { visitor: 'm', state: 'present' });
  assert.equal(left, 'event: pre');
  let rest = '';
  const names: string[] = [];
  for (const letter of text) {
    const piece = parseEvents(rest + letter);
    rest = piece.left;
    names.push(...piece.events.map((event) => event.name));
  }
  assert.deepEqual(names, ['presence', 'invite.declined']);
});

// R150
test('a page around the console is understood only in the words of the document', () => {
  const login = { group: 'g', agent: 'a', name: 'A', token: 't' };
  assert.deepEqual(wishOf({ source: 'fanlight', type: 'sign_in', login })?.type, 'sign_in');
  assert.deepEqual(wishOf({ source: 'fanlight', type: 'session.start', kind: 'show' })?.type, 'session.start');
  for (const strange of [
    null, 'x', 7, {}, { type: 'sign_in', login }, { source: 'other', type: 'session.end' }, { source: 'fanlight', type: 'nothing' },
    { source: 'fanlight', type: 'sign_in', login: { ...login, token: 7 } }, { source: 'fanlight', type: 'sign_in' },
    { source: 'fanlight', type: 'session.join', key: 1 }, { source: 'fanlight', type: 'visitors.watch', visitors: [1] },
  ]) {
    assert.equal(wishOf(strange), undefined, JSON.stringify(strange));
  }
});
