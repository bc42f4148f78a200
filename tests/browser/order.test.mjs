// WebTransport keeps no order between its streams: the page may overtake the signals. It is shown all the same, and what has to be
// hidden leaves the agent's screen before the new page is there.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { join, samePage, Visitor } from './cast.mjs';
import { startBrowser, startRelay, until } from './harness.mjs';
import { Company } from './house.mjs';

let relay;
let browser;
const people = new Company();

before(async () => {
    [relay, browser] = await Promise.all([startRelay(), startBrowser()]);
});

after(async () => {
    await browser?.close();
    await relay?.stop();
});

afterEach(() => people.leave());

/** While `__held` is set, the signals of a new carrier are read when a part of the page has been, and the rest of it after them. */
function holdSignals() {
    const native = WebTransport.prototype.createBidirectionalStream;
    const opened = new WeakMap();
    // More than one frame, less than the page.
    const PART = 20_000;
    WebTransport.prototype.createBidirectionalStream = async function held() {
        const stream = await native.call(this);
        if (!window.__held) return stream;
        const streams = opened.get(this) ?? { count: 0, part: Promise.withResolvers(), signals: Promise.withResolvers() };
        opened.set(this, streams);
        const later = ({ resolve }) => setTimeout(resolve, 0);
        const signals = {
            async transform(chunk, out) {
                await streams.part.promise;
                out.enqueue(chunk);
                later(streams.signals);
            },
        };
        let passed = 0;
        const page = {
            async transform(chunk, out) {
                const left = passed < PART ? PART - passed : chunk.length;
                passed += chunk.length;
                out.enqueue(chunk.subarray(0, left));
                if (passed < PART) return;
                later(streams.part);
                await streams.signals.promise;
                window.__overtaken = true;
                if (left < chunk.length) out.enqueue(chunk.subarray(left));
            },
        };
        // The client opens signals, input and page, in this order.
        const between = [signals, {}, page][streams.count];
        streams.count += 1;
        return { readable: stream.readable.pipeThrough(new TransformStream(between)), writable: stream.writable };
    };
}

/** Text that fills several frames however well it is compressed. */
function growPage() {
    const words = Array.from(crypto.getRandomValues(new Uint32Array(16_000)), (word) => word.toString(36));
    document.body.append(Object.assign(document.createElement('p'), { textContent: words.join(' ') }));
}

async function session() {
    const visitor = await Visitor.open(browser, relay, { carrier: 'webtransport' });
    people.push(visitor);
    await visitor.page.evaluate(growPage);
    const ann = await join(browser, relay, visitor, 'ann', await visitor.start(), { carrier: 'webtransport', init: [holdSignals] });
    people.push(ann);
    await samePage(visitor, ann);
    return { visitor, ann };
}

describe('between streams', () => {
    test('a page that overtakes the welcome is whole, and nothing is asked for again', async () => {
        const { visitor, ann } = await session();
        const before = await ann.page.evaluate(() => window.__fanlight.applied());
        await ann.page.evaluate(() => { window.__held = true; });
        await ann.drop();
        await visitor.page.evaluate(() => { document.querySelector('h1').textContent = 'Changed meanwhile'; });
        await until('the page has overtaken', () => ann.page.evaluate(() => window.__overtaken));
        await until('she is back', () => ann.page.evaluate(() => window.__fanlight.quality().connection === 'connected'));
        await samePage(visitor, ann);
        const now = await ann.page.evaluate(() => window.__fanlight.applied());
        assert.deepEqual([now.resyncs, now.snapshots > before.snapshots], [before.resyncs, true]);
    });

    // Issue 4, acceptance 5
    test('what more is hidden leaves the screen before the visitor’s browser has sent the page again', async () => {
        const { visitor, ann } = await session();
        const secret = await visitor.page.locator('h1').textContent();
        assert.ok((await ann.html()).includes(secret));
        // The visitor's browser is told, and is too busy to answer: nothing leaves it until it is let go.
        await visitor.page.evaluate(() => {
            const native = WritableStreamDefaultWriter.prototype.write;
            WritableStreamDefaultWriter.prototype.write = function stuck(data) {
                return data.length > 1_000 ? new Promise(() => {}) : native.call(this, data);
            };
        });
        const enforced = await relay.operate('POST', '/v1/groups/demo/policy/enforce', {});
        assert.equal(enforced.status, 202);
        await until('the old page is gone', async () => (await ann.html()) === '');
        await ann.page.getByRole('heading', { name: 'Loading the page…' }).waitFor();
    });
});
