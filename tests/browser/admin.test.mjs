// The admin console at the operator's door: rules edited in staging, published, refused, rolled back, by mouse and by keyboard.
// With PICTURES=1 it also takes the pictures of `docs/pictures/`.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import { startBrowser, startRelay, until } from './harness.mjs';
import { picture, serious, signInAsOperator } from './house.mjs';

const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

let relay;
let browser;
let page;
let errors;
/** A group of its own for each test. */
let group;
let groups = 0;

before(async () => {
    [relay, browser] = await Promise.all([startRelay(), startBrowser()]);
});

after(async () => {
    await browser?.close();
    await relay?.stop();
});

beforeEach(async () => {
    groups += 1;
    group = `shop-${groups}`;
    const made = await api('POST', '/v1/groups', { group, name: `Shop ${groups}` });
    assert.equal(made.status, 201);
    page = await (await browser.newContext({ viewport: DESKTOP })).newPage();
    errors = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    page.on('console', (line) => /Content.Security.Policy/iu.test(line.text()) && errors.push(line.text()));
});

afterEach(async () => {
    assert.deepEqual(errors, [], 'no script failed, and no policy of the page was broken');
    await page.context().close();
});

const api = (...asked) => relay.operate(...asked);
const headOf = (head) => api('GET', `/v1/groups/${group}/policy/${head}`);
const production = async () => (await headOf('production')).body;

/** Saves a bundle to staging, past the console. */
async function stage(bundle) {
    const { etag } = await headOf('staging');
    const saved = await api('PUT', `/v1/groups/${group}/policy/staging`, { bundle }, { 'if-match': etag });
    assert.equal(saved.status, 200, JSON.stringify(saved.body));
}

const signIn = (where = `#/groups/${group}/rules`) => signInAsOperator(page, relay, where);

const tab = (name) => page.getByRole('navigation', { name: /Pages of/u }).getByRole('link', { name }).click();
const save = () => page.getByRole('button', { name: 'Save to staging' }).click();
const saved = () => page.getByText(/Staging is version \d+, saved by Ada/u).waitFor();
const told = (text) => page.locator('.toast', { hasText: text }).waitFor();

const link = (title, url = `https://www.good.example/${title}`) => ({ kind: 'link', title, url, active: true });
const folder = (name, ...titles) => ({ kind: 'folder', name, active: true, links: titles.map((title) => ({ title, url: `https://www.good.example/${title}`, active: true })) });

/** The rows as they are shown: titles, those within a folder in brackets. */
const shape = () => page.locator('.item').evaluateAll((rows) => rows.map((row) => {
    const name = row.querySelector('input[type=text]').value;
    return row.classList.contains('item--within') ? `(${name})` : name;
}).join(' '));

const axe = async (what) => assert.deepEqual(await serious(page), [], what);

describe('signing in', () => {
    test('a wrong token is refused with a sentence, and a reload keeps the right one', async () => {
        await page.goto(`${relay.operatorUrl}/`);
        await page.getByLabel('Operator token').fill('wrong');
        await page.keyboard.press('Enter');
        await until('the sentence is shown', async () => ((await page.getByRole('alert').first().textContent()) ?? '') !== '');
        await axe('sign in');
        await signIn('#/groups');
        await page.getByRole('link', { name: `Shop ${groups}` }).waitFor();
        await page.reload();
        await page.getByRole('link', { name: `Shop ${groups}` }).click();
        await page.getByRole('heading', { name: 'Sites and bookmarks' }).waitFor();
        await page.getByRole('button', { name: 'Sign out' }).click();
        assert.equal(await page.evaluate(() => sessionStorage.length), 0);
    });

    test('the public door has neither the console nor the groups', async () => {
        for (const path of ['/admin/', '/admin/console.js', '/v1/groups']) {
            assert.equal((await fetch(relay.url + path)).status, 404, path);
        }
        const foreign = await api('GET', '/v1/groups', undefined, { origin: 'https://evil.example' });
        assert.equal(foreign.status, 403, 'a page of another website');
    });
});

describe('rules', () => {
    // R023, R024, R027–R030, R034
    test('bookmarks, a folder and an allowed site go to staging, and by publishing to production', async () => {
        await signIn();
        await page.getByRole('button', { name: 'Add site' }).click();
        await page.keyboard.type('https://www.good.example/*');
        await page.getByRole('button', { name: 'Add link', exact: true }).click();
        await page.keyboard.type('Home');
        await page.keyboard.press('Tab');
        await page.keyboard.type('https://www.good.example/');
        await page.getByRole('button', { name: 'Add folder' }).click();
        await page.keyboard.type('Help');
        await page.getByRole('button', { name: 'Add link inside' }).click();
        await page.keyboard.type('Returns');
        await page.keyboard.press('Tab');
        await page.keyboard.type('https://www.good.example/returns');
        await page.getByRole('complementary', { name: 'Preview' }).getByText('Returns').waitFor();
        await axe('rules, changed');
        await save();
        await saved();
        assert.deepEqual((await production()).bundle.sites, { allowed: [], bookmarks: [] }, 'staging changes nothing');
        await picture(page, 'admin-rules');
        await tab('Publish');
        await page.getByRole('cell', { name: /good\.example\/\*/u }).waitFor();
        await axe('publish');
        await picture(page, 'admin-publish');
        await page.getByRole('button', { name: /^Publish version/u }).click();
        await told('is in production');
        const { bundle } = await production();
        assert.deepEqual(bundle.sites.allowed, ['https://www.good.example/*']);
        assert.deepEqual(bundle.sites.bookmarks, [
            { kind: 'link', title: 'Home', url: 'https://www.good.example/', active: true },
            { kind: 'folder', name: 'Help', active: true, links: [{ title: 'Returns', url: 'https://www.good.example/returns', active: true }] },
        ]);
        const { moves } = (await api('GET', `/v1/groups/${group}/policy/history`)).body;
        assert.equal(moves[0].who, 'Ada');
    });

    // R035
    test('the 21st item is refused with a sentence, here and by the relay', async () => {
        await stage({ sites: { bookmarks: [folder('Help', ...Array.from({ length: 19 }, (_, at) => `p${at}`))] } });
        await signIn();
        await page.getByText('20 of 20').waitFor();
        await page.getByRole('button', { name: 'Add link', exact: true }).click();
        await page.getByRole('alert').filter({ hasText: 'at most 20 are allowed' }).waitFor();
        assert.equal(await page.locator('.item').count(), 20);
        const bookmarks = Array.from({ length: 21 }, (_, at) => link(`p${at}`));
        const file = { format: 'fanlight-policy/1', group, version: 9, saved: 0, by: 'x', note: '', bundle: { sites: { bookmarks } } };
        await page.getByLabel('Import into staging').setInputFiles({ name: 'policy.json', mimeType: 'application/json', buffer: Buffer.from(JSON.stringify(file)) });
        await page.getByRole('alert').filter({ hasText: /at most 20/u }).first().waitFor();
        assert.equal((await headOf('staging')).body.bundle.sites.bookmarks.length, 1);
    });

    // R019
    test('a bookmark outside the allowed sites waits in staging and is refused at publish', async () => {
        await stage({ sites: { allowed: ['https://www.good.example/*'], bookmarks: [link('Other', 'https://other.example/')] } });
        await signIn();
        await page.getByRole('button', { name: 'Bookmark 1 › address' }).click();
        assert.equal(await page.evaluate(() => document.activeElement.value), 'https://other.example/', 'the field is one click away');
        assert.match(await page.locator('.item .field-error').textContent(), /No allowed site is on other\.example/u);
        await axe('rules, with a problem');
        await tab('Publish');
        await page.getByRole('button', { name: /^Publish version/u }).click();
        await page.getByRole('alert').filter({ hasText: 'Not published: 1 problem' }).waitFor();
        assert.equal((await production()).version, 1);
    });

    test('what could never be used is refused at save, every problem at its field', async () => {
        await signIn();
        await page.getByRole('button', { name: 'Add site' }).click();
        await page.keyboard.type('http://plain.example');
        await page.getByRole('group', { name: 'Allowed modes' }).getByLabel('View + Pointer').uncheck();
        await page.getByLabel('Most agents in a session').fill('1000');
        await save();
        await page.getByRole('alert').filter({ hasText: 'Not saved' }).waitFor();
        const invalid = await page.locator('[aria-invalid=true]').evaluateAll((fields) => fields.map((field) => field.dataset.path));
        assert.deepEqual(invalid, ['/session/agents_max'], 'the shape comes first');
        await page.getByLabel('Most agents in a session').fill('6');
        await save();
        await until('the rest is shown', async () => (await page.locator('[aria-invalid=true]').count()) === 2);
        assert.equal((await headOf('staging')).body.version, 1);
    });

    // R033
    test('items are ordered by dragging and by keyboard, into a folder and out of it', async () => {
        await stage({ sites: { bookmarks: [link('A'), folder('F', 'x'), link('B')] } });
        await page.setViewportSize({ width: 1280, height: 1200 });
        await signIn();
        await page.getByRole('button', { name: 'Move A', exact: true }).focus();
        await page.keyboard.press('ArrowDown');
        assert.equal(await shape(), 'F (x) A B');
        await page.keyboard.press('ArrowRight');
        assert.equal(await shape(), 'F (x) (A) B');
        await page.keyboard.press('ArrowUp');
        assert.equal(await shape(), 'F (A) (x) B', 'the focus stays on the item');
        const drag = async (name, target, part) => {
            const [from, to] = await Promise.all([page.getByRole('button', { name: `Move ${name}`, exact: true }).boundingBox(), page.getByRole('group', { name: target }).boundingBox()]);
            await page.mouse.move(from.x + from.width / 2, from.y + from.height / 2);
            await page.mouse.down();
            await page.mouse.move(to.x + 40, to.y + to.height * part, { steps: 6 });
            await page.mouse.up();
        };
        await drag('B', 'Folder F', 0.8);
        assert.equal(await shape(), 'F (B) (A) (x)');
        await drag('x', 'Folder F', 0.2);
        assert.equal(await shape(), 'x F (B) (A)');
        await save();
        await saved();
        const { bookmarks } = (await headOf('staging')).body.bundle.sites;
        assert.deepEqual(bookmarks.map((item) => item.title ?? [item.name, ...item.links.map(({ title }) => title)]), ['x', ['F', 'B', 'A']]);
    });

    // R026
    test('two administrators do not write over each other unseen', async () => {
        await signIn();
        await page.getByLabel('Most agents in a session').fill('5');
        await stage({ session: { agents_max: 7 } });
        await save();
        await page.getByRole('dialog', { name: 'Somebody else has saved meanwhile' }).waitFor();
        assert.equal((await headOf('staging')).body.bundle.session.agents_max, 7);
        await page.getByRole('button', { name: 'Go on with mine' }).click();
        await saved();
        assert.equal((await headOf('staging')).body.bundle.session.agents_max, 5);
    });

    // R045 R059 R082 R153 R154
    test('the questions to the visitor, both privacy profiles and documents on the site are edited', async () => {
        await stage({ consent: { show: 'May we show you something?' } });
        await signIn();
        assert.equal(await page.getByLabel('May an agent show a screen?', { exact: true }).inputValue(), 'May we show you something?');
        await page.getByLabel('May an agent see the page?', { exact: true }).fill('May we look?\nYou can stop.');
        const terms = page.getByLabel('Terms for “May an agent see the page?”');
        await terms.fill('http://www.good.example/terms');
        await page.getByLabel('Hide the text of', { exact: true }).fill('.instant');
        await page.getByLabel('Hide the text of, in Advanced mode').fill('.advanced');
        await page.getByLabel(/^Addresses of such files/u).fill('https://www.good.example/files/*');
        await save();
        await page.getByText('Not saved: 1 problem').waitFor();
        assert.equal(await terms.getAttribute('aria-invalid'), 'true');
        await terms.fill('https://www.good.example/terms');
        await save();
        await saved();
        const { bundle } = (await headOf('staging')).body;
        assert.deepEqual([bundle.consent.view, bundle.terms.view, bundle.terms.show], ['May we look?\nYou can stop.', 'https://www.good.example/terms', null]);
        assert.deepEqual([bundle.privacy.instant.mask, bundle.privacy.advanced.mask], [['.instant'], ['.advanced']]);
        assert.deepEqual(bundle.documents.hosted, ['https://www.good.example/files/*']);
        await page.getByRole('heading', { name: 'Questions to the visitor' }).scrollIntoViewIfNeeded();
        await axe('rules');
        await picture(page, 'admin-questions');
    });

    test('what this page does not show stays as it is, and a role narrows the group', async () => {
        await stage({ keys: { minutes: 7 } });
        await signIn();
        await page.getByLabel('New role').fill('sales');
        await page.getByRole('button', { name: 'Add role' }).click();
        await page.getByLabel('Hide the text of', { exact: true }).fill('.secret\n\n#card input');
        await save();
        await saved();
        const { bundle } = (await headOf('staging')).body;
        assert.equal(bundle.keys.minutes, 7);
        assert.deepEqual(bundle.privacy.instant.mask, ['.secret', '#card input']);
        assert.equal(bundle.roles.sales.escalate_to_show, false);
        await tab('Evaluate');
        await page.getByLabel('Role of the agent').selectOption('sales');
        await page.getByRole('button', { name: 'Ask' }).click();
        await page.getByRole('region', { name: 'Staging' }).getByText('R152').waitFor();
        await axe('evaluate');
        await picture(page, 'admin-evaluate');
        await page.getByLabel('Role of the agent').selectOption('');
        await page.getByRole('button', { name: 'Ask' }).click();
        await page.getByRole('region', { name: 'Production' }).getByText('This is allowed.').waitFor();
    });
});

describe('agents', () => {
    test('an agent is made with a password that is shown once, and is kept out', async () => {
        await signIn(`#/groups/${group}/agents`);
        await page.getByLabel('Id, what').fill('eve');
        await page.getByLabel('Name, what').fill('Eve Ek');
        await page.getByRole('button', { name: 'Add agent' }).click();
        const secret = await page.getByRole('dialog', { name: 'Eve Ek can sign in' }).locator('.secret').textContent();
        await page.getByRole('button', { name: 'Done' }).click();
        const login = async () => (await fetch(`${relay.url}/v1/login`, { method: 'POST', body: JSON.stringify({ group, agent: 'eve', secret }) })).status;
        assert.equal(await login(), 200);
        await axe('agents');
        await page.getByLabel('Eve Ek may sign in').uncheck();
        await told('Eve Ek is changed');
        assert.equal(await login(), 401);
        await page.getByLabel('Id, what').fill('eve');
        await page.getByLabel('Name, what').fill('Another');
        await page.getByRole('button', { name: 'Add agent' }).click();
        await page.getByRole('alert').filter({ hasText: 'There is an agent of this id already' }).waitFor();
    });
});

describe('production', () => {
    // R028
    test('rolls back to the version before, and any earlier one from the history', async () => {
        await stage({ session: { agents_max: 3 } });
        await signIn(`#/groups/${group}/release`);
        await page.getByRole('button', { name: 'Publish version 2' }).click();
        await told('Version 2 is in production');
        await page.getByRole('button', { name: 'Roll back' }).click();
        await page.getByRole('dialog').getByRole('button', { name: 'Roll back' }).click();
        await told('Production is version 1 again');
        assert.equal((await production()).version, 1);
        await tab('History');
        await page.getByRole('button', { name: 'Put version 2 back into production' }).click();
        await told('Production is version 2 again');
        assert.equal((await production()).version, 2);
        await axe('history');
    });

    test('sessions are shown as they come, and how far a version has reached', async () => {
        await signIn('#/sessions');
        const made = await api('POST', '/v1/sessions', { group });
        const short = made.body.session.slice(0, 8);
        await page.getByRole('cell', { name: short }).first().waitFor();
        await axe('sessions');
        await stage({ session: { agents_max: 3 } });
        await page.goto(`${relay.operatorUrl}/admin/#/groups/${group}/release`);
        await page.getByRole('button', { name: 'Publish version 2' }).click();
        await page.getByText('0 of 1').waitFor();
        await page.getByRole('button', { name: 'Enforce now' }).click();
        await page.getByRole('button', { name: 'Enforce', exact: true }).click();
        await told('1 session was told');
        await until('it has reached the session', async () => (await api('GET', `/v1/groups/${group}/policy/rollout`)).body.under_production === 1);
        await page.getByRole('link', { name: 'Sessions' }).click();
        await page.getByRole('button', { name: `End session ${short}` }).click();
        await page.getByRole('button', { name: 'End it' }).click();
        await page.getByRole('cell', { name: short }).first().waitFor({ state: 'detached' });
    });

    test('a group is switched off and on', async () => {
        await signIn();
        await page.getByRole('button', { name: 'Switch off' }).click();
        await told('The group is off');
        assert.equal((await api('GET', `/v1/groups/${group}`)).body.active, false);
        await page.getByRole('button', { name: 'Switch on' }).click();
        await told('The group is on');
    });
});

describe('on a phone', () => {
    test('every page fits the width', async () => {
        await stage({ sites: { allowed: ['https://www.good.example/*'], bookmarks: [link('Home'), folder('Help', 'Returns')] } });
        await page.setViewportSize(PHONE);
        await signIn();
        for (const where of [`groups/${group}/rules`, `groups/${group}/release`, `groups/${group}/history`, `groups/${group}/agents`, `groups/${group}/evaluate`, 'groups', 'sessions']) {
            await page.goto(`${relay.operatorUrl}/admin/#/${where}`);
            await page.locator('.panel-card').first().waitFor();
            const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
            assert.ok(over <= 0, `${where}: ${over} px too wide`);
            if (where.endsWith('rules')) await picture(page, 'admin-phone');
        }
    });
});
