/**
 * One session of one agent: the connection, what it says, and the parts that act on it.
 *
 * Owns the state ({@link SessionState}) and tells its listener after every change; the interface is drawn from there. What
 * survives a reload of the tab (login, session, resume token) is kept in `storage.ts`.
 */

import { Connection, type CarrierChoice, type Closed, type Connect, type ConnectionState } from '../../protocol/connection.ts';
import { Narrator } from '../../protocol/events.ts';
import { FLAG_DEFLATE, Kind, frameOf, type Frame } from '../../protocol/frame.ts';
import { Assembler, type Message } from '../../protocol/message.ts';
import type { SessionKind } from '../../protocol/lobby.ts';
import { Capability, type Mode, type ToClient, type ToRelay } from '../../protocol/signal.ts';
import type { Viewer } from '../viewer.ts';
import { readPointer, writePointer, type PointerPosition } from '../viewer/overlay.ts';
import { connectOf } from './api.ts';
import { FanlightAgent } from './events.ts';
import { Media } from './media.ts';
import type { Quality } from './panel.ts';
import { Share, type ShareStep } from './share.ts';
import { admitted, displayName, INITIAL, invited, next, noticeOf, type Notice, type SessionState, type ShareRefusal } from './state.ts';

/** How to enter: with a fresh ticket, or back into the place that a token names. */
export interface Entry {
  readonly session: string;
  readonly connect: Connect;
  readonly ticket?: string;
  readonly resume?: string;
  readonly kind?: SessionKind;
}

export interface SessionEvents {
  readonly changed: () => void;
  readonly notice: (notice: Notice) => void;
  readonly takenOver: (text: string) => void;
  readonly refused: (refusal: ShareRefusal) => void;
  readonly notCaptured: (error: unknown) => void;
  readonly stream: (stream: MediaStream) => void;
  readonly camera: (stream: MediaStream) => void;
  /** A new resume token to keep. */
  readonly resume: (token: string) => void;
  /** The rules for hiding have changed: what was seen of the page must go. */
  readonly forget: () => void;
  /** It is over, with a sentence that says why. */
  readonly over: (closed: Closed) => void;
}

/** Pointer frames leave at a display's pace, no faster (`limits::POINTERS_PER_SECOND`). */
const POINTER_INTERVAL_MS = 1000 / 60;

export class Session {
  state: SessionState = INITIAL;
  quality: Quality = { connection: 'connecting', carrier: '', rtt: undefined, media: 'none' };
  viewer: Viewer | undefined;
  readonly share: Share;
  private readonly connection: Connection;
  private readonly media: Media;
  private readonly assembler = new Assembler();
  private readonly narrator = new Narrator(FanlightAgent.tell);
  private pointerAt = 0;
  private pointerLater = 0;
  private maskEpoch = 0;

  constructor(
    entry: Entry,
    carrier: CarrierChoice,
    private readonly on: SessionEvents,
  ) {
    this.media = new Media({
      offer: (sdp) => void this.send({ t: 'offer', sdp }),
      stream: on.stream,
      camera: on.camera,
      state: (media) => this.measure({ media }),
      renewed: () => this.share.announceAgain(),
    });
    this.share = new Share(this.media, () => this.state.you, {
      send: (signal) => void this.send(signal),
      step: () => on.changed(),
      refused: on.refused,
      takenOver: on.takenOver,
      notCaptured: on.notCaptured,
    });
    const credentials = entry.resume === undefined ? { ticket: entry.ticket ?? '' } : { resume: entry.resume };
    this.connection = new Connection(
      { connect: entry.connect, ...credentials, carrier, refresh: () => connectOf(entry.session) },
      {
        signal: (signal) => this.signal(signal),
        frame: (frame) => this.frame(frame),
        state: (state, closed) => this.connectionState(state, closed),
        resume: on.resume,
        rtt: (rtt) => this.measure({ rtt }),
      },
    );
  }

  get shareStep(): ShareStep {
    return this.share.step;
  }

  setMode(mode: Mode): void {
    void this.send({ t: 'mode.set', mode });
  }

  /** R044. */
  inviteVisitor(): void {
    if (this.send({ t: 'share.invite' })) {
      this.update(invited(this.state));
    }
  }

  wantResync(): void {
    void this.send({ t: 'resync' });
  }

  /** Shows where the agent points, if the mode allows it (R156, R158); the newest place wins. */
  point(position: PointerPosition): void {
    const { state } = this;
    const allowed = admitted(state) && state.stage === 'active' && state.mode === 'view_pointer';
    if (!allowed || (state.capabilities & Capability.POINTER) === 0) {
      return;
    }
    clearTimeout(this.pointerLater);
    const wait = this.pointerAt + POINTER_INTERVAL_MS - performance.now();
    if (wait > 0) {
      this.pointerLater = window.setTimeout(() => this.point(position), wait);
      return;
    }
    this.pointerAt = performance.now();
    const pageEpoch = this.viewer?.applied.position?.pageEpoch ?? state.pageEpoch;
    this.connection.send(frameOf(Kind.PointerMove, writePointer(position), { pageEpoch }));
  }

  /** R186: this agent goes, the session stays. */
  leave(): void {
    void this.send({ t: 'leave' });
    this.close();
  }

  /** R187: the relay tells everybody, then closes. */
  end(): void {
    if (!this.send({ t: 'end' })) {
      this.close();
    }
  }

  /** Loses the network on purpose, for tests. */
  drop(): void {
    this.connection.drop();
  }

  private close(): void {
    this.connection.close();
  }

  private send(signal: ToRelay): boolean {
    const sent = this.connection.signal(signal);
    if (sent) {
      this.narrator.said(signal);
    }
    return sent;
  }

  private signal(signal: ToClient): void {
    const notice = noticeOf(this.state, signal);
    const before = this.state;
    this.state = next(this.state, signal);
    this.narrator.heard(signal);
    switch (signal.t) {
      case 'welcome':
        this.welcomed(signal.resumed, signal.mask_epoch);
        break;
      case 'answer':
        void this.media.answer(signal.sdp);
        break;
      case 'resync':
        if (signal.reason === 'mask') {
          this.on.forget();
        }
        this.viewer?.expectSnapshot();
        break;
      default:
        this.share.take(signal);
    }
    if (admitted(this.state) && !admitted(before)) {
      this.media.start();
    }
    if (notice !== undefined) {
      this.on.notice(notice);
    }
    this.on.changed();
  }

  private welcomed(resumed: boolean, maskEpoch: number): void {
    this.obey(maskEpoch);
    this.measure({ carrier: this.connection.carrier === 'webtransport' ? 'WebTransport' : 'WebSocket' });
    if (resumed && admitted(this.state) && !this.media.healthy) {
      this.media.renew();
    }
  }

  private frame(frame: Frame): void {
    if (frame.kind === Kind.PointerMove) {
      const position = readPointer(frame.payload);
      const owner = this.state.members.find((member) => member.id === frame.source);
      if (position !== undefined && owner !== undefined) {
        this.viewer?.movePointer(frame.source, displayName(owner), position);
      }
      return;
    }
    const message = this.assembler.push(frame, performance.now());
    if (message !== undefined) {
      this.message(message);
    }
  }

  private message(message: Message): void {
    const { header, payload } = message;
    this.obey(header.maskEpoch);
    const { viewer } = this;
    if (header.kind === Kind.Asset) {
      viewer?.takeAsset(payload);
    } else if (header.kind === Kind.Snapshot || header.kind === Kind.Diff) {
      const kind = header.kind === Kind.Snapshot ? 'snapshot' : 'diff';
      const { pageEpoch, sequence } = header;
      viewer?.takePage({ kind, pageEpoch, sequence, deflated: (header.flags & FLAG_DEFLATE) !== 0, payload });
    }
  }

  /** What newer rules hide must not stay on this screen while the new picture is on its way. */
  private obey(maskEpoch: number): void {
    if (maskEpoch > this.maskEpoch) {
      this.maskEpoch = maskEpoch;
      this.on.forget();
    }
  }

  private connectionState(state: ConnectionState, closed: Closed | undefined): void {
    this.measure({ connection: state === 'open' ? 'connected' : state });
    if (state !== 'open') {
      // What was unfinished is lost. Not at the next welcome: on another stream, a page may overtake that.
      this.assembler.clear();
    }
    if (state === 'closed') {
      this.share.end();
      this.media.stop();
      clearTimeout(this.pointerLater);
      this.on.over(closed ?? { code: 'E_LEFT', sentence: 'You have left the session.' });
    }
  }

  private measure(part: Partial<Quality>): void {
    this.quality = { ...this.quality, ...part };
    this.on.changed();
  }

  private update(state: SessionState): void {
    this.state = state;
    this.on.changed();
  }
}
