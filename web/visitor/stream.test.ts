/** The order and the economy of what leaves the page: numbers without gaps, one frame per turn, nothing hoarded. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inflateSync } from 'fflate';
import type { eventWithTime } from '@rrweb/types';
import { Kind, type Frame } from '../protocol/frame.ts';
import { MESSAGE_BYTES_MAX } from '../protocol/limits.ts';
import { PageStream } from './stream.ts';

class Wire {
  backlog = 0;
  readonly frames: Frame[] = [];
  send(frame: Frame): boolean {
    this.frames.push(frame);
    return true;
  }
  /** Kind, page epoch and sequence of each message, and nothing of its content. */
  get story(): string[] {
    return this.frames.filter((frame) => frame.chunkIndex === 0).map((frame) => `${frame.kind.toString(16)} ${frame.pageEpoch} ${frame.sequence}`);
  }
}

const event = (text: string): eventWithTime => ({ type: 3, data: { source: 0, text }, timestamp: 1 }) as unknown as eventWithTime;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function eventsOf(frame: Frame | undefined): unknown[] {
  assert.ok(frame !== undefined);
  const bytes = (frame.flags & 1) === 1 ? inflateSync(frame.payload) : frame.payload;
  return JSON.parse(new TextDecoder().decode(bytes)) as unknown[];
}

function began(): { wire: Wire; stream: PageStream; asked: string[] } {
  const wire = new Wire();
  const asked: string[] = [];
  const stream = new PageStream(wire, { photograph: () => asked.push('photograph'), oversize: () => asked.push('oversize') });
  stream.begin(4, 2);
  stream.snapshot([event('page')]);
  return { wire, stream, asked };
}

test('a snapshot begins at zero, diffs follow without a gap, events of one turn share a frame', async () => {
  const { wire, stream } = began();
  stream.diff(event('a'));
  stream.diff(event('b'));
  await turn();
  stream.diff(event('c'));
  await turn();
  assert.deepEqual(wire.story, ['30 4 0', '31 4 1', '31 4 2']);
  assert.equal(eventsOf(wire.frames[1]).length, 2);
  assert.ok(wire.frames.every((frame) => frame.maskEpoch === 2));
});

test('a snapshot says which diff it contains, even one that was about to leave', async () => {
  const { wire, stream } = began();
  stream.diff(event('a'));
  stream.snapshot([event('page')]);
  stream.diff(event('b'));
  await turn();
  assert.deepEqual(wire.story, ['30 4 0', '31 4 1', '30 4 1', '31 4 2']);
});

test('nothing leaves before the first snapshot of a page, nor after the end', async () => {
  const { wire, stream } = began();
  stream.begin(5, 2);
  stream.diff(event('too early'));
  stream.asset({ name: 'a', payload: new Uint8Array(20) });
  await turn();
  assert.deepEqual(wire.story, ['30 4 0']);
  stream.snapshot([event('page')]);
  stream.diff(event('unsent'));
  stream.stop();
  stream.diff(event('too late'));
  await turn();
  assert.deepEqual(wire.story, ['30 4 0', '30 5 0']);
});

test('large batches are deflated, small ones are not', async () => {
  const { wire, stream } = began();
  stream.diff(event('x'));
  await turn();
  stream.diff(event('x'.repeat(2_000)));
  await turn();
  assert.deepEqual(wire.frames.map((frame) => frame.flags), [1, 0, 1]);
  assert.deepEqual(eventsOf(wire.frames[2]), [event('x'.repeat(2_000))]);
});

test('a backed-up carrier gathers; far behind, diffs are given up and a new page asked for once there is room', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { wire, stream, asked } = began();
  wire.backlog = 20_000;
  stream.diff(event('a'));
  stream.diff(event('b'));
  await turn();
  t.mock.timers.tick(49);
  assert.equal(wire.frames.length, 1, 'gathered');
  t.mock.timers.tick(1);
  assert.equal(eventsOf(wire.frames[1]).length, 2);
  wire.backlog = 300_000;
  stream.diff(event('c'));
  stream.diff(event('d'));
  await turn();
  stream.drained();
  assert.deepEqual([stream.behind, asked], [true, []]);
  wire.backlog = 0;
  stream.drained();
  assert.deepEqual(asked, ['photograph']);
  stream.begin(5, 2);
  stream.snapshot([event('page')]);
  stream.diff(event('e'));
  await turn();
  assert.deepEqual(wire.story, ['30 4 0', '31 4 1', '30 5 0', '31 5 1']);
});

test('assets wait for the page and for room', () => {
  const { wire, stream } = began();
  wire.backlog = 100_000;
  stream.asset({ name: 'a', payload: new Uint8Array(40_000) });
  assert.equal(wire.frames.length, 1);
  wire.backlog = 0;
  stream.drained();
  assert.deepEqual(wire.frames.slice(1).map((frame) => [frame.kind, frame.chunkIndex, frame.chunkCount]), [
    [Kind.Asset, 0, 3],
    [Kind.Asset, 1, 3],
    [Kind.Asset, 2, 3],
  ]);
});

test('a page larger than a message is said, not cut', () => {
  const { wire, stream, asked } = began();
  let state = 1;
  const noise = Array.from({ length: MESSAGE_BYTES_MAX * 1.5 }, () => ((state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) >>> 26) + 40);
  const text = new TextDecoder().decode(Uint8Array.from(noise));
  stream.snapshot([event(text)]);
  assert.deepEqual([asked, wire.frames.length], [['oversize'], 1]);
});
