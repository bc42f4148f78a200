/**
 * The questions of a running session to its visitor, and the visitor's answers: which one is open, in which words, and what a yes
 * does. Every yes names the words that were on the screen; the relay takes no other.
 */
import type { Surface, ToClient, ToRelay, Words } from '../protocol/signal.ts';
import type { Camera } from './camera.ts';
import { ReadyScreen } from './ready.ts';
import { wordsOf } from './said.ts';
import type { Share } from './share.ts';
import type { Question, View } from './view.ts';

export interface QuestionEvents {
  say(signal: ToRelay): void;
  readonly view: View;
  show(change: Partial<View>): void;
}

const EVERY_SURFACE: readonly Surface[] = ['browser', 'window', 'monitor'];

export class Questions {
  readonly #share: Share;
  readonly #camera: Camera;
  readonly #events: QuestionEvents;
  readonly #ready = new ReadyScreen();
  /** In which words the visitor agrees to show a camera. */
  #cameraWords: Words = { text: '', words: '' };

  constructor(share: Share, camera: Camera, events: QuestionEvents) {
    this.#share = share;
    this.#camera = camera;
    this.#events = events;
  }

  /** May this agent come in? */
  asked(ask: Extract<ToClient, { t: 'consent.ask' }>): void {
    // A question about the screen comes with its grant in `share.invited`; asking twice would only confuse.
    if (ask.kind === 'view') {
      const { name, participant } = ask;
      this.#events.show({ question: { kind: 'view', ask: ask.ask, name, participant, about: this.#events.view.kind, words: wordsOf(ask) } });
    }
  }

  /** An agent asks for a screen: one that was chosen with the first question, or a question of its own. */
  invited(signal: Extract<ToClient, { t: 'share.invited' }>): void {
    const { grant, participant, name, surfaces } = signal;
    const chosen = this.#ready.take(participant, signal.words);
    if (chosen === undefined) {
      this.#events.show({ question: { kind: 'screen', grant, name, surfaces, words: wordsOf(signal) } });
      return;
    }
    this.#events.say({ t: 'share.accept', grant, words: signal.words });
    this.#events.show({ own: 'waiting' });
    this.#share.start(chosen, grant).catch(() => this.#notice('Your browser could not share the screen.'));
  }

  withdrawn(ask: number): void {
    const { question } = this.#events.view;
    if (question?.kind === 'view' && question.ask === ask) {
      this.#ready.drop();
    }
    if ((question?.kind === 'view' && question.ask === ask) || (question?.kind === 'screen' && question.grant === ask)) {
      this.#events.show({ question: undefined });
    }
  }

  /** The words about the camera, should the visitor want to show one. */
  aboutCamera(words: Words): void {
    this.#cameraWords = wordsOf(words);
  }

  answer(question: Question, accept: boolean): void {
    this.#events.show({ question: undefined });
    if (question.kind === 'view') {
      this.#events.say({ t: 'consent', ask: question.ask, accept, words: question.words.words });
    } else if (question.kind === 'screen' && !accept) {
      this.#events.say({ t: 'share.decline', grant: question.grant, reason: 'declined' });
    }
  }

  /** The visitor said yes to showing a screen. Must be called from the click itself: the browser's picker needs it. */
  async shareScreen(question: Question): Promise<void> {
    if (question.kind !== 'screen') {
      return;
    }
    const { grant, surfaces, words } = question;
    const picking = this.#share.capture(surfaces);
    this.#events.show({ question: undefined, own: 'picking', notice: undefined });
    this.#events.say({ t: 'share.accept', grant, words: words.words });
    try {
      const capture = await picking;
      this.#events.show({ own: 'waiting' });
      await this.#share.start(capture, grant);
    } catch (error) {
      this.#events.show({ own: 'off' });
      // R048: a cancelled picker is an answer, not an error.
      this.#events.say({ t: 'share.decline', grant, reason: 'picker' });
      if (error instanceof Error && error.name !== 'NotAllowedError') {
        this.#notice('Your browser could not share the screen.');
      } else if (/Mac/u.test(navigator.userAgent)) {
        this.#notice('Nothing is shared. If you did choose a screen: allow your browser under System Settings, Privacy & Security, Screen Recording.');
      }
    }
  }

  /** The visitor agrees to be seen and chooses a screen, in one click (R138). Must be called from the click itself. */
  async allowScreen(question: Question): Promise<void> {
    if (question.kind !== 'view') {
      return;
    }
    try {
      // Which kinds are allowed comes with the agent's invitation; the relay judges what was chosen.
      this.#ready.hold(await this.#share.capture(EVERY_SURFACE), question.participant, question.words.words);
    } catch {
      this.#notice('Nothing was chosen, so nothing is shown. Press Allow to choose again, or Decline.');
      return;
    }
    this.answer(question, true);
  }

  /** The visitor pressed "Show camera": who would see it, and does the visitor want that? */
  askCamera(): void {
    const watching = this.#events.view.members.filter((member) => member.presence === 'here').map((member) => member.name);
    this.#events.show({ question: { kind: 'camera', name: watching.join(', ') || 'The agent', words: this.#cameraWords }, notice: undefined });
  }

  /** The visitor said yes. Must be called from the click. */
  showCamera(question: Question): void {
    this.#events.show({ question: undefined });
    void this.#camera.open(question.words.words);
  }

  /** The session is over. */
  close(): void {
    this.#ready.drop();
  }

  #notice(text: string): void {
    this.#events.show({ notice: { text, retry: false } });
  }
}
