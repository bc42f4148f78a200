/**
 * Pointers both ways: the visitor's own position, sent at most once per drawn frame, and the agents' positions, decoded.
 * A position is in 1/65535 of the visitor's viewport, so that it means the same on every screen.
 */
import { Kind, frameOf, type Frame } from '../protocol/frame.ts';
import { POINTERS_PER_SECOND } from '../protocol/limits.ts';

const FULL = 65_535;
const PAYLOAD_BYTES = 5;

export interface PointerAt {
  /** 0..1 of the viewport's width and height. */
  readonly x: number;
  readonly y: number;
  readonly buttons: number;
}

export function pointerFrame(at: PointerAt, pageEpoch: number): Frame {
  const payload = new Uint8Array(PAYLOAD_BYTES);
  const view = new DataView(payload.buffer);
  view.setUint16(0, Math.round(Math.min(1, Math.max(0, at.x)) * FULL));
  view.setUint16(2, Math.round(Math.min(1, Math.max(0, at.y)) * FULL));
  view.setUint8(4, at.buttons & 0xff);
  return frameOf(Kind.PointerMove, payload, { pageEpoch });
}

export function pointerOf(payload: Uint8Array): PointerAt | undefined {
  if (payload.length < PAYLOAD_BYTES) {
    return undefined;
  }
  const view = new DataView(payload.buffer, payload.byteOffset, PAYLOAD_BYTES);
  return { x: view.getUint16(0) / FULL, y: view.getUint16(2) / FULL, buttons: view.getUint8(4) };
}

/** Reports the visitor's own pointer while it is started. */
export class OwnPointer {
  readonly #report: (at: PointerAt) => void;
  #latest: PointerEvent | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #started = false;

  constructor(report: (at: PointerAt) => void) {
    this.#report = report;
  }

  start(): void {
    if (!this.#started) {
      this.#started = true;
      for (const name of EVENTS) {
        window.addEventListener(name, this.#onPointer, { passive: true, capture: true });
      }
    }
  }

  stop(): void {
    this.#started = false;
    for (const name of EVENTS) {
      window.removeEventListener(name, this.#onPointer, { capture: true });
    }
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#latest = undefined;
  }

  readonly #onPointer = (event: PointerEvent): void => {
    this.#latest = event;
    if (this.#timer === undefined) {
      this.#send();
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.#send();
      }, 1_000 / POINTERS_PER_SECOND + 1);
    }
  };

  #send(): void {
    const event = this.#latest;
    this.#latest = undefined;
    if (event !== undefined && innerWidth > 0 && innerHeight > 0) {
      this.#report({ x: event.clientX / innerWidth, y: event.clientY / innerHeight, buttons: event.buttons });
    }
  }
}

const EVENTS = ['pointermove', 'pointerdown', 'pointerup'] as const;
