/**
 * The last gate before anything leaves the page: rebuilds every recorder event from a list of what is allowed.
 *
 * The recorder masks field values but not attributes, option texts or addresses; here everything is copied by name and the
 * rest is left behind, so that something new in the recorder is hidden until it is listed. It fails closed: an element that
 * the page does not know counts as masked, and an exception ends the recording (recorder.ts).
 * What is hidden is decided in rules.ts; which address becomes which asset in assets.ts.
 */
import type { eventWithTime } from '@rrweb/types';
import { NOTHING, scrubCss } from './css.ts';
import { RULE_ATTRIBUTES, WIDGET_TAG, hidesText, hidesValue, maskText, maskValue, type NodeState, type Rules } from './rules.ts';

/** Where an address is used, so that it can be told again when its asset is ready. */
export interface Use {
  readonly id: number;
  readonly attribute: string;
}

/** What the scrubber asks the live page. */
export interface Page {
  /** An element's state; for other nodes their parent's. Undefined for what is not in the page (any more). */
  state(id: number): NodeState | undefined;
  /** The address an image shows now, chosen among its candidates; undefined: take the attribute. */
  shown(id: number): string | undefined;
  /** The size an element has on the screen, `120x80`, or nothing when it has none. */
  size(id: number): string;
  /** What relative addresses are relative to. */
  base(id: number): string;
  /** The name of an asset, or {@link NOTHING} for now. */
  asset(address: string, use: Use): string;
}

type Plain = Record<string, unknown>;

const MASKED: NodeState = { tag: '', rule: 'mask', field: false, editable: false, secret: true, button: false };

// rrweb's numbers: `EventType`, `IncrementalSource`, `NodeType`. Its enums would pull the whole recorder into the tests.
const FULL_SNAPSHOT = 2;
const INCREMENTAL = 3;
const META = 4;
const NODE = { document: 0, doctype: 1, element: 2, text: 3, cdata: 4, comment: 5 } as const;

export class Scrubber {
  readonly #page: Page;
  readonly #rules: Rules;

  constructor(page: Page, rules: Rules) {
    this.#page = page;
    this.#rules = rules;
  }

  /** The event as it may be sent, or undefined when it may not be sent at all. */
  scrub(event: eventWithTime): eventWithTime | undefined {
    const { type, timestamp } = event;
    const data = (event as { data?: Plain }).data ?? {};
    const clean = this.#data(type, data);
    return clean === undefined ? undefined : ({ type, data: clean, timestamp } as unknown as eventWithTime);
  }

  #data(type: number, data: Plain): Plain | undefined {
    switch (type) {
      case META:
        return { href: bareAddress(String(data['href'] ?? '')), ...numbers(data, 'width', 'height') };
      case FULL_SNAPSHOT:
        return { node: this.#node(data['node'] as Plain), initialOffset: numbers(asPlain(data['initialOffset']), 'left', 'top') };
      case INCREMENTAL:
        return this.#incremental(data);
      default:
        return undefined;
    }
  }

  #incremental(data: Plain): Plain | undefined {
    const source = Number(data['source']);
    switch (source) {
      case 0:
        return this.#mutation(data);
      case 3: // scroll
        return { source, ...numbers(data, 'id', 'x', 'y') };
      case 4: // the window's size
        return { source, ...numbers(data, 'width', 'height') };
      case 5:
        return this.#input(data);
      case 7: // media: play, pause, seek
        return { source, ...numbers(data, 'id', 'type', 'currentTime', 'playbackRate', 'volume'), muted: true };
      case 8:
        return this.#rules8(data);
      case 13:
        return this.#declaration(data);
      case 15:
        return this.#adopted(data);
      default:
        return undefined;
    }
  }

  #mutation(data: Plain): Plain {
    return {
      source: 0,
      texts: list(data['texts']).map((text) => ({ id: text['id'], value: this.#textOf(Number(text['id']), text['value']) })),
      attributes: list(data['attributes']).map((change) => {
        const id = Number(change['id']);
        const state = this.#page.state(id) ?? MASKED;
        return { id, attributes: this.#attributes(id, state, asPlain(change['attributes']), false) };
      }),
      removes: list(data['removes']).map((gone) => ({ ...numbers(gone, 'id', 'parentId'), ...flags(gone, 'isShadow') })),
      adds: list(data['adds']).map((add) => ({
        ...numbers(add, 'parentId', 'nextId', 'previousId'),
        ...nulls(add, 'nextId', 'previousId'),
        ...flags(add, 'isShadow'),
        node: this.#node(asPlain(add['node'])),
      })),
      ...flags(data, 'isAttachIframe'),
    };
  }

  #node(node: Plain): Plain {
    const id = Number(node['id']);
    const kept: Plain = { type: node['type'], id, ...numbers(node, 'rootId'), ...flags(node, 'isShadow', 'isShadowHost') };
    switch (node['type']) {
      case NODE.document:
        return { ...kept, ...texts(node, 'compatMode'), childNodes: this.#children(node) };
      case NODE.doctype:
        return { ...kept, ...texts(node, 'name', 'publicId', 'systemId') };
      case NODE.element:
        return this.#element(id, node, kept);
      case NODE.text:
        return { ...kept, textContent: this.#textOf(id, node['textContent']), ...flags(node, 'isStyle') };
      default:
        return { ...kept, textContent: '' };
    }
  }

  #element(id: number, node: Plain, kept: Plain): Plain {
    const state = this.#page.state(id) ?? MASKED;
    const tagName = String(node['tagName']);
    const attributes = this.#attributes(id, state, asPlain(node['attributes']), true);
    const closed = node['needBlock'] === true || EMPTIED.has(tagName.toLowerCase());
    return {
      ...kept, tagName, attributes, ...flags(node, 'isSVG', 'needBlock', 'isCustom'), childNodes: closed ? [] : this.#children(node),
    };
  }

  #children(node: Plain): Plain[] {
    return list(node['childNodes']).map((child) => this.#node(child));
  }

  #textOf(id: number, value: unknown): string | null {
    if (typeof value !== 'string') {
      return null;
    }
    const state = this.#page.state(id) ?? MASKED;
    if (state.tag === 'style') {
      return this.#css(value, id, { id, attribute: '_cssText' }, state.rule === 'mask');
    }
    if (EMPTIED.has(state.tag)) {
      return '';
    }
    if (state.field && hidesText(state)) {
      return maskValue(value.trim());
    }
    return hidesText(state) ? maskText(value) : value;
  }

  #attributes(id: number, state: NodeState, attributes: Plain, whole: boolean): Plain {
    const kept: Plain = {};
    for (const [name, value] of Object.entries(attributes)) {
      const clean = this.#attribute(id, state, name.toLowerCase(), value);
      if (clean !== undefined) {
        kept[name] = clean;
      } else if (!whole && value === null) {
        kept[name] = null;
      }
    }
    if (state.tag === 'img' && (!whole || 'src' in attributes || 'srcset' in attributes)) {
      this.#image(id, attributes, kept, whole);
    }
    return kept;
  }

  /** One picture, the one that is shown: candidates for other screens would only name what the agent never sees. */
  #image(id: number, attributes: Plain, kept: Plain, whole: boolean): void {
    delete kept['srcset'];
    if (whole || 'src' in attributes || 'srcset' in attributes) {
      const address = this.#page.shown(id) ?? String(attributes['src'] ?? '');
      kept['src'] = this.#address(address, id, 'src');
    }
  }

  #attribute(id: number, state: NodeState, name: string, value: unknown): unknown {
    if (value === null || value === undefined) {
      return undefined;
    }
    if (name === 'style') {
      return this.#style(id, state, value);
    }
    if (typeof value === 'boolean' || typeof value === 'number') {
      return name === 'selected' || name === 'checked' ? (hidesChoice(state) ? undefined : value) : KEPT.has(name) ? value : undefined;
    }
    if (typeof value !== 'string') {
      return undefined;
    }
    return this.#textAttribute(id, state, name, value);
  }

  #textAttribute(id: number, state: NodeState, name: string, value: string): unknown {
    if (RULE_ATTRIBUTES.has(name) || EMPTY_OK.has(name)) {
      return '';
    }
    if (name === '_csstext') {
      return this.#css(value, id, { id, attribute: '_cssText' }, state.rule === 'mask');
    }
    if (name === 'value') {
      return this.#value(state, value);
    }
    if (name === 'selected' || name === 'checked') {
      return hidesChoice(state) ? undefined : value;
    }
    if (name === 'placeholder' || name === 'label') {
      return maskText(value);
    }
    if (ADDRESSES.has(name)) {
      return this.#addressAttribute(id, state.tag, name, value);
    }
    if (name.startsWith('data-')) {
      return this.#rules.attributes.has(name) && state.rule !== 'mask' ? value : '';
    }
    if (PAINTS.has(name)) {
      return scrubCss(value, this.#page.base(id), (address) => this.#page.asset(address, { id, attribute: name }), true);
    }
    return KEPT.has(name) ? value : undefined;
  }

  #value(state: NodeState, value: string): string {
    if (state.tag === 'li' || state.tag === 'progress' || state.tag === 'meter') {
      return state.rule === 'mask' ? '' : value;
    }
    if (state.tag === 'button') {
      return '';
    }
    return hidesValue(state) ? maskValue(value) : value;
  }

  #addressAttribute(id: number, tag: string, name: string, value: string): string | undefined {
    if (value.startsWith('#')) {
      return tag === 'a' ? '#' : value;
    }
    if (tag === 'a' || tag === 'area') {
      return name === 'href' ? bareAddress(value, this.#page.base(id)) : undefined;
    }
    const picture = tag === 'img' || tag === 'image' || tag === 'feimage' || (tag === 'input' && name === 'src') || name === 'poster';
    return picture && name !== 'srcset' ? this.#address(value, id, name) : undefined;
  }

  #address(value: string, id: number, attribute: string): string {
    if (/^data:image\//iu.test(value.trim())) {
      return value;
    }
    const named = value.trim() === '' ? NOTHING : this.#assetOf(value, id, attribute);
    // What cannot be shown keeps its place.
    return named === NOTHING ? NOTHING + this.#page.size(id) : named;
  }

  #assetOf(value: string, id: number, attribute: string): string {
    try {
      return this.#page.asset(new URL(value, this.#page.base(id)).href, { id, attribute });
    } catch {
      return NOTHING;
    }
  }

  #style(id: number, state: NodeState, value: unknown): unknown {
    const clean = (css: string): string => this.#css(css, id, { id, attribute: 'style' }, state.rule === 'mask');
    if (typeof value === 'string') {
      return clean(value);
    }
    const properties: Plain = {};
    for (const [name, entry] of Object.entries(asPlain(value))) {
      if (typeof entry === 'string') {
        properties[name] = clean(entry);
      } else if (Array.isArray(entry)) {
        properties[name] = [clean(String(entry[0])), String(entry[1])];
      } else if (entry === false) {
        properties[name] = false;
      }
    }
    return properties;
  }

  #css(css: string, id: number, use: Use, bare: boolean): string {
    return scrubCss(css, this.#page.base(id), (address) => this.#page.asset(address, use), bare);
  }

  #input(data: Plain): Plain {
    const id = Number(data['id']);
    const state = this.#page.state(id) ?? MASKED;
    const text = hidesValue(state) ? maskValue(String(data['text'] ?? '')) : String(data['text'] ?? '');
    return { source: 5, id, text, isChecked: hidesChoice(state) ? false : data['isChecked'] === true };
  }

  #rules8(data: Plain): Plain {
    const id = Number(data['id'] ?? 0);
    return {
      source: 8,
      ...numbers(data, 'id', 'styleId'),
      ...this.#ruleList(data, id),
      ...(Array.isArray(data['removes']) ? { removes: list(data['removes']).map((gone) => ({ index: gone['index'] })) } : {}),
      ...this.#cssOf(data, 'replace', id),
      ...this.#cssOf(data, 'replaceSync', id),
    };
  }

  #ruleList(data: Plain, id: number): Plain {
    if (!Array.isArray(data['adds'])) {
      return {};
    }
    return { adds: list(data['adds']).map((add) => ({ rule: this.#sheetCss(add['rule'], id), index: add['index'] })) };
  }

  #cssOf(data: Plain, name: string, id: number): Plain {
    return typeof data[name] === 'string' ? { [name]: this.#sheetCss(data[name], id) } : {};
  }

  #declaration(data: Plain): Plain {
    const id = Number(data['id'] ?? 0);
    const set = data['set'] === undefined ? undefined : asPlain(data['set']);
    const removed = data['remove'] === undefined ? undefined : asPlain(data['remove']);
    return {
      source: 13,
      ...numbers(data, 'id', 'styleId'),
      index: data['index'],
      ...(set === undefined ? {} : { set: { ...texts(set, 'property', 'priority'), value: this.#sheetCss(set['value'], id) } }),
      ...(removed === undefined ? {} : { remove: texts(removed, 'property') }),
    };
  }

  #adopted(data: Plain): Plain | undefined {
    const id = Number(data['id'] ?? 0);
    if (this.#page.state(id)?.tag === WIDGET_TAG) {
      return undefined;
    }
    const styles = list(data['styles']).map((style) => ({
      styleId: style['styleId'],
      rules: list(style['rules']).map((rule) => ({ rule: this.#sheetCss(rule['rule'], id), ...numbers(rule, 'index') })),
    }));
    return { source: 15, id, styleIds: data['styleIds'], ...(Array.isArray(data['styles']) ? { styles } : {}) };
  }

  #sheetCss(value: unknown, id: number): string {
    return typeof value === 'string' ? this.#css(value, id, { id, attribute: '' }, false) : '';
  }
}

/** A box that is ticked tells as much as a text, so a masked one is shown unticked. */
function hidesChoice(state: NodeState): boolean {
  return state.secret || state.rule === 'mask' || (state.field && hidesText(state));
}

/** Elements whose content is never shown. */
const EMPTIED = new Set(['script', 'noscript', 'template', 'object', 'embed', 'applet', 'datalist', 'title']);
const ADDRESSES = new Set(['src', 'srcset', 'href', 'xlink:href', 'poster', 'background']);
/** Present or absent matters to style sheets, their value to nobody but the visitor. */
const EMPTY_OK = new Set(['title', 'alt', 'aria-label']);
/** Values that are CSS. */
const PAINTS = new Set(['fill', 'stroke', 'filter', 'clip-path', 'mask', 'marker-start', 'marker-mid', 'marker-end']);
const KEPT = new Set(
  `class id type role dir lang width height hidden disabled readonly required multiple open cols rows size span colspan rowspan
  contenteditable start reversed min max low high optimum rel media charset align valign border cellpadding cellspacing nowrap bgcolor
  color face inert popover part slot exportparts is controls muted loop
  aria-hidden aria-expanded aria-selected aria-checked aria-current aria-disabled aria-pressed aria-busy aria-modal aria-invalid
  rr_width rr_height rr_scrolltop rr_scrollleft rr_open_mode rr_mediastate rr_mediacurrenttime
  viewbox preserveaspectratio xmlns xmlns:xlink version d x y x1 y1 x2 y2 cx cy r rx ry fx fy points pathlength transform
  transform-origin gradientunits gradienttransform spreadmethod offset stop-color stop-opacity opacity fill-opacity fill-rule
  stroke-width stroke-opacity stroke-linecap stroke-linejoin stroke-dasharray stroke-dashoffset stroke-miterlimit clip-rule
  clippathunits maskunits maskcontentunits patternunits patterncontentunits patterntransform markerwidth markerheight refx refy orient
  text-anchor dominant-baseline alignment-baseline baseline-shift font-family font-size font-weight font-style letter-spacing dx dy
  rotate textlength lengthadjust vector-effect shape-rendering display visibility overflow in in2 result stddeviation
  flood-color flood-opacity mode values operator k1 k2 k3 k4 scale primitiveunits filterunits`.split(/\s+/u),
);

/** An address without what may be personal: user, query, fragment. Anything but http(s) is gone. */
function bareAddress(address: string, base?: string): string {
  try {
    const url = new URL(address, base);
    return /^https?:$/u.test(url.protocol) ? url.origin + url.pathname : 'about:blank';
  } catch {
    return 'about:blank';
  }
}

function asPlain(value: unknown): Plain {
  return typeof value === 'object' && value !== null ? (value as Plain) : {};
}

function list(value: unknown): Plain[] {
  return Array.isArray(value) ? value.map(asPlain) : [];
}

function pick(from: Plain, names: readonly string[], wanted: (value: unknown) => boolean): Plain {
  return Object.fromEntries(names.filter((name) => wanted(from[name])).map((name) => [name, from[name]]));
}

function numbers(from: Plain, ...names: string[]): Plain {
  return pick(from, names, (value) => typeof value === 'number');
}

function nulls(from: Plain, ...names: string[]): Plain {
  return pick(from, names, (value) => value === null);
}

function flags(from: Plain, ...names: string[]): Plain {
  return pick(from, names, (value) => value === true);
}

function texts(from: Plain, ...names: string[]): Plain {
  return pick(from, names, (value) => typeof value === 'string');
}
