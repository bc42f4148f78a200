// Starts the real relay binary and real Chromium for the tests of this folder, and tears both down.
// Every wait has a bound; nothing is retried.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { createRequire } from 'node:module';
import { loadavg, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');
const { chromium } = createRequire(join(root, 'web/package.json'))('playwright-core');

const CHROMIUM_FLAGS = [
    '--no-sandbox',
    '--disable-gpu',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--allow-loopback-in-peer-connection',
];

/** A TCP port that was free a moment ago, with `count` more after it. */
export async function freePort(count = 1) {
    for (let attempt = 0; attempt < 50; attempt += 1) {
        const first = await probe(0);
        const rest = await Promise.all(
            Array.from({ length: count - 1 }, (_, at) => probe(first + 1 + at).catch(() => null)),
        );
        if (!rest.includes(null)) return first;
    }
    throw new Error('no free ports');
}

async function probe(port) {
    const server = createServer();
    server.listen(port, '127.0.0.1');
    await Promise.race([once(server, 'listening'), once(server, 'error').then(([error]) => Promise.reject(error))]);
    const found = server.address().port;
    server.close();
    await once(server, 'close');
    return found;
}

/**
 * Starts `fanlight run` with a configuration of its own in a folder of its own.
 * `media` and `quic` are extra lines of those sections.
 */
export async function startRelay({ media = '', quic = '', extra = '' } = {}) {
    const folder = mkdtempSync(join(tmpdir(), 'fanlight-'));
    const base = await freePort(10);
    const config = `
[public]
http = "127.0.0.1:${base}"
https = "127.0.0.1:${base + 1}"
[operator]
listen = "127.0.0.1:${base + 2}"
token_file = "${folder}/operator.token"
[local]
listen = "127.0.0.1:${base + 3}"
[media]
base_port = ${base + 4}
shards = 1
${media}
[quic]
base_port = ${base + 6}
${quic}
[store]
path = "${folder}/fanlight.db"
${extra}
`;
    const path = join(folder, 'fanlight.toml');
    writeFileSync(path, config);
    const binary = process.env.FANLIGHT_BIN ?? join(root, 'target/release/fanlight');
    const child = spawn(binary, ['run', '--config', path], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
    const log = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => log.push(String(text)));
    const relay = {
        url: `http://127.0.0.1:${base}`,
        operatorUrl: `http://127.0.0.1:${base + 2}`,
        localUrl: `http://127.0.0.1:${base + 3}`,
        mediaPort: base + 4,
        quicPort: base + 6,
        pid: child.pid,
        folder,
        log: () => log.join(''),
        metrics: async () => (await fetch(`http://127.0.0.1:${base + 3}/metrics`)).text(),
        operatorToken: () => readFileSync(join(folder, 'operator.token'), 'utf8').trim(),
        /** A request at the operator's door. */
        async operate(method, at, body, headers = {}) {
            const answer = await fetch(relay.operatorUrl + at, {
                method,
                headers: { authorization: `Bearer ${relay.operatorToken()}`, 'content-type': 'application/json', ...headers },
                ...(body === undefined ? {} : { body: JSON.stringify(body) }),
            });
            return { status: answer.status, etag: answer.headers.get('etag'), body: await answer.json().catch(() => undefined) };
        },
        async stop() {
            if (child.exitCode === null) {
                child.kill('SIGTERM');
                const second = setTimeout(() => child.kill('SIGTERM'), 500);
                const last = setTimeout(() => child.kill('SIGKILL'), 5_000);
                await once(child, 'exit');
                clearTimeout(second);
                clearTimeout(last);
            }
            rmSync(folder, { recursive: true, force: true });
        },
    };
    await until('the relay is ready', async () => {
        if (child.exitCode !== null) throw new Error(`the relay exited:\n${relay.log()}`);
        return fetch(`${relay.localUrl}/ready`).then((answer) => answer.ok, () => false);
    }, 15_000);
    return relay;
}

/** One browser; each participant gets a context of its own. */
export function startBrowser(flags = []) {
    return chromium.launch({ executablePath: '/usr/bin/chromium', headless: true, args: [...CHROMIUM_FLAGS, ...flags] });
}

/** A browser that can be killed, as a machine that loses its power: nothing that it has open is closed. */
export async function startMortal(flags = []) {
    const server = await chromium.launchServer({ executablePath: '/usr/bin/chromium', headless: true, args: [...CHROMIUM_FLAGS, ...flags] });
    return { browser: await chromium.connect(server.wsEndpoint()), kill: () => server.kill() };
}

/**
 * A browser with a profile, for what a private window does not do (capture handles). It is one context, which ends with whoever
 * is the first to close it.
 */
export async function startProfile(flags = []) {
    const folder = mkdtempSync(join(tmpdir(), 'fanlight-profile-'));
    const context = await chromium.launchPersistentContext(folder, { executablePath: '/usr/bin/chromium', headless: true, args: [...CHROMIUM_FLAGS, ...flags] });
    // Chromium writes to it until it has gone.
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
    return { newContext: () => Promise.resolve(context) };
}

/** Waits until `check` yields something true, with a bound. */
export async function until(what, check, bound = 10_000) {
    const end = performance.now() + bound;
    let last;
    while (performance.now() < end) {
        last = await check();
        if (last) return last;
        await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error(`not within ${bound} ms: ${what} (last: ${JSON.stringify(last)})`);
}

/** The sum of a metric's samples whose labels contain `labels`. */
export function metric(text, name, labels = '') {
    const lines = text.split('\n').filter((line) => line.startsWith(name) && line.includes(labels));
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

/** p50, p99 and max of a list of numbers. */
export function percentiles(values) {
    const sorted = [...values].sort((a, b) => a - b);
    const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
    return { count: sorted.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: sorted.at(-1) };
}

/** A figure in the test's output, with the load it was taken under. */
export function figure(name, values, unit = 'ms') {
    const { count, p50, p95, p99, max } = percentiles(values);
    const [p50s, p95s, p99s, maxs] = [p50, p95, p99, max].map((value) => value.toFixed(1));
    console.log(`figure ${name}: p50 ${p50s} p95 ${p95s} p99 ${p99s} max ${maxs} ${unit} (n=${count}, load ${loadavg()[0].toFixed(1)})`);
    return { p50, p95, p99, max };
}
