/** The first screen: who are you? On a demo relay the demo agents are one click away. */

import { demoConfig, login, loginByCode, providerStart, RefusedError, type DemoConfig, type Login } from './api.ts';
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
  const provider = h('div', { class: 'demo-agents' });
  root.replaceChildren(
    h('main', { class: 'card', 'aria-labelledby': 'signin-title' },
      h('h1', { id: 'signin-title' }, 'Agent console'),
      h('p', { class: 'lead' }, 'See what your customer sees, point, and share screens with their consent.'),
      provider, demo, form, error,
    ),
  );
  void byProvider(provider, error, done);
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

/** Ends a sign-in that has come back from the identity provider, or offers to begin one (R130). */
async function byProvider(place: HTMLElement, error: HTMLElement, done: (login: Login) => void): Promise<void> {
  const back = new URLSearchParams(location.hash.slice(1));
  const code = back.get('signed-in');
  if (code !== null || back.has('refused')) {
    // Whatever comes of it: it is good once, and nobody's business in the history.
    history.replaceState(history.state, '', location.pathname + location.search);
  }
  if (back.has('refused')) {
    say(error, 'Signing in with your company account did not work. Try again, or ask your administrator.');
  }
  try {
    if (code !== null) {
      done(await loginByCode(code));
      return;
    }
  } catch (refusal) {
    say(error, refusal instanceof RefusedError ? refusal.sentence : 'Signing in did not work. Please try again.');
  }
  const start = await providerStart();
  if (start !== undefined) {
    const to = `${start}?back=${encodeURIComponent(location.pathname + location.search)}`;
    place.append(h('a', { href: to, class: 'button button--primary button--wide' }, 'Sign in with your company account'));
  }
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
