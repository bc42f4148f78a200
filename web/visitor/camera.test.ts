// R110: a camera that ends by anything at any moment leaves no device open and says so exactly once.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Camera, CAMERA_OFF, type CameraView } from './camera.ts';
import type { ToRelay } from '../protocol/signal.ts';

class Track extends EventTarget {
  readyState = 'live';
  enabled = true;
  contentHint = '';
  stop(): void {
    this.readyState = 'ended';
  }
  getSettings(): MediaTrackSettings {
    return { deviceId: 'one' };
  }
}

interface Stage {
  readonly camera: Camera;
  readonly views: CameraView[];
  readonly said: ToRelay[];
  readonly notices: string[];
  readonly tracks: Track[];
  readonly opened: (error?: Error) => Promise<void>;
  announced: boolean;
}

/** A camera on a device that opens when the test wants it to. */
function stage(): Stage {
  const tracks: Track[] = [];
  let answer: ((error?: Error) => void) | undefined;
  const getUserMedia = (): Promise<MediaStream> =>
    new Promise((resolve, reject) => {
      answer = (error) => {
        const track = new Track();
        tracks.push(track);
        const all = [track];
        error === undefined ? resolve({ getTracks: () => all, getVideoTracks: () => all } as unknown as MediaStream) : reject(error);
      };
    });
  const mediaDevices = { getUserMedia, enumerateDevices: () => Promise.resolve([]) };
  Object.defineProperty(globalThis, 'navigator', { value: { mediaDevices }, configurable: true });
  const made = { views: [] as CameraView[], said: [] as ToRelay[], notices: [] as string[], tracks, announced: false };
  const share = {
    carry: () => {
      made.announced = true;
      return Promise.resolve();
    },
    dropCamera: () => {
      const before = made.announced;
      made.announced = false;
      return before;
    },
  };
  const camera = new Camera(share, {
    signal: (signal) => void made.said.push(signal),
    view: (view) => void made.views.push(view),
    preview: () => undefined,
    notice: (text) => void made.notices.push(text),
  });
  const opened = async (error?: Error): Promise<void> => {
    answer?.(error);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return Object.assign(made, { camera, opened });
}

const YOU = 1;

test('opens, is seen, is stopped', async () => {
  const it = stage();
  void it.camera.open('1f');
  await it.opened();
  assert.equal(it.announced, true);
  it.camera.take({ epoch: 1, phase: 'waiting', holder: YOU }, YOU);
  it.camera.take({ epoch: 1, phase: 'live', holder: YOU }, YOU);
  assert.equal(it.views.at(-1)?.phase, 'live');
  it.camera.stop();
  assert.deepEqual([it.said, it.views.at(-1), it.tracks.map((track) => track.readyState)], [[{ t: 'camera.stop' }], CAMERA_OFF, ['ended']]);
  it.camera.stop();
  assert.equal(it.said.length, 1, 'said once');
});

test('stopped while the browser still asks: the device is closed as it opens', async () => {
  const it = stage();
  void it.camera.open('1f');
  it.camera.stop();
  await it.opened();
  assert.deepEqual([it.said, it.announced, it.tracks.map((track) => track.readyState)], [[], false, ['ended']]);
  assert.deepEqual(it.views.at(-1), CAMERA_OFF);
});

test('each refusal of the browser has a sentence, and nothing is said to the relay', async () => {
  const names = { NotAllowedError: /not allowed/u, NotFoundError: /No camera/u, NotReadableError: /in use/u, TypeError: /could not be opened/u };
  for (const [name, sentence] of Object.entries(names)) {
    const it = stage();
    void it.camera.open('1f');
    await it.opened(Object.assign(new Error(name), { name }));
    assert.match(it.notices.join(), sentence);
    assert.deepEqual([it.said, it.views.at(-1)], [[], CAMERA_OFF]);
  }
});

test('the relay ends it: the device closes and the visitor is told; what came before the start does nothing', async () => {
  const it = stage();
  void it.camera.open('1f');
  it.camera.take({ epoch: 0, phase: 'empty' }, YOU);
  await it.opened();
  it.camera.take({ epoch: 1, phase: 'live', holder: YOU }, YOU);
  it.camera.take({ epoch: 1, phase: 'empty' }, YOU);
  assert.deepEqual([it.tracks.map((track) => track.readyState), it.said], [['ended'], []]);
  assert.match(it.notices.join(), /switched off/u);
});

test('an unplugged device ends it and the relay is told', async () => {
  const it = stage();
  void it.camera.open('1f');
  await it.opened();
  it.tracks[0]?.dispatchEvent(new Event('ended'));
  assert.deepEqual([it.said, it.notices], [[{ t: 'camera.stop' }], ['The camera has stopped.']]);
});
