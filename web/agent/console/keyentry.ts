/** The Have Key screen (R120–R122): nine digits, grouped while typing, pasted in any spelling. */

import { join, RefusedError, type Joined, type Login } from './api.ts';
import { CameraInviteForm } from './camerainvite.ts';
import { button, h, say } from './dom.ts';

const DIGITS = 9;

/** Digits of whatever was typed or pasted, at most nine. */
export function keyDigits(text: string): string {
  return text.replace(/\D/gu, '').slice(0, DIGITS);
}

/** `123456789` as `123 456 789`, also when it is not complete yet. */
export function grouped(digits: string): string {
  return digits.replace(/(\d{3})(?=\d)/gu, '$1 ');
}

/** Shows the key screen in `root`. */
export function keyEntry(
  root: HTMLElement,
  login: Login,
  prefill: string,
  on: { readonly joined: (joined: Joined) => void; readonly signOut: () => void },
): void {
  const input = h('input', {
    id: 'key', class: 'key-input', inputmode: 'numeric', autocomplete: 'off', spellcheck: 'false', placeholder: '000 000 000',
    'aria-describedby': 'key-hint key-error', maxlength: '24', required: true,
  });
  const error = h('p', { id: 'key-error', class: 'form-error', role: 'alert' });
  const connect = h('button', { type: 'submit', class: 'button button--primary button--wide' }, 'Connect');
  const form = h('form', { class: 'form' },
    h('div', { class: 'field' }, h('label', { for: 'key' }, "Visitor's key"), input,
      h('p', { id: 'key-hint', class: 'hint' }, 'Ask the visitor to press "Get help" on their page and to read out the nine digits.')),
    connect, error);
  input.value = grouped(keyDigits(prefill));
  connect.disabled = keyDigits(input.value).length !== DIGITS;
  input.addEventListener('input', () => regroup(input, connect));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    say(error, '');
    connect.disabled = true;
    join(login, keyDigits(input.value)).then(on.joined, (refusal: unknown) => {
      connect.disabled = false;
      say(error, refusal instanceof RefusedError ? refusalText(refusal) : 'Connecting did not work. Please try again.');
      input.select();
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
function regroup(input: HTMLInputElement, connect: HTMLButtonElement): void {
  const before = keyDigits(input.value.slice(0, input.selectionStart ?? input.value.length)).length;
  const digits = keyDigits(input.value);
  input.value = grouped(digits);
  const caret = grouped(digits.slice(0, before)).length;
  input.setSelectionRange(caret, caret);
  connect.disabled = digits.length !== DIGITS;
}

function refusalText(refusal: RefusedError): string {
  return refusal.retryAfter === undefined ? refusal.sentence : `${refusal.sentence} Try again in ${refusal.retryAfter} seconds.`;
}
