/** Short notices that go away by themselves, read out politely by assistive technology. */

import { h } from './dom.ts';
import type { Notice } from './state.ts';

const SHOWN_MS = 7_000;
const KEPT = 3;

export class Toasts {
  /** Lives in the page from the start, so that assistive technology watches it. */
  readonly element = h('div', { class: 'toasts', role: 'status', 'aria-live': 'polite' });

  show(notice: Notice): void {
    const toast = h('div', { class: `toast toast--${notice.kind}` }, notice.text);
    this.element.append(toast);
    while (this.element.children.length > KEPT) {
      this.element.firstElementChild?.remove();
    }
    setTimeout(() => toast.remove(), SHOWN_MS);
  }

  clear(): void {
    this.element.replaceChildren();
  }
}
