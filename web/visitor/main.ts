/**
 * Entry of both bundles. As a script tag it configures itself from its attributes and binds the page's own buttons:
 *
 * ```html
 * <script src="https://relay.example/fanlight.js" data-group="demo" data-auto></script>
 * <button data-fanlight-start>Get help</button>
 * ```
 *
 * `data-visitor`: whom the site knows this visitor as, for 1-click connect. `data-auto`: come back to a running visit on every
 * page. `data-carrier`, `data-mask` (JSON of the mask options): as in `start`.
 */
import { Fanlight, type MaskOptions, type StartOptions } from './fanlight.ts';
import type { CarrierChoice } from '../protocol/connection.ts';

export { Fanlight } from './fanlight.ts';
export type { FanlightEvents, MaskOptions, StartOptions } from './fanlight.ts';

declare global {
  interface Window {
    Fanlight: typeof Fanlight;
  }
}

/** Any element with this attribute starts a visit when it is clicked; its value may name the group. */
const START_ATTRIBUTE = 'data-fanlight-start';

function optionsOf(script: HTMLScriptElement): Partial<StartOptions> {
  const { group, carrier, mask, relay, visitor } = script.dataset;
  const options: { -readonly [K in keyof StartOptions]?: StartOptions[K] } = { relay: relay ?? new URL(script.src).origin };
  if (group !== undefined) {
    options.group = group;
  }
  if (visitor !== undefined) {
    options.visitorId = visitor;
  }
  if (carrier === 'websocket' || carrier === 'webtransport' || carrier === 'auto') {
    options.carrier = carrier satisfies CarrierChoice;
  }
  if (mask !== undefined) {
    // A rule that cannot be read must not be a rule that is not there: this throws, and no visit can start.
    options.mask = JSON.parse(mask) as MaskOptions;
  }
  return options;
}

/** The page around this frame, if it is this site's own and has (or is about to load) the widget. */
function around(): Window | undefined {
  for (let at: Window = window; at !== at.parent; at = at.parent) {
    try {
      if (at.parent.Fanlight !== undefined || at.parent.document.readyState === 'loading') {
        return at.parent;
      }
    } catch {
      return undefined; // Another site's.
    }
  }
  return undefined;
}

function boot(script: HTMLScriptElement | undefined): void {
  window.Fanlight = Fanlight;
  document.addEventListener('click', (event) => {
    const start = event.target instanceof Element ? event.target.closest(`[${START_ATTRIBUTE}]`) : null;
    if (start !== null) {
      event.preventDefault();
      const group = start.getAttribute(START_ATTRIBUTE) ?? '';
      // What the page around shows contains this frame; a visit of its own would take that one's place in the session.
      void (around()?.Fanlight ?? Fanlight).start(group === '' ? {} : { group });
    }
  });
  if (script === undefined) {
    return;
  }
  Fanlight.configure(optionsOf(script));
  if (script.dataset['auto'] !== undefined && around() === undefined) {
    Fanlight.restore();
  }
}

const current = document.currentScript;
boot(current instanceof HTMLScriptElement && current.src !== '' ? current : undefined);
