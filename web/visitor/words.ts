/** What the widget says, by what the session is for. */
import type { SessionKind } from '../protocol/lobby.ts';
import type { View } from './view.ts';

const TITLES: Readonly<Record<View['phase'], string>> = {
  idle: 'Live help',
  starting: 'Starting…',
  waiting: 'Live help',
  active: 'Sharing this page',
  paused: 'Paused',
  ended: 'Session ended',
  failed: 'Live help',
};

const ACTIVE: Readonly<Record<SessionKind, string>> = {
  cobrowse: TITLES.active,
  show: 'The agent is with you',
  view: 'The agent is with you',
  camera: 'The agent is with you',
};

export function titleOf(view: View): string {
  return view.phase === 'active' ? ACTIVE[view.kind] : TITLES[view.phase];
}

export function leadOf(view: View): string {
  if (view.phase === 'ended' || view.phase === 'failed') {
    return view.notice?.text ?? '';
  }
  if (view.connection === 'reconnecting') {
    return 'Connection lost. Trying to come back…';
  }
  switch (view.phase) {
    case 'starting':
      return 'One moment, please.';
    case 'waiting':
      return view.key === undefined ? 'Waiting for the agent.' : 'The agent sees nothing until you allow it.';
    case 'paused':
      return 'The agent sees the last picture only. Nothing new is shown.';
    case 'active':
      return activeLead(view);
    default:
      return '';
  }
}

function activeLead(view: View): string {
  switch (view.kind) {
    case 'show':
      return view.theirs.phase === 'empty' ? 'The agent is choosing what to show you. Nothing of yours is shown.' : 'You see the agent’s screen. Nothing of yours is shown.';
    case 'view':
      return view.own === 'live' ? 'The agent sees the screen that you chose, and nothing else.' : 'Nothing is shown yet.';
    case 'camera':
      return 'The agent sees your camera, and nothing else.';
    default:
      return view.own === 'live' ? 'On this page, what you type stays hidden.' : 'What you type, passwords and card numbers stay hidden.';
  }
}

/** The heading of the question whether an agent may come in: who, and what for. What it means is said in the relay's words. */
export function comingIn(kind: SessionKind, name: string): string {
  switch (kind) {
    case 'show':
      return `${name} would like to show you their screen`;
    case 'view':
      return `${name} will be viewing your screen`;
    case 'camera':
      return `${name} would like to see your camera`;
    default:
      return `${name} would like to see this page`;
  }
}
