/**
 * The visitor's camera, from the click to the end (R110): off → opening → waiting → live.
 *
 * Shows nothing without the visitor's own click, sends no sound, and never comes back by itself: whatever ends it (the visitor,
 * a pause, the device, the relay) stops the track, so the device's own light goes out.
 */
import type { CameraState, SharePhase, ToRelay } from '../protocol/signal.ts';
import type { Share } from './share.ts';

export interface CameraView {
  readonly phase: 'off' | 'opening' | Exclude<SharePhase, 'empty'>;
  /** The visitor has covered the lens, as it were: agents see black. */
  readonly hidden: boolean;
  /** There is another camera to turn to. */
  readonly flips: boolean;
  /** Faces the visitor, who expects a mirror. */
  readonly front: boolean;
}

export const CAMERA_OFF: CameraView = { phase: 'off', hidden: false, flips: false, front: false };

export interface CameraEvents {
  signal(signal: ToRelay): void;
  view(view: CameraView): void;
  /** What to show to the visitor itself. */
  preview(stream: MediaStream | null): void;
  notice(text: string): void;
}

export class Camera {
  readonly #share: Pick<Share, 'carry' | 'dropCamera'>;
  readonly #events: CameraEvents;
  #view = CAMERA_OFF;
  #stream: MediaStream | undefined;
  /** What the visitor has agreed to. */
  #words = '';
  /** Counts the attempts: a device that opens after the visitor has stopped is closed again. */
  #attempt = 0;

  constructor(share: Pick<Share, 'carry' | 'dropCamera'>, events: CameraEvents) {
    this.#share = share;
    this.#events = events;
  }

  /** Opens the device, or takes one that is open already, and shows it to the agents. `words` names what was agreed to. */
  async open(words: string, prepared?: MediaStream): Promise<void> {
    if (this.#view.phase !== 'off') {
      return;
    }
    this.#words = words;
    this.#show({ ...CAMERA_OFF, phase: 'opening' });
    await this.#begin(prepared === undefined ? openRear() : Promise.resolve(prepared));
  }

  /** Turns to the other camera; phones cannot have both open. */
  async flip(): Promise<void> {
    const now = this.#stream?.getVideoTracks()[0]?.getSettings();
    if (now === undefined) {
      return;
    }
    const other = await otherThan(now);
    this.#stopTracks();
    await this.#begin(openDevice(other));
  }

  hide(on: boolean): void {
    for (const track of this.#stream?.getTracks() ?? []) {
      track.enabled = !on;
    }
    this.#show({ ...this.#view, hidden: on });
  }

  /** Ends it and says so. */
  stop(): void {
    if (this.#end()) {
      this.#events.signal({ t: 'camera.stop' });
    }
  }

  /** Ends it without a word: the relay knows, or is not there. */
  abandon(): void {
    this.#end();
  }

  /** Follows what the relay says. */
  take(state: CameraState, you: number): void {
    const { phase } = this.#view;
    if (state.phase === 'empty' || state.holder !== you) {
      // Before the relay was told, this is about a camera that was here before.
      if (phase === 'waiting' || phase === 'live') {
        this.#end();
        this.#events.notice('Your camera has been switched off.');
      }
    } else if (this.#stream !== undefined) {
      this.#show({ ...this.#view, phase: state.phase });
    }
  }

  async #begin(opening: Promise<MediaStream>): Promise<void> {
    this.#attempt += 1;
    const attempt = this.#attempt;
    try {
      const stream = await opening;
      if (attempt !== this.#attempt) {
        stop(stream);
        return;
      }
      await this.#carry(stream);
    } catch (error) {
      if (attempt === this.#attempt) {
        this.stop();
        this.#events.notice(reasonOf(error));
      }
    }
  }

  async #carry(stream: MediaStream): Promise<void> {
    this.#stream = stream;
    const [track] = stream.getVideoTracks();
    if (track === undefined) {
      throw new DOMException('no picture', 'NotFoundError');
    }
    track.contentHint = 'motion';
    track.enabled = !this.#view.hidden;
    // The device was unplugged or taken away; stopping it ourselves does not fire this.
    track.addEventListener('ended', () => {
      if (this.#stream === stream) {
        this.stop();
        this.#events.notice('The camera has stopped.');
      }
    });
    this.#events.preview(stream);
    this.#show({ ...this.#view, front: track.getSettings().facingMode === 'user', flips: (await cameras()).length > 1 });
    if (this.#stream === stream) {
      await this.#share.carry(track, this.#words);
    }
  }

  /** True when the relay has to be told. */
  #end(): boolean {
    this.#attempt += 1;
    this.#stopTracks();
    const announced = this.#share.dropCamera();
    if (this.#view.phase !== 'off') {
      this.#events.preview(null);
      this.#show(CAMERA_OFF);
    }
    return announced;
  }

  #stopTracks(): void {
    if (this.#stream !== undefined) {
      stop(this.#stream);
      this.#stream = undefined;
    }
  }

  #show(view: CameraView): void {
    this.#view = view;
    this.#events.view(view);
  }
}

/** Can this browser open a camera at all? */
export function hasCameras(): boolean {
  return typeof navigator.mediaDevices?.getUserMedia === 'function';
}

/** What a visitor wants to show is in front of the phone, so its rear camera comes first. */
export function openRear(): Promise<MediaStream> {
  return openDevice({ facingMode: { ideal: 'environment' } });
}

async function openDevice(which: MediaTrackConstraints): Promise<MediaStream> {
  return navigator.mediaDevices.getUserMedia({
    video: { ...which, width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } },
  });
}

function stop(stream: MediaStream): void {
  for (const track of stream.getTracks()) {
    track.stop();
  }
}

async function cameras(): Promise<MediaDeviceInfo[]> {
  const devices = await navigator.mediaDevices.enumerateDevices().catch(() => []);
  return devices.filter((device) => device.kind === 'videoinput');
}

/** A phone turns round; a computer takes the next device of its list. */
async function otherThan({ facingMode, deviceId }: MediaTrackSettings): Promise<MediaTrackConstraints> {
  if (facingMode === 'environment' || facingMode === 'user') {
    return { facingMode: { ideal: facingMode === 'user' ? 'environment' : 'user' } };
  }
  const all = await cameras();
  const next = all[(all.findIndex((camera) => camera.deviceId === deviceId) + 1) % Math.max(1, all.length)];
  return next === undefined ? {} : { deviceId: { exact: next.deviceId } };
}

/** Why a device could not be opened, and what to do. */
export function reasonOf(error: unknown): string {
  switch (error instanceof Error ? error.name : '') {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'The camera is not allowed here. Allow it for this site in your browser’s address bar or settings, then press Show camera again.';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'No camera was found on this device.';
    case 'NotReadableError':
    case 'AbortError':
      return 'The camera is in use by another program. Close it there and try again.';
    default:
      return 'The camera could not be opened.';
  }
}
