/**
 * The Have Key screen (R120–R122): nine digits, or six where the group wants it so, or eight letters and digits while somebody guesses
 * keys of the group; grouped while typing, pasted in any spelling.
 */

import { join, RefusedError, type Joined, type Login } from './api.ts';
import { CameraInviteForm } from './camerainvite.ts';
import { button, h, say } from './dom.ts';
import { orLeaveOther } from './elsewhere.ts';

const MOST = 9;
const WHOLE: readonly number[] = [6, 8, 9];

/** The key in whatever was typed or pasted: at most nine digits, or eight letters and digits and nothing else. */
export function keyDigits(text: string): string {
  const bare = text.replace(/[\s-]/gu, '');
  return /^(?=.*[a-z])[\da-z]{1,8}$/iu.test(bare) ? bare.toUpperCase() : text.replace(/\D/gu, '').slice(0, MOST);
}

/** `123456789` as `123 456 789` and `4XJ7PQ2M` as `4XJ7 PQ2M`, also when it is not complete yet. */
export function grouped(key: string): string {
  return /[A-Z]/u.test(key) ? key.replace(/^(.{4})(?=.)/u, '$1 ') : key.replace(/(\d{3})(?=\d)/gu, '$1 ');
}

/** Shows the key screen in `root`. */
export function keyEntry(
  root: HTMLElement,
  login: Login,
  prefill: string,
  on: { readonly joined: (joined: Joined) => void; readonly signOut: () => void },
): void {
  const input = h('input', {
    id: 'key', class: 'key-input', inputmode: 'text', autocapitalize: 'characters', autocomplete: 'off', spellcheck: 'false', placeholder: '000 000 000',
    'aria-describedby': 'key-hint key-error', maxlength: '24', required: true,
  });
  const error = h('p', { id: 'key-error', class: 'form-error', role: 'alert' });
  const connect = h('button', { type: 'submit', class: 'button button--primary button--wide' }, 'Connect');
  const form = h('form', { class: 'form' },
    h('div', { class: 'field' }, h('label', { for: 'key' }, "Visitor's key"), input,
      h('p', { id: 'key-hint', class: 'hint' }, 'Ask the visitor to press "Get help" on their page and to read out the key.')),
    connect, error);
  let held = false;
  const ready = (): void => void (connect.disabled = held || !WHOLE.includes(keyDigits(input.value).length));
  const hold = (on: boolean): void => {
    held = on;
    ready();
  };
  input.value = grouped(keyDigits(prefill));
  ready();
  input.addEventListener('input', () => {
    regroup(input);
    ready();
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    say(error, '');
    hold(true);
    const key = keyDigits(input.value);
    orLeaveOther((leave) => join(login, key, leave)).then(on.joined, (refusal: unknown) => {
      const wait = refusal instanceof RefusedError ? refusal.retryAfter : undefined;
      hold(wait !== undefined);
      say(error, refusal instanceof RefusedError ? refusalText(refusal) : 'Connecting did not work. Please try again.');
      input.focus();
      input.select();
      if (wait !== undefined) {
        // An earlier try is refused whatever the key is.
        setTimeout(() => {
          hold(false);
          say(error, 'You can try again now.');
        }, wait * 1_000);
      }
      if (refusal instanceof RefusedError && refusal.code === 'E_LOGIN') {
        on.signOut();
      }
    });
  });
  root.replaceChildren(
    h('main', { class: 'card', 'aria-labelledby': 'key-title' },
      h('h1', { id: 'key-title' }, 'Have a key?'),
      form,
      new CameraInviteForm(login, on.joined).element,
      h('p', { class: 'signed-in' }, `Signed in as ${login.name}. `, button('Sign out', { class: 'link' }, on.signOut)),
    ),
  );
  input.focus();
}

/** Keeps the caret behind the same digit when blanks come and go. */
function regroup(input: HTMLInputElement): void {
  const before = keyDigits(input.value.slice(0, input.selectionStart ?? input.value.length)).length;
  const digits = keyDigits(input.value);
  input.value = grouped(digits);
  const caret = grouped(digits.slice(0, before)).length;
  input.setSelectionRange(caret, caret);
}

function refusalText({ sentence, retryAfter }: RefusedError): string {
  return retryAfter === undefined ? sentence : `${sentence} You can try again ${waitText(retryAfter, new Date())}.`;
}

/** How long, and from two minutes on also until when: whoever is on the phone says that to the visitor. */
export function waitText(seconds: number, now: Date): string {
  if (seconds < 120) {
    return seconds === 1 ? 'in a second' : `in ${seconds} seconds`;
  }
  const until = new Date(now.getTime() + seconds * 1_000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  return `in ${Math.ceil(seconds / 60)} minutes, at ${until}`;
}
