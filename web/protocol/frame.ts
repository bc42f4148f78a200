/**
 * The frame: a fixed header of 28 bytes in clear (big-endian) before an opaque payload, equal to `wire::frame`.
 *
 * {@link decodeFrame} is total: hostile bytes give a {@link FrameError}, nothing else is thrown. {@link FrameSplitter} cuts a
 * byte stream (a WebTransport stream) into frames.
 */
import { FRAME_BYTES_MAX, HEADER_BYTES, MESSAGE_CHUNKS_MAX, PAYLOAD_BYTES_MAX } from './limits.ts';

/** Version of the frame format. */
export const VERSION = 1;
/** The payload is compressed with raw deflate (RFC 1951). */
export const FLAG_DEFLATE = 1;

/** How frames of a kind queue; the value is the first byte of a WebTransport stream. */
export const Class = { Ctl: 0, Input: 1, Pointer: 2, Dom: 3, Doc: 4 } as const;
export type Class = (typeof Class)[keyof typeof Class];

/** What a frame is. */
export const Kind = {
  Signal: 0x01,
  Input: 0x10,
  Navigate: 0x11,
  Annotate: 0x12,
  PointerMove: 0x20,
  PointerTrue: 0x21,
  Snapshot: 0x30,
  Diff: 0x31,
  Asset: 0x32,
  Document: 0x40,
} as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

const CLASS_OF: ReadonlyMap<number, Class> = new Map<number, Class>([
  [Kind.Signal, Class.Ctl],
  [Kind.Input, Class.Input],
  [Kind.Navigate, Class.Input],
  [Kind.Annotate, Class.Input],
  [Kind.PointerMove, Class.Pointer],
  [Kind.PointerTrue, Class.Pointer],
  [Kind.Snapshot, Class.Dom],
  [Kind.Diff, Class.Dom],
  [Kind.Asset, Class.Dom],
  [Kind.Document, Class.Doc],
]);

/** The class that frames of this kind belong to. */
export function classOf(kind: Kind): Class {
  return CLASS_OF.get(kind) ?? Class.Ctl;
}

export interface Header {
  readonly kind: Kind;
  /** {@link FLAG_DEFLATE} or 0. */
  readonly flags: number;
  /** Who sent it; written by the relay. */
  readonly source: number;
  readonly pageEpoch: number;
  /** Diff: its position. Snapshot: the diff it already contains. */
  readonly sequence: number;
  readonly message: number;
  readonly chunkIndex: number;
  readonly chunkCount: number;
  readonly maskEpoch: number;
}

export interface Frame extends Header {
  readonly payload: Uint8Array;
}

export type FrameFault = 'short' | 'long' | 'version' | 'kind' | 'flags' | 'chunk' | 'length';

/** The bytes are not a frame. The only thing that this file throws. */
export class FrameError extends Error {
  readonly fault: FrameFault;
  constructor(fault: FrameFault, detail: string) {
    super(`${fault}: ${detail}`);
    this.name = 'FrameError';
    this.fault = fault;
  }
}

/** A frame of one chunk with everything at its default. */
export function frameOf(kind: Kind, payload: Uint8Array, header: Partial<Header> = {}): Frame {
  return {
    flags: 0, source: 0, pageEpoch: 0, sequence: 0, message: 0, chunkIndex: 0, chunkCount: 1, maskEpoch: 0, ...header, kind, payload,
  };
}

/**
 * The frame's bytes.
 * @throws FrameError when the payload is too long or the chunk numbers do not fit.
 */
export function encodeFrame(frame: Frame): Uint8Array<ArrayBuffer> {
  const { payload } = frame;
  if (payload.length > PAYLOAD_BYTES_MAX) {
    throw new FrameError('long', `${payload.length + HEADER_BYTES} bytes`);
  }
  checkChunk(frame.chunkIndex, frame.chunkCount);
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, VERSION);
  view.setUint8(1, frame.kind);
  view.setUint8(2, frame.flags);
  view.setUint8(3, frame.source);
  view.setUint32(4, frame.pageEpoch);
  view.setUint32(8, frame.sequence);
  view.setUint32(12, frame.message);
  view.setUint16(16, frame.chunkIndex);
  view.setUint16(18, frame.chunkCount);
  view.setUint32(20, frame.maskEpoch);
  view.setUint32(24, payload.length);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

/**
 * Reads one frame that fills `bytes` exactly. The payload is a view, not a copy.
 * @throws FrameError when it does not.
 */
export function decodeFrame(bytes: Uint8Array): Frame {
  if (bytes.length > FRAME_BYTES_MAX) {
    throw new FrameError('long', `${bytes.length} bytes`);
  }
  const { header, length } = decodeHeader(bytes);
  const payload = bytes.subarray(HEADER_BYTES);
  if (payload.length !== length) {
    throw new FrameError('length', `${length} said, ${payload.length} found`);
  }
  return { ...header, payload };
}

/**
 * Reads the header; the payload need not be there yet.
 * @throws FrameError when the bytes are not a header of this version.
 */
export function decodeHeader(bytes: Uint8Array): { header: Header; length: number } {
  if (bytes.length < HEADER_BYTES) {
    throw new FrameError('short', `${bytes.length} bytes`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  if (view.getUint8(0) !== VERSION) {
    throw new FrameError('version', String(view.getUint8(0)));
  }
  const kind = view.getUint8(1);
  if (!CLASS_OF.has(kind)) {
    throw new FrameError('kind', String(kind));
  }
  const flags = view.getUint8(2);
  if ((flags & ~FLAG_DEFLATE) !== 0) {
    throw new FrameError('flags', String(flags));
  }
  const chunkIndex = view.getUint16(16);
  const chunkCount = view.getUint16(18);
  checkChunk(chunkIndex, chunkCount);
  const length = view.getUint32(24);
  if (length > PAYLOAD_BYTES_MAX) {
    throw new FrameError('long', `${length + HEADER_BYTES} bytes`);
  }
  const header: Header = {
    kind: kind as Kind,
    flags,
    source: view.getUint8(3),
    pageEpoch: view.getUint32(4),
    sequence: view.getUint32(8),
    message: view.getUint32(12),
    chunkIndex,
    chunkCount,
    maskEpoch: view.getUint32(20),
  };
  return { header, length };
}

function checkChunk(index: number, count: number): void {
  if (count < 1 || count > MESSAGE_CHUNKS_MAX || index < 0 || index >= count) {
    throw new FrameError('chunk', `${index} of ${count}`);
  }
}

/** Cuts a stream of bytes into frames. Holds at most one frame and one read. */
export class FrameSplitter {
  #rest: Uint8Array = new Uint8Array(0);

  /**
   * Frames that are complete with these bytes, in order.
   * @throws FrameError when the stream holds something else; the stream is then useless.
   */
  push(bytes: Uint8Array): Frame[] {
    let buffer = bytes;
    if (this.#rest.length > 0) {
      buffer = new Uint8Array(this.#rest.length + bytes.length);
      buffer.set(this.#rest);
      buffer.set(bytes, this.#rest.length);
    }
    const frames: Frame[] = [];
    let at = 0;
    while (buffer.length - at >= HEADER_BYTES) {
      const { length } = decodeHeader(buffer.subarray(at));
      const end = at + HEADER_BYTES + length;
      if (end > buffer.length) {
        break;
      }
      frames.push(decodeFrame(buffer.subarray(at, end)));
      at = end;
    }
    this.#rest = buffer.slice(at);
    return frames;
  }
}
