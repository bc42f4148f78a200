// The console's page of webhooks: added with a secret shown once, tested, failing, its dead letters replayed (R187, R189).

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { startBrowser, startRelay, until } from './harness.mjs';
import { picture, serious, signInAsOperator } from './house.mjs';
import { isFromFanlight, startReceiver } from './receiver.mjs';

let browser;
let relay;
let receiver;

before(async () => {
    receiver = await startReceiver();
    browser = await startBrowser();
    relay = await startRelay({ extra: `[outbound]\nnamed = ["${receiver.origin}"]\n` });
});

after(async () => {
    await browser?.close();
    await relay?.stop();
    await receiver?.close();
});

/** Nine tries lie behind whatever waits, as after a night, and the tenth is due now. */
function afterANight() {
    const sql = 'UPDATE deliveries SET attempts = 9, due = 0 WHERE attempts > 0';
    const script = `import sqlite3\nstore = sqlite3.connect(${JSON.stringify(join(relay.folder, 'fanlight.db'))}, timeout=10)\nwith store: print(store.execute(${JSON.stringify(sql)}).rowcount)`;
    return Number(execFileSync('python3', ['-c', script], { encoding: 'utf8' }));
}

async function visit() {
    const answer = await fetch(`${relay.url}/v1/keys`, { method: 'POST', body: JSON.stringify({ group: 'demo' }) });
    return (await answer.json()).session;
}

describe('webhooks in the console', () => {
    test('added, tested, heard, and removed', async () => {
        const context = await browser.newContext({ viewport: { width: 1200, height: 900 } });
        context.setDefaultTimeout(20_000);
        const page = await context.newPage();
        const errors = [];
        page.on('pageerror', (error) => errors.push(String(error)));
        await signInAsOperator(page, relay, '#/groups/demo/webhooks');
        await page.getByText('No server of this group hears of its events yet.').waitFor();

        await page.getByLabel('Address of your server').fill('https://127.0.0.1:9/hook');
        await page.getByRole('button', { name: 'Add webhook' }).click();
        await page.getByText('The address must use https at port 443').waitFor();
        await page.getByLabel('Address of your server').fill(`${receiver.origin}/hook`);
        await page.getByRole('button', { name: 'Add webhook' }).click();
        await page.getByRole('heading', { name: 'The secret of this webhook' }).waitFor();
        const secret = await page.locator('.secret').textContent();
        assert.match(secret, /^whsec_[\w+/=]{44}$/u);
        await picture(page, 'webhook-secret', { fullPage: true });
        await page.getByRole('button', { name: 'Done' }).click();

        await page.getByRole('button', { name: 'Send a test' }).click();
        await page.getByText(/^Delivered\./u).waitFor();
        const [tested] = receiver.received;
        assert.equal(JSON.parse(tested.body).event, 'webhook.test');
        assert.ok(isFromFanlight(secret, tested.headers, tested.body));
        assert.ok(!isFromFanlight(secret, tested.headers, `${tested.body} `));

        const session = await visit();
        const heard = await until('the session is heard of', () => receiver.received.find(({ body }) => JSON.parse(body).session === session));
        assert.equal(JSON.parse(heard.body).event, 'session.created');
        receiver.answer(503);
        await page.getByRole('button', { name: 'Send a test' }).click();
        await page.getByText(/^The host answered 503\./u).waitFor();
        await page.reload();
        await page.getByText('Delivering').waitFor();
        assert.equal(await page.locator('.secret').count(), 0, 'the secret is not shown again');
        const late = await visit();
        const tries = () => receiver.received.filter(({ body }) => JSON.parse(body).session === late);
        await until('it was tried', () => tries().length === 1);
        await until('the try is written down', () => afterANight() === 1);
        await until('it was tried for the last time', () => tries().length === 2);
        await until('it is dead', async () => {
            await page.reload();
            await page.locator('.webhook').waitFor();
            return page.getByRole('button', { name: 'Show 1 dead message' }).isVisible();
        }, 20_000);
        await page.getByRole('button', { name: 'Show 1 dead message' }).click();
        await page.getByRole('cell', { name: 'The host answered 503.' }).waitFor();
        await picture(page, 'webhook-dead', { fullPage: true });
        assert.deepEqual(await serious(page), []);
        receiver.answer(200);
        await page.getByRole('button', { name: /^Replay session\.created/u }).click();
        await page.getByText('The message will be tried again.').waitFor();
        await until('it is delivered', () => tries().length === 3);
        assert.equal(new Set(tries().map(({ headers }) => headers['webhook-id'])).size, 1, 'under the same id');
        assert.ok(!(await page.content()).includes(secret));
        await page.locator('.webhook summary').click();
        assert.deepEqual(await serious(page), []);
        await picture(page, 'webhooks', { fullPage: true });

        await page.getByRole('button', { name: 'New secret' }).click();
        await page.getByText('messages carry both signatures until then').waitFor();
        assert.notEqual(await page.locator('.secret').textContent(), secret);
        await page.getByRole('button', { name: 'Done' }).click();
        await page.getByRole('button', { name: 'Remove', exact: true }).click();
        await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
        await page.getByText('No server of this group hears of its events yet.').waitFor();
        assert.deepEqual(errors, []);
        await context.close();
    });
});
