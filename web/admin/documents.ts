/**
 * The editor of approved documents (R089–R100): links that agents may show, and whether browsers could open them (R091).
 */
import { button, h, say } from '../agent/console/dom.ts';
import type { Bundle, LinkCheck } from './api.ts';
import { errorsOf, flag, settingField, textField, type Form } from './fields.ts';
import { sentenceOf } from './place.ts';

/** R090. */
const LINKS_MAX = 20;
const TYPES = [['pdf', 'PDF'], ['xls', 'Excel'], ['csv', 'CSV']] as const;

type Link = Bundle['documents']['links'][number];

/** Asks the relay to try a link out. */
export type Check = (url: string, type: Link['type']) => Promise<LinkCheck>;

export class DocumentsEditor {
  readonly element = h('div', { class: 'stack' });
  readonly #form: Form;
  readonly #bundle: Bundle;
  readonly #check: Check;

  constructor(form: Form, bundle: Bundle, check: Check) {
    [this.#form, this.#bundle, this.#check] = [form, bundle, check];
    this.draw();
  }

  draw(): void {
    const { links } = this.#bundle.documents;
    const list = h('div', { class: 'items' }, ...links.map((link, at) => this.#row(link, at)));
    const add = button('Add document', { class: 'button add' }, () => {
      links.push({ id: freeId(links), name: '', url: '', roles: [], active: true, download: false, type: 'pdf' });
      this.#changed();
      this.#focus('.document:last-child input');
    });
    add.disabled = links.length >= LINKS_MAX;
    this.element.replaceChildren(
      h('div', { class: 'title-row' },
        h('p', { class: 'hint' }, 'Agents of the named roles may show these. Browsers fetch them from their host, so the host must allow it (CORS).'),
        h('span', { class: 'tally', 'data-full': links.length >= LINKS_MAX }, `${links.length} of ${LINKS_MAX}`)),
      list, errorsOf(this.#form, '/documents/links', list), h('div', { class: 'actions' }, add));
  }

  #row(link: Link, at: number): HTMLElement {
    const path = `/documents/links/${at}`;
    const name = link.name || `document ${at + 1}`;
    const told = h('div', { class: 'findings', role: 'status' });
    const check = button('Check link', { class: 'button', 'aria-label': `Check link of ${name}` }, () => void this.#try(link, check, told));
    return h('div', { class: 'document', role: 'group', 'aria-label': `Document ${name}` },
      h('div', { class: 'item-fields' },
        textField(this.#form, `${path}/name`, 'Name', { maxlength: '80' }),
        textField(this.#form, `${path}/url`, 'Address', { inputmode: 'url', placeholder: 'https://' }),
        textField(this.#form, `${path}/id`, 'Id', { maxlength: '64' })),
      h('div', { class: 'line' },
        settingField(this.#form, { kind: 'choice', path: `${path}/type`, label: 'Type', options: TYPES }),
        flag(this.#form, `${path}/active`, 'Active'),
        flag(this.#form, `${path}/download`, 'May be saved'),
        this.#roles(path)),
      errorsOf(this.#form, path, told),
      h('div', { class: 'actions' }, check,
        button('Remove', { class: 'button button--quiet', 'aria-label': `Remove ${name}` }, () => {
          this.#bundle.documents.links.splice(at, 1);
          this.#changed();
          this.#focus('.add');
        })),
      told);
  }

  /** Without any a document is for every role. */
  #roles(path: string): HTMLElement | undefined {
    const options = Object.keys(this.#bundle.roles).map((id) => [id, id] as const);
    return options.length === 0 ? undefined : settingField(this.#form, { kind: 'set', path: `${path}/roles`, label: 'Only for roles', options });
  }

  /** The address as it is in the field now, saved or not. */
  async #try(link: Link, check: HTMLButtonElement, told: HTMLElement): Promise<void> {
    check.disabled = true;
    say(told, 'Asking the host…');
    try {
      const { findings } = await this.#check(link.url, link.type);
      told.replaceChildren(h('ul', {}, ...findings.map(({ good, sentence }) =>
        h('li', { 'data-good': String(good) }, h('strong', {}, good ? 'Good: ' : 'Problem: '), sentence))));
    } catch (error) {
      say(told, sentenceOf(error));
    }
    check.disabled = false;
  }

  #focus(selector: string): void {
    this.element.querySelector<HTMLElement>(selector)?.focus();
  }

  #changed(): void {
    this.#form.changed();
    this.draw();
  }
}

/** An id that no other document has. */
function freeId(links: readonly Link[]): string {
  const taken = new Set(links.map(({ id }) => id));
  for (let number = links.length + 1; ; number += 1) {
    const id = `document-${number}`;
    if (!taken.has(id)) {
      return id;
    }
  }
}
