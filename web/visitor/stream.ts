/**
 * The page on its way out: numbers, packs and sends snapshots, diffs and assets.
 *
 * Keeps the order of the wire: a diff's number is the one before plus one, a snapshot says which diff it already contains, and
 * nothing of a page epoch is sent before its first snapshot. Latency first: events leave in the microtask after they were
 * recorded; only a carrier that is backed up makes them wait, and beyond a bound the page is photographed again instead.
 */
import type { eventWithTime } from '@rrweb/types';
import { deflateSync } from 'fflate';
import { FLAG_DEFLATE, Kind, type Frame } from '../protocol/frame.ts';
import { MESSAGE_BYTES_MAX } from '../protocol/limits.ts';
import { chunk } from '../protocol/message.ts';
import type { Asset } from './assets.ts';

/** What the stream needs of a connection. */
export interface Outlet {
  send(frame: Frame): boolean;
  readonly backlog: number;
}

export interface StreamEvents {
  /** Diffs were given up: take a snapshot. */
  photograph(): void;
  /** The page is too large for one message. */
  oversize(bytes: number): void;
}

/** Smaller batches do not shrink (browser measurements: below 200 bytes deflate adds). */
const DEFLATE_ABOVE_BYTES = 512;
/** With this much on its way, events are gathered instead of sent one by one. */
const GATHER_ABOVE_BYTES = 16 * 1024;
const GATHER_MS = 50;
const GATHER_BYTES = 16 * 1024;
/** Beyond this, a fresh snapshot is smaller than what is waiting. */
const GIVE_UP_ABOVE_BYTES = 256 * 1024;
/** Assets go out only when little else is on its way: changes come first. */
const ASSET_BELOW_BYTES = 32 * 1024;

const encoder = new TextEncoder();

export class PageStream {
  readonly #outlet: Outlet;
  readonly #events: StreamEvents;
  readonly #assets: Asset[] = [];
  #pageEpoch = 0;
  #maskEpoch = 0;
  #sequence = 0;
  #message = 0;
  /** Has this page epoch a snapshot? */
  #begun = false;
  /** Diffs were dropped; only a snapshot in a new page epoch helps. */
  #behind = false;
  #pending: string[] = [];
  #pendingBytes = 0;
  #scheduled = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(outlet: Outlet, events: StreamEvents) {
    this.#outlet = outlet;
    this.#events = events;
  }

  /** The last diff's number and its page epoch, for comparisons in tests. */
  get position(): { epoch: number; sequence: number } {
    return { epoch: this.#pageEpoch, sequence: this.#sequence };
  }

  /** Has this page epoch its first snapshot? */
  get begun(): boolean {
    return this.#begun;
  }

  /** Diffs were given up: only a new page epoch shows them to those who follow. */
  get behind(): boolean {
    return this.#behind;
  }

  /** A new page epoch; its first snapshot is the caller's next call. */
  begin(pageEpoch: number, maskEpoch: number): void {
    this.#pageEpoch = pageEpoch;
    this.#maskEpoch = maskEpoch;
    this.#sequence = 0;
    this.#begun = false;
    this.#behind = false;
    this.#drop();
  }

  /** Nothing more is sent until {@link begin}; assets that wait go on waiting. */
  stop(): void {
    this.#begun = false;
    this.#drop();
  }

  /** Sends a snapshot: everything up to the last diff is in it. */
  snapshot(events: readonly eventWithTime[]): void {
    this.flush();
    const payload = deflateSync(encoder.encode(JSON.stringify(events)), { level: 6 });
    if (payload.length > MESSAGE_BYTES_MAX) {
      this.#events.oversize(payload.length);
      return;
    }
    this.#begun = true;
    this.#sendMessage(Kind.Snapshot, payload, FLAG_DEFLATE);
  }

  /** Sends a change; in order, soon. */
  diff(event: eventWithTime): void {
    if (!this.#begun || this.#behind) {
      return;
    }
    const text = JSON.stringify(event);
    this.#pending.push(text);
    this.#pendingBytes += text.length;
    if (this.#outlet.backlog + this.#pendingBytes > GIVE_UP_ABOVE_BYTES && this.#outlet.backlog > GATHER_ABOVE_BYTES) {
      this.#behind = true;
      this.#drop();
    } else if (this.#outlet.backlog > GATHER_ABOVE_BYTES && this.#pendingBytes < GATHER_BYTES) {
      this.#timer ??= setTimeout(() => this.flush(), GATHER_MS);
    } else if (!this.#scheduled) {
      this.#scheduled = true;
      queueMicrotask(() => this.flush());
    }
  }

  asset(asset: Asset): void {
    this.#assets.push(asset);
    this.drained();
  }

  /** The carrier took something. */
  drained(): void {
    if (this.#behind && this.#outlet.backlog < GATHER_ABOVE_BYTES) {
      this.#events.photograph();
    }
    while (this.#begun && this.#outlet.backlog < ASSET_BELOW_BYTES) {
      const asset = this.#assets.shift();
      if (asset === undefined) {
        return;
      }
      this.#sendMessage(Kind.Asset, asset.payload, 0);
    }
  }

  /** Sends what is gathered. */
  flush(): void {
    this.#scheduled = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#pending.length === 0) {
      return;
    }
    const bytes = encoder.encode(`[${this.#pending.join(',')}]`);
    this.#drop();
    this.#sequence += 1;
    const packed = bytes.length > DEFLATE_ABOVE_BYTES ? deflateSync(bytes, { level: 3 }) : bytes;
    this.#sendMessage(Kind.Diff, packed, packed === bytes ? 0 : FLAG_DEFLATE);
  }

  #drop(): void {
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#scheduled = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #sendMessage(kind: Kind, payload: Uint8Array, flags: number): void {
    this.#message = (this.#message + 1) >>> 0;
    const header = {
      flags, pageEpoch: this.#pageEpoch, sequence: kind === Kind.Asset ? 0 : this.#sequence, message: this.#message, maskEpoch: this.#maskEpoch,
    };
    for (const frame of chunk(kind, payload, header)) {
      this.#outlet.send(frame);
    }
  }
}
