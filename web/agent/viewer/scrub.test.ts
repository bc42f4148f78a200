import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PENDING_HEAD } from './address.ts';
import { ScrubError, scrubEvents, type ScrubContext } from './scrub.ts';

const HEX = '0123456789abcdef0123456789abcdef';
const TAGS: Record<number, string> = { 50: 'iframe', 51: 'style', 52: 'a', 53: 'img' };
const context: ScrubContext = { lookup: (name) => (name === HEX ? 'blob:known' : undefined), tagOf: (id) => TAGS[id] ?? '' };

type Node = { id: number; type: number; tagName?: string; attributes?: Record<string, unknown>; childNodes?: Node[]; textContent?: string };

let nextId = 100;
function element(tagName: string, attributes: Record<string, unknown> = {}, ...childNodes: Node[]): Node {
  return { type: 2, id: nextId++, tagName, attributes, childNodes };
}

function scrubNode(node: Node): Node {
  const [event] = scrubEvents([{ type: 2, timestamp: 1, data: { node, initialOffset: { left: 0, top: 0 } } }], context);
  return (event as unknown as { data: { node: Node } }).data.node;
}

function scrubChange(id: number, attributes: Record<string, unknown>): Record<string, unknown> {
  const data = { source: 0, texts: [], removes: [], adds: [], attributes: [{ id, attributes }] };
  const [event] = scrubEvents([{ type: 3, timestamp: 1, data }], context);
  return (event as unknown as typeof data & { data: typeof data }).data.attributes[0]?.attributes ?? {};
}

/** Everything in `node` that could be an address, script or event handler. */
function dangers(node: unknown): string[] {
  const text = JSON.stringify(node);
  return ['evil.example', 'javascript:', 'srcdoc', 'http-equiv', 'onerror', 'onclick', 'onfocus', '"script"', '"object"', '"embed"', '"base"']
    .filter((danger) => text.includes(danger));
}

test('a hostile page keeps its ids and loses everything that runs, fetches or navigates', () => {
  const hostile = element('html', {},
    element('script', { src: 'https://evil.example/x.js' }),
    element('base', { href: 'https://evil.example/' }),
    element('meta', { 'http-equiv': 'refresh', content: '0;url=https://evil.example/' }),
    element('link', { rel: 'stylesheet', href: 'https://evil.example/a.css' }),
    element('img', { src: 'https://evil.example/i.png', srcset: 'https://evil.example/2.png 2x, //evil.example/3.png 3x', onerror: 'x()' }),
    element('iframe', { src: 'javascript:alert(1)', srcdoc: '<script>1</script>' }),
    element('object', { data: 'https://evil.example/o' }),
    element('embed', { src: 'https://evil.example/e' }),
    element('a', { href: 'javascript:alert(1)', ping: 'https://evil.example/p', onclick: 'x()' }),
    element('form', { action: 'https://evil.example/f' }, element('button', { formaction: 'https://evil.example/g' })),
    element('video', { src: 'https://evil.example/v', poster: 'https://evil.example/p.png' }),
    element('div', { style: 'background:url(https://evil.example/b.png)', onfocus: 'x()' }),
    element('svg', {}, element('use', { 'xlink:href': 'https://evil.example/s.svg#a' }), element('animate', { attributeName: 'href', values: 'javascript:1' })),
    element('style', { _cssText: '@import "https://evil.example/i.css"; p{background:url("https://evil.example/c")}' }),
    element('body', { background: 'https://evil.example/bg' }),
  );
  const ids = JSON.stringify(hostile).match(/"id":\d+/gu);
  const clean = scrubNode(hostile);
  assert.deepEqual(dangers(clean), []);
  assert.deepEqual(JSON.stringify(clean).match(/"id":\d+/gu), ids, 'later diffs refer to these ids');
});

test('changes of attributes are scrubbed by the tag they land on', () => {
  assert.deepEqual(scrubChange(50, { src: 'https://evil.example/' }), {});
  assert.deepEqual(scrubChange(52, { href: 'https://evil.example/', onclick: 'x()' }), { href: '#' });
  assert.deepEqual(scrubChange(53, { src: `fl-asset:${HEX}` }), { src: 'blob:known' });
  assert.deepEqual(scrubChange(60, { style: { background: ['url(https://evil.example/)', 'important'], color: false } }).style !== undefined, true);
  assert.deepEqual(dangers(scrubChange(60, { style: { background: ['url(https://evil.example/)', 'important'] } })), []);
});

test('style text is scrubbed wherever it arrives', () => {
  const text = 'p{background:url(https://evil.example/x)}';
  const data = {
    source: 0, removes: [], attributes: [], texts: [{ id: 51, value: text }],
    adds: [
      { parentId: 1, nextId: null, node: { type: 2, id: 70, tagName: 'style', attributes: {}, childNodes: [] } },
      { parentId: 70, nextId: null, node: { type: 3, id: 71, textContent: text } },
    ],
  };
  const sheets = [
    { type: 3, timestamp: 1, data },
    { type: 3, timestamp: 1, data: { source: 8, id: 51, adds: [{ rule: text }], replaceSync: text } },
    { type: 3, timestamp: 1, data: { source: 13, id: 51, index: [0], set: { property: 'background', value: 'url(https://evil.example/y)' } } },
    { type: 3, timestamp: 1, data: { source: 15, id: 1, styleIds: [1], styles: [{ styleId: 1, rules: [{ rule: text }] }] } },
  ];
  const clean = scrubEvents(sheets, context);
  assert.equal(clean.length, sheets.length);
  assert.deepEqual(dangers(clean), []);
});

test('an asset that has not come yet is marked so that it can be found again', () => {
  const other = 'f'.repeat(32);
  const clean = scrubNode(element('img', { src: `fl-asset:${other}`, srcset: `fl-asset:${HEX} 1x, fl-asset:${other} 2x` }));
  assert.equal(clean.attributes?.['src'], PENDING_HEAD + other);
  assert.equal(clean.attributes?.['srcset'], `blob:known 1x, ${PENDING_HEAD}${other} 2x`);
});

test('canvas commands, plugins and unknown events are not replayed', () => {
  const events = [
    { type: 6, timestamp: 1, data: {} },
    { type: 3, timestamp: 1, data: { source: 9, id: 1, commands: [] } },
    { type: 99, timestamp: 1, data: {} },
  ];
  assert.deepEqual(scrubEvents(events, context), []);
});

test('malformed events are refused with a named error, never otherwise', () => {
  let deep = element('div');
  for (let i = 0; i < 20_000; i++) {
    deep = element('div', {}, deep);
  }
  const bad = [null, 'x', {}, [null], [{ type: 2 }], [{ type: 2, data: { node: 3 } }], [{ type: 3, data: null }]];
  for (const events of [...bad, [{ type: 2, data: { node: deep } }]]) {
    assert.throws(() => scrubEvents(events, context), ScrubError);
  }
});
