/**
 * The console inside another product's page (R150): messages to and from the frame around it, as `docs/integrate.md` lists
 * them.
 *
 * The relay lets only the configured origins frame this page. Here, a message is taken only from the very parent and from the
 * origin that the frame's address names, and nothing is told to any other.
 */

import type { About } from './lobby.ts';
import type { Login } from './api.ts';

/** What the page around may ask for. */
export type Wish =
  | { readonly type: 'sign_in'; readonly login: Login }
  | ({ readonly type: 'session.start'; readonly visitor?: string } & About)
  | { readonly type: 'session.join'; readonly key: string }
  | { readonly type: 'session.view'; readonly view_url: string }
  | { readonly type: 'visitors.watch'; readonly visitors: readonly string[] }
  | { readonly type: 'session.end' };

const SOURCE = 'fanlight';

export class Embed {
  private readonly parent: string | undefined;

  constructor(options: URLSearchParams, wish: (wish: Wish) => void) {
    const wanted = options.get('embed') === null ? null : options.get('parent');
    this.parent = window.parent !== window && wanted !== null && originOf(wanted) === wanted ? wanted : undefined;
    if (this.parent !== undefined) {
      window.addEventListener('message', (event: MessageEvent<unknown>) => {
        const told = event.source === window.parent && event.origin === this.parent ? wishOf(event.data) : undefined;
        if (told !== undefined) {
          wish(told);
        }
      });
    }
  }

  get on(): boolean {
    return this.parent !== undefined;
  }

  tell(type: string, detail: Record<string, unknown> = {}): void {
    if (this.parent !== undefined) {
      window.parent.postMessage({ source: SOURCE, type, ...detail }, this.parent);
    }
  }
}

/** A message that this console understands. */
export function wishOf(data: unknown): Wish | undefined {
  if (typeof data !== 'object' || data === null || (data as { source?: unknown }).source !== SOURCE) {
    return undefined;
  }
  const wish = data as Record<string, unknown>;
  const text = (name: string): boolean => typeof wish[name] === 'string';
  switch (wish['type']) {
    case 'sign_in': {
      const login = wish['login'] as Record<string, unknown> | null | undefined;
      const whole = ['group', 'agent', 'name', 'token'].every((name) => typeof login?.[name] === 'string');
      return whole ? (wish as unknown as Wish) : undefined;
    }
    case 'session.start':
    case 'session.end':
      return wish as unknown as Wish;
    case 'session.join':
      return text('key') ? (wish as unknown as Wish) : undefined;
    case 'session.view':
      return text('view_url') ? (wish as unknown as Wish) : undefined;
    case 'visitors.watch': {
      const visitors = wish['visitors'];
      return Array.isArray(visitors) && visitors.every((one) => typeof one === 'string') ? (wish as unknown as Wish) : undefined;
    }
    default:
      return undefined;
  }
}

function originOf(text: string): string | undefined {
  try {
    return new URL(text).origin;
  } catch {
    return undefined;
  }
}
