/**
 * The phone's side of a camera link (R125, R126): who asks, one tap, the camera, the end. There is no page to show and no DOM
 * channel; the ticket allows a camera and nothing else.
 *
 * The device opens within the tap, before the link is used up: whoever says no to the browser's question keeps the link. The tap
 * is the visitor's consent to the agent whose name was on the screen, in the words that were; the relay's question about anybody
 * else, or in other words, is put to it.
 */
import { Connection, type Closed } from '../protocol/connection.ts';
import type { CameraState, ToClient, Words } from '../protocol/signal.ts';
import { Camera, CAMERA_OFF, hasCameras, openRear, reasonOf, type CameraView } from '../visitor/camera.ts';
import { wordsOf } from '../visitor/said.ts';
import { Share } from '../visitor/share.ts';
import { decline, look, open, RefusedError, sayEnd, type Opened } from './api.ts';

export type Step = 'looking' | 'asked' | 'opening' | 'on' | 'over';

export interface PhoneView {
  readonly step: Step;
  /** Who sent the link. */
  readonly agent: string;
  readonly camera: CameraView;
  /** What the tap agrees to. */
  readonly words: Words;
  /** Another agent who would like to see it, too. */
  readonly also: { readonly ask: number; readonly name: string; readonly words: Words } | undefined;
  readonly connected: boolean;
  /** A sentence for the visitor: what went wrong, or how it ended. */
  readonly text: string;
  /** The camera's light can be used as a torch. */
  readonly torch: 'none' | 'off' | 'on';
}

const NO_CAMERA: CameraState = { epoch: 0, phase: 'empty' };

export class PhoneVisit {
  readonly #token: string;
  readonly #show: (view: PhoneView) => void;
  readonly #preview: (stream: MediaStream | null) => void;
  readonly #share: Share;
  readonly #camera: Camera;
  #view: PhoneView = { step: 'looking', agent: '', camera: CAMERA_OFF, words: { text: '', words: '' }, also: undefined, connected: false, text: '', torch: 'none' };
  #connection: Connection | undefined;
  #opened: Opened | undefined;
  /** Opened within the tap, shown when the session is on. */
  #prepared: MediaStream | undefined;
  #track: MediaStreamTrack | undefined;
  #you = 0;

  constructor(token: string, show: (view: PhoneView) => void, preview: (stream: MediaStream | null) => void) {
    this.#token = token;
    this.#show = show;
    this.#preview = preview;
    this.#share = new Share({
      signal: (signal) => void this.#connection?.signal(signal),
      incoming: () => undefined,
      ended: () => undefined,
      connected: () => undefined,
    });
    this.#camera = new Camera(this.#share, {
      signal: (signal) => void this.#connection?.signal(signal),
      view: (camera) => this.#change({ camera }),
      preview: (stream) => this.#previewed(stream),
      notice: (text) => this.#change({ text }),
    });
  }

  get view(): PhoneView {
    return this.#view;
  }

  /** Who asks, as long as the link is good. */
  async begin(): Promise<void> {
    if (!hasCameras()) {
      this.#over('This browser cannot open a camera. Open the link in your phone’s own browser.');
      return;
    }
    try {
      const looked = await look(this.#token);
      this.#change({ step: 'asked', agent: looked.agent, words: wordsOf(looked) });
    } catch (error) {
      this.#over(sentenceOf(error));
    }
  }

  /** The tap. */
  async agree(): Promise<void> {
    this.#change({ step: 'opening', text: '' });
    try {
      this.#prepared = await openRear();
    } catch (error) {
      this.#change({ step: 'asked', text: reasonOf(error) });
      return;
    }
    try {
      this.#opened = await open(this.#token);
    } catch (error) {
      this.#release();
      this.#over(sentenceOf(error));
      return;
    }
    const { connect, ticket } = this.#opened;
    this.#connection = new Connection({ connect, ticket }, {
      signal: (signal) => this.#onSignal(signal),
      state: (state, closed) => (state === 'closed' ? this.#closed(closed) : this.#change({ connected: state === 'open' })),
    });
  }

  /** No, thanks. */
  async refuse(): Promise<void> {
    this.#over('Nothing was shown. You can close this page.');
    await decline(this.#token).catch(() => undefined);
  }

  /** About a further agent. */
  answer(accept: boolean): void {
    const { also } = this.#view;
    if (also !== undefined) {
      this.#connection?.signal({ t: 'consent', ask: also.ask, accept, words: also.words.words });
      this.#change({ also: undefined });
    }
  }

  hide(on: boolean): void {
    this.#camera.hide(on);
  }

  flip(): void {
    void this.#camera.flip();
  }

  async torch(on: boolean): Promise<void> {
    try {
      await this.#track?.applyConstraints({ advanced: [{ torch: on } as MediaTrackConstraintSet] });
      this.#change({ torch: on ? 'on' : 'off' });
    } catch {
      this.#change({ torch: 'none' });
    }
  }

  /** Shows the camera again after it was switched off (a pause, another program). */
  again(): void {
    this.#change({ text: '' });
    void this.#camera.open(this.#view.words.words);
  }

  /** R188: always, at once, for everybody. */
  end(): void {
    const said = this.#connection?.signal({ t: 'end' }) ?? false;
    if (!said && this.#opened !== undefined) {
      sayEnd(this.#opened).catch(() => undefined);
    }
    this.#over('You have ended it. Your camera is off.');
  }

  #onSignal(signal: ToClient): void {
    switch (signal.t) {
      case 'welcome':
        this.#you = signal.you;
        this.#camera.take(signal.camera ?? NO_CAMERA, this.#you);
        this.#stage(signal.stage);
        break;
      case 'session.stage':
        this.#stage(signal.stage);
        break;
      case 'consent.ask':
        if (signal.kind === 'view') {
          this.#asked(signal.ask, signal.name, wordsOf(signal));
        }
        break;
      case 'consent.withdrawn':
        if (this.#view.also?.ask === signal.ask) {
          this.#change({ also: undefined });
        }
        break;
      case 'answer':
        this.#share.answer(signal.sdp).catch(() => this.#change({ text: 'The video connection could not be made.' }));
        break;
      case 'camera.state':
        this.#camera.take(signal, this.#you);
        break;
      case 'denied':
        if (signal.re === 'camera.start' || signal.re === 'offer') {
          this.#camera.abandon();
          this.#change({ text: signal.sentence });
        }
        break;
      case 'session.ended':
        this.#over(signal.by === this.#you ? 'You have ended it. Your camera is off.' : 'It has ended. Your camera is off.');
        break;
      default:
    }
  }

  #asked(ask: number, name: string, words: Words): void {
    if (name === this.#view.agent && words.words === this.#view.words.words) {
      this.#connection?.signal({ t: 'consent', ask, accept: true, words: words.words });
    } else {
      this.#change({ also: { ask, name, words } });
    }
  }

  #stage(stage: string): void {
    if (stage === 'active') {
      this.#change({ step: 'on' });
      const prepared = this.#prepared;
      this.#prepared = undefined;
      if (prepared !== undefined) {
        void this.#camera.open(this.#view.words.words, prepared);
      } else {
        this.#share.connect().catch(() => undefined);
      }
    } else {
      this.#camera.abandon();
    }
  }

  #previewed(stream: MediaStream | null): void {
    this.#track = stream?.getVideoTracks()[0];
    const abilities = (this.#track?.getCapabilities?.() ?? {}) as { torch?: boolean };
    this.#change({ torch: abilities.torch === true ? 'off' : 'none' });
    this.#preview(stream);
  }

  #closed(closed: Closed | undefined): void {
    this.#over(closed?.sentence ?? 'It has ended. Your camera is off.');
  }

  #over(text: string): void {
    if (this.#view.step !== 'over') {
      this.#change({ step: 'over', text, also: undefined });
      this.#camera.abandon();
      this.#release();
      this.#share.close();
      this.#connection?.close();
    }
  }

  #release(): void {
    for (const track of this.#prepared?.getTracks() ?? []) {
      track.stop();
    }
    this.#prepared = undefined;
  }

  #change(part: Partial<PhoneView>): void {
    this.#view = { ...this.#view, ...part };
    this.#show(this.#view);
  }
}

function sentenceOf(error: unknown): string {
  return error instanceof RefusedError ? error.message : 'Something went wrong. Please try again.';
}
