// Acceptance 5: an agent who comes late gets the whole page from the relay's memory; the visitor's browser does nothing for it.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Agent, join, KIND, samePage, Visitor } from './cast.mjs';
import { figure, metric, startBrowser, startRelay, until } from './harness.mjs';

const JOINS = 10;
const MIB = 1024 * 1024;

let relay;
let browser;
let visitor;
let ann;

before(async () => {
    [relay, browser] = await Promise.all([startRelay(), startBrowser()]);
    visitor = await Visitor.open(browser, relay, { record: true });
    await visitor.page.evaluate(growPage, 1.02 * MIB);
    ann = await join(browser, relay, visitor, 'ann', await visitor.start());
    await samePage(visitor, ann, 15_000);
});

after(async () => {
    await browser?.close();
    await relay?.stop();
});

/** Text that hardly compresses, so that the snapshot on the wire is as large as asked. */
function growPage(bytes) {
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const words = (length) => Array.from(crypto.getRandomValues(new Uint8Array(length)), (byte) => letters[byte & 63]).join('');
    const list = document.createElement('div');
    // 6 of 8 bits a letter are left after compression.
    for (let left = (bytes * 8) / 6; left > 0; left -= 512) {
        const line = document.createElement('p');
        line.textContent = words(512);
        line.style.cssText = 'font-size:2px;margin:0';
        list.append(line);
    }
    document.querySelector('main').append(list);
}

const snapshotsAsked = async () => metric(await relay.metrics(), 'fanlight_snapshot_requests_total');

describe('a late agent', () => {
    test('the snapshot on the wire is about 1 MiB', async () => {
        const bytes = (await visitor.sent()).filter((frame) => frame.kind === KIND.snapshot).reduce((sum, frame) => sum + frame.payload.length, 0);
        const mib = bytes / (await visitor.snapshotsSent()) / MIB;
        assert.ok(mib > 0.95 && mib < 1.3, `${mib} MiB`);
    });

    test(`sees the whole page, ${JOINS} times, without a new snapshot of the visitor's`, async () => {
        const snapshots = await visitor.snapshotsSent();
        const asked = await snapshotsAsked();
        const epoch = (await visitor.facts()).epoch;
        const times = [];
        for (let at = 0; at < JOINS; at += 1) {
            // Diffs that the snapshot in the relay's memory does not contain.
            await visitor.page.evaluate((text) => { document.querySelector('h1').textContent = text; }, `Heading ${at}`);
            const ben = await Agent.open(browser, relay, 'ben', await visitor.newKey());
            await ben.page.evaluate(watchFirstPicture);
            await visitor.page.evaluate(watchAllow);
            await visitor.allow(ben.name);
            await ben.seesPage(10_000);
            const shown = await until('the picture’s time', () => ben.page.evaluate(() => window.__shown));
            times.push(shown - (await visitor.page.evaluate(() => window.__allowed)));
            const text = await samePage(visitor, ben, 5_000);
            assert.ok(text.length > MIB && text.includes(`Heading ${at}`));
            await ben.choose('Disconnect', /^Leave/u);
            await ben.close();
        }
        figure('late agent, 1 MiB page, consent to whole page', times);
        assert.equal(await visitor.snapshotsSent(), snapshots, 'the visitor took no snapshot');
        assert.equal((await visitor.facts()).epoch, epoch, 'and began no new page epoch');
        // The shards' counts reach the metrics twice a second.
        await until('the counts are reported', async () => metric(await relay.metrics(), 'fanlight_dom_frames_total', 'direction="out",kind="snapshot"') >= JOINS);
        assert.equal(await snapshotsAsked(), asked, 'nobody asked for one');
        assert.deepEqual([...visitor.errors, ...ann.errors], []);
    });
});

/** In the late agent's page: when was the page in the mirror? */
function watchFirstPicture() {
    const look = () => {
        const { snapshots, appliedAt } = window.__fanlight?.applied() ?? { snapshots: 0 };
        if (snapshots > 0) window.__shown = appliedAt;
        else setTimeout(look, 1);
    };
    look();
}

/** In the visitor's page: when was Allow pressed? */
function watchAllow() {
    const root = document.querySelector('fanlight-widget').shadowRoot;
    root.addEventListener('click', (event) => {
        if (event.target.textContent === 'Allow') window.__allowed = performance.timeOrigin + performance.now();
    }, { capture: true });
}
