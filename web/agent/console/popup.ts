/**
 * Windows that the console opens, and whether the browser lets it (R112). A blocked one becomes a link to press, because a
 * press is always allowed.
 */

import { dialog } from './dialogs.ts';
import { h } from './dom.ts';

let listener: (() => void) | undefined;

/** Calls back whenever the browser has blocked a window. */
export function onPopupBlocked(call: () => void): void {
  listener = call;
}

/** Opens a window from a click; where that is blocked, offers the same address as a link. */
export function openWindow(url: string, name: string): Window | undefined {
  const opened = window.open(url, name);
  if (opened !== null) {
    return opened;
  }
  listener?.();
  const link = h('a', { href: url, target: name, rel: 'noopener', class: 'button button--primary' }, 'Open the window');
  dialog('Your browser has blocked a window', ['Press the button to open it. To avoid this in future, allow pop-ups for this site.', link], [{ label: 'Close' }]);
  return undefined;
}

/** Tries a small window and closes it again. Must be called from a click. */
export function popupsWork(): boolean {
  const tried = window.open('about:blank', 'fanlight-popup-test', 'popup,width=120,height=80');
  if (tried === null) {
    listener?.();
    return false;
  }
  tried.close();
  return true;
}
