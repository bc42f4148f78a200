/**
 * Pictures and fonts of the page that the visitor's browser may read: each address is read once, named by its content and
 * sent once.
 *
 * A page never waits for them. An address whose content is not known yet is shown as nothing; when it is, its uses are told
 * again. What may not be read (another origin without CORS, too large, no picture or font) stays nothing.
 */
import { ASSET_COUNT_MAX } from '../protocol/limits.ts';
import { NOTHING } from './css.ts';
import type { Use } from './scrub.ts';

/** A larger one would hold up the page's changes behind it for too long. */
export const ONE_ASSET_BYTES_MAX = 2 * 1024 * 1024;
/** In all; the relay keeps a little more. */
const ALL_BYTES_MAX = 14 * 1024 * 1024;
const READS_AT_ONCE = 4;
const NAME_BYTES = 16;
const TYPE = /^(?:image\/[a-z0-9.+-]+|font\/[a-z0-9.+-]+|application\/(?:x-)?font[a-z0-9.+-]*)$/u;
const BY_ENDING: ReadonlyMap<string, string> = new Map([
  ['woff2', 'font/woff2'], ['woff', 'font/woff'], ['ttf', 'font/ttf'], ['otf', 'font/otf'], ['svg', 'image/svg+xml'],
]);

/** An asset as the relay wants it: 16 bytes of name, one byte of type length, type, content. */
export interface Asset {
  readonly name: string;
  readonly payload: Uint8Array;
}

export interface AssetEvents {
  /** An asset is to be sent. */
  send(asset: Asset): void;
  /** These places may now name their asset. */
  ready(uses: readonly Use[]): void;
}

interface Entry {
  name: string | undefined;
  done: boolean;
  uses: Map<string, Use>;
}

export class Assets {
  readonly #events: AssetEvents;
  readonly #entries = new Map<string, Entry>();
  readonly #found = new Map<string, Asset>();
  readonly #waiting: string[] = [];
  #held = new Set<string>();
  #reading = 0;
  #bytes = 0;

  constructor(events: AssetEvents) {
    this.#events = events;
  }

  /** The relay holds these and no others. */
  held(names: readonly string[]): void {
    this.#held = new Set(names);
  }

  /** Sends what the relay does not hold. Call after a snapshot: the assets of a page follow it. */
  flush(): void {
    for (const asset of this.#found.values()) {
      this.#send(asset);
    }
  }

  /** The reference to show for an address, and remembers where it is used until it is known. */
  reference(address: string, use: Use): string {
    const entry = this.#entries.get(address) ?? this.#discover(address);
    if (entry.name !== undefined) {
      return `fl-asset:${entry.name}`;
    }
    if (!entry.done && use.attribute !== '') {
      entry.uses.set(`${use.id} ${use.attribute}`, use);
    }
    return NOTHING;
  }

  #discover(address: string): Entry {
    const entry: Entry = { name: undefined, done: false, uses: new Map() };
    if (this.#entries.size >= 4 * ASSET_COUNT_MAX || !/^(?:https?|blob):/u.test(address)) {
      entry.done = true;
      return entry;
    }
    this.#entries.set(address, entry);
    this.#waiting.push(address);
    void this.#work();
    return entry;
  }

  async #work(): Promise<void> {
    if (this.#reading >= READS_AT_ONCE) {
      return;
    }
    this.#reading += 1;
    for (let address = this.#waiting.shift(); address !== undefined; address = this.#waiting.shift()) {
      const entry = this.#entries.get(address);
      if (entry !== undefined) {
        await this.#read(address, entry);
      }
    }
    this.#reading -= 1;
  }

  async #read(address: string, entry: Entry): Promise<void> {
    const asset = await load(address);
    entry.done = true;
    if (asset !== undefined && this.#admit(asset)) {
      entry.name = asset.name;
      this.#events.ready([...entry.uses.values()]);
    }
    entry.uses.clear();
  }

  #admit(asset: Asset): boolean {
    if (this.#found.has(asset.name)) {
      return true;
    }
    if (this.#found.size >= ASSET_COUNT_MAX || this.#bytes + asset.payload.length > ALL_BYTES_MAX) {
      return false;
    }
    this.#bytes += asset.payload.length;
    this.#found.set(asset.name, asset);
    this.#send(asset);
    return true;
  }

  #send(asset: Asset): void {
    if (!this.#held.has(asset.name)) {
      this.#held.add(asset.name);
      this.#events.send(asset);
    }
  }
}

async function load(address: string): Promise<Asset | undefined> {
  try {
    const own = address.startsWith('blob:') || new URL(address).origin === location.origin;
    const answer = await fetch(address, { credentials: own ? 'same-origin' : 'omit', mode: 'cors', cache: 'force-cache' });
    const type = typeOf(answer, address);
    const length = Number(answer.headers.get('content-length') ?? 0);
    if (!answer.ok || type === undefined || length > ONE_ASSET_BYTES_MAX) {
      return undefined;
    }
    const content = new Uint8Array(await answer.arrayBuffer());
    return content.length === 0 || content.length > ONE_ASSET_BYTES_MAX ? undefined : await named(type, content);
  } catch {
    return undefined;
  }
}

function typeOf(answer: Response, address: string): string | undefined {
  const said = (answer.headers.get('content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  if (TYPE.test(said)) {
    return said;
  }
  const ending = /\.([a-z0-9]+)(?:[?#]|$)/iu.exec(address)?.[1]?.toLowerCase() ?? '';
  return said === '' || said === 'application/octet-stream' ? BY_ENDING.get(ending) : undefined;
}

async function named(type: string, content: Uint8Array<ArrayBuffer>): Promise<Asset> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', content)).subarray(0, NAME_BYTES);
  const typeBytes = new TextEncoder().encode(type);
  const payload = new Uint8Array(NAME_BYTES + 1 + typeBytes.length + content.length);
  payload.set(digest);
  payload[NAME_BYTES] = typeBytes.length;
  payload.set(typeBytes, NAME_BYTES + 1);
  payload.set(content, NAME_BYTES + 1 + typeBytes.length);
  return { name: Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join(''), payload };
}
