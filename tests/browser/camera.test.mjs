// R110, R126: the visitor's camera: shown by its own click, seen by every agent, in three sizes, beside the screen, ended by all that ends it.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Agent, startSession } from './cast.mjs';
import { metric, startBrowser, startRelay, until } from './harness.mjs';
import { openMovingTab } from './pictures.mjs';

const TITLE = 'Beside the camera';
/** Enough that a single keyframe cannot be taken for a running picture. */
const FRAMES = 20;
const BUTTON = 'Show camera';

let browser;
let relay;

before(async () => {
    browser = await startBrowser(['--use-fake-device-for-media-stream=device-count=2', `--auto-select-tab-capture-source-by-title=${TITLE}`]);
    relay = await startRelay();
});

after(async () => {
    await browser?.close();
    await relay?.stop();
});

/** A session whose visitor's browser lets this site open the camera. */
async function startWithCamera(options) {
    const session = await startSession(browser, relay, options);
    await session.visitor.context.grantPermissions(['camera'], { origin: relay.url });
    return session;
}

async function showCamera(visitor) {
    await visitor.press(BUTTON);
    await visitor.page.getByRole('heading', { name: 'Show your camera?' }).waitFor();
    await visitor.press('Show my camera');
}

/** Frames that the tile has shown, and their size. */
function tile(agent) {
    return agent.page.locator('.tile video').evaluate((video) => ({
        frames: video.getVideoPlaybackQuality().totalVideoFrames,
        width: video.videoWidth,
        height: video.videoHeight,
        visible: video.checkVisibility(),
    }));
}

async function seesCamera(agent) {
    let first;
    return until(`${agent.name} sees the camera`, async () => {
        const now = await tile(agent);
        first ??= now.frames;
        return now.visible && now.width > 0 && now.frames >= first + FRAMES && now;
    }, 15_000);
}

async function seesNoCamera(agent) {
    await agent.page.locator('.tile').waitFor({ state: 'hidden' });
    assert.equal((await agent.state()).camera.phase, 'empty');
}

/** Is the device's light out? Every track that this page ever opened has ended. */
async function deviceIsClosed(visitor) {
    assert.deepEqual(await visitor.page.evaluate(() => window.__tracks.map((track) => track.readyState)).then((all) => [...new Set(all)]), ['ended']);
}

function keepTracks() {
    window.__tracks = [];
    const native = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wanted) => {
        window.__asked = wanted;
        const stream = await native(wanted);
        window.__tracks.push(...stream.getTracks());
        return stream;
    };
}

describe('the visitor’s camera', () => {
    test('two agents see it in three sizes, and it ends when the visitor stops it', async () => {
        const session = await startWithCamera({ visitor: { init: [keepTracks] } });
        const { visitor, agents } = session;
        await showCamera(visitor);
        for (const agent of agents) await seesCamera(agent);
        await visitor.page.getByText('Your camera is being seen.').waitFor();
        const asked = await visitor.page.evaluate(() => window.__asked);
        assert.deepEqual([asked.video.facingMode, asked.audio], [{ ideal: 'environment' }, undefined], 'the rear camera first, no sound');
        await until('three encodings leave the browser', async () => {
            const out = (await visitor.stats()).filter((entry) => entry.type === 'outbound-rtp' && entry.rid !== undefined);
            return ['q', 'h', 'f'].every((rid) => out.some((entry) => entry.rid === rid && entry.framesEncoded >= FRAMES && entry.packetsSent > 0));
        }, 30_000);
        const [ann] = agents;
        await until('an agent with a wide way gets more than the smallest', async () => (await tile(ann)).width > 320, 30_000);
        const received = (await visitor.stats()).filter((entry) => entry.type === 'remote-inbound-rtp' && entry.kind === 'video');
        assert.ok(received.length >= 3, `the relay reports on each encoding: ${JSON.stringify(received)}`);
        const lost = received.reduce((sum, entry) => sum + entry.packetsLost, 0);
        assert.equal(lost, 0, 'each encoding arrives whole');

        const device = () => visitor.page.evaluate(() => window.__tracks.at(-1).getSettings().deviceId);
        const before = await device();
        await visitor.press('Other camera');
        await until('another device is open', async () => (await device()) !== before);
        // The second fake device is a depth camera, which nothing encodes: back to the first.
        await visitor.press('Other camera');
        await until('the first device is open again', async () => (await device()) === before);
        await seesCamera(ann);
        await visitor.press('Minimise');
        await visitor.page.getByRole('button', { name: 'Your camera is on' }).click();
        await visitor.press('Stop camera');
        for (const agent of agents) await seesNoCamera(agent);
        await deviceIsClosed(visitor);

        await showCamera(visitor);
        for (const agent of agents) await seesCamera(agent);
        assert.deepEqual([...visitor.errors, ...agents.flatMap((agent) => agent.errors)], []);
        await session.close();
    });

    test('the screen goes on beside it', async () => {
        const session = await startWithCamera({ agents: ['ann'] });
        const { visitor, agents: [ann] } = session;
        const tab = await openMovingTab(visitor.context, TITLE, { width: 640, height: 360 });
        await ann.askVisitor();
        await visitor.acceptShare();
        const screen = () => ann.page.locator('video.screen').evaluate((video) => video.getVideoPlaybackQuality().totalVideoFrames);
        const runs = async (what) => {
            const start = await screen();
            await until(what, async () => (await screen()) >= start + FRAMES, 15_000);
        };
        await runs('the screen runs');
        await showCamera(visitor);
        await seesCamera(ann);
        await runs('the screen runs beside the camera');
        const settings = await visitor.page.evaluate(() => {
            const [screen] = window.__peers.at(-1).getSenders().filter((sender) => sender.track?.contentHint === 'detail');
            const { encodings, degradationPreference } = screen.getParameters();
            return { count: encodings.length, layers: encodings[0].scalabilityMode, degradationPreference };
        });
        assert.deepEqual(settings, { count: 1, layers: 'L1T3', degradationPreference: 'maintain-resolution' });
        await visitor.press('Stop sharing');
        await until('the screen has ended', async () => (await ann.state()).shares.visitor.phase === 'empty');
        await seesCamera(ann);
        await tab.close();
        await session.close();
    });

    test('a pause ends it and going on does not bring it back; a late agent sees a running one', async () => {
        const session = await startWithCamera({ agents: ['ann'], visitor: { init: [keepTracks] } });
        const { visitor, agents: [ann] } = session;
        await showCamera(visitor);
        await seesCamera(ann);
        await visitor.press('Pause');
        await seesNoCamera(ann);
        await deviceIsClosed(visitor);
        await visitor.press('Resume');
        await visitor.page.getByRole('button', { name: BUTTON, exact: true }).waitFor();
        await seesNoCamera(ann);
        await showCamera(visitor);
        await seesCamera(ann);
        const key = await visitor.newKey();
        const ben = await Agent.open(browser, relay, 'ben', key);
        await until('Ben waits', async () => (await ben.state()).members.length > 0);
        assert.equal((await ben.state()).camera.phase, 'empty', 'nothing is told before consent');
        await visitor.allow(ben.name);
        await seesCamera(ben);
        await ben.close();
        await session.close();
    });

    test('the tile moves by keyboard and mouse, hides and comes back', async () => {
        const session = await startWithCamera({ agents: ['ann'] });
        const { visitor, agents: [ann] } = session;
        await showCamera(visitor);
        await seesCamera(ann);
        const box = () => ann.page.locator('.tile').boundingBox();
        await ann.page.bringToFront();
        const start = await box();
        const grip = ann.page.getByRole('button', { name: 'Camera', exact: true });
        await grip.focus();
        await ann.page.keyboard.press('ArrowLeft');
        await ann.page.keyboard.press('ArrowUp');
        const moved = await box();
        assert.ok(moved.x < start.x && moved.y < start.y, `${JSON.stringify(start)} → ${JSON.stringify(moved)}`);
        await grip.hover();
        await ann.page.mouse.down();
        await ann.page.mouse.move(0, 0, { steps: 4 });
        await ann.page.mouse.up();
        const [dragged, stage] = [await box(), await ann.page.locator('.stage').boundingBox()];
        assert.ok(dragged.x < moved.x && dragged.x >= stage.x && dragged.y >= stage.y, 'it stays on the stage');
        await ann.press('Hide camera');
        await ann.page.locator('.tile').waitFor({ state: 'hidden' });
        await ann.page.keyboard.press('Enter');
        await ann.page.locator('.tile').waitFor();
        await session.close();
    });

    test('a camera that the browser does not allow says what to do, and nothing is shown', async () => {
        const session = await startSession(browser, relay, { agents: ['ann'] });
        const { visitor, agents: [ann] } = session;
        // What a browser does when the visitor presses "Block" cannot be pressed headless.
        await visitor.context.grantPermissions([], { origin: relay.url });
        await showCamera(visitor);
        await visitor.page.getByText('The camera is not allowed here.').waitFor();
        await visitor.page.getByRole('button', { name: BUTTON, exact: true }).waitFor();
        await seesNoCamera(ann);
        await session.close();
    });

    test('nothing of it was counted as lost or unknown', async () => {
        const text = await relay.metrics();
        for (const reason of ['malformed', 'congested', 'unsent']) {
            assert.equal(metric(text, 'fanlight_packets_dropped_total', `reason="${reason}"`), 0, reason);
        }
    });
});
