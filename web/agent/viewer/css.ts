/**
 * Addresses inside CSS text. Owns finding and replacing them; what an address becomes is the caller's decision
 * ({@link Resolve}). It is a scrubber, not a parser: what it misses (escaped spellings) the page's CSP stops.
 */

/** Gives the address to use in place of `address`. The result is quoted by the caller. */
export type Resolve = (address: string) => string;

const URL_FUNCTION = /url\(\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^)"'\s]*))\s*\)/giu;
/** The recorder inlines imported sheets; one that is left would only be fetched. */
const IMPORT = /@import\b[^;{}]*;?/giu;
/** `image-set("…")` and `src("…")` name addresses without `url()`. */
const BARE_STRING_FUNCTION = /(\b(?:-webkit-)?image-set\(|\bsrc\()\s*(?:"([^"]*)"|'([^']*)')/giu;

/** CSS text with every address replaced and every import removed. */
export function rewriteCss(css: string, resolve: Resolve): string {
  if (!/url\(|@import|image-set\(|src\(/iu.test(css)) {
    return css;
  }
  return css
    .replace(IMPORT, '')
    .replace(URL_FUNCTION, (_whole, double?: string, single?: string, bare?: string) => quoted(resolve(double ?? single ?? bare ?? '')))
    .replace(BARE_STRING_FUNCTION, (_whole, head: string, double?: string, single?: string) =>
      `${head}${quoted(resolve(double ?? single ?? '')).slice(4, -1)}`,
    );
}

function quoted(address: string): string {
  return `url("${address.replace(/["\\\n\r]/gu, (c) => encodeURIComponent(c))}")`;
}
