/**
 * Canvases as pictures: the recorder's own way would need scripts in the agent's mirror, so each canvas is looked at a few
 * times a second and sent as a small picture when it has changed.
 *
 * A custom event with the tag `fl-canvas`: `{ id, dataUrl }`; an empty `dataUrl` means that the browser may not read it.
 */
import type { eventWithTime } from '@rrweb/types';

export const CANVAS_TAG = 'fl-canvas';

const LOOK_MS = 250;
const QUALITY = 0.6;
/** A canvas of more pixels is sent smaller. */
const PIXELS_MAX = 1_000_000;
const CANVASES_MAX = 20;
const CUSTOM = 5;

export class CanvasWatch {
  readonly #idOf: (element: Element) => number;
  readonly #hidden: (element: Element) => boolean;
  readonly #send: (event: eventWithTime) => void;
  #seen = new WeakMap<HTMLCanvasElement, string>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(idOf: (element: Element) => number, hidden: (element: Element) => boolean, send: (event: eventWithTime) => void) {
    this.#idOf = idOf;
    this.#hidden = hidden;
    this.#send = send;
  }

  start(): void {
    this.stop();
    this.#look();
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  /** Sends every canvas again: a new snapshot holds none. */
  again(): void {
    this.#seen = new WeakMap();
    this.#look();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#seen = new WeakMap();
  }

  #look(): void {
    if (document.hidden) {
      return;
    }
    for (const canvas of canvases(document).slice(0, CANVASES_MAX)) {
      const id = this.#idOf(canvas);
      if (id > 0 && canvas.width > 0 && canvas.height > 0 && !this.#hidden(canvas)) {
        const dataUrl = picture(canvas);
        if (dataUrl !== this.#seen.get(canvas)) {
          this.#seen.set(canvas, dataUrl);
          const data = { tag: CANVAS_TAG, payload: { id, dataUrl } };
          this.#send({ type: CUSTOM, data, timestamp: Date.now() } as unknown as eventWithTime);
        }
      }
    }
  }
}

function canvases(root: Document | ShadowRoot, found: HTMLCanvasElement[] = []): HTMLCanvasElement[] {
  found.push(...root.querySelectorAll('canvas'));
  for (const element of root.querySelectorAll('*')) {
    if (element.shadowRoot !== null && found.length < CANVASES_MAX) {
      canvases(element.shadowRoot, found);
    }
  }
  return found;
}

function picture(canvas: HTMLCanvasElement): string {
  try {
    return reduced(canvas).toDataURL('image/webp', QUALITY);
  } catch {
    // The page drew something from another origin on it: its content may not be read.
    return '';
  }
}

function reduced(canvas: HTMLCanvasElement): HTMLCanvasElement {
  const scale = Math.sqrt(PIXELS_MAX / (canvas.width * canvas.height));
  if (scale >= 1) {
    return canvas;
  }
  const small = document.createElement('canvas');
  small.width = Math.round(canvas.width * scale);
  small.height = Math.round(canvas.height * scale);
  small.getContext('2d')?.drawImage(canvas, 0, 0, small.width, small.height);
  return small;
}
