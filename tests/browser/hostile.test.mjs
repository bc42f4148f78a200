// Acceptance 8, the agent's half: a hostile page from a lying visitor runs nothing and asks for nothing in the agent's browser.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';

import { Agent, Visitor } from './cast.mjs';
import { startBrowser, startRelay, until } from './harness.mjs';
import { lieAboutThePage } from './hostile.mjs';

let relay;
let browser;
let server;
let canary;
const hits = [];

before(async () => {
    server = createServer((request, response) => {
        hits.push(request.url);
        response.setHeader('access-control-allow-origin', '*');
        response.end('');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    canary = `http://127.0.0.1:${server.address().port}`;
    [relay, browser] = await Promise.all([startRelay(), startBrowser()]);
});

after(async () => {
    await browser?.close();
    await relay?.stop();
    server?.close();
    server?.closeAllConnections();
});

describe('a hostile page', () => {
    test('the canary works: the same tricks in an unguarded page are heard', async () => {
        const page = await browser.newPage();
        await page.setContent(`<img src="${canary}/control-img" onerror="window.__pwned = 1"><div style="background:url(${canary}/control-css)">x</div>`);
        await until('both are heard', () => hits.includes('/control-img') && hits.includes('/control-css'));
        await until('the script ran', () => page.evaluate(() => window.__pwned === 1));
        await page.close();
        hits.length = 0;
    });

    test('runs no script and causes no request in the agent’s browser', async () => {
        const visitor = await Visitor.open(browser, relay, { init: [{ content: `(${lieAboutThePage})(${JSON.stringify(canary)})` }] });
        const ann = await Agent.open(browser, relay, 'ann', await visitor.start());
        const asked = [];
        const dialogs = [];
        const opened = [];
        ann.context.on('request', (request) => asked.push(request.url()));
        ann.context.on('page', (page) => opened.push(page.url()));
        ann.page.on('dialog', (dialog) => {
            dialogs.push(dialog.message());
            void dialog.dismiss();
        });
        await visitor.allow(ann.name);
        await ann.seesPage();
        const mirrored = (marker) => ann.page.evaluate((id) => window.__fanlight.frame()?.contentDocument?.getElementById(id)?.textContent, marker);
        await until('the hostile snapshot is shown', async () => (await mirrored('marker-snapshot')) === 'hostile marker');
        await visitor.page.evaluate(() => { document.querySelector('h1').textContent = 'Changed'; });
        await until('the hostile diff is shown', async () => (await mirrored('marker-diff')) === 'hostile marker');
        // A person moves over it and clicks on it: the link that covers everything is in the way.
        const box = await ann.page.locator('.mirror-stage').boundingBox();
        for (const part of [0.2, 0.5, 0.8]) await ann.page.mouse.click(box.x + box.width * part, box.y + box.height * part);
        await ann.page.keyboard.press('Tab');
        await ann.page.keyboard.press('Enter');
        // A request of the agent's page that is allowed takes longer than one that the page would have made by itself above.
        await ann.page.evaluate(() => fetch('/demo/config.json').then((answer) => answer.text()));

        assert.deepEqual(hits, [], 'requests that reached the canary');
        const strangers = asked.filter((url) => !url.startsWith(relay.url) && !url.startsWith('data:') && !url.startsWith('blob:'));
        assert.deepEqual(strangers, [], 'requests that were tried');
        assert.deepEqual(asked.filter((url) => !/\/(v1\/|agent\/|demo\/(agent\.html|config\.json))/u.test(url) && url.startsWith(relay.url)), [], 'nor of the relay’s own pages');
        assert.deepEqual(dialogs, []);
        assert.deepEqual(opened, []);
        for (const frame of ann.page.frames()) {
            assert.equal(await frame.evaluate(() => window.__pwned), undefined, `a script ran in ${frame.url()}`);
        }
        assert.ok(ann.page.url().startsWith(relay.url), 'the console is where it was');
        const kept = await ann.page.evaluate(() => {
            const { contentDocument: inside } = window.__fanlight.frame();
            const all = [...inside.querySelectorAll('*')];
            return {
                sandbox: window.__fanlight.frame().getAttribute('sandbox'),
                handlers: all.flatMap((element) => element.getAttributeNames()).filter((name) => name.startsWith('on')),
                live: [...inside.querySelectorAll('script, iframe[src], iframe[srcdoc], frame, object, embed, base, meta[http-equiv], link[href]')].map((element) => element.outerHTML),
                addresses: all.flatMap((element) => ['src', 'href', 'action', 'data', 'srcdoc'].map((name) => element.getAttribute(name) ?? '')).filter((value) => /^\s*(javascript|http)/iu.test(value)),
            };
        });
        assert.deepEqual(kept, { sandbox: 'allow-same-origin', handlers: [], live: [], addresses: [] });
        await Promise.all([visitor.close(), ann.close()]);
    });
});
