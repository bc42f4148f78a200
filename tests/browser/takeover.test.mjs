// Acceptance 4: the second agent's share replaces the first, cleanly, and nothing comes back by itself.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Agent, join, samePage, Visitor } from './cast.mjs';
import { figure, metric, startBrowser, startRelay, until } from './harness.mjs';
import { openMovingTab } from './pictures.mjs';

const RUNS = 20;
const MESSAGE = 'Another agent is sharing their screen. You are no longer sharing your screen.';
const SIZE = { width: 640, height: 360 };

let relay;
/** The picker's choice is a flag of a browser, so each agent has a browser of their own. */
let browsers;
let visitor;
let ann;
let ben;

before(async () => {
    [relay, ...browsers] = await Promise.all([
        startRelay(),
        startBrowser(['--auto-select-tab-capture-source-by-title=Red tab']),
        startBrowser(['--auto-select-tab-capture-source-by-title=Blue tab']),
    ]);
    const [first, second] = browsers;
    visitor = await Visitor.open(first, relay);
    ann = await join(first, relay, visitor, 'ann', await visitor.start());
    ben = await join(second, relay, visitor, 'ben', await visitor.newKey());
    await openMovingTab(ann.context, 'Red tab', { ...SIZE, color: '#d00000' });
    await openMovingTab(ben.context, 'Blue tab', { ...SIZE, color: '#0000d0' });
    for (const agent of [ann, ben]) await agent.page.evaluate(watchClicksAndMessages);
    await until('the visitor’s media is connected', () => visitor.page.evaluate(() => window.__peers.some((peer) => peer.connectionState === 'connected')));
    await visitor.page.evaluate(watchColors);
});

after(async () => {
    await Promise.all((browsers ?? []).map((browser) => browser.close()));
    await relay?.stop();
});

/** In an agent's page: when was the share chosen, and when did the takeover message appear? */
function watchClicksAndMessages() {
    const now = () => performance.timeOrigin + performance.now();
    window.__clicked = 0;
    window.__told = [];
    addEventListener('click', (event) => {
        if (event.target.closest('[role=menuitem]')) window.__clicked = now();
    }, { capture: true });
    new MutationObserver((records) => {
        for (const node of records.flatMap((record) => [...record.addedNodes])) {
            if (node.nodeName === 'DIALOG') window.__told.push({ text: node.querySelector('p').textContent, at: now() });
        }
    }).observe(document.body, { childList: true });
}

/** In the visitor's page: the colour of every decoded frame of the agents' slot, in order; also of frames that nobody looks at. */
function watchColors() {
    window.__frames = [];
    const peer = window.__peers.find((one) => one.connectionState === 'connected');
    const receiver = peer.getReceivers().find((one) => one.track.kind === 'video');
    const frames = new MediaStreamTrackProcessor({ track: receiver.track.clone() }).readable.getReader();
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    const watch = async () => {
        for (;;) {
            const { value: frame, done } = await frames.read();
            if (done) return;
            // The lower half: the moving box stays in the upper one.
            canvas.drawImage(frame, frame.displayWidth / 2, frame.displayHeight * 0.8, 1, 1, 0, 0, 1, 1);
            frame.close();
            const [red, , blue] = canvas.getImageData(0, 0, 1, 1).data;
            const color = red > 128 && blue < 100 ? 'red' : blue > 128 && red < 100 ? 'blue' : 'other';
            window.__frames.push({ color, at: performance.timeOrigin + performance.now() });
        }
    };
    void watch();
}

const framesSince = (at) => visitor.page.evaluate((start) => window.__frames.slice(start), at);
const frameCount = () => visitor.page.evaluate(() => window.__frames.length);

describe('takeover', () => {
    // R014, R015
    test(`${RUNS} times: the message, no frame of the old share after the new one, a short gap`, async () => {
        const colors = new Map([[ann, 'red'], [ben, 'blue']]);
        await ann.shareMine();
        await until('Ann’s screen plays', async () => (await framesSince(0)).filter((frame) => frame.color === 'red').length > 5);
        const gaps = [];
        const tails = [];
        let [holder, taker] = [ann, ben];
        for (let run = 0; run < RUNS; run += 1) {
            const start = await frameCount();
            const [old, fresh] = [colors.get(holder), colors.get(taker)];
            await taker.shareMine();
            await holder.page.getByRole('dialog').getByText(MESSAGE, { exact: true }).waitFor();
            await until(`run ${run}: the new share plays`, async () => (await framesSince(start)).filter((frame) => frame.color === fresh).length > 8);
            const frames = await framesSince(start);
            const first = frames.findIndex((frame) => frame.color === fresh);
            assert.ok(frames.slice(first).every((frame) => frame.color === fresh), `run ${run}: once ${fresh}, never ${old} again`);
            const told = await holder.page.evaluate(() => window.__told.at(-1));
            assert.equal(told.text, MESSAGE);
            const clicked = await taker.page.evaluate(() => window.__clicked);
            gaps.push(frames[first].at - clicked);
            tails.push(Math.max(0, (frames.findLast((frame) => frame.color === old)?.at ?? 0) - told.at));
            await holder.press('OK');
            [holder, taker] = [taker, holder];
        }
        const gap = figure('takeover, click to first frame of the second', gaps);
        const tail = figure('takeover, last frame of the first after its message', tails);
        // The target is 500 ms; the bound leaves room for two software encoders on a busy machine.
        assert.ok(gap.p95 < 2_000, `p95 ${gap.p95} ms`);
        // What was decoded already when the message came; a share that ran on, in any run, would show hundreds of milliseconds.
        assert.ok(tail.max < 250, `the first was seen ${tail.max} ms after its message`);
        assert.equal(metric(await relay.metrics(), 'fanlight_takeovers_total', 'slot="agent"'), RUNS);
    });

    test('when the second stops the slot is empty and nothing comes back', async () => {
        const state = await ann.state();
        const holder = [ann, ben].find((agent) => agent.name === state.members.find((member) => member.id === state.shares.agent.holder).name);
        assert.ok(holder instanceof Agent);
        const epoch = state.shares.agent.epoch;
        await holder.press('Stop Sharing');
        for (const agent of [ann, ben]) {
            await until(`${agent.name} knows that nobody shares`, async () => (await agent.state()).shares.agent.phase === 'empty');
        }
        await visitor.page.getByRole('region', { name: 'The agent\'s screen' }).waitFor({ state: 'hidden' });
        let round = 0;
        const changeEverywhere = async () => {
            await visitor.page.evaluate((text) => { document.querySelector('h1').textContent = text; }, `Heading ${round += 1}`);
            for (const agent of [ann, ben]) await samePage(visitor, agent);
        };
        // What was in the decoder when the share stopped comes out first.
        let frames = await frameCount();
        await until('the last frames have come', async () => {
            const before = frames;
            await changeEverywhere();
            frames = await frameCount();
            return frames === before;
        });
        for (let at = 0; at < 10; at += 1) await changeEverywhere();
        assert.equal(await frameCount(), frames, 'no frame since');
        for (const agent of [ann, ben]) {
            const { agent: share } = (await agent.state()).shares;
            assert.equal(share.phase, 'empty');
            assert.ok(share.epoch >= epoch, 'the epoch never goes back');
            assert.equal(await agent.page.locator('#stop-sharing').isVisible(), false);
        }
        assert.deepEqual([...visitor.errors, ...ann.errors, ...ben.errors], []);
    });
});
