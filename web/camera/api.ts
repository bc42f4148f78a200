/** The public door's calls of the camera page. The token is in the body, never in an address that somebody logs. */
import type { Connect } from '../protocol/connection.ts';
import type { Words } from '../protocol/signal.ts';
import { request, RefusedError } from '../visitor/api.ts';

export { RefusedError };

export interface Opened {
  readonly session: string;
  readonly ticket: string;
  readonly handle: string;
  readonly connect: Connect;
}

/** Who sent the link, and what its visitor agrees to. It stays good. */
export function look(token: string): Promise<{ agent: string; expires_s: number } & Words> {
  return request('', 'POST', '/v1/camera-links/look', { token });
}

/** Uses the link up. */
export function open(token: string): Promise<Opened> {
  return request('', 'POST', '/v1/camera-links/open', { token });
}

/** Says no; the link is used up, too. */
export function decline(token: string): Promise<void> {
  return request('', 'POST', '/v1/camera-links/decline', { token });
}

export function sayEnd({ session, handle }: Opened): Promise<void> {
  return request('', 'POST', `/v1/sessions/${session}/end`, {}, handle);
}
