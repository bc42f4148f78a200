/**
 * The public face of the visitor widget: what a web developer calls.
 *
 * ```ts
 * import { Fanlight } from 'fanlight';
 * Fanlight.start({ group: 'demo' });
 * ```
 *
 * One visit at a time; a visit outlives page loads of this tab, and another tab that takes it over ends it here quietly.
 */
import { CLIENT_VERSION, type CarrierChoice } from '../protocol/connection.ts';
import { Events, type EventDetails, type VISITOR_EVENTS } from '../protocol/events.ts';
import { canonicalHtml } from '../protocol/canonical.ts';
import type { Invitation, WayIn } from '../protocol/lobby.ts';
import { Presence } from './presence.ts';
import type { MaskOptions } from './rules.ts';
import { forgetSession, recallSession, type Kept } from './store.ts';
import type { Question, View } from './view.ts';
import { Visit, type VisitOptions } from './visit.ts';
import { Widget } from './widget.ts';

export type { MaskOptions } from './rules.ts';

export interface StartOptions {
  /** The customer account of the site. */
  readonly group: string;
  /** Origin of the relay. Default: the origin of the script, else the page's. */
  readonly relay?: string;
  /** What is hidden beyond the defaults. */
  readonly mask?: MaskOptions;
  /** Whom the site knows this visitor as: agents may then ask to help without a key. */
  readonly visitorId?: string;
  /** How to connect; `auto` tries WebTransport first. */
  readonly carrier?: CarrierChoice;
}

/** What a page can listen to (`docs/events.md`). */
export type FanlightEvents = Pick<EventDetails, (typeof VISITOR_EVENTS)[number]>;

const CHANNEL = 'fanlight';

class FanlightWidget {
  readonly version = CLIENT_VERSION;
  readonly #events = new Events();
  readonly #tab = crypto.getRandomValues(new Uint32Array(2)).join('-');
  readonly #channel = typeof BroadcastChannel === 'function' ? new BroadcastChannel(CHANNEL) : undefined;
  #widget: Widget | undefined;
  #visit: Visit | undefined;
  #options: StartOptions | undefined;
  #defaults: Partial<StartOptions> = {};
  #presence: Presence | undefined;

  constructor() {
    this.#channel?.addEventListener('message', (event: MessageEvent<{ session?: string; tab?: string }>) => {
      // The tab that came last owns the session; the relay closes this one's carrier too, this is only sooner.
      if (event.data.tab !== this.#tab && event.data.session === recallSession()?.session && this.#visit !== undefined) {
        this.#leave();
      }
    });
    window.addEventListener('pagehide', () => this.#visit?.suspend());
    window.addEventListener('pageshow', (event) => {
      if (event.persisted) {
        this.#visit = undefined;
        this.restore(this.#options);
      }
    });
  }

  /** Sets what {@link start} and {@link restore} use when nothing else is said (the script tag does). */
  configure(defaults: Partial<StartOptions>): void {
    this.#defaults = { ...this.#defaults, ...defaults };
    if (defaults.visitorId !== undefined) {
      this.#beHere();
    }
  }

  /** Comes into a session that an agent has made: the landing page of a link does this. */
  enter(way: WayIn, options?: Partial<StartOptions>): void {
    if (this.#visit === undefined) {
      this.#begin(options).enter(way);
    }
  }

  /** Starts a visit and shows its key; comes back to this tab's running visit if there is one. */
  async start(options?: Partial<StartOptions>): Promise<void> {
    if (this.#visit !== undefined) {
      this.#widget?.open();
      return;
    }
    if (this.restore(options)) {
      return;
    }
    const visit = this.#begin(options);
    this.#widget?.open();
    await visit.start();
  }

  /** Comes back to the visit that an earlier page of this tab began; false when there is none. */
  restore(options?: Partial<StartOptions>): boolean {
    const kept = recallSession();
    if (kept === undefined || kept.resume === '' || this.#visit !== undefined) {
      return false;
    }
    this.#claim(kept);
    void this.#begin({ ...options, group: kept.group, relay: kept.relay }).restore(kept);
    return true;
  }

  /** Ends the visit for everybody. */
  stop(): void {
    this.#visit?.end();
  }

  /** A further key, for one more agent. */
  newKey(): Promise<string | undefined> {
    return this.#visit?.newKey() ?? Promise.resolve(undefined);
  }

  /** Agents keep the last picture and get nothing new. */
  pause(): void {
    this.#visit?.pause(true);
  }

  resume(): void {
    this.#visit?.pause(false);
  }

  /** Listens; the answer stops listening. */
  on<K extends keyof FanlightEvents>(name: K, listener: (detail: FanlightEvents[K]) => void): () => void {
    return this.#events.on(name, listener as (detail: EventDetails[K]) => void);
  }

  get phase(): View['phase'] {
    return this.#visit?.view.phase ?? 'idle';
  }

  /** Where the page's stream is, for tests and support. */
  get facts(): Visit['facts'] | undefined {
    return this.#visit?.facts;
  }

  /** Loses the carrier as a broken network would, for tests. */
  drop(): void {
    this.#visit?.drop();
  }

  /** This page in the form that an agent's mirror is compared with. */
  pageHtml(): string {
    const visit = this.#visit;
    return canonicalHtml(document, visit === undefined ? {} : { masked: (element) => visit.hides(element) });
  }

  /** Agents of the group may see that this visitor is on the website, and ask. */
  #beHere(): void {
    this.#presence?.close();
    const { group, visitorId, relay } = this.#defaults;
    if (group === undefined || visitorId === undefined || visitorId === '') {
      this.#presence = undefined;
      return;
    }
    this.#presence = new Presence(relay ?? location.origin, group, visitorId, {
      asked: (invitation) => this.#asked(invitation),
      accepted: (way) => this.enter(way),
      failed: (sentence) => console.warn(`Fanlight: ${sentence}`),
    });
    this.#presence.busy(this.#visit !== undefined);
  }

  #asked(invitation: Invitation | undefined): void {
    const widget = (this.#widget ??= this.#makeWidget());
    widget.invited(invitation);
  }

  /** The visitor's answer to an invite or to a question inside the session. */
  #answer(question: Question, accept: boolean): void {
    if (question.kind !== 'invite') {
      this.#visit?.questions.answer(question, accept);
      return;
    }
    this.#presence?.answer(question.invitation, accept);
  }

  #begin(options: Partial<StartOptions> | undefined): Visit {
    const all: Partial<StartOptions> = { ...this.#defaults, ...options };
    if (all.group === undefined || all.group === '') {
      throw new TypeError('Fanlight.start needs a group');
    }
    this.#options = { ...all, group: all.group };
    const made: VisitOptions = { group: all.group, relay: all.relay ?? location.origin, carrier: all.carrier ?? 'auto', mask: all.mask ?? {} };
    const widget = (this.#widget ??= this.#makeWidget());
    widget.attach();
    const visit = new Visit(made, {
      view: (view) => this.#onView(visit, view),
      screen: (stream) => widget.screen.stream(stream),
      camera: (stream) => widget.camera.stream(stream),
      pointer: (id, name, at) => widget.overlay.move(id, name, at),
      pointerGone: (id) => widget.overlay.remove(id),
      happened: this.#events.tell,
    });
    this.#visit = visit;
    this.#presence?.busy(true);
    return visit;
  }

  #onView(visit: Visit, view: View): void {
    if (visit !== this.#visit) {
      return;
    }
    this.#widget?.show(view);
    if (view.phase === 'ended') {
      this.#visit = undefined;
      this.#presence?.busy(false);
    }
  }

  #makeWidget(): Widget {
    return new Widget({
      answer: (question, accept) => this.#answer(question, accept),
      allowScreen: (question) => void this.#visit?.questions.allowScreen(question),
      shareScreen: (question) => void this.#visit?.questions.shareScreen(question),
      stopSharing: () => this.#visit?.stopSharing(),
      askCamera: () => this.#visit?.questions.askCamera(),
      showCamera: (question) => this.#visit?.questions.showCamera(question),
      hideCamera: (on) => this.#visit?.hideCamera(on),
      flipCamera: () => this.#visit?.flipCamera(),
      stopCamera: () => this.#visit?.stopCamera(),
      newKey: () => void this.newKey(),
      pause: (on) => this.#visit?.pause(on),
      end: () => this.stop(),
      retry: () => void this.#retry(),
      dismiss: () => this.#visit?.dismiss(),
      close: () => {
        this.#visit = undefined;
        this.#presence?.busy(false);
        this.#widget?.detach();
      },
    });
  }

  async #retry(): Promise<void> {
    this.#visit = undefined;
    await this.start(this.#options);
  }

  #claim(kept: Kept): void {
    this.#channel?.postMessage({ session: kept.session, tab: this.#tab });
  }

  #leave(): void {
    this.#visit?.suspend();
    this.#visit = undefined;
    this.#presence?.busy(false);
    forgetSession();
    this.#widget?.detach();
  }
}

/** The one widget of this page. */
export const Fanlight = new FanlightWidget();
