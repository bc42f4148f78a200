// WHIP and WHEP from a page with nothing but fetch and RTCPeerConnection: what docs/whip-whep.md promises to any client.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { metric, startBrowser, startRelay, until } from './harness.mjs';

const FRAMES = 30;

let browser;

before(async () => {
    browser = await startBrowser(['--autoplay-policy=no-user-gesture-required']);
});

after(() => browser?.close());

/** An open session of the operator's, and tokens for it. */
async function openTarget(relay) {
    const operate = async (path, body) => {
        const answer = await relay.operate('POST', path, body);
        assert.equal(answer.status, 201);
        return answer.body;
    };
    const { session } = await operate('/v1/sessions', { group: 'demo', keep_s: 3_600 });
    const token = async (...capabilities) => {
        const wish = { session, role: 'upstream', name: 'Mixer', subject: 'mixer', capabilities, media_s: 900 };
        return (await operate('/v1/tickets', wish)).ticket;
    };
    const [publish, subscribe] = [await token('pub.screen', 'sub.screen'), await token('sub.screen')];
    return { session, publish, subscribe };
}

/** In the page: one PeerConnection and its resource. */
function install() {
    window.enter = async (endpoint, token, prepare) => {
        const peer = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
        await prepare(peer);
        await peer.setLocalDescription();
        const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/sdp' };
        const answer = await fetch(endpoint, { method: 'POST', headers, body: peer.localDescription.sdp });
        const sdp = await answer.text();
        if (answer.status !== 201) throw new Error(`${answer.status}: ${sdp}`);
        await peer.setRemoteDescription({ type: 'answer', sdp });
        const location = new URL(answer.headers.get('location'), endpoint).href;
        return { peer, location, tag: answer.headers.get('etag'), headers };
    };
    window.publish = async (endpoint, token) => {
        const canvas = document.body.appendChild(document.createElement('canvas'));
        [canvas.width, canvas.height] = [320, 240];
        const paint = canvas.getContext('2d');
        let hue = 0;
        setInterval(() => {
            paint.fillStyle = `hsl(${hue = (hue + 7) % 360} 80% 50%)`;
            paint.fillRect(0, 0, 320, 240);
        }, 33);
        const sound = new AudioContext();
        const tone = sound.createOscillator();
        const speaker = sound.createMediaStreamDestination();
        tone.connect(speaker);
        tone.start();
        window.publisher = await window.enter(endpoint, token, (peer) => {
            peer.addTransceiver(canvas.captureStream(30).getTracks()[0], { direction: 'sendonly' });
            peer.addTransceiver(speaker.stream.getTracks()[0], { direction: 'sendonly' });
        });
    };
    window.watch = async (endpoint, token, plain) => {
        window.viewer = await window.enter(endpoint, token, (peer) => {
            const video = document.body.appendChild(document.createElement('video'));
            video.autoplay = true;
            video.srcObject = new MediaStream();
            peer.ontrack = ({ track }) => video.srcObject.addTrack(track);
            peer.addTransceiver('video', { direction: 'recvonly' });
            const heard = peer.addTransceiver('audio', { direction: 'recvonly' });
            const { codecs } = RTCRtpReceiver.getCapabilities('audio');
            if (plain) heard.setCodecPreferences(codecs.filter(({ mimeType }) => mimeType !== 'audio/red'));
        });
    };
    window.received = async () => {
        const all = [...(await window.viewer.peer.getStats()).values()].filter(({ type }) => type === 'inbound-rtp');
        const of = (kind) => all.find((entry) => entry.kind === kind) ?? {};
        const [video, audio] = [of('video'), of('audio')];
        return {
            frames: video.framesDecoded ?? 0, lost: video.packetsLost ?? 0,
            audio: audio.packetsReceived ?? 0, width: video.frameWidth,
            energy: audio.totalAudioEnergy ?? 0, bytesPerSound: audio.bytesReceived / audio.packetsReceived,
        };
    };
    window.remove = async ({ location, headers, peer }) => {
        const gone = await fetch(location, { method: 'DELETE', headers });
        peer.close();
        return gone.status;
    };
}

for (const backend of ['io_uring', 'mmsg']) {
    describe(`WHIP and WHEP in a page with ${backend}`, () => {
        let relay;

        before(async () => {
            relay = await startRelay({ media: `backend = "${backend}"` });
        });

        after(() => relay?.stop());

        test('one page publishes, two others play', async () => {
            const { session, publish, subscribe } = await openTarget(relay);
            const at = (kind) => `${relay.url}/v1/sessions/${session}/${kind}`;
            const open = async () => {
                const page = await (await browser.newContext()).newPage();
                await page.goto(`${relay.url}/demo/`);
                await page.evaluate(install);
                return page;
            };
            const [early, publisher, late] = await Promise.all([open(), open(), open()]);
            const watch = (page, plain) =>
                page.evaluate((wish) => window.watch(...wish), [at('whep'), subscribe, plain]);
            const plays = (page) => until(`${FRAMES} frames`, async () => {
                const seen = await page.evaluate(() => window.received());
                return seen.frames >= FRAMES && seen.audio > 10 && seen.energy > 0 && seen;
            }, 15_000);
            await watch(early, false);
            await publisher.evaluate(([url, token]) => window.publish(url, token), [at('whip'), publish]);
            // RFC 2198: the sound's redundancy reaches whoever agreed to it, and is taken off for others.
            const first = await plays(early);
            assert.equal(first.width, 320);
            await watch(late, true);
            const { bytesPerSound } = await plays(late);
            assert.ok(first.bytesPerSound > 1.5 * bytesPerSound, `${first.bytesPerSound} with, ${bytesPerSound} without`);
            const count = async (kind) => metric(await relay.metrics(), 'fanlight_media_resources', kind);
            await until('all are counted', async () => await count('whep') === 2 && await count('whip') === 1);

            const status = (page, name) => page.evaluate((held) => window.remove(window[held]), name);
            const all = [status(early, 'viewer'), status(late, 'viewer'), status(publisher, 'publisher')];
            assert.deepEqual(await Promise.all(all), [200, 200, 200]);
            await until('nothing is left', async () => await count('') === 0);
            await Promise.all([early, publisher, late].map((page) => page.context().close()));
        });
    });
}
