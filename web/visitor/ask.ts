/**
 * The questions to the visitor, as modal dialogs: may this agent see the page (R116), the screen (R045), the camera (R110).
 * "No" is always the safe answer: Escape and closing mean no.
 */
import { button, element } from './dom.ts';
import { captureAbility } from './share.ts';
import type { Surface, Words } from '../protocol/signal.ts';
import type { Question } from './view.ts';
import { consentWords } from './words.ts';

export interface AskEvents {
  answer(question: Question, accept: boolean): void;
  /** Accepted to show a screen; called within the click, which the browser's picker needs. */
  shareScreen(grant: number): void;
  /** Agreed to be seen by showing a screen; called within the click, too. */
  allowScreen(question: Question): void;
  /** Accepted to show the camera. */
  showCamera(): void;
}

export class AskDialog {
  readonly root = element('dialog', { 'aria-labelledby': 'ask-title', 'aria-describedby': 'ask-text' });
  readonly #events: AskEvents;
  #question: Question | undefined;

  constructor(events: AskEvents) {
    this.#events = events;
    this.root.addEventListener('cancel', (event) => {
      event.preventDefault();
      this.#decline();
    });
  }

  /** Shows a question, or none. The same question twice is not asked again. */
  show(question: Question | undefined): void {
    if (question === this.#question) {
      return;
    }
    this.#question = question;
    if (question === undefined) {
      this.root.close();
      return;
    }
    this.root.replaceChildren(this.#content(question));
    if (!this.root.open) {
      this.root.showModal();
    }
    this.root.querySelector<HTMLElement>('h2')?.focus();
  }

  #decline(): void {
    const question = this.#question;
    if (question !== undefined) {
      this.#events.answer(question, false);
    }
  }

  #content(question: Question): HTMLElement {
    switch (question.kind) {
      case 'view':
      case 'invite':
        return this.#comeIn(question);
      case 'screen':
        return this.#screenAsk(question);
      case 'camera':
        return this.#cameraAsk(question);
    }
  }

  #cameraAsk(question: Extract<Question, { kind: 'camera' }>): HTMLElement {
    const items = [
      `Seen live by: ${question.name}, and whoever you let in later.`,
      'Picture only; no sound is sent.',
      'Nothing in the picture is hidden. You can hide the picture or stop at any time.',
    ];
    return element(
      'div',
      { class: 'ask' },
      element('h2', { id: 'ask-title', tabindex: '-1' }, 'Show your camera?'),
      element('div', { id: 'ask-text' }, element('ul', {}, ...items.map((item) => element('li', {}, item)))),
      element(
        'div',
        { class: 'row' },
        button('Cancel', '', () => this.#decline()),
        button('Show my camera', 'main', () => this.#events.showCamera()),
      ),
    );
  }

  /** R116, R138: may this agent come in? An invite and a question in the session are the same question. */
  #comeIn(question: Extract<Question, { kind: 'view' | 'invite' }>): HTMLElement {
    const { title, items } = consentWords(question.about, question.name);
    // A question about the page is in the group's own words; those of the other kinds say what such a session is.
    const own = question.kind === 'view' && question.about === 'cobrowse' ? said(question.words) : [element('ul', {}, ...items.map((item) => element('li', {}, item)))];
    const shows = question.about === 'view' && question.kind === 'view';
    const cannot = question.about === 'view' && captureAbility() === 'none';
    const yes = cannot
      ? element('p', {}, 'This browser cannot share a screen. Open the link on a computer, or tell your agent.')
      : button('Allow', 'main', () => (shows ? this.#events.allowScreen(question) : this.#events.answer(question, true)));
    return element(
      'div',
      { class: 'ask' },
      element('h2', { id: 'ask-title', tabindex: '-1' }, title),
      element('div', { id: 'ask-text' }, ...own),
      element('div', { class: 'row' }, button('Decline', '', () => this.#decline()), yes),
    );
  }

  #screenAsk(question: Extract<Question, { kind: 'screen' }>): HTMLElement {
    const ability = captureAbility();
    const limits = [
      ...limitOf(question.surfaces),
      ...(ability === 'monitor' ? ['Your browser can only share the entire screen. Close what you do not want to show.'] : []),
    ];
    const accept =
      ability === 'none'
        ? element('p', {}, 'This browser cannot share a screen.')
        : button('Accept', 'main', () => this.#events.shareScreen(question.grant));
    return element(
      'div',
      { class: 'ask' },
      element('h2', { id: 'ask-title', tabindex: '-1' }, 'Share Your Screen'),
      element(
        'div',
        { id: 'ask-text' },
        element('p', {}, `${question.name} asks you to share your screen.`),
        ...said(question.words),
        ...limits.map((limit) => element('p', {}, limit)),
      ),
      element('div', { class: 'row' }, button('Decline', '', () => this.#decline()), accept),
    );
  }
}

const SURFACES: Readonly<Record<Surface, string>> = { browser: 'a browser tab', window: 'a window', monitor: 'the entire screen' };

/** R046: said beforehand, where not everything may be chosen. */
function limitOf(surfaces: readonly Surface[]): readonly string[] {
  const named = Object.entries(SURFACES).filter(([surface]) => surfaces.includes(surface as Surface));
  return named.length === Object.keys(SURFACES).length || named.length === 0 ? [] : [`You may share ${named.map(([, name]) => name).join(' or ')}.`];
}

/** The words as the relay keeps them for the receipt: text, never markup, and the terms behind a link that leaves this page alone. */
function said({ text, terms }: Words): HTMLElement[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const [only] = lines;
  const words = lines.length === 1 ? element('p', {}, only ?? '') : element('ul', {}, ...lines.map((line) => element('li', {}, line)));
  if (terms === undefined) {
    return [words];
  }
  const link = element('a', { href: terms, target: '_blank', rel: 'noopener noreferrer' }, 'Terms and conditions');
  return [words, element('p', { class: 'terms' }, link, element('span', { class: 'soft' }, ` (${new URL(terms).host}, opens in a new tab)`))];
}
