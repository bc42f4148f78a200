// R110, R124–R126: a camera link from the agent's click to the phone's picture: accepted, declined, used twice, ended.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { startBrowser, startRelay, until } from './harness.mjs';
import { picture, serious } from './house.mjs';
import { isFromFanlight, startReceiver } from './receiver.mjs';

const PHONE = { viewport: { width: 390, height: 780 }, isMobile: true, hasTouch: true };
/** Enough that a single keyframe cannot be taken for a running picture. */
const FRAMES = 20;

let browser;
let relay;
let service;

before(async () => {
    service = await startReceiver();
    browser = await startBrowser(['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream']);
    relay = await startRelay({ extra: `[outbound]\nnamed = ["${service.origin}"]\n[sms]\nurl = "${service.origin}/sms"\nsecret_file = "sms.secret"\n` });
});

after(async () => {
    await browser?.close();
    await relay?.stop();
    await service?.close();
});

async function open(url, options = {}, init = []) {
    const context = await browser.newContext(options);
    context.setDefaultTimeout(20_000);
    for (const script of init) await context.addInitScript(script);
    const page = await context.newPage();
    const errors = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    await page.goto(url);
    return { context, page, errors };
}

async function agent(name = 'ann') {
    const opened = await open(`${relay.url}/demo/agent.html?agent=${name}&carrier=websocket`, { viewport: { width: 1100, height: 720 } });
    await opened.page.getByText('Ask for a camera instead').click();
    return opened;
}

/** Sends a link; its address as the phone can open it here. */
async function send(page, number = '+49 170 1234567') {
    const before = service.received.length;
    await page.getByLabel('Customer’s mobile number').fill(number);
    await page.getByRole('button', { name: 'Send link' }).click();
    const message = await until('the message is handed over', () => service.received[before]);
    await page.getByText('The link is sent.').waitFor();
    const { link, to, text } = JSON.parse(message.body);
    assert.equal(to, '+491701234567');
    assert.ok(text.includes('Ann Ahlberg'));
    assert.ok(isFromFanlight(readFileSync(join(relay.folder, 'sms.secret'), 'utf8').trim(), message.headers, message.body));
    assert.match(link, /^https:\/\/[^/]+\/c\/[\w-]{22}$/u);
    return relay.url + new URL(link).pathname;
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

describe('a camera link', () => {
    test('one tap on the phone shows its rear camera to the agent, End ends it for both', async () => {
        const ann = await agent();
        await picture(ann.page, 'camera-invite');
        const link = await send(ann.page);
        const phone = await open(link, PHONE, [keepTracks]);
        await phone.page.getByRole('heading', { name: 'Ann Ahlberg would like to see what your camera shows' }).waitFor();
        assert.deepEqual(await phone.page.evaluate(() => window.__tracks), [], 'nothing is opened before the tap');
        assert.deepEqual(await serious(phone.page), []);
        await picture(phone.page, 'camera-ask');
        const words = (await phone.page.locator('.points li').allTextContents()).join('\n');
        await phone.page.getByRole('button', { name: 'Show my camera' }).tap();
        const tile = ann.page.locator('.tile video');
        let first;
        await until('the agent sees the camera', async () => {
            const now = await tile.evaluate((video) => ({ frames: video.getVideoPlaybackQuality().totalVideoFrames, wide: video.videoWidth, seen: video.checkVisibility() }));
            first ??= now.frames;
            return now.seen && now.wide > 0 && now.frames >= first + FRAMES;
        }, 30_000);
        const asked = await phone.page.evaluate(() => window.__asked);
        assert.deepEqual([asked.video.facingMode, asked.audio], [{ ideal: 'environment' }, undefined], 'the rear camera first, no sound');
        await phone.page.getByText('Ann Ahlberg sees your camera').waitFor();
        assert.ok(await phone.page.getByRole('button', { name: 'End' }).isVisible());
        assert.deepEqual(await serious(phone.page), []);
        await picture(phone.page, 'camera-phone');
        await picture(ann.page, 'camera-agent');
        const state = await ann.page.evaluate(() => window.__fanlight.state());
        assert.equal(state.capabilities & (8 | 16 | 64), 0, 'no page, no screen, no pointer');
        assert.equal(await ann.page.evaluate(() => window.__fanlight.pageHtml()), '');

        // The link is used up, also for the phone itself after a reload.
        const second = await open(link, PHONE);
        await second.page.getByText('This link is no longer good.').waitFor();
        assert.equal(await second.page.getByRole('button', { name: 'Show my camera' }).isVisible(), false);

        const { session } = (await relay.operate('GET', '/v1/sessions')).body.sessions.at(-1);
        await phone.page.getByRole('button', { name: 'End' }).tap();
        await phone.page.getByText('You have ended it. Your camera is off.').waitFor();
        // R045: the tap is the consent, in the words that were on the phone.
        const file = await until('the receipts are signed', async () => {
            const { body } = await relay.operate('GET', `/v1/sessions/${session}/receipts`);
            return body.signature === undefined ? undefined : body;
        });
        const accepted = file.records.filter((record) => record.happened === 'accepted').map(({ matter, text }) => [matter, file.texts[text]]);
        assert.deepEqual(accepted, [['view', words], ['camera', words]]);
        assert.deepEqual(await phone.page.evaluate(() => [...new Set(window.__tracks.map((track) => track.readyState))]), ['ended']);
        await ann.page.getByRole('heading', { name: 'The session is over' }).waitFor();
        assert.deepEqual([...phone.errors, ...ann.errors, ...second.errors], []);
        await Promise.all([phone, ann, second].map((one) => one.context.close()));
    });

    test('who declines opens nothing, and the agent is told', async () => {
        const ann = await agent();
        const phone = await open(await send(ann.page), PHONE, [keepTracks]);
        await phone.page.getByRole('button', { name: 'No, thanks' }).tap();
        await phone.page.getByText('Nothing was shown.').waitFor();
        await ann.page.getByText('The customer declined.').waitFor();
        assert.deepEqual(await phone.page.evaluate(() => window.__tracks), []);
        await Promise.all([phone, ann].map((one) => one.context.close()));
    });

    test('the browser’s own no keeps the link, and a yes afterwards works', async () => {
        const ann = await agent();
        const deny = () => {
            const native = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
            let times = 0;
            navigator.mediaDevices.getUserMedia = (wanted) => {
                times += 1;
                return times === 1 ? Promise.reject(new DOMException('no', 'NotAllowedError')) : native(wanted);
            };
        };
        const phone = await open(await send(ann.page), PHONE, [deny]);
        await phone.page.getByRole('button', { name: 'Show my camera' }).tap();
        await phone.page.getByText('The camera is not allowed here.').waitFor();
        await phone.page.getByRole('button', { name: 'Show my camera' }).tap();
        await phone.page.getByText('Ann Ahlberg sees your camera').waitFor();
        // Leaving the page is an end like any other.
        await phone.page.goto('about:blank');
        await ann.page.getByRole('heading', { name: 'The session is over' }).waitFor();
        await Promise.all([phone, ann].map((one) => one.context.close()));
    });

    test('a cancelled invitation and a number that is none', async () => {
        const ann = await agent();
        await ann.page.getByLabel('Customer’s mobile number').fill('0170 1234567');
        await ann.page.getByRole('button', { name: 'Send link' }).click();
        await ann.page.getByText('Type the number with its country code').waitFor();
        const link = await send(ann.page);
        assert.equal(await ann.page.getByLabel('Customer’s mobile number').inputValue(), '', 'the number is not kept');
        await ann.page.getByRole('button', { name: 'Cancel' }).click();
        const phone = await open(link, PHONE);
        await phone.page.getByText('This link is no longer good.').waitFor();
        await Promise.all([phone, ann].map((one) => one.context.close()));
        assert.ok(!relay.log().includes('1701234567'), 'the number is in no log (G-62)');
    });
});
