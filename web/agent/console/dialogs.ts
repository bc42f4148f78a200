/**
 * Modal dialogs: the browser's own `<dialog>`, which keeps focus inside, closes on Escape and gives focus back. One at a
 * time; a newer one replaces an older one, because the newer is what has just happened.
 */

import { button, h } from './dom.ts';

/** One thing the agent can choose. The first is the main one. */
export interface Choice {
  readonly label: string;
  readonly act?: () => void;
}

let open: HTMLDialogElement | undefined;

/** Shows a message with choices; every choice closes it. */
export function dialog(title: string, paragraphs: readonly (string | Node)[], choices: readonly Choice[]): HTMLDialogElement {
  open?.close();
  const heading = h('h2', { id: 'dialog-title' }, title);
  const body = h('div', { id: 'dialog-text' }, ...paragraphs.map((part) => (typeof part === 'string' ? h('p', {}, part) : part)));
  const actions = h('div', { class: 'dialog-actions' });
  const element = h('dialog', { class: 'dialog', 'aria-labelledby': 'dialog-title', 'aria-describedby': 'dialog-text' }, heading, body, actions);
  choices.forEach((choice, index) => {
    const chosen = button(choice.label, { class: index === 0 ? 'button button--primary' : 'button', autofocus: index === 0 }, () => {
      element.close();
      choice.act?.();
    });
    actions.append(chosen);
  });
  element.addEventListener('close', () => {
    element.remove();
    open = open === element ? undefined : open;
  });
  document.body.append(element);
  element.showModal();
  open = element;
  return element;
}

/** Takes away a dialog that has lost its meaning. */
export function closeDialog(): void {
  open?.close();
}

/** R008: what a Mac needs before a browser may capture the screen. */
export function macHowTo(): Node {
  return h(
    'div',
    { class: 'howto' },
    h('p', {}, 'If you did not cancel yourself, macOS may be blocking your browser:'),
    h(
      'ol',
      {},
      h('li', {}, 'Open System Settings, then Privacy & Security, then Screen & System Audio Recording.'),
      h('li', {}, 'Switch on the browser you are using now.'),
      h('li', {}, 'Quit and reopen the browser, join again and share.'),
    ),
  );
}
