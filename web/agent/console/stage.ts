/**
 * What fills the agent's window: the mirrored page or the visitor's screen, and over it what there is to wait for.
 *
 * Owns which of the two pictures is shown. When the visitor's share begins the screen comes to the front, when it ends the
 * page does; in between the agent chooses. The visitor's camera lies over either, as a tile.
 */

import { Capability } from '../../protocol/signal.ts';
import { Viewer, type ViewerEvents } from '../viewer.ts';
import { CameraTile } from './tile.ts';
import { button, h, say, show } from './dom.ts';
import { admitted, isCameraOnly, pictureNote, self, visitor, type SessionState } from './state.ts';

export type Picture = 'page' | 'screen';

export class Stage {
  readonly element: HTMLElement;
  readonly viewer: Viewer;
  readonly video = h('video', { class: 'screen', autoplay: true, playsinline: true, 'aria-label': "The visitor's screen" });
  readonly camera = new CameraTile();
  private readonly pageRoom = h('div', { class: 'mirror', id: 'mirror' });
  private readonly screenRoom: HTMLElement;
  private readonly veil = h('div', { class: 'veil', role: 'status' });
  private readonly note = h('p', { class: 'stage-note', role: 'status', hidden: true });
  private readonly veilTitle = h('h2', {});
  private readonly veilText = h('p', {});
  private readonly unmute: HTMLButtonElement;
  private shown: Picture = 'page';
  private wasLive = false;
  private hasPage = false;
  private unreadable = false;

  constructor(
    events: Omit<ViewerEvents, 'shown' | 'unreadable'>,
    private readonly redraw: () => void,
    leave: () => void,
  ) {
    this.unmute = button('Turn on sound', { class: 'button unmute', hidden: true }, () => this.turnOnSound());
    const notice = h('p', { class: 'mask-notice' }, 'This is a video of the visitor’s screen. Hidden fields are not masked in it.');
    this.screenRoom = h('div', { class: 'screen-room', hidden: true }, this.video, notice, this.unmute);
    this.veil.append(
      h('div', { class: 'veil-card' }, this.veilTitle, this.veilText, button('Leave', { class: 'button' }, leave)),
    );
    this.element = h('section', { class: 'stage', 'aria-label': "The visitor's page" }, this.pageRoom, this.screenRoom, this.note, this.camera.element, this.veil);
    this.viewer = new Viewer(this.pageRoom, {
      ...events,
      shown: () => {
        this.hasPage = true;
        this.unreadable = false;
        this.redraw();
      },
      unreadable: () => {
        this.unreadable = true;
        this.redraw();
      },
    });
  }

  /** Which picture is in front. */
  get picture(): Picture {
    return this.shown;
  }

  choose(picture: Picture): void {
    if (this.shown !== picture) {
      this.shown = picture;
      show(this.pageRoom, picture === 'page');
      show(this.screenRoom, picture === 'screen');
      this.redraw();
    }
  }

  /** The stream of the visitor's slot; the same element shows every share of the session. */
  attach(stream: MediaStream): void {
    this.video.srcObject = stream;
    this.video.muted = true;
    show(this.unmute, false);
    void this.video.play().catch(() => undefined);
  }

  render(state: SessionState, connection: string): void {
    const share = state.shares.visitor;
    const live = share?.phase === 'live';
    if (live !== this.wasLive) {
      this.wasLive = live;
      this.choose(live ? 'screen' : 'page');
    }
    show(this.unmute, live && share.audio && this.video.muted);
    this.camera.render(state);
    this.element.classList.toggle('stage--camera', isCameraOnly(state));
    this.renderVeil(state, connection);
    const note = this.veil.hidden ? pictureNote(state, connection) : undefined;
    show(this.note, note !== undefined);
    say(this.note, note ?? '');
  }

  /** The session is over. */
  clear(): void {
    this.forgetPage();
    this.video.srcObject = null;
  }

  /** The rules for hiding have changed: what was seen of the page must go. A share has its own rules, and its end. */
  forgetPage(): void {
    this.hasPage = false;
    this.viewer.clear();
    this.redraw();
  }

  private turnOnSound(): void {
    this.video.muted = false;
    show(this.unmute, false);
    void this.video.play().catch(() => undefined);
  }

  private renderVeil(state: SessionState, connection: string): void {
    const words = this.veilWords(state, connection);
    show(this.veil, words !== undefined);
    this.veil.classList.toggle('veil--clear', this.hasPage && admitted(state));
    if (words !== undefined) {
      say(this.veilTitle, words[0]);
      say(this.veilText, words[1]);
    }
  }

  private veilWords(state: SessionState, connection: string): readonly [string, string] | undefined {
    if (connection === 'connecting') {
      return ['Connecting…', 'Joining the session.'];
    }
    if (state.declined) {
      return ['The visitor declined', 'They chose not to share their page.'];
    }
    if (self(state)?.presence === 'waiting' || state.stage === 'waiting') {
      return visitor(state) === undefined
        ? ['Waiting for the visitor', 'The visitor is not connected yet.']
        : ['Inviting the visitor…', 'The visitor sees your name and decides. Nothing is shown before they agree.'];
    }
    if (state.stage === 'paused') {
      return ['Paused by the visitor', 'You keep the last picture. It goes on when the visitor wants it to.'];
    }
    if (isCameraOnly(state)) {
      return state.camera.phase === 'live' ? undefined : ['The customer has opened the link', 'Their camera appears in a moment.'];
    }
    if (this.unreadable) {
      return ['This page cannot be shown', 'Ask the visitor to go to another page, or ask them to share their screen.'];
    }
    if (this.shown === 'page' && (state.capabilities & Capability.SUB_DOM) === 0) {
      return ['The visitor is with you', 'No page is shown in this session, only what either of you shares.'];
    }
    if (!this.hasPage && this.shown === 'page') {
      return ['Loading the page…', 'The visitor agreed. Their page appears in a moment.'];
    }
    return undefined;
  }
}
