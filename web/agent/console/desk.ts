/**
 * The agent's desk between sessions (R107, R120): the ways in, side by side. Keeps the stream of events open and goes into the
 * session when the visitor has come.
 */

import type { Login } from './api.ts';
import { button, h, say } from './dom.ts';
import { orLeaveOther } from './elsewhere.ts';
import { keyEntry } from './keyentry.ts';
import { Linking } from './linking.ts';
import { enter, EventStream, type About, type StreamEvent } from './lobby.ts';
import { popupsWork } from './popup.ts';
import { Reach } from './reach.ts';
import type { Entry } from './session.ts';
import { savedVisitors, saveVisitors } from './storage.ts';

export interface DeskEvents {
  readonly joined: (entry: Entry) => void;
  readonly signOut: () => void;
  /** For a page around this console: names and details as in `docs/integrate.md`. */
  readonly event: (name: string, detail: Record<string, unknown>) => void;
}

export interface DeskOptions {
  readonly key: string;
  readonly visitors: readonly string[];
  /** A host page decides what is on this desk; nothing is offered by itself. */
  readonly bare: boolean;
}

const VISITORS_MAX = 100;

export class Desk {
  private readonly lines = new Map<string, Reach>();
  private readonly list = h('ul', { class: 'reaches' });
  private readonly live = h('p', { class: 'hint', role: 'status' });
  private readonly linking: Linking;
  private stream: EventStream | undefined;
  private closed = false;

  constructor(
    private readonly root: HTMLElement,
    private readonly login: Login,
    private readonly options: DeskOptions,
    private readonly on: DeskEvents,
  ) {
    this.linking = new Linking(root, login, {
      begun: (begun) => on.event('session.created', { ...begun, join_url: new URL(begun.join_url, location.href).href }),
      arrived: (session) => void this.go(session),
      left: () => this.draw(),
      error: (code, sentence) => on.event('error', { code, sentence }),
    });
    for (const visitor of options.visitors.length > 0 || options.bare ? options.visitors : savedVisitors()) {
      this.add(visitor);
    }
    this.draw();
    this.listen();
  }

  /** A host page starts a session: the visitor is asked, or a link is made. */
  begin(about: About, visitor: string | undefined): void {
    const kind = about.kind ?? 'cobrowse';
    if (visitor !== undefined) {
      const line = this.watch(visitor);
      line.subject = about;
      void line.ask(about);
    } else if (kind === 'show' || kind === 'view') {
      this.linking.confirm(kind, about);
    } else {
      this.on.event('error', { code: 'E_INPUT', sentence: 'A cobrowse session needs a visitor, or a key that the visitor reads out.' });
    }
  }

  /** Follows one more visitor. */
  watch(visitor: string): Reach {
    const known = this.lines.get(visitor);
    if (known !== undefined) {
      return known;
    }
    const made = this.add(visitor);
    this.listen();
    return made;
  }

  close(): void {
    this.closed = true;
    this.stream?.close();
    this.lines.forEach((line) => line.close());
  }

  private add(visitor: string): Reach {
    const line = new Reach(this.login, visitor, { accepted: (session) => void this.go(session), event: this.on.event });
    this.lines.set(visitor, line);
    this.list.append(line.element);
    return line;
  }

  private listen(): void {
    this.stream?.close();
    this.stream = new EventStream(this.login, [...this.lines.keys()], {
      event: (event) => this.take(event),
      open: (open) => say(this.live, open ? '' : 'Connecting to the website…'),
      signedOut: () => !this.closed && this.on.signOut(),
    });
  }

  private take(event: StreamEvent): void {
    if (event.name === 'presence') {
      this.on.event('presence', event.data);
    }
    this.lines.forEach((line) => line.take(event));
    this.linking.take(event);
  }

  private async go(session: string): Promise<void> {
    if (this.closed) {
      return;
    }
    try {
      this.on.joined(await orLeaveOther((leave) => enter(this.login, session, leave)));
    } catch (refusal) {
      if (!this.live.isConnected) {
        this.draw();
      }
      say(this.live, refusal instanceof Error ? refusal.message : '');
    }
  }

  private draw(): void {
    if (this.closed) {
      return;
    }
    if (this.options.bare) {
      this.root.replaceChildren(h('main', { class: 'card', 'aria-label': 'Sessions' }, this.list, this.live));
      return;
    }
    const key = h('div', { class: 'desk-key' });
    this.root.replaceChildren(h('div', { class: 'desk' }, key, h('div', { class: 'desk-more' }, this.onSite(), this.byLink(), this.popups())));
    keyEntry(key, this.login, this.options.key, this.on);
  }

  private onSite(): HTMLElement {
    const input = h('input', { id: 'visitor', autocomplete: 'off', spellcheck: 'false', maxlength: '128', required: true });
    const form = h('form', { class: 'reach-add' },
      h('div', { class: 'field' }, h('label', { for: 'visitor' }, 'Visitor’s id'), input), h('button', { type: 'submit', class: 'button' }, 'Watch'));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const visitor = input.value.trim();
      if (visitor !== '' && this.lines.size < VISITORS_MAX) {
        this.watch(visitor);
        saveVisitors([...this.lines.keys()]);
        input.value = '';
      }
    });
    return h('section', { class: 'card desk-card', 'aria-labelledby': 'site-title' },
      h('h2', { id: 'site-title' }, 'On the website'),
      h('p', { class: 'hint' }, 'Join lights up while the visitor is there. They are asked first.'), this.list, form, this.live);
  }

  private byLink(): HTMLElement {
    return h('section', { class: 'card desk-card', 'aria-labelledby': 'link-section' },
      h('h2', { id: 'link-section' }, 'By a link'),
      h('p', { class: 'hint' }, 'For a visitor on the phone: they open a short address, on any website or none.'),
      h('div', { class: 'desk-pair' },
        button('Show my screen', { class: 'button' }, () => this.linking.confirm('show')),
        button('View their screen', { class: 'button' }, () => this.linking.confirm('view'))));
  }

  private popups(): HTMLElement {
    const result = h('span', { class: 'hint', role: 'status' });
    const test = button('Test pop-ups', { class: 'link' }, () =>
      say(result, popupsWork() ? 'Pop-ups work.' : 'Pop-ups are blocked. Allow them for this site in your browser’s address bar; links open by a press meanwhile.'));
    return h('p', { class: 'popup-test' }, test, ' ', result);
  }
}
