/**
 * Messages: a payload larger than a frame travels as chunks that share a message number; here they are cut and put together.
 *
 * {@link Assembler} holds at most one unfinished message per source and kind, within the limits of size and time, so that a
 * hostile sender cannot make it grow.
 */
import { FRAME_BYTES_MAX, MESSAGE_ASSEMBLY_MAX_MS, MESSAGE_BYTES_MAX, PAYLOAD_BYTES_MAX } from './limits.ts';
import { FrameError, frameOf, type Frame, type Header, type Kind } from './frame.ts';

/** A whole payload with the header of its first chunk. */
export interface Message {
  readonly header: Header;
  readonly payload: Uint8Array;
}

/**
 * The frames of one message.
 * @throws FrameError when the payload is larger than a message may be.
 */
export function chunk(kind: Kind, payload: Uint8Array, header: Partial<Header>): Frame[] {
  if (payload.length > MESSAGE_BYTES_MAX) {
    throw new FrameError('long', `a message of ${payload.length} bytes`);
  }
  const chunkCount = Math.max(1, Math.ceil(payload.length / PAYLOAD_BYTES_MAX));
  return Array.from({ length: chunkCount }, (_, chunkIndex) => {
    const part = payload.subarray(chunkIndex * PAYLOAD_BYTES_MAX, (chunkIndex + 1) * PAYLOAD_BYTES_MAX);
    return frameOf(kind, part, { ...header, chunkIndex, chunkCount });
  });
}

interface Open {
  readonly header: Header;
  readonly parts: Uint8Array[];
  readonly since: number;
  bytes: number;
}

/** Puts chunks together. A chunk that does not continue its message drops that message: its sender begins again. */
export class Assembler {
  readonly #open = new Map<number, Open>();

  /** The whole message if this frame was its last chunk. `now` in milliseconds, any origin. */
  push(frame: Frame, now: number): Message | undefined {
    if (frame.chunkCount === 1) {
      return { header: frame, payload: frame.payload };
    }
    const key = frame.source * FRAME_BYTES_MAX + frame.kind;
    if (frame.chunkIndex === 0) {
      this.#open.set(key, { header: frame, parts: [], since: now, bytes: 0 });
    }
    const open = this.#open.get(key);
    if (open === undefined || !continues(open, frame, now)) {
      this.#open.delete(key);
      return undefined;
    }
    open.parts.push(frame.payload.slice());
    open.bytes += frame.payload.length;
    if (open.bytes > MESSAGE_BYTES_MAX) {
      this.#open.delete(key);
      return undefined;
    }
    if (open.parts.length < frame.chunkCount) {
      return undefined;
    }
    this.#open.delete(key);
    return { header: open.header, payload: concat(open.parts, open.bytes) };
  }

  /** Forgets everything unfinished. */
  clear(): void {
    this.#open.clear();
  }
}

function continues(open: Open, frame: Frame, now: number): boolean {
  return (
    frame.message === open.header.message &&
    frame.chunkCount === open.header.chunkCount &&
    frame.chunkIndex === open.parts.length &&
    frame.pageEpoch === open.header.pageEpoch &&
    now - open.since <= MESSAGE_ASSEMBLY_MAX_MS
  );
}

function concat(parts: readonly Uint8Array[], bytes: number): Uint8Array {
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
