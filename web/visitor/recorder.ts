/**
 * Records the page while a session is active, through the scrubber, into the stream.
 *
 * Nothing is recorded before {@link Recorder.start}. A snapshot is taken in a task of its own, when the browser has delivered
 * every mutation before it, so that "contains diff n" is exact. If the scrubber throws, recording ends and nothing is sent.
 */
import { record } from '@rrweb/record';
import type { eventWithTime } from '@rrweb/types';
import type { Masks } from '../protocol/signal.ts';
import { Assets, type Asset } from './assets.ts';
import { CanvasWatch } from './canvas.ts';
import { LivePage } from './page.ts';
import { HIDDEN_VALUE, hidesValue, obey, type Rules } from './rules.ts';
import { Scrubber, type Use } from './scrub.ts';

export interface RecorderEvents {
  snapshot(events: readonly eventWithTime[]): void;
  diff(event: eventWithTime): void;
  asset(asset: Asset): void;
  /** The rules for hiding could not be applied; nothing more is recorded. */
  failed(error: unknown): void;
  /** A change may have been missed: begin a new page epoch. */
  lost(): void;
  /** More is hidden than what was already sent says: it must be forgotten by everybody. */
  hidden(): void;
}

const META = 4;
const FULL_SNAPSHOT = 2;
const INCREMENTAL = 3;
/** A page on which the recorder fails more often is not shown at all. */
const STUMBLES_MAX = 10;
/** Style sheets whose assets became ready are told again at most this often. */
const RETELL_MS = 60;

export class Recorder {
  readonly #events: RecorderEvents;
  readonly #page: LivePage;
  readonly #scrubber: Scrubber;
  readonly #assets: Assets;
  readonly #canvases: CanvasWatch;
  readonly #rules: Rules;
  readonly #own: Rules;
  #stopRecord: (() => void) | undefined;
  #meta: eventWithTime | undefined;
  #uses = new Map<string, Use>();
  #stumbles = 0;
  #recovering = false;
  #retelling: ReturnType<typeof setTimeout> | undefined;

  constructor(rules: Rules, events: RecorderEvents) {
    this.#rules = rules;
    this.#own = { ...rules };
    this.#events = events;
    this.#assets = new Assets({
      send: (asset) => this.#events.asset(asset),
      ready: (uses) => this.#retell(uses),
    });
    this.#page = new LivePage((id) => record.mirror.getNode(id), rules, (address, use) => this.#assets.reference(address, use));
    this.#scrubber = new Scrubber(this.#page, rules);
    this.#canvases = new CanvasWatch(
      (element) => record.mirror.getId(element),
      (element) => this.#page.stateOfElement(element).rule === 'mask' || element.closest(rules.block) !== null,
      (event) => this.#events.diff(event),
    );
  }

  /** The group hides this too; in force from the next recording on. */
  obey(group: Masks): void {
    obey(this.#rules, this.#own, group);
  }

  get recording(): boolean {
    return this.#stopRecord !== undefined;
  }

  /** The relay has these assets and no others. */
  held(names: readonly string[]): void {
    this.#assets.held(names);
  }

  /** Begins with a snapshot. */
  start(): void {
    this.stop();
    try {
      this.#stopRecord = record({
        // @rrweb/record brings newer type names than @rrweb/types; the events are the same.
        emit: (event) => this.#emit(event as unknown as eventWithTime),
        recordAfter: 'DOMContentLoaded',
        blockSelector: this.#rules.block,
        maskAllInputs: true,
        maskInputFn: (text, element) => this.#maskInput(text, element),
        inlineStylesheet: true,
        inlineImages: false,
        recordCanvas: false,
        collectFonts: false,
        slimDOMOptions: {
          script: true, comment: true, headFavicon: true, headWhitespace: true, headMetaSocial: true, headMetaRobots: true,
          headMetaHttpEquiv: true, headMetaVerification: true, headMetaAuthorship: true, headMetaDescKeywords: true, headTitleMutations: true,
        },
        sampling: { mousemove: false, mouseInteraction: false, scroll: 33, media: 400, input: 'last' },
        // The recorder's errors must not become the page's.
        errorHandler: (error) => {
          this.#stumble(error);
          return true;
        },
      });
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#canvases.start();
    this.#assets.flush();
  }

  /** Takes a snapshot in the next task. */
  photograph(): void {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      channel.port1.close();
      if (this.recording) {
        record.takeFullSnapshot(false);
        this.#canvases.again();
      }
    };
    channel.port2.postMessage(null);
  }

  stop(): void {
    this.#canvases.stop();
    this.#stopRecord?.();
    this.#stopRecord = undefined;
    this.#meta = undefined;
    clearTimeout(this.#retelling);
    this.#retelling = undefined;
    this.#uses.clear();
  }

  /** Is the text in this element hidden? For comparing a page with its mirror. */
  hides(element: Element): boolean {
    this.#page.forget();
    const state = this.#page.stateOfElement(element);
    return state.rule === 'mask' || (state.editable && state.rule !== 'unmask');
  }

  #maskInput(text: string, element: HTMLElement): string {
    this.#page.forget();
    return text === '' || !hidesValue(this.#page.stateOfElement(element)) ? text : HIDDEN_VALUE;
  }

  #emit(event: eventWithTime): void {
    try {
      this.#page.forget();
      const clean = this.#scrubber.scrub(event);
      if (clean !== undefined) {
        this.#pass(clean);
      }
      if (this.#page.tightened() && event.type === INCREMENTAL) {
        this.#events.hidden();
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #pass(event: eventWithTime): void {
    if (event.type === META) {
      this.#meta = event;
    } else if (event.type === FULL_SNAPSHOT) {
      this.#events.snapshot(this.#meta === undefined ? [event] : [this.#meta, event]);
    } else {
      this.#events.diff(event);
    }
  }

  /** The recorder itself failed and may have missed a change: it begins anew, but not for ever. */
  #stumble(error: unknown): void {
    this.#stumbles += 1;
    if (this.#stumbles > STUMBLES_MAX) {
      this.#fail(error);
    } else if (!this.#recovering) {
      this.#recovering = true;
      setTimeout(() => {
        this.#recovering = false;
        if (this.recording) {
          this.#events.lost();
        }
      });
    }
  }

  #fail(error: unknown): void {
    this.stop();
    this.#events.failed(error);
  }

  #retell(uses: readonly Use[]): void {
    for (const use of uses) {
      this.#uses.set(`${use.id} ${use.attribute}`, use);
    }
    this.#retelling ??= setTimeout(() => {
      this.#retelling = undefined;
      const due = [...this.#uses.values()];
      this.#uses.clear();
      if (this.recording) {
        this.#tell(due);
      }
    }, RETELL_MS);
  }

  /** The attributes as they are now, as a change of the recorder's own form: the scrubber puts the assets' names in. */
  #tell(uses: readonly Use[]): void {
    const attributes = uses.flatMap((use) => {
      const value = this.#page.now(use);
      return value === undefined ? [] : [{ id: use.id, attributes: { [use.attribute]: value } }];
    });
    if (attributes.length > 0) {
      const data = { source: 0, texts: [], attributes, removes: [], adds: [] };
      this.#emit({ type: INCREMENTAL, data, timestamp: Date.now() } as unknown as eventWithTime);
    }
  }
}
