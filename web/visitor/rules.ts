/**
 * What is hidden, decided per element: the rules a site gives (attributes and selectors) and what no rule can open.
 *
 * Pure: an element is seen through {@link ElementLike}, so that the live page and a test's plain objects take the same path.
 * The nearest rule wins, except that {@link NodeState.secret} fields stay hidden whatever anybody says.
 */
import type { Masks } from '../protocol/signal.ts';

/** Masks the text and the fields in an element. */
export const MASK_ATTRIBUTE = 'data-fanlight-mask';
/** Replaces an element by an empty box of its size. */
export const BLOCK_ATTRIBUTE = 'data-fanlight-block';
/** Opens fields and text in an element that are masked by default or by a rule further out. */
export const UNMASK_ATTRIBUTE = 'data-fanlight-unmask';

export const RULE_ATTRIBUTES: ReadonlySet<string> = new Set([MASK_ATTRIBUTE, BLOCK_ATTRIBUTE, UNMASK_ATTRIBUTE]);

/** What a site may set in `Fanlight.start({ mask })`. Lists of CSS selectors. */
export interface MaskOptions {
  /** Text and fields in here are masked. */
  readonly text?: readonly string[];
  /** Elements in here are replaced by empty boxes. */
  readonly block?: readonly string[];
  /** Text and fields in here are shown (never passwords, card numbers, one-time codes). */
  readonly unmask?: readonly string[];
  /** Hide everything that is not unmasked. */
  readonly everything?: boolean;
  /** `data-*` attributes whose values the site's style sheets need, for example `data-theme`. */
  readonly attributes?: readonly string[];
}

/** Shared by everything that records; the group's part is put in by `obey`. */
export interface Rules {
  mask: string;
  block: string;
  unmask: string;
  everything: boolean;
  readonly attributes: ReadonlySet<string>;
}

export interface ElementLike {
  /** Lower case. */
  readonly tag: string;
  attribute(name: string): string | null;
  matches(selectors: string): boolean;
}

export interface NodeState {
  readonly tag: string;
  /** The rule in force. */
  readonly rule: 'mask' | 'unmask' | 'none';
  /** In or at a select, textarea or datalist: its text is a field's value. */
  readonly field: boolean;
  /** In an element that a person edits in place. */
  readonly editable: boolean;
  /** Never shown. */
  readonly secret: boolean;
  /** A button made of an input: its value is the page's own text, not the visitor's. */
  readonly button: boolean;
}

/** The widget itself is never part of what is shown. */
export const WIDGET_TAG = 'fanlight-widget';

export function compileRules(options: MaskOptions = {}): Rules {
  const join = (attribute: string, selectors: readonly string[] = []): string => [`[${attribute}]`, ...selectors].join(',');
  return {
    mask: join(MASK_ATTRIBUTE, options.text),
    block: `${WIDGET_TAG},${join(BLOCK_ATTRIBUTE, options.block)}`,
    unmask: join(UNMASK_ATTRIBUTE, options.unmask),
    everything: options.everything ?? false,
    attributes: new Set(options.attributes ?? []),
  };
}

/** What the page was told and what the group hides, in `rules`. A selector that cannot be read makes recording fail, not leak. */
export function obey(rules: Rules, own: Rules, group: Masks): void {
  const join = (first: string, more: readonly string[]): string => [first, ...more].join(',');
  rules.mask = join(own.mask, group.mask);
  rules.block = join(own.block, group.block);
  rules.unmask = join(own.unmask, group.unmask);
  rules.everything = own.everything || group.everything;
}

/** The state above the root of a page. */
export function rootState(rules: Rules): NodeState {
  return { tag: '', rule: rules.everything ? 'mask' : 'none', field: false, editable: false, secret: false, button: false };
}

/** The state of an element, given its parent's. */
export function stateOf(element: ElementLike, parent: NodeState, rules: Rules): NodeState {
  const { tag } = element;
  const editing = element.attribute('contenteditable');
  return {
    tag,
    rule: ruleOf(element, parent, rules),
    field: parent.field || FIELDS.has(tag),
    editable: editing === null ? parent.editable : editing !== 'false',
    secret: parent.secret || isSecret(element),
    button: tag === 'input' && BUTTONS.has((element.attribute('type') ?? '').toLowerCase()),
  };
}

function ruleOf(element: ElementLike, parent: NodeState, rules: Rules): NodeState['rule'] {
  // Mask before unmask: an element that is named by both stays hidden.
  if (element.matches(rules.mask) || element.matches(rules.block)) {
    return 'mask';
  }
  return element.matches(rules.unmask) ? 'unmask' : parent.rule;
}

const BUTTONS = new Set(['submit', 'button', 'reset']);
const FIELDS = new Set(['select', 'textarea', 'datalist', 'option']);
/** Fields whose value no rule can open: passwords, payment cards, one-time codes. */
const SECRET_PURPOSE = /(?:^|\s)(?:current-password|new-password|one-time-code|cc-number|cc-csc|cc-exp(?:-month|-year)?)(?:\s|$)/iu;

function isSecret(element: ElementLike): boolean {
  if (element.tag !== 'input') {
    return false;
  }
  const type = (element.attribute('type') ?? '').toLowerCase();
  // The recorder marks a field that has been a password once, so that "show password" does not open it.
  const once = element.attribute('data-rr-is-password') !== null;
  return type === 'password' || type === 'hidden' || type === 'file' || once || SECRET_PURPOSE.test(element.attribute('autocomplete') ?? '');
}

/** Is text directly in an element of this state hidden? */
export function hidesText(state: NodeState): boolean {
  return state.secret || state.rule === 'mask' || (state.rule !== 'unmask' && (state.field || state.editable));
}

/** Is the value of a field of this state hidden? Fields are hidden unless a rule opens them. */
export function hidesValue(state: NodeState): boolean {
  return state.button ? state.rule === 'mask' : state.secret || state.rule !== 'unmask';
}

/** What is shown for a hidden value: always the same, so that not even its length is told. */
export const HIDDEN_VALUE = '••••••';

/** Hidden text keeps its layout and nothing else. */
export function maskText(text: string): string {
  return text.replace(/\S/gu, '•');
}

/** A hidden value: empty stays empty, so that an unfilled field looks unfilled. */
export function maskValue(value: string): string {
  return value === '' ? '' : HIDDEN_VALUE;
}
