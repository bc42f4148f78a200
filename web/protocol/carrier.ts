/**
 * The two carriers of frames, behind one interface: a WebSocket (one binary message = one frame) and a WebTransport session
 * (one bidirectional stream per class, pointers as datagrams).
 *
 * A carrier is open or gone for good; {@link Connection} (connection.ts) decides what comes after it.
 */
import { DATAGRAM_BYTES_MAX, FRAME_BYTES_MAX, HEADER_BYTES } from './limits.ts';
import { Class, FrameError, FrameSplitter, classOf, decodeFrame, encodeFrame, type Frame } from './frame.ts';

export type CarrierName = 'websocket' | 'webtransport';

/** What a relay says about reaching it (`GET /v1/connect/<session>`). */
export interface Connect {
  /** Address of the WebSocket, absolute or relative to the relay. */
  readonly websocket: string;
  readonly webtransport: { readonly url: string; readonly hashes: readonly string[] } | null;
}

/** What a carrier tells its owner. */
export interface CarrierEvents {
  /** A frame came. */
  frame(frame: Frame): void;
  /** Bytes of the backlog left. */
  drained(): void;
  /** The carrier is gone; `close` is its close code, 0 when the network took it. Called once, never before it was open. */
  closed(close: number): void;
}

export interface Carrier {
  readonly name: CarrierName;
  /** Sends a frame. Order is kept within a class. */
  send(frame: Frame): void;
  /** Bytes that were sent but not yet taken by the network. */
  backlog(): number;
  close(close: number, reason: string): void;
}

const SUBPROTOCOL = 'fanlight.1';
/** How often a WebSocket with a backlog is looked at: it has no event for it. */
const DRAIN_LOOK_MS = 20;

/** Opens a WebSocket. Rejects when that fails or takes longer than `patienceMs`. */
export function openWebSocket(url: string, events: CarrierEvents, patienceMs: number): Promise<Carrier> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, SUBPROTOCOL);
    socket.binaryType = 'arraybuffer';
    const patience = setTimeout(() => socket.close(), patienceMs);
    let open = false;
    let looking = 0;
    const look = (): void => {
      if (looking === 0) {
        looking = window.setInterval(() => {
          if (socket.bufferedAmount === 0) {
            clearInterval(looking);
            looking = 0;
          }
          events.drained();
        }, DRAIN_LOOK_MS);
      }
    };
    socket.onopen = () => {
      open = true;
      clearTimeout(patience);
      resolve({
        name: 'websocket',
        send(frame) {
          socket.send(encodeFrame(frame));
          if (socket.bufferedAmount > FRAME_BYTES_MAX) {
            look();
          }
        },
        backlog: () => socket.bufferedAmount,
        close: (close, reason) => socket.close(close, reason),
      });
    };
    socket.onmessage = (message) => {
      try {
        events.frame(decodeFrame(new Uint8Array(message.data as ArrayBuffer)));
      } catch {
        socket.close(4001, 'E_FRAME');
      }
    };
    socket.onclose = (event) => {
      clearTimeout(patience);
      clearInterval(looking);
      if (open) {
        events.closed(event.code >= 4000 ? event.code : 0);
      } else {
        reject(new Error(`no WebSocket: ${event.code}`));
      }
    };
  });
}

/** Opens a WebTransport session with its streams. Rejects when that fails or takes longer than `patienceMs`. */
export async function openWebTransport(url: string, hashes: readonly string[], events: CarrierEvents, patienceMs: number): Promise<Carrier> {
  const transport = new WebTransport(url, {
    serverCertificateHashes: hashes.map((hash) => ({ algorithm: 'sha-256', value: fromBase64(hash) })),
  });
  // A failed session rejects both promises; the one that nobody waits for must not be reported as unhandled.
  const ended = transport.closed.then((info) => info.closeCode ?? 0, () => 0);
  try {
    await within(transport.ready, patienceMs);
    return await TransportCarrier.over(transport, ended, events);
  } catch (error) {
    transport.close();
    throw error;
  }
}

/** How long the reason of a close may lag behind the end of its streams. */
const CLOSE_REASON_MS = 500;

class TransportCarrier implements Carrier {
  readonly name = 'webtransport';
  readonly #transport: WebTransport;
  readonly #events: CarrierEvents;
  readonly #writers = new Map<Class, WritableStreamDefaultWriter<Uint8Array>>();
  readonly #datagrams: WritableStreamDefaultWriter<Uint8Array>;
  #backlog = 0;
  #closed = false;

  static async over(transport: WebTransport, ended: Promise<number>, events: CarrierEvents): Promise<TransportCarrier> {
    const carrier = new TransportCarrier(transport, events);
    for (const kind of [Class.Ctl, Class.Input, Class.Dom]) {
      await carrier.#openStream(kind);
    }
    void carrier.#readDatagrams();
    void ended.then((close) => carrier.#end(close));
    return carrier;
  }

  private constructor(transport: WebTransport, events: CarrierEvents) {
    this.#transport = transport;
    this.#events = events;
    this.#datagrams = writerOfDatagrams(transport);
  }

  send(frame: Frame): void {
    const bytes = encodeFrame(frame);
    const kind = classOf(frame.kind);
    if (kind === Class.Pointer && bytes.length <= DATAGRAM_BYTES_MAX) {
      this.#datagrams.write(bytes).catch(ignore);
      return;
    }
    const writer = this.#writers.get(kind) ?? this.#writers.get(Class.Ctl);
    if (writer !== undefined) {
      this.#write(writer, bytes);
    }
  }

  backlog(): number {
    return this.#backlog;
  }

  close(close: number, reason: string): void {
    if (!this.#closed) {
      this.#transport.close({ closeCode: close, reason });
    }
  }

  #write(writer: WritableStreamDefaultWriter<Uint8Array>, bytes: Uint8Array): void {
    this.#backlog += bytes.length;
    writer.write(bytes).then(
      () => {
        this.#backlog -= bytes.length;
        this.#events.drained();
      },
      ignore,
    );
  }

  async #openStream(kind: Class): Promise<void> {
    const stream = await this.#transport.createBidirectionalStream();
    const writer = stream.writable.getWriter();
    this.#writers.set(kind, writer);
    this.#write(writer, Uint8Array.of(kind));
    void this.#readStream(stream.readable);
  }

  async #readStream(readable: ReadableStream<Uint8Array>): Promise<void> {
    const splitter = new FrameSplitter();
    const reader = readable.getReader();
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) {
          return;
        }
        for (const frame of splitter.push(value)) {
          this.#deliver(frame);
        }
      }
    } catch (error) {
      if (error instanceof FrameError) {
        this.close(4001, 'E_FRAME');
        this.#end(0);
      } else {
        // A closing session breaks its streams first and says why a moment later.
        setTimeout(() => this.#end(0), CLOSE_REASON_MS);
      }
    }
  }

  async #readDatagrams(): Promise<void> {
    const reader = this.#transport.datagrams.readable.getReader();
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) {
          return;
        }
        if (value.length >= HEADER_BYTES) {
          this.#deliver(decodeFrame(value));
        }
      }
    } catch {
      // The session is gone, or a datagram was no frame: datagrams may be lost, so this lane just ends.
    }
  }

  #deliver(frame: Frame): void {
    if (!this.#closed) {
      this.#events.frame(frame);
    }
  }

  #end(close: number): void {
    if (!this.#closed) {
      this.#closed = true;
      this.#events.closed(close >= 4000 ? close : 0);
    }
  }
}

/** Browsers differ in how datagrams are written: Chromium has a stream, the current draft makes one. */
function writerOfDatagrams(transport: WebTransport): WritableStreamDefaultWriter<Uint8Array> {
  const datagrams = transport.datagrams as unknown as {
    writable?: WritableStream<Uint8Array>;
    createWritable?: () => WritableStream<Uint8Array>;
  };
  const stream = datagrams.writable ?? datagrams.createWritable?.() ?? new WritableStream<Uint8Array>();
  return stream.getWriter();
}

function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`nothing within ${ms} ms`)), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

function ignore(): void {
  // The carrier's end is told by its `closed`; a single failed write says nothing more.
}
