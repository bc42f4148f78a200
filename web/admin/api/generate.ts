/**
 * `npm run client`: makes `openapi.generated.ts` from `docs/openapi.json`. Its first line says of which document it was made,
 * so that a test notices when one of them changed alone. The generator needs an older compiler than this project, so it is
 * fetched at a fixed version when it is asked for, and not installed beside the project's own.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const DOCUMENT = resolve(import.meta.dirname, '../../../docs/openapi.json');
const OUTPUT = join(import.meta.dirname, 'openapi.generated.ts');
const TOOLS = ['--package=openapi-typescript@7.13.0', '--package=typescript@5.9.3'];

/** The first line of the generated file. */
export function stamp(document: Buffer): string {
  return `// Made of docs/openapi.json, SHA-256 ${createHash('sha256').update(document).digest('hex')}`;
}

export const files = { document: DOCUMENT, output: OUTPUT };

if (process.argv[1] === import.meta.filename) {
  execFileSync('npm', ['exec', '--yes', ...TOOLS, '--', 'openapi-typescript', DOCUMENT, '-o', OUTPUT], { stdio: 'inherit' });
  writeFileSync(OUTPUT, `${stamp(readFileSync(DOCUMENT))}\n${readFileSync(OUTPUT, 'utf8')}`);
}
