// Reports, the audit trail and receipts in the admin console, over sessions that really happened; and the words that a visitor is
// asked with. With PICTURES=1 it also takes the pictures of `docs/pictures/`.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join as path, resolve } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';

import { Agent, join, Visitor } from './cast.mjs';
import { startBrowser, startRelay, until } from './harness.mjs';
import { Company, picture, publish, serious, signInAsOperator } from './house.mjs';

const TEXT = 'May our agent look at this page with you?\nWhat you type stays hidden.\n<b>Not markup</b>';
const TERMS = 'https://shop.example/terms';

let relay;
let browser;
let page;
const people = new Company();
let connected;

before(async () => {
    [relay, browser] = await Promise.all([startRelay(), startBrowser()]);
    const { bundle } = (await relay.operate('GET', '/v1/groups/demo/policy/staging')).body;
    bundle.consent.view = TEXT;
    bundle.terms.view = TERMS;
    await publish(relay, bundle);
});

after(async () => {
    await browser?.close();
    await relay?.stop();
});

afterEach(async () => {
    await people.leave();
    await page?.context().close();
    page = undefined;
});

async function open(section, viewport = { width: 1280, height: 900 }) {
    page = await (await browser.newContext({ viewport, acceptDownloads: true })).newPage();
    await signInAsOperator(page, relay, `#/${section}`);
}

async function download(press) {
    const [file] = await Promise.all([page.waitForEvent('download'), press()]);
    return { name: file.suggestedFilename(), at: await file.path() };
}

describe('records', () => {
    // R045 R082 R116 R138
    test('the visitor is asked in the group’s words, as text, with its terms', async () => {
        const visitor = await Visitor.open(browser, relay);
        const key = await visitor.start();
        const ann = await Agent.open(browser, relay, 'ann', key);
        people.push(visitor, ann);
        const asked = visitor.page.getByRole('dialog', { name: 'Ann Ahlberg would like to see this page' });
        await asked.waitFor();
        assert.deepEqual(await asked.getByRole('listitem').allTextContents(), TEXT.split('\n'));
        assert.equal(await asked.locator('b').count(), 0, 'text is never markup');
        const terms = asked.getByRole('link', { name: 'Terms and conditions' });
        assert.equal(await terms.getAttribute('href'), TERMS);
        assert.equal(await terms.getAttribute('rel'), 'noopener noreferrer');
        await picture(visitor.page, 'consent-words');
        await visitor.allow(ann.name);
        await ann.seesPage();
        connected = (await relay.operate('GET', '/v1/sessions')).body.sessions[0].session;
        const ben = await Agent.open(browser, relay, 'ben', await visitor.newKey());
        people.push(ben);
        await visitor.page.getByRole('heading', { name: 'Ben Okafor would like' }).waitFor();
        await visitor.press('Decline');
        await until('Ben is told', async () => (await ben.page.getByText(/said no|declined/iu).count()) > 0);
        await relay.operate('DELETE', `/v1/sessions/${connected}`);
        await until('the record is closed', async () => (await relay.operate('GET', `/v1/reports/sessions/${connected}`)).body?.ended);
    });

    // R190
    test('the report shows how sessions went, who saw what, and gives files', async () => {
        for (let n = 0; n < 2; n += 1) {
            const { session } = (await relay.operate('POST', '/v1/sessions', { group: 'demo' })).body;
            await relay.operate('DELETE', `/v1/sessions/${session}`);
        }
        await until('three sessions have ended', async () => (await relay.operate('GET', '/v1/reports/summary')).body.outcomes.running === 0);
        await open('reports');
        await page.getByText(/^3 sessions from/u).waitFor();
        assert.deepEqual(await page.locator('.stat .big').allTextContents(), ['3', '33 %', '0', '0']);
        await page.getByText('As a table').nth(1).click();
        const numbers = page.getByRole('region', { name: 'How they went, as a table' });
        assert.deepEqual(await numbers.getByRole('row').allTextContents(), ['OutcomeSessions', 'Connected1', 'Refused0', 'Unanswered2', 'Interrupted0', 'Running0']);
        assert.deepEqual(await serious(page), []);
        await page.getByText('As a table').nth(1).click();
        await page.evaluate(() => window.scrollTo(0, 0));
        await picture(page, 'reports', { fullPage: true });
        await page.getByRole('button', { name: `Who saw what in session ${connected.slice(0, 8)}` }).click();
        const who = page.getByRole('dialog', { name: `Session ${connected.slice(0, 8)}` });
        await who.waitFor();
        const rows = await who.getByRole('row').allTextContents();
        assert.match(rows[1], /^ann.*Allowed.*view pointer/u);
        assert.match(rows[2], /^ben.*Declined/u);
        assert.deepEqual(await serious(page), []);
        await picture(page, 'report-session', { fullPage: true });
        const file = await download(() => who.getByRole('button', { name: 'Save consent receipts' }).click());
        assert.equal(file.name, `receipts-${connected}.json`);
        const verify = (at) => spawnSync(process.env.FANLIGHT_BIN ?? resolve(import.meta.dirname, '../../target/release/fanlight'), ['verify-receipts', at], { encoding: 'utf8' });
        const good = verify(file.at);
        assert.equal(good.status, 0, good.stderr);
        assert.match(good.stdout, /whole and signed[^]*receipts {2}3/u);
        const receipts = JSON.parse(readFileSync(file.at, 'utf8'));
        assert.equal(receipts.texts[receipts.records[0].text], TEXT);
        assert.equal(receipts.records[0].terms, TERMS);
        const forged = path(relay.folder, 'forged.json');
        writeFileSync(forged, readFileSync(file.at, 'utf8').replace('"declined"', '"accepted"'));
        assert.deepEqual([verify(forged).status, /receipt 2/u.test(verify(forged).stderr)], [65, true]);
        receipts.records.pop();
        writeFileSync(forged, JSON.stringify(receipts));
        assert.equal(verify(forged).status, 75);
    });

    // R190 G-73
    test('filters narrow, exports are files, and the trail is read', async () => {
        await open('reports', { width: 390, height: 844 });
        await page.getByText(/^3 sessions from/u).waitFor();
        await page.getByLabel('Agent id').fill('ann');
        await page.getByRole('button', { name: 'Show' }).click();
        await page.getByText(/^1 session from/u).waitFor();
        const csv = await download(() => page.getByRole('button', { name: 'Save as CSV' }).click());
        assert.match(csv.name, /^sessions-.*\.csv$/u);
        assert.equal(readFileSync(csv.at, 'utf8').trim().split('\r\n').length, 2);
        assert.deepEqual(await serious(page), []);
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing sticks out');
        await page.evaluate(() => window.scrollTo(0, 0));
        await picture(page, 'reports-phone', { fullPage: true });
        await page.getByLabel('From').fill('2020-01-01');
        await page.getByRole('button', { name: 'Show' }).click();
        await page.getByText(/at most 31 days/u).first().waitFor();
        await page.setViewportSize({ width: 1280, height: 900 });
        await page.getByRole('link', { name: 'Audit' }).click();
        await page.getByLabel(/^Event/u).fill('consent.given');
        await page.getByRole('button', { name: 'Show' }).click();
        await page.getByText('1 line.').waitFor();
        assert.deepEqual(await serious(page), []);
        await picture(page, 'audit', { fullPage: true });
    });
});
