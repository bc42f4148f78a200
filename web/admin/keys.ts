/** The keys of a group's own servers: made and shown once, revoked. */
import { dialog } from '../agent/console/dialogs.ts';
import { button, h, say } from '../agent/console/dom.ts';
import type { ServerKey } from './api.ts';
import { attempt, card, moment, sentenceOf, table, type Console } from './place.ts';

const SCOPES: readonly (readonly [ServerKey['scopes'][number], string])[] = [
  ['sessions.create', 'Create sessions, invite visitors'], ['sessions.list', 'List the group\'s sessions'], ['sessions.end', 'End sessions'],
  ['tickets.mint', 'Let agents, visitors and media services in'], ['policy.read', 'Read the rules'], ['webhooks.manage', 'Manage webhooks'],
  ['receipts.read', 'Read consent receipts'],
];

export async function keysPage(console: Console, group: string): Promise<void> {
  const keys = await console.api.serverKeys(group);
  if (!console.here()) {
    return;
  }
  const rows = keys.map((key) => [key.name, h('code', {}, key.key), names(key), `${moment(key.created)}, ${key.who}`, key.used ?? 'never', revocation(console, group, key)] as const);
  console.root.replaceChildren(
    card('Server keys', h('p', { class: 'hint' }, 'A key lets a server of this group work without a person. Revoking one puts out whoever came in by it, within a second.'),
      keys.length === 0 ? h('p', {}, 'There is no key yet.') : table('Server keys', ['Name', 'Id', 'For', 'Made', 'Last used', ''], rows)),
    card('New key', newKey(console, group)));
}

const names = (key: ServerKey): string =>
  key.scopes.length === SCOPES.length ? 'Everything' : SCOPES.filter(([scope]) => key.scopes.includes(scope)).map(([, label]) => label).join(', ');

function revocation(console: Console, group: string, key: ServerKey): Node {
  if (key.revoked !== null) {
    return h('span', { class: 'hint' }, `Revoked ${moment(key.revoked)}`);
  }
  return button('Revoke', { class: 'button button--quiet', 'aria-label': `Revoke ${key.name}` }, () => {
    dialog(`Revoke ${key.name}?`, ['Its server is refused from now on, and whoever it has let in is put out. This cannot be undone.'], [
      { label: 'Keep it' },
      { label: 'Revoke', act: () => void attempt(console, async () => {
        await console.api.revokeServerKey(group, key.key);
        console.toasts.show({ kind: 'info', text: `${key.name} is revoked.` });
        await keysPage(console, group);
      }) },
    ]);
  });
}

function newKey(console: Console, group: string): HTMLElement {
  const name = h('input', { id: 'key-name', type: 'text', autocomplete: 'off', required: true, maxlength: '80' });
  const ticks = SCOPES.map(([scope, label]) => {
    const input = h('input', { type: 'checkbox', id: `scope-${scope}`, checked: true });
    return { scope, input, row: h('div', { class: 'tick' }, input, h('label', { for: `scope-${scope}` }, label)) };
  });
  const error = h('p', { class: 'field-error', role: 'alert' });
  const form = h('form', { class: 'form' },
    h('div', { class: 'field' }, h('label', { for: 'key-name' }, 'Name, for example of the system that uses it'), name),
    h('fieldset', { class: 'set' }, h('legend', {}, 'What it is for'), ...ticks.map((tick) => tick.row)),
    h('button', { type: 'submit', class: 'button' }, 'Make key'));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    say(error, '');
    const scopes = ticks.filter((tick) => tick.input.checked).map((tick) => tick.scope);
    make(console, group, name.value.trim(), scopes).catch((refusal: unknown) => say(error, sentenceOf(refusal)));
  });
  return h('div', {}, form, error);
}

async function make(console: Console, group: string, name: string, scopes: ServerKey['scopes']): Promise<void> {
  const secret = await console.api.makeServerKey(group, name, scopes);
  await keysPage(console, group);
  dialog(`The key of ${name}`, ['It is shown this once. Put it where the server reads its secrets.', h('p', {}, h('code', { class: 'secret' }, secret))], [{ label: 'Done' }]);
}
