/** `window.__fanlight`: what the browser tests read. It shows nothing that the page does not hold anyway and grants nothing. */

import type { Applied } from '../viewer.ts';
import type { Room } from './room.ts';

/** Read by tests and by nothing else. */
export interface TestHook {
  readonly applied: () => Applied;
  readonly warnings: () => number;
  readonly pageHtml: () => string;
  readonly state: () => unknown;
  readonly quality: () => unknown;
  readonly frame: () => HTMLIFrameElement | null;
  /** Loses the carrier as a broken network would. */
  readonly drop: () => void;
}

declare global {
  interface Window {
    __fanlight?: TestHook;
  }
}

export function exposeForTests(room: Room): void {
  window.__fanlight = {
    applied: () => ({ ...room.stage.viewer.applied }),
    warnings: () => room.stage.viewer.warnings,
    pageHtml: () => room.stage.viewer.pageHtml(),
    state: () => room.session.state,
    quality: () => room.session.quality,
    frame: () => document.querySelector('.mirror-stage iframe'),
    drop: () => room.session.drop(),
  };
}
