/** The public door's HTTP calls an agent makes (`docs/api.md`). Every refusal becomes a {@link RefusedError}. */

import type { Connect } from '../../protocol/connection.ts';
import type { SessionKind } from '../../protocol/lobby.ts';
import type { Assurance, Surface } from '../../protocol/signal.ts';

/** The relay said no, in words for a person. */
export class RefusedError extends Error {
  constructor(
    readonly code: string,
    readonly rule: string,
    readonly sentence: string,
    /** Seconds to wait before another try, if the relay said so. */
    readonly retryAfter: number | undefined,
    /** The agent's own sessions that stand in the way. */
    readonly sessions: readonly string[] = [],
  ) {
    super(sentence);
  }
}

/** Who is signed in. The token is kept for this tab only. */
export interface Login {
  readonly group: string;
  readonly agent: string;
  readonly name: string;
  readonly token: string;
}

/** An admission to one session. */
export interface Joined {
  readonly session: string;
  readonly kind?: SessionKind;
  readonly ticket: string;
  readonly connect: Connect;
}

/** A page that administrators have prepared for sharing. */
export interface Bookmark {
  readonly title: string;
  readonly url: string;
}

export type BookmarkEntry =
  | ({ readonly kind: 'link' } & Bookmark)
  | { readonly kind: 'folder'; readonly name: string; readonly links: readonly Bookmark[] };

export interface ApprovedDocument {
  readonly id: string;
  readonly name: string;
  readonly type: 'pdf' | 'xls' | 'csv';
  readonly download: boolean;
}

/** What this agent can open and share in this session, by the rules that the session has pinned. */
export interface Shareable {
  readonly policy_version: number;
  readonly surfaces: readonly Surface[];
  /** Only while allowed sites are on. */
  readonly sites?: Readonly<Record<Surface, Assurance>>;
  readonly bookmarks: readonly BookmarkEntry[];
  readonly documents: readonly ApprovedDocument[];
}

/** Accounts that a demo relay offers by themselves. */
export interface DemoAgent {
  readonly agent: string;
  readonly name: string;
  readonly secret: string;
}

export interface DemoConfig {
  readonly group: string;
  readonly agents: readonly DemoAgent[];
}

/** The demo accounts, or nothing where the relay is not a demo. */
export async function demoConfig(): Promise<DemoConfig | undefined> {
  try {
    const answer = await fetch('/demo/config.json');
    return answer.ok ? ((await answer.json()) as DemoConfig) : undefined;
  } catch {
    return undefined;
  }
}

export async function login(group: string, agent: string, secret: string): Promise<Login> {
  const answer = await call<{ token: string; name: string; agent: string }>('POST', '/v1/login', undefined, { group, agent, secret });
  return { group, agent: answer.agent, name: answer.name, token: answer.token };
}

/** Where the browser goes to sign in with the operator's identity provider (R130), if there is one. */
export async function providerStart(): Promise<string | undefined> {
  try {
    const answer = await fetch('/v1/oidc');
    return answer.ok ? (((await answer.json()) as { start: string | null }).start ?? undefined) : undefined;
  } catch {
    return undefined;
  }
}

/** Exchanges what the identity provider's way back has left in the address for a login. */
export async function loginByCode(code: string): Promise<Login> {
  const { token, group, agent, name } = await call<Login>('POST', '/v1/oidc/login', undefined, { code });
  return { token, group, agent, name };
}

/** Signs out, and ends whatever this agent watches. */
export async function logout(login: Login): Promise<void> {
  await call<unknown>('POST', '/v1/logout', login.token, {});
}

/** Exchanges a visitor's key for a ticket (R122); `leave` as in `elsewhere.ts`. */
export function join(login: Login, key: string, leave?: string): Promise<Joined> {
  return call<Joined>('POST', '/v1/join', login.token, { key, leave });
}

/** How a camera link stands (R124): once it is open there is a session to enter. */
export type CameraInvite =
  | { readonly state: 'sent' | 'declined' | 'expired' }
  | ({ readonly state: 'opened' } & Joined);

/** Has a camera link sent to a phone. */
export function inviteCamera(login: Login, phone: string): Promise<{ session: string; expires_s: number }> {
  return call('POST', '/v1/camera-invites', login.token, { phone });
}

export async function cameraInvite(login: Login, session: string): Promise<CameraInvite> {
  return answerOf<CameraInvite>(await reach(`/v1/camera-invites/${session}`, { headers: { authorization: `Bearer ${login.token}` } }));
}

/** The carriers of a running session again, for an agent who comes back. */
export async function connectOf(session: string): Promise<Connect> {
  return answerOf<Connect>(await reach(`/v1/connect/${session}`, {}));
}

/** Ends a session for everybody, when there is no carrier to say it on. */
export async function endSession(login: Login, session: string): Promise<void> {
  await call('POST', `/v1/sessions/${session}/end`, login.token, {});
}

export async function shareable(login: Login, session: string): Promise<Shareable> {
  return answerOf<Shareable>(await reach(`/v1/sessions/${session}/shareable`, { headers: { authorization: `Bearer ${login.token}` } }));
}

/** R019, R037: the relay looks once more whether it is a bookmark, and notes that it was opened. */
export async function bookmarkOpened(login: Login, session: string, url: string): Promise<void> {
  await call('POST', `/v1/sessions/${session}/bookmarks`, login.token, { url });
}

/** R054: an address for the administrator to allow. */
export async function suggestSite(login: Login, session: string, url: string): Promise<void> {
  await call('POST', `/v1/sessions/${session}/suggestions`, login.token, { url });
}

/** Any call with a bearer and a JSON body. */
export async function call<T>(method: 'POST' | 'DELETE' | 'GET', path: string, token: string | undefined, body?: unknown): Promise<T> {
  const headers: Record<string, string> = {};
  if (body !== undefined) {
    headers['content-type'] = 'application/json';
  }
  if (token !== undefined) {
    headers['authorization'] = `Bearer ${token}`;
  }
  return answerOf<T>(await reach(path, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) }));
}

async function reach(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(path, init);
  } catch {
    throw new RefusedError('E_NETWORK', 'network', 'The relay cannot be reached. Check your connection and try again.', undefined);
  }
}

async function answerOf<T>(answer: Response): Promise<T> {
  const body: unknown = answer.status === 204 ? {} : await answer.json().catch(() => ({}));
  if (answer.ok) {
    return body as T;
  }
  const { code, rule, detail, sessions } = body as { code?: string; rule?: string; detail?: string; sessions?: string[] };
  const wait = Number(answer.headers.get('retry-after') ?? Number.NaN);
  throw new RefusedError(
    code ?? `HTTP_${answer.status}`,
    rule ?? '',
    detail ?? 'The relay could not answer. Please try again.',
    Number.isFinite(wait) ? wait : undefined,
    sessions,
  );
}
