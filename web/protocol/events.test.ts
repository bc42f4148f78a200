/** The names are those of the one list, and a session is told as the audit trail tells it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { AGENT_EVENTS, Events, Narrator, VISITOR_EVENTS, type EventName } from './events.ts';
import type { Member, ToClient, Welcome } from './signal.ts';

interface Listed {
  name: string;
  ears: string[];
}

const WELCOME: Welcome = {
  t: 'welcome', session: '0'.repeat(32), you: 1, role: 'visitor', name: 'Visitor', capabilities: 0, resume: 'x', resumed: false,
  stage: 'waiting', mode: 'view_only', modes: [], members: [], shares: [], page_epoch: 0, mask_epoch: 0, policy_version: 1,
};

function member(id: number, role: Member['role'], presence: Member['presence']): ToClient {
  return { t: 'member', id, role, name: 'Ann Secret', presence };
}

function told(welcome: Partial<Welcome>, tale: (narrator: Narrator) => void): string[] {
  const lines: string[] = [];
  const narrator = new Narrator((name, detail) => lines.push(`${name} ${JSON.stringify(detail)}`));
  narrator.heard({ ...WELCOME, ...welcome });
  tale(narrator);
  return lines;
}

// R106
test('both clients hear of exactly what the list says', () => {
  const list = JSON.parse(readFileSync(new URL('../../tests/vectors/events.json', import.meta.url), 'utf8')) as Listed[];
  for (const [ear, names] of [['visitor', VISITOR_EVENTS], ['agent', AGENT_EVENTS]] as const) {
    const wanted = list.filter((event) => event.ears.includes(ear)).map((event) => event.name);
    assert.deepEqual([...names].sort(), wanted.sort(), ear);
  }
});

// R117, R187
test('a visitor hears of its session from consent to end', () => {
  const lines = told({}, (narrator) => {
    narrator.heard(member(2, 'agent', 'waiting'));
    narrator.heard({ t: 'consent.ask', ask: 1, kind: 'view', participant: 2, name: 'Ann Secret', seconds: 60, text: 'May we look?', words: '1f' });
    narrator.heard({ t: 'consent.ask', ask: 1, kind: 'view', participant: 2, name: 'Ann Secret', seconds: 50, text: 'May we look?', words: '1f' });
    narrator.said({ t: 'consent', ask: 1, accept: true });
    narrator.heard(member(2, 'agent', 'here'));
    narrator.heard({ t: 'session.stage', stage: 'active' });
    narrator.heard({ t: 'session.stage', stage: 'paused' });
    narrator.heard({ t: 'session.stage', stage: 'active' });
    narrator.heard({ t: 'share.state', slot: 'agent', epoch: 1, phase: 'waiting', holder: 2, audio: false });
    narrator.heard({ t: 'share.state', slot: 'agent', epoch: 1, phase: 'live', holder: 2, audio: false });
    narrator.heard({ t: 'share.state', slot: 'agent', epoch: 2, phase: 'live', holder: 3, audio: false });
    narrator.heard({ t: 'share.state', slot: 'agent', epoch: 3, phase: 'empty', audio: false });
    narrator.heard(member(2, 'agent', 'away'));
    narrator.heard(member(2, 'agent', 'here'));
    narrator.heard({ t: 'member.left', id: 2 });
    narrator.heard({ t: 'session.ended', code: 'E_ENDED', sentence: 'Over.', by: 1 });
  });
  assert.deepEqual(lines, [
    'agent.joined {"participant":2}',
    'consent.asked {"participant":2,"kind":"view"}',
    'consent.given {"participant":2,"kind":"view"}',
    'session.started {}',
    'share.started {"participant":2,"slot":"agent"}',
    'share.taken_over {"participant":3,"slot":"agent"}',
    'share.stopped {"slot":"agent"}',
    'connection.changed {"participant":2,"state":"away"}',
    'connection.changed {"participant":2,"state":"here"}',
    'agent.left {"participant":2}',
    'session.ended {"code":"E_ENDED","by":1}',
  ]);
  assert.ok(!lines.join().includes('Ann'), 'nobody is named');
});

test('an agent hears of the visitor, the camera and refusals', () => {
  const visitor = { id: 1, role: 'visitor', name: 'V', presence: 'here' } as const;
  const lines = told({ you: 2, role: 'agent', members: [visitor] }, (narrator) => {
    narrator.heard({ t: 'consent.result', kind: 'view', accepted: true });
    narrator.heard({ t: 'camera.state', epoch: 1, phase: 'waiting', holder: 1 });
    narrator.heard({ t: 'camera.state', epoch: 1, phase: 'live', holder: 1 });
    narrator.heard(member(1, 'visitor', 'away'));
    narrator.heard(member(1, 'visitor', 'here'));
    narrator.said({ t: 'share.invite' });
    narrator.heard({ t: 'share.answered', grant: 1, accepted: false, reason: 'timeout' });
    narrator.heard({ t: 'denied', re: 'share.start', code: 'E_SURFACE', rule: 'R007', sentence: '', policy_version: 1 });
    narrator.heard({ t: 'camera.state', epoch: 2, phase: 'empty' });
  });
  assert.deepEqual(lines, [
    'consent.asked {"participant":2,"kind":"view"}',
    'consent.given {"participant":2,"kind":"view"}',
    'camera.started {"participant":1}',
    'connection.changed {"participant":1,"state":"away"}',
    'session.continued {}',
    'consent.asked {"participant":2,"kind":"screen"}',
    'consent.expired {"participant":2,"kind":"screen"}',
    'share.refused {"code":"E_SURFACE"}',
    'camera.stopped {}',
  ]);
});

test('who stops listening hears nothing more', () => {
  const events = new Events();
  const heard: EventName[] = [];
  const stop = events.on('session.started', () => heard.push('session.started'));
  events.tell('session.started', {});
  stop();
  events.tell('session.started', {});
  assert.deepEqual(heard, ['session.started']);
});
