/**
 * What must outlive a page load, for this tab only: who we are in which session. Never anything of the page's content.
 */

import type { SessionKind } from '../protocol/lobby.ts';
import type { ShownKey } from './key.ts';

export interface Kept {
  readonly session: string;
  readonly group: string;
  readonly relay: string;
  /** Makes further keys and ends the session. */
  readonly handle: string;
  /** Valid once; replaced at each use. */
  readonly resume: string;
  /** What the session is for; a page of its own asks for `cobrowse`. */
  readonly kind?: SessionKind;
  readonly key?: ShownKey | undefined;
}

const NAME = 'fanlight.session';

export function recallSession(): Kept | undefined {
  try {
    const value: unknown = JSON.parse(sessionStorage.getItem(NAME) ?? 'null');
    return isKept(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

export function keepSession(kept: Kept): void {
  try {
    sessionStorage.setItem(NAME, JSON.stringify(kept));
  } catch {
    // Storage is off: the session lasts as long as this page.
  }
}

export function forgetSession(): void {
  try {
    sessionStorage.removeItem(NAME);
  } catch {
    // Nothing was kept.
  }
}

function isKept(value: unknown): value is Kept {
  const kept = value as Partial<Kept> | null;
  return typeof kept === 'object' && typeof kept?.session === 'string' && typeof kept.resume === 'string' && typeof kept.handle === 'string';
}
