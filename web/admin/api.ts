/**
 * The operator's door as functions, over a client whose types are made from the OpenAPI document. Every refusal becomes a
 * {@link Refused}; nothing here knows the page.
 */
import createClient, { type Client } from 'openapi-fetch';

import type { components, operations, paths } from './api/openapi.generated.ts';

type Schemas = components['schemas'];
export type Group = Schemas['Group'];
export type Agent = Schemas['Agent'];
export type ServerKey = Schemas['ServerKey'];
export type Session = Schemas['Session'];
export type Suggestion = Schemas['Suggestion'];
export type Problem = Schemas['BundleProblem'];
export type Change = Schemas['Change'];
export type Move = Schemas['Move'];
export type Wish = Schemas['Wish'];
export type Verdict = Schemas['Verdict'];
export type Webhook = Schemas['Webhook'];
export type Delivery = Schemas['Delivery'];
export type LinkCheck = Schemas['LinkCheck'];
export type Webhooks = operations['listWebhooks']['responses'][200]['content']['application/json'];
export type Tested = operations['testWebhook']['responses'][200]['content']['application/json'];
export type SessionRecord = Schemas['SessionRecord'];
export type Attendance = Schemas['Attendance'];
export type AuditLine = Schemas['AuditLine'];
export type Summary = Schemas['Summary'];
export type Filter = Omit<NonNullable<operations['reportSessions']['parameters']['query']>, 'limit' | 'after' | 'format'>;
export type AuditFilter = Omit<NonNullable<operations['audit']['parameters']['query']>, 'limit' | 'after' | 'format'>;
export interface SessionPage {
  readonly sessions: readonly SessionRecord[];
  readonly next: string | null;
}
export interface AuditPage {
  readonly lines: readonly AuditLine[];
  readonly next: string | null;
}
export type Rollout = operations['rollout']['responses'][200]['content']['application/json'];

/** What the relay answers says every setting; only what is sent may leave some out. */
type Complete<T> = T extends readonly (infer U)[] ? Complete<U>[] : T extends object ? { [K in keyof T]-?: Complete<T[K]> } : T;
export type Bundle = Complete<Schemas['Bundle']>;
export type Item = Bundle['sites']['bookmarks'][number];
export type Folder = Extract<Item, { kind: 'folder' }>;

export interface Version extends Omit<Schemas['Version'], 'bundle' | 'problems' | 'warnings'> {
  readonly bundle: Bundle;
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/** A version that a head points to, and the mark that a move of the head has to repeat. */
export interface Head {
  readonly etag: string;
  readonly version: Version;
}

/** The relay said no, in words for a person. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly sentence: string,
    /** Everything that is wrong with a bundle. */
    readonly problems: readonly Problem[] = [],
  ) {
    super(sentence);
  }
}

type Answer = { data?: unknown; error?: unknown; response: Response };

export class Api {
  readonly #client: Client<paths>;
  readonly #by: string | undefined;
  readonly #signedOut: () => void;

  /** Without a token the browser's own cookie says who asks. `by` is written into the history; `signedOut` is called when the token is no longer good. */
  constructor(token: string | undefined, by: string | undefined, signedOut: () => void) {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    this.#client = createClient<paths>({ baseUrl: location.origin, headers });
    this.#by = by;
    this.#signedOut = signedOut;
  }

  /** Who is signed in. */
  async me(): Promise<{ who: string; name: string }> {
    return (await this.#reach(this.#client.GET('/v1/admin'))).data;
  }

  /** Where the browser goes to sign in with the identity provider, if there is one. */
  async provider(): Promise<string | undefined> {
    return (await this.#reach(this.#client.GET('/v1/oidc'))).data.start ?? undefined;
  }

  async signOut(): Promise<void> {
    await this.#reach(this.#client.POST('/v1/admin/logout'));
  }

  async serverKeys(group: string): Promise<ServerKey[]> {
    return (await this.#reach(this.#client.GET('/v1/groups/{group}/keys', { params: { path: { group } } }))).data.keys;
  }

  /** A new key's secret is told this once. */
  async makeServerKey(group: string, name: string, scopes: ServerKey['scopes']): Promise<string> {
    const wish = { params: { path: { group } }, body: { name, scopes } };
    return (await this.#reach(this.#client.POST('/v1/groups/{group}/keys', wish))).data.secret;
  }

  async revokeServerKey(group: string, key: string): Promise<void> {
    await this.#reach(this.#client.DELETE('/v1/groups/{group}/keys/{key}', { params: { path: { group, key } } }));
  }

  async groups(): Promise<Group[]> {
    return this.#all(async (page) => {
      const { groups, next } = (await this.#reach(this.#client.GET('/v1/groups', { params: { query: page } }))).data;
      return { items: groups, next };
    });
  }

  async group(group: string): Promise<Group> {
    return (await this.#reach(this.#client.GET('/v1/groups/{group}', { params: { path: { group } } }))).data;
  }

  async createGroup(group: string, name: string): Promise<Group> {
    return (await this.#reach(this.#client.POST('/v1/groups', { body: { group, name, ...this.#signed() } }))).data;
  }

  async switchGroup(group: string, active: boolean): Promise<Group> {
    const wish = { params: { path: { group } }, body: { active } };
    return (await this.#reach(this.#client.PATCH('/v1/groups/{group}', wish))).data;
  }

  async agents(group: string): Promise<Agent[]> {
    return this.#all(async (page) => {
      const params = { path: { group }, query: page };
      const { agents, next } = (await this.#reach(this.#client.GET('/v1/groups/{group}/agents', { params }))).data;
      return { items: agents, next };
    });
  }

  /** There shall be this agent. A new one has a secret that is told this once. */
  async putAgent(group: string, { agent, name, role, active }: Agent): Promise<string | undefined> {
    const wish = { params: { path: { group, agent } }, body: { name, role, active } };
    return (await this.#reach(this.#client.PUT('/v1/groups/{group}/agents/{agent}', wish))).data.secret;
  }

  async staging(group: string): Promise<Head> {
    return head(await this.#reach(this.#client.GET('/v1/groups/{group}/policy/staging', { params: { path: { group } } })));
  }

  async production(group: string): Promise<Head> {
    return head(await this.#reach(this.#client.GET('/v1/groups/{group}/policy/production', { params: { path: { group } } })));
  }

  async save(group: string, seen: string, bundle: Bundle, note: string): Promise<Head> {
    const body = { bundle, note, ...this.#signed() };
    return head(await this.#reach(this.#client.PUT('/v1/groups/{group}/policy/staging', { params: at(group, seen), body })));
  }

  async publish(group: string, seen: string, version: number): Promise<Head> {
    const wish = { params: at(group, seen), body: { version, ...this.#signed() } };
    return head(await this.#reach(this.#client.POST('/v1/groups/{group}/policy/publish', wish)));
  }

  /** To the version before, or to an earlier one. */
  async rollBack(group: string, seen: string, version?: number): Promise<Head> {
    const wish = { params: at(group, seen), body: { ...(version === undefined ? {} : { version }), ...this.#signed() } };
    return head(await this.#reach(this.#client.POST('/v1/groups/{group}/policy/rollback', wish)));
  }

  async enforce(group: string): Promise<{ told: number; unreached: number }> {
    const wish = { params: { path: { group } }, body: this.#signed() };
    return (await this.#reach(this.#client.POST('/v1/groups/{group}/policy/enforce', wish))).data;
  }

  async diff(group: string, from: string, to: string): Promise<{ from: number; to: number; changes: Change[] }> {
    const params = { path: { group }, query: { from, to } };
    return (await this.#reach(this.#client.GET('/v1/groups/{group}/policy/diff', { params }))).data;
  }

  async history(group: string, before: number | null): Promise<{ moves: Move[]; next: number | null }> {
    const params = { path: { group }, query: before === null ? {} : { before } };
    return (await this.#reach(this.#client.GET('/v1/groups/{group}/policy/history', { params }))).data;
  }

  async rollout(group: string): Promise<Rollout> {
    return (await this.#reach(this.#client.GET('/v1/groups/{group}/policy/rollout', { params: { path: { group } } }))).data;
  }

  async exported(group: string, version: number): Promise<unknown> {
    const params = { path: { group, version } };
    return (await this.#reach(this.#client.GET('/v1/groups/{group}/policy/versions/{version}/export', { params }))).data;
  }

  /** `file` is what an export gave; the relay says what it thinks of anything else. */
  async imported(group: string, seen: string, file: unknown): Promise<Head> {
    const wish = { params: at(group, seen), body: file as Schemas['Version'] };
    return head(await this.#reach(this.#client.POST('/v1/groups/{group}/policy/import', wish)));
  }

  async evaluate(group: string, role: string, wish: Wish): Promise<{ staging: Verdict; production: Verdict }> {
    const body = { group, wish, ...(role === '' ? {} : { role }) };
    return (await this.#reach(this.#client.POST('/v1/policy/evaluate', { body }))).data;
  }

  async webhooks(group: string): Promise<Webhooks> {
    return (await this.#reach(this.#client.GET('/v1/groups/{group}/webhooks', { params: { path: { group } } }))).data;
  }

  /** The answer has the secret, this once. */
  async createWebhook(group: string, body: { url: string; events: string[] }): Promise<Webhook> {
    return (await this.#reach(this.#client.POST('/v1/groups/{group}/webhooks', { params: { path: { group } }, body }))).data;
  }

  async changeWebhook(group: string, webhook: string, body: { events?: string[]; active?: boolean }): Promise<Webhook> {
    const params = { path: { group, webhook } };
    return (await this.#reach(this.#client.PATCH('/v1/groups/{group}/webhooks/{webhook}', { params, body }))).data;
  }

  async removeWebhook(group: string, webhook: string): Promise<void> {
    await this.#reach(this.#client.DELETE('/v1/groups/{group}/webhooks/{webhook}', { params: { path: { group, webhook } } }));
  }

  async rotateWebhook(group: string, webhook: string): Promise<{ secret: string; previous_until: number }> {
    const params = { path: { group, webhook } };
    return (await this.#reach(this.#client.POST('/v1/groups/{group}/webhooks/{webhook}/rotate', { params }))).data;
  }

  async testWebhook(group: string, webhook: string): Promise<Tested> {
    const params = { path: { group, webhook } };
    return (await this.#reach(this.#client.POST('/v1/groups/{group}/webhooks/{webhook}/test', { params }))).data;
  }

  /** Dead ones, the first page. */
  async deliveries(group: string, webhook: string): Promise<Delivery[]> {
    const params = { path: { group, webhook }, query: { state: 'dead' as const } };
    return (await this.#reach(this.#client.GET('/v1/groups/{group}/webhooks/{webhook}/deliveries', { params }))).data.deliveries;
  }

  /** One dead message, or all of them. */
  async replay(group: string, webhook: string, delivery?: number): Promise<{ replayed: number }> {
    const wish = { params: { path: { group, webhook } }, body: delivery === undefined ? {} : { delivery } };
    return (await this.#reach(this.#client.POST('/v1/groups/{group}/webhooks/{webhook}/replay', wish))).data;
  }

  /** Could browsers open this document? */
  async checkLink(url: string, type: 'pdf' | 'xls' | 'csv'): Promise<LinkCheck> {
    return (await this.#reach(this.#client.POST('/v1/config/check-link', { body: { url, type } }))).data;
  }

  async suggestions(group: string): Promise<Suggestion[]> {
    const params = { path: { group } };
    return (await this.#reach(this.#client.GET('/v1/groups/{group}/suggestions', { params }))).data.suggestions;
  }

  async removeSuggestion(group: string, suggestion: number): Promise<void> {
    await this.#reach(this.#client.DELETE('/v1/groups/{group}/suggestions/{suggestion}', { params: { path: { group, suggestion } } }));
  }

  async sessions(): Promise<Session[]> {
    return this.#all(async (page) => {
      const { sessions, next } = (await this.#reach(this.#client.GET('/v1/sessions', { params: { query: page } }))).data;
      return { items: sessions, next };
    });
  }

  async summary({ outcome: _, ...query }: Filter): Promise<Summary> {
    return (await this.#reach(this.#client.GET('/v1/reports/summary', { params: { query } }))).data;
  }

  /** Newest first, a page at a time. */
  async sessionReport(wish: Filter, after?: string): Promise<SessionPage> {
    const query = { ...wish, ...(after === undefined ? {} : { after }) };
    // Only an export is CSV.
    return (await this.#reach(this.#client.GET('/v1/reports/sessions', { params: { query } }))).data as SessionPage;
  }

  async sessionDetails(session: string): Promise<SessionRecord & { who: Attendance[] }> {
    return (await this.#reach(this.#client.GET('/v1/reports/sessions/{session}', { params: { path: { session } } }))).data;
  }

  async audit(wish: AuditFilter, after?: string): Promise<AuditPage> {
    const query = { ...wish, ...(after === undefined ? {} : { after }) };
    return (await this.#reach(this.#client.GET('/v1/audit', { params: { query } }))).data as AuditPage;
  }

  sessionFile(wish: Filter, format: 'csv' | 'json'): Promise<Blob> {
    return this.#file(this.#client.GET('/v1/reports/sessions', { params: { query: { ...wish, format } }, parseAs: 'blob' }));
  }

  auditFile(wish: AuditFilter, format: 'csv' | 'json'): Promise<Blob> {
    return this.#file(this.#client.GET('/v1/audit', { params: { query: { ...wish, format } }, parseAs: 'blob' }));
  }

  /** What the visitor was asked and answered, as `fanlight verify-receipts` checks it. */
  receipts(session: string): Promise<Blob> {
    return this.#file(this.#client.GET('/v1/sessions/{session}/receipts', { params: { path: { session } }, parseAs: 'blob' }));
  }

  async #file(asking: Promise<{ data?: Blob; error?: unknown; response: Response }>): Promise<Blob> {
    return (await this.#reach(asking)).data;
  }

  async endSession(session: string): Promise<void> {
    await this.#reach(this.#client.DELETE('/v1/sessions/{session}', { params: { path: { session } } }));
  }

  /** Every page of a list. */
  async #all<T>(read: (page: { limit: number; after?: string }) => Promise<{ items: T[]; next: string | null }>): Promise<T[]> {
    const all: T[] = [];
    let page: { limit: number; after?: string } = { limit: 500 };
    for (;;) {
      const { items, next } = await read(page);
      all.push(...items);
      if (next === null) {
        return all;
      }
      page = { limit: 500, after: next };
    }
  }

  #signed(): { by?: string } {
    return this.#by === undefined ? {} : { by: this.#by };
  }

  async #reach<T extends Answer>(asking: Promise<T>): Promise<{ data: NonNullable<T['data']>; response: Response }> {
    let answer: T;
    try {
      answer = await asking;
    } catch {
      throw new Refused(0, 'E_NETWORK', 'The relay cannot be reached. Check your connection and try again.');
    }
    const { data, error, response } = answer;
    if (response.ok) {
      return { data: data as NonNullable<T['data']>, response };
    }
    if (response.status === 401) {
      this.#signedOut();
    }
    const { code, detail, problems } = (typeof error === 'object' && error !== null ? error : {}) as Partial<Schemas['Unfit']>;
    const words = detail ?? 'The relay could not answer. Please try again.';
    throw new Refused(response.status, code ?? `HTTP_${response.status}`, words, problems ?? []);
  }
}

function at(group: string, seen: string): { path: { group: string }; header: { 'If-Match': string } } {
  return { path: { group }, header: { 'If-Match': seen } };
}

function head(answer: { data: Schemas['Version']; response: Response }): Head {
  const { problems = [], warnings = [], bundle, ...rest } = answer.data;
  return { etag: answer.response.headers.get('etag') ?? '', version: { ...rest, bundle: bundle as Bundle, problems, warnings } };
}
