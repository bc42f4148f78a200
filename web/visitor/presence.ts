/**
 * This page on its website, for 1-click connect: a light socket that says who is here, whether the page can be seen, and
 * whether it is in a session already; agents' invites come back on it (R108, R114–R118).
 *
 * Sends nothing of the page. Opens when the page has been seen once and comes back by itself after a break.
 */
import { PRESENCE_PROTOCOL, type Invitation, type WayIn } from '../protocol/lobby.ts';
import { wordsOf } from './said.ts';

export interface PresenceEvents {
  /** An agent asks; nothing when the question is no longer open. */
  asked(invitation: Invitation | undefined): void;
  /** The visitor agreed, and this is the way in. */
  accepted(way: WayIn): void;
  /** The visitor agreed, and it did not work. */
  failed(sentence: string): void;
}

type FromRelay =
  | { readonly t: 'ready' | 'pong' }
  | ({ readonly t: 'invite' } & Invitation)
  | { readonly t: 'withdrawn'; readonly invite: string }
  | ({ readonly t: 'accepted'; readonly invite: string } & WayIn)
  | { readonly t: 'refused'; readonly sentence: string };

const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 60_000;
/** Close codes after which asking again would only repeat the mistake: E_ORIGIN, E_NOT_FOUND, E_INPUT, E_SIGNAL, E_CAPABILITY. */
const FINAL: ReadonlySet<number> = new Set([4002, 4010, 4025, 4033, 4034]);

export class Presence {
  readonly #url: string;
  readonly #hello: string;
  readonly #events: PresenceEvents;
  readonly #stop = new AbortController();
  #socket: WebSocket | undefined;
  #open: Invitation | undefined;
  #busy = false;
  #said = '';
  #wait = RETRY_MIN_MS;
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor(relay: string, group: string, visitor: string, events: PresenceEvents) {
    this.#url = `${relay.replace(/^http/u, 'ws')}/v1/presence`;
    this.#hello = JSON.stringify({ t: 'hello', group, visitor });
    this.#events = events;
    const { signal } = this.#stop;
    document.addEventListener('visibilitychange', () => this.#look(false), { signal });
    window.addEventListener('focus', () => this.#look(true), { signal });
    window.addEventListener('pagehide', () => this.#socket?.close(), { signal });
    window.addEventListener('pageshow', (event) => event.persisted && this.#connect(), { signal });
    this.#connect();
  }

  /** In a session or not: agents must not ask somebody who is being helped. */
  busy(on: boolean): void {
    this.#busy = on;
    this.#look(false);
  }

  answer(invitation: Invitation, accept: boolean): void {
    this.#settle();
    this.#send({ t: 'answer', invite: invitation.invite, accept, words: wordsOf(invitation).words });
  }

  close(): void {
    this.#stop.abort();
    clearTimeout(this.#retry);
    this.#socket?.close();
    this.#settle();
  }

  #connect(): void {
    if (this.#stop.signal.aborted || this.#socket !== undefined) {
      return;
    }
    const socket = new WebSocket(this.#url, PRESENCE_PROTOCOL);
    this.#socket = socket;
    socket.addEventListener('open', () => socket.send(this.#hello));
    socket.addEventListener('message', (event) => this.#hear(String(event.data)));
    socket.addEventListener('close', (event) => this.#closed(socket, event.code));
  }

  #closed(socket: WebSocket, code: number): void {
    if (this.#socket !== socket) {
      return;
    }
    this.#socket = undefined;
    this.#settle();
    if (this.#stop.signal.aborted || FINAL.has(code)) {
      return;
    }
    clearTimeout(this.#retry);
    // Spread out, so that a relay that comes back is not met by everybody at once.
    this.#retry = setTimeout(() => this.#connect(), this.#wait * (0.5 + Math.random()));
    this.#wait = Math.min(this.#wait * 2, RETRY_MAX_MS);
  }

  #hear(text: string): void {
    let told: FromRelay;
    try {
      told = JSON.parse(text) as FromRelay;
    } catch {
      return; // A relay of another version: nothing here depends on it.
    }
    switch (told.t) {
      case 'ready':
        this.#wait = RETRY_MIN_MS;
        this.#said = '';
        this.#look(document.hasFocus());
        break;
      case 'invite':
        this.#open = told;
        this.#events.asked(this.#open);
        break;
      case 'withdrawn':
        if (this.#open?.invite === told.invite) {
          this.#settle();
        }
        break;
      case 'accepted':
        this.#events.accepted(told);
        break;
      case 'refused':
        this.#events.failed(told.sentence);
        break;
      default:
        break;
    }
  }

  #look(focused: boolean): void {
    const visible = document.visibilityState === 'visible';
    const now = JSON.stringify({ visible, busy: this.#busy });
    if (focused || now !== this.#said) {
      this.#said = now;
      this.#send({ t: 'looks', visible, focused, busy: this.#busy });
    }
  }

  #send(what: object): void {
    if (this.#socket?.readyState === WebSocket.OPEN) {
      this.#socket.send(JSON.stringify(what));
    }
  }

  #settle(): void {
    if (this.#open !== undefined) {
      this.#open = undefined;
      this.#events.asked(undefined);
    }
  }
}
