// Reports, the audit trail and receipts in the admin console, over sessions that really happened; and the words that a visitor is
// asked with. With PICTURES=1 it also takes the pictures of `docs/pictures/`.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join as path, resolve } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';

import { Agent, join, Visitor } from './cast.mjs';
import { startBrowser, startRelay, until } from './harness.mjs';

const require = createRequire(resolve(import.meta.dirname, '../../web/package.json'));
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const PICTURES = path(import.meta.dirname, '../../docs/pictures');
const TEXT = 'May our agent look at this page with you?\nWhat you type stays hidden.\n<b>Not markup</b>';
const TERMS = 'https://shop.example/terms';

let relay;
let browser;
let page;
let people = [];
let connected;

before(async () => {
    [relay, browser] = await Promise.all([startRelay(), startBrowser()]);
    await publish((bundle) => {
        bundle.consent.view = TEXT;
        bundle.terms.view = TERMS;
    });
});

after(async () => {
    await browser?.close();
    await relay?.stop();
});

afterEach(async () => {
    for (const person of people) assert.deepEqual(person.errors, [], 'no script failed');
    await Promise.all(people.map((person) => person.close()));
    people = [];
    await page?.context().close();
    page = undefined;
});

async function api(method, to, body, headers = {}) {
    const answer = await fetch(relay.operatorUrl + to, {
        method,
        headers: { authorization: `Bearer ${relay.operatorToken()}`, 'content-type': 'application/json', ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: answer.status, etag: answer.headers.get('etag'), body: await answer.json().catch(() => undefined) };
}

async function publish(change) {
    const staging = await api('GET', '/v1/groups/demo/policy/staging');
    change(staging.body.bundle);
    const saved = await api('PUT', '/v1/groups/demo/policy/staging', { bundle: staging.body.bundle }, { 'if-match': staging.etag });
    assert.equal(saved.status, 200, JSON.stringify(saved.body));
    const production = await api('GET', '/v1/groups/demo/policy/production');
    assert.equal((await api('POST', '/v1/groups/demo/policy/publish', {}, { 'if-match': production.etag })).status, 200);
}

async function open(section, viewport = { width: 1280, height: 900 }) {
    page = await (await browser.newContext({ viewport, acceptDownloads: true })).newPage();
    await page.goto(`${relay.operatorUrl}/admin/#/${section}`);
    await page.getByLabel('Operator token').fill(relay.operatorToken());
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('button', { name: 'Sign out' }).waitFor();
}

async function picture(of, name) {
    if (process.env.PICTURES === '1') {
        mkdirSync(PICTURES, { recursive: true });
        await of.screenshot({ path: path(PICTURES, `${name}.png`), fullPage: name !== 'consent-words' });
    }
}

/** What axe finds serious on the page as it is now. */
async function serious() {
    await page.evaluate(AXE);
    const { violations } = await page.evaluate(() => window.axe.run());
    return violations.filter(({ impact }) => impact === 'serious' || impact === 'critical').map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`);
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
        people = [visitor, ann];
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
        connected = (await api('GET', '/v1/sessions')).body.sessions[0].session;
        const ben = await Agent.open(browser, relay, 'ben', await visitor.newKey());
        people.push(ben);
        await visitor.page.getByRole('heading', { name: 'Ben Okafor would like' }).waitFor();
        await visitor.press('Decline');
        await until('Ben is told', async () => (await ben.page.getByText(/said no|declined/iu).count()) > 0);
        await api('DELETE', `/v1/sessions/${connected}`);
        await until('the record is closed', async () => (await api('GET', `/v1/reports/sessions/${connected}`)).body?.ended);
    });

    // R190
    test('the report shows how sessions went, who saw what, and gives files', async () => {
        for (let n = 0; n < 2; n += 1) {
            const { session } = (await api('POST', '/v1/sessions', { group: 'demo' })).body;
            await api('DELETE', `/v1/sessions/${session}`);
        }
        await until('three sessions have ended', async () => (await api('GET', '/v1/reports/summary')).body.outcomes.running === 0);
        await open('reports');
        await page.getByText(/^3 sessions from/u).waitFor();
        assert.deepEqual(await page.locator('.stat .big').allTextContents(), ['3', '33 %', '0', '0']);
        await page.getByText('As a table').nth(1).click();
        const numbers = page.getByRole('region', { name: 'How they went, as a table' });
        assert.deepEqual(await numbers.getByRole('row').allTextContents(), ['OutcomeSessions', 'Connected1', 'Refused0', 'Unanswered2', 'Interrupted0', 'Running0']);
        assert.deepEqual(await serious(), []);
        await page.getByText('As a table').nth(1).click();
        await page.evaluate(() => window.scrollTo(0, 0));
        await picture(page, 'reports');
        await page.getByRole('button', { name: `Who saw what in session ${connected.slice(0, 8)}` }).click();
        const who = page.getByRole('dialog', { name: `Session ${connected.slice(0, 8)}` });
        await who.waitFor();
        const rows = await who.getByRole('row').allTextContents();
        assert.match(rows[1], /^ann.*Allowed.*view pointer/u);
        assert.match(rows[2], /^ben.*Declined/u);
        assert.deepEqual(await serious(), []);
        await picture(page, 'report-session');
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
        assert.deepEqual(await serious(), []);
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing sticks out');
        await page.evaluate(() => window.scrollTo(0, 0));
        await picture(page, 'reports-phone');
        await page.getByLabel('From').fill('2020-01-01');
        await page.getByRole('button', { name: 'Show' }).click();
        await page.getByText(/at most 31 days/u).first().waitFor();
        await page.setViewportSize({ width: 1280, height: 900 });
        await page.getByRole('link', { name: 'Audit' }).click();
        await page.getByLabel(/^Event/u).fill('consent.given');
        await page.getByRole('button', { name: 'Show' }).click();
        await page.getByText('1 line.').waitFor();
        assert.deepEqual(await serious(), []);
        await picture(page, 'audit');
    });
});
