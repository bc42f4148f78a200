/**
 * Approved pages in the agent's hands: the bookmarks of the Share menu, opening one, and what follows when a page is refused
 * (R017, R036–R039, R052–R054).
 */

import * as api from './api.ts';
import type { Bookmark, Login, Shareable } from './api.ts';
import { dialog } from './dialogs.ts';
import { h } from './dom.ts';
import type { MenuItem } from './menu.ts';
import type { ShareRefusal } from './state.ts';
import type { Toasts } from './toasts.ts';

export interface SitesEvents {
  /** The list has come, or has changed. */
  readonly changed: () => void;
  /** This bookmark is open in a window of its own. */
  readonly opened: (url: string) => void;
  /** R038: opens the picker for windows. Called within a click. */
  readonly shareWindow: () => void;
  /** R053: back to the Share menu. */
  readonly chooseAgain: () => void;
}

/** Size of a bookmark's window, so that it is a window and not a tab. */
const WINDOW = 'popup,width=1100,height=760';

export class Sites {
  shareable: Shareable | undefined;

  constructor(
    private readonly login: Login,
    private readonly session: string,
    private readonly toasts: Toasts,
    private readonly on: SitesEvents,
  ) {}

  /** Asks the relay for what this session has pinned. Without an answer there is nothing to choose from. */
  async load(): Promise<void> {
    try {
      this.shareable = await api.shareable(this.login, this.session);
      this.on.changed();
    } catch (error) {
      this.warn(error);
    }
  }

  /** R036: hidden when there is none; a folder's links are under its name. */
  items(blocked: string | undefined): readonly MenuItem[] {
    const item = (link: Bookmark, under: string): MenuItem => ({
      label: link.title, detail: hostOf(link.url), under, blocked, act: () => this.open(link),
    });
    return (this.shareable?.bookmarks ?? []).flatMap((entry) =>
      entry.kind === 'link' ? [item(entry, 'Bookmarks')] : entry.links.map((link) => item(link, entry.name)));
  }

  /** R037: the page opens in a window of its own, to be looked at before it is shared. Nothing is captured yet. */
  private open(link: Bookmark): void {
    const opened = window.open('about:blank', '_blank', WINDOW);
    if (opened === null) {
      dialog('The window was blocked', ['Allow pop-up windows for this page in the address bar, then choose the bookmark again.'], [{ label: 'OK' }]);
      return;
    }
    // What is opened must not reach back into this console.
    opened.opener = null;
    opened.location.replace(link.url);
    api.bookmarkOpened(this.login, this.session, link.url).catch((error: unknown) => this.warn(error));
    this.on.opened(link.url);
    this.hint(link);
  }

  /** R038: three steps. */
  private hint(link: Bookmark): void {
    const steps = h('ol', { class: 'steps' },
      h('li', {}, h('strong', {}, 'Look at the page'), ' in its new window. The visitor does not see it yet.'),
      h('li', {}, 'Come back here and press ', h('strong', {}, 'Share'), '.'),
      h('li', {}, 'Choose ', h('strong', {}, 'Window'), ` and pick the window “${link.title}”.`));
    dialog(`“${link.title}” is open`, [steps], [{ label: 'Share', act: () => this.on.shareWindow() }, { label: 'Not now' }]);
  }

  /** R052: what was shared may not be; share something else? */
  refused(refusal: ShareRefusal): void {
    dialog('This page may not be shared', [refusal.sentence, 'The visitor does not see it. Do you want to share a different, approved page?'], [
      { label: 'Yes', act: () => this.on.chooseAgain() },
      { label: 'No', act: () => this.suggest(refusal.url) },
    ]);
  }

  /** R054: the rules of a running session stay; the administrator can allow the address for later ones. */
  private suggest(url: string | undefined): void {
    const field = h('input', { type: 'url', id: 'suggested', class: 'input', value: url ?? '', placeholder: 'https://' });
    dialog('Ask for this page to be allowed?', [
      h('div', { class: 'field' }, h('label', { for: 'suggested' }, 'Address of the page'), field),
      'Your administrator finds it in the console. It can be shared in sessions that begin after it was allowed.',
    ], [
      { label: 'Suggest this address', act: () => void this.send(field.value.trim()) },
      { label: 'Close' },
    ]);
    field.focus();
  }

  private async send(url: string): Promise<void> {
    try {
      await api.suggestSite(this.login, this.session, url);
      this.toasts.show({ kind: 'info', text: 'Your administrator has been asked to allow this address.' });
    } catch (error) {
      this.warn(error);
    }
  }

  private warn(error: unknown): void {
    const text = error instanceof api.RefusedError ? error.sentence : 'The relay could not answer. Please try again.';
    this.toasts.show({ kind: 'warning', text });
  }
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : url;
}
