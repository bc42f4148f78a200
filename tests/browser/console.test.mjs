// The flows as people see them: consent, pointers, takeover, leaving, ending. With PICTURES=1 it also takes the pictures of
// `docs/pictures/`.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { Agent, join, KIND, samePage, startSession, Visitor } from './cast.mjs';
import { startBrowser, startRelay, until } from './harness.mjs';
import { Company, picture } from './house.mjs';
import { openMovingTab } from './pictures.mjs';

const DESKTOP = { width: 1280, height: 800 };
const TITLE = 'Order 2231';
const ORDER = `<main style="font:20px Georgia,serif;padding:80px 60px;color:#22281f"><h1>Order 2231</h1>
    <p>Tide table lamp, linen · 1 piece · ready to be sent</p><p>Dune night light · 1 piece · in the workshop until Friday</p></main>`;

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

async function session(options = {}) {
    const { visitor, agents } = await startSession(browser, relay, { carrier: 'webtransport', ...options });
    people.push(visitor, ...agents);
    return { visitor, agents };
}

/** The visitor's arrow that stands for an agent: where it is, if it is shown. */
const pointerAt = (visitor, name) => visitor.page.evaluate((label) => {
    const arrow = [...document.querySelector('fanlight-widget').shadowRoot.querySelectorAll('.pointer')].find((one) => one.textContent === label);
    const box = arrow?.getBoundingClientRect();
    return box && { x: box.x, y: box.y };
}, name);

describe('pointing', () => {
    // R156, R158
    test('shows the agent’s name where they point, and nothing in View Only', async () => {
        const { visitor, agents: [ann] } = await session({ agents: ['ann'], visitor: { viewport: DESKTOP, record: true }, agent: { viewport: { width: 1440, height: 900 } } });
        await samePage(visitor, ann);
        const stage = await ann.page.locator('.mirror-stage').boundingBox();
        const pointed = await until('the pointer is shown', async () => {
            // Datagrams may be lost: a person keeps moving.
            await ann.page.mouse.move(stage.x + stage.width * 0.3 + Math.random(), stage.y + stage.height * 0.4);
            return pointerAt(visitor, ann.name);
        });
        assert.ok(Math.abs(pointed.x - DESKTOP.width * 0.3) < 12 && Math.abs(pointed.y - DESKTOP.height * 0.4) < 12, JSON.stringify(pointed));
        await visitor.page.mouse.move(400, 300);
        await until('the agent sees the visitor’s pointer', async () => {
            await visitor.page.mouse.move(400 + Math.random() * 4, 300);
            return ann.page.evaluate(() => document.querySelector('.mirror-stage .pointer')?.dataset.label === 'The visitor');
        });
        await picture(ann.page, 'console');
        await picture(visitor.page, 'visitor');

        await ann.page.getByLabel('Mode', { exact: true }).selectOption('view_only');
        await until('the mode is View Only', async () => (await ann.state()).mode === 'view_only');
        const before = await pointerAt(visitor, ann.name);
        for (let at = 0; at < 10; at += 1) await ann.page.mouse.move(stage.x + 20 + at * 30, stage.y + stage.height * 0.8);
        // A change of the page made afterwards has arrived: a pointer would have, too.
        await visitor.page.evaluate(() => { document.querySelector('h1').textContent = 'Later'; });
        await samePage(visitor, ann);
        const now = await pointerAt(visitor, ann.name);
        assert.ok(now === undefined || JSON.stringify(now) === JSON.stringify(before), 'the arrow did not move');
        assert.ok((await visitor.sent()).some((frame) => frame.kind === KIND.pointer));
    });
});

describe('consent', () => {
    // R116, R121–R123
    test('a refusal is told and the agent gets nothing; another agent may still ask', async () => {
        const visitor = await Visitor.open(browser, relay, { viewport: DESKTOP });
        const ann = await Agent.open(browser, relay, 'ann', await visitor.start());
        people.push(visitor, ann);
        await ann.page.getByRole('heading', { name: 'Inviting the visitor…' }).waitFor();
        await visitor.page.getByRole('heading', { name: 'Ann Ahlberg would like to see this page' }).waitFor();
        await picture(visitor.page, 'consent');
        await visitor.page.keyboard.press('Escape');
        await ann.page.getByRole('heading', { name: 'The visitor declined' }).waitFor();
        assert.equal(await ann.html(), '');
        people.push(await join(browser, relay, visitor, 'ben', await visitor.newKey()));
    });
});

describe('a takeover', () => {
    // R014, R040, R044, R045
    test('is told to the one who loses it, word for word', async () => {
        const { visitor, agents: [ann, ben] } = await session({ visitor: { viewport: DESKTOP }, agent: { viewport: DESKTOP } });
        const tab = await openMovingTab(ann.context, TITLE, { width: 800, height: 500, color: '#fffdf8', body: ORDER });
        await ann.shareMine();
        const screen = visitor.page.getByRole('region', { name: 'The agent’s screen' }).or(visitor.page.getByRole('region', { name: "The agent's screen" }));
        await screen.locator('video').waitFor();
        await ann.page.getByText('Your content is being shared with the visitor: a browser tab.').waitFor();
        await picture(visitor.page, 'agent-screen');
        await ben.shareMine();
        const dialog = ann.page.getByRole('dialog');
        await dialog.getByText('Another agent is sharing their screen. You are no longer sharing your screen.', { exact: true }).waitFor();
        await ann.page.getByText('Ben Okafor is sharing their screen with the visitor.').waitFor();
        await picture(ann.page, 'takeover');
        await ann.press('OK');
        await ben.press('Stop Sharing');
        await screen.waitFor({ state: 'hidden' });
        await ben.page.bringToFront();
        await ben.askVisitor();
        await visitor.acceptShare();
        await ann.page.getByText('The visitor is sharing a browser tab with you.').waitFor();
        await picture(ann.page, 'visitor-screen');
        await tab.close();
    });
});

describe('the end', () => {
    // R186
    test('an agent leaves: the others are told and go on', async () => {
        const { visitor, agents: [ann, ben] } = await session();
        await ann.choose('Disconnect', /^Leave/u);
        await ann.page.getByRole('heading', { name: 'You have left the session' }).waitFor();
        await ben.page.getByText('Ann Ahlberg has left the session.').waitFor();
        await until('the visitor sees one agent', () => visitor.page.evaluate(() => document.querySelector('fanlight-widget').shadowRoot.querySelectorAll('.people li').length === 1));
        await samePage(visitor, ben);
    });

    // R187
    test('an agent ends the session: both sides are told who did', async () => {
        const { visitor, agents: [ann, ben] } = await session();
        await ann.choose('Disconnect', /^End session/u);
        await ann.press('End session');
        await ben.page.getByText('Ann Ahlberg has ended the session.').waitFor();
        await ann.page.getByText('You have ended the session for everyone.').waitFor();
        await visitor.page.getByRole('heading', { name: 'Session ended' }).waitFor();
        assert.equal(await visitor.page.evaluate(() => Fanlight.facts), undefined, 'the visitor’s visit is over');
        assert.equal(await ben.page.locator('iframe').count(), 0, 'the mirror is gone from the agent’s screen');
    });

    // R188
    test('the visitor ends the session at any time: every agent is told and keeps nothing', async () => {
        const { visitor, agents } = await session();
        await visitor.press('End session');
        await visitor.page.getByText('You have ended the help session. Nothing is shown any more.').first().waitFor();
        for (const agent of agents) {
            await agent.page.getByText('The visitor has ended the session.').waitFor();
            assert.equal(await agent.page.locator('iframe').count(), 0);
        }
        await visitor.page.reload();
        assert.equal(await visitor.page.evaluate(() => Fanlight.phase), 'idle', 'a reload brings nothing back');
    });
});
