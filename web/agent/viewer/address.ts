/**
 * What an address in a mirrored page turns into. The invariant: nothing that leaves here makes the agent's browser fetch
 * anything. An address is a picture or font already in memory, inline data, or a placeholder drawn by us.
 */

/** Looks up an asset by its 32 hex digits: a `blob:` address, or nothing when it has not come (yet). */
export type AssetLookup = (name: string) => string | undefined;

/** How the visitor's page names an asset: 32 hex digits, the first half of the SHA-256 of its content. */
export const ASSET_SCHEME = 'fl-asset:';
/** How the visitor's page names what its browser may not read. May be followed by `width x height`. */
export const NONE_SCHEME = 'fl-none:';
const BLANK = 'data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4=';
/** A blank picture that stands for an asset on its way; the asset's name follows in the fragment, so that it can be found again. */
export const PENDING_HEAD = `${BLANK}#fl-pending-`;

const ASSET = /^fl-asset:([0-9a-f]{32})$/u;
const INLINE = /^data:(?:image\/(?:png|jpeg|gif|webp|avif|bmp|x-icon|vnd\.microsoft\.icon|svg\+xml)|(?:application\/(?:x-)?font|font\/)[a-z0-9.+-]*)[;,]/iu;
const SIZE = /^fl-none:\s*(\d{1,5})x(\d{1,5})/u;

/** The address to show in place of `address`. */
export function safeAddress(address: string, lookup: AssetLookup): string {
  const text = address.trim();
  const asset = ASSET.exec(text)?.[1];
  if (asset !== undefined) {
    return lookup(asset) ?? pendingAddress(asset);
  }
  if (text === '' || text.startsWith('#') || INLINE.test(text)) {
    return text;
  }
  const size = SIZE.exec(text);
  return size === null ? MISSING : placeholder(Number(size[1]), Number(size[2]));
}

/** The same inside CSS, where a missing picture is nothing at all: a label would be tiled over the page. */
export function safeCssAddress(address: string, lookup: AssetLookup): string {
  const safe = safeAddress(address, lookup);
  return safe === MISSING || SIZE.test(address.trim()) ? BLANK : safe;
}

/** A blank picture that remembers which asset belongs in its place. */
export function pendingAddress(asset: string): string {
  return PENDING_HEAD + asset;
}

/** Every candidate of a `srcset` made safe; descriptors are kept. */
export function safeSrcset(srcset: string, lookup: AssetLookup): string {
  // Inline data contains commas; a candidate ends at a comma that is followed by white space or the end.
  const candidates = srcset.split(/,\s+|,$/u).map((part) => part.trim()).filter((part) => part !== '');
  return candidates
    .map((candidate) => {
      const [address = '', ...descriptor] = candidate.split(/\s+/u);
      return [safeAddress(address, lookup).replaceAll(' ', '%20'), ...descriptor].join(' ');
    })
    .join(', ');
}

/**
 * A quiet grey picture that says what is missing. Zero means: no size known, let the layout decide. It appears after a moment,
 * because most pictures are only on their way.
 */
export function placeholder(width: number, height: number): string {
  const size = width > 0 && height > 0 ? ` width='${width}' height='${height}'` : '';
  const label = width === 0 || (width >= 90 && height >= 24);
  const text = label
    ? "<text x='50%' y='50%' font-family='system-ui,sans-serif' font-size='12' fill='#5b6472' text-anchor='middle' dominant-baseline='middle'>Image not available</text>"
    : '';
  const box = "<rect width='100%' height='100%' fill='#e8ebf0'/><rect x='.5' y='.5' width='99%' height='98%' fill='none' stroke='#c3cad5' stroke-dasharray='4 3'/>";
  const later = "<animate attributeName='opacity' from='0' to='1' begin='.8s' dur='.2s' fill='freeze'/>";
  const svg = `<svg xmlns='http://www.w3.org/2000/svg'${size}><g opacity='0'>${later}${box}${text}</g></svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}

const MISSING = placeholder(0, 0);
