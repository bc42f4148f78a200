// The people of a browser test: a visitor on the demo shop and agents in the console, played by real clicks.

import { inflateRawSync } from 'node:zlib';

import { until } from './harness.mjs';

/** Names of the demo relay's agents. */
export const NAMES = { ann: 'Ann Ahlberg', ben: 'Ben Okafor' };

/** Keeps every peer connection of the page in `__peers`, for its statistics. */
function keepPeers() {
    window.__peers = [];
    const Native = window.RTCPeerConnection;
    window.RTCPeerConnection = class extends Native {
        constructor(...given) {
            super(...given);
            window.__peers.push(this);
        }
    };
}

/** What a network without UDP amounts to: the relay's UDP candidates never reach the browser. */
function withoutUdp() {
    const native = RTCPeerConnection.prototype.setRemoteDescription;
    RTCPeerConnection.prototype.setRemoteDescription = function setRemoteDescription(description) {
        const lines = description.sdp.split('\r\n').filter((line) => !/^a=candidate:.* udp /iu.test(line));
        return native.call(this, { type: description.type, sdp: lines.join('\r\n') });
    };
}

/** Copies everything that leaves the page by a carrier into `__sent`, before it leaves. */
function recordSent() {
    window.__sent = [];
    const keep = (lane, data) => {
        const bytes = data instanceof ArrayBuffer ? new Uint8Array(data) : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
        window.__sent.push({ lane, bytes: btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')) });
    };
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function recorded(data) {
        keep(0, data);
        return send.call(this, data);
    };
    let lanes = 0;
    const write = WritableStreamDefaultWriter.prototype.write;
    WritableStreamDefaultWriter.prototype.write = function recorded(data) {
        if (ArrayBuffer.isView(data)) {
            this.__lane ??= lanes += 1;
            keep(this.__lane, data);
        }
        return write.call(this, data);
    };
}

function onlyWebSocket() {
    delete window.WebTransport;
}

async function openPage(browser, { viewport = { width: 1000, height: 700 }, init = [] }) {
    const context = await browser.newContext({ viewport });
    context.setDefaultTimeout(10_000);
    await context.addInitScript(keepPeers);
    for (const script of init) await context.addInitScript(script);
    const page = await context.newPage();
    const errors = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    return { context, page, errors };
}

class Person {
    constructor(relay, { context, page, errors }) {
        Object.assign(this, { relay, context, page, errors });
    }

    /** Presses a button by its name, also in the widget's shadow root. */
    async press(name) {
        // A page behind another one draws once a second, and a click waits until what it clicks stands still.
        await this.page.bringToFront();
        return this.page.getByRole('button', { name, exact: true }).click();
    }

    /** Every RTP and transport statistic of the page's living peer connections. */
    stats() {
        return this.page.evaluate(async () => {
            const all = [];
            for (const peer of window.__peers.filter((one) => one.connectionState !== 'closed')) {
                for (const entry of (await peer.getStats()).values()) all.push(entry);
            }
            return all;
        });
    }

    /** Frames of video decoded so far, and their newest size. */
    async decoded() {
        const inbound = (await this.stats()).filter((entry) => entry.type === 'inbound-rtp' && entry.kind === 'video');
        const newest = inbound.toSorted((a, b) => (b.framesDecoded ?? 0) - (a.framesDecoded ?? 0))[0];
        return { frames: newest?.framesDecoded ?? 0, width: newest?.frameWidth ?? 0, height: newest?.frameHeight ?? 0 };
    }

    /** `udp` or `tcp`: what the selected candidate pair of the media runs over. */
    async mediaProtocol() {
        const stats = await this.stats();
        const transport = stats.find((entry) => entry.type === 'transport' && entry.selectedCandidatePairId);
        const pair = stats.find((entry) => entry.id === transport?.selectedCandidatePairId);
        return stats.find((entry) => entry.id === pair?.localCandidateId)?.protocol;
    }

    close() {
        return this.context.close();
    }
}

/** The visitor, on a page of the demo shop. */
export class Visitor extends Person {
    /** `carrier`: `websocket` or `webtransport`; `record`: keep what is sent; `tcp`: media without UDP. */
    static async open(browser, relay, { carrier = 'websocket', record = false, tcp = false, path = '/demo/', init = [], viewport } = {}) {
        const scripts = [...(carrier === 'websocket' ? [onlyWebSocket] : []), ...(record ? [recordSent] : []), ...(tcp ? [withoutUdp] : [])];
        const opened = await openPage(browser, { viewport, init: [...scripts, ...init] });
        const visitor = new Visitor(relay, opened);
        visitor.carrier = carrier;
        await visitor.page.goto(relay.url + path);
        return visitor;
    }

    /** Asks for help and reads the key from the widget. */
    async start() {
        await this.page.locator('[data-fanlight-start]').first().click();
        const key = await this.key();
        await until('the visitor is connected', () => this.page.evaluate((carrier) => Fanlight.facts?.carrier === carrier, this.carrier));
        return key;
    }

    /** The nine digits that the widget shows, other than `before`. */
    async key(before = '') {
        const digits = this.page.locator('fanlight-widget .digits');
        return until('a key is shown', async () => {
            const text = (await digits.textContent().catch(() => '')) ?? '';
            return /^\d{9}$/u.test(text) && text !== before && (await digits.isVisible()) ? text : undefined;
        });
    }

    /** A further key, for one more agent. */
    async newKey() {
        const before = (await this.page.locator('fanlight-widget .digits').textContent()) ?? '';
        await this.press('New key');
        return this.key(before);
    }

    /** Agrees to be seen by the agent of that name. */
    async allow(name) {
        await this.page.getByRole('heading', { name: `${name} would like to see this page` }).waitFor();
        await this.press('Allow');
    }

    /** Agrees to show a screen; the browser's picker chooses by flag. */
    async acceptShare() {
        await this.page.getByRole('heading', { name: 'Share Your Screen' }).waitFor();
        await this.press('Accept');
    }

    html() {
        return this.page.evaluate(() => window.Fanlight?.pageHtml() ?? '');
    }

    facts() {
        return this.page.evaluate(() => Fanlight.facts);
    }

    /** Every whole frame that left this page so far. Only with `record`. */
    async sent() {
        return framesOf(await this.page.evaluate(() => window.__sent));
    }

    /** Snapshots this page has sent so far (counted by their first chunks). Only with `record`. */
    async snapshotsSent() {
        return (await this.sent()).filter((frame) => frame.kind === KIND.snapshot && frame.chunkIndex === 0).length;
    }
}

/** An agent in the console. */
export class Agent extends Person {
    /** Opens the console, signs in and enters the key, up to the visitor's decision; without a key, up to the desk. */
    static async open(browser, relay, agent, key, { carrier = 'websocket', tcp = false, init = [], viewport, query = '' } = {}) {
        const opened = await openPage(browser, { viewport, init: [...(tcp ? [withoutUdp] : []), ...init] });
        const person = new Agent(relay, opened);
        person.agent = agent;
        person.name = NAMES[agent];
        await person.page.goto(`${relay.url}/demo/agent.html?agent=${agent}&key=${key}&carrier=${carrier}${query}`);
        if (key === '') {
            await person.page.getByRole('heading', { name: 'Have a key?' }).waitFor();
        } else {
            await person.press('Connect');
        }
        return person;
    }

    /** The mirrored page is on screen. */
    seesPage(bound) {
        return until(`${this.name} sees the page`, () => this.page.evaluate(() => (window.__fanlight?.pageHtml() ?? '') !== ''), bound);
    }

    html() {
        return this.page.evaluate(() => window.__fanlight.pageHtml());
    }

    state() {
        return this.page.evaluate(() => window.__fanlight.state());
    }

    /** Opens a menu of the toolbar and chooses an item. */
    async choose(menu, item) {
        await this.page.bringToFront();
        await this.page.getByRole('button', { name: menu, exact: true }).click();
        await this.page.getByRole('menuitem', { name: item }).click();
    }

    shareMine() {
        return this.choose('Share Screen', /^Share (?:my screen|something else)/u);
    }

    askVisitor() {
        return this.choose('Share Screen', /^Ask the visitor/u);
    }

    /** Loses the carrier as a broken network would; answers what the console then knows of its connection. */
    drop() {
        return this.page.evaluate(() => {
            window.__fanlight.drop();
            return window.__fanlight.quality().connection;
        });
    }
}

/** Brings an agent into the visitor's session: key, console, consent, first picture. */
export async function join(browser, relay, visitor, agent, key, options = {}) {
    const person = await Agent.open(browser, relay, agent, key, options);
    await visitor.allow(person.name);
    await person.seesPage();
    return person;
}

/** A visitor with Ann and Ben, all in one session and looking at the page. */
export async function startSession(browser, relay, { carrier, visitor: visitorOptions = {}, agents = ['ann', 'ben'], agent: agentOptions = {} } = {}) {
    const visitor = await Visitor.open(browser, relay, { carrier, ...visitorOptions });
    const people = [];
    let key = await visitor.start();
    for (const agent of agents) {
        if (people.length > 0) key = await visitor.newKey();
        people.push(await join(browser, relay, visitor, agent, key, { carrier, ...agentOptions }));
    }
    return { visitor, agents: people, close: () => Promise.all([visitor, ...people].map((one) => one.close())) };
}

/** Waits until the agent's page is the visitor's, and says in which line they differ if it never is. */
export async function samePage(visitor, agent, bound = 3_000) {
    let pair = ['', ''];
    const equal = async () => {
        pair = await Promise.all([visitor.html(), agent.html()]);
        return pair[0] !== '' && pair[0] === pair[1];
    };
    await until(`${agent.name}'s page equals the visitor's`, equal, bound).catch((error) => {
        const [ours, theirs] = pair.map((text) => text.split('\n'));
        const at = ours.findIndex((line, index) => line !== theirs[index]);
        throw new Error(`${error.message}\nline ${at}:\n visitor ${ours[at]}\n agent   ${theirs[at]}`);
    });
    return pair[0];
}

export const KIND = { signal: 0x01, pointer: 0x20, snapshot: 0x30, diff: 0x31, asset: 0x32 };
const HEADER = 28;
const DEFLATED = 1;

/** Cuts recorded writes into frames (docs/protocol.md, header). The first byte of a WebTransport stream names its class. */
export function framesOf(writes) {
    const frames = [];
    const rest = new Map();
    for (const { lane, bytes } of writes) {
        let buffer = Buffer.concat([rest.get(lane) ?? Buffer.alloc(0), Buffer.from(bytes, 'base64')]);
        if (lane !== 0 && !rest.has(lane) && buffer.length === 1) buffer = Buffer.alloc(0);
        while (buffer.length >= HEADER) {
            const end = HEADER + buffer.readUInt32BE(24);
            if (buffer.length < end) break;
            frames.push({
                kind: buffer[1],
                deflated: (buffer[2] & DEFLATED) !== 0,
                message: buffer.readUInt32BE(12),
                chunkIndex: buffer.readUInt16BE(16),
                chunkCount: buffer.readUInt16BE(18),
                payload: buffer.subarray(HEADER, end),
            });
            buffer = buffer.subarray(end);
        }
        rest.set(lane, buffer);
    }
    return frames;
}

/** The payloads of whole messages, decompressed, with the kind of each. */
export function messagesOf(frames) {
    const open = new Map();
    const messages = [];
    for (const frame of frames) {
        const key = `${frame.kind} ${frame.message}`;
        const parts = [...(open.get(key) ?? []), frame.payload];
        open.set(key, parts);
        if (parts.length === frame.chunkCount) {
            const bytes = Buffer.concat(parts);
            messages.push({ kind: frame.kind, bytes: frame.deflated ? inflateRawSync(bytes) : bytes });
            open.delete(key);
        }
    }
    return messages;
}
