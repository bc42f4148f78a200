import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateSync } from 'fflate';
import { InflateError, inflateRaw } from './inflate.ts';
import { readAsset } from './assets.ts';
import { readPointer, writePointer } from './overlay.ts';
import { PageStream, type PageMessage } from './stream.ts';

function message(kind: PageMessage['kind'], pageEpoch: number, sequence: number, events: unknown = []): PageMessage {
  return { kind, pageEpoch, sequence, deflated: false, payload: new TextEncoder().encode(JSON.stringify(events)) };
}

function recorded(failing: (log: string[]) => boolean = () => false): { stream: PageStream; log: string[] } {
  const log: string[] = [];
  const note = (text: string): void => {
    if (failing(log)) {
      throw new Error('unusable');
    }
    log.push(text);
  };
  const stream = new PageStream({
    snapshot: (_events, at) => note(`snapshot ${at.pageEpoch}.${at.sequence}`),
    diff: (_events, at) => note(`diff ${at.pageEpoch}.${at.sequence}`),
    wantResync: (reason) => void log.push(`resync ${reason}`),
  });
  return { stream, log };
}

test('diffs are applied only directly after the position they belong to', () => {
  const { stream, log } = recorded();
  stream.take(message('snapshot', 1, 4));
  stream.take(message('diff', 1, 4));
  stream.take(message('diff', 1, 5));
  stream.take(message('diff', 1, 7));
  stream.take(message('diff', 1, 8));
  stream.take(message('snapshot', 1, 8));
  stream.take(message('diff', 1, 9));
  assert.deepEqual(log, ['snapshot 1.4', 'diff 1.5', 'resync gap', 'snapshot 1.8', 'diff 1.9']);
});

test('a diff whose page never came asks for one, once', () => {
  const { stream, log } = recorded();
  stream.take(message('diff', 1, 5));
  stream.take(message('diff', 1, 6));
  stream.take(message('snapshot', 1, 6));
  stream.take(message('diff', 1, 7));
  stream.reset();
  stream.take(message('diff', 1, 8));
  assert.deepEqual(log, ['resync gap', 'snapshot 1.6', 'diff 1.7', 'resync gap']);
});

test('a new page begins with its snapshot and fences the old one', () => {
  const { stream, log } = recorded();
  stream.take(message('snapshot', 1, 0));
  stream.take(message('diff', 2, 1));
  stream.take(message('snapshot', 2, 0));
  stream.take(message('diff', 1, 1));
  stream.take(message('snapshot', 1, 0));
  stream.take(message('diff', 2, 1));
  assert.deepEqual(log, ['snapshot 1.0', 'resync gap', 'snapshot 2.0', 'diff 2.1']);
});

test('after an announced resync nothing is applied before the snapshot', () => {
  const { stream, log } = recorded();
  stream.take(message('snapshot', 1, 0));
  stream.expectSnapshot();
  stream.take(message('diff', 1, 1));
  stream.take(message('snapshot', 1, 9));
  assert.deepEqual(log, ['snapshot 1.0', 'snapshot 1.9']);
});

test('an unusable diff or payload asks for a resync once', () => {
  const { stream, log } = recorded((so) => so.length === 1);
  stream.take(message('snapshot', 1, 0));
  stream.take(message('diff', 1, 1));
  stream.take(message('diff', 1, 2));
  assert.deepEqual(log, ['snapshot 1.0', 'resync Error: unusable']);
  const other = recorded();
  other.stream.take({ ...message('snapshot', 1, 0), payload: Uint8Array.of(0xff, 0xfe) });
  other.stream.take({ ...message('snapshot', 1, 0), payload: Uint8Array.of(0xff, 0xfe) });
  assert.equal(other.log.length, 2, 'each unusable snapshot is reported, so that its reader can give up');
  assert.match(other.log[0] ?? '', /^resync /u);
  assert.equal(other.stream.position, undefined);
});

test('inflating is exact and bounded', () => {
  const text = new TextEncoder().encode('a page of a shop '.repeat(20_000));
  assert.deepEqual(inflateRaw(deflateSync(text)), text);
  assert.throws(() => inflateRaw(deflateSync(new Uint8Array(4_000_000)), 1_000_000), InflateError);
  assert.throws(() => inflateRaw(Uint8Array.of(7, 7, 7, 7)), InflateError);
});

test('assets are read whole or not at all, and only what can be shown', () => {
  const asset = (type: string): Uint8Array => Uint8Array.from([...Array<number>(16).fill(0xab), type.length, ...new TextEncoder().encode(type), 1, 2, 3]);
  assert.deepEqual(readAsset(asset('image/png')), { name: 'ab'.repeat(16), type: 'image/png', content: Uint8Array.of(1, 2, 3) });
  for (const bad of [asset('text/html'), asset('application/javascript'), asset('image/png').subarray(0, 18), new Uint8Array(0)]) {
    assert.equal(readAsset(bad), undefined);
  }
});

test('a pointer keeps its place to one part in 65 535', () => {
  const at = readPointer(writePointer({ x: 0.25, y: 1.5, buttons: 1 }));
  assert.ok(at !== undefined && Math.abs(at.x - 0.25) < 1 / 65_535);
  assert.equal(at.y, 1);
  assert.equal(at.buttons, 1);
  assert.equal(readPointer(new Uint8Array(4)), undefined);
});
