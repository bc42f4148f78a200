/** Messages are cut and put together again; what is not a message is dropped, within bounds, and nothing is thrown. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameError, Kind, decodeFrame, encodeFrame, frameOf } from './frame.ts';
import { MESSAGE_ASSEMBLY_MAX_MS, MESSAGE_BYTES_MAX, PAYLOAD_BYTES_MAX } from './limits.ts';
import { Assembler, chunk } from './message.ts';

function noise(bytes: number, seed: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length: bytes }, () => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) >>> 24);
}

test('a payload of any size comes back whole', () => {
  for (const size of [0, 1, PAYLOAD_BYTES_MAX - 1, PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MAX + 1, 5 * PAYLOAD_BYTES_MAX, MESSAGE_BYTES_MAX]) {
    const payload = noise(size, size + 1);
    const assembler = new Assembler();
    const whole = chunk(Kind.Snapshot, payload, { message: 3 }).flatMap((frame) => assembler.push(frame, 0) ?? []);
    assert.equal(whole.length, 1);
    assert.ok(Buffer.from(whole[0]?.payload ?? []).equals(Buffer.from(payload)), `${size} bytes`);
  }
});

test('more than a message is refused', () => {
  assert.throws(() => chunk(Kind.Asset, new Uint8Array(MESSAGE_BYTES_MAX + 1), {}), FrameError);
});

test('messages of two sources and kinds may interleave, a hole drops the message', () => {
  const assembler = new Assembler();
  const payload = noise(3 * PAYLOAD_BYTES_MAX, 1);
  const first = chunk(Kind.Snapshot, payload, { message: 1, source: 1 });
  const second = chunk(Kind.Asset, payload, { message: 2, source: 1 });
  const done = first.flatMap((frame, at) => [assembler.push(frame, 0), assembler.push(second[at] ?? frame, 0)]);
  assert.equal(done.filter((message) => message !== undefined).length, 2);
  const [a, , c] = chunk(Kind.Snapshot, payload, { message: 9 });
  assert.equal(a && assembler.push(a, 0), undefined);
  assert.equal(c && assembler.push(c, 0), undefined);
});

test('a message that takes too long is dropped', () => {
  const assembler = new Assembler();
  const [first, second] = chunk(Kind.Snapshot, noise(PAYLOAD_BYTES_MAX + 1, 1), { message: 1 });
  assert.ok(first !== undefined && second !== undefined);
  assembler.push(first, 0);
  assert.equal(assembler.push(second, MESSAGE_ASSEMBLY_MAX_MS + 1), undefined);
});

test('hostile bytes give a typed error and nothing else', () => {
  const good = encodeFrame(frameOf(Kind.Diff, noise(40, 5), { chunkIndex: 1, chunkCount: 3 }));
  for (let round = 0; round < 20_000; round += 1) {
    const bytes = good.slice(0, round % 3 === 0 ? round % (good.length + 1) : good.length);
    for (const place of noise(3, round)) {
      if (bytes.length > 0) {
        bytes[place % bytes.length] = (place * round) & 0xff;
      }
    }
    try {
      const frame = decodeFrame(bytes);
      assert.equal(Buffer.compare(encodeFrame(frame), bytes), 0);
    } catch (error) {
      assert.ok(error instanceof FrameError, String(error));
    }
  }
});
