// The way in by a key, as agents see it: wrong keys, too many of them, a visitor who does not answer, and a place in another session.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { Agent, join, samePage, Visitor } from './cast.mjs';
import { startBrowser, startMortal, startRelay, until } from './harness.mjs';
import { Company, picture, publish, serious } from './house.mjs';

/** How long a question stays open in these tests: long enough for a slow machine, short enough to wait for. */
const SECONDS = 8;

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

/** A visitor who asks for help, and the key that it reads out. */
async function visit(options = {}) {
    const visitor = await Visitor.open(browser, relay, options);
    people.push(visitor);
    return { visitor, key: await visitor.start() };
}

/** An agent at the desk, and what it does there. */
async function atDesk(name, options = {}) {
    const agent = await Agent.open(browser, relay, name, '', options);
    people.push(agent);
    const alert = agent.page.locator('#key-error');
    const connect = agent.page.getByRole('button', { name: 'Connect', exact: true });
    const enter = async (key) => {
        await agent.page.locator('#key').fill(key);
        await connect.click();
    };
    /** Tries a key that is not let in; what the agent is told. */
    const miss = async (key) => {
        await enter(key);
        return until('a sentence', async () => (await alert.textContent()) || undefined);
    };
    return { agent, connect, enter, miss, alert };
}

const wrong = (key) => String((Number(key) + 1) % 1_000_000_000).padStart(9, '0');

describe('keys', () => {
    // R122, G-51. First, because a wrong key counts for a quarter of an hour.
    test('a budget that is used up is told with its time, and the right key does not help', async () => {
        await publish(relay, { keys: { tries_per_agent: 1 } });
        const { key } = await visit();
        const { agent, connect, miss, alert } = await atDesk('ben');
        assert.match(await miss(wrong(key)), /This key is not valid/u);
        assert.match(await miss(key), /^Too many wrong keys\..* You can try again in 15 minutes, at \d\d:\d\d/u);
        assert.equal(await connect.isDisabled(), true);
        await agent.page.locator('#key').fill(key);
        assert.equal(await connect.isDisabled(), true, 'typing changes nothing');
        assert.deepEqual(await serious(agent.page), []);
        await picture(agent.page, 'key-budget');
        assert.match(await alert.textContent(), /15 minutes/u);
        await publish(relay, {});
    });

    // R120
    test('a wrong key, a used key and a mistyped key give the same sentence and nothing else', async () => {
        const visitor = await Visitor.open(browser, relay);
        const key = await visitor.start();
        const wrong = String((Number(key) + 1) % 1_000_000_000).padStart(9, '0');
        const ann = await Agent.open(browser, relay, 'ann', wrong);
        people.push(visitor, ann);
        const alert = ann.page.locator('#key-error');
        await until('the sentence is shown', async () => (await alert.textContent()) !== '');
        const sentence = await alert.textContent();
        assert.match(sentence, /key/iu);
        await ann.page.locator('#key').fill('12 34');
        assert.equal(await ann.page.getByRole('button', { name: 'Connect' }).isDisabled(), true, 'not nine digits');
        // Pasted in any spelling.
        await ann.page.locator('#key').fill(`${key.slice(0, 3)}-${key.slice(3, 6)}.${key.slice(6)}`);
        await ann.press('Connect');
        await visitor.allow(ann.name);
        await ann.seesPage();
        const ben = await Agent.open(browser, relay, 'ben', key);
        people.push(ben);
        const again = ben.page.locator('#key-error');
        await until('the sentence is shown', async () => (await again.textContent()) !== '');
        assert.equal(await again.textContent(), sentence, 'a used key is told like a wrong one');
    });

    // R122, G-51
    test('after too many wrong ones the agent is told when it may try again, and then it may', async () => {
        const { visitor, key } = await visit();
        const { agent, connect, enter, miss, alert } = await atDesk('ann');
        // One slip costs nothing; then each pause is twice the one before, so that a slow machine meets one of them.
        const told = await until('a pause', async () => {
            const sentence = await miss(wrong(key));
            return /Too many/u.test(sentence) && sentence;
        }, 20_000);
        assert.match(told, /^Too many wrong keys\..* You can try again in (?:a second|\d seconds)\.$/u);
        assert.equal(await connect.isDisabled(), true);
        await alert.filter({ hasText: 'You can try again now.' }).waitFor();
        await enter(key);
        await visitor.allow(agent.name);
        await agent.seesPage();
    });
});

describe('a visitor who does not answer', () => {
    // R116, R121–R123
    test('is asked no longer, and the agent is told and may ask again', async () => {
        await publish(relay, { consent: { seconds: SECONDS } });
        const { visitor, key } = await visit();
        const { agent, enter } = await atDesk('ann');
        await enter(key);
        const question = visitor.page.getByRole('heading', { name: `${agent.name} would like to see this page` });
        await question.waitFor();
        await question.waitFor({ state: 'hidden', timeout: 2_000 * SECONDS });
        await agent.page.getByRole('heading', { name: 'The visitor did not answer' }).waitFor();
        assert.equal(await agent.page.locator('iframe').count(), 0);
        await agent.press('Back to the desk');
        await enter(await visitor.newKey());
        await visitor.allow(agent.name);
        await agent.seesPage();
        await publish(relay, {});
    });
});

describe('one session at a time', () => {
    const BUSY = 'You are in another session';
    const LEAVE = 'Leave the other session and join';

    before(() => publish(relay, { session: { sessions_per_agent: 1 } }));
    after(() => publish(relay, {}));

    // R143
    test('an agent whose machine died leaves the session it is held in, and joins', async () => {
        const one = await visit({ carrier: 'webtransport' });
        const mortal = await startMortal();
        const dead = await join(mortal.browser, relay, one.visitor, 'ann', one.key, { carrier: 'webtransport' });
        await samePage(one.visitor, dead);
        await mortal.kill();

        const two = await visit();
        const { agent, enter, alert } = await atDesk('ann', { carrier: 'webtransport' });
        await enter(two.key);
        const dialog = agent.page.getByRole('dialog', { name: BUSY });
        await dialog.waitFor();
        assert.deepEqual(await serious(agent.page), []);
        await picture(agent.page, 'leave-other');
        // The safe answer by keyboard first: nothing is left, and the key stays good.
        await agent.page.keyboard.press('Escape');
        await alert.filter({ hasText: 'You are in another session. Leave it before you join this one.' }).waitFor();
        assert.equal(await agent.page.evaluate(() => document.activeElement?.id), 'key');
        await agent.page.keyboard.press('Enter');
        await dialog.waitFor();
        assert.equal(await agent.page.evaluate(() => document.activeElement?.textContent), LEAVE);
        await agent.page.keyboard.press('Enter');
        await two.visitor.allow(agent.name);
        await agent.seesPage();
        await until('the first visitor sees nobody', () => one.visitor.page.evaluate(() => document.querySelector('fanlight-widget').shadowRoot.querySelectorAll('.people li').length === 0));
    });

    // R143
    test('the tab that is left says so, and into the same session nobody has to leave anything', async () => {
        const one = await visit();
        const ben = await join(browser, relay, one.visitor, 'ben', one.key, { carrier: 'webtransport' });
        people.push(ben);
        const again = await atDesk('ben');
        await again.enter(await one.visitor.newKey());
        await ben.page.getByRole('heading', { name: 'You go on elsewhere' }).waitFor();
        await one.visitor.allow(ben.name);
        await again.agent.seesPage();

        const two = await visit();
        await ben.press('Back to the desk');
        await ben.page.locator('#key').fill(two.key);
        await ben.press('Connect');
        await ben.press(LEAVE);
        await again.agent.page.getByRole('heading', { name: 'You go on elsewhere' }).waitFor();
        await two.visitor.allow(ben.name);
        await ben.seesPage();
    });
});
