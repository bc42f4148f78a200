/** A menu button (WAI-ARIA APG "Menu Button"): arrow keys move, Escape closes and gives focus back. */

import { h, icon, show } from './dom.ts';

export interface MenuItem {
  readonly label: string;
  readonly detail?: string;
  /** Why it cannot be chosen now; the item stays reachable so that the reason can be read. */
  readonly blocked?: string | undefined;
  readonly act: () => void;
  /** A heading that is shown above the first of the items with it. */
  readonly under?: string;
}

export class Menu {
  readonly element: HTMLElement;
  readonly button: HTMLButtonElement;
  private readonly list: HTMLElement;

  /** `items` is asked each time the menu opens. */
  constructor(
    label: string,
    iconName: Parameters<typeof icon>[0],
    className: string,
    private readonly items: () => readonly MenuItem[],
  ) {
    this.button = h('button', { type: 'button', class: className, 'aria-label': label, 'aria-haspopup': 'menu', 'aria-expanded': 'false' });
    this.button.append(icon(iconName), h('span', { class: 'label' }, label), icon('chevron'));
    this.list = h('div', { class: 'menu', role: 'menu', 'aria-label': label, hidden: true });
    this.element = h('div', { class: 'menu-anchor' }, this.button, this.list);
    this.button.addEventListener('click', () => (this.list.hidden ? this.open() : this.close()));
    this.element.addEventListener('keydown', (event) => this.key(event));
    this.element.addEventListener('focusout', (event) => {
      if (!this.element.contains(event.relatedTarget as Node | null)) {
        this.hide();
      }
    });
  }

  open(): void {
    let under: string | undefined;
    this.list.replaceChildren(...this.items().flatMap((item) => {
      const heading = item.under !== undefined && item.under !== under ? [h('div', { class: 'menu-heading', role: 'presentation' }, item.under)] : [];
      under = item.under;
      return [...heading, this.itemElement(item)];
    }));
    show(this.list, true);
    this.button.setAttribute('aria-expanded', 'true');
    this.focus(0);
  }

  private close(): void {
    this.hide();
    this.button.focus();
  }

  private hide(): void {
    show(this.list, false);
    this.button.setAttribute('aria-expanded', 'false');
  }

  private itemElement(item: MenuItem): HTMLElement {
    const blocked = item.blocked !== undefined;
    const element = h('button', { type: 'button', role: 'menuitem', class: 'menu-item', 'aria-disabled': blocked ? 'true' : undefined });
    element.append(h('span', { class: 'menu-label' }, item.label));
    const detail = item.blocked ?? item.detail;
    if (detail !== undefined) {
      element.append(h('span', { class: 'menu-detail' }, detail));
    }
    element.addEventListener('click', () => {
      if (!blocked) {
        this.close();
        item.act();
      }
    });
    return element;
  }

  private key(event: KeyboardEvent): void {
    if (this.list.hidden) {
      if (event.key === 'ArrowDown' && event.target === this.button) {
        event.preventDefault();
        this.open();
      }
      return;
    }
    const items = [...this.list.querySelectorAll<HTMLElement>('[role=menuitem]')];
    const at = items.indexOf(document.activeElement as HTMLElement);
    const moves: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 };
    if (event.key === 'Escape') {
      event.preventDefault();
      this.close();
    } else if (event.key in moves) {
      event.preventDefault();
      this.focus(((moves[event.key] ?? 0) + items.length) % items.length);
    }
  }

  private focus(index: number): void {
    this.list.querySelectorAll<HTMLElement>('[role=menuitem]')[index]?.focus();
  }
}
