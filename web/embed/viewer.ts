/**
 * For another product's page: puts the agent console into a frame and speaks with it (`docs/integrate.md`).
 *
 * ```html
 * <script src="https://relay.example/fanlight-viewer.js"></script>
 * <div id="cobrowse"></div>
 * ```
 * ```js
 * const viewer = FanlightViewer.mount(document.getElementById('cobrowse'));
 * viewer.on('session.started', ({ session }) => showTab('Co-browse'));
 * viewer.signIn(login);
 * viewer.start({ visitor: 'maria', context: { type: 'case', id: 'C-1042' } });
 * ```
 */
export interface MountOptions {
  /** Origin of the relay. Default: the origin of this script. */
  readonly relay?: string;
  /** The frame's title, for screen readers. */
  readonly title?: string;
}

export interface StartWish {
  readonly kind?: 'cobrowse' | 'show' | 'view';
  /** Whom to ask on the website; without one a link is made (`show`, `view`). */
  readonly visitor?: string;
  readonly context?: { readonly type: string; readonly id: string };
  readonly external_ref?: string;
}

export interface AgentLogin {
  readonly group: string;
  readonly agent: string;
  readonly name: string;
  readonly token: string;
}

type Detail = Readonly<Record<string, unknown>>;
type Listener = (detail: Detail) => void;

const SOURCE = 'fanlight';
const script = document.currentScript instanceof HTMLScriptElement ? document.currentScript.src : '';

export class Viewer {
  readonly frame: HTMLIFrameElement;
  readonly #relay: string;
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #stop = new AbortController();
  #ready = false;
  #waiting: object[] = [];

  constructor(host: HTMLElement, options: MountOptions) {
    this.#relay = new URL(options.relay ?? (script || location.href), location.href).origin;
    const frame = document.createElement('iframe');
    frame.title = options.title ?? 'Co-browse';
    frame.allow = 'display-capture; clipboard-write; fullscreen; autoplay';
    frame.style.cssText = 'border:0;width:100%;height:100%';
    frame.src = `${this.#relay}/agent/?embed=1&parent=${encodeURIComponent(location.origin)}`;
    this.frame = frame;
    window.addEventListener('message', (event: MessageEvent<unknown>) => this.#hear(event), { signal: this.#stop.signal });
    host.replaceChildren(frame);
  }

  /** Signs the agent in with the answer of `POST /v1/login` (and the group). */
  signIn(login: AgentLogin): void {
    this.#say({ type: 'sign_in', login });
  }

  /** Follows these visitors: `presence` events tell how they stand. */
  watch(visitors: readonly string[]): void {
    this.#say({ type: 'visitors.watch', visitors });
  }

  start(wish: StartWish): void {
    this.#say({ ...wish, type: 'session.start' });
  }

  join(key: string): void {
    this.#say({ type: 'session.join', key });
  }

  /** Opens the session of a `view_url`. */
  view(viewUrl: string): void {
    this.#say({ type: 'session.view', view_url: viewUrl });
  }

  end(): void {
    this.#say({ type: 'session.end' });
  }

  /** Listens to one kind of event, or to all with `*`; the answer stops listening. */
  on(type: string, listener: Listener): () => void {
    const listeners = this.#listeners.get(type) ?? new Set<Listener>();
    this.#listeners.set(type, listeners);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  unmount(): void {
    this.#stop.abort();
    this.frame.remove();
  }

  #say(wish: object): void {
    if (!this.#ready) {
      this.#waiting.push(wish);
      return;
    }
    this.frame.contentWindow?.postMessage({ source: SOURCE, ...wish }, this.#relay);
  }

  #hear(event: MessageEvent<unknown>): void {
    const data = event.data as { source?: unknown; type?: unknown } | null;
    if (event.source !== this.frame.contentWindow || event.origin !== this.#relay || data?.source !== SOURCE || typeof data.type !== 'string') {
      return;
    }
    if (data.type === 'viewer.ready') {
      this.#ready = true;
      const waiting = this.#waiting;
      this.#waiting = [];
      waiting.forEach((wish) => this.#say(wish));
    }
    for (const listener of [...(this.#listeners.get(data.type) ?? []), ...(this.#listeners.get('*') ?? [])]) {
      listener(data as Detail);
    }
  }
}

export const FanlightViewer = {
  mount: (host: HTMLElement, options: MountOptions = {}): Viewer => new Viewer(host, options),
};

(globalThis as { FanlightViewer?: typeof FanlightViewer }).FanlightViewer = FanlightViewer;
