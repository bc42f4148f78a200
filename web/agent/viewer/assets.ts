/**
 * Images, fonts and styles of the visitor's page, as they arrive: kept in memory under their hash and shown through `blob:`
 * addresses. The bound on count and bytes is the relay's own (`limits::ASSET_*`); the oldest leave first.
 */

/** Bytes and count that are kept, the same as at the relay. */
export const ASSET_BYTES_MAX = 16 * 1024 * 1024;
export const ASSET_COUNT_MAX = 512;

const NAME_BYTES = 16;
/** Kinds a picture or a font can have; anything else is not shown. */
const SHOWN = /^(?:image\/[a-z0-9.+-]+|font\/[a-z0-9.+-]+|application\/(?:x-)?font-[a-z0-9.+-]+)$/iu;

interface Asset {
  readonly address: string;
  readonly bytes: number;
}

/** One asset message taken apart. */
export interface AssetContent {
  /** 32 hex digits: the first half of the SHA-256 of the content. */
  readonly name: string;
  readonly type: string;
  readonly content: Uint8Array;
}

/** Reads an asset message (16 bytes of hash, length and text of the MIME type, content); nothing when it is not one. */
export function readAsset(message: Uint8Array): AssetContent | undefined {
  const typeLength = message[NAME_BYTES];
  if (typeLength === undefined || message.length < NAME_BYTES + 1 + typeLength) {
    return undefined;
  }
  const name = Array.from(message.subarray(0, NAME_BYTES), (byte) => byte.toString(16).padStart(2, '0')).join('');
  const type = new TextDecoder().decode(message.subarray(NAME_BYTES + 1, NAME_BYTES + 1 + typeLength));
  return SHOWN.test(type) ? { name, type, content: message.subarray(NAME_BYTES + 1 + typeLength) } : undefined;
}

export class Assets {
  private readonly kept = new Map<string, Asset>();
  private bytes = 0;

  /** The `blob:` address of an asset that has come. */
  readonly lookup = (name: string): string | undefined => this.kept.get(name)?.address;

  /** Keeps an asset; false when it was known already. */
  add(asset: AssetContent): boolean {
    if (this.kept.has(asset.name)) {
      return false;
    }
    const copy = new Uint8Array(asset.content);
    const address = URL.createObjectURL(new Blob([copy], { type: asset.type }));
    this.kept.set(asset.name, { address, bytes: copy.length });
    this.bytes += copy.length;
    this.trim();
    return true;
  }

  /** Forgets everything: the rules for hiding have changed, or the session is over. */
  clear(): void {
    for (const asset of this.kept.values()) {
      URL.revokeObjectURL(asset.address);
    }
    this.kept.clear();
    this.bytes = 0;
  }

  private trim(): void {
    for (const [name, asset] of this.kept) {
      if (this.kept.size <= ASSET_COUNT_MAX && this.bytes <= ASSET_BYTES_MAX) {
        return;
      }
      URL.revokeObjectURL(asset.address);
      this.kept.delete(name);
      this.bytes -= asset.bytes;
    }
  }
}
