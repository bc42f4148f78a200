/**
 * The live page as the scrubber sees it: from a recorder's node number to the element's state, through shadow roots and
 * same-origin frames.
 *
 * States are remembered while one event is scrubbed and forgotten after it, so a rule that changes takes effect with the next.
 * What was shown before and is hidden now is noticed ({@link LivePage.tightened}): copies of it exist and must be forgotten.
 */
import { hidesText, hidesValue, rootState, stateOf, type ElementLike, type NodeState, type Rules } from './rules.ts';
import type { Page, Use } from './scrub.ts';

/** Finds the node with a recorder's number. */
export type Lookup = (id: number) => Node | null;

const TEXT_SHOWN = 1;
const VALUE_SHOWN = 2;

export class LivePage implements Page {
  readonly #lookup: Lookup;
  readonly #rules: Rules;
  readonly #asset: (address: string, use: Use) => string;
  #states = new Map<Element, NodeState>();
  /** What was decided last for an element, as bits: text shown, value shown. */
  readonly #shown = new WeakMap<Element, number>();
  #tightened = false;

  constructor(lookup: Lookup, rules: Rules, asset: (address: string, use: Use) => string) {
    this.#lookup = lookup;
    this.#rules = rules;
    this.#asset = asset;
  }

  /** Call before each event. */
  forget(): void {
    this.#states = new Map();
  }

  /** Is something hidden now that was shown when it was last looked at? Asking resets it. */
  tightened(): boolean {
    const tightened = this.#tightened;
    this.#tightened = false;
    return tightened;
  }

  state(id: number): NodeState | undefined {
    const node = this.#lookup(id);
    if (node === null) {
      return undefined;
    }
    const element = node.nodeType === Node.ELEMENT_NODE ? (node as Element) : above(node);
    return element === null ? rootState(this.#rules) : this.stateOfElement(element);
  }

  /** The state of an element of the page. */
  stateOfElement(element: Element): NodeState {
    const path: Element[] = [];
    let state: NodeState | undefined;
    for (let at: Element | null = element; at !== null && state === undefined; at = above(at)) {
      state = this.#states.get(at);
      if (state === undefined) {
        path.push(at);
      }
    }
    state ??= rootState(this.#rules);
    for (const at of path.reverse()) {
      state = stateOf(seen(at), state, this.#rules);
      this.#states.set(at, state);
      this.#compare(at, state);
    }
    return state;
  }

  #compare(element: Element, state: NodeState): void {
    const now = (hidesText(state) ? 0 : TEXT_SHOWN) | (hidesValue(state) ? 0 : VALUE_SHOWN);
    this.#tightened ||= ((this.#shown.get(element) ?? 0) & ~now) !== 0;
    this.#shown.set(element, now);
  }

  shown(id: number): string | undefined {
    const node = this.#lookup(id);
    return node instanceof HTMLImageElement && node.currentSrc !== '' && node.complete ? node.currentSrc : undefined;
  }

  size(id: number): string {
    const node = this.#lookup(id);
    const box = node instanceof Element ? node.getBoundingClientRect() : undefined;
    return box === undefined || box.width < 1 || box.height < 1 ? '' : `${Math.round(box.width)}x${Math.round(box.height)}`;
  }

  base(id: number): string {
    const node = this.#lookup(id);
    const sheet = (node as Partial<LinkStyle> | null)?.sheet;
    return sheet?.href ?? node?.ownerDocument?.baseURI ?? document.baseURI;
  }

  asset(address: string, use: Use): string {
    return this.#asset(address, use);
  }

  /** What an attribute says now: the text of a style sheet, an inline style, or the attribute itself. */
  now(use: Use): string | undefined {
    const node = this.#lookup(use.id);
    if (!(node instanceof Element) || !node.isConnected) {
      return undefined;
    }
    if (use.attribute !== '_cssText') {
      return node.getAttribute(use.attribute) ?? undefined;
    }
    try {
      const rules = (node as Partial<LinkStyle>).sheet?.cssRules;
      return rules === undefined ? undefined : Array.from(rules, (rule) => rule.cssText).join('\n');
    } catch {
      return undefined;
    }
  }
}

/** The element above a node in what a person sees: out of shadow roots to their host, out of frames to the frame. */
function above(node: Node): Element | null {
  const parent = node.parentNode;
  if (parent === null) {
    return null;
  }
  if (parent instanceof ShadowRoot || (parent.nodeType === Node.DOCUMENT_FRAGMENT_NODE && 'host' in parent)) {
    return (parent as ShadowRoot).host;
  }
  if (parent.nodeType === Node.DOCUMENT_NODE) {
    return (parent as Document).defaultView?.frameElement ?? null;
  }
  return parent.nodeType === Node.ELEMENT_NODE ? (parent as Element) : null;
}

function seen(element: Element): ElementLike {
  return {
    tag: element.localName.toLowerCase(),
    attribute: (name) => element.getAttribute(name),
    matches: (selectors) => element.matches(selectors),
  };
}
