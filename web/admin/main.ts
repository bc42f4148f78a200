/**
 * The admin console, served at the operator's door: signs in with the identity provider or with the operator's token, which is
 * kept for this tab only, and shows the page that the address names.
 */
import '../agent/console.css';
import './console.css';
import { button, h, say } from '../agent/console/dom.ts';
import { Toasts } from '../agent/console/toasts.ts';
import { agentsPage } from './agents.ts';
import { Api } from './api.ts';
import { auditPage } from './audit.ts';
import { evaluatePage } from './evaluate.ts';
import { frame, groupsPage, PAGES, type Page } from './groups.ts';
import { historyPage } from './history.ts';
import { keysPage } from './keys.ts';
import { isChanged, sentenceOf, type Console, type Draft } from './place.ts';
import { releasePage } from './release.ts';
import { reportsPage } from './reports.ts';
import { rulesPage } from './rules.ts';
import { sessionsPage } from './sessions.ts';
import { webhooksPage } from './webhooks.ts';

const KEPT = 'fanlight.admin';
const SHOW: Readonly<Record<Page, (console: Console, group: string) => Promise<void>>> = {
  rules: rulesPage, release: releasePage, agents: agentsPage, keys: keysPage, history: historyPage, evaluate: evaluatePage, webhooks: webhooksPage,
};

/** Pages about the whole relay. */
const SECTIONS: Readonly<Record<string, (console: Console) => Promise<void>>> = { sessions: sessionsPage, reports: reportsPage, audit: auditPage };

/** Who is signed in; the name is for the history. */
interface Login {
  /** Absent: the browser holds a cookie that no script can read. */
  readonly token?: string;
  readonly by?: string;
}

const toasts = new Toasts();
const header = h('header', { class: 'header' });
const main = h('main', { id: 'main', class: 'admin', tabindex: '-1' });
const spoken = h('div', { class: 'unseen', 'aria-live': 'polite' });
const drafts = new Map<string, Draft>();
let login = kept();
/** Counts pages: what an older page still waits for is not drawn. */
let turn = 0;

function kept(): Login | undefined {
  try {
    const text = sessionStorage.getItem(KEPT);
    return text === null ? undefined : (JSON.parse(text) as Login);
  } catch {
    return undefined;
  }
}

function keep(now: Login | undefined): void {
  login = now;
  try {
    if (now === undefined) {
      sessionStorage.removeItem(KEPT);
    } else {
      sessionStorage.setItem(KEPT, JSON.stringify(now));
    }
  } catch {
    // Storage is off: a reload then asks for the token again.
  }
}

function drawHeader(section: string): void {
  const link = (name: string, label: string): HTMLElement => h('a', { href: `#/${name}`, 'aria-current': section === name ? 'true' : undefined }, label);
  const inside = login === undefined ? [] : [
    h('nav', { class: 'sections', 'aria-label': 'Console' }, link('groups', 'Groups'), link('sessions', 'Sessions'), link('reports', 'Reports'), link('audit', 'Audit')), h('span', { class: 'spacer' }),
    h('span', { class: 'account' }, login.by ?? 'operator'), button('Sign out', { class: 'button button--quiet' }, signOut),
  ];
  header.replaceChildren(h('span', { class: 'brand' }, h('span', { class: 'brand-mark', 'aria-hidden': 'true' }), 'Fanlight'), h('span', { class: 'brand-sub' }, 'Admin console'), ...inside);
}

function signOut(): void {
  if (login !== undefined && login.token === undefined) {
    new Api(undefined, undefined, () => undefined).signOut().catch(() => undefined);
  }
  keep(undefined);
  drafts.clear();
  signIn('');
}

function signIn(sentence: string): void {
  turn += 1;
  drawHeader('');
  const token = h('input', { id: 'token', type: 'password', autocomplete: 'current-password', required: true, spellcheck: 'false' });
  const by = h('input', { id: 'by', type: 'text', autocomplete: 'name', maxlength: '80' });
  const error = h('p', { class: 'form-error', role: 'alert' }, sentence);
  const form = h('form', { class: 'form' },
    h('div', { class: 'field' }, h('label', { for: 'token' }, 'Operator token'), token),
    h('div', { class: 'field' }, h('label', { for: 'by' }, 'Your name, for the history (optional)'), by),
    h('button', { type: 'submit', class: 'button button--primary button--wide' }, 'Sign in'), error);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const wish: Login = { token: token.value.trim(), ...(by.value.trim() === '' ? {} : { by: by.value.trim() }) };
    say(error, '');
    new Api(wish.token, wish.by, () => undefined).groups().then(
      () => {
        keep(wish);
        void show();
      },
      (refusal: unknown) => say(error, sentenceOf(refusal)),
    );
  });
  const provider = h('div', {});
  void offerProvider(provider);
  main.replaceChildren(h('div', { class: 'card' }, h('h1', {}, 'Admin console'),
    h('p', { class: 'lead' }, 'Decide what agents and visitors may do, try it in staging, publish it.'), provider, form,
    h('p', { class: 'hint' }, 'The token is in the file that the setting operator.token_file names. It is kept for this tab only.')));
  token.focus();
}

async function offerProvider(place: HTMLElement): Promise<void> {
  const start = await new Api(undefined, undefined, () => undefined).provider().catch(() => undefined);
  if (start !== undefined) {
    place.append(h('a', { href: start, class: 'button button--primary button--wide' }, 'Sign in with your company account'),
      h('p', { class: 'hint' }, 'Or with the operator token:'));
  }
}

/** Signed in with the identity provider, in this or another tab? Else the way back may say why not. */
async function begin(): Promise<void> {
  const refused = location.hash.startsWith('#refused=');
  if (refused) {
    history.replaceState(null, '', location.pathname);
  }
  if (login === undefined && !refused) {
    const me = await new Api(undefined, undefined, () => undefined).me().catch(() => undefined);
    login = me === undefined ? undefined : { by: me.name };
  }
  if (refused) {
    signIn('Your company account may not use this console, or signing in was not finished. Ask whoever runs it.');
  } else {
    await show();
  }
}

async function show(): Promise<void> {
  if (login === undefined) {
    signIn('');
    return;
  }
  const mine = ++turn;
  const [section = '', group = '', name = ''] = location.hash.split('/').slice(1).map(decodeURIComponent);
  const page = PAGES.find(([known]) => known === name)?.[0] ?? 'rules';
  const api = new Api(login.token, login.token === undefined ? undefined : login.by, () => {
    keep(undefined);
    signIn('The token is no longer good. Sign in again.');
  });
  const console: Console = { api, toasts, root: main, drafts, spoken, here: () => mine === turn };
  const whole = Object.hasOwn(SECTIONS, section) ? SECTIONS[section] : undefined;
  drawHeader(whole === undefined ? 'groups' : section);
  try {
    if (whole !== undefined) {
      await whole(console);
    } else if (section === 'groups' && group !== '') {
      const root = await frame(console, group, page);
      await SHOW[page]({ ...console, root }, group);
    } else {
      await groupsPage(console);
    }
  } catch (error) {
    if (console.here()) {
      main.replaceChildren(h('div', { class: 'card' }, h('h1', {}, 'This page cannot be shown'), h('p', { role: 'alert' }, sentenceOf(error)),
        button('Try again', { class: 'button button--primary' }, () => void show()), h('a', { href: '#/groups' }, 'To the groups')));
    }
  }
}

document.getElementById('console')?.replaceChildren(header, main, toasts.element, spoken);
window.addEventListener('hashchange', () => void show());
window.addEventListener('beforeunload', (event) => {
  if ([...drafts.values()].some(isChanged)) {
    event.preventDefault();
  }
});
void begin();
