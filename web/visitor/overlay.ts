/** What lies over the page: the frame that says "this is being seen", and the agents' pointers with their names. */
import { colorOf, element } from './dom.ts';
import type { PointerAt } from './pointer.ts';

/** A pointer that did not move for this long is put away. */
const IDLE_MS = 8_000;
const ARROW = 'M2 2 L2 19 L6.8 14.8 L9.8 21.6 L13 20.2 L10 13.6 L16.4 13.2 Z';

interface Shown {
  readonly box: HTMLElement;
  timer: ReturnType<typeof setTimeout>;
}

export class Overlay {
  readonly root = element('div', { class: 'pointers', 'aria-hidden': 'true' });
  readonly #frame = element('div', { class: 'frame', hidden: '' });
  readonly #shown = new Map<number, Shown>();

  constructor() {
    this.root.append(this.#frame);
  }

  /** The frame around the page: on while it is seen, amber while paused. */
  frame(tone: 'off' | 'on' | 'warn'): void {
    this.#frame.hidden = tone === 'off';
    this.#frame.dataset['tone'] = tone;
  }

  move(id: number, name: string, at: PointerAt): void {
    const shown = this.#shown.get(id) ?? this.#make(id, name);
    shown.box.style.transform = `translate(${at.x * innerWidth}px, ${at.y * innerHeight}px)`;
    shown.box.style.opacity = '1';
    clearTimeout(shown.timer);
    shown.timer = setTimeout(() => this.remove(id), IDLE_MS);
  }

  remove(id: number): void {
    const shown = this.#shown.get(id);
    clearTimeout(shown?.timer);
    shown?.box.remove();
    this.#shown.delete(id);
  }

  clear(): void {
    for (const id of [...this.#shown.keys()]) {
      this.remove(id);
    }
    this.frame('off');
  }

  #make(id: number, name: string): Shown {
    const box = element('div', { class: 'pointer', 'data-participant': String(id) });
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    svg.setAttribute('width', '20');
    svg.setAttribute('height', '24');
    const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
    path.setAttribute('d', ARROW);
    path.setAttribute('fill', colorOf(id));
    path.setAttribute('stroke', '#fff');
    path.setAttribute('stroke-width', '1.5');
    svg.append(path);
    const label = element('span', {}, name);
    label.style.background = colorOf(id);
    box.append(svg, label);
    this.root.append(box);
    const shown: Shown = { box, timer: setTimeout(() => this.remove(id), IDLE_MS) };
    this.#shown.set(id, shown);
    return shown;
  }
}
