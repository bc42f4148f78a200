/**
 * What the agent knows of the session, computed from the relay's signals alone: no effects, so every line of the interface
 * can be derived from one value and tested without a browser.
 */

import { Capability } from '../../protocol/signal.ts';
import type { CameraState, Member, Mode, ShareState, Slot, Stage, Surface, ToClient } from '../../protocol/signal.ts';

/** Where the visitor's answer to an invitation to share stands (R044–R048). */
export type Invite =
  | { readonly at: 'none' }
  | { readonly at: 'pending' }
  | { readonly at: 'accepted' }
  | { readonly at: 'declined'; readonly reason: string };

/** Something to tell the agent once. */
export interface Notice {
  readonly kind: 'info' | 'warning';
  readonly text: string;
}

/** A share of ours that was refused (R050), kept until the agent has read it. */
export interface ShareRefusal {
  readonly code: string;
  readonly sentence: string;
  readonly allowed: readonly Surface[];
  /** What the share showed, as far as it was known. */
  readonly url: string | undefined;
}

export interface SessionState {
  readonly you: number;
  readonly name: string;
  readonly session: string;
  readonly stage: Stage;
  readonly capabilities: number;
  readonly mode: Mode;
  readonly modes: readonly Mode[];
  readonly policyVersion: number;
  readonly members: readonly Member[];
  readonly shares: Readonly<Partial<Record<Slot, ShareState>>>;
  readonly camera: CameraState;
  readonly pageEpoch: number;
  readonly maskEpoch: number;
  readonly invite: Invite;
  readonly lag: { readonly state: string; readonly bytes: number; readonly ms: number };
  /** The visitor said no to being seen. */
  readonly declined: boolean;
  readonly ended: { readonly code: string; readonly sentence: string; readonly by: number | undefined } | undefined;
}

export const INITIAL: SessionState = {
  you: 0,
  name: '',
  session: '',
  stage: 'waiting',
  capabilities: 0,
  mode: 'view_only',
  modes: [],
  policyVersion: 0,
  members: [],
  shares: {},
  camera: { epoch: 0, phase: 'empty' },
  pageEpoch: 0,
  maskEpoch: 0,
  invite: { at: 'none' },
  lag: { state: 'live', bytes: 0, ms: 0 },
  declined: false,
  ended: undefined,
};

/** The state after a signal. Signals that change nothing here give the same value. */
export function next(state: SessionState, signal: ToClient): SessionState {
  switch (signal.t) {
    case 'welcome':
      return welcomed(state, signal);
    case 'session.stage':
      return { ...state, stage: signal.stage };
    case 'session.ended':
      return { ...state, ended: { code: signal.code, sentence: signal.sentence, by: signal.by } };
    case 'consent.result':
      return signal.kind === 'view' ? answered(state, signal.accepted) : state;
    case 'member':
      return { ...state, members: withMember(state.members, signal) };
    case 'member.left':
      return { ...state, members: state.members.filter((member) => member.id !== signal.id) };
    case 'lag':
      return { ...state, lag: { state: signal.state, bytes: signal.bytes, ms: signal.ms } };
    case 'mode.changed':
      return { ...state, mode: signal.mode };
    case 'policy.narrowed':
      return { ...state, capabilities: signal.capabilities, modes: signal.modes, policyVersion: signal.policy_version };
    case 'share.state':
      return withShare(state, signal);
    case 'camera.state':
      return signal.epoch < state.camera.epoch ? state : { ...state, camera: cameraOf(signal) };
    case 'share.answered':
      return { ...state, invite: signal.accepted ? { at: 'accepted' } : { at: 'declined', reason: signal.reason } };
    case 'denied':
      return signal.re === 'share.invite' ? { ...state, invite: { at: 'declined', reason: signal.sentence } } : state;
    default:
      return state;
  }
}

/** The agent asked the visitor for a screen. */
export function invited(state: SessionState): SessionState {
  return { ...state, invite: { at: 'pending' } };
}

/** The agent has read the answer to an invitation. */
export function inviteRead(state: SessionState): SessionState {
  return { ...state, invite: { at: 'none' } };
}

/** What the agent is told about a signal, beyond what the screen shows all the time. */
export function noticeOf(before: SessionState, signal: ToClient): Notice | undefined {
  switch (signal.t) {
    case 'member': {
      const known = before.members.find((member) => member.id === signal.id);
      return signal.id === before.you ? undefined : memberNotice(known, signal);
    }
    case 'member.left': {
      const gone = before.members.find((member) => member.id === signal.id);
      return gone === undefined ? undefined : { kind: 'info', text: `${displayName(gone)} has left the session.` };
    }
    case 'mode.changed':
      return signal.by === before.you ? undefined : { kind: 'info', text: `The mode is now ${MODE_NAMES[signal.mode]}.` };
    case 'session.ending':
      return { kind: 'warning', text: `The session has reached its longest time. It ends in ${signal.seconds} seconds.` };
    case 'camera.state':
      return cameraNotice(before.camera, signal);
    case 'share.answered':
      return signal.accepted ? undefined : { kind: 'warning', text: declineText(signal.reason) };
    case 'denied':
      return signal.re === 'share.start' ? undefined : { kind: 'warning', text: signal.sentence };
    default:
      return undefined;
  }
}

export const MODE_NAMES: Readonly<Record<Mode, string>> = {
  view_only: 'View Only',
  view_pointer: 'View + Pointer',
  true_pointer: 'View + True Pointer',
  full_control: 'Full Control',
};

export const SURFACE_NAMES: Readonly<Record<Surface, string>> = {
  browser: 'a browser tab',
  window: 'a window',
  monitor: 'the entire screen',
};

/** What is going on with the picture that the agent sees, if it is not simply live. */
export function pictureNote(state: SessionState, connection: string): string | undefined {
  if (connection === 'reconnecting') {
    return 'Reconnecting… You see the last picture.';
  }
  if (visitor(state)?.presence === 'away') {
    return 'The visitor is changing page or has lost the connection. You see the last picture.';
  }
  return state.lag.state === 'live' ? undefined : 'Catching up with the visitor’s page…';
}

/** Your own entry, if the relay has told it. */
export function self(state: SessionState): Member | undefined {
  return state.members.find((member) => member.id === state.you);
}

export function visitor(state: SessionState): Member | undefined {
  return state.members.find((member) => member.role === 'visitor');
}

/** Does this agent see the page: admitted by the visitor, and the session is on? */
export function admitted(state: SessionState): boolean {
  return self(state)?.presence === 'here' && state.stage !== 'waiting';
}

/** Came by a camera link: there is a camera and no page (R126). */
export function isCameraOnly({ capabilities }: SessionState): boolean {
  return (capabilities & Capability.SUB_CAMERA) !== 0 && (capabilities & (Capability.SUB_DOM | Capability.SUB_SCREEN)) === 0;
}

/** A member's name as others see it. */
export function displayName(member: Member): string {
  if (member.role === 'visitor' && (member.name === '' || member.name === 'Visitor')) {
    return 'The visitor';
  }
  return member.name === '' ? `Agent ${member.id}` : member.name;
}

/** R187: why it is over, when the relay's own sentence does not say it best. */
export function endedBy(state: SessionState): string | undefined {
  const by = state.ended?.by;
  if (by === undefined) {
    return state.declined ? 'The visitor chose not to share their page. Ask them for a new key if they change their mind.' : undefined;
  }
  const member = state.members.find((candidate) => candidate.id === by);
  return by === state.you ? 'You have ended the session for everyone.' : `${member === undefined ? 'Somebody' : displayName(member)} has ended the session.`;
}

/** May the agent share a screen or ask for one right now (R009)? The reason when not. */
export function shareBlocked(state: SessionState, capability: number): string | undefined {
  if (!admitted(state)) {
    return 'Available as soon as the visitor has agreed to the session.';
  }
  if ((state.capabilities & capability) === 0) {
    return 'Your account is not allowed to do that. Ask your administrator.';
  }
  return undefined;
}

/** What this agent may share (R007). */
export function surfacesOf(state: SessionState): readonly Surface[] {
  const rights: readonly (readonly [Surface, number])[] = [
    ['browser', Capability.SHOW_BROWSER], ['window', Capability.SHOW_WINDOW], ['monitor', Capability.SHOW_MONITOR],
  ];
  return rights.filter(([, right]) => (state.capabilities & right) !== 0).map(([surface]) => surface);
}

function welcomed(state: SessionState, signal: Extract<ToClient, { t: 'welcome' }>): SessionState {
  const shares: Partial<Record<Slot, ShareState>> = {};
  for (const share of signal.shares) {
    shares[share.slot] = share;
  }
  return {
    ...INITIAL,
    you: signal.you,
    name: signal.name,
    session: signal.session,
    stage: signal.stage,
    capabilities: signal.capabilities,
    mode: signal.mode,
    modes: signal.modes,
    policyVersion: signal.policy_version,
    members: signal.members,
    shares,
    camera: signal.camera ?? INITIAL.camera,
    pageEpoch: signal.page_epoch,
    maskEpoch: signal.mask_epoch,
    invite: signal.resumed ? state.invite : INITIAL.invite,
  };
}

/** The relay tells others about us by `member`, and us by the visitor's answer. */
function answered(state: SessionState, accepted: boolean): SessionState {
  const here = (member: Member): Member => (accepted && member.id === state.you ? { ...member, presence: 'here' } : member);
  return { ...state, declined: !accepted, members: state.members.map(here) };
}

function withMember(members: readonly Member[], changed: Member): Member[] {
  const { id, role, name, presence, client } = changed;
  const member: Member = { id, role, name, presence, ...(client !== undefined && { client }) };
  return members.some((old) => old.id === id)
    ? members.map((old) => (old.id === id ? member : old))
    : [...members, member];
}

function cameraOf({ epoch, phase, holder }: CameraState): CameraState {
  return { epoch, phase, ...(holder !== undefined && { holder }) };
}

function cameraNotice(before: CameraState, now: CameraState): Notice | undefined {
  if (before.phase === 'empty' && now.phase !== 'empty') {
    return { kind: 'info', text: 'The visitor is showing a camera.' };
  }
  return before.phase !== 'empty' && now.phase === 'empty' ? { kind: 'info', text: 'The camera is off.' } : undefined;
}

function withShare(state: SessionState, signal: Extract<ToClient, { t: 'share.state' }>): SessionState {
  const known = state.shares[signal.slot];
  if (known !== undefined && signal.epoch < known.epoch) {
    return state;
  }
  const { slot, epoch, phase, holder, surface, audio } = signal;
  const share = { slot, epoch, phase, audio, ...(holder !== undefined && { holder }), ...(surface !== undefined && { surface }) };
  const shares = { ...state.shares, [signal.slot]: share as ShareState };
  const overtaken = signal.slot === 'visitor' && signal.phase !== 'empty';
  return { ...state, shares, invite: overtaken ? { at: 'none' } : state.invite };
}

function memberNotice(known: Member | undefined, now: Member): Notice | undefined {
  const name = displayName(now);
  if (now.role === 'visitor' && known !== undefined) {
    // Page changes are frequent; the stage says so for as long as it lasts.
    return undefined;
  }
  if (now.presence === 'away' && known?.presence !== 'away') {
    return { kind: 'warning', text: `${name} has lost the connection.` };
  }
  if (known === undefined) {
    return { kind: 'info', text: now.presence === 'waiting' ? `${name} is waiting for the visitor's consent.` : `${name} has joined.` };
  }
  if (known.presence !== now.presence && now.presence === 'here') {
    return { kind: 'info', text: known.presence === 'away' ? `${name} is back.` : `${name} has joined.` };
  }
  return undefined;
}

function declineText(reason: string): string {
  switch (reason) {
    case 'picker':
      return 'The visitor agreed, then closed the window that chooses a screen. Nothing was shared.';
    case 'timeout':
      return 'The visitor did not answer. You can ask again.';
    case 'unsupported':
      return "The visitor's browser cannot share a screen.";
    default:
      return 'The visitor declined to share a screen.';
  }
}
