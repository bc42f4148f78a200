/**
 * Puts an asset that came late in its place. Nothing is remembered per element: a placeholder carries the asset's name in its
 * fragment, so every use is found by looking at the document (a few thousand elements, under a millisecond).
 */

import { PENDING_HEAD, type AssetLookup } from './address.ts';

const PENDING = new RegExp(`${PENDING_HEAD.replaceAll('+', '\\+')}([0-9a-f]{32})`, 'gu');
const ATTRIBUTES = ['src', 'srcset', 'poster', 'style', 'href', 'xlink:href', 'background', 'fill', 'mask', 'imagesrcset'];

/** Replaces every placeholder in `document` whose asset is known by now. */
export function patchPending(document: Document, lookup: AssetLookup): void {
  patchSheets(document, lookup);
  patchTree(document, lookup);
}

function patchTree(root: Document | ShadowRoot, lookup: AssetLookup): void {
  for (const element of root.querySelectorAll('*')) {
    for (const name of ATTRIBUTES) {
      const value = element.getAttribute(name);
      if (value?.includes(PENDING_HEAD) === true) {
        element.setAttribute(name, resolved(value, lookup));
      }
    }
    if (element.shadowRoot !== null) {
      patchSheets(element.shadowRoot, lookup);
      patchTree(element.shadowRoot, lookup);
    }
    if (element.localName === 'iframe') {
      const inner = (element as HTMLIFrameElement).contentDocument;
      if (inner !== null) {
        patchPending(inner, lookup);
      }
    }
  }
}

function patchSheets(root: Document | ShadowRoot, lookup: AssetLookup): void {
  for (const sheet of [...root.styleSheets, ...root.adoptedStyleSheets]) {
    for (let at = 0; at < sheet.cssRules.length; at++) {
      const text = sheet.cssRules[at]?.cssText ?? '';
      const patched = text.includes(PENDING_HEAD) ? resolved(text, lookup) : text;
      if (patched !== text) {
        // A rule is replaced as a whole: the sources of a @font-face cannot be set one by one.
        sheet.deleteRule(at);
        sheet.insertRule(patched, at);
      }
    }
  }
}

function resolved(text: string, lookup: AssetLookup): string {
  return text.replace(PENDING, (whole: string, name: string) => lookup(name) ?? whole);
}
