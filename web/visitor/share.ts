/**
 * Pictures over WebRTC, on one peer connection: the visitor's screen and camera on their way out, an agent's screen on its way in.
 *
 * The sections for screens are laid out once (see, hear, show, sound) and never renegotiated for a share: sharing swaps a track in.
 * Nothing is shared before the browser's picker has resolved; the browser's own "stop" bar is a stop like any other. Most visits
 * never use a camera, so its section is added when it is first wanted. What a camera means is camera.ts's.
 */
import type { Surface, ToRelay } from '../protocol/signal.ts';
import { addCamera, addScreen, addView, keepSharp } from '../protocol/video.ts';

export interface ShareEvents {
  signal(signal: ToRelay): void;
  /** An agent's screen to show. */
  incoming(stream: MediaStream): void;
  /** The own capture ended by itself (browser's bar, captured tab closed). */
  ended(): void;
  /** Media is connected, or is being tried again. */
  connected(on: boolean): void;
}

const FRAME_RATE_MAX = 30;
const RETRY_MS = 1_500;

interface OwnCamera {
  readonly track: MediaStreamTrack;
  /** Names what the visitor has agreed to. */
  readonly words: string;
}

interface Peer {
  readonly connection: RTCPeerConnection;
  readonly video: RTCRtpTransceiver;
  readonly audio: RTCRtpTransceiver;
  camera: RTCRtpTransceiver | undefined;
  /** The relay was asked for the slot with this capture. */
  announced: MediaStream | undefined;
  /** The relay was told of the camera. */
  cameraAnnounced: boolean;
}

export class Share {
  readonly #events: ShareEvents;
  #peer: Peer | undefined;
  #capture: MediaStream | undefined;
  #grant: number | undefined;
  #camera: OwnCamera | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor(events: ShareEvents) {
    this.#events = events;
  }

  get sharing(): boolean {
    return this.#capture !== undefined;
  }

  /** Connects media, unless it is connected. */
  async connect(): Promise<void> {
    const state = this.#peer?.connection.connectionState;
    if (state === 'connected' || state === 'connecting' || state === 'new') {
      return;
    }
    this.#closePeer();
    const peer = this.#open();
    this.#peer = peer;
    await this.#offer(peer);
  }

  async answer(sdp: string): Promise<void> {
    const peer = this.#peer;
    if (peer?.connection.signalingState !== 'have-local-offer') {
      return;
    }
    await peer.connection.setRemoteDescription({ type: 'answer', sdp });
    if (this.#capture !== undefined && peer.announced !== this.#capture) {
      await this.#publish(peer, this.#capture);
    }
    if (this.#camera !== undefined) {
      await this.#publishCamera(peer, this.#camera);
    }
  }

  /** Opens the picker. Must be called from a click. Rejects as the browser does when the visitor cancels. */
  async capture(surfaces: readonly Surface[]): Promise<MediaStream> {
    const options = {
      video: { frameRate: { max: FRAME_RATE_MAX } },
      audio: true,
      selfBrowserSurface: 'include',
      surfaceSwitching: 'include',
      systemAudio: 'exclude',
      // R046: a hint; what was chosen is judged by the relay.
      ...(surfaces.includes('monitor') ? {} : { monitorTypeSurfaces: 'exclude' }),
    };
    return navigator.mediaDevices.getDisplayMedia(options as DisplayMediaStreamOptions);
  }

  /** Shares what was captured. */
  async start(capture: MediaStream, grant: number | undefined): Promise<void> {
    this.#stopTracks();
    this.#capture = capture;
    this.#grant = grant;
    const track = capture.getVideoTracks()[0];
    if (track !== undefined) {
      track.contentHint = 'detail';
      track.addEventListener('ended', () => {
        if (this.#capture === capture) {
          this.stop();
          this.#events.ended();
        }
      });
    }
    await this.connect();
    if (this.#peer?.connection.remoteDescription !== null && this.#peer !== undefined) {
      await this.#publish(this.#peer, capture);
    }
  }

  /**
   * Carries this camera, instead of any other before. The relay is told when the section has its name, with the name of the words
   * that the visitor has agreed to.
   */
  async carry(track: MediaStreamTrack, words: string): Promise<void> {
    this.#camera = { track, words };
    await this.connect();
    if (this.#peer?.connection.signalingState === 'stable') {
      await this.#publishCamera(this.#peer, this.#camera);
    }
  }

  /** The camera is over. True when the relay has heard of it. */
  dropCamera(): boolean {
    const peer = this.#peer;
    const announced = peer?.cameraAnnounced ?? false;
    this.#camera = undefined;
    if (peer !== undefined) {
      peer.cameraAnnounced = false;
      void peer.camera?.sender.replaceTrack(null).catch(ignore);
    }
    return announced;
  }

  /** Ends the own share and says so. */
  stop(): void {
    if (this.#capture !== undefined) {
      this.abandon();
      this.#events.signal({ t: 'share.stop' });
    }
  }

  /** Ends the own share without a word: the relay already knows. */
  abandon(): void {
    this.#stopTracks();
    this.#grant = undefined;
    void this.#peer?.video.sender.replaceTrack(null).catch(ignore);
    void this.#peer?.audio.sender.replaceTrack(null).catch(ignore);
  }

  close(): void {
    clearTimeout(this.#retry);
    this.#stopTracks();
    this.#closePeer();
  }

  #open(): Peer {
    const connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    const seen = addView(connection);
    const heard = connection.addTransceiver('audio', { direction: 'recvonly' });
    const video = addScreen(connection);
    const audio = connection.addTransceiver('audio', { direction: 'sendonly' });
    const camera = this.#camera === undefined ? undefined : addCamera(connection, this.#camera.track);
    this.#events.incoming(new MediaStream([seen.receiver.track, heard.receiver.track]));
    connection.addEventListener('connectionstatechange', () => this.#onState(connection));
    return { connection, video, audio, camera, announced: undefined, cameraAnnounced: false };
  }

  async #offer(peer: Peer): Promise<void> {
    await peer.connection.setLocalDescription();
    // All our candidates are optional: the relay learns the address from the first check.
    this.#events.signal({ t: 'offer', sdp: peer.connection.localDescription?.sdp ?? '' });
  }

  #onState(connection: RTCPeerConnection): void {
    if (connection !== this.#peer?.connection) {
      return;
    }
    this.#events.connected(connection.connectionState === 'connected');
    if (connection.connectionState === 'failed') {
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => void this.connect().catch(ignore), RETRY_MS);
    }
  }

  async #publish(peer: Peer, capture: MediaStream): Promise<void> {
    const [track] = capture.getVideoTracks();
    const [sound] = capture.getAudioTracks();
    await peer.video.sender.replaceTrack(track ?? null);
    await peer.audio.sender.replaceTrack(sound ?? null);
    const mid = peer.video.mid;
    if (track === undefined || mid === null || capture !== this.#capture) {
      return;
    }
    await keepSharp(peer.video.sender);
    peer.announced = capture;
    const surface = surfaceOf(track);
    this.#events.signal({
      t: 'share.start',
      mid,
      ...(surface === undefined ? {} : { surface }),
      ...(sound === undefined || peer.audio.mid === null ? {} : { audio_mid: peer.audio.mid }),
      ...(this.#grant === undefined ? {} : { grant: this.#grant }),
    });
  }

  async #publishCamera(peer: Peer, camera: OwnCamera): Promise<void> {
    if (peer.camera === undefined) {
      peer.camera = addCamera(peer.connection, camera.track);
      await this.#offer(peer);
      return;
    }
    await peer.camera.sender.replaceTrack(camera.track);
    const { mid, currentDirection } = peer.camera;
    if (camera === this.#camera && mid !== null && currentDirection === 'sendonly' && !peer.cameraAnnounced) {
      peer.cameraAnnounced = true;
      this.#events.signal({ t: 'camera.start', mid, words: camera.words });
    }
  }

  #stopTracks(): void {
    for (const track of this.#capture?.getTracks() ?? []) {
      track.stop();
    }
    this.#capture = undefined;
  }

  #closePeer(): void {
    this.#peer?.connection.close();
    this.#peer = undefined;
  }
}

function surfaceOf(track: MediaStreamTrack): Surface | undefined {
  const surface = track.getSettings().displaySurface;
  return surface === 'browser' || surface === 'window' || surface === 'monitor' ? surface : undefined;
}

/** Can this browser show a screen at all, and may the visitor choose which (R047)? */
export function captureAbility(): 'none' | 'monitor' | 'any' {
  if (typeof navigator.mediaDevices?.getDisplayMedia !== 'function') {
    return 'none';
  }
  const safari = /^((?!chrome|chromium|android|crios|fxios|edg).)*safari/iu.test(navigator.userAgent);
  return safari ? 'monitor' : 'any';
}

function ignore(): void {
  // The peer connection is being replaced; the next one publishes again.
}
