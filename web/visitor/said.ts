/**
 * The words of a question, as they are shown: everywhere the same, and exactly what the relay keeps for the receipt. Text, never
 * markup; the terms behind a link that leaves this page alone (R045, R082).
 */
import type { Words } from '../protocol/signal.ts';
import { element } from './dom.ts';

/**
 * The words of a question as they may be shown. Whatever the relay says, only an https address becomes a link; words that were not
 * shown as a whole are not named in an answer, and the relay takes no yes without.
 */
export function wordsOf({ text, terms, words }: Words): Words {
  if (terms === undefined) {
    return { text, words };
  }
  const legal = URL.canParse(terms) && new URL(terms).protocol === 'https:';
  return legal ? { text, terms, words } : { text, words: '' };
}

/** One statement per line. */
export function said(question: Words): HTMLElement[] {
  const { text, terms } = wordsOf(question);
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const [only] = lines;
  const words = lines.length === 1 ? element('p', {}, only ?? '') : element('ul', {}, ...lines.map((line) => element('li', {}, line)));
  if (terms === undefined) {
    return [words];
  }
  const link = element('a', { href: terms, target: '_blank', rel: 'noopener noreferrer' }, 'Terms and conditions');
  return [words, element('p', { class: 'terms' }, link, element('span', { class: 'soft' }, ` (${new URL(terms).host}, opens in a new tab)`))];
}
