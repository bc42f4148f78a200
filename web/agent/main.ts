/**
 * The agent console: sign in, reach a visitor, be in a session. One screen at a time in `#console`.
 *
 * Address options: `?agent=ann` signs a demo agent in, `?key=123456789` fills in the key, `?visitor=maria` follows a visitor,
 * `?carrier=websocket|webtransport` forces a carrier, `?embed=1&parent=<origin>` is for a frame (`docs/integrate.md`).
 * `#view=<token>` opens the session that a `view_url` names.
 */

import './console.css';
import { CLIENT_VERSION, type CarrierChoice, type Closed } from '../protocol/connection.ts';
import { connectOf, join, logout, RefusedError, type Login } from './console/api.ts';
import { Desk } from './console/desk.ts';
import { button, h } from './console/dom.ts';
import { orLeaveOther } from './console/elsewhere.ts';
import { Embed, type Wish } from './console/embed.ts';
import { openView } from './console/lobby.ts';
import { onPopupBlocked } from './console/popup.ts';
import { Room } from './console/room.ts';
import type { Entry } from './console/session.ts';
import { signIn } from './console/signin.ts';
import { savedLogin, savedPlace, saveLogin, savePlace } from './console/storage.ts';
import { Toasts } from './console/toasts.ts';
import { exposeForTests } from './console/hook.ts';

/** Whoever came by a `view_url` and has not signed in. */
const GUEST: Login = { group: '', agent: '', name: '', token: '' };
const options = new URLSearchParams(location.search);
const header = h('header', { class: 'header' });
const screen = h('div', { class: 'content' });
const toasts = new Toasts();
const embed = new Embed(options, (wish) => heed(wish));
let login: Login | undefined = savedLogin();
let desk: Desk | undefined;
let room: Room | undefined;
let followed: readonly string[] = options.getAll('visitor');

function drawHeader(): void {
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
  leaveDesk();
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
  atDesk(by, options.get('key') ?? '');
}

function atDesk(by: Login, key: string): void {
  leaveDesk();
  room = undefined;
  drawHeader();
  desk = new Desk(screen, by, { key, visitors: followed, bare: embed.on }, {
    joined: enter,
    signOut,
    event: (name, detail) => embed.tell(name, detail),
  });
}

function leaveDesk(): void {
  desk?.close();
  desk = undefined;
}

function enter(entry: Entry): void {
  leaveDesk();
  const by = login ?? GUEST;
  room = new Room(screen, entry, { carrier: carrierChoice(), toasts, login: by, event: (name, detail) => embed.tell(name, detail) }, over);
  exposeForTests(room);
  drawHeader();
}

/** What the page around this frame asks for. */
function heed(wish: Wish): void {
  switch (wish.type) {
    case 'sign_in':
      if (room === undefined) {
        signedIn(wish.login);
      }
      break;
    case 'visitors.watch':
      followed = wish.visitors;
      wish.visitors.forEach((visitor) => desk?.watch(visitor));
      break;
    case 'session.start': {
      const { kind, context, external_ref } = wish;
      const about = { ...(kind && { kind }), ...(context && { context }), ...(external_ref && { external_ref }) };
      atHand((there) => there.begin(about, wish.visitor));
      break;
    }
    case 'session.join':
      atHand(() => {
        const by = login;
        if (by !== undefined) {
          orLeaveOther((leave) => join(by, wish.key, leave)).then(enter, refused);
        }
      });
      break;
    case 'session.view':
      void view(wish.view_url.split('#view=')[1] ?? '');
      break;
    case 'session.end':
      room?.session.end();
      break;
  }
}

/** Does something at the desk, if the agent is there. */
function atHand(act: (desk: Desk) => void): void {
  if (room === undefined && desk === undefined && login !== undefined) {
    atDesk(login, '');
  }
  if (desk === undefined) {
    embed.tell('error', { code: 'E_STATE', sentence: room === undefined ? 'Sign the agent in first.' : 'The agent is in a session.' });
  } else {
    act(desk);
  }
}

function refused(refusal: unknown): void {
  const known = refusal instanceof RefusedError;
  embed.tell('error', { code: known ? refusal.code : 'E_NETWORK', sentence: known ? refusal.sentence : 'That did not work.' });
}

/** R149: a link that opens this session, once. */
async function view(token: string): Promise<boolean> {
  try {
    enter(await orLeaveOther((leave) => openView(token, leave)));
    return true;
  } catch (refusal) {
    refused(refusal);
    over({ code: 'E_TICKET', sentence: refusal instanceof RefusedError ? refusal.sentence : 'The link could not be opened.' });
    return false;
  }
}

/** Ends that say more than "over". */
const OVER: Readonly<Record<string, readonly [string, string]>> = {
  E_LEFT: ['You have left the session', 'The others can go on without you.'],
  E_REPLACED: ['You go on elsewhere', 'You have joined from another tab or window, so this one has ended.'],
  E_CONSENT: ['The visitor declined', 'They chose not to share their page. In a minute you may ask again with a new key.'],
  E_TIMEOUT: ['The visitor did not answer', 'They may be away from the screen, or may not have seen the question. You can ask again with a new key.'],
};

function over(closed: Closed): void {
  room = undefined;
  drawHeader();
  const by = login;
  const again = button(embed.on ? 'Close' : 'Back to the desk', { class: 'button button--primary button--wide' }, () => {
    if (by === undefined) {
      signOut();
    } else {
      atDesk(by, '');
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
  if (place === undefined) {
    return false;
  }
  try {
    const connect = await connectOf(place.session);
    enter({ session: place.session, connect, resume: place.resume, ...(place.kind !== undefined && { kind: place.kind }) });
    return true;
  } catch {
    savePlace(undefined);
    return false;
  }
}

async function start(): Promise<void> {
  // The page around a frame has a header of its own.
  document.getElementById('console')?.replaceChildren(...(embed.on ? [] : [header]), screen, toasts.element);
  drawHeader();
  onPopupBlocked(() => embed.tell('popup_blocked', {}));
  embed.tell('viewer.ready', { version: CLIENT_VERSION });
  const token = new URLSearchParams(location.hash.slice(1)).get('view');
  if (token !== null) {
    // Out of the address bar: it is used up, and a reload comes back by its own token.
    history.replaceState(null, '', location.pathname + location.search);
    await view(token);
    return;
  }
  const wanted = options.get('agent') ?? undefined;
  if (wanted !== undefined && login !== undefined && login.agent !== wanted) {
    login = undefined;
    savePlace(undefined);
  }
  if (await resume()) {
    return;
  }
  if (login !== undefined) {
    atDesk(login, options.get('key') ?? '');
  } else if (embed.on) {
    screen.replaceChildren(h('p', { class: 'embed-wait', role: 'status' }, 'Ready.'));
  } else {
    signIn(screen, wanted, signedIn);
  }
}

void start();
