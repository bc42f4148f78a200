// The visitor's widget and the pages around it for people who use a keyboard or a screen reader (R063): names, order of focus, what is
// said when something changes, and nothing that axe finds serious, in every state.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { Agent, Visitor } from './cast.mjs';
import { startBrowser, startRelay, until } from './harness.mjs';
import { Company, picture, serious } from './house.mjs';
import { openMovingTab } from './pictures.mjs';

const TITLE = 'Accessible 5';
const FLAGS = [`--auto-select-tab-capture-source-by-title=${TITLE}`, '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'];
const SIZES = [{ width: 1280, height: 800 }, { width: 390, height: 844 }];

let relay;
let browser;
const people = new Company();

before(async () => {
    [relay, browser] = await Promise.all([startRelay(), startBrowser(FLAGS)]);
});

after(async () => {
    await browser?.close();
    await relay?.stop();
});

afterEach(() => people.leave());

/** Runs in the page: what has the focus, also inside the widget. */
function focused() {
    let at = document.activeElement;
    while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
    return at?.getAttribute('aria-label') ?? at?.textContent?.trim() ?? '';
}

const focus = (person) => person.page.evaluate(focused);

/** Presses Tab until the focus is back where it began, or on the page's own parts; what it passes. */
async function tabs(person, count) {
    const passed = [];
    for (let at = 0; at < count; at += 1) {
        await person.page.keyboard.press('Tab');
        passed.push(await focus(person));
    }
    return passed;
}

/** What the widget says to a screen reader. */
const spoken = (visitor) => visitor.page.evaluate(() => document.querySelector('fanlight-widget').shadowRoot.querySelector('.sr').textContent);

/** Nothing serious, nothing beyond the edge of the window; and a picture. */
async function fine(person, name) {
    assert.deepEqual(await serious(person.page), [], name);
    const beyond = await person.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(beyond <= 0, `${name}: ${beyond} pixels beyond the edge`);
    await picture(person.page, `a11y-${name}`);
}

describe('the visitor’s widget', () => {
    // R063
    test('works by keyboard alone and says what changes', async () => {
        const visitor = await Visitor.open(browser, relay);
        people.push(visitor);
        await visitor.page.locator('[data-fanlight-start]').first().focus();
        await visitor.page.keyboard.press('Enter');
        const key = await visitor.key();
        await until('it says so', async () => /Live help/u.test(await spoken(visitor)));
        const digits = visitor.page.locator('fanlight-widget .digits');
        assert.equal(await digits.getAttribute('aria-label'), key.match(/\d{3}/gu).map((group) => [...group].join(' ')).join(', '), 'read digit by digit');
        assert.equal(await focus(visitor), 'Minimise', 'whoever opens it is in it');
        assert.deepEqual(await tabs(visitor, 2), ['New key', 'End session']);

        // The question takes the focus, keeps it, and gives it back.
        const ann = await Agent.open(browser, relay, 'ann', key);
        people.push(ann);
        const dialog = visitor.page.getByRole('dialog', { name: 'Ann Ahlberg would like to see this page' });
        await dialog.waitFor();
        await until('the question has the focus', async () => (await focus(visitor)).startsWith('Ann Ahlberg would like'));
        assert.match(await dialog.evaluate((element) => element.querySelector(`#${element.getAttribute('aria-describedby')}`).textContent), /stay hidden/u);
        assert.deepEqual((await tabs(visitor, 2)), ['Decline', 'Allow']);
        await visitor.page.keyboard.press('Enter');
        await ann.seesPage();
        await until('it says so', async () => /^Sharing this page/u.test(await spoken(visitor)));
        assert.equal(await focus(visitor), 'End session', 'back where it was');

        // Small and large again, without losing the place.
        await visitor.page.getByRole('button', { name: 'Minimise' }).focus();
        await visitor.page.keyboard.press('Enter');
        assert.equal(await focus(visitor), 'Live help is on');
        await visitor.page.keyboard.press('Enter');
        assert.equal(await focus(visitor), 'Minimise');
        await visitor.page.getByRole('button', { name: 'Pause', exact: true }).focus();
        await visitor.page.keyboard.press('Enter');
        await until('it says so', async () => /^Paused/u.test(await spoken(visitor)));
        assert.equal(await focus(visitor), 'Resume');
        await visitor.page.getByRole('button', { name: 'End session' }).focus();
        await visitor.page.keyboard.press('Enter');
        await until('it says so', async () => /^Session ended/u.test(await spoken(visitor)));
        assert.equal(await focus(visitor), 'Close', 'the focus is not lost with the button');
    });

    for (const viewport of SIZES) {
        // R063
        test(`has nothing serious in any state, at ${viewport.width} pixels`, async () => {
            const at = (name) => `${name}-${viewport.width}`;
            const visitor = await Visitor.open(browser, relay, { viewport });
            people.push(visitor);
            await fine(visitor, at('shop'));
            const key = await visitor.start();
            await fine(visitor, at('key'));
            const ann = await Agent.open(browser, relay, 'ann', key);
            people.push(ann);
            await visitor.page.getByRole('dialog').waitFor();
            await fine(visitor, at('question'));
            await visitor.allow(ann.name);
            await ann.seesPage();
            await fine(visitor, at('active'));
            const tab = await openMovingTab(ann.context, TITLE, { width: 800, height: 500, color: '#fffdf8', body: '<h1>Terms</h1>' });
            await ann.shareMine();
            await visitor.page.getByRole('region', { name: "The agent's screen" }).locator('video').waitFor();
            await fine(visitor, at('agent-screen'));
            await ann.press('Stop Sharing');
            await ann.askVisitor();
            await visitor.page.getByRole('heading', { name: 'Share Your Screen' }).waitFor();
            await fine(visitor, at('screen-question'));
            await visitor.press('Decline');
            await visitor.press('Show camera');
            await visitor.page.getByRole('heading', { name: 'Show your camera?' }).waitFor();
            await fine(visitor, at('camera-question'));
            await visitor.press('Show my camera');
            await visitor.page.getByText('Your camera is being seen.').waitFor({ timeout: 20_000 });
            await fine(visitor, at('camera'));
            await visitor.press('Stop camera');
            await visitor.press('Minimise');
            await fine(visitor, at('pill'));
            await visitor.page.getByRole('button', { name: 'Live help is on' }).click();
            await visitor.press('Pause');
            await until('paused', () => visitor.page.evaluate(() => Fanlight.phase === 'paused'));
            await fine(visitor, at('paused'));
            await visitor.press('End session');
            await visitor.page.getByRole('heading', { name: 'Session ended' }).waitFor();
            await fine(visitor, at('ended'));
            await tab.close();
        });
    }
});

describe('the pages around', () => {
    for (const viewport of SIZES) {
        // R063
        test(`have nothing serious, at ${viewport.width} pixels`, async () => {
            const { group, agents: [ann] } = await (await fetch(`${relay.url}/demo/config.json`)).json();
            const post = async (path, body, bearer) => (await fetch(relay.url + path, {
                method: 'POST', headers: { 'content-type': 'application/json', ...(bearer && { authorization: `Bearer ${bearer}` }) }, body: JSON.stringify(body),
            })).json();
            const { token } = await post('/v1/login', { group, agent: ann.agent, secret: ann.secret });
            const { join_url: link } = await post('/v1/sessions', { kind: 'view' }, token);
            const pages = [
                ['start', '/', 'Help a customer on their own page'],
                ['link', link, 'You are invited by your agent'],
                ['link-void', '/j/zzzz-zzzz', 'This link does not work'],
                ['camera-void', '/c/nothing', 'This link does not work'],
                ['console-sign-in', '/agent/', 'Agent console'],
                ['centre', '/demo/centre/', 'My cases'],
                ['product', '/demo/product.html', undefined],
                ['checkout', '/demo/checkout.html', undefined],
            ];
            for (const [name, path, heading] of pages) {
                const visitor = await Visitor.open(browser, relay, { viewport, path, carrier: 'any' });
                people.push(visitor);
                if (heading !== undefined) await visitor.page.getByRole('heading', { name: heading }).waitFor();
                await fine(visitor, `${name}-${viewport.width}`);
            }
        });
    }
});
