// What the tests of this folder share besides the relay, the browser and the people: the end of a test, the operator's rules and
// sign-in, what axe finds, and pictures.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

import { until } from './harness.mjs';

const { source: AXE } = createRequire(resolve(import.meta.dirname, '../../web/package.json'))('axe-core');

/** Everybody whom a test brings in. */
export class Company {
    #people = [];

    /** They go at the end of the test. */
    push(...people) {
        this.#people.push(...people);
    }

    /** The end of a test: no script has failed in any page, and every page is closed. */
    async leave() {
        const people = this.#people.splice(0);
        const errors = people.flatMap((person) => person.errors);
        await Promise.all(people.map((person) => person.close()));
        assert.deepEqual(errors, [], 'no script failed');
    }
}

/** Gives a group these rules: saved to staging, published. */
export async function publish(relay, bundle, group = 'demo') {
    const head = `/v1/groups/${group}/policy`;
    const staging = await relay.operate('GET', `${head}/staging`);
    const saved = await relay.operate('PUT', `${head}/staging`, { bundle, by: 'test' }, { 'if-match': staging.etag });
    assert.equal(saved.status, 200, JSON.stringify(saved.body));
    const production = await relay.operate('GET', `${head}/production`);
    const published = await relay.operate('POST', `${head}/publish`, {}, { 'if-match': production.etag });
    assert.equal(published.status, 200, JSON.stringify(published.body));
}

/** Signs in to the admin console at this place of it. */
export async function signInAsOperator(page, relay, where = '', name = 'Ada') {
    await page.goto(`${relay.operatorUrl}/admin/${where}`);
    await page.getByLabel('Operator token').fill(relay.operatorToken());
    await page.getByLabel('Your name').fill(name);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('button', { name: 'Sign out' }).waitFor();
}

/** What axe finds serious on the page as it is now, shadow roots included. */
export async function serious(page) {
    // axe runs as a script of the test, not of the page: the page's own policy lets nothing in.
    await page.evaluate(AXE);
    const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
    const grave = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
    return grave.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' | ')}`);
}

/** With PICTURES=1 takes a picture into `docs/pictures`, with another value into that folder. */
export async function picture(page, name, options = {}) {
    const wanted = process.env.PICTURES;
    if (!wanted) return;
    const folder = wanted === '1' ? join(import.meta.dirname, '../../docs/pictures') : wanted;
    mkdirSync(folder, { recursive: true });
    // What was said in passing covers what the picture is about.
    await until('the notices are gone', async () => (await page.locator('.toast').count()) === 0, 20_000);
    await page.screenshot({ path: join(folder, `${name}.png`), ...options });
}
