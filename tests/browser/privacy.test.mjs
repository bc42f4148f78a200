// Acceptance 8, the visitor's half: nothing before consent, and no secret ever.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Agent, join, KIND, messagesOf, samePage, Visitor } from './cast.mjs';
import { metric, startBrowser, startRelay, until } from './harness.mjs';
import { changeSecrets, CONTROL, secretOf, seedSecrets } from './secrets.mjs';

let browser;

before(async () => {
    browser = await startBrowser();
});

after(() => browser?.close());

/** A page that lives: text, mouse, scrolling, typing. */
async function beBusy(visitor) {
    for (let at = 0; at < 8; at += 1) {
        await visitor.page.evaluate((text) => document.querySelector('main').append(text), `busy ${at}`);
        await visitor.page.mouse.move(50 + at * 9, 90 + at * 5);
    }
    await visitor.page.mouse.wheel(0, 200);
}

const kindsOf = (frames) => [...new Set(frames.map((frame) => frame.kind))].toSorted((a, b) => a - b);

for (const carrier of ['websocket', 'webtransport']) {
    describe(`consent over ${carrier}`, () => {
        let relay;
        let visitor;
        let ben;

        before(async () => {
            relay = await startRelay();
        });

        after(async () => {
            await visitor?.close();
            await relay?.stop();
        });

        // R116, R117, R048
        test('nothing but signals leaves the visitor before consent, nor after a refusal', async () => {
            const dom = async () => metric(await relay.metrics(), 'fanlight_dom_frames_total', 'direction="in"');
            const media = async () => metric(await relay.metrics(), 'fanlight_forwarded_packets_total');
            visitor = await Visitor.open(browser, relay, { carrier, record: true });
            const key = await visitor.start();
            await beBusy(visitor);
            const ann = await Agent.open(browser, relay, 'ann', key, { carrier });
            const ask = visitor.page.getByRole('heading', { name: 'Ann Ahlberg would like to see this page' });
            await ask.waitFor();
            await beBusy(visitor);
            assert.deepEqual(kindsOf(await visitor.sent()), [KIND.signal], 'while the question is open');
            await visitor.press('Decline');
            await ann.page.getByRole('heading', { name: 'The visitor declined' }).waitFor();
            await beBusy(visitor);
            assert.deepEqual(kindsOf(await visitor.sent()), [KIND.signal], 'after the refusal');
            assert.equal(await ann.html(), '', 'the agent has nothing');
            await ann.close();

            ben = await Agent.open(browser, relay, 'ben', await visitor.newKey(), { carrier });
            await visitor.page.getByRole('heading', { name: 'Ben Okafor would like to see this page' }).waitFor();
            await beBusy(visitor);
            assert.deepEqual(kindsOf(await visitor.sent()), [KIND.signal], 'while the second question is open');
            // The shards' counts reach the metrics twice a second: what came before the refusal is in them by now.
            assert.deepEqual([await dom(), await media()], [0, 0], 'and the relay saw nothing');
            await visitor.allow(ben.name);
            await ben.seesPage();
            await beBusy(visitor);
            // The same recording shows pages and pointers now: it would have shown them before.
            const kinds = kindsOf(await visitor.sent());
            for (const kind of [KIND.pointer, KIND.snapshot, KIND.diff]) assert.ok(kinds.includes(kind), `kind ${kind} was recorded`);
            await until('the relay counts the page', async () => (await dom()) > 0);
        });

        test('nothing leaves while the visitor pauses', async () => {
            await samePage(visitor, ben);
            await visitor.press('Pause');
            await visitor.page.getByRole('button', { name: 'Resume' }).waitFor();
            await ben.page.getByRole('heading', { name: 'Paused by the visitor' }).waitFor();
            const before = (await visitor.sent()).length;
            await beBusy(visitor);
            const during = (await visitor.sent()).slice(before);
            assert.ok(during.every((frame) => frame.kind === KIND.signal), `kinds ${kindsOf(during)}`);
            await visitor.press('Resume');
            await samePage(visitor, ben);
            await ben.close();
        });
    });
}

describe('secrets', () => {
    test('of every place of the leak table stay in the visitor’s browser', async () => {
        const relay = await startRelay();
        const query = 'addressquery';
        const visitor = await Visitor.open(browser, relay, { record: true, path: `/demo/checkout.html?token=${secretOf(query)}#${secretOf('addresshash')}` });
        const places = [query, 'addresshash', ...(await visitor.page.evaluate(seedSecrets, { tag: 'a', fields: 100 }))];
        await visitor.page.evaluate((word) => document.querySelector('main').append(` ${word}snapshot `), CONTROL);
        const ann = await join(browser, relay, visitor, 'ann', await visitor.start());
        await samePage(visitor, ann);
        // The same again as changes of a page that is being seen.
        places.push(...(await visitor.page.evaluate(seedSecrets, { tag: 'b', fields: 20 })));
        await samePage(visitor, ann);
        places.push(...(await visitor.page.evaluate(changeSecrets, { tag: 'c', from: 'a' })));
        for (const [selector, place] of [['[name=first]', 'typedname'], ['[name=password]', 'typedpassword'], ['[name=note]', 'typednote'], ['.editor', 'typededitor']]) {
            await visitor.page.locator(selector).first().click();
            await visitor.page.keyboard.type(secretOf(place));
            places.push(place);
        }
        await visitor.page.evaluate((word) => document.querySelector('main').append(` ${word}diff `), CONTROL);
        const text = await samePage(visitor, ann);
        assert.ok(text.includes(`${CONTROL}snapshot`) && text.includes(`${CONTROL}diff`));
        assert.ok(places.length > 250, `${places.length} secrets were seeded`);
        assert.equal(new Set(places).size, places.length, 'each with a word of its own');

        const frames = await visitor.sent();
        const everything = messagesOf(frames);
        assert.equal(everything.reduce((sum, message) => sum + (message.kind === KIND.snapshot ? 1 : 0), 0) > 0, true);
        const shown = Buffer.concat(everything.map((message) => message.bytes)).toString('utf8').toLowerCase();
        for (const word of [`${CONTROL}snapshot`, `${CONTROL}diff`]) assert.ok(shown.includes(word), `the search finds ${word}`);
        const leaked = places.filter((place) => shown.includes(secretOf(place).toLowerCase()) || shown.includes(encoded(secretOf(place))));
        assert.deepEqual(leaked, [], 'secrets found in what left the browser');
        // What the agent's browser holds, as a second look.
        const held = await ann.page.evaluate(() => window.__fanlight.frame().contentDocument.documentElement.outerHTML.toLowerCase());
        assert.deepEqual(places.filter((place) => held.includes(secretOf(place).toLowerCase())), []);
        assert.deepEqual(visitor.errors, []);
        console.log(`figure secrets: ${places.length} seeded, ${shown.length} characters searched, 0 found`);
        await Promise.all([visitor.close(), ann.close()]);
        await relay.stop();
    });
});

/** The middle of the word in base64: its first and last letters depend on what stands beside it. */
function encoded(word) {
    return Buffer.from(word).toString('base64').slice(0, 8).toLowerCase();
}
