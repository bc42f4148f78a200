/** The first screen: who are you? On a demo relay the demo agents are one click away. */

import { demoConfig, login, RefusedError, type DemoConfig, type Login } from './api.ts';
import { button, h, say } from './dom.ts';

/** Shows the sign-in screen in `root`; `done` gets the login. */
export function signIn(root: HTMLElement, preselect: string | undefined, done: (login: Login) => void): void {
  const error = h('p', { class: 'form-error', role: 'alert' });
  const group = field('Group', 'group', 'organization');
  const agent = field('Agent', 'agent', 'username');
  const secret = field('Password', 'secret', 'current-password', 'password');
  const submit = h('button', { type: 'submit', class: 'button button--primary button--wide' }, 'Sign in');
  const form = h('form', { class: 'form' }, group.row, agent.row, secret.row, submit);
  const attempt = async (groupName: string, agentName: string, password: string): Promise<void> => {
    say(error, '');
    try {
      done(await login(groupName, agentName, password));
    } catch (refusal) {
      say(error, refusal instanceof RefusedError ? refusal.sentence : 'Signing in did not work. Please try again.');
    }
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void attempt(group.input.value.trim(), agent.input.value.trim(), secret.input.value);
  });
  const demo = h('div', { class: 'demo-agents' });
  root.replaceChildren(
    h('main', { class: 'card', 'aria-labelledby': 'signin-title' },
      h('h1', { id: 'signin-title' }, 'Agent console'),
      h('p', { class: 'lead' }, 'See what your customer sees, point, and share screens with their consent.'),
      demo, form, error,
    ),
  );
  void demoConfig().then((config) => {
    if (config !== undefined) {
      offerDemo(demo, form, config, attempt);
      group.input.value = config.group;
      const chosen = config.agents.find((candidate) => candidate.agent === preselect);
      if (chosen !== undefined) {
        void attempt(config.group, chosen.agent, chosen.secret);
      }
    }
  });
}

function offerDemo(
  demo: HTMLElement,
  form: HTMLElement,
  config: DemoConfig,
  attempt: (group: string, agent: string, secret: string) => Promise<void>,
): void {
  const buttons = config.agents.map((agent) =>
    button(`Continue as ${agent.name}`, { class: 'button button--primary button--wide', 'data-agent': agent.agent }, () => {
      void attempt(config.group, agent.agent, agent.secret);
    }),
  );
  const other = h('details', { class: 'other-account' }, h('summary', {}, 'Use another account'));
  form.replaceWith(other);
  other.append(form);
  demo.append(h('p', { class: 'hint' }, 'This is a demo relay. Choose an agent:'), ...buttons);
  buttons[0]?.focus();
}

function field(label: string, name: string, autocomplete: string, type = 'text'): { row: HTMLElement; input: HTMLInputElement } {
  const id = `signin-${name}`;
  const input = h('input', { id, name, type, autocomplete, required: true, spellcheck: 'false', autocapitalize: 'none' });
  return { row: h('div', { class: 'field' }, h('label', { for: id }, label), input), input };
}
