/**
 * The one list of refusal and close codes, equal to `wire::code`: name on the wire, HTTP status, close code of a carrier,
 * and the sentence a person reads.
 */

export interface CodeEntry {
  readonly label: string;
  readonly http: number;
  readonly close: number;
  readonly sentence: string;
}

const TABLE: ReadonlyArray<readonly [label: string, http: number, close: number, sentence: string]> = [
  ['E_ENDED', 410, 4000, 'The session has ended.'],
  [
    'E_FRAME', 400, 4001,
    'A frame could not be read. Reload the page; if it happens again, the client and the relay do not match.',
  ],
  [
    'E_SIGNAL', 400, 4002,
    'A message could not be read. Reload the page; if it happens again, the client and the relay do not match.',
  ],
  ['E_SCHEMA', 426, 4003, 'This page speaks another version of the protocol. Reload it to get the current one.'],
  ['E_TICKET', 401, 4004, 'The ticket is not valid or has expired. Ask for a new one.'],
  ['E_RESUME', 401, 4005, 'This connection can no longer be resumed. Join again with a new key.'],
  ['E_SESSION', 404, 4006, 'There is no such session, or it has ended.'],
  ['E_FULL', 409, 4007, 'The session has as many participants as it may have.'],
  ['E_STATE', 409, 4008, 'That is not possible right now: the other side has not joined, or it has already happened.'],
  ['E_ROLE', 403, 4009, 'Your role in this session does not allow that.'],
  ['E_CAPABILITY', 403, 4010, 'Your account is not allowed to do that. Ask your administrator.'],
  ['E_MODE', 403, 4011, 'The current mode does not allow that.'],
  ['E_LEASE', 403, 4012, 'Control of the page has not been granted.'],
  ['E_CONSENT', 403, 4013, 'The visitor has not agreed, or has said no.'],
  ['E_EPOCH', 409, 4014, 'The page has changed in the meantime.'],
  ['E_MASK', 409, 4015, 'The rules for hiding content have changed in the meantime.'],
  ['E_GAP', 409, 4016, 'A part of the page\'s changes is missing; a fresh copy was asked for.'],
  ['E_RATE', 429, 4017, 'Too much in too short a time. Slow down and try again.'],
  ['E_SIZE', 413, 4018, 'That is larger than allowed.'],
  ['E_LEVEL', 403, 4019, 'Your group\'s feature level does not include that. Ask your administrator.'],
  ['E_SURFACE', 403, 4020, 'That kind of screen may not be shared. Choose one of the allowed kinds and share again.'],
  ['E_GRANT', 403, 4021, 'The invitation is no longer open.'],
  ['E_BUSY', 409, 4022, 'Somebody else is holding that.'],
  ['E_KEY', 404, 4023, 'This key is not valid. Check the digits or ask the visitor for a new key.'],
  ['E_LOGIN', 401, 4024, 'Please sign in again.'],
  ['E_ORIGIN', 403, 4025, 'This website is not allowed to use this relay. Add its origin to the configuration.'],
  ['E_DRAIN', 503, 4026, 'This relay is being taken out of service. Try again in a few seconds.'],
  ['E_OVERLOAD', 503, 4027, 'This relay is full. Try again in a few seconds.'],
  ['E_TOO_SLOW', 408, 4028, 'The connection is too slow to follow. Reconnect when it is better.'],
  ['E_TIMEOUT', 408, 4029, 'That took too long.'],
  ['E_SDP', 400, 4030, 'The media offer could not be used.'],
  ['E_REPLACED', 409, 4031, 'The session continues in another tab or window.'],
  ['E_LEFT', 410, 4032, 'The participant has left the session.'],
  ['E_INPUT', 400, 4033, 'The request is not well formed.'],
  ['E_NOT_FOUND', 404, 4034, 'There is nothing at this address.'],
  ['E_METHOD', 405, 4035, 'This address does not answer to that method.'],
  ['E_STORE', 503, 4036, 'The control store cannot be reached. Running sessions go on; try again in a few seconds.'],
  ['E_PRECONDITION', 412, 4037, 'It has changed in the meantime. Read it again and repeat the change.'],
  ['E_UNCONDITIONAL', 428, 4038, 'This change needs an If-Match header that names what it was made for.'],
  ['E_ACCEPT', 406, 4039, 'There is no answer of a kind that the request accepts.'],
  ['E_MEDIA_TYPE', 415, 4040, 'This address does not take a body of that type.'],
  ['E_POLICY', 422, 4041, 'The rules of the group do not allow that, or have been tightened in the meantime.'],
  ['E_DISK', 507, 4042, "The control store's disk is full. Running sessions go on; ask the operator to make room."],
  ['E_REPEAT', 422, 4043, 'This Idempotency-Key belongs to another request. Use a new one.'],
  ['E_SITE', 403, 4044, 'What is shared is not on an allowed site, or cannot be checked. Share an approved page instead.'],
  ['E_BUG', 500, 4099, 'The relay made a mistake and has logged it. Please try again.'],
];

/** Every code, in the order of the list. */
export const CODES: readonly CodeEntry[] = TABLE.map(([label, http, close, sentence]) => ({ label, http, close, sentence }));

const BY_CLOSE = new Map(CODES.map((code) => [code.close, code]));
const BY_LABEL = new Map(CODES.map((code) => [code.label, code]));

/** The code behind a WebSocket's or WebTransport's close code; undefined for those that are not ours. */
export function codeOfClose(close: number): CodeEntry | undefined {
  return BY_CLOSE.get(close);
}

/** The code with this name. */
export function codeOf(label: string): CodeEntry | undefined {
  return BY_LABEL.get(label);
}

/** After these, trying again with what the client holds cannot succeed. */
const FINAL = new Set([
  'E_ENDED', 'E_SCHEMA', 'E_TICKET', 'E_RESUME', 'E_SESSION', 'E_FULL', 'E_ROLE', 'E_ORIGIN', 'E_REPLACED', 'E_LEFT', 'E_FRAME',
  'E_SIGNAL', 'E_CONSENT', 'E_LOGIN',
]);

/** Does a carrier that was closed with this code stay closed? */
export function isFinal(label: string): boolean {
  return FINAL.has(label);
}
