/**
 * The agent's one RTCPeerConnection: the visitor's screen in, the agent's own screen out.
 *
 * Sections are laid out once (`docs/protocol.md`, media): slot video in, slot sound in, own video out, own sound out, camera in. A share
 * swaps tracks and renegotiates nothing. When the transport fails, a fresh connection with a fresh offer takes over and a
 * running share goes on in it. What a share means (slots, refusals, takeover) is `share.ts`'s.
 */

import { addScreen, addView, keepSharp } from '../../protocol/video.ts';

/** What media tells its owner. */
export interface MediaEvents {
  /** Send this SDP as the `offer` signal. */
  readonly offer: (sdp: string) => void;
  /** The stream of the visitor's slot: picture and sound. Stays the same for the life of a connection. */
  readonly stream: (stream: MediaStream) => void;
  /** The stream of the visitor's camera; likewise. */
  readonly camera: (stream: MediaStream) => void;
  readonly state: (state: RTCPeerConnectionState) => void;
  /** The connection was renewed; a running share has to be announced again. */
  readonly renewed: () => void;
}

/** The names of the sections that carry a share. */
export interface ShareSections {
  readonly mid: string;
  readonly audioMid: string | undefined;
}

const RENEW_AFTER_MS = 1_000;
const RENEW_AFTER_MAX_MS = 15_000;

export class Media {
  private peer: RTCPeerConnection | undefined;
  private videoOut: RTCRtpTransceiver | undefined;
  private audioOut: RTCRtpTransceiver | undefined;
  private capture: MediaStream | undefined;
  /** Fulfilled when the sections have their names: only then can a share be announced. */
  private offered: Promise<void> = Promise.resolve();
  private failures = 0;
  private timer = 0;

  constructor(private readonly on: MediaEvents) {}

  /** Connects, unless it is connected already. */
  start(): void {
    if (this.peer === undefined) {
      this.connect();
    }
  }

  /** The relay's answer to the newest offer. */
  async answer(sdp: string): Promise<void> {
    const { peer } = this;
    if (peer?.signalingState === 'have-local-offer') {
      await peer.setRemoteDescription({ type: 'answer', sdp }).catch(() => this.renewLater());
    }
  }

  /** A fresh connection, now: the relay may have forgotten the old one. */
  renew(): void {
    this.close();
    this.connect();
    const { offered } = this;
    void offered.then(() => {
      if (this.capture !== undefined && this.offered === offered) {
        this.on.renewed();
      }
    });
  }

  /** Connected or on its way? After a resumed session the peer may be gone at the other end. */
  get healthy(): boolean {
    return this.peer !== undefined && ['new', 'connecting', 'connected'].includes(this.peer.connectionState);
  }

  /** Puts a capture on its sections; nothing is sent before the relay gives the slot. */
  async carry(capture: MediaStream): Promise<ShareSections | undefined> {
    this.capture = capture;
    this.start();
    await this.offered;
    const [video] = capture.getVideoTracks();
    const [audio] = capture.getAudioTracks();
    if (video === undefined || this.videoOut === undefined) {
      return undefined;
    }
    video.contentHint = 'detail';
    await this.videoOut.sender.replaceTrack(video);
    await keepSharp(this.videoOut.sender);
    await this.audioOut?.sender.replaceTrack(audio ?? null);
    return this.sections(audio !== undefined);
  }

  /** Where the running capture is carried. */
  sections(withAudio: boolean): ShareSections | undefined {
    const mid = this.videoOut?.mid;
    const audioMid = this.audioOut?.mid;
    return typeof mid === 'string' ? { mid, audioMid: withAudio && typeof audioMid === 'string' ? audioMid : undefined } : undefined;
  }

  /** Ends the running capture: its tracks are stopped, so the browser's own indicator goes out. */
  drop(): void {
    for (const track of this.capture?.getTracks() ?? []) {
      track.stop();
    }
    this.capture = undefined;
    void this.videoOut?.sender.replaceTrack(null).catch(() => undefined);
    void this.audioOut?.sender.replaceTrack(null).catch(() => undefined);
  }

  /** Ends everything. */
  stop(): void {
    this.drop();
    this.close();
  }

  private connect(): void {
    const peer = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    this.peer = peer;
    const stream = new MediaStream();
    const videoIn = addView(peer);
    const audioIn = peer.addTransceiver('audio', { direction: 'recvonly' });
    stream.addTrack(videoIn.receiver.track);
    stream.addTrack(audioIn.receiver.track);
    this.videoOut = addScreen(peer);
    this.audioOut = peer.addTransceiver('audio', { direction: 'sendonly' });
    const camera = addView(peer);
    this.on.stream(stream);
    this.on.camera(new MediaStream([camera.receiver.track]));
    peer.addEventListener('connectionstatechange', () => this.stateChanged(peer));
    this.offered = this.offer(peer).catch(() => undefined);
  }

  private async offer(peer: RTCPeerConnection): Promise<void> {
    const [video] = this.capture?.getVideoTracks() ?? [];
    const [audio] = this.capture?.getAudioTracks() ?? [];
    await this.videoOut?.sender.replaceTrack(video ?? null);
    await this.audioOut?.sender.replaceTrack(audio ?? null);
    await peer.setLocalDescription(await peer.createOffer());
    // Candidates are not waited for: the relay learns our address from our own checks.
    this.on.offer(peer.localDescription?.sdp ?? '');
  }

  private stateChanged(peer: RTCPeerConnection): void {
    if (peer !== this.peer) {
      return;
    }
    this.on.state(peer.connectionState);
    if (peer.connectionState === 'connected') {
      this.failures = 0;
    } else if (peer.connectionState === 'failed') {
      this.renewLater();
    }
  }

  private renewLater(): void {
    const wait = Math.min(RENEW_AFTER_MAX_MS, RENEW_AFTER_MS * 2 ** this.failures);
    this.failures += 1;
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.renew(), wait);
  }

  private close(): void {
    clearTimeout(this.timer);
    this.peer?.close();
    this.peer = undefined;
    this.videoOut = undefined;
    this.audioOut = undefined;
  }
}
