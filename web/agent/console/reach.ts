/**
 * Visitors who are on the website (R108, R114–R118): how each stands, and the button that asks. Absent, present and busy
 * differ by words, shape and colour; while an invite is open the seconds count down and it can be taken back (R145).
 */

import type { Context, SessionKind } from '../../protocol/lobby.ts';
import { RefusedError, type Login } from './api.ts';
import { button, h, say, show } from './dom.ts';
import { invite, withdraw, type About, type Invite, type Standing, type StreamEvent } from './lobby.ts';

export interface ReachEvents {
  /** The visitor accepted: go into this session. */
  readonly accepted: (session: string) => void;
  /** What became of an invite, in the words of the protocol. */
  readonly event: (name: string, detail: Record<string, unknown>) => void;
}

const WORDS: Readonly<Record<Standing, string>> = {
  absent: 'Not on the website',
  present: 'On the website now',
  busy: 'In a session or being asked',
};

const OVER: Readonly<Record<string, string>> = {
  declined: 'The visitor declined. In a minute you may ask again.',
  expired: 'The visitor did not answer. You can ask again.',
  withdrawn: 'The invitation was taken back.',
};

/** One visitor's line. */
export class Reach {
  readonly element: HTMLElement;
  private readonly state = h('span', { class: 'reach-state' });
  private readonly text = h('p', { class: 'reach-text', role: 'status' });
  private readonly join: HTMLButtonElement;
  private readonly cancel: HTMLButtonElement;
  private standing: Standing = 'absent';
  private open: Invite | undefined;
  private until = 0;
  private timer = 0;
  private about: About = {};

  constructor(
    private readonly login: Login,
    readonly visitor: string,
    private readonly on: ReachEvents,
  ) {
    this.join = button('Join', { class: 'button reach-join', 'data-state': 'absent' }, () => void this.ask(this.about));
    this.cancel = button('Cancel', { class: 'button', hidden: true }, () => void this.takeBack());
    this.element = h('li', { class: 'reach' },
      h('div', { class: 'reach-line' }, h('span', { class: 'reach-name' }, visitor), this.state, this.join, this.cancel), this.text);
    this.draw();
  }

  /** What the sessions of this visitor are about. */
  set subject(about: { readonly kind?: SessionKind; readonly context?: Context; readonly external_ref?: string }) {
    this.about = about;
  }

  take(event: StreamEvent): void {
    const { name, data } = event;
    if (name === 'presence' && data['visitor'] === this.visitor) {
      this.standing = data['state'] as Standing;
      this.draw();
    } else if (this.open !== undefined && data['invite'] === this.open.invite) {
      this.over(String(data['state']));
      this.on.event(name, data);
      if (name === 'invite.accepted') {
        this.on.accepted(String(data['session']));
      }
    }
  }

  /** R115: asks the visitor. Pressing again while it is open changes nothing. */
  async ask(about: About): Promise<void> {
    if (this.open !== undefined) {
      return;
    }
    this.join.disabled = true;
    say(this.text, 'An invitation is being sent…');
    try {
      this.open = await invite(this.login, this.visitor, about);
      this.until = performance.now() + this.open.expires_s * 1_000;
      this.on.event('invite.sent', { invite: this.open.invite });
      this.timer = window.setInterval(() => this.count(), 1_000);
      this.count();
    } catch (refusal) {
      say(this.text, refusal instanceof RefusedError ? refusal.sentence : 'That did not work. Please try again.');
      this.on.event('error', { code: refusal instanceof RefusedError ? refusal.code : 'E_NETWORK', sentence: this.text.textContent ?? '' });
    }
    this.draw();
  }

  close(): void {
    clearInterval(this.timer);
  }

  private async takeBack(): Promise<void> {
    const open = this.open;
    if (open !== undefined) {
      // The relay's event says when it is over; a visitor who has just accepted wins.
      await withdraw(this.login, open.invite).catch(() => undefined);
    }
  }

  private over(state: string): void {
    clearInterval(this.timer);
    this.open = undefined;
    say(this.text, OVER[state] ?? '');
    this.draw();
  }

  private count(): void {
    const left = Math.max(0, Math.ceil((this.until - performance.now()) / 1_000));
    say(this.text, `Inviting the visitor… ${left} s left to answer`);
  }

  private draw(): void {
    const inviting = this.open !== undefined;
    this.element.dataset['state'] = inviting ? 'inviting' : this.standing;
    this.join.dataset['state'] = this.standing;
    say(this.state, inviting ? 'Inviting' : WORDS[this.standing]);
    this.join.disabled = inviting || this.standing !== 'present';
    this.join.setAttribute('aria-label', `Join ${this.visitor}: ${WORDS[this.standing]}`);
    show(this.join, !inviting);
    show(this.cancel, inviting);
  }
}
