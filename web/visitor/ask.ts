/**
 * The questions to the visitor, as modal dialogs: may this agent see the page (R116), the screen (R045), the camera (R110).
 * The heading says who asks and what for; below are the words that the relay keeps for the receipt, as they are. "No" is always
 * the safe answer: Escape and closing mean no.
 */
import { button, element } from './dom.ts';
import { said } from './said.ts';
import { captureAbility } from './share.ts';
import type { Surface } from '../protocol/signal.ts';
import type { Question } from './view.ts';
import { comingIn } from './words.ts';

export interface AskEvents {
  answer(question: Question, accept: boolean): void;
  /** Accepted to show a screen; called within the click, which the browser's picker needs. */
  shareScreen(question: Question): void;
  /** Agreed to be seen by showing a screen; called within the click, too. */
  allowScreen(question: Question): void;
  /** Accepted to show the camera. */
  showCamera(question: Question): void;
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
    return element(
      'div',
      { class: 'ask' },
      element('h2', { id: 'ask-title', tabindex: '-1' }, 'Show your camera?'),
      element('div', { id: 'ask-text' }, element('p', {}, `Who sees it now: ${question.name}.`), ...said(question.words)),
      element(
        'div',
        { class: 'row' },
        button('Cancel', '', () => this.#decline()),
        button('Show my camera', 'main', () => this.#events.showCamera(question)),
      ),
    );
  }

  /** R116, R138: may this agent come in? An invite and a question in the session are the same question. */
  #comeIn(question: Extract<Question, { kind: 'view' | 'invite' }>): HTMLElement {
    const shows = question.about === 'view' && question.kind === 'view';
    const cannot = question.about === 'view' && captureAbility() === 'none';
    const yes = cannot
      ? element('p', {}, 'This browser cannot share a screen. Open the link on a computer, or tell your agent.')
      : button('Allow', 'main', () => (shows ? this.#events.allowScreen(question) : this.#events.answer(question, true)));
    return element(
      'div',
      { class: 'ask' },
      element('h2', { id: 'ask-title', tabindex: '-1' }, comingIn(question.about, question.name)),
      element('div', { id: 'ask-text' }, ...said(question.words)),
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
        : button('Accept', 'main', () => this.#events.shareScreen(question));
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
