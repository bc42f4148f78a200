/**
 * Scrubs recorder events before they are replayed: a second wall behind the sandbox (no scripts) and the page's CSP (no
 * requests). The visitor's widget is honest, a visitor's browser need not be.
 *
 * The invariant: after {@link scrubEvents} no element runs script, names an address outside this document, navigates, or
 * submits. Node ids are never changed or dropped, because later diffs refer to them: what may not exist becomes an inert
 * element. Malformed structure throws {@link ScrubError}; it leaves matching ids to nodes to the replayer.
 */

import { EventType, IncrementalSource, NodeType } from './rrweb.ts';
import { safeAddress, safeCssAddress, safeSrcset, type AssetLookup } from './address.ts';
import { rewriteCss } from './css.ts';
import type { eventWithTime } from '@rrweb/types';

/** The events are not what a recorder writes. */
export class ScrubError extends Error {}

/** What scrubbing needs to know about the page so far. */
export interface ScrubContext {
  readonly lookup: AssetLookup;
  /** Lower-case tag of the element with this id; of a text, the tag of its parent; empty when there is none. */
  readonly tagOf: (id: number) => string;
}

type Json = Record<string, unknown>;

/** Elements nested deeper than a browser's parser would ever nest them. */
const DEPTH_MAX = 512;
/** Replaced by an inert element of the same place and id. */
const FORBIDDEN = new Set(['script', 'object', 'embed', 'applet', 'base', 'frame', 'frameset', 'portal', 'fencedframe']);
/** Address attributes that show a picture: replaced by something safe to show. */
const PICTURES = new Set(['src', 'poster', 'background', 'lowsrc', 'dynsrc']);
/** Their `src` is no picture: another document, or a stream that the mirror does not carry. */
const NO_SOURCE = new Set(['iframe', 'video', 'audio', 'source', 'track']);
const SRCSETS = new Set(['srcset', 'imagesrcset']);
/** Address attributes and others that have no place in a mirror. */
const DROPPED = new Set([
  'srcdoc', 'action', 'formaction', 'ping', 'target', 'download', 'data', 'codebase', 'code', 'archive', 'classid', 'cite', 'longdesc',
  'manifest', 'profile', 'usemap', 'http-equiv', 'nonce', 'integrity', 'is', 'autofocus', 'autoplay', 'rr_src', 'popovertarget',
  'commandfor', 'sandbox', 'allow', 'csp', 'attributionsrc', 'imagesizes',
]);
const ANIMATIONS = new Set(['animate', 'set', 'animatetransform', 'animatemotion']);
const ATTRIBUTE_NAME = /^[a-z_:][a-z0-9_:.-]*$/iu;
const CUSTOM_ELEMENT = /^[a-z][a-z0-9._]*-[a-z0-9._-]*$/u;
const TAG_NAME = /^[a-z][a-z0-9:._-]*$/iu;
const INERT_TAG = 'fl-inert';
/** Set on an element that the visitor's page shows as an empty box. */
export const BLOCKED_ATTRIBUTE = 'data-fl-blocked';

/**
 * The events to replay, in order. Unknown kinds of events are left out.
 * @throws {ScrubError} when an event's structure cannot be read.
 */
export function scrubEvents(events: unknown, context: ScrubContext): eventWithTime[] {
  if (!Array.isArray(events)) {
    throw new ScrubError('not a list of events');
  }
  const out: eventWithTime[] = [];
  for (const event of events) {
    const scrubbed = scrubEvent(object(event, 'event'), context);
    if (scrubbed !== undefined) {
      out.push(scrubbed as unknown as eventWithTime);
    }
  }
  return out;
}

function scrubEvent(event: Json, context: ScrubContext): Json | undefined {
  delete event['delay'];
  switch (event['type']) {
    case EventType.Meta: {
      const data = object(event['data'], 'meta');
      return { type: EventType.Meta, data: { href: '', width: dimension(data['width']), height: dimension(data['height']) } };
    }
    case EventType.FullSnapshot: {
      const data = object(event['data'], 'snapshot');
      scrubTree(object(data['node'], 'root'), context);
      const offset = object(data['initialOffset'] ?? {}, 'offset');
      data['initialOffset'] = { left: number(offset['left']), top: number(offset['top']) };
      return event;
    }
    case EventType.IncrementalSnapshot:
      return scrubIncrement(object(event['data'], 'increment'), context) ? event : undefined;
    case EventType.Custom:
      return event;
    default:
      return undefined;
  }
}

/** Scrubs in place; false when this kind of increment is not replayed. */
function scrubIncrement(data: Json, context: ScrubContext): boolean {
  switch (data['source']) {
    case IncrementalSource.Mutation:
      scrubMutation(data, context);
      return true;
    case IncrementalSource.ViewportResize:
      data['width'] = dimension(data['width']);
      data['height'] = dimension(data['height']);
      return true;
    case IncrementalSource.StyleSheetRule:
      scrubRules(data['adds'], context);
      scrubText(data, ['replace', 'replaceSync'], context);
      return true;
    case IncrementalSource.StyleDeclaration:
      if (typeof data['set'] === 'object' && data['set'] !== null) {
        scrubText(data['set'] as Json, ['value'], context);
      }
      return true;
    case IncrementalSource.AdoptedStyleSheet:
      for (const style of list(data['styles'])) {
        scrubRules(object(style, 'sheet')['rules'], context);
      }
      return true;
    case IncrementalSource.Font:
      // A font by bytes is harmless; a font by address is rewritten like any other CSS.
      scrubText(data, data['buffer'] === true ? [] : ['fontSource'], context);
      return typeof data['fontSource'] === 'string';
    case IncrementalSource.Scroll:
    case IncrementalSource.Input:
      return true;
    default:
      // Mouse, selection and media are not drawn by the synchronous path; canvas commands would need scripts.
      return false;
  }
}

function scrubMutation(data: Json, context: ScrubContext): void {
  for (const name of ['texts', 'attributes', 'removes', 'adds']) {
    data[name] = list(data[name]);
  }
  // Elements that this very event adds: the page does not know their tags yet.
  const added = new Map<number, string>();
  const tagOf = (id: unknown): string => (typeof id === 'number' ? (added.get(id) ?? context.tagOf(id)) : '');
  for (const add of list(data['adds'])) {
    const node = object(object(add, 'add')['node'], 'node');
    if (typeof node['id'] === 'number' && typeof node['tagName'] === 'string') {
      added.set(node['id'], node['tagName'].toLowerCase());
    }
    scrubTree(node, context, tagOf((add as Json)['parentId']) === 'style');
  }
  for (const text of list(data['texts'])) {
    const change = object(text, 'text');
    if (tagOf(change['id']) === 'style') {
      scrubText(change, ['value'], context);
    }
  }
  for (const entry of list(data['attributes'])) {
    const change = object(entry, 'attributes');
    change['attributes'] = scrubAttributes(object(change['attributes'], 'attributes'), tagOf(change['id']), context);
  }
}

/** Walks without recursion: the depth of the tree is the sender's choice. */
function scrubTree(root: Json, context: ScrubContext, inStyle = false): void {
  const stack: { node: Json; depth: number; inStyle: boolean }[] = [{ node: root, depth: 0, inStyle }];
  for (let entry = stack.pop(); entry !== undefined; entry = stack.pop()) {
    const { node, depth } = entry;
    if (depth > DEPTH_MAX) {
      throw new ScrubError('nested too deeply');
    }
    if (typeof node['id'] !== 'number') {
      throw new ScrubError('a node without an id');
    }
    if (node['type'] === NodeType.Element) {
      scrubElement(node, context);
    } else if (node['type'] === NodeType.Text) {
      node['textContent'] = textOf(node['textContent'], entry.inStyle || node['isStyle'] === true, context);
    }
    if (node['type'] === NodeType.Document || node['type'] === NodeType.Element) {
      const children = list(node['childNodes']);
      node['childNodes'] = children;
      const style = node['tagName'] === 'style';
      for (const child of children) {
        stack.push({ node: object(child, 'node'), depth: depth + 1, inStyle: style });
      }
    }
  }
}

function scrubElement(node: Json, context: ScrubContext): void {
  const tag = typeof node['tagName'] === 'string' ? node['tagName'].toLowerCase() : '';
  const attributes = object(node['attributes'] ?? {}, 'attributes');
  const animatesAddress = ANIMATIONS.has(tag) && /href|src|^on/iu.test(String(attributes['attributeName'] ?? ''));
  if (!TAG_NAME.test(tag) || FORBIDDEN.has(tag) || animatesAddress || (tag === 'meta' && 'http-equiv' in attributes)) {
    node['tagName'] = INERT_TAG;
    node['attributes'] = {};
    delete node['isSVG'];
    delete node['isCustom'];
    return;
  }
  if (node['isCustom'] === true && !CUSTOM_ELEMENT.test(tag)) {
    delete node['isCustom'];
  }
  if (tag === 'link' && typeof attributes['_cssText'] !== 'string') {
    // Not inlined by the recorder: there is nothing to show, only something to fetch.
    delete attributes['href'];
  }
  node['attributes'] = scrubAttributes(attributes, tag, context);
}

function scrubAttributes(attributes: Json, tag: string, context: ScrubContext): Json {
  const out: Json = {};
  for (const [name, value] of Object.entries(attributes)) {
    const lower = name.toLowerCase();
    if (!ATTRIBUTE_NAME.test(name) || lower.startsWith('on') || DROPPED.has(lower)) {
      continue;
    }
    const scrubbed = scrubAttribute(lower, value, tag, context);
    if (scrubbed !== undefined) {
      out[name] = scrubbed;
    }
  }
  if (typeof out['rr_width'] === 'string') {
    out[BLOCKED_ATTRIBUTE] = '';
  }
  return out;
}

/** The value to keep, or nothing to drop the attribute. */
function scrubAttribute(name: string, value: unknown, tag: string, context: ScrubContext): unknown {
  if (name === 'style' && typeof value === 'object' && value !== null) {
    return scrubStyleProperties(value as Json, context);
  }
  if (typeof value !== 'string') {
    return typeof value === 'boolean' || typeof value === 'number' || value === null ? value : undefined;
  }
  if (name === 'href' || name === 'xlink:href') {
    return scrubReference(value, tag, context);
  }
  if (PICTURES.has(name)) {
    return name === 'src' && NO_SOURCE.has(tag) ? undefined : safeAddress(value, context.lookup);
  }
  if (SRCSETS.has(name)) {
    return safeSrcset(value, context.lookup);
  }
  if (name === 'rr_dataurl') {
    return /^data:image\/(?:png|jpeg|webp);base64,/u.test(value) ? value : undefined;
  }
  // Presentation attributes of SVG (fill, mask, filter, clip-path, cursor …) may hold `url()` as well as `style` does.
  return rewriteCss(value, (address) => safeCssAddress(address, context.lookup));
}

/** A link stays a link to look at (its style depends on it) and leads nowhere; a drawing may refer to its own parts. */
function scrubReference(value: string, tag: string, context: ScrubContext): string | undefined {
  if (tag === 'a' || tag === 'area' || tag === '') {
    return value.startsWith('#') ? value : '#';
  }
  if (tag === 'image' || tag === 'feimage') {
    return value.startsWith('#') ? value : safeAddress(value, context.lookup);
  }
  return value.startsWith('#') ? value : undefined;
}

function scrubStyleProperties(properties: Json, context: ScrubContext): Json {
  const resolve = (text: string): string => rewriteCss(text, (address) => safeCssAddress(address, context.lookup));
  const out: Json = {};
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === 'string') {
      out[name] = resolve(value);
    } else if (Array.isArray(value)) {
      out[name] = value.map((part) => (typeof part === 'string' ? resolve(part) : ''));
    } else if (value === false) {
      out[name] = false;
    }
  }
  return out;
}

function scrubRules(rules: unknown, context: ScrubContext): void {
  for (const rule of list(rules)) {
    scrubText(object(rule, 'rule'), ['rule'], context);
  }
}

function scrubText(holder: Json, names: readonly string[], context: ScrubContext): void {
  for (const name of names) {
    if (holder[name] !== undefined) {
      holder[name] = textOf(holder[name], true, context);
    }
  }
}

function textOf(value: unknown, isCss: boolean, context: ScrubContext): string {
  const text = typeof value === 'string' ? value : '';
  return isCss ? rewriteCss(text, (address) => safeCssAddress(address, context.lookup)) : text;
}

function object(value: unknown, what: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ScrubError(`${what} is not an object`);
  }
  return value as Json;
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function number(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}

/** A viewport's width or height in CSS pixels: 1 to 16 384. */
function dimension(value: unknown): number {
  return Math.min(16_384, Math.max(1, Math.round(number(value))));
}
