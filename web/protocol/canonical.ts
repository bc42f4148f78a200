/**
 * One page, one text: the canonical form of a document, so that a visitor's live page and an agent's mirror of it can be
 * compared with `===`.
 *
 * Owns what "equal" means. It keeps what a person would see as structure (elements, shadow roots, text, ids, classes, inline
 * style, geometry of drawings) and drops what legitimately differs: scripts and metadata, values of fields, attributes the
 * visitor's scrubber may mask, addresses of assets, the widget itself, and what the replayer adds. Text that a mask covers
 * reads the same on both sides.
 */

/** What only the caller knows about its side. */
export interface CanonicalOptions {
  /** Agent's side: is this node part of the mirrored page (and not added by the viewer)? Default: every node is. */
  readonly known?: (node: Node) => boolean;
  /** Is this element shown as an empty box of its size? Both sides must say so. Default: by {@link BLOCK_ATTRIBUTE}. */
  readonly blocked?: (element: Element) => boolean;
  /** Visitor's side: is text in here masked? Agent's side: leave out, masked text is recognised by its characters. */
  readonly masked?: (element: Element) => boolean;
}

/** Marks an element of the visitor's page that is replaced by a box of its size. */
export const BLOCK_ATTRIBUTE = 'data-fanlight-block';
/** Marks an element of the visitor's page whose text is masked. */
export const MASK_ATTRIBUTE = 'data-fanlight-mask';

const MASKED_TEXT = '[masked]';
/** Only mask characters and blanks: what a mask leaves of a (trimmed, non-empty) text. */
const MASK_ONLY = /^[\s*•▪█]+$/u;

/** Never compared: they carry no picture, or the browser and the recorder rightly treat them differently. */
const SKIPPED = new Set([
  'script', 'noscript', 'template', 'style', 'link', 'meta', 'base', 'title', 'object', 'embed', 'applet', 'frame', 'frameset',
]);
/** Their content is a value (masked by default) or lives in another document. */
const CLOSED = new Set(['select', 'textarea', 'iframe', 'canvas', 'video', 'audio', 'picture', 'datalist']);
const COMPARED = [
  'id', 'class', 'style', 'hidden', 'disabled', 'dir', 'colspan', 'rowspan', 'viewBox', 'd', 'x', 'y', 'x1', 'y1', 'x2', 'y2', 'cx',
  'cy', 'r', 'rx', 'ry', 'points', 'fill', 'stroke', 'transform',
] as const;
const REPLAY_CLASSES = new Set([':hover', 'rrweb-paused']);

/**
 * The canonical text of the document's body, one line per element or text. Total: any document has one.
 */
export function canonicalHtml(document: Document, options: CanonicalOptions = {}): string {
  const lines: string[] = [];
  if (document.body !== null) {
    writeElement(document.body, 0, lines, options);
  }
  return lines.join('\n');
}

function writeElement(element: Element, depth: number, lines: string[], options: CanonicalOptions): void {
  const tag = element.localName.toLowerCase();
  if (SKIPPED.has(tag) || tag.startsWith('fl-') || tag.startsWith('fanlight-')) {
    return;
  }
  if (options.known !== undefined && !options.known(element)) {
    return;
  }
  const indent = ' '.repeat(depth);
  if (isBlocked(element, options)) {
    lines.push(`${indent}<${tag} blocked>`);
    return;
  }
  lines.push(`${indent}<${tag}${attributesOf(element, tag)}>`);
  if (CLOSED.has(tag)) {
    return;
  }
  if (element.shadowRoot !== null) {
    lines.push(`${indent} #shadow`);
    writeChildren(element.shadowRoot, depth + 2, lines, options);
  }
  writeChildren(element, depth + 1, lines, options);
}

function writeChildren(parent: ParentNode & Node, depth: number, lines: string[], options: CanonicalOptions): void {
  let text = '';
  const flush = (): void => {
    const shown = shownText(text, parent, options);
    if (shown !== '') {
      lines.push(' '.repeat(depth) + shown);
    }
    text = '';
  };
  for (const child of parent.childNodes) {
    if (child.nodeType === 3) {
      text += options.known === undefined || options.known(child) ? (child.nodeValue ?? '') : '';
    } else if (child.nodeType === 1) {
      flush();
      writeElement(child as Element, depth, lines, options);
    }
  }
  flush();
}

function shownText(text: string, parent: Node, options: CanonicalOptions): string {
  const collapsed = text.replace(/\s+/gu, ' ').trim();
  if (collapsed === '') {
    return '';
  }
  const element = parent.nodeType === 1 ? (parent as Element) : ((parent as Partial<ShadowRoot>).host ?? null);
  const masked = element !== null && (options.masked ?? hasMaskAttribute)(element);
  return masked || MASK_ONLY.test(collapsed) ? MASKED_TEXT : collapsed;
}

function isBlocked(element: Element, options: CanonicalOptions): boolean {
  return options.blocked?.(element) ?? element.hasAttribute(BLOCK_ATTRIBUTE);
}

function hasMaskAttribute(element: Element): boolean {
  return element.closest(`[${MASK_ATTRIBUTE}]`) !== null;
}

function attributesOf(element: Element, tag: string): string {
  let out = '';
  for (const name of COMPARED) {
    if (!element.hasAttribute(name) || (tag === 'canvas' && name === 'style')) {
      continue;
    }
    const value = attributeText(element, name);
    if (value !== '') {
      out += ` ${name}=${JSON.stringify(value)}`;
    }
  }
  return out;
}

function attributeText(element: Element, name: string): string {
  if (name === 'style') {
    // The parsed form: the recorder sends single properties, which the browser writes back in its own spelling.
    const style = (element as Partial<ElementCSSInlineStyle>).style;
    return (style?.cssText ?? '').replace(/url\([^)]*\)/gu, 'url(*)').trim();
  }
  const value = element.getAttribute(name) ?? '';
  if (name === 'class') {
    return value.split(/\s+/u).filter((word) => word !== '' && !REPLAY_CLASSES.has(word)).join(' ');
  }
  return name === 'hidden' || name === 'disabled' ? 'true' : value;
}
