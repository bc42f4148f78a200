/**
 * One participant's connection to the relay: chooses a carrier, says hello, keeps the resume token, comes back after a drop.
 *
 * Keeps this order: nothing but `hello` is sent before `welcome`. WebTransport is tried first and given one second; what
 * worked is remembered for the tab. After a drop the place is resumed with a jittered, growing pause, until the relay says
 * that there is nothing to come back to. What a frame means is the caller's business.
 */
import { codeOf, codeOfClose, isFinal } from './code.ts';
import { Kind, type Frame } from './frame.ts';
import { SCHEMA, parseSignal, signalFrame, type ClientInfo, type ToClient, type ToRelay, type Welcome } from './signal.ts';
import { openWebSocket, openWebTransport, type Carrier, type CarrierEvents, type CarrierName, type Connect } from './carrier.ts';

export type { Connect, CarrierName } from './carrier.ts';

export type CarrierChoice = 'auto' | CarrierName;

/** `reconnecting` keeps everything as it was on the screen; `closed` is for good. */
export type ConnectionState = 'connecting' | 'open' | 'reconnecting' | 'closed';

export interface ConnectionOptions {
  /** Origin of the relay, for example `https://relay.example`. Default: the page's. */
  readonly relay?: string;
  readonly connect: Connect;
  /** Exactly one of the two for the first hello. */
  readonly ticket?: string;
  readonly resume?: string;
  readonly carrier?: CarrierChoice;
  /** Asks again how to reach the relay before a reconnect: its certificate may have been renewed. */
  readonly refresh?: () => Promise<Connect>;
}

/** Why a connection closed for good. */
export interface Closed {
  readonly code: string;
  readonly sentence: string;
}

export interface ConnectionEvents {
  /** A signal came; `welcome` is the first of every carrier. */
  signal?(signal: ToClient): void;
  /** A frame that is no signal came. */
  frame?(frame: Frame): void;
  state?(state: ConnectionState, closed?: Closed): void;
  /** The backlog went down. */
  drained?(): void;
  /** A new resume token to keep; the earlier one is void. */
  resume?(token: string): void;
  /** Round-trip time in milliseconds. */
  rtt?(ms: number): void;
}

/** The version that clients say they are. */
export const CLIENT_VERSION = '0.1.0';

const WEBTRANSPORT_PATIENCE_MS = 1_000;
const WEBSOCKET_PATIENCE_MS = 5_000;
const WELCOME_PATIENCE_MS = 5_000;
const PING_MS = 5_000;
/** This many pings without an answer and the carrier is given up: a dead network closes nothing by itself. */
const PINGS_MISSED_MAX = 3;
const BACKOFF_FIRST_MS = 200;
const BACKOFF_MAX_MS = 5_000;
/** The longest place the relay keeps is an agent's, 180 s; beyond, coming back is pointless. */
const GIVE_UP_MS = 185_000;
/** An ordinary close: the relay keeps the place until its grace time is over. */
const GOING_AWAY = 1_000;
const REMEMBERED = 'fanlight.carrier';

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #events: ConnectionEvents;
  #connect: Connect;
  #carrier: Carrier | undefined;
  /** Grows with every attempt; events of an earlier carrier are not listened to. */
  #attempt = 0;
  #state: ConnectionState = 'connecting';
  #welcomed = false;
  /** The visitor has not let us in: there is no place to come back to, whatever code the carrier is closed with. */
  #turnedAway = false;
  #resume: string | undefined;
  #ticket: string | undefined;
  #lostAt = 0;
  #failures = 0;
  #pingsOpen = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #pinger: ReturnType<typeof setInterval> | undefined;
  #rtt: number | undefined;

  constructor(options: ConnectionOptions, events: ConnectionEvents) {
    this.#options = options;
    this.#events = events;
    this.#connect = options.connect;
    this.#ticket = options.ticket;
    this.#resume = options.resume;
    window.addEventListener('online', this.#onOnline);
    void this.#open();
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** The carrier in use, once there is one. */
  get carrier(): CarrierName | undefined {
    return this.#carrier?.name;
  }

  /** The last measured round trip in milliseconds. */
  get rtt(): number | undefined {
    return this.#rtt;
  }

  /** Bytes sent but not yet taken by the network. */
  get backlog(): number {
    return this.#carrier?.backlog() ?? 0;
  }

  /** Sends a frame; false when there is no welcomed carrier (the frame is gone). */
  send(frame: Frame): boolean {
    if (this.#carrier === undefined || !this.#welcomed) {
      return false;
    }
    try {
      this.#carrier.send(frame);
      return true;
    } catch {
      return false;
    }
  }

  /** Sends a signal; false when there is no welcomed carrier. */
  signal(signal: ToRelay): boolean {
    return this.send(signalFrame(signal));
  }

  /** Ends it from here. The place is kept by the relay unless `leave` or `end` was sent before. */
  close(): void {
    this.#finish(undefined);
  }

  /** Drops the carrier as a broken network would, for tests and for pages that know better. */
  drop(): void {
    const carrier = this.#carrier;
    this.#lost(this.#attempt, 0);
    carrier?.close(4000, 'dropped');
  }

  readonly #onOnline = (): void => {
    if (this.#state === 'reconnecting' && this.#timer !== undefined) {
      this.#failures = 0;
      clearTimeout(this.#timer);
      void this.#open();
    }
  };

  async #open(): Promise<void> {
    this.#timer = undefined;
    const attempt = ++this.#attempt;
    this.#welcomed = false;
    try {
      const carrier = await this.#openCarrier(attempt);
      if (attempt !== this.#attempt || this.#state === 'closed') {
        carrier.close(GOING_AWAY, '');
        return;
      }
      this.#carrier = carrier;
      carrier.send(signalFrame(this.#hello()));
      this.#timer = setTimeout(() => {
        carrier.close(4029, 'E_TIMEOUT');
        this.#forgetCarrier();
        this.#lost(attempt, 0);
      }, WELCOME_PATIENCE_MS);
    } catch {
      this.#lost(attempt, 0);
    }
  }

  #hello(): ToRelay {
    const token = this.#resume === undefined ? { ticket: this.#ticket ?? '' } : { resume: this.#resume };
    return { t: 'hello', schema: SCHEMA, ...token, client: clientInfo() };
  }

  async #openCarrier(attempt: number): Promise<Carrier> {
    const events = this.#carrierEvents(attempt);
    const choice = this.#options.carrier ?? 'auto';
    const offered = this.#connect.webtransport;
    const wanted = choice === 'webtransport' || (choice === 'auto' && recall() !== 'websocket');
    if (wanted && offered !== null && typeof WebTransport === 'function') {
      try {
        const carrier = await openWebTransport(offered.url, offered.hashes, events, WEBTRANSPORT_PATIENCE_MS);
        remember('webtransport');
        return carrier;
      } catch (error) {
        if (choice === 'webtransport') {
          throw error;
        }
      }
    }
    const carrier = await openWebSocket(this.#websocketUrl(), events, WEBSOCKET_PATIENCE_MS);
    remember('websocket');
    return carrier;
  }

  #websocketUrl(): string {
    const url = new URL(this.#connect.websocket, this.#options.relay ?? location.origin);
    url.protocol = url.protocol === 'https:' || url.protocol === 'wss:' ? 'wss:' : 'ws:';
    return url.href;
  }

  #carrierEvents(attempt: number): CarrierEvents {
    return {
      frame: (frame) => {
        if (attempt === this.#attempt) {
          this.#receive(frame);
        }
      },
      drained: () => {
        if (attempt === this.#attempt) {
          this.#events.drained?.();
        }
      },
      closed: (close) => this.#lost(attempt, close),
    };
  }

  #receive(frame: Frame): void {
    if (frame.kind !== Kind.Signal) {
      this.#events.frame?.(frame);
      return;
    }
    const signal = parseSignal(frame.payload);
    if (signal === undefined) {
      return;
    }
    switch (signal.t) {
      case 'welcome':
        this.#welcome(signal);
        break;
      case 'resume':
        this.#keep(signal.resume);
        break;
      case 'pong':
        this.#pingsOpen = 0;
        this.#rtt = Math.max(0, performance.now() - signal.at);
        this.#events.rtt?.(this.#rtt);
        break;
      case 'consent.result':
        this.#turnedAway = signal.kind === 'view' && !signal.accepted;
        break;
      case 'session.ended':
        this.#events.signal?.(signal);
        this.#finish({ code: signal.code, sentence: signal.sentence });
        return;
      default:
        break;
    }
    this.#events.signal?.(signal);
  }

  #welcome(signal: Welcome): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#welcomed = true;
    this.#failures = 0;
    this.#lostAt = 0;
    this.#keep(signal.resume);
    this.#enter('open');
    this.#pingsOpen = 0;
    clearInterval(this.#pinger);
    this.#pinger = setInterval(() => this.#ping(), PING_MS);
    this.#ping();
  }

  #ping(): void {
    this.#pingsOpen += 1;
    if (this.#pingsOpen > PINGS_MISSED_MAX) {
      this.drop();
      return;
    }
    this.signal({ t: 'ping', at: performance.now() });
  }

  #keep(token: string): void {
    this.#resume = token;
    this.#ticket = undefined;
    this.#events.resume?.(token);
  }

  #lost(attempt: number, close: number): void {
    if (attempt !== this.#attempt || this.#state === 'closed') {
      return;
    }
    this.#attempt += 1;
    clearTimeout(this.#timer);
    clearInterval(this.#pinger);
    if (!this.#welcomed && this.#carrier?.name === 'webtransport') {
      this.#forgetCarrier();
    }
    this.#carrier = undefined;
    this.#welcomed = false;
    const code = codeOfClose(close);
    if (code !== undefined && (this.#turnedAway || isFinal(code.label))) {
      this.#finish({ code: code.label, sentence: code.sentence });
      return;
    }
    this.#lostAt ||= performance.now();
    if (performance.now() - this.#lostAt > GIVE_UP_MS) {
      this.#finish({ code: 'E_NETWORK', sentence: 'The connection could not be restored.' });
      return;
    }
    this.#enter(this.#resume === undefined ? 'connecting' : 'reconnecting');
    this.#timer = setTimeout(() => void this.#again(), this.#pause());
  }

  async #again(): Promise<void> {
    const attempt = this.#attempt;
    try {
      this.#connect = (await this.#options.refresh?.()) ?? this.#connect;
    } catch {
      // The address known so far may still be good.
    }
    if (attempt === this.#attempt && this.#state !== 'closed') {
      await this.#open();
    }
  }

  /** Full jitter: clients that were dropped together do not come back together. */
  #pause(): number {
    const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** this.#failures);
    this.#failures += 1;
    return this.#failures === 1 ? Math.random() * 50 : ceiling / 2 + (Math.random() * ceiling) / 2;
  }

  #finish(closed: Closed | undefined): void {
    if (this.#state === 'closed') {
      return;
    }
    this.#attempt += 1;
    clearTimeout(this.#timer);
    clearInterval(this.#pinger);
    window.removeEventListener('online', this.#onOnline);
    this.#carrier?.close(GOING_AWAY, '');
    this.#carrier = undefined;
    this.#welcomed = false;
    const left = codeOf('E_LEFT');
    this.#enter('closed', closed ?? { code: 'E_LEFT', sentence: left?.sentence ?? '' });
  }

  #enter(state: ConnectionState, closed?: Closed): void {
    if (state !== this.#state) {
      this.#state = state;
      this.#events.state?.(state, closed);
    }
  }

  #forgetCarrier(): void {
    if ((this.#options.carrier ?? 'auto') === 'auto') {
      remember('websocket');
    }
  }
}

/** Operating system and browser in words (R169): names and major versions, nothing that fingerprints. */
export function clientInfo(): ClientInfo {
  const agent = navigator.userAgent;
  const os = /Windows|Android|iPhone|iPad|CrOS|Mac OS X|Linux/u.exec(agent)?.[0].replace('Mac OS X', 'macOS') ?? 'unknown';
  const known = /(Edg|OPR|Firefox|Chrome|Version)\/(\d+)/gu;
  const found = new Map([...agent.matchAll(known)].map((match) => [match[1] ?? '', match[2] ?? '']));
  const name = ['Edg', 'OPR', 'Firefox', 'Chrome', 'Version'].find((key) => found.has(key));
  const words: Record<string, string> = { Edg: 'Edge', OPR: 'Opera', Version: 'Safari' };
  const browser = name === undefined ? 'unknown' : `${words[name] ?? name} ${found.get(name) ?? ''}`;
  return { os, browser, client: CLIENT_VERSION };
}

function recall(): string | null {
  try {
    return sessionStorage.getItem(REMEMBERED);
  } catch {
    return null;
  }
}

function remember(name: CarrierName): void {
  try {
    sessionStorage.setItem(REMEMBERED, name);
  } catch {
    // Storage is off: the next page tries again, which costs at most one second.
  }
}
