// Acceptance 3: screens both ways, really captured, encoded, forwarded and decoded: {UDP, TCP} × {io_uring, mmsg}.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { startSession } from './cast.mjs';
import { startBrowser, startRelay, until } from './harness.mjs';
import { openMovingTab } from './pictures.mjs';

const TITLE = 'Shared by flag';
/** Enough that a single keyframe cannot be taken for a running picture. */
const FRAMES = 20;
const SIZE = { width: 640, height: 360 };

let browser;

before(async () => {
    browser = await startBrowser([`--auto-select-tab-capture-source-by-title=${TITLE}`]);
});

after(() => browser?.close());

/** Waits until a person's video runs at the size of the captured tab, which is what its publisher encodes. */
async function playsAtSize(viewer, publisher, what) {
    let before;
    await until(`${what}: ${FRAMES} frames at ${SIZE.width}×${SIZE.height}`, async () => {
        const [now, stats] = await Promise.all([viewer.decoded(), publisher.stats()]);
        before ??= now.frames;
        const fits = (width, height) => width === SIZE.width && height === SIZE.height;
        const encoded = stats.some((entry) => entry.type === 'outbound-rtp' && fits(entry.frameWidth, entry.frameHeight));
        return encoded && fits(now.width, now.height) && now.frames >= before + FRAMES;
    }, 15_000);
}

async function frozen(viewer) {
    const { frames } = await viewer.decoded();
    return (await viewer.decoded()).frames === frames;
}

for (const backend of ['io_uring', 'mmsg']) {
    describe(`screens with ${backend}`, () => {
        let relay;

        before(async () => {
            relay = await startRelay({ media: `backend = "${backend}"` });
        });

        after(() => relay?.stop());

        test('the backend in use is the one asked for', async () => {
            const text = await relay.metrics();
            assert.match(text, new RegExp(`fanlight_io_backend\\{backend="${backend}"\\} 1`, 'u'));
        });

        for (const protocol of ['udp', 'tcp']) {
            test(`both ways over ${protocol}`, async () => {
                const tcp = protocol === 'tcp';
                const session = await startSession(browser, relay, { visitor: { tcp }, agent: { tcp } });
                const { visitor, agents } = session;
                const [ann, ben] = agents;
                const tab = await openMovingTab(visitor.context, TITLE, SIZE);
                await ann.askVisitor();
                await visitor.acceptShare();
                await playsAtSize(ann, visitor, 'the visitor’s screen to Ann');
                await playsAtSize(ben, visitor, 'the visitor’s screen to Ben');
                await ann.page.getByText('The visitor is sharing a browser tab with you.').waitFor();
                await visitor.press('Stop sharing');
                await until('the visitor’s slot is empty', async () => (await ann.state()).shares.visitor.phase === 'empty');
                await tab.close();

                const agentsTab = await openMovingTab(ben.context, TITLE, SIZE);
                await ben.shareMine();
                await playsAtSize(visitor, ben, 'Ben’s screen to the visitor');
                await ben.page.getByText('Your content is being shared with the visitor: a browser tab.').waitFor();
                for (const person of [visitor, ann, ben]) {
                    assert.equal(await person.mediaProtocol(), protocol);
                }
                await ben.press('Stop Sharing');
                await until('nothing comes any more', () => frozen(visitor));
                await agentsTab.close();
                await session.close();
            });
        }
    });
}
