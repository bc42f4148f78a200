/**
 * The agent's own share, from the click to the end. One machine: idle → picking → asking → sharing.
 *
 * The picker comes first and the wish second, so a cancelled picker costs nobody anything (R011). Whatever ends a share (the
 * agent, the browser's own bar, a refusal, another agent) stops the tracks at once.
 */

import type { ShareState, Surface, ToClient, ToRelay } from '../../protocol/signal.ts';
import type { Media } from './media.ts';
import { statementOf, type HandledTrack, type Statement } from './statement.ts';
import type { ShareRefusal } from './state.ts';

/** `limits::STATEMENT_INTERVAL`. */
const STATEMENT_MS = 500;

export type ShareStep = 'idle' | 'picking' | 'asking' | 'sharing';

export interface ShareEvents {
  readonly send: (signal: ToRelay) => void;
  readonly step: (step: ShareStep) => void;
  /** R050: the relay refused the share; the capture is over already. */
  readonly refused: (refusal: ShareRefusal) => void;
  /** R014: word for word what the relay says. */
  readonly takenOver: (text: string) => void;
  /** The picker gave nothing: cancelled, or not allowed by the system (R008). */
  readonly notCaptured: (error: unknown) => void;
}

export class Share {
  private current: ShareStep = 'idle';
  private captured: MediaStream | undefined;
  /** The relay was asked for the slot, so it has to be told when the share ends. */
  private announced = false;
  /** What the browser says is captured; kept for announcing the share again. */
  private surface: Surface | undefined;
  private withAudio = false;
  /** The bookmark that was opened last: what a shared window is stated to show. */
  private opened: string | undefined;
  /** Allowed sites are on: an address that is known is named at once. */
  namesSites = false;
  /** The last statement of the share that runs or ran last. */
  private said: Statement = { assurance: 'none' };
  /** Runs while the relay wants to know what this share shows. */
  private statements: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly media: Pick<Media, 'carry' | 'drop' | 'sections'>,
    private readonly you: () => number,
    private readonly on: ShareEvents,
  ) {}

  get step(): ShareStep {
    return this.current;
  }

  /** The agent has opened this bookmark. */
  noteOpened(url: string): void {
    this.opened = url;
  }

  /** Does the relay take the agent's word for what this share shows? */
  get isStated(): boolean {
    return this.statements !== undefined && this.said.assurance === 'stated';
  }

  /** What the running share shows, as far as is known. */
  private get statement(): Statement {
    return statementOf(this.captured?.getVideoTracks()[0] as HandledTrack | undefined, this.surface, this.opened);
  }

  /** Opens the browser's picker, then asks for the slot. Must be called from a click. */
  async start(prefer?: Surface, surfaces?: readonly Surface[]): Promise<void> {
    if (this.current === 'picking') {
      return;
    }
    this.move('picking');
    let capture: MediaStream;
    try {
      capture = await navigator.mediaDevices.getDisplayMedia(captureOptions(prefer, surfaces));
    } catch (error) {
      // Back to what is still running; it may have ended while the picker was open.
      this.move(this.captured === undefined ? 'idle' : 'sharing');
      this.on.notCaptured(error);
      return;
    }
    await this.ask(capture);
  }

  /** R040: ends the share; the session goes on. */
  stop(): void {
    const { announced } = this;
    this.end();
    if (announced) {
      this.on.send({ t: 'share.stop' });
    }
  }

  /** The connection under a running share was replaced. */
  announceAgain(): void {
    if (this.announced) {
      this.announce();
    }
  }

  /** Follows what the relay says about our share. */
  take(signal: ToClient): void {
    if (signal.t === 'share.taken_over') {
      this.end();
      this.on.takenOver(signal.text);
    } else if (signal.t === 'denied' && signal.re === 'share.start') {
      const { url } = this.said;
      this.end();
      this.on.refused({ code: signal.code, sentence: signal.sentence, allowed: signal.allowed ?? [], url });
    } else if (signal.t === 'share.state' && signal.slot === 'agent') {
      this.follow(signal);
    }
  }

  /** Stops the tracks and says nothing: the session is over or the relay knows. */
  end(): void {
    clearInterval(this.statements);
    this.statements = undefined;
    this.media.drop();
    this.captured = undefined;
    this.announced = false;
    this.move('idle');
  }

  private follow(share: ShareState): void {
    if (share.holder === this.you() && share.phase === 'held') {
      this.explain();
    }
    if (share.holder === this.you() && share.phase !== 'empty' && this.current === 'asking') {
      this.move('sharing');
    } else if (share.holder !== this.you() && this.current === 'sharing' && this.announced) {
      // The slot is empty or somebody else's: no keyframe came in time, or the relay ended it.
      this.end();
    }
  }

  /** Says what is shared, now and again and again, until the share ends: the relay holds or cuts it otherwise. */
  private explain(): void {
    const say = (): void => {
      this.said = this.statement;
      this.on.send({ t: 'share.statement', ...this.said });
    };
    clearInterval(this.statements);
    this.statements = setInterval(say, STATEMENT_MS);
    say();
  }

  private async ask(capture: MediaStream): Promise<void> {
    this.media.drop();
    const [video] = capture.getVideoTracks();
    video?.addEventListener('ended', () => {
      // The browser's own bar. Stopping tracks ourselves does not fire this.
      if (this.captured === capture) {
        this.stop();
      }
    });
    this.captured = capture;
    this.surface = surfaceOf(video);
    this.withAudio = capture.getAudioTracks().length > 0;
    video?.addEventListener('capturehandlechange', () => {
      if (this.statements !== undefined && this.captured === capture) {
        this.explain();
      }
    });
    this.move('asking');
    if ((await this.media.carry(capture)) === undefined) {
      this.end();
      return;
    }
    this.announce();
  }

  private announce(): void {
    const sections = this.media.sections(this.withAudio);
    if (sections === undefined) {
      return;
    }
    this.announced = true;
    this.said = this.statement;
    this.on.send({
      t: 'share.start',
      mid: sections.mid,
      ...(this.surface !== undefined && { surface: this.surface }),
      ...(sections.audioMid !== undefined && { audio_mid: sections.audioMid }),
      ...(this.namesSites && this.said.url !== undefined && this.said),
    });
  }

  private move(step: ShareStep): void {
    if (this.current !== step) {
      this.current = step;
      this.on.step(step);
    }
  }
}

/** What the browser says about a captured track; nothing where it does not say (R047: the relay then assumes a monitor). */
function surfaceOf(track: MediaStreamTrack | undefined): Surface | undefined {
  const said = track?.getSettings().displaySurface;
  return said === 'browser' || said === 'window' || said === 'monitor' ? said : undefined;
}

/** Hints for the picker (R007, R010); the agent still chooses, and the choice is read back afterwards. */
function captureOptions(prefer: Surface | undefined, surfaces: readonly Surface[] | undefined): DisplayMediaStreamOptions {
  const first = prefer ?? (surfaces?.length === 1 ? surfaces[0] : undefined);
  const options: DisplayMediaStreamOptions & Record<string, unknown> = {
    video: { frameRate: { ideal: 30, max: 30 }, ...(first !== undefined && { displaySurface: first }) },
    ...(surfaces !== undefined && !surfaces.includes('monitor') && { monitorTypeSurfaces: 'exclude' }),
    audio: true,
    selfBrowserSurface: 'exclude',
    surfaceSwitching: 'include',
  };
  return options;
}
