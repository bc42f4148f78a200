// What the visitor reads is what the receipt holds: each question of a group that has words of its own, read from the screen and
// compared with the exported file. A page that names other words than it was given gets no session.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { Agent, Visitor } from './cast.mjs';
import { startBrowser, startRelay, until } from './harness.mjs';
import { Company, publish } from './house.mjs';
import { openMovingTab } from './pictures.mjs';

const TITLE = 'Consent 4711';
const MATTERS = ['view', 'show', 'screen', 'camera'];
const textOf = (matter) => `About ${matter}: may we?\nYou can stop at any time.\n<b>Not markup</b>`;
const termsOf = (matter) => `https://shop.example/terms/${matter}`;

let relay;
let browser;
const people = new Company();

before(async () => {
    const flags = ['--use-fake-device-for-media-stream', `--auto-select-tab-capture-source-by-title=${TITLE}`];
    [relay, browser] = await Promise.all([startRelay(), startBrowser(flags)]);
    const of = (words) => Object.fromEntries(MATTERS.map((matter) => [matter, words(matter)]));
    await publish(relay, { consent: of(textOf), terms: of(termsOf) });
});

after(async () => {
    await browser?.close();
    await relay?.stop();
});

afterEach(() => people.leave());

async function visitorAt(path, options = {}) {
    const visitor = await Visitor.open(browser, relay, { path, ...options });
    people.push(visitor);
    return visitor;
}

async function agentWith(key = '', query = '') {
    const agent = await Agent.open(browser, relay, 'ann', key, { query });
    people.push(agent);
    return agent;
}

/** What is on the visitor's screen under this heading. */
async function reads(visitor, heading) {
    const dialog = visitor.page.getByRole('dialog', { name: heading });
    await dialog.waitFor();
    const link = dialog.getByRole('link', { name: 'Terms and conditions' });
    assert.equal(await link.getAttribute('rel'), 'noopener noreferrer');
    assert.equal(await dialog.locator('b').count(), 0, 'text is never markup');
    return { text: (await dialog.getByRole('listitem').allTextContents()).join('\n'), terms: await link.getAttribute('href') };
}

/** Ends the newest session and reads its receipts: what happened to which matter, and in which words. */
async function receipts() {
    const { session } = (await relay.operate('GET', '/v1/sessions')).body.sessions.at(-1);
    await relay.operate('DELETE', `/v1/sessions/${session}`);
    const file = await until('the chain is closed', async () => {
        const { body } = await relay.operate('GET', `/v1/sessions/${session}/receipts`);
        return body.signature === undefined ? undefined : body;
    });
    return file.records.filter((record) => record.text !== undefined && record.text !== null)
        .map(({ matter, happened, text, terms }) => ({ matter, happened, text: file.texts[text], terms }));
}

const shown = (matter) => ({ text: textOf(matter), terms: termsOf(matter) });

describe('the words of a question', () => {
    // R045 R082 R110 R116
    test('about the page, the screen and the camera', async () => {
        const visitor = await visitorAt('/demo/');
        await visitor.context.grantPermissions(['camera'], { origin: relay.url });
        const ann = await agentWith(await visitor.start());
        const view = await reads(visitor, 'Ann Ahlberg would like to see this page');
        await visitor.press('Allow');
        await ann.seesPage();
        await ann.askVisitor();
        const screen = await reads(visitor, 'Share Your Screen');
        await visitor.press('Decline');
        await visitor.press('Show camera');
        const camera = await reads(visitor, 'Show your camera?');
        await visitor.page.getByText('Who sees it now: Ann Ahlberg.').waitFor();
        await visitor.press('Show my camera');
        await visitor.page.getByText('Your camera is being seen.').waitFor({ timeout: 20_000 });
        assert.deepEqual([view, screen, camera], [shown('view'), shown('screen'), shown('camera')]);
        assert.deepEqual(await receipts(), [
            { matter: 'view', happened: 'accepted', ...view },
            { matter: 'screen', happened: 'declined', ...screen },
            { matter: 'camera', happened: 'accepted', ...camera },
        ]);
    });

    // R108 R116
    test('of an invitation', async () => {
        const visitor = await visitorAt('/demo/?visitor=maria');
        const ann = await agentWith('', '&visitor=maria');
        const button = ann.page.getByRole('button', { name: /^Join maria/u });
        await until('Join is lit', () => button.isEnabled());
        await ann.page.bringToFront();
        await button.click();
        const view = await reads(visitor, 'Ann Ahlberg would like to see this page');
        await visitor.press('Allow');
        await ann.seesPage();
        assert.deepEqual(view, shown('view'));
        assert.deepEqual(await receipts(), [{ matter: 'view', happened: 'accepted', ...view }]);
    });

    /** The agent begins, the visitor follows the link. */
    async function byLink(action) {
        const ann = await agentWith();
        await ann.press(action);
        await ann.press('Start Session');
        const url = await ann.page.locator('.link-url').textContent();
        const key = ((await ann.page.locator('.link-key').textContent()) ?? '').replace(/\D/gu, '');
        const visitor = await visitorAt(`${new URL(`http://${url}`).pathname}?carrier=websocket`);
        await visitor.page.getByLabel('Key from your agent').fill(key);
        await visitor.press('Join');
        return { ann, visitor };
    }

    // R127 R138
    test('of a session that shows a screen', async () => {
        const { ann, visitor } = await byLink('Show my screen');
        const show = await reads(visitor, 'Ann Ahlberg would like to show you their screen');
        await visitor.press('Allow');
        await ann.page.getByRole('button', { name: 'Choose what to show' }).waitFor();
        assert.deepEqual(show, shown('show'));
        assert.deepEqual(await receipts(), [{ matter: 'view', happened: 'accepted', ...show }]);
    });

    // R136 R138 R139
    test('of a session that views a screen: one press answers both, in the same words', async () => {
        const { ann, visitor } = await byLink('View their screen');
        const tab = await openMovingTab(visitor.context, TITLE, { width: 800, height: 500, color: '#fffdf8', body: '<h1>My bank</h1>' });
        const screen = await reads(visitor, 'Ann Ahlberg will be viewing your screen');
        await visitor.press('Allow');
        await ann.page.getByText('The visitor is sharing a browser tab with you.').waitFor({ timeout: 20_000 });
        assert.deepEqual(screen, shown('screen'));
        assert.deepEqual(await receipts(), [
            { matter: 'view', happened: 'accepted', ...screen },
            { matter: 'screen', happened: 'accepted', ...screen },
        ]);
        await tab.close();
    });

    // R045 R116
    test('are named by the answer, and a page that names others gets nowhere', async () => {
        /** Every yes of this page names the words of something else. */
        const lie = () => {
            const send = WebSocket.prototype.send;
            WebSocket.prototype.send = function lied(data) {
                const bytes = data instanceof ArrayBuffer ? new Uint8Array(data) : data;
                const said = bytes instanceof Uint8Array ? new TextDecoder('latin1').decode(bytes) : '';
                const at = said.indexOf('"t":"consent"') === -1 ? -1 : said.indexOf('"words":"');
                if (at === -1) return send.call(this, data);
                const other = bytes.slice();
                other.fill(48, at + 9, at + 73);
                return send.call(this, other);
            };
        };
        const visitor = await visitorAt('/demo/', { init: [lie] });
        const ann = await agentWith(await visitor.start());
        const question = visitor.page.getByRole('dialog', { name: 'Ann Ahlberg would like to see this page' });
        await question.evaluate((dialog) => { dialog.firstElementChild.dataset.first = 'yes'; });
        await visitor.press('Allow');
        await until('it is asked again', () => question.evaluate((dialog) => dialog.firstElementChild.dataset.first === undefined));
        assert.equal((await ann.state()).stage, 'waiting');
        await visitor.press('Decline');
        await until('Ann is told', async () => (await ann.page.getByText(/said no|declined/iu).count()) > 0);
    });
});
