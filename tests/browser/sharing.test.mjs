// What agents may share, in real Chromium: approved pages from the console to the menu, tabs that prove what they show, surfaces
// that a group does not allow, and the end of what is enforced away. With PICTURES=1 it also takes pictures of `docs/pictures/`.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { join, Visitor } from './cast.mjs';
import { figure, startBrowser, startProfile, startRelay, until } from './harness.mjs';
import { Company, picture, publish, signInAsOperator } from './house.mjs';

const TITLE = 'Approved page';
const SIZE = { width: 640, height: 360 };
const DESKTOP = { width: 1280, height: 800 };

const FLAGS = [`--auto-select-tab-capture-source-by-title=${TITLE}`, '--ignore-certificate-errors'];

let relay;
let browser;
const people = new Company();
/** The shop over TLS: approved sites are `https`. */
let shop;

before(async () => {
    [relay, browser] = await Promise.all([startRelay(), startBrowser(FLAGS)]);
    shop = relay.url.replace(/^http:(.*):(\d+)$/u, (_, host, port) => `https:${host}:${Number(port) + 1}`);
});

after(async () => {
    await browser?.close();
    await relay?.stop();
});

afterEach(async () => {
    await people.leave();
    await publish(relay, {});
});

const api = (method, where, body, headers) => relay.operate(method, `/v1/groups/demo/${where}`, body, headers);

/** A visitor and one agent of the demo, with the rules that are published now. */
async function session(agent, { init = [], at = browser } = {}) {
    const visitor = await Visitor.open(browser, relay, {});
    const person = await join(at, relay, visitor, agent, await visitor.start(), { init, viewport: DESKTOP });
    people.push(visitor, person);
    return { visitor, agent: person };
}

/** The browser says this of what it captures, one word per capture; a real capture of the tab otherwise. */
function saysSurface(words) {
    const script = `{
        const words = ${JSON.stringify(words)};
        const native = navigator.mediaDevices.getDisplayMedia.bind(navigator.mediaDevices);
        window.__picked = [];
        navigator.mediaDevices.getDisplayMedia = async (options) => {
            window.__picked.push(options.video.displaySurface ?? 'any');
            const capture = await native(options);
            const [track] = capture.getVideoTracks();
            const settings = track.getSettings.bind(track);
            const word = words.shift();
            if (word !== undefined) track.getSettings = () => ({ ...settings(), displaySurface: word });
            return capture;
        };
    }`;
    return script;
}

/** A page of the shop over TLS that moves, has the title that the picker looks for, and tells a capturing page what it is. */
async function openShop(context, file, { handle = true } = {}) {
    const page = await context.newPage();
    await page.setViewportSize(SIZE);
    await page.goto(`${shop}/demo/${file}`);
    await page.evaluate(({ title, handle: tells }) => {
        document.title = title;
        if (tells) navigator.mediaDevices.setCaptureHandleConfig({ exposeOrigin: true, handle: location.href, permittedOrigins: ['*'] });
        const move = (now) => {
            document.body.style.outline = `${8 + (now / 50) % 20}px solid #2f5d43`;
            requestAnimationFrame(move);
        };
        requestAnimationFrame(move);
    }, { title: TITLE, handle });
    return page;
}

const phase = async (person) => (await person.state()).shares.agent?.phase ?? 'empty';

async function plays(visitor) {
    const { frames } = await visitor.decoded();
    await until('the visitor sees it', async () => (await visitor.decoded()).frames > frames + 5, 15_000);
}

async function menu(agent) {
    await agent.page.bringToFront();
    await agent.page.getByRole('button', { name: 'Share Screen', exact: true }).click();
    const items = await agent.page.getByRole('menuitem').allTextContents();
    await agent.page.keyboard.press('Escape');
    return items.join(' | ');
}

describe('approved pages', () => {
    // Issue 4, acceptance 2: R017–R019, R023–R030, R033–R036, R054
    test('from the console to the menu of a new session, and not of an old one', async () => {
        const old = await session('ann');
        const console_ = await (await browser.newContext({ viewport: DESKTOP })).newPage();
        people.push({ errors: [], close: () => console_.context().close() });
        await signInAsOperator(console_, relay, '#/groups/demo/rules');
        const save = async () => {
            await console_.getByRole('button', { name: 'Save to staging' }).click();
            await console_.getByText(/Staging is version \d+, saved by Ada/u).waitFor();
        };
        // By keyboard: the site, and a bookmark that is outside of it.
        await console_.getByRole('button', { name: 'Add site' }).focus();
        await console_.keyboard.press('Enter');
        await console_.keyboard.type(`${shop}/*`);
        await console_.getByRole('button', { name: 'Add link', exact: true }).focus();
        await console_.keyboard.press('Enter');
        await console_.keyboard.type('Shop');
        await console_.keyboard.press('Tab');
        await console_.keyboard.type('https://other.example/');
        await save();
        const release = async () => {
            await console_.getByRole('navigation', { name: /Pages of/u }).getByRole('link', { name: 'Publish' }).click();
            await console_.getByRole('button', { name: /^Publish version/u }).click();
        };
        await release();
        await console_.getByRole('alert').filter({ hasText: 'Not published: 1 problem' }).waitFor();
        assert.match((await api('GET', 'policy/staging')).body.problems[0].sentence, /No allowed site is on other\.example/u);
        await console_.goto(`${relay.operatorUrl}/admin/#/groups/demo/rules`);
        const address = console_.locator('.item input[inputmode=url]').first();
        await address.fill(`${shop}/demo/`);
        // By mouse: a folder with a link, and the first link dragged below it.
        await console_.getByRole('button', { name: 'Add folder' }).click();
        await console_.keyboard.type('Help');
        await console_.getByRole('button', { name: 'Add link inside' }).click();
        await console_.keyboard.type('A product');
        await console_.keyboard.press('Tab');
        await console_.keyboard.type(`${shop}/demo/product.html`);
        const [from, to] = await Promise.all([0, 2].map((row) => console_.locator('.handle').nth(row).boundingBox()));
        await console_.mouse.move(from.x + 5, from.y + 5);
        await console_.mouse.down();
        await console_.mouse.move(to.x + 5, to.y + to.height, { steps: 8 });
        await console_.mouse.up();
        // And back out of the folder by keyboard.
        await console_.getByRole('button', { name: 'Move Shop', exact: true }).focus();
        await console_.keyboard.press('ArrowLeft');
        // The list takes twenty items and says why no more.
        const add = console_.getByRole('button', { name: 'Add link', exact: true });
        for (let count = 3; count < 20; count += 1) await add.click();
        await console_.getByText('20 of 20').waitFor();
        await add.click();
        await console_.getByRole('alert').filter({ hasText: 'at most 20 are allowed' }).waitFor();
        for (let count = 20; count > 3; count -= 1) await console_.getByRole('button', { name: 'Remove bookmark' }).first().click();
        await save();
        await release();
        await console_.locator('.toast', { hasText: 'is in production' }).waitFor();

        const fresh = await session('ben');
        await until('the new session has its list', async () => /A product/u.test(await menu(fresh.agent)));
        assert.match(await menu(fresh.agent), /Shop.*A product|A product.*Shop/u);
        assert.doesNotMatch(await menu(old.agent), /A product|Shop127/u, 'an old session keeps what it began with');
        const shown = await old.agent.page.evaluate(async (id) => {
            const { token } = JSON.parse(sessionStorage.getItem('fanlight.login'));
            return (await fetch(`/v1/sessions/${id}/shareable`, { headers: { authorization: `Bearer ${token}` } })).json();
        }, (await old.agent.state()).session);
        assert.deepEqual([shown.bookmarks, shown.sites], [[], undefined]);
        await fresh.agent.page.getByRole('button', { name: 'Share Screen', exact: true }).click();
        await fresh.agent.page.getByText('Help', { exact: true }).waitFor();
        await picture(fresh.agent.page, 'bookmarks');
    });

    // R013, R037–R040, R052–R054
    test('a bookmark opens in a window, is shared as one, and another page is refused with a choice', async () => {
        await publish(relay, { sites: { allowed: [`${shop}/*`], bookmarks: [{ kind: 'link', title: 'The shop', url: `${shop}/demo/`, active: true }] } });
        const { visitor, agent } = await session('ann', { init: [saysSurface(['window'])] });
        await until('the list has come', async () => /The shop/u.test(await menu(agent)));
        const opened = agent.page.context().waitForEvent('page');
        await agent.choose('Share Screen', /^The shop/u);
        const bookmark = await opened;
        await bookmark.waitForURL(`${shop}/demo/`);
        assert.equal(await bookmark.evaluate(() => window.opener), null, 'it cannot reach back');
        assert.equal(await phase(agent), 'empty', 'nothing is shared yet');
        await picture(agent.page, 'bookmark-steps');
        const tab = await openShop(agent.context, 'index.html');
        await agent.press('Share');
        await until('it is live', async () => (await phase(agent)) === 'live', 15_000);
        assert.equal(await agent.page.evaluate(() => window.__picked.at(-1)), 'window', 'the picker begins with windows');
        await plays(visitor);
        await agent.page.getByText('Only the page that you opened is checked, not where you go in that window.').waitFor();
        await picture(agent.page, 'bookmark-shared');
        await agent.press('Stop Sharing');
        await until('it is over', async () => (await phase(agent)) === 'empty');
        assert.equal((await agent.state()).stage, 'active', 'the session goes on');

        // A tab that does not say what it shows.
        await tab.close();
        const silent = await openShop(agent.context, 'index.html', { handle: false });
        await agent.shareMine();
        await agent.page.getByRole('heading', { name: 'This page may not be shared' }).waitFor();
        await picture(agent.page, 'site-refused');
        await agent.press('Yes');
        await agent.page.getByRole('menuitem', { name: /^The shop/u }).waitFor();
        await agent.page.keyboard.press('Escape');
        await agent.shareMine();
        await agent.press('No');
        await agent.page.getByLabel('Address of the page').fill('https://new.example/page?customer=7');
        await agent.press('Suggest this address');
        await agent.page.getByText('Your administrator has been asked').waitFor();
        const { suggestions } = (await api('GET', 'suggestions')).body;
        assert.deepEqual(suggestions.map(({ url, agent: who, times }) => [url, who, times]), [['https://new.example/page', 'ann', 1]]);
        await silent.close();

        const console_ = await (await browser.newContext({ viewport: DESKTOP })).newPage();
        people.push({ errors: [], close: () => console_.context().close() });
        await signInAsOperator(console_, relay, '#/groups/demo/rules');
        await console_.getByRole('heading', { name: 'Suggested by agents' }).waitFor();
        await picture(console_, 'admin-suggestions');
        await console_.getByRole('button', { name: 'Allow https://new.example/page' }).click();
        await until('it is on the list', async () => (await console_.getByLabel('Allowed site 2', { exact: true }).inputValue()) === 'https://new.example/page');
        await until('and no suggestion any more', async () => (await api('GET', 'suggestions')).body.suggestions.length === 0);
    });

    // R004, R013, R052
    test('a tab that proves its address is shared, and cut when it goes elsewhere', async () => {
        await publish(relay, { sites: { allowed: [`${shop}/demo/*`] } });
        const { visitor, agent } = await session('ben', { at: await startProfile(FLAGS) });
        const tab = await openShop(agent.context, 'product.html');
        await agent.shareMine();
        await until('it is live', async () => (await phase(agent)) === 'live', 15_000);
        await plays(visitor);
        // It goes on: statements are made as long as it is shared.
        await plays(visitor);
        const cuts = [];
        const left = performance.now();
        await tab.evaluate(() => navigator.mediaDevices.setCaptureHandleConfig({ exposeOrigin: true, handle: `${location.origin}/elsewhere`, permittedOrigins: ['*'] }));
        await agent.page.getByRole('heading', { name: 'This page may not be shared' }).waitFor();
        cuts.push(performance.now() - left);
        figure('a tab goes elsewhere, to the end of its share', cuts);
        await until('the slot is empty', async () => (await phase(agent)) === 'empty');
        await visitor.page.getByRole('region', { name: 'The agent\'s screen' }).waitFor({ state: 'hidden' });
        assert.equal((await agent.state()).stage, 'active');
    });
});

describe('surfaces', () => {
    // Issue 4, acceptance 4: R007, R050, R051
    test('a group of tabs refuses a window and a monitor, says what is allowed, and Retry works', async () => {
        await publish(relay, { sharing: { agent_surfaces: ['browser'] } });
        const { visitor, agent } = await session('ann', { init: [saysSurface(['window', 'monitor'])] });
        await openShop(agent.context, 'index.html', { handle: false });
        for (const [again, word] of [[() => agent.shareMine(), 'window'], [() => agent.press('Retry'), 'monitor']]) {
            await agent.page.bringToFront();
            await again();
            const dialog = agent.page.getByRole('dialog');
            await dialog.getByText('Your group allows sharing a browser tab. Press Retry and choose that.').waitFor();
            assert.equal(await phase(agent), 'empty', word);
            assert.equal(await agent.page.locator('#stop-sharing').isVisible(), false, 'the capture is over');
            assert.equal((await agent.state()).stage, 'active', 'the session stays');
        }
        await picture(agent.page, 'surface-refused');
        await agent.press('Retry');
        assert.equal(await agent.page.evaluate(() => window.__picked.at(-1)), 'browser', 'the picker begins with what is allowed');
        await until('it is live', async () => (await phase(agent)) === 'live', 15_000);
        await plays(visitor);
    });
});

describe('enforce', () => {
    // Issue 4, acceptance 5
    test('a live share ends with its reason, and what was recorded under the old mask is gone', async () => {
        const { visitor, agent } = await session('ann');
        await openShop(agent.context, 'index.html', { handle: false });
        await agent.shareMine();
        await until('it is live', async () => (await phase(agent)) === 'live', 15_000);
        await plays(visitor);
        const before = await agent.html();
        assert.match(before, /Tide/u, 'the agent sees the page');
        await publish(relay, { sharing: { agent_surfaces: ['window'] }, privacy: { instant: { mask: ['h1', 'h2', 'h3', 'p', 'a'] } } });
        assert.equal(await phase(agent), 'live', 'publishing changes nothing here');
        const asked = performance.now();
        const enforced = await api('POST', 'policy/enforce', {});
        assert.equal(enforced.status, 202);
        assert.ok(enforced.body.told >= 1, 'sessions of earlier tests may be told too');
        await until('the share is over', async () => (await phase(agent)) === 'empty');
        const ended = performance.now() - asked;
        await agent.page.getByRole('dialog').getByText('Your administrator has changed the rules. Your share has ended.').waitFor();
        await until('the old picture of the page is gone', async () => !/Tide/u.test(await agent.html()));
        const forgotten = performance.now() - asked;
        // A second at most; tests/sim/enforce.rs holds it on virtual time, this prints what a browser saw.
        figure('enforce, to the end of the share', [ended]);
        figure('enforce, to the page under the new mask', [forgotten]);
        // Whoever comes later is served from what the relay holds: nothing of the old mask is in it.
        const late = await join(browser, relay, visitor, 'ben', await visitor.newKey());
        people.push(late);
        assert.doesNotMatch(await late.html(), /Tide/u);
    });
});
