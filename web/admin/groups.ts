/** The groups of this relay, and the frame around the pages of one. */
import { button, h, say } from '../agent/console/dom.ts';
import type { Group } from './api.ts';
import { attempt, card, plural, sentenceOf, table, type Console } from './place.ts';

export const PAGES = [['rules', 'Rules'], ['release', 'Publish'], ['agents', 'Agents'], ['keys', 'Server keys'], ['history', 'History'], ['evaluate', 'Evaluate'], ['webhooks', 'Webhooks']] as const;
export type Page = (typeof PAGES)[number][0];

export async function groupsPage(console: Console): Promise<void> {
  const groups = await console.api.groups();
  if (!console.here()) {
    return;
  }
  const rows = groups.map((group) => [
    h('a', { href: `#/groups/${group.group}/rules` }, group.name), h('code', {}, group.group), badge(group),
    version(group.staging), version(group.production), String(group.sessions),
  ] as const);
  console.root.replaceChildren(
    h('div', { class: 'page-head' }, h('h1', {}, 'Groups')),
    card('All groups', table('Groups', ['Name', 'Id', 'State', 'Staging', 'Production', 'Sessions'], rows)),
    card('New group', newGroup(console)));
}

function newGroup(console: Console): HTMLElement {
  const id = h('input', { id: 'group-id', type: 'text', autocomplete: 'off', spellcheck: 'false', required: true });
  const name = h('input', { id: 'group-name', type: 'text', autocomplete: 'off', required: true, maxlength: '80' });
  const error = h('p', { class: 'field-error', role: 'alert' });
  const form = h('form', { class: 'line line--end' },
    h('div', { class: 'field' }, h('label', { for: 'group-id' }, 'Id (a-z, 0-9, -)'), id),
    h('div', { class: 'field' }, h('label', { for: 'group-name' }, 'Name'), name),
    h('button', { type: 'submit', class: 'button' }, 'Create group'));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    say(error, '');
    console.api.createGroup(id.value.trim(), name.value.trim()).then(
      ({ group }) => {
        location.hash = `#/groups/${group}/rules`;
      },
      (refusal: unknown) => say(error, sentenceOf(refusal)),
    );
  });
  return h('div', { class: 'stack' }, h('p', { class: 'hint' }, 'It begins with the default rules in staging and production.'), form, error);
}

const version = (number: number | null): string => (number === null ? 'none' : `Version ${number}`);

function badge(group: Group): HTMLElement {
  return h('span', { class: 'badge', 'data-level': group.active ? 'good' : 'poor' }, group.active ? 'On' : 'Off');
}

/** Name, state and tabs of a group; gives where its page goes. */
export async function frame(console: Console, id: string, page: Page): Promise<HTMLElement> {
  const inner = h('div', { class: 'page-body' });
  const draw = (group: Group): void => {
    const turn = button(group.active ? 'Switch off' : 'Switch on', { class: 'button' }, () => void attempt(console, async () => {
      const changed = await console.api.switchGroup(id, !group.active);
      console.toasts.show(changed.active
        ? { kind: 'info', text: 'The group is on. Its roles are as they were.' }
        : { kind: 'warning', text: 'The group is off: its agents are signed out, and no session can be started. Running sessions go on.' });
      if (console.here()) {
        draw(changed);
      }
    }));
    const tabs = PAGES.map(([name, label]) => h('a', { href: `#/groups/${id}/${name}`, 'aria-current': name === page ? 'page' : undefined }, label));
    console.root.replaceChildren(
      h('div', { class: 'page-head' },
        h('div', {}, h('a', { href: '#/groups', class: 'back' }, 'Groups'), h('h1', {}, group.name)),
        badge(group), h('span', { class: 'hint' }, plural(group.sessions, 'session')), h('span', { class: 'spacer' }), turn),
      h('nav', { class: 'tabs', 'aria-label': `Pages of ${group.name}` }, ...tabs), inner);
  };
  const group = await console.api.group(id);
  if (console.here()) {
    draw(group);
  }
  return inner;
}
