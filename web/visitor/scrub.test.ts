/**
 * Canaries: a secret in every place that a recorder's stream can carry, and a search through what the scrubber lets out.
 * The page is a plain tree here; real Chromium does the same search in `tests/browser`.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { eventWithTime } from '@rrweb/types';
import { compileRules, obey, rootState, stateOf, type ElementLike, type MaskOptions, type NodeState } from './rules.ts';
import { NOTHING, scrubCss } from './css.ts';
import { Scrubber, type Page } from './scrub.ts';

const SECRET = 'CANARY';

interface Plain {
  type: number; id: number; tagName?: string; attributes?: Record<string, unknown>; childNodes?: Plain[]; textContent?: string;
}

let next = 1;
const el = (tagName: string, attributes: Record<string, unknown>, ...childNodes: Plain[]): Plain => ({ type: 2, id: next++, tagName, attributes, childNodes });
const text = (textContent: string): Plain => ({ type: 3, id: next++, textContent });

/** A page made of plain nodes, with selectors of the form `[name]`, `.class` and `tag`. */
class PlainPage implements Page {
  readonly #states = new Map<number, NodeState>();
  readonly asked: string[] = [];

  constructor(root: Plain, options: MaskOptions = {}) {
    const rules = compileRules(options);
    const walk = (node: Plain, parent: NodeState): void => {
      const state = node.type === 2 ? stateOf(like(node), parent, rules) : parent;
      this.#states.set(node.id, state);
      node.childNodes?.forEach((child) => walk(child, state));
    };
    walk(root, rootState(rules));
  }

  state(id: number): NodeState | undefined {
    return this.#states.get(id);
  }

  shown(): undefined {
    return undefined;
  }

  size(): string {
    return '20x10';
  }

  base(): string {
    return 'https://shop.example/';
  }

  asset(address: string): string {
    this.asked.push(address);
    return address.endsWith('/known.png') ? 'fl-asset:00112233445566778899aabbccddeeff' : NOTHING;
  }
}

function like(node: Plain): ElementLike {
  const attributes = node.attributes ?? {};
  const attribute = (name: string): string | null => (name in attributes ? String(attributes[name]) : null);
  const one = (selector: string): boolean => {
    if (selector.startsWith('[')) {
      return attribute(selector.slice(1, -1)) !== null;
    }
    return selector.startsWith('.') ? (attribute('class') ?? '').split(' ').includes(selector.slice(1)) : node.tagName === selector;
  };
  return { tag: node.tagName ?? '', attribute, matches: (selectors) => selectors.split(',').some(one) };
}

function snapshot(root: Plain, options?: MaskOptions): string {
  const scrubber = new Scrubber(new PlainPage(root, options), compileRules(options));
  const event = { type: 2, timestamp: 1, data: { node: root, initialOffset: { left: 0, top: 0 } } } as unknown as eventWithTime;
  return JSON.stringify(scrubber.scrub(event));
}

function change(root: Plain, data: Record<string, unknown>, options?: MaskOptions): string {
  const scrubber = new Scrubber(new PlainPage(root, options), compileRules(options));
  return JSON.stringify(scrubber.scrub({ type: 3, timestamp: 1, data } as unknown as eventWithTime) ?? null);
}

const hidden: ReadonlyArray<[name: string, make: () => Plain]> = [
  ['title', () => el('p', { title: SECRET })],
  ['aria-label', () => el('p', { 'aria-label': SECRET })],
  ['aria-description', () => el('p', { 'aria-description': SECRET })],
  ['data-*', () => el('p', { 'data-customer': SECRET })],
  ['alt', () => el('img', { alt: SECRET })],
  ['placeholder', () => el('input', { placeholder: SECRET })],
  ['an unknown attribute', () => el('p', { 'x-note': SECRET, onclick: SECRET, nonce: SECRET, name: SECRET })],
  ['input value', () => el('input', { type: 'text', value: SECRET })],
  ['hidden input', () => el('input', { type: 'hidden', value: SECRET })],
  ['unmasked hidden input', () => el('div', { 'data-fanlight-unmask': '' }, el('input', { type: 'hidden', value: SECRET }))],
  ['password', () => el('input', { type: 'password', value: SECRET })],
  ['unmasked password', () => el('input', { type: 'password', value: SECRET, 'data-fanlight-unmask': '' })],
  ['a password that is shown', () => el('input', { type: 'text', 'data-rr-is-password': 'true', value: SECRET, 'data-fanlight-unmask': '' })],
  ['unmasked card number', () => el('input', { type: 'text', autocomplete: 'billing cc-number', value: SECRET, 'data-fanlight-unmask': '' })],
  ['checkbox value', () => el('input', { type: 'checkbox', value: SECRET })],
  ['textarea', () => el('textarea', { value: SECRET }, text(SECRET))],
  ['option', () => el('select', { value: SECRET }, el('optgroup', { label: SECRET }, el('option', { value: SECRET, label: SECRET }, text(SECRET))))],
  ['datalist', () => el('datalist', {}, el('option', { value: SECRET }, text(SECRET)))],
  ['contenteditable', () => el('div', { contenteditable: 'true' }, el('b', {}, text(SECRET)))],
  ['masked text', () => el('div', { 'data-fanlight-mask': '' }, el('p', {}, text(SECRET)))],
  ['masked button', () => el('div', { 'data-fanlight-mask': '' }, el('input', { type: 'submit', value: SECRET }))],
  ['masked inline style', () => el('div', { 'data-fanlight-mask': '', style: `--name: "${SECRET}"` })],
  ['link query', () => el('a', { href: `https://u:${SECRET}@shop.example/a?token=${SECRET}#${SECRET}` })],
  ['javascript link', () => el('a', { href: `javascript:${SECRET}` })],
  ['image address', () => el('img', { src: `/photo?id=${SECRET}`, srcset: `/a?${SECRET} 2x` })],
  ['picture source', () => el('picture', {}, el('source', { srcset: `/a?${SECRET} 2x`, src: `/${SECRET}` }))],
  ['form address', () => el('form', { action: `/post?${SECRET}` }, el('button', { formaction: `/${SECRET}`, value: SECRET }))],
  ['frame', () => el('iframe', { src: `/${SECRET}`, srcdoc: SECRET, rr_src: `/${SECRET}` })],
  ['object', () => el('object', { data: SECRET }, el('p', {}, text(SECRET)))],
  ['meta', () => el('meta', { name: 'user', content: SECRET })],
  ['script', () => el('script', { src: SECRET }, text(SECRET))],
  ['noscript', () => el('noscript', {}, text(SECRET))],
  ['comment', () => ({ type: 5, id: next++, textContent: SECRET })],
  ['style address', () => el('p', { style: `background: url("/a?${SECRET}")` })],
  ['sheet', () => el('style', { _cssText: `/* ${SECRET} */ a { background: url(/b?${SECRET}) } @import "${SECRET}";` })],
  ['svg', () => el('image', { href: `/c?${SECRET}`, 'xlink:href': `/c?${SECRET}` })],
  ['video', () => el('video', { src: `/${SECRET}`, poster: `/${SECRET}` })],
];

for (const [name, make] of hidden) {
  test(`hidden in a snapshot: ${name}`, () => {
    assert.ok(!snapshot(el('body', {}, make())).includes(SECRET));
  });
  test(`hidden when it is added: ${name}`, () => {
    const node = make();
    const data = { source: 0, texts: [], attributes: [], removes: [], adds: [{ parentId: 1, nextId: null, node }] };
    assert.ok(!change(el('body', {}, node), data).includes(SECRET));
  });
  test(`hidden when its attributes change: ${name}`, () => {
    const node = make();
    const data = { source: 0, texts: [], removes: [], adds: [], attributes: [{ id: node.id, attributes: node.attributes ?? {} }] };
    assert.ok(!change(el('body', {}, node), data).includes(SECRET));
  });
}

test('hidden when text changes in a masked place, a field, an editor or nowhere', () => {
  const inside = text('a');
  const edited = text('b');
  const option = text('c');
  const root = el('body', {}, el('p', { 'data-fanlight-mask': '' }, inside), el('p', { contenteditable: '' }, edited), el('select', {}, el('option', {}, option)));
  const texts = [inside, edited, option, { id: 99_999 }].map(({ id }) => ({ id, value: SECRET }));
  assert.ok(!change(root, { source: 0, texts, attributes: [], removes: [], adds: [] }).includes(SECRET));
});

test('hidden when a field is typed into, a sheet changes, or something unknown happens', () => {
  const field = el('input', { type: 'text' });
  const root = el('body', {}, field);
  const url = `a { background: url(/x?${SECRET}) }`;
  for (const data of [
    { source: 5, id: field.id, text: SECRET, isChecked: false },
    { source: 5, id: 99_999, text: SECRET, isChecked: true },
    { source: 8, id: 1, adds: [{ rule: url, index: 0 }], replace: url, replaceSync: url },
    { source: 13, id: 1, index: [0], set: { property: 'background', value: `url(/y?${SECRET})`, priority: '' } },
    { source: 15, id: 1, styleIds: [1], styles: [{ styleId: 1, rules: [{ rule: url, index: 0 }] }] },
    { source: 9, id: 1, commands: [SECRET] },
    { source: 10, family: SECRET, fontSource: SECRET },
    { source: 11, payload: [SECRET] },
    { source: 99, whatever: SECRET },
  ]) {
    assert.ok(!change(root, data).includes(SECRET), JSON.stringify(data));
  }
});

test('the widget tells nothing of itself', () => {
  const widget = el('fanlight-widget', {});
  const data = { source: 15, id: widget.id, styleIds: [1], styles: [{ styleId: 1, rules: [{ rule: SECRET, index: 0 }] }] };
  assert.equal(change(el('body', {}, widget), data), 'null');
});

test('custom and plug-in events do not pass', () => {
  const scrubber = new Scrubber(new PlainPage(el('body', {})), compileRules());
  for (const type of [0, 1, 5, 6, 7]) {
    assert.equal(scrubber.scrub({ type, timestamp: 1, data: { payload: SECRET } } as unknown as eventWithTime), undefined);
  }
});

test('the page address is told without its query', () => {
  const scrubber = new Scrubber(new PlainPage(el('body', {})), compileRules());
  const meta = { type: 4, timestamp: 1, data: { href: `https://shop.example/a?${SECRET}#${SECRET}`, width: 10, height: 20 } } as unknown as eventWithTime;
  assert.deepEqual(scrubber.scrub(meta)?.data, { href: 'https://shop.example/a', width: 10, height: 20 });
});

test('what may be seen is seen', () => {
  const shown = snapshot(
    el('body', { class: 'page', id: 'top' }, el('h1', {}, text('Lamps')), el('input', { type: 'submit', value: 'Send it' }), el('img', { src: '/known.png', width: '20' })),
  );
  for (const part of ['"Lamps"', '"Send it"', '"page"', '"top"', 'fl-asset:00112233445566778899aabbccddeeff', '"width":"20"']) {
    assert.ok(shown.includes(part), part);
  }
});

test('a picture that cannot be read keeps its size', () => {
  assert.ok(snapshot(el('body', {}, el('img', { src: '/unknown.png' }))).includes('"src":"fl-none:20x10"'));
});

test('the nearest rule wins, and everything can be hidden', () => {
  const page = (): Plain =>
    el('body', {}, el('p', {}, text('outside')), el('div', { class: 'ok' }, text('opened'), el('input', { type: 'text', value: 'mine' }), el('p', { 'data-fanlight-mask': '' }, text('closed'))));
  const open = snapshot(page(), { unmask: ['.ok'] });
  assert.ok(open.includes('outside') && open.includes('opened') && open.includes('mine') && !open.includes('closed'));
  const closed = snapshot(page(), { everything: true, unmask: ['.ok'] });
  assert.ok(!closed.includes('outside') && closed.includes('opened') && !closed.includes('closed'));
});

test('what the group hides is added to what the page hides, once', () => {
  // R154
  const own = compileRules({ text: ['.a'] });
  const rules = { ...own };
  const group = { everything: false, mask: ['.b'], block: ['#x'], unmask: [] };
  obey(rules, own, group);
  obey(rules, own, group);
  assert.equal(rules.mask, `${own.mask},.b`);
  assert.equal(rules.block, `${own.block},#x`);
  assert.equal(rules.unmask, own.unmask);
  obey(rules, own, { ...group, everything: true, mask: [] });
  assert.deepEqual([rules.mask, rules.everything], [own.mask, true]);
});

test('a hidden value does not tell its length, an empty one is empty', () => {
  assert.equal(snapshotValue('a'), snapshotValue('a much longer value'));
  assert.equal(snapshotValue(''), '');
});

function snapshotValue(value: string): string {
  const event = JSON.parse(snapshot(el('body', {}, el('input', { type: 'text', value })))) as { data: { node: Plain } };
  return String(event.data.node.childNodes?.[0]?.attributes?.['value']);
}

test('style sheets keep their text and lose their addresses', () => {
  const clean = scrubCss(
    `a::after { content: "url(x) \\201C"; background: URL( 'img/\\41.png' ) } b { background: image-set("c.png" 1x, url(d.png) 2x) } i { fill: url(#g) } @import 'e.css';`,
    'https://shop.example/css/',
    (address) => `<${address}>`,
  );
  assert.equal(
    clean,
    `a::after { content: "url(x) \\201C"; background: url("<https://shop.example/css/img/A.png>") } b { background: image-set("<https://shop.example/css/c.png>" 1x, url("<https://shop.example/css/d.png>") 2x) } i { fill: url("#g") } @import "<https://shop.example/css/e.css>";`,
  );
});
