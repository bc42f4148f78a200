/**
 * Style sheets before they leave the page: comments gone, every address replaced by the name of an asset or by nothing, and,
 * in masked regions, generated text gone. Works on tokens (strings, comments, `url()`), not on rules: it has no opinion on CSS.
 */

/** Gives the reference that stands for an absolute address. */
export type Resolve = (address: string) => string;

const TOKEN = /\/\*[\s\S]*?(?:\*\/|$)|url\(\s*(?:"((?:[^"\\]|\\[\s\S])*)"|'((?:[^'\\]|\\[\s\S])*)'|((?:[^)"'\\\s]|\\[\s\S])*))\s*\)|"(?:[^"\\\n]|\\[\s\S])*"|'(?:[^'\\\n]|\\[\s\S])*'/giu;
/** A string is an address in these two places only. */
const ADDRESS_BEFORE = /(?:@import\s+|image-set\([^;{}]*)$/iu;

/** `base` is the address that relative ones are relative to; `bare` drops generated text. */
export function scrubCss(css: string, base: string, resolve: Resolve, bare = false): string {
  return css.replace(TOKEN, (token: string, double?: string, single?: string, plain?: string, at?: number) => {
    if (token.startsWith('/*')) {
      return '';
    }
    if (/^url\(/iu.test(token)) {
      return `url("${reference(unescape(double ?? single ?? plain ?? ''), base, resolve)}")`;
    }
    const before = css.slice(Math.max(0, (at ?? 0) - 300), at);
    if (ADDRESS_BEFORE.test(before)) {
      return `"${reference(unescape(token.slice(1, -1)), base, resolve)}"`;
    }
    return bare ? '""' : token;
  });
}

function reference(address: string, base: string, resolve: Resolve): string {
  const text = address.trim();
  if (text === '' || text.startsWith('#')) {
    return text.replaceAll('"', '');
  }
  if (/^data:(?:image|font|application\/(?:x-)?font)/iu.test(text)) {
    return text.replaceAll('"', '%22');
  }
  try {
    return resolve(new URL(text, base).href);
  } catch {
    return NOTHING;
  }
}

/** What stands for an address that cannot be shown. */
export const NOTHING = 'fl-none:';

function unescape(text: string): string {
  return text
    .replace(/\\([0-9a-f]{1,6})\s?/giu, (_, hex: string) => String.fromCodePoint(Math.min(0x10ffff, Number.parseInt(hex, 16))))
    .replace(/\\([\s\S])/gu, '$1');
}
