/**
 * The landing page of a join link, `/j/<code>` (R132–R134): who invites, what will be seen, the key if one is needed, and the
 * button that begins. From there on the widget is in charge, and this page's content is never recorded: the session's kind
 * gives the visitor no right to show a page.
 */
import { Fanlight } from '../visitor/fanlight.ts';
import { button, element, say } from '../visitor/dom.ts';
import { captureAbility } from '../visitor/share.ts';
import type { SessionKind, WayIn } from '../protocol/lobby.ts';

interface Look {
  readonly kind: SessionKind;
  readonly key_required: boolean;
  readonly name?: string;
}

const DIGITS = 9;
const card = document.getElementById('join') ?? document.body;

/** What the visitor is told before anything happens. */
const PROMISES: Readonly<Record<SessionKind, { readonly lead: string; readonly items: readonly string[] }>> = {
  show: {
    lead: 'You will see your agent’s screen here.',
    items: ['Nothing on your device is shown to anybody.', 'You are asked once more, with the agent’s name.', 'You can leave at any time.'],
  },
  view: {
    lead: 'Your agent asks to see your screen.',
    items: ['You choose what to show: a tab, a window or the whole screen.', 'Nothing is shown before you press Allow.', 'You can stop at any time.'],
  },
  camera: { lead: 'Your agent asks to see your camera.', items: ['Nothing is shown before you agree.'] },
  cobrowse: { lead: 'Your agent asks to help.', items: ['Nothing is shown before you agree.'] },
};

class RefusedError extends Error {
  /** `passes`: the same request may succeed later. */
  constructor(message: string, readonly passes: boolean) {
    super(message);
  }
}

async function post<T>(path: string, body: unknown): Promise<T> {
  const answer = await fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }).catch(() => undefined);
  if (answer === undefined) {
    throw new RefusedError('The service cannot be reached. Check your connection and try again.', true);
  }
  const value = (await answer.json().catch(() => ({}))) as { detail?: string };
  if (!answer.ok) {
    throw new RefusedError(value.detail ?? 'That did not work. Please try again.', answer.status >= 429);
  }
  return value as T;
}

function invitation(code: string, look: Look): void {
  const { lead, items } = PROMISES[look.kind];
  const error = element('p', { class: 'error', role: 'alert', id: 'error' });
  const input = element('input', { id: 'key', inputmode: 'numeric', autocomplete: 'one-time-code', maxlength: '24', placeholder: '000 000 000', 'aria-describedby': 'error' });
  const field = element('div', {}, element('label', { for: 'key' }, 'Key from your agent'), input);
  const join = element('button', { type: 'submit' }, 'Join');
  const form = element('form', {}, ...(look.key_required ? [field] : []), join, error);
  const ready = (): void => {
    join.disabled = look.key_required && digits(input.value).length !== DIGITS;
  };
  input.addEventListener('input', ready);
  ready();
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    say(error, '');
    join.disabled = true;
    post<WayIn & { readonly name: string }>('/v1/links/join', { code, key: digits(input.value) }).then(
      (way) => enter(way, way.name),
      (refusal: unknown) => {
        ready();
        say(error, refusal instanceof Error ? refusal.message : '');
        input.select();
      },
    );
  });
  const phone = look.kind === 'view' && captureAbility() === 'none';
  card.replaceChildren(
    element('h1', {}, look.name === undefined ? 'You are invited by your agent' : `${look.name} invites you`),
    element('p', {}, lead),
    element('ul', {}, ...items.map((item) => element('li', {}, item))),
    ...(phone ? [element('p', { class: 'note', role: 'note' }, 'This browser cannot share a screen. Open this address on a computer, or tell your agent.')] : []),
    form,
  );
  (look.key_required ? input : join).focus();
}

function enter(way: WayIn, name: string): void {
  const status = element('p', { role: 'status' }, `You are connected. ${name} is coming.`);
  card.replaceChildren(element('h1', {}, name), status, element('p', { class: 'soft' }, 'Keep this page open. You can end at any time in the corner of this page.'));
  follow(name, status);
  Fanlight.enter(way, { group: 'link' });
}

function follow(name: string, status: Element): void {
  Fanlight.on('session.started', () => say(status, `${name} is with you.`));
  Fanlight.on('session.ended', () => over());
}

function over(): void {
  card.replaceChildren(element('h1', {}, 'The session is over'), element('p', { role: 'status' }, 'Nothing is shown any more.'), element('p', { class: 'soft' }, 'You can close this page.'));
}

function digits(text: string): string {
  return text.replace(/\D/gu, '').slice(0, DIGITS);
}

async function begin(): Promise<void> {
  const carrier = new URLSearchParams(location.search).get('carrier');
  Fanlight.configure({ relay: location.origin, ...(carrier === 'websocket' || carrier === 'webtransport' ? { carrier } : {}) });
  if (Fanlight.restore()) {
    const status = element('p', { role: 'status' }, 'Coming back…');
    card.replaceChildren(element('h1', {}, 'Your session'), status);
    follow('Your agent', status);
    return;
  }
  const code = decodeURIComponent(location.pathname.replace(/^\/j\//u, ''));
  try {
    invitation(code, await post<Look>('/v1/links', { code }));
  } catch (refusal) {
    const passes = !(refusal instanceof RefusedError) || refusal.passes;
    card.replaceChildren(
      element('h1', {}, passes ? 'The link could not be opened' : 'This link does not work'),
      element('p', { role: 'alert' }, refusal instanceof Error ? refusal.message : ''),
      ...(passes ? [button('Try again', '', () => void begin())] : []),
    );
  }
}

window.Fanlight = Fanlight;
void begin();
