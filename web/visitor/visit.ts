/**
 * One visit: from the key to the end, in this page. Owns the connection, the recorder, the stream, the share, and the one
 * value that the widget shows.
 *
 * Keeps the promise of consent: the recorder runs only while the session's stage is `active`, and stops in the same turn in
 * which it is not. Every welcome begins a new page epoch, because this side cannot know which of its last diffs arrived.
 */
import { Connection, type CarrierChoice, type Closed, type ConnectionState } from '../protocol/connection.ts';
import { Narrator, type Tell } from '../protocol/events.ts';
import { Kind, type Frame } from '../protocol/frame.ts';
import {
  Capability, type CameraState, type Denied, type Member, type ShareState, type SnapshotReason, type Stage, type ToClient,
  type ToRelay, type Welcome,
} from '../protocol/signal.ts';
import type { WayIn } from '../protocol/lobby.ts';
import { Api, RefusedError } from './api.ts';
import { Camera, hasCameras } from './camera.ts';
import { KeyWatch, shownKey, stillGood } from './key.ts';
import { OwnPointer, pointerFrame, pointerOf, type PointerAt } from './pointer.ts';
import { Questions } from './questions.ts';
import { Recorder } from './recorder.ts';
import { compileRules, type MaskOptions } from './rules.ts';
import { Share } from './share.ts';
import { forgetSession, keepSession, type Kept } from './store.ts';
import { PageStream } from './stream.ts';
import { IDLE, type View } from './view.ts';

export interface VisitOptions {
  readonly group: string;
  readonly relay: string;
  readonly carrier: CarrierChoice;
  readonly mask: MaskOptions;
}

export interface VisitEvents {
  view(view: View): void;
  screen(stream: MediaStream): void;
  /** The visitor's own camera, for its preview. */
  camera(stream: MediaStream | null): void;
  pointer(id: number, name: string, at: PointerAt): void;
  pointerGone(id: number): void;
  /** Something of the one list of events has happened. */
  happened: Tell;
}

const NO_CAMERA: CameraState = { epoch: 0, phase: 'empty' };

export class Visit {
  readonly questions: Questions;
  readonly #options: VisitOptions;
  readonly #events: VisitEvents;
  readonly #api: Api;
  readonly #recorder: Recorder;
  readonly #stream: PageStream;
  readonly #share: Share;
  readonly #camera: Camera;
  readonly #keyWatch = new KeyWatch(() => this.#showKey(undefined, { notice: { text: 'The key has expired. Press “New key” for another one.', retry: false } }));
  readonly #pointer: OwnPointer;
  readonly #narrator: Narrator;
  #connection: Connection | undefined;
  #kept: Kept | undefined;
  #view: View = IDLE;
  #you = 0;
  #pageEpoch = 0;
  #maskEpoch = 0;
  #over = false;
  #mayShowPage = false;

  constructor(options: VisitOptions, events: VisitEvents) {
    this.#options = options;
    this.#events = events;
    this.#api = new Api(options.relay);
    this.#narrator = new Narrator(events.happened);
    this.#stream = new PageStream(this.#outlet(), {
      photograph: () => this.#newPage(),
      oversize: () => this.#notice('This page is too large to be shown to the agent.'),
    });
    this.#recorder = new Recorder(compileRules(options.mask), {
      snapshot: (events_) => this.#stream.snapshot(events_),
      diff: (event) => this.#stream.diff(event),
      asset: (asset) => this.#stream.asset(asset),
      failed: (error) => this.#maskFailed(error),
      lost: () => this.#newPage(),
      hidden: () => this.#hideMore(),
    });
    this.#share = new Share({
      signal: (signal) => void this.#say(signal),
      incoming: (stream) => events.screen(stream),
      ended: () => this.#show({ own: 'off' }),
      connected: () => undefined,
    });
    this.#camera = new Camera(this.#share, {
      signal: (signal) => void this.#connection?.signal(signal),
      view: (camera) => this.#show({ camera }),
      preview: (stream) => events.camera(stream),
      notice: (text) => this.#notice(text),
    });
    const view = (): View => this.#view;
    this.questions = new Questions(this.#share, this.#camera, {
      say: (signal) => void this.#say(signal),
      show: (change) => this.#show(change),
      get view() {
        return view();
      },
    });
    this.#pointer = new OwnPointer((at) => void this.#connection?.send(pointerFrame(at, this.#pageEpoch)));
  }

  get view(): View {
    return this.#view;
  }

  /** The newest page epoch and diff, the carrier, the round trip: for tests and the curious. */
  get facts(): { epoch: number; sequence: number; carrier: string; rtt: number | undefined } {
    return { ...this.#stream.position, carrier: this.#connection?.carrier ?? '', rtt: this.#connection?.rtt };
  }

  hides(element: Element): boolean {
    return this.#recorder.hides(element);
  }

  drop(): void {
    this.#connection?.drop();
  }

  /** Creates a session and shows its key. */
  async start(): Promise<void> {
    this.#show({ phase: 'starting' });
    try {
      const created = await this.#api.create(this.#options.group);
      this.#kept = { session: created.session, group: this.#options.group, relay: this.#options.relay, handle: created.handle, resume: '' };
      this.#showKey(shownKey(created), { phase: 'waiting' });
      this.#events.happened('session.created', { session: created.session });
      this.#events.happened('key.created', { key: created.key });
      this.#connect({ connect: created.connect, ticket: created.ticket });
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Comes into a session that somebody else has made: an invite that was accepted, a link that was opened. */
  enter(way: WayIn): void {
    const { session, handle, kind } = way;
    this.#kept = { session, group: this.#options.group, relay: this.#options.relay, handle, resume: '', kind };
    this.#show({ phase: 'waiting', kind });
    this.#connect({ connect: way.connect, ticket: way.ticket });
  }

  /** Comes back to a session that an earlier page of this tab began. */
  async restore(kept: Kept): Promise<void> {
    this.#kept = kept;
    this.#showKey(stillGood(kept.key), { phase: 'starting', connection: 'reconnecting', kind: kept.kind ?? 'cobrowse' });
    try {
      const connect = await this.#api.connect(kept.session);
      this.#connect({ connect, resume: kept.resume });
    } catch (error) {
      if (error instanceof RefusedError && error.code === 'E_NETWORK') {
        this.#fail(error);
      } else {
        this.#ended({ code: 'E_SESSION', sentence: 'The help session has ended.' });
      }
    }
  }

  /** A further key, for one more agent. */
  async newKey(): Promise<string | undefined> {
    const kept = this.#kept;
    if (kept === undefined) {
      return undefined;
    }
    try {
      const further = await this.#api.furtherKey(kept.group, kept.handle);
      this.#showKey(shownKey(further), { notice: undefined });
      this.#events.happened('key.created', { key: further.key });
      return further.key;
    } catch (error) {
      this.#notice(error instanceof Error ? error.message : '');
      return undefined;
    }
  }

  pause(on: boolean): void {
    this.#connection?.signal({ t: 'pause', on });
  }

  stopSharing(): void {
    this.#share.stop();
    this.#show({ own: 'off' });
  }

  hideCamera(on: boolean): void {
    this.#camera.hide(on);
  }

  flipCamera(): void {
    void this.#camera.flip();
  }

  stopCamera(): void {
    this.#camera.stop();
  }

  dismiss(): void {
    this.#show({ notice: undefined });
  }

  /** R188: the visitor ends the session for everybody, at any time. */
  end(): void {
    const said = this.#connection?.signal({ t: 'end' }) ?? false;
    const kept = this.#kept;
    if (!said && kept !== undefined) {
      this.#api.end(kept.session, kept.handle).catch(() => undefined);
    }
    this.#ended({ code: 'E_ENDED', sentence: 'You have ended the help session. Nothing is shown any more.' });
  }

  /** Leaves this page's part without ending the session: the page is going away. */
  suspend(): void {
    this.#over = true;
    this.#quiet();
    this.#keyWatch.watch(undefined);
    this.#camera.abandon();
    this.#connection?.close();
  }

  #connect(how: { connect: ConstructorParameters<typeof Connection>[0]['connect']; ticket?: string; resume?: string }): void {
    const session = this.#kept?.session ?? '';
    this.#connection = new Connection(
      { ...how, relay: this.#options.relay, carrier: this.#options.carrier, refresh: () => this.#api.connect(session) },
      {
        signal: (signal) => this.#onSignal(signal),
        frame: (frame) => this.#onFrame(frame),
        state: (state, closed) => this.#onState(state, closed),
        drained: () => this.#stream.drained(),
        resume: (token) => this.#keep({ resume: token }),
      },
    );
  }

  #outlet(): { send(frame: Frame): boolean; readonly backlog: number } {
    const connection = (): Connection | undefined => this.#connection;
    return {
      send: (frame) => connection()?.send(frame) ?? false,
      get backlog() {
        return connection()?.backlog ?? 0;
      },
    };
  }

  #onState(state: ConnectionState, closed?: Closed): void {
    if (this.#over) {
      return;
    }
    if (state === 'closed') {
      this.#ended(closed ?? { code: 'E_ENDED', sentence: 'The help session has ended.' });
      return;
    }
    if (state !== 'open') {
      // Recorded while nobody listens would only be thrown away: the next welcome begins with a snapshot.
      this.#quiet();
    }
    this.#show({ connection: state });
  }

  #say(signal: ToRelay): boolean {
    const said = this.#connection?.signal(signal) ?? false;
    if (said) {
      this.#narrator.said(signal);
    }
    return said;
  }

  #onSignal(signal: ToClient): void {
    if (this.#over) {
      return;
    }
    if (signal.t !== 'session.ended') {
      this.#narrator.heard(signal);
    }
    switch (signal.t) {
      case 'welcome':
        this.#onWelcome(signal);
        break;
      case 'session.stage':
        this.#onStage(signal.stage);
        break;
      case 'session.ending':
        this.#notice(`This session has reached its longest time. It ends in ${signal.seconds} seconds.`);
        break;
      case 'session.ended':
        this.#ended(signal);
        break;
      case 'snapshot.wanted':
        this.#onWanted(signal.reason);
        break;
      case 'consent.ask':
        this.questions.asked(signal);
        break;
      case 'consent.withdrawn':
        this.questions.withdrawn(signal.ask);
        break;
      case 'share.invited':
        this.questions.invited(signal);
        break;
      case 'member':
        this.#onMember(signal);
        break;
      case 'member.left':
        this.#events.pointerGone(signal.id);
        this.#show({ members: this.#view.members.filter((member) => member.id !== signal.id) });
        break;
      case 'answer':
        this.#share.answer(signal.sdp).catch(() => this.#notice('The video connection could not be made.'));
        break;
      case 'share.state':
        this.#onShare(signal);
        break;
      case 'camera.state':
        this.#camera.take(signal, this.#you);
        break;
      case 'camera.words':
        this.questions.aboutCamera(signal);
        break;
      case 'share.taken_over':
        this.#share.abandon();
        this.#show({ own: 'off', notice: { text: signal.text, retry: false } });
        break;
      case 'mask.raised':
        this.#maskEpoch = Math.max(signal.epoch, this.#maskEpoch);
        this.#recorder.obey(signal.masks);
        this.#forgotten();
        break;
      case 'denied':
        this.#onDenied(signal);
        break;
      default:
        break;
    }
  }

  #onWelcome(welcome: Welcome): void {
    this.#you = welcome.you;
    this.#pageEpoch = welcome.page_epoch;
    this.#maskEpoch = Math.max(welcome.mask_epoch, this.#maskEpoch);
    if (welcome.masks !== undefined) {
      this.#recorder.obey(welcome.masks);
    }
    this.#recorder.held(welcome.assets ?? []);
    const members = welcome.members.filter((member) => member.id !== welcome.you);
    this.#mayShowPage = (welcome.capabilities & Capability.PUB_DOM) !== 0;
    const mayShowCamera = (welcome.capabilities & Capability.PUB_CAMERA) !== 0 && hasCameras();
    this.#show({ connection: 'open', members, mayShowCamera });
    this.#camera.take(welcome.camera ?? NO_CAMERA, this.#you);
    for (const share of welcome.shares) {
      this.#onShare(share);
    }
    this.#onStage(welcome.stage);
  }

  #onStage(stage: Stage): void {
    this.#show({ phase: stage });
    if (stage !== 'active') {
      this.#quiet();
      // The relay has switched it off; going on does not switch it on again.
      this.#camera.abandon();
      return;
    }
    // Without the right to show a page nothing records it.
    if (this.#mayShowPage) {
      if (!this.#recorder.recording) {
        this.#newPage();
      }
      this.#pointer.start();
    }
    this.#share.connect().catch(() => this.#notice('The video connection could not be made.'));
  }

  /** Recording itself begins with a snapshot, so the first one of an epoch is never taken twice: it blocks the page. */
  #onWanted(reason: SnapshotReason): void {
    if (!this.#mayShowPage) {
      return;
    }
    if (this.#stream.behind) {
      this.#newPage();
    } else if (!((reason === 'first' || reason === 'unpaused') && this.#stream.begun)) {
      this.#recorder.photograph();
    }
  }

  /** A new page epoch from a fresh recording. */
  #newPage(): void {
    this.#pageEpoch += 1;
    this.#stream.begin(this.#pageEpoch, this.#maskEpoch);
    this.#recorder.start();
  }

  /** Nothing leaves this page. */
  #quiet(): void {
    this.#recorder.stop();
    this.#stream.stop();
    this.#pointer.stop();
  }

  #hideMore(): void {
    this.#maskEpoch += 1;
    this.#connection?.signal({ t: 'mask', epoch: this.#maskEpoch });
    this.#forgotten();
  }

  /** The relay forgets everything that was recorded under the older rules, assets too. */
  #forgotten(): void {
    this.#recorder.held([]);
    if (this.#recorder.recording) {
      this.#newPage();
    }
  }

  #maskFailed(error: unknown): void {
    this.#quiet();
    this.#events.happened('mask.error', { error });
    this.#connection?.signal({ t: 'mask.error' });
    this.#notice('Your page cannot be shown safely, so nothing is shown.');
  }

  #onMember(member: Member): void {
    if (member.id === this.#you) {
      return;
    }
    const others = this.#view.members.filter((known) => known.id !== member.id);
    this.#show({ members: [...others, { id: member.id, role: member.role, name: member.name, presence: member.presence }] });
    if (member.presence === 'here') {
      // The key has done its work; the next agent needs a new one.
      this.#showKey(undefined);
    }
  }

  #onShare(share: ShareState): void {
    if (share.slot === 'agent') {
      const name = this.#view.members.find((member) => member.id === share.holder)?.name ?? 'The agent';
      this.#show({ theirs: { phase: share.phase, name, audio: share.audio } });
      return;
    }
    const mine = share.holder === this.#you && share.phase !== 'empty';
    if (mine) {
      this.#show({ own: share.phase });
    } else if (this.#view.own === 'live' && this.#share.sharing) {
      this.#share.abandon();
      this.#show({ own: 'off' });
    } else if (!this.#share.sharing) {
      this.#show({ own: 'off' });
    }
  }

  #onDenied(denied: Denied): void {
    if (denied.re.startsWith('share.start')) {
      this.#share.abandon();
      this.#show({ own: 'off' });
    }
    if (denied.re === 'camera.start') {
      this.#camera.abandon();
    }
    if (denied.re.startsWith('share') || denied.re === 'offer' || denied.re === 'camera.start') {
      this.#notice(denied.sentence);
    }
  }

  #onFrame(frame: Frame): void {
    if (frame.kind === Kind.PointerMove && this.#view.phase === 'active') {
      const at = pointerOf(frame.payload);
      const member = this.#view.members.find((known) => known.id === frame.source);
      if (at !== undefined && member !== undefined) {
        this.#events.pointer(member.id, member.name, at);
      }
    }
  }

  #ended(closed: Closed & { by?: number }): void {
    if (this.#over) {
      return;
    }
    this.#over = true;
    this.#quiet();
    this.#camera.abandon();
    this.#share.close();
    this.#keyWatch.watch(undefined);
    this.questions.close();
    this.#connection?.close();
    if (closed.code !== 'E_REPLACED') {
      forgetSession();
    }
    this.#view = { ...IDLE, kind: this.#view.kind, phase: 'ended', notice: { text: closed.sentence, retry: false } };
    this.#events.view(this.#view);
    this.#events.happened('session.ended', { code: closed.code, ...(closed.by !== undefined && { by: closed.by }) });
  }

  #fail(error: unknown): void {
    const text = error instanceof RefusedError ? error.message : 'Something went wrong. Please try again.';
    this.#show({ phase: 'failed', notice: { text, retry: true } });
  }

  #notice(text: string): void {
    this.#show({ notice: { text, retry: false } });
  }

  #keep(change: Partial<Kept>): void {
    if (this.#kept !== undefined && !this.#over) {
      this.#kept = { ...this.#kept, ...change };
      keepSession(this.#kept);
    }
  }

  #showKey(key: View['key'], more: Partial<View> = {}): void {
    this.#keep({ key });
    this.#show({ ...more, key });
    this.#keyWatch.watch(key);
  }

  #show(change: Partial<View>): void {
    this.#view = { ...this.#view, ...change };
    this.#events.view(this.#view);
  }
}
