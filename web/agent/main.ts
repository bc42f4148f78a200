/**
 * The agent console: sign in, enter a key, be in a session. One screen at a time in `#console`.
 *
 * Address options: `?agent=ann` signs a demo agent in, `?key=123456789` fills in the key, `?carrier=websocket|webtransport`
 * forces a carrier.
 */

import './console.css';
import type { CarrierChoice, Closed } from '../protocol/connection.ts';
import { connectOf, logout, type Login } from './console/api.ts';
import { button, h } from './console/dom.ts';
import { keyEntry } from './console/keyentry.ts';
import { Room } from './console/room.ts';
import type { Entry } from './console/session.ts';
import { signIn } from './console/signin.ts';
import { savedLogin, savedPlace, saveLogin, savePlace } from './console/storage.ts';
import { Toasts } from './console/toasts.ts';
import { exposeForTests } from './console/hook.ts';

const options = new URLSearchParams(location.search);
const header = h('header', { class: 'header' });
const screen = h('div', { class: 'content' });
const toasts = new Toasts();
let login: Login | undefined = savedLogin();

function drawHeader(room?: Room): void {
  const account = login === undefined ? [] : [h('span', { class: 'account' }, login.name)];
  header.replaceChildren(
    h('span', { class: 'brand' }, h('span', { class: 'brand-mark', 'aria-hidden': 'true' }), 'Fanlight'),
    h('span', { class: 'brand-sub' }, 'Agent console'),
    h('span', { class: 'spacer' }),
    ...(room === undefined ? [] : [room.badge.element]),
    ...account,
  );
}

function signOut(): void {
  if (login !== undefined) {
    // The relay may have forgotten it already: then there is nothing to end.
    logout(login).catch(() => undefined);
  }
  login = undefined;
  saveLogin(undefined);
  savePlace(undefined);
  drawHeader();
  signIn(screen, undefined, signedIn);
}

function signedIn(by: Login): void {
  login = by;
  saveLogin(by);
  askForKey(by, options.get('key') ?? '');
}

function askForKey(by: Login, prefill: string): void {
  drawHeader();
  keyEntry(screen, by, prefill, { joined: enter, signOut });
}

function enter(entry: Entry): void {
  if (login === undefined) {
    return;
  }
  const room = new Room(screen, entry, { carrier: carrierChoice(), toasts, login }, over);
  exposeForTests(room);
  drawHeader(room);
}

/** Ends that say more than "over". */
const OVER: Readonly<Record<string, readonly [string, string]>> = {
  E_LEFT: ['You have left the session', 'The others can go on without you.'],
  E_CONSENT: ['The visitor declined', 'They chose not to share their page. In a minute you may ask again with a new key.'],
};

function over(closed: Closed): void {
  drawHeader();
  const by = login;
  const again = button('Enter another key', { class: 'button button--primary button--wide' }, () => {
    if (by === undefined) {
      signOut();
    } else {
      askForKey(by, '');
    }
  });
  const [title, text] = OVER[closed.code] ?? ['The session is over', closed.sentence];
  screen.replaceChildren(
    h('main', { class: 'card', 'aria-labelledby': 'over-title' },
      h('h1', { id: 'over-title' }, title),
      h('p', { class: 'lead', role: 'status' }, text),
      again),
  );
  again.focus();
}

function carrierChoice(): CarrierChoice {
  const wanted = options.get('carrier');
  return wanted === 'websocket' || wanted === 'webtransport' ? wanted : 'auto';
}

/** Back into the session this tab was in, if the relay still keeps the place. */
async function resume(): Promise<boolean> {
  const place = savedPlace();
  if (place === undefined || login === undefined) {
    return false;
  }
  try {
    const connect = await connectOf(place.session);
    enter({ session: place.session, connect, resume: place.resume });
    return true;
  } catch {
    savePlace(undefined);
    return false;
  }
}

async function start(): Promise<void> {
  document.getElementById('console')?.replaceChildren(header, screen, toasts.element);
  drawHeader();
  const wanted = options.get('agent') ?? undefined;
  if (wanted !== undefined && login !== undefined && login.agent !== wanted) {
    login = undefined;
    savePlace(undefined);
  }
  if (login === undefined) {
    signIn(screen, wanted, signedIn);
  } else if (!(await resume())) {
    askForKey(login, options.get('key') ?? '');
  }
}

void start();
