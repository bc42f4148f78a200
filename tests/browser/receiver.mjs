// A server of the operator's or of a group's: keeps what the relay sends it, answers as it is told.

import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import { once } from 'node:events';

export async function startReceiver() {
    const received = [];
    let status = 204;
    const server = createServer(async (request, response) => {
        const parts = [];
        for await (const part of request) parts.push(part);
        received.push({ path: request.url, headers: request.headers, body: Buffer.concat(parts).toString('utf8') });
        response.writeHead(status).end();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return {
        origin: `http://127.0.0.1:${server.address().port}`,
        received,
        answer(code) {
            status = code;
        },
        close: () => new Promise((resolve) => server.close(resolve).closeAllConnections()),
    };
}

/** As docs/webhooks.md shows it. */
export function isFromFanlight(secret, headers, body) {
    const id = headers['webhook-id'];
    const at = headers['webhook-timestamp'];
    if (Math.abs(Date.now() / 1000 - Number(at)) > 300) return false;
    const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
    const wanted = createHmac('sha256', key).update(`${id}.${at}.${body}`).digest();
    return headers['webhook-signature'].split(' ').some((one) => {
        const given = Buffer.from(one.replace('v1,', ''), 'base64');
        return given.length === wanted.length && timingSafeEqual(given, wanted);
    });
}
