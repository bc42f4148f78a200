/**
 * What client and relay say to each other in `Signal` frames, equal to `wire::signal`: JSON objects with the tag `t`.
 *
 * {@link parseSignal} is total: it gives `undefined` for what is not a signal this client knows.
 */
import { Kind, frameOf, type Frame } from './frame.ts';

/** Number of the payload schema; client and relay must agree. */
export const SCHEMA = 1;
/** R014, word for word. */
export const TAKEN_OVER = 'Another agent is sharing their screen. You are no longer sharing your screen.';

export type Role = 'visitor' | 'agent' | 'guest' | 'upstream';
export type Mode = 'view_only' | 'view_pointer' | 'true_pointer' | 'full_control';
export type Surface = 'browser' | 'window' | 'monitor';
export type Slot = 'agent' | 'visitor';
export type Presence = 'waiting' | 'here' | 'away';
export type Stage = 'waiting' | 'active' | 'paused';
export type SharePhase = 'empty' | 'held' | 'waiting' | 'live';
/** How surely it is known what a share shows (`wire::sites`). */
export type Assurance = 'none' | 'surface' | 'stated' | 'proved';
export type Ask = 'view' | 'screen';
export type SnapshotReason = 'first' | 'gap' | 'compact' | 'evicted' | 'unpaused';
export type LagLevel = 'live' | 'lagging' | 'resync' | 'degraded' | 'closed';

/** Rights as bits (`wire::policy::Capabilities`). */
export const Capability = {
  PUB_DOM: 1, PUB_SCREEN: 2, PUB_CAMERA: 4, SUB_DOM: 8, SUB_SCREEN: 16, SUB_CAMERA: 32, POINTER: 64, CONTROL_REQUEST: 128,
  CONTROL_GRANT: 256, END: 512, INVITE: 1024, ANNOTATE: 2048, SHOW_BROWSER: 4096, SHOW_WINDOW: 8192, SHOW_MONITOR: 16384, VIEW_BROWSER: 32768,
  VIEW_WINDOW: 65536, VIEW_MONITOR: 131072, DOC: 262144,
} as const;

export interface ClientInfo {
  readonly os: string;
  readonly browser: string;
  readonly client: string;
}

export interface Member {
  readonly id: number;
  readonly role: Role;
  readonly name: string;
  readonly presence: Presence;
  /** Of the visitor only (R169). */
  readonly client?: ClientInfo;
}

export interface ShareState {
  readonly slot: Slot;
  readonly epoch: number;
  readonly phase: SharePhase;
  readonly holder?: number;
  readonly surface?: Surface;
  readonly audio: boolean;
}

/** What the session's camera shows; it has no sound, and nobody takes it over. */
export interface CameraState {
  readonly epoch: number;
  readonly phase: SharePhase;
  readonly holder?: number;
}

export interface Welcome {
  readonly t: 'welcome';
  readonly session: string;
  readonly you: number;
  readonly role: Role;
  readonly name: string;
  readonly capabilities: number;
  readonly resume: string;
  readonly resumed: boolean;
  readonly stage: Stage;
  readonly mode: Mode;
  readonly modes: readonly Mode[];
  readonly members: readonly Member[];
  readonly shares: readonly ShareState[];
  /** Absent when no camera is on. */
  readonly camera?: CameraState;
  readonly page_epoch: number;
  readonly mask_epoch: number;
  readonly assets?: readonly string[];
  readonly policy_version: number;
  /** Visitor: what the group hides, beyond what the page was told. */
  readonly masks?: Masks;
}

/** CSS selectors. */
export interface Masks {
  readonly everything: boolean;
  readonly mask: readonly string[];
  readonly block: readonly string[];
  readonly unmask: readonly string[];
}

export interface Denied {
  readonly t: 'denied';
  readonly re: string;
  readonly code: string;
  readonly rule: string;
  readonly sentence: string;
  readonly policy_version: number;
  readonly allowed?: readonly Surface[];
}

/** Client → relay. */
export type ToRelay =
  | { t: 'hello'; schema: number; ticket?: string; resume?: string; client: ClientInfo }
  | { t: 'consent'; ask: number; accept: boolean; words?: string }
  | { t: 'mask'; epoch: number }
  | { t: 'mask.error' }
  | { t: 'pause'; on: boolean }
  | { t: 'resync' }
  | { t: 'offer'; sdp: string }
  | { t: 'share.start'; mid: string; surface?: Surface; audio_mid?: string; grant?: number; url?: string; assurance?: Assurance }
  | { t: 'share.statement'; url?: string; assurance: Assurance }
  | { t: 'share.stop' }
  | { t: 'camera.start'; mid: string; words?: string }
  | { t: 'camera.stop' }
  | { t: 'share.invite' }
  | { t: 'share.decline'; grant: number; reason: string }
  | { t: 'share.accept'; grant: number; words?: string }
  | { t: 'mode.set'; mode: Mode }
  | { t: 'control.request' }
  | { t: 'leave' }
  | { t: 'end' }
  | { t: 'ping'; at: number };

/** The words of a question to the visitor: plain text, one statement per line, and an https address of terms (R082). */
export interface Words {
  readonly text: string;
  readonly terms?: string;
  /** Names these words in an answer: a yes is one to what was shown. */
  readonly words: string;
}

/** Relay → client. */
export type ToClient =
  | Welcome
  | ({ t: 'consent.ask'; ask: number; kind: Ask; participant: number; name: string; seconds: number } & Words)
  | { t: 'consent.withdrawn'; ask: number }
  | { t: 'consent.result'; kind: Ask; accepted: boolean }
  | { t: 'session.stage'; stage: Stage }
  | { t: 'session.ending'; seconds: number }
  | { t: 'session.ended'; code: string; sentence: string; by?: number }
  | ({ t: 'member' } & Member)
  | { t: 'member.left'; id: number }
  | { t: 'snapshot.wanted'; reason: SnapshotReason }
  | { t: 'resync'; reason: string }
  | { t: 'lag'; state: LagLevel; bytes: number; ms: number }
  | { t: 'answer'; sdp: string }
  | ({ t: 'share.state' } & ShareState)
  | ({ t: 'camera.state' } & CameraState)
  | ({ t: 'camera.words' } & Words)
  | { t: 'share.taken_over'; slot: Slot; epoch: number; text: string }
  | ({ t: 'share.invited'; grant: number; participant: number; name: string; seconds: number; surfaces: readonly Surface[] } & Words)
  | { t: 'share.answered'; grant: number; accepted: boolean; reason: string }
  | { t: 'mode.changed'; mode: Mode; by: number }
  | { t: 'mask.raised'; epoch: number; masks: Masks }
  | { t: 'policy.narrowed'; policy_version: number; capabilities: number; modes: readonly Mode[] }
  | Denied
  | { t: 'resume'; resume: string }
  | { t: 'pong'; at: number };

/** Every tag that a relay of this version sends. */
export const TO_CLIENT_TAGS: ReadonlySet<string> = new Set<ToClient['t']>([
  'welcome', 'consent.ask', 'consent.withdrawn', 'consent.result', 'session.stage', 'session.ending', 'session.ended', 'member',
  'member.left', 'snapshot.wanted', 'resync', 'lag', 'answer', 'share.state', 'camera.state', 'camera.words', 'share.taken_over', 'share.invited', 'share.answered',
  'mode.changed', 'mask.raised', 'policy.narrowed', 'denied', 'resume', 'pong',
]);

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** A signal as a frame. @throws FrameError when its JSON is larger than a frame. */
export function signalFrame(signal: ToRelay): Frame {
  return frameOf(Kind.Signal, encoder.encode(JSON.stringify(signal)));
}

/** The relay's signal in a payload, or `undefined` when it is none that this client knows. */
export function parseSignal(payload: Uint8Array): ToClient | undefined {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(payload));
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return undefined;
  }
  const tag = (value as { t?: unknown }).t;
  // The relay is the trusted end of this connection: its fields are as `wire::signal` writes them.
  return typeof tag === 'string' && TO_CLIENT_TAGS.has(tag) ? (value as ToClient) : undefined;
}
