/**
 * The widget: a custom element whose shadow root holds the card, the questions, the agents' pointers and the agent's screen.
 *
 * Draws one {@link View} and reports what the visitor presses; it decides nothing. Its parts are built once and then changed,
 * so that focus stays where it is and live regions speak only of changes. End is on screen whenever a session is.
 */
import type { Invitation } from '../protocol/lobby.ts';
import type { Member } from '../protocol/signal.ts';
import { AskDialog } from './ask.ts';
import { CameraPanel } from './preview.ts';
import { button, colorOf, element, initials, say } from './dom.ts';
import { Overlay } from './overlay.ts';
import { WIDGET_TAG } from './rules.ts';
import { ScreenPanel } from './screen.ts';
import { STYLE } from './style.ts';
import type { Question, View } from './view.ts';
import { leadOf, titleOf } from './words.ts';

export interface WidgetEvents {
  answer(question: Question, accept: boolean): void;
  shareScreen(question: Question): void;
  allowScreen(question: Question): void;
  stopSharing(): void;
  askCamera(): void;
  showCamera(question: Question): void;
  hideCamera(on: boolean): void;
  flipCamera(): void;
  stopCamera(): void;
  newKey(): void;
  pause(on: boolean): void;
  end(): void;
  retry(): void;
  dismiss(): void;
  close(): void;
}

export class Widget {
  readonly overlay = new Overlay();
  readonly screen = new ScreenPanel();
  readonly camera: CameraPanel;
  readonly #events: WidgetEvents;
  readonly #host = document.createElement(WIDGET_TAG);
  readonly #ask: AskDialog;
  readonly #card = element('section', { class: 'card', 'aria-label': 'Live help' });
  readonly #pill = element('section', { class: 'pill', 'aria-label': 'Live help' });
  readonly #open: HTMLButtonElement;
  readonly #pillEnd: HTMLButtonElement;
  readonly #pillText = element('span');
  readonly #dots = [element('span', { class: 'dot', 'aria-hidden': 'true' }), element('span', { class: 'dot', 'aria-hidden': 'true' })];
  readonly #title = element('h2');
  readonly #lead = element('p', { class: 'soft' });
  readonly #keyBox = element('div', { class: 'key', hidden: '' });
  readonly #digits = element('div', { class: 'digits', role: 'img' });
  readonly #people = element('ul', { class: 'people', 'aria-label': 'Who is with you' });
  readonly #share = element('div', { class: 'share', hidden: '' });
  readonly #shareText = element('p');
  readonly #note = element('div', { class: 'note', role: 'alert', hidden: '' });
  readonly #noteText = element('p');
  readonly #live = element('div', { class: 'sr', role: 'status', 'aria-live': 'polite' });
  readonly #buttons: Record<'minimise' | 'key' | 'pause' | 'screen' | 'camera' | 'retry' | 'end' | 'close', HTMLButtonElement>;
  #view: View | undefined;
  #small = false;
  #opener: HTMLElement | undefined;
  #invitation: Invitation | undefined;
  #question: Question | undefined;

  constructor(events: WidgetEvents) {
    this.#events = events;
    this.#ask = new AskDialog(events);
    this.camera = new CameraPanel(events);
    this.#open = button('', 'plain', () => this.#fold(false));
    this.#pillEnd = button('End', 'stop', () => events.end());
    this.#buttons = {
      minimise: button('Minimise', 'plain', () => this.#fold(true)),
      key: button('New key', '', () => events.newKey()),
      pause: button('Pause', '', () => events.pause(this.#view?.phase !== 'paused')),
      screen: button('Show agent’s screen', '', () => this.#showScreen()),
      camera: button('Show camera', '', () => events.askCamera()),
      retry: button('Try again', 'main', () => events.retry()),
      end: button('End session', 'stop', () => events.end()),
      close: button('Close', 'main', () => events.close()),
    };
    this.#build();
  }

  /** Puts the widget into the page. */
  attach(): void {
    if (!this.#host.isConnected) {
      document.documentElement.append(this.#host);
    }
  }

  /** Unfolds the card and puts the focus in it: the visitor asked for it. It goes back to where it was when the card is closed. */
  open(): void {
    this.#opener = document.activeElement instanceof HTMLElement ? document.activeElement : undefined;
    this.#fold(false);
    this.#focusCard();
  }

  detach(): void {
    this.overlay.clear();
    this.#ask.show(undefined);
    const opener = document.activeElement === this.#host ? this.#opener : undefined;
    this.#opener = undefined;
    this.#host.remove();
    opener?.focus();
    this.#view = undefined;
    this.#fold(false);
  }

  /** An agent asks to come in, before there is a session; nothing: the question is no longer open. */
  invited(invitation: Invitation | undefined): void {
    this.#invitation = invitation;
    if (invitation !== undefined) {
      this.attach();
      this.#card.hidden = this.#view === undefined;
    }
    this.#askNow();
    if (invitation === undefined && this.#view === undefined) {
      this.detach();
    }
  }

  /** One question at a time; those of the session first. */
  #askNow(): void {
    const invitation = this.#invitation;
    const invite = invitation && ({ kind: 'invite', name: invitation.name, about: invitation.kind, invitation, words: invitation } as const);
    if (this.#question?.kind !== 'invite' || this.#question.invitation !== invitation) {
      this.#question = invite;
    }
    this.#ask.show(this.#view?.question ?? this.#question);
  }

  show(view: View): void {
    const before = this.#view;
    const held = this.#host.shadowRoot?.activeElement;
    this.#view = view;
    this.#showHead(view);
    this.#showKey(view);
    this.#showPeople(view.members);
    this.#showShare(view);
    this.#showButtons(view);
    if (view.kind === 'show' && before?.theirs.phase === 'empty' && view.theirs.phase !== 'empty') {
      this.screen.enlarge();
    }
    this.screen.show(view.theirs);
    this.camera.show(view.camera);
    this.#card.hidden = this.#small;
    this.#askNow();
    const framed = view.kind === 'cobrowse' && view.phase === 'active';
    this.overlay.frame(framed ? 'on' : view.phase === 'paused' ? 'warn' : 'off');
    if (view.phase !== 'active') {
      this.overlay.root.querySelectorAll('.pointer').forEach((pointer) => pointer.remove());
    }
    const isNewKey = view.key !== undefined && view.key.digits !== before?.key?.digits;
    if (before?.phase !== view.phase || isNewKey) {
      const key = view.key === undefined ? '' : ` The key is ${spelled(view.key.digits)}.`;
      say(this.#live, `${titleOf(view)}. ${this.#lead.textContent ?? ''}${key}`);
    }
    if (before?.phase !== view.phase && view.phase !== 'active') {
      this.#fold(false);
    }
    const holds = this.#host.shadowRoot?.activeElement ?? held;
    if (holds === held && held instanceof HTMLElement && !held.checkVisibility()) {
      // What had the focus is gone: without another place, whoever uses the keyboard begins at the top of the page again.
      this.#focusCard();
    }
  }

  #focusCard(): void {
    const shown = [...this.#card.querySelectorAll('button')].find((one) => one.checkVisibility());
    (shown ?? this.#open).focus();
  }

  #build(): void {
    const root = this.#host.attachShadow({ mode: 'open' });
    const all = element('div', { class: 'root' });
    this.#keyBox.append(element('span', { class: 'soft' }, 'Tell the agent this key'), this.#digits);
    this.#share.append(this.#shareText, button('Stop sharing', '', () => this.#events.stopSharing()));
    this.#note.append(this.#noteText, button('Dismiss', '', () => this.#events.dismiss()));
    const b = this.#buttons;
    this.#card.append(
      element('div', { class: 'head' }, this.#dots[0] ?? '', this.#title, this.#buttons.minimise),
      element('div', { class: 'body' }, this.#lead, this.#note, this.#keyBox, this.#people, this.camera.root, this.#share),
      element('div', { class: 'foot' }, b.screen, b.key, b.pause, b.camera, b.retry, b.close, b.end),
    );
    this.#open.append(this.#dots[1] ?? '', this.#pillText);
    this.#open.setAttribute('aria-expanded', 'false');
    this.#pill.append(this.#open, this.#pillEnd);
    this.#pill.hidden = true;
    all.append(this.overlay.root, this.screen.root, this.#card, this.#pill, this.#ask.root, this.#live);
    this.screen.root.addEventListener('fold', () => this.#view !== undefined && this.#showButtons(this.#view));
    // A constructed sheet also works on sites whose policy forbids inline styles.
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    root.append(all);
  }

  #showHead(view: View): void {
    say(this.#title, titleOf(view));
    say(this.#lead, leadOf(view));
    const active = view.camera.phase === 'off' ? 'Live help is on' : 'Your camera is on';
    say(this.#pillText, view.phase === 'active' ? active : titleOf(view));
    const online = view.connection === 'open';
    const tone = view.phase === 'active' && online ? 'good' : view.phase === 'paused' || view.connection === 'reconnecting' ? 'warn' : '';
    for (const dot of this.#dots) {
      dot.dataset['tone'] = tone;
    }
    this.#note.hidden = view.notice === undefined || view.phase === 'ended';
    say(this.#noteText, view.notice?.text ?? '');
  }

  #showKey(view: View): void {
    const key = view.key?.digits ?? '';
    this.#keyBox.hidden = key === '';
    if (this.#digits.dataset['key'] !== key) {
      this.#digits.dataset['key'] = key;
      this.#digits.setAttribute('aria-label', spelled(key));
      this.#digits.replaceChildren(...groupsOf(key).map((group) => element('span', { 'aria-hidden': 'true' }, group)));
    }
  }

  #showPeople(members: readonly Member[]): void {
    const text = JSON.stringify(members);
    if (this.#people.dataset['now'] === text) {
      return;
    }
    this.#people.dataset['now'] = text;
    this.#people.hidden = members.length === 0;
    const words = { waiting: 'waiting for you', here: 'with you', away: 'reconnecting' } as const;
    this.#people.replaceChildren(
      ...members.map((member) => {
        const face = element('span', { class: 'face', 'aria-hidden': 'true' }, initials(member.name));
        face.style.background = colorOf(member.id);
        return element('li', {}, face, element('span', {}, member.name), element('span', { class: 'soft' }, words[member.presence]));
      }),
    );
  }

  #showShare(view: View): void {
    this.#share.hidden = view.own === 'off' || view.own === 'empty' || view.own === 'picking';
    say(this.#shareText, view.own === 'live' ? 'Your screen is being shared. Nothing in it is hidden.' : 'Your screen is about to be shared…');
  }

  #showButtons(view: View): void {
    const running = view.phase === 'waiting' || view.phase === 'active' || view.phase === 'paused';
    const b = this.#buttons;
    b.minimise.hidden = view.phase === 'ended' || view.phase === 'failed';
    b.key.hidden = !running || view.phase === 'paused' || view.kind !== 'cobrowse';
    b.pause.hidden = (view.phase !== 'active' && view.phase !== 'paused') || view.kind !== 'cobrowse';
    say(b.pause, view.phase === 'paused' ? 'Resume' : 'Pause');
    const watched = view.members.some((member) => member.presence === 'here');
    b.camera.hidden = view.phase !== 'active' || !view.mayShowCamera || !watched || view.camera.phase !== 'off';
    b.screen.hidden = view.theirs.phase === 'empty' || !this.screen.folded;
    b.retry.hidden = view.phase !== 'failed';
    b.end.hidden = !running && view.phase !== 'starting';
    this.#pillEnd.hidden = b.end.hidden;
    b.close.hidden = view.phase !== 'ended' && view.phase !== 'failed';
  }

  #showScreen(): void {
    if (this.#view !== undefined) {
      this.screen.unfold(this.#view.theirs);
      this.#showButtons(this.#view);
    }
  }

  #fold(small: boolean): void {
    if (small === this.#small) {
      return;
    }
    this.#small = small;
    this.#card.hidden = small;
    this.#pill.hidden = !small;
    if (this.#host.isConnected) {
      this.#focusCard();
    }
  }
}

/** A key as it is drawn: 3-3-3, the longer kind 4-4. */
function groupsOf(key: string): readonly string[] {
  return key.match(key.length === 8 ? /.{1,4}/gu : /.{1,3}/gu) ?? [];
}

/** A key as it is read out: digit by digit, with a pause between the groups. */
function spelled(key: string): string {
  return groupsOf(key).map((group) => [...group].join(' ')).join(', ');
}
