/** The bytes that Rust wrote down (`tests/vectors/*.json`) are the bytes that this client reads and writes. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { CODES, codeOf, codeOfClose, isFinal } from './code.ts';
import { FLAG_DEFLATE, FrameError, FrameSplitter, VERSION, decodeFrame, encodeFrame, type Kind } from './frame.ts';
import * as limits from './limits.ts';
import { SCHEMA, TAKEN_OVER, TO_CLIENT_TAGS, parseSignal, signalFrame, type ToRelay } from './signal.ts';

function vectors<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../tests/vectors/${name}`, import.meta.url), 'utf8')) as T;
}

const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

interface FrameVector {
  name: string; bytes_hex: string; payload_hex: string; kind: number; flags: number; source: number; page_epoch: number; sequence: number;
  message: number; chunk_index: number; chunk_count: number; mask_epoch: number;
}

test('every frame reads and writes as in Rust', () => {
  for (const vector of vectors<FrameVector[]>('frames.json')) {
    const frame = decodeFrame(bytesOf(vector.bytes_hex));
    assert.deepEqual(
      { ...frame, payload: hexOf(frame.payload) },
      {
        kind: vector.kind as Kind, flags: vector.flags, source: vector.source, pageEpoch: vector.page_epoch, sequence: vector.sequence,
        message: vector.message, chunkIndex: vector.chunk_index, chunkCount: vector.chunk_count, maskEpoch: vector.mask_epoch,
        payload: vector.payload_hex,
      },
      vector.name,
    );
    assert.equal(hexOf(encodeFrame(frame)), vector.bytes_hex, vector.name);
  }
});

test('every frame that Rust refuses is refused, for the same reason', () => {
  for (const bad of vectors<Array<{ name: string; bytes_hex: string; error: string }>>('frames_bad.json')) {
    assert.throws(
      () => decodeFrame(bytesOf(bad.bytes_hex)),
      (error) => error instanceof FrameError && error.fault === bad.error,
      bad.name,
    );
  }
});

test('a stream cut anywhere gives the same frames', () => {
  const good = vectors<FrameVector[]>('frames.json').map((vector) => vector.bytes_hex);
  const stream = bytesOf(good.join(''));
  for (const step of [1, 7, 28, 29, 1000, stream.length]) {
    const splitter = new FrameSplitter();
    const found: string[] = [];
    for (let at = 0; at < stream.length; at += step) {
      found.push(...splitter.push(stream.subarray(at, at + step)).map((frame) => hexOf(encodeFrame(frame))));
    }
    assert.deepEqual(found, good, `in steps of ${step}`);
  }
});

test('codes are the same list', () => {
  assert.deepEqual(CODES.map(({ label, http, close, sentence }) => ({ close, http, label, sentence })), vectors('codes.json'));
  for (const code of CODES) {
    assert.equal(codeOfClose(code.close), code);
    assert.equal(codeOf(code.label), code);
  }
  assert.ok(isFinal('E_ENDED') && isFinal('E_CONSENT') && !isFinal('E_DRAIN') && !isFinal('E_TOO_SLOW'));
});

test('limits are the same numbers', () => {
  const rust = vectors<Record<string, number>>('limits.json');
  const ours: Record<string, unknown> = { ...limits, FRAME_VERSION: VERSION, FLAG_DEFLATE, SCHEMA };
  let compared = 0;
  for (const [name, value] of Object.entries(rust)) {
    if (name in ours) {
      assert.equal(ours[name], value, name);
      compared += 1;
    }
  }
  assert.ok(compared >= 12, `only ${compared} compared`);
});

test('signals to the client are understood, those to the relay survive the way', () => {
  const seen = new Set<string>();
  for (const vector of vectors<Array<{ name: string; direction: string; json: { t: string } }>>('signals.json')) {
    const bytes = new TextEncoder().encode(JSON.stringify(vector.json));
    if (vector.direction === 'to_client') {
      assert.deepEqual(parseSignal(bytes), vector.json, vector.name);
      seen.add(vector.json.t);
    } else {
      const frame = signalFrame(vector.json as ToRelay);
      assert.deepEqual(JSON.parse(new TextDecoder().decode(frame.payload)), vector.json, vector.name);
    }
  }
  assert.deepEqual([...TO_CLIENT_TAGS].sort(), [...seen].sort());
});

test('R014: the words of a takeover', () => {
  const taken = vectors<Array<{ json: { t: string; text?: string } }>>('signals.json').find((vector) => vector.json.t === 'share.taken_over');
  assert.equal(taken?.json.text, TAKEN_OVER);
});

test('what is no signal is nothing', () => {
  for (const bad of ['', '{', '[]', 'null', '7', '{}', '{"t":"root"}', '{"t":7}']) {
    assert.equal(parseSignal(new TextEncoder().encode(bad)), undefined);
  }
  assert.equal(parseSignal(Uint8Array.of(0xff, 0xfe)), undefined);
});
