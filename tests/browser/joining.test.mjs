// The ways in that begin with the agent: asking a visitor who is on the website, showing or viewing a screen by a link, and the
// console inside another product's page. Each with consent given, refused and left unanswered.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { Agent, KIND, Visitor } from './cast.mjs';
import { startBrowser, startRelay, until } from './harness.mjs';
import { Company, picture, publish } from './house.mjs';
import { openMovingTab } from './pictures.mjs';

const TITLE = 'Joining 4711';
/** How long a question stays open in these tests: long enough for a slow machine, short enough to wait for. */
const SECONDS = 8;

let relay;
let browser;
const people = new Company();

before(async () => {
    [relay, browser] = await Promise.all([startRelay(), startBrowser([`--auto-select-tab-capture-source-by-title=${TITLE}`])]);
});

after(async () => {
    await browser?.close();
    await relay?.stop();
});

afterEach(() => people.leave());

async function post(at, body, bearer) {
    const headers = { 'content-type': 'application/json', ...(bearer && { authorization: `Bearer ${bearer}` }) };
    return (await fetch(relay.url + at, { method: 'POST', headers, body: JSON.stringify(body) })).json();
}

/** A demo agent's bearer. */
async function token(name) {
    const { group, agents } = await (await fetch(`${relay.url}/demo/config.json`)).json();
    const { agent, secret } = agents.find((one) => one.agent === name);
    return (await post('/v1/login', { group, agent, secret })).token;
}

async function sessions(query = '') {
    return (await relay.operate('GET', `/v1/sessions${query}`)).body.sessions;
}

/** A visitor whom the shop knows by this id. */
async function customer(id, options = {}) {
    const visitor = await Visitor.open(browser, relay, { path: `/demo/?visitor=${id}`, ...options });
    people.push(visitor);
    return visitor;
}

/** An agent at the desk. */
async function atDesk(name, query = '', options = {}) {
    const agent = await Agent.open(browser, relay, name, '', { query, ...options });
    people.push(agent);
    return agent;
}

const joinButton = (agent, id) => agent.page.getByRole('button', { name: new RegExp(`^Join ${id}`, 'u') });
const asks = (visitor, name, what) => visitor.page.getByRole('heading', { name: `${name} ${what}` });
const said = (agent, text) => agent.page.locator('.reach-text').filter({ hasText: text }).waitFor();

async function invite(agent, id) {
    const button = joinButton(agent, id);
    await until('Join is lit', () => button.isEnabled());
    await agent.page.bringToFront();
    await button.click();
}

describe('a visitor on the website', () => {
    // R108, R114, R115, R116, R117, R118, R145
    test('is asked once and sees the agent come', async () => {
        const agent = await atDesk('ann', '&visitor=maria');
        const button = joinButton(agent, 'maria');
        assert.equal(await button.isDisabled(), true, 'nobody is there');
        await agent.page.getByText('Not on the website').waitFor();
        const visitor = await customer('maria', { record: true });
        await agent.page.getByText('On the website now').waitFor();
        const colour = await button.evaluate((element) => getComputedStyle(element).backgroundColor);
        assert.equal(colour, 'rgb(194, 87, 12)', 'R114: orange, beside the words');
        await picture(agent.page, 'desk');
        await invite(agent, 'maria');
        await said(agent, /Inviting the visitor… \d+ s left/u);
        await asks(visitor, 'Ann Ahlberg', 'would like to see this page').waitFor();
        await picture(visitor.page, 'invited');
        await visitor.press('Allow');
        await agent.seesPage();
        assert.equal(await visitor.page.getByRole('dialog').count(), 0, 'the invite was the question');
        const [row] = await sessions('?external_ref=maria');
        assert.deepEqual([row.entry, row.kind], ['presence', 'cobrowse']);
        const list = await (await fetch(`${relay.url}/v1/presence?visitor=maria`, { headers: { authorization: `Bearer ${await token('ben')}` } })).json();
        assert.equal(list.visitors[0].state, 'busy', 'others see that she is being helped');
    });

    // R116
    test('says no, and is not asked again at once', async () => {
        const visitor = await customer('olga');
        const agent = await atDesk('ann', '&visitor=olga');
        await invite(agent, 'olga');
        await asks(visitor, 'Ann Ahlberg', 'would like to see this page').waitFor();
        await visitor.page.keyboard.press('Escape');
        await said(agent, 'The visitor declined');
        await invite(agent, 'olga');
        await said(agent, 'The visitor has said no. Wait a minute');
        assert.equal((await sessions()).filter((row) => row.external_ref === 'olga').length, 0);
    });

    // R115
    test('does not answer, or is let alone: the question goes away on both sides', async () => {
        await publish(relay, { consent: { seconds: SECONDS } });
        const visitor = await customer('noor');
        const agent = await atDesk('ann', '&visitor=noor');
        const question = asks(visitor, 'Ann Ahlberg', 'would like to see this page');
        await invite(agent, 'noor');
        await question.waitFor();
        await agent.press('Cancel');
        await question.waitFor({ state: 'hidden' });
        await said(agent, 'taken back');
        await invite(agent, 'noor');
        await question.waitFor();
        await said(agent, 'did not answer');
        await question.waitFor({ state: 'hidden' });
    });

    // R118
    test('is asked on the page looked at last', async () => {
        const first = await customer('leo');
        const second = await customer('leo');
        const agent = await atDesk('ann', '&visitor=leo');
        await second.page.evaluate(() => window.dispatchEvent(new Event('focus')));
        await first.page.evaluate(() => window.dispatchEvent(new Event('focus')));
        await invite(agent, 'leo');
        await asks(first, 'Ann Ahlberg', 'would like to see this page').waitFor();
        assert.equal(await second.page.getByRole('dialog').count(), 0);
    });
});

/** The agent begins; what it is told to read out. */
async function link(agent, action) {
    await agent.press(action);
    await agent.press('Start Session');
    const url = await agent.page.locator('.link-url').textContent();
    const key = ((await agent.page.locator('.link-key').textContent()) ?? '').replace(/\D/gu, '');
    return { url: `http://${url}`, key };
}

async function opens(url, options = {}) {
    const visitor = await Visitor.open(browser, relay, { path: `${new URL(url).pathname}?carrier=websocket`, ...options });
    people.push(visitor);
    return visitor;
}

async function comes(visitor, key) {
    await visitor.page.getByLabel('Key from your agent').fill(key);
    await visitor.press('Join');
}

describe('a link', () => {
    // R127, R131, R132, R133, R134, R135
    test('to the agent’s screen: the visitor sees it and shows nothing', async () => {
        const agent = await atDesk('ann');
        const { url, key } = await link(agent, 'Show my screen');
        assert.match(url, /\/j\/[0-9a-z]{4}-[0-9a-z]{4}$/u);
        await picture(agent.page, 'link');
        const visitor = await opens(url, { record: true });
        await visitor.page.getByRole('heading', { name: 'You are invited by your agent' }).waitFor();
        await picture(visitor.page, 'landing');
        await comes(visitor, key);
        await asks(visitor, 'Ann Ahlberg', 'would like to show you their screen').waitFor();
        await visitor.press('Allow');
        const tab = await openMovingTab(agent.context, TITLE, { width: 800, height: 500, color: '#fffdf8', body: '<h1>Terms</h1>' });
        await agent.press('Choose what to show');
        const screen = visitor.page.getByRole('region', { name: "The agent's screen" });
        await screen.locator('video').waitFor();
        await until('the visitor sees pictures', async () => (await visitor.decoded()).frames > 2, 20_000);
        await picture(visitor.page, 'shown');
        const kinds = new Set((await visitor.sent()).map((frame) => frame.kind));
        assert.equal(kinds.has(KIND.snapshot), false, 'no page is recorded');
        await visitor.press('End session');
        await agent.page.getByText('The visitor has ended the session.').waitFor();
        await tab.close();
    });

    // R136, R137, R138, R139
    test('to view the visitor’s screen: one press agrees and chooses', async () => {
        const agent = await atDesk('ann');
        const { url, key } = await link(agent, 'View their screen');
        const visitor = await opens(url);
        await comes(visitor, key);
        const tab = await openMovingTab(visitor.context, TITLE, { width: 800, height: 500, color: '#fffdf8', body: '<h1>My bank</h1>' });
        await asks(visitor, 'Ann Ahlberg', 'will be viewing your screen').waitFor();
        assert.equal((await agent.state()).shares.visitor, undefined, 'nothing before Allow');
        await visitor.press('Allow');
        await agent.page.getByText('The visitor is sharing a browser tab with you.').waitFor({ timeout: 20_000 });
        await until('the agent sees pictures', async () => (await agent.decoded()).frames > 2, 20_000);
        assert.equal(await agent.page.getByLabel('Mode', { exact: true }).isVisible(), false, 'there is no page to point at');
        await picture(agent.page, 'viewed');
        await tab.close();
    });

    for (const [action, words] of [['Show my screen', 'would like to show you their screen'], ['View their screen', 'will be viewing your screen']]) {
        // R116, R138
        test(`${action}: declined and left unanswered`, async () => {
            await publish(relay, { consent: { seconds: SECONDS } });
            const agent = await atDesk('ann');
            const first = await link(agent, action);
            const visitor = await opens(first.url);
            await comes(visitor, first.key);
            await asks(visitor, 'Ann Ahlberg', words).waitFor();
            await visitor.press('Decline');
            await agent.page.getByRole('heading', { name: 'The visitor declined' }).waitFor();
            await agent.press('Back to the desk');
            const second = await link(agent, action);
            const other = await opens(second.url);
            await comes(other, second.key);
            const question = asks(other, 'Ann Ahlberg', words);
            await question.waitFor();
            await question.waitFor({ state: 'hidden', timeout: 2_000 * SECONDS });
            await agent.page.getByRole('button', { name: 'Back to the desk' }).waitFor();
        });
    }

    // R133, R147
    test('says what a phone cannot do, and closes after five wrong keys', async () => {
        const agent = await atDesk('ann');
        const { url, key } = await link(agent, 'View their screen');
        const wrong = String((Number(key) + 1) % 1_000_000_000).padStart(9, '0');
        const noCapture = () => { delete MediaDevices.prototype.getDisplayMedia; };
        const visitor = await opens(url, { init: [noCapture], viewport: { width: 390, height: 760 } });
        await visitor.page.getByText('This browser cannot share a screen.').first().waitFor();
        await picture(visitor.page, 'landing-phone');
        const alert = visitor.page.getByRole('alert');
        for (let attempt = 1; attempt <= 5; attempt += 1) {
            await comes(visitor, wrong);
            await alert.filter({ hasText: 'does not open this link' }).waitFor();
        }
        await comes(visitor, key);
        await alert.filter({ hasText: 'not valid any more' }).waitFor();
    });
});

describe('another product’s page', () => {
    // R113, R144, R148, R150
    test('starts a session from a case and follows it', async () => {
        const visitor = await customer('maria');
        const desk = await Visitor.open(browser, relay, { path: '/demo/centre/', carrier: 'any', viewport: { width: 1280, height: 800 } });
        people.push(desk);
        await desk.page.getByRole('button', { name: /Maria Lund/u }).click();
        const button = desk.page.getByRole('button', { name: 'Co-browse', exact: true });
        await until('Co-browse is lit', () => button.isEnabled());
        await button.click();
        await desk.page.getByText('An invitation is being sent…').waitFor();
        await asks(visitor, 'Ann Ahlberg', 'would like to see this page').waitFor();
        await visitor.press('Allow');
        await until('focus moves to the Co-browse tab', () => desk.page.getByRole('tab', { name: 'Co-browse' }).getAttribute('aria-selected').then((on) => on === 'true'));
        const frame = desk.page.frames().find((one) => one.url().includes('/agent/'));
        await until('the frame shows the page', () => frame.evaluate(() => (window.__fanlight?.pageHtml() ?? '') !== ''));
        await picture(desk.page, 'centre');
        const [row] = await sessions('?external_ref=C-1042');
        assert.deepEqual(row.context, { type: 'case', id: 'C-1042' });
        await visitor.press('End session');
        await desk.page.getByRole('tab', { name: 'Engagement' }).click();
        await desk.page.getByText('The session has ended.').waitFor();
    });

    // R146, R149, R150
    test('only the named parent is heard, and a view link opens its session once', async () => {
        const bearer = await token('ann');
        const { session } = await post('/v1/sessions', { kind: 'show', context: { type: 'chat', id: '9' } }, bearer);
        const { view_url: view } = await post(`/v1/sessions/${session}/view`, {}, bearer);
        const viewer = await Visitor.open(browser, relay, { path: view, carrier: 'any' });
        people.push(viewer);
        await viewer.page.getByRole('heading', { name: 'Waiting for the visitor' }).waitFor();
        const again = await Visitor.open(browser, relay, { path: view, carrier: 'any' });
        people.push(again);
        await again.page.getByText('This link has been used or has expired.').waitFor();
        const stranger = await Visitor.open(browser, relay, { path: '/demo/centre/', carrier: 'any' });
        people.push(stranger);
        const frame = await until('the frame is there', () => stranger.page.frames().find((one) => one.url().includes('/agent/')));
        await until('the frame is ready', () => frame.evaluate(() => document.querySelector('#console')?.textContent !== ''));
        // A message from the frame itself is not one from its parent.
        await frame.evaluate(() => window.postMessage({ source: 'fanlight', type: 'session.start', kind: 'show' }, location.origin));
        await stranger.page.evaluate(() => 0);
        assert.equal(await frame.getByRole('button', { name: 'Start Session' }).count(), 0);
    });
});

describe('pop-ups', () => {
    // R112
    test('are tested, and a blocked one is said', async () => {
        const blocked = () => { window.open = () => null; };
        const agent = await atDesk('ann', '', { init: [blocked] });
        await agent.press('Test pop-ups');
        await agent.page.getByText('Pop-ups are blocked.').waitFor();
        const free = await atDesk('ben');
        await free.press('Test pop-ups');
        await free.page.getByText('Pop-ups work.').waitFor();
    });
});
