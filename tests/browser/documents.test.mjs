// The console's editor of approved documents: added, tried out against a real host of documents, saved.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { startBrowser, startRelay } from './harness.mjs';
import { picture, serious, signInAsOperator } from './house.mjs';

let browser;
let relay;
let host;
let folder;
let origin;

/** A host of two documents: one that any page may read, one that none may. */
async function startHost() {
    folder = mkdtempSync(join(tmpdir(), 'fanlight-documents-'));
    const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(folder, name));
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost',
        '-addext', 'subjectAltName=DNS:localhost', '-addext', 'basicConstraints=critical,CA:FALSE', '-keyout', key, '-out', cert], { stdio: 'ignore' });
    host = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => {
        response.setHeader('content-type', 'application/pdf');
        if (request.url === '/open.pdf') response.setHeader('access-control-allow-origin', '*');
        response.end('%PDF-1.7');
    });
    host.listen(0, '127.0.0.1');
    await once(host, 'listening');
    origin = `https://localhost:${host.address().port}`;
    return cert;
}

before(async () => {
    const cert = await startHost();
    browser = await startBrowser();
    relay = await startRelay({ extra: `[outbound]\nnamed = ["${origin}"]\nca_file = "${cert}"\n` });
});

after(async () => {
    await browser?.close();
    await relay?.stop();
    host?.closeAllConnections();
    host?.close();
    if (folder) rmSync(folder, { recursive: true, force: true });
});

describe('approved documents in the console', () => {
    // R089, R091–R094, R096–R099
    test('a link is checked before it is saved', async () => {
        const context = await browser.newContext({ viewport: { width: 1200, height: 1000 } });
        context.setDefaultTimeout(20_000);
        const page = await context.newPage();
        const errors = [];
        page.on('pageerror', (error) => errors.push(String(error)));
        await signInAsOperator(page, relay, '#/groups/demo/rules');
        const documents = page.getByRole('region', { name: 'Approved documents' });
        await documents.getByRole('button', { name: 'Add document' }).click();
        await page.keyboard.type('Price list');
        await documents.getByLabel('Address').fill(`${origin}/closed.pdf`);
        const check = documents.getByRole('button', { name: /^Check link of/u });
        await check.click();
        await documents.getByText('Access-Control-Allow-Origin is missing').first().waitFor();
        assert.deepEqual(await serious(page), [], 'with findings');
        await picture(page, 'admin-documents', { fullPage: true });
        await documents.getByLabel('Address').fill(`${origin}/open.pdf`);
        await check.click();
        await documents.getByText('may read it').first().waitFor();
        assert.equal(await documents.locator('[data-good="false"]').count(), 0);
        await documents.getByLabel('Address').fill('https://127.0.0.1/x.pdf');
        await check.click();
        await documents.getByText('not on the public internet').waitFor();
        await documents.getByLabel('Address').fill(`${origin}/open.pdf`);
        await documents.getByLabel('May be saved').check();
        await page.getByRole('button', { name: 'Save to staging' }).click();
        await page.getByText(/Saved as version/u).waitFor();
        const staging = await relay.operate('GET', '/v1/groups/demo/policy/staging');
        assert.deepEqual(staging.body.bundle.documents.links, [
            { id: 'document-1', name: 'Price list', url: `${origin}/open.pdf`, roles: [], active: true, download: true, type: 'pdf' },
        ]);
        assert.deepEqual(errors, []);
        await context.close();
    });
});
