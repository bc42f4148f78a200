/**
 * The agent's view of the visitor's page: frames in, a picture out.
 *
 * Owns the mirror on screen, the assets, the pointers and the scale. Keeps the old picture until a new one is built, so a
 * resync does not flicker. What it leaves to others: carriers and reassembly (`protocol`), rights and modes (the relay),
 * buttons (the console).
 */

import { Assets, readAsset } from './viewer/assets.ts';
import { Mirror, type Viewport } from './viewer/mirror.ts';
import { PointerOverlay, type PointerPosition } from './viewer/overlay.ts';
import { PageStream, type PageMessage, type Position } from './viewer/stream.ts';

/** What the viewer tells whoever built it. */
export interface ViewerEvents {
  /** Send the `resync` signal. */
  readonly resync: (reason: string) => void;
  /** The first picture, or a picture of another size, is on screen. */
  readonly shown: (viewport: Viewport) => void;
  /** The page is shown at this scale; 1 is life size. */
  readonly scaled: (scale: number) => void;
  /** The visitor's page cannot be shown in spite of repeated attempts. */
  readonly unreadable: () => void;
  /** The agent's pointer moved over the page (only while the page is shown at the visitor's size). */
  readonly pointed: (position: PointerPosition) => void;
}

/** For tests and the lag badge: what was applied last, and when. */
export interface Applied {
  events: number;
  snapshots: number;
  resyncs: number;
  /** Why the last resync was asked for; empty when there was none. */
  fault: string;
  position: Position | undefined;
  /** `performance.timeOrigin + performance.now()` right after the newest diff or snapshot was in the DOM. */
  appliedAt: number;
}

/** `'fit'` or a factor. */
export type Zoom = 'fit' | number;

/** Failed attempts in a row after which another resync would only repeat them. */
const ATTEMPTS_MAX = 3;

export class Viewer {
  readonly applied: Applied = { events: 0, snapshots: 0, resyncs: 0, fault: '', position: undefined, appliedAt: 0 };
  private readonly assets = new Assets();
  private readonly stream: PageStream;
  private readonly stage: HTMLElement;
  private readonly sizer: HTMLElement;
  private readonly overlay: PointerOverlay;
  private mirror: Mirror | undefined;
  private layer: HTMLElement | undefined;
  private zoom: Zoom = 'fit';
  private trueView = true;
  private failures = 0;
  private patching = false;
  private readonly observer: ResizeObserver;

  /** Shows the page inside `root`, which scrolls when the page is larger. */
  constructor(
    private readonly root: HTMLElement,
    private readonly on: ViewerEvents,
  ) {
    const document = root.ownerDocument;
    this.sizer = document.createElement('div');
    this.sizer.className = 'mirror-sizer';
    this.stage = document.createElement('div');
    this.stage.className = 'mirror-stage';
    this.overlay = new PointerOverlay(document);
    this.stage.append(this.overlay.element);
    this.sizer.append(this.stage);
    root.append(this.sizer);
    this.stream = new PageStream({
      snapshot: (events, at) => this.build(events, at),
      diff: (events, at) => this.change(events, at),
      wantResync: (reason) => this.wantResync(reason),
    });
    this.stage.addEventListener('pointermove', (event) => this.point(event));
    this.stage.addEventListener('pointerdown', (event) => this.point(event));
    this.stage.addEventListener('pointerup', (event) => this.point(event));
    this.observer = new ResizeObserver(() => this.layOut());
    this.observer.observe(root);
  }

  /** Takes a whole snapshot or diff. */
  takePage(message: PageMessage): void {
    this.stream.take(message);
  }

  /** Takes a whole asset message. */
  takeAsset(message: Uint8Array): void {
    const asset = readAsset(message);
    if (asset !== undefined && this.assets.add(asset) && !this.patching) {
      // Assets come in bursts; one look at the document serves all of a burst.
      this.patching = true;
      setTimeout(() => {
        this.patching = false;
        this.mirror?.patch();
      }, 0);
    }
  }

  /** Signal `resync`: what follows begins with a snapshot. */
  expectSnapshot(): void {
    this.stream.expectSnapshot();
  }

  /** Draws a participant's pointer. */
  movePointer(source: number, label: string, at: PointerPosition): void {
    this.overlay.move(source, label, at);
  }

  clearPointers(): void {
    this.overlay.clear();
  }

  /** R171, R172: the page at the visitor's size, or flowing into the room there is. */
  setTrueView(on: boolean): void {
    this.trueView = on;
    this.layOut();
  }

  setZoom(zoom: Zoom): void {
    this.zoom = zoom;
    this.layOut();
  }

  get viewport(): Viewport | undefined {
    return this.mirror?.viewport;
  }

  /** The canonical text of the mirrored page; empty when there is none. */
  pageHtml(): string {
    return this.mirror?.html() ?? '';
  }

  /** Diffs that named nodes the mirror does not have. */
  get warnings(): number {
    return this.mirror?.warnings ?? 0;
  }

  /** Forgets the page and its assets. */
  clear(): void {
    this.stream.reset();
    this.mirror?.destroy();
    this.layer?.remove();
    this.mirror = undefined;
    this.layer = undefined;
    this.assets.clear();
    this.overlay.clear();
    this.applied.position = undefined;
  }

  destroy(): void {
    this.clear();
    this.observer.disconnect();
    this.sizer.remove();
  }

  private build(events: unknown, at: Position): void {
    const layer = this.root.ownerDocument.createElement('div');
    layer.className = 'mirror-layer mirror-layer--building';
    this.stage.insertBefore(layer, this.overlay.element);
    const mirror = new Mirror(layer, this.assets.lookup, () => {
      if (this.mirror === mirror) {
        this.layOut();
        this.on.shown(mirror.viewport);
      }
    });
    try {
      mirror.apply(events);
    } catch (error) {
      mirror.destroy();
      layer.remove();
      throw error;
    }
    layer.classList.remove('mirror-layer--building');
    this.mirror?.destroy();
    this.layer?.remove();
    this.mirror = mirror;
    this.layer = layer;
    this.failures = 0;
    this.applied.snapshots += 1;
    this.note(events, at);
    this.layOut();
    this.on.shown(mirror.viewport);
  }

  private change(events: unknown, at: Position): void {
    this.mirror?.apply(events);
    this.note(events, at);
  }

  private note(events: unknown, at: Position): void {
    this.applied.events += Array.isArray(events) ? events.length : 0;
    this.applied.position = at;
    this.applied.appliedAt = performance.timeOrigin + performance.now();
  }

  private wantResync(reason: string): void {
    this.failures += reason === 'gap' ? 0 : 1;
    this.applied.resyncs += 1;
    this.applied.fault = reason;
    if (this.failures >= ATTEMPTS_MAX) {
      this.on.unreadable();
      return;
    }
    this.on.resync(reason);
  }

  /** Scales the visitor's viewport to the room there is, or lets the page flow into it. */
  private layOut(): void {
    const { mirror } = this;
    if (mirror === undefined) {
      return;
    }
    const room = { width: this.root.clientWidth, height: this.root.clientHeight };
    const size = this.trueView ? mirror.viewport : room;
    const scale = this.trueView ? this.scaleFor(size, room) : 1;
    mirror.frame.style.width = `${size.width}px`;
    mirror.frame.style.height = `${size.height}px`;
    this.stage.style.width = `${size.width}px`;
    this.stage.style.height = `${size.height}px`;
    this.stage.style.transform = `scale(${scale})`;
    this.sizer.style.width = `${size.width * scale}px`;
    this.sizer.style.height = `${size.height * scale}px`;
    this.overlay.element.style.setProperty('--unscale', String(1 / scale));
    this.on.scaled(scale);
  }

  private scaleFor(size: Viewport, room: Viewport): number {
    if (this.zoom !== 'fit') {
      return this.zoom;
    }
    // Never larger than life: enlarged text is blurred and helps nobody.
    return Math.max(0.05, Math.min(1, room.width / size.width, room.height / size.height));
  }

  private point(event: PointerEvent): void {
    if (!this.trueView || this.mirror === undefined) {
      return;
    }
    const box = this.stage.getBoundingClientRect();
    if (box.width > 0 && box.height > 0) {
      const x = (event.clientX - box.left) / box.width;
      const y = (event.clientY - box.top) / box.height;
      this.on.pointed({ x, y, buttons: event.buttons & 0xff });
    }
  }
}
