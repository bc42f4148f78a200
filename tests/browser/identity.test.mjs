// Signing in with the operator's own identity provider (R130): a certified OpenID Connect provider on loopback, the real relay,
// and Chromium that is sent there and back, for administrators at the console and for agents at theirs.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { startSession } from './cast.mjs';
import { freePort, startBrowser, startRelay, until } from './harness.mjs';
import { picture, serious } from './house.mjs';

const web = createRequire(resolve(import.meta.dirname, '../../web/package.json'));
const PEOPLE = {
    ada: { name: 'Ada Admin', preferred_username: 'ada', groups: ['fanlight-admins'] },
    ann: { name: 'Ann Ahlberg', preferred_username: 'ann.a', groups: ['everybody', 'helpdesk'] },
    eve: { name: 'Eve Elsewhere', preferred_username: 'eve', groups: ['everybody'] },
};

let relay;
let browser;
let server;
let secretFile;

/** The provider, as an operator would run one; `redirects` are registered exactly. */
async function startProvider(issuer, port, redirects) {
    const { default: Provider } = await import(pathToFileURL(web.resolve('oidc-provider')));
    const jwk = (type, options, more) => ({ ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), use: 'sig', ...more });
    const client = (id, alg, more) => ({
        client_id: id, redirect_uris: redirects, response_types: ['code'], grant_types: ['authorization_code'],
        id_token_signed_response_alg: alg, ...more,
    });
    const provider = new Provider(issuer, {
        clients: [client('fanlight', 'ES256', { client_secret: 'a secret with : and %', token_endpoint_auth_method: 'client_secret_basic' })],
        jwks: { keys: [jwk('rsa', { modulusLength: 2048 }, { alg: 'RS256', kid: 'r' }), jwk('ec', { namedCurve: 'P-256' }, { alg: 'ES256', kid: 'e' })] },
        pkce: { required: () => true },
        claims: { openid: ['sub'], profile: ['name', 'preferred_username', 'groups'], email: ['email'] },
        conformIdTokenClaims: false,
        findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...PEOPLE[id] }) }),
        features: { devInteractions: { enabled: true } },
        cookies: { keys: ['only for this test'] },
    });
    server = provider.listen(port, '127.0.0.1');
    await once(server, 'listening');
}

/** The provider's own pages: who it is, and that this is wanted. */
async function signInAtProvider(page, who) {
    await page.locator('input[name="login"]').fill(who);
    await page.locator('input[name="password"]').fill('anything');
    await page.locator('button[type="submit"]').click();
    await page.getByRole('button', { name: 'Continue' }).click();
}

const company = (page) => page.getByRole('link', { name: 'Sign in with your company account' });

describe('an identity provider', { timeout: 180_000 }, () => {
    before(async () => {
        const port = await freePort();
        const issuer = `http://127.0.0.1:${port}`;
        secretFile = join(tmpdir(), `fanlight-client-secret-${port}`);
        writeFileSync(secretFile, 'a secret with : and %\n', { mode: 0o600 });
        relay = await startRelay({
            extra: `[identity]
issuer = "${issuer}"
client_id = "fanlight"
client_secret_file = "${secretFile}"
subject = "preferred_username"
admins = ["fanlight-admins"]
agents = [{ value = "helpdesk", group = "demo" }]
`,
        });
        // The relay asks its provider when the first person comes, so the provider may start after it.
        await startProvider(issuer, port, [`${relay.operatorUrl}/v1/oidc/callback`, `${publicUrl()}/v1/oidc/callback`]);
        browser = await startBrowser();
    });

    after(async () => {
        await browser?.close();
        server?.closeAllConnections();
        server?.close();
        await relay?.stop();
    });

    /** The door as the relay itself names it when nothing else is written: the HTTPS one. */
    const publicUrl = () => `https://127.0.0.1:${Number(new URL(relay.url).port) + 1}`;

    test('an administrator signs in, works under their own name, and signs out', async () => {
        const context = await browser.newContext();
        const page = await context.newPage();
        await page.goto(`${relay.operatorUrl}/admin/`);
        await company(page).waitFor();
        assert.deepEqual(await serious(page), [], 'the sign-in page');
        await picture(page, 'identity-console');
        await company(page).click();
        await signInAtProvider(page, 'ada');
        await page.getByRole('link', { name: 'Demo' }).waitFor();
        assert.equal(await page.locator('.account').textContent(), 'Ada Admin');

        const [cookie] = (await context.cookies(relay.operatorUrl)).filter(({ name }) => name === 'fanlight_admin');
        assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, 'Strict']);
        assert.equal(await page.evaluate(() => document.cookie), '', 'no script reads it');
        assert.ok(!new URL(page.url()).search && !new URL(page.url()).hash.includes('code'), 'nothing is left in the address');

        await page.reload();
        await page.getByRole('link', { name: 'Demo' }).click();
        await page.getByRole('link', { name: 'Server keys' }).click();
        await page.getByLabel('Name, for example of the system that uses it').fill('Case desk');
        await page.getByRole('button', { name: 'Make key' }).click();
        const secret = await page.locator('code.secret').textContent();
        assert.match(secret, /^flk_[\w-]{44}$/u);
        assert.deepEqual(await serious(page), [], 'a secret that is shown once');
        await picture(page, 'identity-server-key');
        await page.getByRole('button', { name: 'Done' }).click();
        await page.getByText('admin:ada').waitFor();
        assert.deepEqual(await serious(page), [], 'the keys');
        const made = await fetch(`${relay.url}/v1/sessions`, { method: 'POST', headers: { authorization: `Bearer ${secret}` } });
        assert.equal(made.status, 201, 'and a server works with it');

        // An administrator lets nobody into a session, itself included (promises 3.2).
        const denied = await page.evaluate(async () => {
            const body = JSON.stringify({ session: '0'.repeat(32), role: 'agent', name: 'Ada', subject: 'ada' });
            const answer = await fetch('/v1/tickets', { method: 'POST', body });
            return [answer.status, (await answer.json()).code];
        });
        assert.deepEqual(denied, [403, 'E_ROLE']);

        await page.getByRole('button', { name: 'Sign out' }).click();
        await company(page).waitFor();
        const gone = await fetch(`${relay.operatorUrl}/v1/groups`, { headers: { cookie: `fanlight_admin=${cookie.value}` } });
        assert.equal(gone.status, 401, 'the handle is good for nothing');
        await context.close();
    });

    test('a page of another origin cannot act for an administrator', async () => {
        const context = await browser.newContext();
        const page = await context.newPage();
        await page.goto(`${relay.operatorUrl}/admin/`);
        await company(page).click();
        await signInAtProvider(page, 'ada');
        await page.getByRole('link', { name: 'Demo' }).waitFor();
        const act = (url) => page.evaluate(async (address) => {
            const wish = { method: 'POST', credentials: 'include', headers: { 'content-type': 'text/plain' }, body: '{"group":"stolen","name":"Stolen"}' };
            return fetch(address, wish).then((answer) => answer.status, () => 0);
        }, url);
        // Another port is the same site to SameSite: the origin is what counts.
        await page.goto(`${relay.url}/demo/agent.html`);
        await act(`${relay.operatorUrl}/v1/groups`);
        await page.goto(`${relay.operatorUrl}/admin/`);
        await page.getByRole('link', { name: 'Demo' }).waitFor();
        assert.equal(await page.getByText('Stolen').count(), 0);
        assert.equal(await act(`${relay.operatorUrl}/v1/groups`), 201, 'the console itself may');
        await context.close();
    });

    test('somebody who is no administrator is told so', async () => {
        const context = await browser.newContext();
        const page = await context.newPage();
        await page.goto(`${relay.operatorUrl}/admin/`);
        await company(page).click();
        await signInAtProvider(page, 'eve');
        await page.getByText('may not use this console').waitFor();
        await picture(page, 'identity-refused');
        assert.equal((await context.cookies(relay.operatorUrl)).some(({ name }) => name === 'fanlight_admin'), false);
        await context.close();
    });

    test('an agent that is not logged in is sent to the provider and comes back signed in', async () => {
        // R130
        const context = await browser.newContext({ ignoreHTTPSErrors: true });
        const page = await context.newPage();
        await page.goto(`${publicUrl()}/demo/agent.html?key=123456789`);
        await company(page).click();
        await signInAtProvider(page, 'ann');
        await page.getByText('Signed in as Ann Ahlberg').waitFor();
        assert.equal(new URL(page.url()).hash, '', 'the code does not stay in the address');
        assert.equal(await page.getByLabel("Visitor's key").inputValue(), '123 456 789', 'back where it began');
        await picture(page, 'identity-agent');
        await page.getByRole('button', { name: 'Sign out' }).click();
        await company(page).waitFor();

        const stranger = await context.newPage();
        await stranger.goto(`${publicUrl()}/demo/agent.html?key=987654321`);
        await context.clearCookies();
        await company(stranger).click();
        await signInAtProvider(stranger, 'eve');
        await stranger.getByText('did not work').waitFor();
        assert.equal(new URL(stranger.url()).pathname + new URL(stranger.url()).search, '/demo/agent.html?key=987654321', 'where it began');
        await context.close();
    });

    test('what a deactivated agent watches ends, and nothing more reaches it', async () => {
        // G-54
        const { visitor, agents: [ann, ben], close } = await startSession(browser, relay);
        await ann.page.evaluate(() => {
            new MutationObserver(() => {
                if (document.body.textContent.includes('The session is over')) window.__over ??= performance.timeOrigin + performance.now();
            }).observe(document.body, { childList: true, subtree: true });
        });
        const asked = performance.timeOrigin + performance.now();
        const changed = await relay.operate('PUT', '/v1/groups/demo/agents/ann', { name: 'Ann Ahlberg', active: false });
        assert.equal(changed.status, 200);
        await until('her view is over', () => ann.page.evaluate(() => window.__over !== undefined), 5_000);
        const over = await ann.page.evaluate(() => window.__over);
        console.log(`  revoked to over: ${(over - asked).toFixed(0)} ms (G-54: 1000)`);
        assert.match(await ann.page.locator('body').textContent(), /Please sign in again/u, 'with its reason');
        await visitor.page.evaluate(() => document.body.append('only for whoever is still there'));
        await until('Ben goes on', async () => (await ben.html()).includes('only for whoever is still there'), 5_000);
        assert.ok(!(await ann.page.content()).includes('only for whoever is still there'));
        await relay.operate('PUT', '/v1/groups/demo/agents/ann', { name: 'Ann Ahlberg', active: true });
        await close();
    });

    test('a stolen way back opens nothing', async () => {
        const start = await fetch(`${relay.operatorUrl}/v1/oidc/start`, { redirect: 'manual' });
        const asked = new URL(start.headers.get('location'));
        assert.deepEqual(['response_type', 'code_challenge_method', 'redirect_uri'].map((name) => asked.searchParams.get(name)),
            ['code', 'S256', `${relay.operatorUrl}/v1/oidc/callback`]);
        assert.ok(asked.searchParams.get('nonce').length >= 22 && asked.searchParams.get('state').length >= 22);
        const state = asked.searchParams.get('state');
        const back = (cookie, wanted = state) => fetch(`${relay.operatorUrl}/v1/oidc/callback?code=stolen&state=${wanted}`, { redirect: 'manual', headers: { cookie } });
        for (const answer of [await back('fanlight_flow=guess'), await back(start.headers.get('set-cookie').split(';')[0]), await back('', 'unknown')]) {
            assert.deepEqual([answer.status, answer.headers.get('location'), answer.headers.get('set-cookie')], [302, '/admin/#refused=E_LOGIN', null]);
        }
        const agent = await fetch(`${relay.url}/v1/oidc/callback?code=stolen&state=unknown`, { redirect: 'manual' });
        const home = agent.headers.get('location');
        assert.equal(home, '/agent/#refused=E_LOGIN', 'a page that is there with the demo off, too');
        assert.equal((await fetch(new URL(home, relay.url))).status, 200);
        const elsewhere = await fetch(`${relay.operatorUrl}/v1/oidc/start?back=//evil.example`, { redirect: 'manual' });
        assert.equal(elsewhere.status, 302);
        const log = relay.log();
        for (const canary of [state, readFileSync(secretFile, 'utf8').trim(), 'Ada Admin']) {
            assert.ok(!log.includes(canary), 'nothing of it in the log');
        }
    });
});
