// Acceptance 2: an agent's page is the visitor's page, after any edits, over both carriers; and how soon.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { samePage, startSession } from './cast.mjs';
import { editPage } from './edits.mjs';
import { figure, startBrowser, startRelay, until } from './harness.mjs';

const EDITS = 200;
const SAMPLES = 250;
const SEED = 20_261_120;

let relay;
let browser;

before(async () => {
    [relay, browser] = await Promise.all([startRelay(), startBrowser()]);
});

after(async () => {
    await browser?.close();
    await relay?.stop();
});

/** Values and scroll positions, which the canonical text leaves out. */
function beyondText(root) {
    const fields = [...root.querySelectorAll('#playground input')].map((field) => field.value);
    return { fields, scroll: Math.round(root.defaultView.scrollY) };
}

for (const carrier of ['websocket', 'webtransport']) {
    describe(`page over ${carrier}`, () => {
        let session;

        before(async () => {
            session = await startSession(browser, relay, { carrier, agent: { viewport: { width: 1400, height: 900 } } });
        });

        after(() => session?.close());

        test(`equals the visitor's after ${EDITS} random edits, for two agents`, async () => {
            const { visitor, agents } = session;
            const done = await visitor.page.evaluate(editPage, { seed: SEED, count: EDITS });
            assert.equal(Object.values(done).reduce((sum, times) => sum + times), EDITS);
            for (const agent of agents) {
                const text = await samePage(visitor, agent);
                assert.match(text, /text \d+|changed \d+/u, 'the edits are in it');
                const ours = await visitor.page.evaluate(`(${beyondText})(document)`);
                assert.ok(ours.fields.some((value) => value.startsWith('typed')), 'a field was typed in');
                await until('fields and scrolling are equal', async () => {
                    const theirs = await agent.page.evaluate(`(${beyondText})(window.__fanlight.frame().contentDocument)`);
                    return JSON.stringify(theirs) === JSON.stringify(ours);
                });
                const resyncs = await agent.page.evaluate(() => ({ ...window.__fanlight.applied(), warnings: window.__fanlight.warnings() }));
                assert.equal(resyncs.resyncs, 0, `no agent had to ask for the page again: ${resyncs.fault}`);
                assert.equal(resyncs.warnings, 0, 'no diff named a node that the mirror does not have');
                assert.deepEqual(agent.errors, []);
            }
            assert.deepEqual(visitor.errors, []);
        });

        test('shows a mutation soon', async () => {
            const { visitor, agents } = session;
            const [agent] = agents;
            await visitor.page.evaluate(() => {
                const probe = document.createElement('p');
                probe.id = 'probe';
                probe.textContent = 'probe 0';
                document.querySelector('main').append(probe);
            });
            await samePage(visitor, agent);
            await agent.page.evaluate(() => {
                const probe = window.__fanlight.frame().contentDocument.querySelector('#probe');
                window.__seen = {};
                // The added nodes, not the text at the end: two diffs may have come in one read.
                new MutationObserver((records) => {
                    const now = performance.timeOrigin + performance.now();
                    for (const node of records.flatMap((record) => [...record.addedNodes])) window.__seen[node.nodeValue] ??= now;
                }).observe(probe, { childList: true });
            });
            const made = await visitor.page.evaluate(async (samples) => {
                const probe = document.querySelector('#probe');
                const times = {};
                for (let at = 1; at <= samples; at += 1) {
                    times[`probe ${at}`] = performance.timeOrigin + performance.now();
                    probe.textContent = `probe ${at}`;
                    await new Promise((resolve) => setTimeout(resolve, 20));
                }
                return times;
            }, SAMPLES);
            await samePage(visitor, agent);
            const seen = await agent.page.evaluate(() => window.__seen);
            const delays = Object.entries(made).filter(([name]) => name in seen).map(([name, at]) => seen[name] - at);
            assert.equal(delays.length, SAMPLES, 'every change was shown by itself');
            const { p50 } = figure(`mutation to visible, ${carrier}`, delays);
            // The target is 5 ms; five times that still tells a timer on the path from a busy machine.
            assert.ok(p50 > 0 && p50 < 25, `p50 ${p50} ms`);
        });
    });
}
