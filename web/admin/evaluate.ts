/** Would it be allowed? The same wish under staging and production, each with the rule that decides. */
import { h } from '../agent/console/dom.ts';
import type { Verdict, Wish } from './api.ts';
import { attempt, card, type Console } from './place.ts';
import { ASSURANCES, MODES } from './settings.ts';

type Names = readonly (readonly [string, string])[];
const SIDES: Names = [['agent', 'An agent'], ['visitor', 'A visitor']];
const ASKS: Names = [['share', 'share a screen'], ['mode', 'be in a mode'], ['document', 'share a document']];

export async function evaluatePage(console: Console, group: string): Promise<void> {
  const { bundle } = (await console.api.staging(group)).version;
  if (!console.here()) {
    return;
  }
  const answer = h('div', { class: 'verdicts', role: 'status' });
  const roles: Names = [['', 'without a role'], ...Object.keys(bundle.roles).map((role) => [role, role] as const)];
  const form = h('form', { class: 'form' },
    choice('role', 'Role of the agent', roles), choice('ask', 'Wish', ASKS),
    part('share document', choice('side', 'Who', SIDES)),
    part('share', choice('surface', 'Surface', [['browser', 'Browser tab'], ['window', 'Window'], ['monitor', 'Whole screen'], ['', 'The browser does not say']])),
    part('share', line('url', 'Address that it shows (optional)')),
    part('share', choice('assurance', 'How surely that is known', [['', 'As surely as such a surface can be'], ...ASSURANCES.map(([value, name]) => [String(value), name] as const)])),
    part('mode', choice('mode', 'Mode', MODES.map(([value, name]) => [String(value), name] as const))),
    part('mode', choice('engine', 'Engine', [['instant', 'Instant'], ['advanced', 'Advanced']])),
    part('document', choice('link', 'Document', [['', 'A file'], ...bundle.documents.links.map(({ id, name }) => [id, name] as const)])),
    part('document', line('bytes', 'Size in bytes (optional)', 'numeric')),
    part('document', tick('save', 'The other side wants to save it')),
    h('button', { type: 'submit', class: 'button button--primary' }, 'Ask'));
  const parts = [...form.querySelectorAll<HTMLElement>('[data-for]')];
  const fit = (): void => {
    const ask = String(new FormData(form).get('ask'));
    for (const one of parts) {
      one.hidden = one.dataset['for']?.split(' ').includes(ask) !== true;
    }
    answer.replaceChildren();
  };
  form.addEventListener('change', fit);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void attempt(console, async () => {
      const given = new FormData(form);
      const verdicts = await console.api.evaluate(group, String(given.get('role')), wishOf(given));
      answer.replaceChildren(verdict('Staging', verdicts.staging), verdict('Production', verdicts.production));
    });
  });
  console.root.replaceChildren(h('div', { class: 'columns columns--even' }, card('Would it be allowed?', form), answer));
  fit();
}

function wishOf(given: FormData): Wish {
  const text = (name: string): string => String(given.get(name) ?? '').trim();
  const side = text('side') as 'agent' | 'visitor';
  const engine = text('engine') as 'instant' | 'advanced';
  switch (text('ask')) {
    case 'mode':
      return { ask: 'mode', mode: text('mode') as Extract<Wish, { ask: 'mode' }>['mode'], engine };
    case 'document':
      return { ask: 'document', side, save: given.has('save'), ...(text('link') === '' ? {} : { link: text('link') }), ...(text('bytes') === '' ? {} : { bytes: Number(text('bytes')) }) };
    default: {
      const surface = text('surface') as 'browser' | 'window' | 'monitor' | '';
      const assurance = text('assurance') as 'none' | 'surface' | 'stated' | 'proved' | '';
      return { ask: 'share', side, ...(assurance === '' ? {} : { assurance }), ...(surface === '' ? {} : { surface }), ...(text('url') === '' ? {} : { url: text('url') }) };
    }
  }
}

function verdict(where: string, { version, allowed, rule, sentence }: Verdict): HTMLElement {
  return h('section', { class: 'verdict', 'data-allowed': String(allowed), 'aria-label': where },
    h('h2', {}, `${where}, version ${version}`), h('p', { class: 'big' }, allowed ? 'Allowed' : 'Refused'), h('p', {}, sentence, ' ', h('span', { class: 'rule' }, rule)));
}

function part(asks: string, child: HTMLElement): HTMLElement {
  child.dataset['for'] = asks;
  return child;
}

function choice(name: string, label: string, options: Names): HTMLElement {
  const id = `wish-${name}`;
  return h('div', { class: 'field' }, h('label', { for: id }, label), h('select', { id, name, class: 'select' }, ...options.map(([value, text]) => h('option', { value }, text))));
}

function line(name: string, label: string, inputmode = 'url'): HTMLElement {
  const id = `wish-${name}`;
  return h('div', { class: 'field' }, h('label', { for: id }, label), h('input', { id, name, type: 'text', inputmode, autocomplete: 'off', spellcheck: 'false' }));
}

function tick(name: string, label: string): HTMLElement {
  return h('div', {}, h('label', { class: 'tick' }, h('input', { type: 'checkbox', name }), h('span', {}, label)));
}
