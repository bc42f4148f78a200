/** The public door's HTTP calls of a visitor's page. A refusal becomes a {@link RefusedError} with the relay's own sentence. */
import type { Connect } from '../protocol/connection.ts';

/** The relay said no, or could not be reached (`E_NETWORK`). The message is for a person. */
export class RefusedError extends Error {
  readonly code: string;
  constructor(code: string, sentence: string) {
    super(sentence);
    this.name = 'RefusedError';
    this.code = code;
  }
}

/** A new session with its first key. */
export interface Created {
  readonly session: string;
  readonly key: string;
  readonly expires_s: number;
  readonly ticket: string;
  readonly handle: string;
  readonly connect: Connect;
}

export interface FurtherKey {
  readonly session: string;
  readonly key: string;
  readonly expires_s: number;
}

export class Api {
  readonly #relay: string;

  constructor(relay: string) {
    this.#relay = relay;
  }

  create(group: string): Promise<Created> {
    return request<Created>(this.#relay, 'POST', '/v1/keys', { group });
  }

  /** A further key for a running session, for one more agent. */
  furtherKey(group: string, handle: string): Promise<FurtherKey> {
    return request<FurtherKey>(this.#relay, 'POST', '/v1/keys', { group }, handle);
  }

  connect(session: string): Promise<Connect> {
    return request<Connect>(this.#relay, 'GET', `/v1/connect/${session}`);
  }

  async end(session: string, handle: string): Promise<void> {
    await request(this.#relay, 'POST', `/v1/sessions/${session}/end`, {}, handle);
  }
}

/** One call of the relay at this origin (empty: the page's own). @throws RefusedError */
export async function request<T>(relay: string, method: string, path: string, body?: unknown, bearer?: string): Promise<T> {
  const headers: Record<string, string> = {};
  if (body !== undefined) {
    headers['content-type'] = 'application/json';
  }
  if (bearer !== undefined) {
    headers['authorization'] = `Bearer ${bearer}`;
  }
  let answer: Response;
  try {
    answer = await fetch(relay + path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  } catch {
    throw new RefusedError('E_NETWORK', 'The help service cannot be reached. Check your connection and try again.');
  }
  if (answer.status === 204) {
    return undefined as T;
  }
  const value: unknown = await answer.json().catch(() => undefined);
  if (!answer.ok) {
    const refusal = (value ?? {}) as { code?: string; detail?: string };
    throw new RefusedError(refusal.code ?? 'E_HTTP', refusal.detail ?? 'The help service did not answer as expected. Try again.');
  }
  return value as T;
}
