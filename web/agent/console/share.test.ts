import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { TAKEN_OVER, type ShareState, type ToClient, type ToRelay } from '../../protocol/signal.ts';
import { Share } from './share.ts';

/** What the browser's picker gives next: a capture, or the error it throws. */
let pick: () => Promise<MediaStream>;
Object.defineProperty(globalThis, 'navigator', { value: { mediaDevices: { getDisplayMedia: () => pick() } }, configurable: true });

class Track extends EventTarget {
  readonly kind = 'video';
  getSettings(): { displaySurface: string } {
    return { displaySurface: 'window' };
  }
}

function capture(): { stream: MediaStream; track: Track } {
  const track = new Track();
  return { stream: { getVideoTracks: () => [track], getAudioTracks: () => [] } as unknown as MediaStream, track };
}

function setUp(): { share: Share; log: string[]; sent: ToRelay[] } {
  const log: string[] = [];
  const sent: ToRelay[] = [];
  const media = {
    carry: () => Promise.resolve({ mid: '2', audioMid: '3' }),
    sections: () => ({ mid: '2', audioMid: undefined }),
    drop: () => void log.push('tracks stopped'),
  };
  const share = new Share(media, () => 2, {
    send: (signal) => void sent.push(signal),
    step: (step) => void log.push(step),
    refused: (refusal) => void log.push(`refused ${refusal.code} ${refusal.allowed.join()}`),
    takenOver: (text) => void log.push(text),
    notCaptured: () => void log.push('not captured'),
  });
  return { share, log, sent };
}

function slot(phase: ShareState['phase'], holder?: number): ToClient {
  return { t: 'share.state', slot: 'agent', epoch: 1, phase, audio: false, ...(holder !== undefined && { holder }) };
}

beforeEach(() => {
  pick = () => Promise.resolve(capture().stream);
});

test('a cancelled picker costs nobody anything', async () => {
  // R011
  const { share, log, sent } = setUp();
  pick = () => Promise.reject(new Error('NotAllowedError'));
  await share.start();
  assert.deepEqual(sent, []);
  assert.deepEqual(log, ['picking', 'idle', 'not captured']);
});

test('the wish for the slot follows the picker and names the surface', async () => {
  // R003, R010, R011
  const { share, log, sent } = setUp();
  await share.start();
  assert.deepEqual(sent, [{ t: 'share.start', mid: '2', surface: 'window' }]);
  share.take(slot('waiting', 2));
  assert.deepEqual(log, ['picking', 'tracks stopped', 'asking', 'sharing']);
});

test("the browser's own stop bar is a stop like any other, once", async () => {
  // R040
  const { share, sent } = setUp();
  const { stream, track } = capture();
  pick = () => Promise.resolve(stream);
  await share.start();
  share.take(slot('live', 2));
  track.dispatchEvent(new Event('ended'));
  track.dispatchEvent(new Event('ended'));
  assert.deepEqual(sent.map((signal) => signal.t), ['share.start', 'share.stop']);
  assert.equal(share.step, 'idle');
});

test('a refused surface stops the capture at once and says what is allowed', async () => {
  // R050
  const { share, log, sent } = setUp();
  await share.start();
  share.take({ t: 'denied', re: 'share.start', code: 'E_SURFACE', rule: 'R007', sentence: 'No.', policy_version: 1, allowed: ['window'] });
  assert.deepEqual(log.slice(-3), ['tracks stopped', 'idle', 'refused E_SURFACE window']);
  assert.equal(sent.length, 1, 'the relay knows that it refused');
});

test('while the relay holds a share it is told what is shown, again and again, until the end', async (t) => {
  // R013, R052: the relay asks by holding; statements go on while it is live.
  t.mock.timers.enable({ apis: ['setInterval'] });
  const { share, log, sent } = setUp();
  share.noteOpened('https://good.example/a');
  await share.start();
  share.take(slot('held', 2));
  assert.ok(share.isStated);
  share.take(slot('waiting', 2));
  share.take(slot('live', 2));
  t.mock.timers.tick(1_000);
  const statement = { t: 'share.statement', url: 'https://good.example/a', assurance: 'stated' };
  assert.deepEqual(sent.slice(1), [statement, statement, statement]);
  share.take(slot('empty'));
  share.take({ t: 'denied', re: 'share.start', code: 'E_SITE', rule: 'R052', sentence: 'No.', policy_version: 1 });
  assert.deepEqual(log.slice(-2), ['tracks stopped', 'refused E_SITE '], 'the capture is over before the answer is read');
  t.mock.timers.tick(5_000);
  assert.equal(sent.length, 4, 'nothing more is said');
});

test('an address that is known is named at once only while sites are allowed by list', async () => {
  // R011: a share that may not be shown takes the slot from nobody.
  const { share, sent } = setUp();
  share.noteOpened('https://good.example/a');
  await share.start();
  share.namesSites = true;
  await share.start();
  assert.deepEqual(sent, [
    { t: 'share.start', mid: '2', surface: 'window' },
    { t: 'share.start', mid: '2', surface: 'window', url: 'https://good.example/a', assurance: 'stated' },
  ]);
});

test('taken over: tracks stop, the message is shown word for word, nothing comes back by itself', async () => {
  // R014, R015
  const { share, log, sent } = setUp();
  await share.start();
  share.take(slot('live', 2));
  share.take({ t: 'share.taken_over', slot: 'agent', epoch: 2, text: TAKEN_OVER });
  share.take(slot('live', 3));
  share.take(slot('empty'));
  share.announceAgain();
  assert.deepEqual(log.slice(-3), ['tracks stopped', 'idle', TAKEN_OVER]);
  assert.deepEqual(sent.map((signal) => signal.t), ['share.start']);
});

test('taken over while choosing something else: a cancelled picker does not bring the share back', async () => {
  const { share } = setUp();
  await share.start();
  share.take(slot('live', 2));
  let cancel: (error: Error) => void = () => undefined;
  pick = () => new Promise((_resolve, reject) => (cancel = reject));
  const picking = share.start();
  share.take({ t: 'share.taken_over', slot: 'agent', epoch: 2, text: TAKEN_OVER });
  cancel(new Error('NotAllowedError'));
  await picking;
  assert.equal(share.step, 'idle');
});

test('a share whose connection was renewed is announced again', async () => {
  const { share, sent } = setUp();
  await share.start();
  share.take(slot('live', 2));
  share.announceAgain();
  assert.deepEqual(sent.map((signal) => signal.t), ['share.start', 'share.start']);
});
