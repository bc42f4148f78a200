/**
 * One copy of the visitor's page in a sandboxed frame without scripts: built from a snapshot, changed by diffs.
 *
 * Owns the replayer. Every event takes its synchronous path (the baseline lies in the future, the virtual DOM is off), so a
 * diff is in the DOM when {@link Mirror.apply} returns. A mirror lives for one snapshot; the next snapshot gets a new one,
 * which the viewer swaps in when it is built. Pointers, scaling and order of diffs are the viewer's.
 */

import { Replayer } from '@rrweb/replay';
import type { eventWithTime } from '@rrweb/types';

import { canonicalHtml } from '../../protocol/canonical.ts';
import { placeholder, type AssetLookup } from './address.ts';
import { patchPending } from './patch.ts';
import { EventType, IncrementalSource } from './rrweb.ts';
import { BLOCKED_ATTRIBUTE, scrubEvents } from './scrub.ts';

/** Width and height of the visitor's viewport in CSS pixels. */
export interface Viewport {
  readonly width: number;
  readonly height: number;
}

/** The parts of a scrubbed increment that are looked at here; a mutation always has `attributes`. */
interface Increment extends Viewport {
  readonly source: number;
  readonly attributes: readonly { readonly id: number; readonly attributes: Record<string, unknown> }[];
}

/** Far enough ahead that no session outlives it: a later event would take the replayer's timed path. */
const BASELINE_AHEAD_MS = 365 * 24 * 3600 * 1000;
/** The replayer keeps every event it was given; more than this many and all but the first are let go. */
const EVENTS_KEPT = 256;
/** Shown by a rule of no weight, so that the page's own style wins. A canvas without scripts is an ordinary inline box. */
const VIEWER_RULES = [
  ':where(canvas){display:inline-block;width:var(--fl-canvas-width,300px);height:auto;aspect-ratio:var(--fl-canvas-ratio,2)}',
  // What a canvas holds is for browsers that cannot draw.
  'canvas{font-size:0!important}',
  'canvas>*{display:none!important}',
  `[${BLOCKED_ATTRIBUTE}]{background:repeating-linear-gradient(45deg,#dfe4ec 0 8px,#eef1f6 8px 16px)!important;box-sizing:border-box}`,
  'fl-inert{display:inline-block}',
];
const CANVAS_PICTURE = /^data:image\/(?:webp|png|jpeg);base64,[a-z0-9+/=]+$/iu;

export class Mirror {
  readonly frame: HTMLIFrameElement;
  viewport: Viewport = { width: 1024, height: 768 };
  /** Diffs that named a node this copy does not have; more than a few mean that it has diverged. */
  warnings = 0;
  private readonly replayer: Replayer;
  private clock = Date.now();

  /** An empty mirror inside `root`, which must be in the document. `onResize` hears of the visitor's viewport. */
  constructor(
    root: HTMLElement,
    private readonly lookup: AssetLookup,
    private readonly onResize: () => void,
  ) {
    this.replayer = new Replayer([], {
      root,
      liveMode: true,
      useVirtualDom: false,
      UNSAFE_replayCanvas: false,
      mouseTail: false,
      triggerFocus: false,
      pauseAnimation: false,
      insertStyleRules: VIEWER_RULES,
      logger: { log: () => undefined, warn: () => void this.warnings++ },
    });
    this.frame = this.replayer.iframe;
    this.frame.title = "The visitor's page";
    this.frame.tabIndex = -1;
    this.replayer.startLive(Date.now() + BASELINE_AHEAD_MS);
  }

  /**
   * Applies events in order.
   * @throws {ScrubError} when their structure cannot be read, or what the replayer throws for a page it cannot build.
   */
  apply(events: unknown): void {
    const mirror = this.replayer.getMirror();
    const scrubbed = scrubEvents(events, {
      lookup: this.lookup,
      tagOf: (id) => {
        const node = mirror.getNode(id);
        const element = node?.nodeType === 1 ? (node as Element) : node?.parentElement;
        return element?.localName.toLowerCase() ?? '';
      },
    });
    for (const event of scrubbed) {
      this.cast(event);
    }
  }

  /** Shows assets that have come since in their places. */
  patch(): void {
    if (this.frame.contentDocument !== null) {
      patchPending(this.frame.contentDocument, this.lookup);
    }
  }

  /** The canonical text of the mirrored page, for comparison with the visitor's. */
  html(): string {
    const document = this.frame.contentDocument;
    const mirror = this.replayer.getMirror();
    return document === null
      ? ''
      : canonicalHtml(document, {
          known: (node) => mirror.hasNode(node as never),
          blocked: (element) => element.hasAttribute(BLOCKED_ATTRIBUTE),
        });
  }

  destroy(): void {
    this.replayer.destroy();
  }

  private cast(event: eventWithTime): void {
    // Our own clock: the visitor's may be ahead, and its numbers decide the path an event takes.
    event.timestamp = ++this.clock;
    const type: number = event.type;
    if (type === EventType.Custom) {
      this.custom((event as unknown as { data: unknown }).data);
      return;
    }
    if (type === EventType.Meta) {
      this.resize((event as unknown as { data: Viewport }).data);
    }
    const data = (event as unknown as { data: Increment }).data;
    if (type === EventType.IncrementalSnapshot && data.source === IncrementalSource.ViewportResize) {
      this.resize(data);
    } else if (type === EventType.IncrementalSnapshot && data.source === IncrementalSource.Mutation) {
      this.restyle(data);
    }
    this.replayer.service.send({ type: 'ADD_EVENT', payload: { event } });
    const kept = this.replayer.service.state.context.events;
    if (kept.length > EVENTS_KEPT) {
      kept.splice(1, kept.length - 2);
    }
    if (type === EventType.FullSnapshot) {
      this.showRecordedCanvases();
    }
  }

  private resize(viewport: Viewport): void {
    this.viewport = { width: viewport.width, height: viewport.height };
    this.onResize();
  }

  /** The replayer would rebuild a `<style>` without its text when only its rules are told again, so that is done here. */
  private restyle(data: Increment): void {
    for (const change of data.attributes) {
      const css = change.attributes['_cssText'];
      const node = this.replayer.getMirror().getNode(change.id);
      if (typeof css === 'string' && node?.nodeName === 'STYLE') {
        delete change.attributes['_cssText'];
        const [first, ...rest] = [...node.childNodes].filter((child) => child.nodeType === Node.TEXT_NODE);
        rest.forEach((child) => (child.nodeValue = ''));
        if (first === undefined) {
          node.textContent = css;
        } else {
          first.nodeValue = css;
        }
      }
    }
  }

  private custom(data: unknown): void {
    const { tag, payload } = (data ?? {}) as { tag?: unknown; payload?: unknown };
    const { id, dataUrl } = (payload ?? {}) as { id?: unknown; dataUrl?: unknown };
    const node = typeof id === 'number' ? this.replayer.getMirror().getNode(id) : null;
    if (tag !== 'fl-canvas' || node?.nodeName !== 'CANVAS' || typeof dataUrl !== 'string') {
      return;
    }
    const canvas = node as HTMLCanvasElement;
    if (dataUrl === '') {
      // The visitor's browser may not read this drawing.
      showCanvas(canvas, placeholder(canvas.width, canvas.height));
    } else if (CANVAS_PICTURE.test(dataUrl)) {
      showCanvas(canvas, dataUrl);
    }
  }

  private showRecordedCanvases(): void {
    const mirror = this.replayer.getMirror();
    for (const canvas of this.frame.contentDocument?.querySelectorAll('canvas') ?? []) {
      const attributes = (mirror.getMeta(canvas as never) as { attributes?: Record<string, unknown> } | null)?.attributes;
      const picture = attributes?.['rr_dataURL'];
      sizeCanvas(canvas);
      if (typeof picture === 'string' && CANVAS_PICTURE.test(picture)) {
        showCanvas(canvas, picture);
      }
    }
  }
}

/** Decoding does not keep the order; an older picture must not replace a newer one. */
const newestPicture = new WeakMap<HTMLCanvasElement, string>();

function sizeCanvas(canvas: HTMLCanvasElement): void {
  canvas.style.setProperty('--fl-canvas-width', `${canvas.width}px`);
  canvas.style.setProperty('--fl-canvas-ratio', `${canvas.width} / ${canvas.height}`);
}

/** A frame without scripts does not paint canvases, so the element is replaced by its picture, once that is decoded. */
function showCanvas(canvas: HTMLCanvasElement, dataUrl: string): void {
  const picture = new Image();
  picture.src = dataUrl;
  newestPicture.set(canvas, dataUrl);
  const show = (): void => {
    if (newestPicture.get(canvas) !== dataUrl) {
      return;
    }
    sizeCanvas(canvas);
    // A large canvas comes smaller; the resolution gives the picture the size it has on the visitor's page.
    const resolution = Math.max(0.01, picture.naturalWidth / canvas.width);
    canvas.style.setProperty('content', `image-set(url("${dataUrl}") ${resolution}x)`);
  };
  picture.decode().then(show, () => undefined);
}
