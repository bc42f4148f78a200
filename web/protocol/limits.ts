/**
 * The limits of the wire that a client must keep, equal to `wire::limits`. Bytes and milliseconds.
 */

/** Bytes of a whole frame, header included. */
export const FRAME_BYTES_MAX = 16_384;
/** Bytes of the fixed frame header. */
export const HEADER_BYTES = 28;
/** Bytes of a frame's payload. */
export const PAYLOAD_BYTES_MAX = FRAME_BYTES_MAX - HEADER_BYTES;
/** Bytes of a message that is spread over frames. */
export const MESSAGE_BYTES_MAX = 8 * 1024 * 1024;
/** Frames of one message. */
export const MESSAGE_CHUNKS_MAX = Math.ceil(MESSAGE_BYTES_MAX / PAYLOAD_BYTES_MAX);
/** Time for all chunks of a message to arrive. */
export const MESSAGE_ASSEMBLY_MAX_MS = 30_000;
/** Bytes of assets that the relay keeps for a session, and how many. */
export const ASSET_BYTES_MAX = 16 * 1024 * 1024;
export const ASSET_COUNT_MAX = 512;
/** Pointer frames per second. */
export const POINTERS_PER_SECOND = 60;
/** Largest frame that may travel as a WebTransport datagram. */
export const DATAGRAM_BYTES_MAX = 1_200;
/** Digits of a join key, shown 3-3-3. */
export const KEY_DIGITS = 9;
