/** Before a session: what a page and an agent's console say about presence, invites and links (`docs/api.md`). */
import type { Connect } from './connection.ts';
import type { Words } from './signal.ts';

/** What a session is for. */
export type SessionKind = 'cobrowse' | 'show' | 'view' | 'camera';

/** The object of the host product that a session was started from. */
export interface Context {
  readonly type: string;
  readonly id: string;
}

/** A visitor's way into a session that somebody else has made. */
export interface WayIn {
  readonly kind: SessionKind;
  readonly session: string;
  readonly ticket: string;
  readonly handle: string;
  readonly connect: Connect;
}

/** A question of an agent on a page's presence socket, in the group's words. */
export interface Invitation extends Words {
  readonly invite: string;
  readonly name: string;
  readonly kind: SessionKind;
  readonly seconds: number;
}

export const PRESENCE_PROTOCOL = 'fanlight-presence.1';
