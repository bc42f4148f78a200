/** What every page of the console is given, and how it tells about what went wrong. */
import { h } from '../agent/console/dom.ts';
import type { Toasts } from '../agent/console/toasts.ts';
import { Refused, type Api, type Bundle } from './api.ts';

export interface Console {
  readonly api: Api;
  readonly toasts: Toasts;
  /** Where the page is drawn. */
  readonly root: HTMLElement;
  /** Drafts that are not saved, by group; they outlive a change of page. */
  readonly drafts: Map<string, Draft>;
  /** A live region for what is only seen. */
  readonly spoken: HTMLElement;
  /** Is this page still the one that is shown? */
  readonly here: () => boolean;
}

/** A bundle in the editor, and the state of staging that it began from. */
export interface Draft {
  etag: string;
  version: number;
  bundle: Bundle;
  /** The bundle as it was saved, to see whether anything was changed. */
  saved: string;
}

export const isChanged = (draft: Draft): boolean => JSON.stringify(draft.bundle) !== draft.saved;

export function sentenceOf(error: unknown): string {
  return error instanceof Refused ? error.sentence : 'Something in this page failed. Reload it and try again.';
}

/** Does something that may be refused; a refusal is told in passing. */
export async function attempt(console: Console, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    console.toasts.show({ kind: 'warning', text: sentenceOf(error) });
  }
}

/** A table that scrolls within itself on a narrow screen. */
export function table(label: string, heads: readonly string[], rows: readonly (readonly (Node | string)[])[]): HTMLElement {
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': label },
    h('table', {},
      h('thead', {}, h('tr', {}, ...heads.map((head) => h('th', { scope: 'col' }, head)))),
      h('tbody', {}, ...rows.map((cells) => h('tr', {}, ...cells.map((cell) => h('td', {}, cell)))))));
}

export function card(title: string, ...children: (Node | string | undefined)[]): HTMLElement {
  return h('section', { class: 'panel-card', 'aria-label': title }, h('h2', {}, title), ...children);
}

export const moment = (seconds: number): string =>
  new Date(seconds * 1000).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });

export const plural = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`;
