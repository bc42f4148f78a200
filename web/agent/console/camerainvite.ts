/**
 * "Ask for a camera" (R124): a phone number, one text message, and waiting for whoever opens its link.
 *
 * The number is in the field and in one request, nowhere else; the field is emptied when the message is sent.
 */

import { cameraInvite, endSession, inviteCamera, RefusedError, type Joined, type Login } from './api.ts';
import { button, h, say, show } from './dom.ts';

/** Milliseconds between two looks at how the link stands. */
const LOOK_MS = 1_500;

export class CameraInviteForm {
  readonly element: HTMLElement;
  private readonly form: HTMLFormElement;
  private readonly phone = h('input', {
    id: 'phone', type: 'tel', autocomplete: 'off', required: true, maxlength: '32', placeholder: '+49 170 1234567', 'aria-describedby': 'phone-hint phone-error',
  });
  private readonly error = h('p', { id: 'phone-error', class: 'form-error', role: 'alert' });
  private readonly waiting: HTMLElement;
  private readonly status = h('p', { role: 'status' });
  private readonly submit = h('button', { type: 'submit', class: 'button button--wide' }, 'Send link');
  private session: string | undefined;

  constructor(
    private readonly login: Login,
    private readonly joined: (joined: Joined) => void,
  ) {
    this.form = h('form', { class: 'form' },
      h('div', { class: 'field' }, h('label', { for: 'phone' }, 'Customer’s mobile number'), this.phone,
        h('p', { id: 'phone-hint', class: 'hint' }, 'They get a text message with a link. It opens their camera after they agree; you see the camera and nothing else.')),
      this.submit, this.error);
    this.waiting = h('div', { class: 'form', hidden: true }, this.status, button('Cancel', { class: 'button button--wide' }, () => void this.cancel()));
    this.element = h('details', { class: 'camera-invite' }, h('summary', {}, 'Ask for a camera instead'), this.form, this.waiting);
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.send();
    });
  }

  private async send(): Promise<void> {
    say(this.error, '');
    this.submit.disabled = true;
    try {
      const { session, expires_s } = await inviteCamera(this.login, this.phone.value);
      this.phone.value = '';
      this.session = session;
      this.wait(true);
      say(this.status, `The link is sent. It is good for ${Math.round(expires_s / 60)} minutes. Waiting for the customer to open it…`);
      void this.follow(session);
    } catch (refusal) {
      say(this.error, sentenceOf(refusal));
    } finally {
      this.submit.disabled = false;
    }
  }

  /** Looks until the link is opened, refused or too old, or until the agent does something else. */
  private async follow(session: string): Promise<void> {
    while (this.session === session && this.element.isConnected) {
      try {
        const invite = await cameraInvite(this.login, session);
        if (invite.state === 'opened') {
          this.session = undefined;
          this.joined(invite);
          return;
        }
        if (invite.state !== 'sent') {
          this.over(invite.state === 'declined' ? 'The customer declined.' : 'Nobody opened the link in time. Send a new one.');
          return;
        }
      } catch (refusal) {
        if (!(refusal instanceof RefusedError) || refusal.code !== 'E_NETWORK') {
          this.over(sentenceOf(refusal));
          return;
        }
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  private async cancel(): Promise<void> {
    const { session } = this;
    this.over('');
    if (session !== undefined) {
      await endSession(this.login, session).catch(() => undefined);
    }
  }

  private over(sentence: string): void {
    this.session = undefined;
    this.wait(false);
    say(this.error, sentence);
  }

  private wait(on: boolean): void {
    show(this.form, !on);
    show(this.waiting, on);
  }
}

function sentenceOf(refusal: unknown): string {
  return refusal instanceof RefusedError ? refusal.sentence : 'Something went wrong. Please try again.';
}
