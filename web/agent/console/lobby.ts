/** What an agent asks the relay for before a session: who is on the website, invites, links, viewers (`docs/api.md`). */

import type { Context, SessionKind } from '../../protocol/lobby.ts';
import { call, type Joined, type Login } from './api.ts';

/** What a session shall be about, in the host product's terms. */
export interface About {
  readonly kind?: SessionKind;
  readonly context?: Context;
  readonly external_ref?: string;
}

export interface Invite {
  readonly invite: string;
  readonly state: string;
  readonly expires_s: number;
}

export interface Begun {
  readonly session: string;
  readonly kind: SessionKind;
  readonly join_url: string;
  readonly key?: string;
  readonly expires_s: number;
}

/** How a visitor stands. */
export type Standing = 'absent' | 'present' | 'busy';

export const invite = (login: Login, visitor: string, about: About): Promise<Invite> =>
  call<Invite>('POST', '/v1/invites', login.token, { visitor, ...about });

export const withdraw = (login: Login, id: string): Promise<unknown> => call('DELETE', `/v1/invites/${encodeURIComponent(id)}`, login.token);

export const begin = (login: Login, about: About): Promise<Begun> => call<Begun>('POST', '/v1/sessions', login.token, about);

/** A ticket for a session that this agent hosts; `leave` as in `elsewhere.ts`. */
export const enter = (login: Login, session: string, leave?: string): Promise<Joined> =>
  call<Joined>('POST', `/v1/sessions/${session}/join`, login.token, { leave });

/** A way in that a `view_url` names. */
export const openView = (token: string, leave?: string): Promise<Joined & { agent: string; name: string; group: string }> =>
  call('POST', '/v1/views', undefined, { token, leave });

/** One event of the stream. */
export interface StreamEvent {
  readonly name: string;
  readonly data: Record<string, unknown>;
}

const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 30_000;
/** The relay beats every 15 s; a stream that is silent for longer is dead. */
const SILENT_MS = 45_000;

/**
 * The stream of events at `GET /v1/presence`, read with `fetch` because `EventSource` sends no bearer. Comes back by itself;
 * the first events after that say how everything stands.
 */
export class EventStream {
  private readonly stopped = new AbortController();
  private wait = RETRY_MIN_MS;

  constructor(
    private readonly login: Login,
    private readonly visitors: readonly string[],
    private readonly on: { readonly event: (event: StreamEvent) => void; readonly open?: (open: boolean) => void; readonly signedOut?: () => void },
  ) {
    void this.run();
  }

  close(): void {
    this.stopped.abort();
  }

  private async run(): Promise<void> {
    while (!this.stopped.signal.aborted) {
      const again = await this.once().catch(() => true);
      this.on.open?.(false);
      if (!again || this.stopped.signal.aborted) {
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, this.wait * (0.5 + Math.random())));
      this.wait = Math.min(this.wait * 2, RETRY_MAX_MS);
    }
  }

  /** One connection to its end. False when asking again is of no use. */
  private async once(): Promise<boolean> {
    const query = new URLSearchParams(this.visitors.map((visitor) => ['visitor', visitor]));
    const silent = new AbortController();
    const signal = AbortSignal.any([this.stopped.signal, silent.signal]);
    const headers = { accept: 'text/event-stream', authorization: `Bearer ${this.login.token}` };
    const answer = await fetch(`/v1/presence?${query}`, { headers, signal, cache: 'no-store' });
    if (answer.status === 401) {
      this.on.signedOut?.();
      return false;
    }
    if (!answer.ok || answer.body === null) {
      return answer.status >= 500 || answer.status === 429;
    }
    this.wait = RETRY_MIN_MS;
    this.on.open?.(true);
    let timer = setTimeout(() => silent.abort(), SILENT_MS);
    let rest = '';
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      clearTimeout(timer);
      if (done) {
        return true;
      }
      timer = setTimeout(() => silent.abort(), SILENT_MS);
      const { events, left } = parseEvents(rest + value);
      rest = left;
      events.forEach((event) => this.on.event(event));
    }
  }
}

/** The whole events in a piece of `text/event-stream`, and what is left over. */
export function parseEvents(text: string): { readonly events: readonly StreamEvent[]; readonly left: string } {
  const blocks = text.split('\n\n');
  const left = blocks.pop() ?? '';
  const events: StreamEvent[] = [];
  for (const block of blocks) {
    const field = (name: string): string | undefined => block.split('\n').find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
    const [name, data] = [field('event'), field('data')];
    if (name !== undefined && data !== undefined) {
      events.push({ name, data: JSON.parse(data) as Record<string, unknown> });
    }
  }
  return { events, left };
}
