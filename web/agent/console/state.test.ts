import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Capability, TAKEN_OVER, type ToClient, type Welcome } from '../../protocol/signal.ts';
import { bannerWords } from './banner.ts';
import { grouped, keyDigits } from './keyentry.ts';
import { admitted, endedBy, INITIAL, invited, next, noticeOf, pictureNote, shareBlocked, type SessionState } from './state.ts';

const WELCOME: Welcome = {
  t: 'welcome', session: 'ab', you: 2, role: 'agent', name: 'Ann', capabilities: Capability.PUB_SCREEN | Capability.POINTER, resume: 'r', resumed: false,
  stage: 'waiting', mode: 'view_pointer', modes: ['view_only', 'view_pointer'], shares: [], page_epoch: 1, mask_epoch: 0, policy_version: 1,
  members: [{ id: 1, role: 'visitor', name: '', presence: 'here' }, { id: 2, role: 'agent', name: 'Ann', presence: 'waiting' }],
};

function after(...signals: ToClient[]): SessionState {
  return signals.reduce(next, INITIAL);
}

const ACTIVE: ToClient[] = [
  WELCOME,
  { t: 'member', id: 2, role: 'agent', name: 'Ann', presence: 'here' },
  { t: 'session.stage', stage: 'active' },
];

test('sharing is offered only after the visitor has agreed, and only to those who may', () => {
  // R009
  assert.match(shareBlocked(after(WELCOME), Capability.PUB_SCREEN) ?? '', /agreed/u);
  const active = after(...ACTIVE);
  assert.equal(admitted(active), true);
  assert.equal(shareBlocked(active, Capability.PUB_SCREEN), undefined);
  assert.match(shareBlocked(active, Capability.INVITE) ?? '', /not allowed/u);
});

test("the visitor's answer decides about this agent", () => {
  // R116, R117
  const yes = after(WELCOME, { t: 'consent.result', kind: 'view', accepted: true }, { t: 'session.stage', stage: 'active' });
  assert.equal(admitted(yes), true);
  const no = after(WELCOME, { t: 'consent.result', kind: 'view', accepted: false });
  assert.deepEqual([admitted(no), no.declined], [false, true]);
});

test("another agent's consent does not admit this one", () => {
  assert.equal(admitted(after(WELCOME, { t: 'session.stage', stage: 'active' })), false);
});

test('the banner follows the slot: loading, then shared', () => {
  // R013
  const waiting = after(...ACTIVE, { t: 'share.state', slot: 'agent', epoch: 1, phase: 'waiting', holder: 2, audio: false });
  assert.equal(bannerWords(waiting, 'sharing')?.kind, 'loading');
  const live = next(waiting, { t: 'share.state', slot: 'agent', epoch: 1, phase: 'live', holder: 2, surface: 'window', audio: false });
  assert.equal(bannerWords(live, 'sharing')?.text, 'Your content is being shared with the visitor: a window.');
});

test('an older floor epoch changes nothing', () => {
  // R015
  const state = after(...ACTIVE, { t: 'share.state', slot: 'agent', epoch: 5, phase: 'live', holder: 3, audio: false });
  assert.equal(next(state, { t: 'share.state', slot: 'agent', epoch: 4, phase: 'live', holder: 2, audio: false }), state);
});

test('an invitation is answered, refused or overtaken by the share itself', () => {
  // R044, R048
  const asked = invited(after(...ACTIVE));
  assert.equal(bannerWords(asked, 'idle')?.kind, 'loading');
  const refused: ToClient = { t: 'denied', re: 'share.invite', code: 'E_LEVEL', rule: 'R041', sentence: 'No.', policy_version: 1 };
  assert.deepEqual(next(asked, refused).invite, { at: 'declined', reason: 'No.' });
  assert.match(noticeOf(asked, { t: 'share.answered', grant: 1, accepted: false, reason: 'picker' })?.text ?? '', /Nothing was shared/u);
  assert.deepEqual(next(asked, { t: 'share.state', slot: 'visitor', epoch: 1, phase: 'waiting', holder: 1, audio: false }).invite, { at: 'none' });
});

test('a resumed welcome replaces what was known and keeps an open invitation', () => {
  const asked = invited(after(...ACTIVE));
  assert.deepEqual(next(asked, { ...WELCOME, resumed: true }).invite, { at: 'pending' });
  assert.deepEqual(next(asked, WELCOME).invite, { at: 'none' });
});

test('while the visitor changes page or this agent reconnects, the stage says that the picture is old', () => {
  const before = after(...ACTIVE);
  const away: ToClient = { t: 'member', id: 1, role: 'visitor', name: '', presence: 'away' };
  assert.equal(pictureNote(before, 'connected'), undefined);
  assert.match(pictureNote(next(before, away), 'connected') ?? '', /changing page/u);
  assert.match(pictureNote(before, 'reconnecting') ?? '', /last picture/u);
  assert.equal(noticeOf(before, away), undefined, 'not a second time as a notice');
});

test('the end says who ended it', () => {
  // R187
  const end = (by?: number): ToClient => ({ t: 'session.ended', code: 'E_ENDED', sentence: 'The session has ended.', ...(by !== undefined && { by }) });
  assert.equal(endedBy(after(...ACTIVE, end(1))), 'The visitor has ended the session.');
  assert.equal(endedBy(after(...ACTIVE, end(2))), 'You have ended the session for everyone.');
  assert.equal(endedBy(after(...ACTIVE, end())), undefined);
  assert.match(endedBy(after(WELCOME, { t: 'consent.result', kind: 'view', accepted: false })) ?? '', /chose not to share/u);
});

test('a key is nine digits in whatever spelling it is pasted, or eight letters and digits', () => {
  assert.equal(keyDigits(' 4xj7-pq2m '), '4XJ7PQ2M');
  assert.equal(grouped('4XJ7PQ2M'), '4XJ7 PQ2M');
  // R121
  assert.equal(keyDigits(' 123-456 789.0'), '123456789');
  assert.equal(grouped('1234567'), '123 456 7');
  assert.equal(grouped('123456789'), '123 456 789');
});

test('the takeover message is the one of the rules, word for word', () => {
  // R014
  assert.equal(TAKEN_OVER, 'Another agent is sharing their screen. You are no longer sharing your screen.');
});
