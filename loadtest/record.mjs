// Records how a real page changes: drives Chromium over it as a visitor would, with rrweb recording, and writes what a relay sees of
// that: the size of the snapshot, and of every batch of changes when it happened, compressed as the visitor widget compresses.
//
//     node loadtest/record.mjs [url] [seconds] > loadtest/traces/shop.json
//
// Without a URL it serves the shop of web/demo itself, so that it needs no relay.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { extname, join, normalize, resolve } from 'node:path';
import { deflateRawSync } from 'node:zlib';

const root = resolve(import.meta.dirname, '..');
const { chromium } = createRequire(join(root, 'web/package.json'))('playwright-core');
const recorder = readFileSync(join(root, 'web/node_modules/@rrweb/record/dist/record.umd.min.cjs'), 'utf8');
// Changes that happen within one frame of the screen travel together.
const BATCH_MS = 16;
const TYPES = { '.html': 'text/html', '.css': 'text/css', '.js': 'text/javascript', '.svg': 'image/svg+xml' };

function serveShop() {
    const folder = join(root, 'web/demo/shop');
    const server = createServer((request, response) => {
        const path = normalize(new URL(request.url, 'http://localhost').pathname).replace(/\/$/, '/index.html');
        try {
            const body = readFileSync(join(folder, path));
            response.writeHead(200, { 'content-type': TYPES[extname(path)] ?? 'application/octet-stream' }).end(body);
        } catch {
            response.writeHead(404).end();
        }
    });
    return new Promise((done) => server.listen(0, '127.0.0.1', () => done(server)));
}

async function visit(page, seconds) {
    const until = Date.now() + seconds * 1000;
    for (let turn = 0; Date.now() < until; turn += 1) {
        await page.mouse.wheel(0, turn % 4 === 3 ? -900 : 350);
        await page.mouse.move(200 + ((turn * 97) % 700), 150 + ((turn * 61) % 400), { steps: 8 });
        const field = page.locator('input[type=text], input[type=search], input:not([type]), textarea').first();
        if (turn % 3 === 1 && (await field.count()) > 0) {
            await field.pressSequentially('wool socks', { delay: 60, timeout: 2000 }).catch(() => {});
            await field.fill('', { timeout: 2000 }).catch(() => {});
        }
        const buttons = page.locator('button');
        const count = await buttons.count();
        if (turn % 2 === 0 && count > 0) {
            await buttons.nth(turn % count).click({ timeout: 500, noWaitAfter: true }).catch(() => {});
        }
        await page.waitForTimeout(250);
    }
}

function batches(events) {
    const changes = [];
    let batch = [];
    const flush = () => {
        if (batch.length === 0) return;
        changes.push([batch[0].timestamp, deflateRawSync(JSON.stringify(batch)).length]);
        batch = [];
    };
    for (const event of events) {
        if (batch.length > 0 && event.timestamp - batch[0].timestamp > BATCH_MS) flush();
        batch.push(event);
    }
    flush();
    return changes;
}

const [url, seconds = '20'] = process.argv.slice(2);
const server = url ? null : await serveShop();
const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu'],
});
try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    const events = [];
    await page.exposeFunction('keepEvent', (event) => void events.push(JSON.parse(event)));
    await page.goto(url || `http://127.0.0.1:${server.address().port}/index.html`);
    await page.evaluate(`${recorder}; (globalThis.rrwebRecord ?? globalThis.rrweb).record({ emit: (event) => keepEvent(JSON.stringify(event)) });`);
    await visit(page, Number(seconds));
    const FULL_SNAPSHOT = 2;
    const snapshot = events.find((event) => event.type === FULL_SNAPSHOT);
    const start = snapshot.timestamp;
    const changes = batches(events.filter((event) => event.timestamp > start && event.type !== FULL_SNAPSHOT));
    const trace = {
        about: 'snapshot_bytes: the first whole page; changes: [milliseconds since then, bytes], deflated',
        snapshot_bytes: deflateRawSync(JSON.stringify(snapshot)).length,
        changes: changes.map(([at, bytes]) => [at - start, bytes]),
    };
    process.stdout.write(`${JSON.stringify(trace)}\n`);
} finally {
    await browser.close();
    server?.close();
}
