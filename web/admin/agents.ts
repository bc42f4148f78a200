/** The agents of a group: who they are, their role, whether they may sign in. */
import { dialog } from '../agent/console/dialogs.ts';
import { h, say } from '../agent/console/dom.ts';
import { Refused, type Agent } from './api.ts';
import { attempt, card, sentenceOf, table, type Console } from './place.ts';

export async function agentsPage(console: Console, group: string): Promise<void> {
  const [agents, production] = await Promise.all([console.api.agents(group), console.api.production(group)]);
  if (!console.here()) {
    return;
  }
  const roles = Object.keys(production.version.bundle.roles);
  const rows = agents.map((agent) => [agent.name, h('code', {}, agent.agent), roleOf(console, group, agent, roles), mayEnter(console, group, agent)] as const);
  console.root.replaceChildren(
    card('Agents', h('p', { class: 'hint' }, 'Roles are those in production. Whoever is changed has to sign in again.'),
      agents.length === 0 ? h('p', {}, 'There is no agent yet.') : table('Agents', ['Name', 'Id', 'Role', 'May sign in'], rows)),
    card('New agent', newAgent(console, group)));
}

function roleOf(console: Console, group: string, agent: Agent, roles: readonly string[]): HTMLElement {
  const now = agent.role ?? '';
  // A role that is no longer in production is shown as it is: whoever has it may do nothing.
  const names = ['', ...new Set([...roles, ...(now === '' ? [] : [now])])];
  const select = h('select', { class: 'select', 'aria-label': `Role of ${agent.name}` }, ...names.map((name) => h('option', { value: name, selected: name === now }, name || 'None: what the group has')));
  select.addEventListener('change', () => void attempt(console, async () => {
    await change(console, group, { ...agent, role: select.value || null });
  }));
  return select;
}

function mayEnter(console: Console, group: string, agent: Agent): HTMLElement {
  const input = h('input', { type: 'checkbox', 'aria-label': `${agent.name} may sign in`, checked: agent.active });
  input.addEventListener('change', () => void attempt(console, async () => {
    await change(console, group, { ...agent, active: input.checked });
  }));
  return h('span', { class: 'tick' }, input);
}

async function change(console: Console, group: string, agent: Agent): Promise<void> {
  try {
    await console.api.putAgent(group, agent);
    console.toasts.show({ kind: 'info', text: `${agent.name} is changed.` });
  } finally {
    // Also after a refusal: what is shown is what is kept.
    await agentsPage(console, group);
  }
}

function newAgent(console: Console, group: string): HTMLElement {
  const id = h('input', { id: 'agent-id', type: 'text', autocomplete: 'off', spellcheck: 'false', required: true, maxlength: '128' });
  const name = h('input', { id: 'agent-name', type: 'text', autocomplete: 'off', required: true, maxlength: '80' });
  const error = h('p', { class: 'field-error', role: 'alert' });
  const form = h('form', { class: 'line' },
    h('div', { class: 'field' }, h('label', { for: 'agent-id' }, 'Id, what the agent signs in as'), id),
    h('div', { class: 'field' }, h('label', { for: 'agent-name' }, 'Name, what visitors see'), name),
    h('button', { type: 'submit', class: 'button' }, 'Add agent'));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    say(error, '');
    void add(console, group, { agent: id.value.trim(), name: name.value.trim(), role: null, active: true })
      .catch((refusal: unknown) => say(error, sentenceOf(refusal)));
  });
  return h('div', {}, form, error);
}

async function add(console: Console, group: string, agent: Agent): Promise<void> {
  const there = await console.api.agents(group);
  if (there.some((one) => one.agent === agent.agent)) {
    throw new Refused(409, 'E_BUSY', 'There is an agent of this id already.');
  }
  const secret = await console.api.putAgent(group, agent);
  await agentsPage(console, group);
  dialog(`${agent.name} can sign in`, ['This is the password. It is shown this once; give it to the agent now.', h('p', {}, h('code', { class: 'secret' }, secret ?? ''))], [{ label: 'Done' }]);
}
