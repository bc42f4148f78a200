/**
 * Pointers over the mirrored page, in an overlay of our own: the replayer's synchronous path draws none. Positions are
 * fractions of the visitor's viewport, so they fit whatever the scale is.
 */

/** Where a pointer is, as fractions of the visitor's viewport. */
export interface PointerPosition {
  readonly x: number;
  readonly y: number;
  /** Bit 0: primary button is down. */
  readonly buttons: number;
}

/** Bytes of a pointer's payload: two big-endian u16 and the buttons. */
const PAYLOAD_BYTES = 5;
const SCALE = 65_535;
/** A pointer that has not moved for this long fades: its owner looks elsewhere. */
const FADE_AFTER_MS = 8_000;

/** Reads a pointer's payload; nothing when it is not one. */
export function readPointer(payload: Uint8Array): PointerPosition | undefined {
  if (payload.length < PAYLOAD_BYTES) {
    return undefined;
  }
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  return { x: view.getUint16(0) / SCALE, y: view.getUint16(2) / SCALE, buttons: view.getUint8(4) };
}

/** A pointer's payload. Positions outside the viewport are moved to its edge. */
export function writePointer(position: PointerPosition): Uint8Array {
  const payload = new Uint8Array(PAYLOAD_BYTES);
  const view = new DataView(payload.buffer);
  const fraction = (value: number): number => Math.round(Math.min(1, Math.max(0, value)) * SCALE);
  view.setUint16(0, fraction(position.x));
  view.setUint16(2, fraction(position.y));
  view.setUint8(4, position.buttons & 0xff);
  return payload;
}

/** Draws one labelled pointer per participant. */
export class PointerOverlay {
  readonly element: HTMLElement;
  private readonly pointers = new Map<number, { mark: HTMLElement; fade: number }>();

  constructor(document: Document) {
    this.element = document.createElement('div');
    this.element.className = 'pointers';
    this.element.setAttribute('aria-hidden', 'true');
  }

  /** Moves the pointer of `source`, creating it at its first move. */
  move(source: number, label: string, at: PointerPosition): void {
    const pointer = this.pointers.get(source) ?? this.create(source);
    clearTimeout(pointer.fade);
    pointer.fade = window.setTimeout(() => pointer.mark.classList.add('pointer--idle'), FADE_AFTER_MS);
    const { mark } = pointer;
    mark.classList.remove('pointer--idle');
    mark.classList.toggle('pointer--down', (at.buttons & 1) === 1);
    mark.style.left = `${at.x * 100}%`;
    mark.style.top = `${at.y * 100}%`;
    mark.dataset['label'] = label;
  }

  clear(): void {
    for (const { mark, fade } of this.pointers.values()) {
      clearTimeout(fade);
      mark.remove();
    }
    this.pointers.clear();
  }

  private create(source: number): { mark: HTMLElement; fade: number } {
    const mark = this.element.ownerDocument.createElement('div');
    mark.className = 'pointer';
    this.element.append(mark);
    const pointer = { mark, fade: 0 };
    this.pointers.set(source, pointer);
    return pointer;
  }
}
