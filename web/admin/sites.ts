/**
 * The editor of allowed sites, bookmarks and folders (R017–R035). Order by dragging a handle with mouse, pen or finger, or with
 * the arrow keys on it; both do the same move.
 */
import { button, h, say } from '../agent/console/dom.ts';
import type { Bundle, Item } from './api.ts';
import { count, ITEMS_MAX, move, pointer, stepped, take, type Place } from './draft.ts';
import { errorsOf, flag, textField, uniqueId, type Form } from './fields.ts';

const FULL = `There are ${ITEMS_MAX} bookmarks and folders, and at most ${ITEMS_MAX} are allowed. Remove one first.`;

export class SitesEditor {
  readonly element = h('div', { class: 'sites' });
  readonly #form: Form;
  readonly #bundle: Bundle;
  readonly #spoken: HTMLElement;
  readonly #allowed = h('div', { class: 'stack' });
  readonly #items = h('div', { class: 'stack' });
  #notice = '';
  #rows: { readonly place: Place; readonly row: HTMLElement; readonly handle: HTMLElement }[] = [];

  /** `spoken` is a live region: moves are said there. */
  constructor(form: Form, bundle: Bundle, spoken: HTMLElement) {
    this.#form = form;
    this.#bundle = bundle;
    this.#spoken = spoken;
    this.element.append(this.#allowed, this.#items);
    this.draw();
  }

  /** Shows everything anew, with the problems of now. */
  draw(): void {
    this.#drawAllowed();
    this.#drawItems();
  }

  /** Puts an address on the list, unless it is there. */
  allow(url: string): void {
    const { allowed } = this.#bundle.sites;
    if (!allowed.includes(url)) {
      allowed.push(url);
      this.#changed();
    }
  }

  #drawAllowed(): void {
    const { allowed } = this.#bundle.sites;
    const rows = allowed.map((_, at) => h('div', { class: 'line' },
      textField(this.#form, `/sites/allowed/${at}`, `Allowed site ${at + 1}`, { inputmode: 'url', placeholder: 'https://www.example.com/*' }),
      button('Remove', { class: 'button button--quiet', 'aria-label': `Remove allowed site ${at + 1}` }, () => {
        allowed.splice(at, 1);
        this.#changed();
        this.#allowed.querySelector<HTMLElement>('.add')?.focus();
      })));
    const add = button('Add site', { class: 'button add' }, () => {
      allowed.push('');
      this.#changed();
      [...this.#allowed.querySelectorAll<HTMLElement>('input')].at(-1)?.focus();
    });
    const list = h('div', { class: 'stack' }, ...rows);
    this.#allowed.replaceChildren(
      h('h3', {}, 'Allowed sites'),
      h('p', { class: 'hint' }, allowed.length === 0
        ? 'The list is empty: agents may share any site.'
        : 'Agents may share these pages only. End with /* to allow everything below; *. stands for one label.'),
      list, errorsOf(this.#form, '/sites/allowed', list), h('div', { class: 'actions' }, add));
  }

  #drawItems(): void {
    const { bookmarks } = this.#bundle.sites;
    this.#rows = [];
    const rows = bookmarks.flatMap((item, at) => [
      this.#row(item, [at]),
      ...(item.kind === 'folder' ? item.links.map((link, within) => this.#row({ kind: 'link', ...link }, [at, within])) : []),
    ]);
    const list = h('div', { class: 'items' }, ...rows);
    const used = count(bookmarks);
    const notice = h('p', { class: 'field-error', role: 'alert' }, this.#notice);
    this.#notice = '';
    this.#items.replaceChildren(
      h('div', { class: 'title-row' }, h('h3', {}, 'Bookmarks and folders'), h('span', { class: 'tally', 'data-full': used >= ITEMS_MAX }, `${used} of ${ITEMS_MAX}`)),
      h('p', { class: 'hint' }, 'Drag ⠿ to change the order, or focus it and use the arrow keys: right moves into the folder above, left out of it.'),
      list, errorsOf(this.#form, '/sites/bookmarks', list), notice,
      h('div', { class: 'actions' },
        button('Add link', { class: 'button' }, () => this.#add({ kind: 'link', title: '', url: '', active: true })),
        button('Add folder', { class: 'button' }, () => this.#add({ kind: 'folder', name: '', active: true, links: [] }))));
  }

  #row(item: Item, place: Place): HTMLElement {
    const path = pointer(place);
    const folder = item.kind === 'folder';
    const name = (folder ? item.name : item.title) || (folder ? 'folder' : 'bookmark');
    const handle = h('button', { type: 'button', class: 'handle', 'aria-label': `Move ${name}`, title: 'Drag, or use the arrow keys' }, '⠿');
    const fields = folder
      ? [textField(this.#form, `${path}/name`, 'Folder name', { maxlength: '80' })]
      : [textField(this.#form, `${path}/title`, 'Title', { maxlength: '80' }), textField(this.#form, `${path}/url`, 'Address', { inputmode: 'url', placeholder: 'https://' })];
    const row = h('div', { class: `item ${folder ? 'item--folder' : ''} ${place.length === 2 ? 'item--within' : ''}`, role: 'group', 'aria-label': `${folder ? 'Folder' : 'Bookmark'} ${name}` },
      handle, h('div', { class: 'item-fields' }, ...fields, errorsOf(this.#form, path, handle)), flag(this.#form, `${path}/active`, 'Active'),
      ...(folder ? [button('Add link inside', { class: 'button button--quiet' }, () => this.#add({ kind: 'link', title: '', url: '', active: true }, place[0]))] : []),
      button('Remove', { class: 'button button--quiet', 'aria-label': `Remove ${name}` }, () => {
        take(this.#bundle.sites.bookmarks, place);
        say(this.#spoken, `${name} removed.`);
        this.#changed();
        this.#items.querySelector<HTMLElement>('.actions button')?.focus();
      }));
    handle.addEventListener('keydown', (event) => {
      const to = stepped(this.#bundle.sites.bookmarks, place, event.key);
      if (event.key.startsWith('Arrow')) {
        event.preventDefault();
        if (to !== undefined) {
          this.#move(place, to, name);
        }
      }
    });
    handle.addEventListener('pointerdown', (event) => this.#drag(event, handle, row, place, name));
    this.#rows.push({ place, row, handle });
    return row;
  }

  /** R027, R035: a full list takes nothing more, and says so. */
  #add(item: Item, into?: number): void {
    const { bookmarks } = this.#bundle.sites;
    if (count(bookmarks) >= ITEMS_MAX) {
      this.#notice = FULL;
      this.#drawItems();
      return;
    }
    const folder = into === undefined ? undefined : bookmarks[into];
    let place: Place = [bookmarks.length];
    if (folder?.kind === 'folder' && into !== undefined && item.kind === 'link') {
      place = [into, folder.links.length];
      folder.links.push({ title: '', url: '', active: true });
    } else {
      bookmarks.push(item);
    }
    this.#changed();
    this.#at(place)?.row.querySelector<HTMLElement>('input')?.focus();
  }

  #move(from: Place, to: Place, name: string): void {
    const { bookmarks } = this.#bundle.sites;
    const place = move(bookmarks, from, to);
    if (place === undefined) {
      return;
    }
    this.#changed();
    const folder = place.length === 2 ? bookmarks[place[0]] : undefined;
    const where = folder?.kind === 'folder' ? `in ${folder.name || 'the folder'}, place ${(place[1] ?? 0) + 1}` : `place ${place[0] + 1}`;
    say(this.#spoken, `${name}: ${where}.`);
    this.#at(place)?.handle.focus();
  }

  /** Follows the pointer from the handle until it is let go; Escape gives up. */
  #drag(event: PointerEvent, handle: HTMLElement, row: HTMLElement, from: Place, name: string): void {
    if (event.button !== 0) {
      return;
    }
    const id = uniqueId('drag');
    const ends = new AbortController();
    let to: Place | undefined;
    const mark = (target?: HTMLElement, where = ''): void => {
      this.#rows.forEach((one) => delete one.row.dataset['drop']);
      if (target !== undefined) {
        target.dataset['drop'] = where;
      }
    };
    const stop = (act: boolean): void => {
      ends.abort();
      mark();
      delete row.dataset['dragging'];
      if (act && to !== undefined) {
        this.#move(from, to, name);
      }
    };
    handle.setPointerCapture(event.pointerId);
    row.dataset['dragging'] = id;
    const { signal } = ends;
    handle.addEventListener('pointermove', (moved) => {
      const target = this.#rows.find((one) => {
        const box = one.row.getBoundingClientRect();
        return moved.clientY >= box.top && moved.clientY < box.bottom;
      });
      const box = target?.row.getBoundingClientRect();
      if (target === undefined || box === undefined || target.row === row) {
        to = undefined;
        mark();
        return;
      }
      const lower = moved.clientY > box.top + box.height / 2;
      const into = lower && target.row.classList.contains('item--folder') && !row.classList.contains('item--folder');
      const [at, within] = target.place;
      to = into ? [at, 0] : within === undefined ? [at + (lower ? 1 : 0)] : [at, within + (lower ? 1 : 0)];
      mark(target.row, into ? 'into' : lower ? 'after' : 'before');
    }, { signal });
    handle.addEventListener('pointerup', () => stop(true), { signal });
    handle.addEventListener('pointercancel', () => stop(false), { signal });
    handle.addEventListener('keydown', (key) => key.key === 'Escape' && stop(false), { signal });
  }

  #at(place: Place): { row: HTMLElement; handle: HTMLElement } | undefined {
    return this.#rows.find((one) => one.place.join() === place.join());
  }

  #changed(): void {
    this.#form.changed();
    this.draw();
  }
}
