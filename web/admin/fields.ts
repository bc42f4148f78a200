/** Fields bound to places of a bundle: each shows its own problems, and says when it was changed. */
import { h } from '../agent/console/dom.ts';
import type { Problem } from './api.ts';
import { problemsAt, put, valueAt } from './draft.ts';
import type { Setting } from './settings.ts';

/** What fields read and write. */
export interface Form {
  readonly bundle: unknown;
  readonly problems: () => readonly Problem[];
  /** Something was changed by hand. */
  readonly changed: () => void;
}

let ids = 0;

export function uniqueId(name: string): string {
  ids += 1;
  return `${name}-${ids}`;
}

/** The sentences for a place, tied to `control` for assistive technology. */
export function errorsOf(form: Form, path: string, control: HTMLElement): HTMLElement {
  const id = uniqueId('error');
  const found = problemsAt(form.problems(), path);
  const element = h('div', { id, class: 'field-errors' }, ...found.map(({ sentence, rule }) =>
    h('p', { class: 'field-error' }, sentence, ' ', h('span', { class: 'rule' }, rule))));
  control.dataset['path'] = path;
  if (found.length > 0) {
    control.setAttribute('aria-describedby', `${control.getAttribute('aria-describedby') ?? ''} ${id}`.trim());
    control.setAttribute('aria-invalid', 'true');
  }
  return element;
}

/** A line of text. */
export function textField(form: Form, path: string, label: string, attributes: Record<string, string> = {}): HTMLElement {
  const id = uniqueId('text');
  const input = h('input', { id, type: 'text', spellcheck: 'false', autocomplete: 'off', ...attributes });
  input.value = String(valueAt(form.bundle, path) ?? '');
  input.addEventListener('input', () => {
    put(form.bundle, path, input.value);
    form.changed();
  });
  return h('div', { class: 'field' }, h('label', { for: id }, label), input, errorsOf(form, path, input));
}

/** A switch. */
export function flag(form: Form, path: string, label: string, hint?: string): HTMLElement {
  const input = h('input', { type: 'checkbox' });
  input.checked = valueAt(form.bundle, path) === true;
  input.addEventListener('change', () => {
    put(form.bundle, path, input.checked);
    form.changed();
  });
  const explained = hint === undefined ? undefined : h('p', { class: 'hint' }, hint);
  return h('div', { class: 'setting' }, h('label', { class: 'tick' }, input, h('span', {}, label)), explained, errorsOf(form, path, input));
}

/** The field of a setting; `base` is the place that its path begins at. */
export function settingField(form: Form, setting: Setting, base = ''): HTMLElement {
  const path = base + setting.path;
  switch (setting.kind) {
    case 'flag':
      return flag(form, path, setting.label, setting.hint);
    case 'lines':
      return linesField(form, path, setting.label);
    case 'text':
      return paragraphField(form, path, setting);
    case 'address':
      return addressField(form, path, setting);
    case 'set':
      return setField(form, path, setting);
    case 'choice':
      return choiceField(form, path, setting);
    case 'number':
      return numberField(form, path, setting);
  }
}

/** A text of several lines, kept as it is typed. */
function paragraphField(form: Form, path: string, { label, hint }: Extract<Setting, { kind: 'text' }>): HTMLElement {
  const id = uniqueId('text');
  const input = h('textarea', { id, class: 'paragraph', rows: '3' });
  input.value = String(valueAt(form.bundle, path) ?? '');
  input.addEventListener('input', () => {
    put(form.bundle, path, input.value);
    form.changed();
  });
  const explained = hint === undefined ? undefined : h('p', { class: 'hint' }, hint);
  return h('div', { class: 'field' }, h('label', { for: id }, label), explained, input, errorsOf(form, path, input));
}

/** An address; an empty field is none. */
function addressField(form: Form, path: string, { label }: Extract<Setting, { kind: 'address' }>): HTMLElement {
  const id = uniqueId('address');
  const input = h('input', { id, type: 'text', inputmode: 'url', spellcheck: 'false', autocomplete: 'off', placeholder: 'https://' });
  input.value = String(valueAt(form.bundle, path) ?? '');
  input.addEventListener('input', () => {
    const text = input.value.trim();
    put(form.bundle, path, text === '' ? null : text);
    form.changed();
  });
  return h('div', { class: 'field' }, h('label', { for: id }, label), input, errorsOf(form, path, input));
}

function setField(form: Form, path: string, { label, options }: Extract<Setting, { kind: 'set' }>): HTMLElement {
  const group = h('fieldset', { class: 'set' }, h('legend', {}, label));
  const chosen = (): unknown[] => [...((valueAt(form.bundle, path) as unknown[] | undefined) ?? [])];
  for (const [value, name] of options) {
    const input = h('input', { type: 'checkbox' });
    input.checked = chosen().includes(value);
    input.addEventListener('change', () => {
      put(form.bundle, path, input.checked ? [...chosen(), value] : chosen().filter((one) => one !== value));
      form.changed();
    });
    group.append(h('label', { class: 'tick' }, input, h('span', {}, name)));
  }
  group.append(errorsOf(form, path, group));
  return group;
}

/** A list of texts, one in a line; what is wrong with any of them is shown below. */
function linesField(form: Form, path: string, label: string): HTMLElement {
  const id = uniqueId('lines');
  const input = h('textarea', { id, class: 'lines', spellcheck: 'false', rows: '3' });
  input.value = ((valueAt(form.bundle, path) as string[] | undefined) ?? []).join('\n');
  input.addEventListener('input', () => {
    put(form.bundle, path, input.value.split('\n').map((line) => line.trim()).filter((line) => line !== ''));
    form.changed();
  });
  const below = form.problems().filter((problem) => problem.path.startsWith(`${path}/`)).map((problem) => problem.path);
  return h('div', { class: 'field' }, h('label', { for: id }, label), input,
    ...[...new Set(below), path].map((place) => errorsOf(form, place, input)));
}

function choiceField(form: Form, path: string, { label, options, hint }: Extract<Setting, { kind: 'choice' }>): HTMLElement {
  const id = uniqueId('choice');
  const now = valueAt(form.bundle, path);
  const select = h('select', { id, class: 'select' }, ...options.map(([value, name]) => h('option', { value: String(value), selected: value === now }, name)));
  select.addEventListener('change', () => {
    const found = options.find(([value]) => String(value) === select.value);
    put(form.bundle, path, found?.[0] ?? now);
    form.changed();
  });
  const explained = hint === undefined ? undefined : h('p', { class: 'hint' }, hint);
  return h('div', { class: 'setting row' }, h('label', { for: id }, label), select, explained, errorsOf(form, path, select));
}

function numberField(form: Form, path: string, { label, least, most }: Extract<Setting, { kind: 'number' }>): HTMLElement {
  const id = uniqueId('number');
  const input = h('input', { id, type: 'number', class: 'select number', min: String(least), max: String(most), value: String(valueAt(form.bundle, path)) });
  input.addEventListener('input', () => {
    // What is no number is sent as it is: the relay says at this field what is wrong with it.
    put(form.bundle, path, input.value === '' ? null : Number(input.value));
    form.changed();
  });
  return h('div', { class: 'setting row' }, h('label', { for: id }, label), input, errorsOf(form, path, input));
}
