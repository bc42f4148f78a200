/**
 * What a share shows, as far as this viewer can know (rules.md decision 8).
 *
 * `proved`: the captured tab has a capture handle, so the browser itself vouches for its origin; a page that gives its own address as
 * the handle is known with its path. `stated`: a window that the agent chose after this viewer had opened a bookmark; nobody notices
 * where it goes later. `surface`: the kind alone.
 */

import type { Assurance, Surface } from '../../protocol/signal.ts';

export interface Statement {
  readonly url?: string;
  readonly assurance: Assurance;
}

/** Of the Capture Handle Identity draft, which the type library does not know. */
interface CaptureHandle {
  readonly origin?: string;
  readonly handle?: string;
}
export type HandledTrack = MediaStreamTrack & { getCaptureHandle?: () => CaptureHandle | null };

/** What is known of this track. `opened` is the bookmark that was opened last. */
export function statementOf(track: HandledTrack | undefined, surface: Surface | undefined, opened: string | undefined): Statement {
  if (surface === 'browser') {
    const url = urlOf(track?.getCaptureHandle?.() ?? undefined);
    return url === undefined ? { assurance: 'surface' } : { url, assurance: 'proved' };
  }
  if (surface === 'window' && opened !== undefined) {
    return { url: opened, assurance: 'stated' };
  }
  return { assurance: 'surface' };
}

/** The handle is the page's own word; its origin is the browser's. */
function urlOf(handle: CaptureHandle | undefined): string | undefined {
  const origin = handle?.origin;
  if (origin === undefined || !URL.canParse(origin)) {
    return undefined;
  }
  const said = handle?.handle;
  if (said !== undefined && URL.canParse(said) && new URL(said).origin === new URL(origin).origin) {
    return said;
  }
  return new URL('/', origin).href;
}
