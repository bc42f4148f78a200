/**
 * Show my screen, view their screen (R127–R137): the agent confirms, gets an address and a key to read out, and comes in as
 * soon as the visitor has.
 */

import type { SessionKind } from '../../protocol/lobby.ts';
import { endSession, RefusedError, type Login } from './api.ts';
import { dialog } from './dialogs.ts';
import { button, h, say } from './dom.ts';
import { grouped } from './keyentry.ts';
import { begin, type About, type Begun, type StreamEvent } from './lobby.ts';

export interface LinkingEvents {
  readonly begun: (begun: Begun) => void;
  /** The visitor has opened the link and joined. */
  readonly arrived: (session: string) => void;
  readonly left: () => void;
  readonly error: (code: string, sentence: string) => void;
}

const WHAT: Readonly<Record<'show' | 'view', readonly [string, string]>> = {
  show: ['Show my screen', 'Your visitor will see a screen, window or tab that you choose. They show nothing themselves.'],
  view: ['View their screen', 'Your visitor is asked to show you a screen, window or tab that they choose.'],
};

export class Linking {
  private begun: Begun | undefined;

  constructor(
    private readonly root: HTMLElement,
    private readonly login: Login,
    private readonly on: LinkingEvents,
  ) {}

  /** R131: nothing begins before the agent has said so. */
  confirm(kind: Extract<SessionKind, 'show' | 'view'>, about: About = {}): void {
    const [title, text] = WHAT[kind];
    dialog(title, [text], [{ label: 'Start Session', act: () => void this.start({ ...about, kind }) }, { label: 'Cancel', act: this.on.left }]);
  }

  take(event: StreamEvent): void {
    if (this.begun === undefined || event.data['session'] !== this.begun.session) {
      return;
    }
    if (event.name === 'visitor.joined') {
      const { session } = this.begun;
      this.begun = undefined;
      this.on.arrived(session);
    } else if (event.name === 'session.ended') {
      this.begun = undefined;
      this.on.left();
    }
  }

  private async start(about: About): Promise<void> {
    try {
      this.begun = await begin(this.login, about);
    } catch (refusal) {
      const sentence = refusal instanceof RefusedError ? refusal.sentence : 'That did not work. Please try again.';
      this.on.error(refusal instanceof RefusedError ? refusal.code : 'E_NETWORK', sentence);
      dialog('The session did not start', [sentence], [{ label: 'OK', act: this.on.left }]);
      return;
    }
    this.on.begun(this.begun);
    this.draw(this.begun);
  }

  private draw(begun: Begun): void {
    const url = new URL(begun.join_url, location.href);
    const copied = h('span', { class: 'hint', role: 'status' });
    const copy = button('Copy the link', { class: 'button' }, () => {
      navigator.clipboard.writeText(url.href).then(() => say(copied, 'Copied.'), () => say(copied, 'Select the address and copy it.'));
    });
    const key = begun.key === undefined ? [] : [
      h('h2', {}, 'and to type this key'),
      h('p', { class: 'link-key', 'aria-label': [...begun.key].join(' ') }, grouped(begun.key)),
    ];
    this.root.replaceChildren(
      h('main', { class: 'card link-card', 'aria-labelledby': 'link-title' },
        h('h1', { id: 'link-title', tabindex: '-1' }, 'Ask the visitor to open'),
        h('p', { class: 'link-url' }, `${url.host}${url.pathname}`),
        h('div', { class: 'link-copy' }, copy, copied),
        ...key,
        h('p', { class: 'hint', role: 'status' }, 'Waiting for the visitor. The link works once, for ten minutes.'),
        button('Cancel the session', { class: 'button button--wide' }, () => void this.cancel(begun)),
      ),
    );
    this.root.querySelector<HTMLElement>('h1')?.focus();
  }

  private async cancel(begun: Begun): Promise<void> {
    this.begun = undefined;
    await endSession(this.login, begun.session).catch(() => undefined);
    this.on.left();
  }
}
