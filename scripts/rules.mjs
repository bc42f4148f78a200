#!/usr/bin/env node
// Which test proves which rule. A test says so in a comment inside it or just above it (`// R015, R040–R042`); this collects them into
// docs/rules.md.
//
//   scripts/rules.mjs            writes docs/rules.md
//   scripts/rules.mjs --check    docs/rules.md is what the sources say, and every required rule has a test
//   scripts/rules.mjs --results  besides: each of these tests passed in the last run of the suites (reports under target/)

import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const TABLE = join(root, 'docs/rules.md');
const REPORTS = [
    'target/nextest/default/junit.xml',
    'target/nextest/e2e/junit.xml',
    'target/reports/web.xml',
    'target/reports/browser.xml',
];
const SKIPPED = new Set(['node_modules', 'target', 'dist', '.git', 'corpus']);

const rules = JSON.parse(readFileSync(join(root, 'tests/rules.json'), 'utf8'));
const proofs = collect();
const text = table();
const faults = [];

if (process.argv.length === 2) {
    writeFileSync(TABLE, text);
} else {
    if (!existsSync(TABLE) || readFileSync(TABLE, 'utf8') !== text) {
        faults.push('docs/rules.md is not what the sources say: run scripts/rules.mjs and commit the file.');
    }
    for (const rule of rules) {
        if (rule.required && !proofs.has(rule.id)) faults.push(`${rule.id} has no test that names it: ${rule.says}`);
    }
    if (process.argv.includes('--results')) faults.push(...notPassed());
}

for (const fault of faults) console.error(fault);
const proven = rules.filter((rule) => proofs.has(rule.id)).length;
const tests = new Set([...proofs.values()].flat().map((proof) => `${proof.file} ${proof.name}`)).size;
console.log(`rules: ${proven} of ${rules.length} proven by ${tests} tests; ${faults.length} faults`);
process.exit(faults.length > 0 ? 1 : 0);

/** Rule id → tests that name it. */
function collect() {
    const found = new Map();
    for (const file of sources(root)) {
        const lines = readFileSync(file, 'utf8').split('\n');
        for (const test of file.endsWith('.rs') ? rustTests(lines) : nodeTests(lines)) {
            for (const id of idsIn(lines.slice(test.from, test.to))) {
                const proof = { file: relative(root, file).split(sep).join('/'), name: test.name };
                found.set(id, [...(found.get(id) ?? []), proof]);
            }
        }
    }
    return found;
}

function* sources(folder) {
    for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
        if (SKIPPED.has(entry.name)) continue;
        const path = join(folder, entry.name);
        if (entry.isDirectory()) yield* sources(path);
        else if (/\.rs$|\.test\.(ts|mjs)$/u.test(entry.name)) yield path;
    }
}

/** A test function with the comments and attributes above it. */
function* rustTests(lines) {
    for (const [at, line] of lines.entries()) {
        const attribute = /^(\s*)#\[(tokio::)?test\b/u.exec(line);
        if (!attribute) continue;
        const head = lines.slice(at, at + 8).findIndex((next) => /\bfn (\w+)/u.test(next));
        if (head < 0) continue;
        const name = /\bfn (\w+)/u.exec(lines[at + head])[1];
        let from = at;
        while (from > 0 && /^\s*(\/\/|#\[)/u.test(lines[from - 1])) from -= 1;
        yield { name, from, to: closing(lines, at + head, attribute[1]) };
    }
}

function* nodeTests(lines) {
    for (const [at, line] of lines.entries()) {
        const call = /^(\s*)(?:await )?(?:test|it|describe|[a-z]+\.test)\(\s*(['"`])(.*?)\2/u.exec(line);
        if (!call) continue;
        let from = at;
        while (from > 0 && /^\s*\/\//u.test(lines[from - 1])) from -= 1;
        yield { name: call[3], from, to: closing(lines, at, call[1]) };
    }
}

/** The line after the one that closes what `head` opens: the first that is indented no deeper. */
function closing(lines, head, indent) {
    for (let at = head + 1; at < lines.length; at += 1) {
        if (lines[at].startsWith(`${indent}}`)) return at + 1;
    }
    return lines.length;
}

/** Ids in comments; `R116–R118` is three of them. */
function idsIn(lines) {
    const ids = new Set();
    for (const line of lines) {
        const comment = /\/\/(.*)$/u.exec(line)?.[1] ?? '';
        for (const [, first, last] of comment.matchAll(/\bR(\d{3})(?:\s*[–-]\s*R?(\d{3}))?\b/gu)) {
            for (let id = Number(first); id <= Number(last ?? first); id += 1) ids.add(`R${String(id).padStart(3, '0')}`);
        }
    }
    return ids;
}

function table() {
    const rows = rules.map((rule) => {
        const named = (proofs.get(rule.id) ?? []).map((proof) => `\`${proof.file}\` ${proof.name.replaceAll('|', '\\|')}`);
        const result = named.length > 0 ? 'passes' : rule.required ? '**missing**' : 'to come';
        return `| ${rule.id} | ${rule.says.replaceAll('|', '\\|')} | ${[...new Set(named)].join('<br>')} | ${result} |`;
    });
    return [
        '# Rules and their tests',
        '',
        'Made by `scripts/rules.mjs` from the comments in the tests; `make test` runs every one of them, and fails when one fails, when a rule that is',
        'built has no test, or when this table is old. `make rules-results` reads it off the reports. A rule "to come" belongs to a part that is not',
        'built yet, or only in parts.',
        '',
        '| rule | says | tests | result |',
        '|---|---|---|---|',
        ...rows,
        '',
    ].join('\n');
}

/** Tests of the table that the reports do not show as passed. */
function notPassed() {
    const missing = REPORTS.filter((report) => !existsSync(join(root, report)));
    if (missing.length > 0) return missing.map((report) => `${report} is missing: run make test first.`);
    const passed = new Set(REPORTS.flatMap((report) => passedIn(readFileSync(join(root, report), 'utf8'))));
    const all = [...proofs].flatMap(([id, tests]) => tests.map((test) => ({ id, ...test })));
    return all.filter((proof) => !passed.has(proof.name)).map((proof) => `${proof.id}: "${proof.name}" in ${proof.file} did not run and pass.`);
}

/** Names of test cases without a failure, an error or a skip; of a Rust path, its last part. */
function passedIn(report) {
    const names = [];
    for (const [, attributes, body] of report.matchAll(/<testcase\b([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/gu)) {
        const name = /\bname="([^"]*)"/u.exec(attributes)?.[1];
        if (name === undefined || /<(failure|error|skipped)\b/u.test(body ?? '')) continue;
        const plain = unescaped(name);
        names.push(plain, plain.split('::').at(-1));
    }
    for (const [, attributes] of report.matchAll(/<testsuite\b([^>]*)>/gu)) {
        const name = /\bname="([^"]*)"/u.exec(attributes)?.[1];
        if (name !== undefined && /\bfailures="0"/u.test(attributes)) names.push(unescaped(name));
    }
    return names;
}

function unescaped(text) {
    const entities = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };
    return text
        .replace(/&#x([0-9a-f]+);/giu, (_, hex) => String.fromCodePoint(Number.parseInt(hex, 16)))
        .replace(/&#(\d+);/gu, (_, decimal) => String.fromCodePoint(Number(decimal)))
        .replace(/&(lt|gt|quot|apos|amp);/gu, (_, name) => entities[name]);
}
