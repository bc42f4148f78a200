/**
 * The visitor's camera as a tile over the page or the screen (R126).
 *
 * It can be moved by dragging its bar or with the arrow keys on its title, made larger, and hidden; hidden, a button brings it
 * back. It never leaves the stage, whatever size that has.
 */

import { button, h, say, show } from './dom.ts';
import { admitted, type SessionState } from './state.ts';

/** Pixels per press of an arrow key; with Shift the tile jumps to the edge. */
const STEP = 24;
/** Pixels that stay free around it. */
const MARGIN = 12;
/** On a stage this narrow it begins at the top, where notices do not cover it. */
const NARROW = 560;

const ARROWS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

export class CameraTile {
  readonly element = h('div', { class: 'tile-layer' });
  readonly video = h('video', { autoplay: true, playsinline: true, 'aria-label': "The visitor's camera" });
  private readonly tile: HTMLElement;
  private readonly picture: HTMLElement;
  private readonly grip = h('button', { type: 'button', class: 'tile-grip', 'aria-describedby': 'tile-keys' }, 'Camera');
  private readonly loading = h('p', { role: 'status' });
  private readonly size: HTMLButtonElement;
  private readonly back: HTMLButtonElement;
  private hidden = false;
  private on = false;
  /** Where the agent has put it: distances of its right lower corner from the stage's. */
  private place: { readonly right: number; readonly bottom: number } | undefined;

  constructor() {
    this.video.muted = true;
    this.size = button('Larger', { class: 'tile-button' }, () => this.resize());
    const hide = button('Hide', { class: 'tile-button', 'aria-label': 'Hide camera' }, () => this.hide(true));
    const bar = h('div', { class: 'tile-bar' }, this.grip, this.size, hide);
    this.picture = h('div', { class: 'tile-picture' }, this.loading, this.video);
    const keys = h('span', { id: 'tile-keys', hidden: true }, 'Move with the arrow keys.');
    this.tile = h('section', { class: 'tile', 'aria-label': "The visitor's camera", hidden: true }, bar, this.picture, keys);
    this.back = button('Show camera', { class: 'button tile-back', hidden: true }, () => this.hide(false));
    this.element.append(this.tile, this.back);
    bar.addEventListener('pointerdown', (event) => this.drag(event));
    this.grip.addEventListener('keydown', (event) => this.key(event));
    // A phone is held upright: the tile takes the picture's shape.
    this.video.addEventListener('resize', () => this.fit());
    window.addEventListener('resize', () => this.put());
  }

  attach(stream: MediaStream): void {
    this.video.srcObject = stream;
    void this.video.play().catch(() => undefined);
  }

  render(state: SessionState): void {
    const on = admitted(state) && state.camera.phase !== 'empty';
    const live = state.camera.phase === 'live';
    if (on && !this.on) {
      this.hidden = false;
    }
    this.on = on;
    show(this.video, live);
    say(this.loading, on && !live ? 'Camera is loading…' : '');
    this.draw();
    if (live && this.video.paused) {
      void this.video.play().catch(() => undefined);
    }
  }

  private draw(): void {
    const appears = this.tile.hidden && this.on && !this.hidden;
    show(this.tile, this.on && !this.hidden);
    show(this.back, this.on && this.hidden);
    if (appears) {
      this.put();
    }
  }

  private hide(hidden: boolean): void {
    this.hidden = hidden;
    this.draw();
    (hidden ? this.back : this.grip).focus();
  }

  private resize(): void {
    const large = this.tile.classList.toggle('tile--large');
    say(this.size, large ? 'Smaller' : 'Larger');
    this.put();
  }

  private fit(): void {
    const { videoWidth, videoHeight } = this.video;
    if (videoWidth > 0 && videoHeight > 0) {
      this.picture.style.aspectRatio = `${videoWidth} / ${videoHeight}`;
      this.put();
    }
  }

  private drag(event: PointerEvent): void {
    if (event.button !== 0 || (event.target instanceof Element && event.target.closest('.tile-button') !== null)) {
      return;
    }
    const bar = event.currentTarget as HTMLElement;
    const { right, bottom } = this.place ?? { right: MARGIN, bottom: MARGIN };
    const move = (to: PointerEvent): void => {
      this.place = { right: right - (to.clientX - event.clientX), bottom: bottom - (to.clientY - event.clientY) };
      this.put();
    };
    const end = (): void => {
      bar.removeEventListener('pointermove', move);
    };
    bar.setPointerCapture(event.pointerId);
    bar.addEventListener('pointermove', move);
    bar.addEventListener('pointerup', end, { once: true });
    bar.addEventListener('pointercancel', end, { once: true });
  }

  private key(event: KeyboardEvent): void {
    const arrow = ARROWS[event.key];
    if (arrow === undefined) {
      return;
    }
    event.preventDefault();
    const step = event.shiftKey ? innerWidth + innerHeight : STEP;
    const { right, bottom } = this.place ?? { right: MARGIN, bottom: MARGIN };
    this.place = { right: right - arrow[0] * step, bottom: bottom - arrow[1] * step };
    this.put();
  }

  /** Puts it where the agent wants it, as far as there is room. */
  private put(): void {
    const stage = this.element.offsetParent ?? this.element.parentElement;
    if (stage === null || this.tile.hidden) {
      return;
    }
    const room = { right: stage.clientWidth - this.tile.offsetWidth - MARGIN, bottom: stage.clientHeight - this.tile.offsetHeight - MARGIN };
    const wanted = this.place ?? { right: MARGIN, bottom: stage.clientWidth < NARROW ? room.bottom : MARGIN };
    const right = Math.max(MARGIN, Math.min(wanted.right, room.right));
    const bottom = Math.max(MARGIN, Math.min(wanted.bottom, room.bottom));
    this.place = { right, bottom };
    this.tile.style.right = `${right}px`;
    this.tile.style.bottom = `${bottom}px`;
  }
}
