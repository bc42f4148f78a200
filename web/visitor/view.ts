/** What the widget shows: one value, replaced as a whole by visit.ts and drawn by ui.ts. */
import type { ConnectionState } from '../protocol/connection.ts';
import type { Invitation, SessionKind } from '../protocol/lobby.ts';
import type { Member, SharePhase, Surface, Words } from '../protocol/signal.ts';
import type { ShownKey } from './key.ts';
import { CAMERA_OFF, type CameraView } from './camera.ts';

export type Phase = 'idle' | 'starting' | 'waiting' | 'active' | 'paused' | 'ended' | 'failed';

export type Question =
  | { readonly kind: 'view'; readonly ask: number; readonly name: string; readonly participant: number; readonly about: SessionKind; readonly words: Words }
  /** An agent invites the visitor who is on the website. */
  | { readonly kind: 'invite'; readonly name: string; readonly about: SessionKind; readonly invitation: Invitation; readonly words: Words }
  | { readonly kind: 'screen'; readonly grant: number; readonly name: string; readonly surfaces: readonly Surface[]; readonly words: Words }
  /** The visitor's own: really show the camera? */
  | { readonly kind: 'camera'; readonly name: string; readonly words: Words };

export interface View {
  /** What the session is for. */
  readonly kind: SessionKind;
  readonly phase: Phase;
  readonly connection: ConnectionState;
  readonly key: ShownKey | undefined;
  readonly members: readonly Member[];
  readonly question: Question | undefined;
  /** The visitor's own share: `picking` while the browser's picker is open. */
  readonly own: 'off' | 'picking' | SharePhase;
  readonly camera: CameraView;
  /** The visitor may show a camera, and this browser can open one. */
  readonly mayShowCamera: boolean;
  /** The agents' share and who holds it. */
  readonly theirs: { readonly phase: SharePhase; readonly name: string; readonly audio: boolean };
  /** A sentence for the visitor; `retry` offers the picker again. */
  readonly notice: { readonly text: string; readonly retry: boolean } | undefined;
}

export const IDLE: View = {
  kind: 'cobrowse',
  phase: 'idle',
  connection: 'closed',
  key: undefined,
  members: [],
  question: undefined,
  own: 'off',
  camera: CAMERA_OFF,
  mayShowCamera: false,
  theirs: { phase: 'empty', name: '', audio: false },
  notice: undefined,
};
