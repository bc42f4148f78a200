/**
 * The order of a page's messages. Owns the position (page epoch, sequence) of the mirrored page and keeps this invariant: a
 * diff is applied only directly after the position it belongs to, anything else asks for a resync, once. Also a diff without any
 * page before it: the relay begins with a snapshot, so that one was lost on the way.
 *
 * It knows nothing of documents: what to do with events is the {@link PageSink}'s, which may throw to say "unusable".
 */

import { inflateRaw } from './inflate.ts';

/** A whole snapshot or diff, reassembled from its frames. */
export interface PageMessage {
  readonly kind: 'snapshot' | 'diff';
  readonly pageEpoch: number;
  /** Diff: its position. Snapshot: the diff it already contains. */
  readonly sequence: number;
  readonly deflated: boolean;
  readonly payload: Uint8Array;
}

/** Where a mirrored page stands. */
export interface Position {
  readonly pageEpoch: number;
  readonly sequence: number;
}

export interface PageSink {
  /** Begin again from these events; the old copy stays visible until the new one is built. */
  snapshot(events: unknown, at: Position): void;
  diff(events: unknown, at: Position): void;
  /** The copy no longer matches: ask the relay for a snapshot. */
  wantResync(reason: string): void;
}

export class PageStream {
  /** Of the copy on screen; nothing before the first snapshot. */
  position: Position | undefined;
  /** True from a gap, or the relay's announcement, to the next snapshot: diffs are of no use in between. */
  private broken = false;

  constructor(private readonly sink: PageSink) {}

  /** Takes the next message of the lane. */
  take(message: PageMessage): void {
    if (message.kind === 'snapshot') {
      this.takeSnapshot(message);
    } else {
      this.takeDiff(message);
    }
  }

  /** The relay announced a snapshot that replaces what we have. */
  expectSnapshot(): void {
    this.broken = this.position !== undefined;
  }

  /** Forget the page: another session, or none. */
  reset(): void {
    this.position = undefined;
    this.broken = false;
  }

  private takeSnapshot(message: PageMessage): void {
    if (this.position !== undefined && message.pageEpoch < this.position.pageEpoch) {
      return;
    }
    const at = { pageEpoch: message.pageEpoch, sequence: message.sequence };
    // Each snapshot is a new chance, and each unusable one is reported.
    this.broken = false;
    if (this.attempt(() => this.sink.snapshot(eventsOf(message), at))) {
      this.position = at;
    }
  }

  private takeDiff(message: PageMessage): void {
    const at = this.position;
    if (this.broken || (at !== undefined && message.pageEpoch < at.pageEpoch)) {
      return;
    }
    const sameEpoch = message.pageEpoch === at?.pageEpoch;
    if (sameEpoch && message.sequence <= at.sequence) {
      return;
    }
    if (!sameEpoch || message.sequence !== at.sequence + 1) {
      this.break('gap');
      return;
    }
    const next = { pageEpoch: message.pageEpoch, sequence: message.sequence };
    if (this.attempt(() => this.sink.diff(eventsOf(message), next))) {
      this.position = next;
    }
  }

  private attempt(step: () => void): boolean {
    try {
      step();
      return true;
    } catch (error) {
      this.break(error instanceof Error ? `${error.name}: ${error.message}` : 'error');
      return false;
    }
  }

  private break(reason: string): void {
    if (!this.broken) {
      this.broken = true;
      this.sink.wantResync(reason);
    }
  }
}

function eventsOf(message: PageMessage): unknown {
  const bytes = message.deflated ? inflateRaw(message.payload) : message.payload;
  return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
}
