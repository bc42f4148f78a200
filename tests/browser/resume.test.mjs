// Acceptance 7: an agent's network is cut, the visitor reloads and walks on: the session goes on with the same people.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { samePage, startSession } from './cast.mjs';
import { figure, startBrowser, startRelay, until } from './harness.mjs';

/** From the moment of the cut to an equal page. */
const EQUAL_WITHIN_MS = 3_000;

let relay;
let browser;

before(async () => {
    [relay, browser] = await Promise.all([startRelay(), startBrowser()]);
});

after(async () => {
    await browser?.close();
    await relay?.stop();
});

/** Who is who and who may what: must be the same after every interruption. */
async function identity(session) {
    const people = await Promise.all(session.agents.map((agent) => agent.state()));
    const members = (state) => state.members.map(({ id, role, name, presence }) => ({ id, role, name, presence })).toSorted((a, b) => a.id - b.id);
    return people.map((state) => ({
        session: state.session, you: state.you, capabilities: state.capabilities, stage: state.stage, mode: state.mode, members: members(state),
    }));
}

/** The same identities as before, everybody here, and both agents see the visitor's page. */
async function recovered(session, before, from) {
    for (const agent of session.agents) await samePage(session.visitor, agent, 10_000);
    const took = performance.now() - from;
    await until('everybody is here again', async () => JSON.stringify(await identity(session)) === JSON.stringify(before)).catch(async () => {
        assert.deepEqual(await identity(session), before);
    });
    return took;
}

const change = (visitor, text) => visitor.page.evaluate((value) => { document.querySelector('h1').textContent = value; }, text);

for (const carrier of ['websocket', 'webtransport']) {
    describe(`the session goes on over ${carrier}`, () => {
        let session;
        let identities;
        const times = [];

        before(async () => {
            session = await startSession(browser, relay, { carrier });
            for (const agent of session.agents) await samePage(session.visitor, agent);
            identities = await identity(session);
            assert.equal(identities[0].members.length, 3);
        });

        after(async () => {
            if (times.length > 0) figure(`cut to equal page, ${carrier}`, times);
            await session?.close();
        });

        const interrupted = async (interrupt) => {
            const from = performance.now();
            await interrupt();
            const took = await recovered(session, identities, from);
            assert.ok(took < EQUAL_WITHIN_MS, `equal again after ${Math.round(took)} ms`);
            times.push(took);
        };

        test('when an agent’s carrier is cut, also three times in a row', async () => {
            for (const text of ['Once', 'Twice', 'Thrice']) {
                await interrupted(async () => {
                    assert.equal(await session.agents[0].drop(), 'reconnecting');
                    await change(session.visitor, text);
                });
            }
        });

        test('when the visitor reloads the page', async () => {
            const epoch = (await session.visitor.facts()).epoch;
            await interrupted(() => session.visitor.page.reload());
            assert.ok((await session.visitor.facts()).epoch > epoch, 'a page load is a new page epoch');
        });

        test('when the visitor walks to another page of the shop', async () => {
            const { page } = session.visitor;
            await interrupted(() => Promise.all([page.waitForURL(/product\.html$/u), page.getByRole('link', { name: 'See the Tide lamp' }).click()]));
            assert.match(await session.agents[1].html(), /A linen shade on a turned ash foot/u);
        });

        test('when an agent reloads the console', async () => {
            const [ann] = session.agents;
            await interrupted(async () => {
                await ann.page.reload();
                await ann.seesPage();
            });
        });

        test('nobody’s script failed on the way', () => {
            for (const person of [session.visitor, ...session.agents]) assert.deepEqual(person.errors, []);
        });
    });
}
