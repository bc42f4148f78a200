/**
 * One command builds everything that the relay serves, into `dist/`:
 *
 * - `fanlight.js` (one script tag) and `fanlight.mjs` (npm import): the visitor widget;
 * - `agent/console.js` + `.css`: the agent console;
 * - `camera/page.js` + `.css` and `c/index.html`: the page behind a camera link;
 * - `j/`, `join/`: the page behind a join link;
 * - `fanlight-viewer.js` and `.mjs`: puts the agent console into a frame of another product's page;
 * - `admin/`: the admin console, one script and one style sheet; served at the operator's door only;
 * - `demo/`: the shop and the agent page; `index.html`: the start page.
 *
 * The widget is one file on purpose: a page that embeds it adds one request and no loader. Style sheets and pages of the
 * demo are copied as they are, because the pages' policy allows files only, nothing inline.
 */
import { cp, mkdir, readdir, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type LibraryFormats } from 'vite';

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, 'dist');

async function bundle(entry: string, name: string, formats: LibraryFormats[], out: string, file: string): Promise<void> {
  await build({
    configFile: false,
    root: here,
    logLevel: 'warn',
    define: { 'process.env.NODE_ENV': '"production"' },
    build: {
      outDir: out,
      emptyOutDir: false,
      target: 'es2022',
      minify: true,
      sourcemap: false,
      lib: {
        entry: join(here, entry),
        name,
        formats,
        fileName: (format) => `${file}.${format === 'es' && formats.length > 1 ? 'mjs' : 'js'}`,
        cssFileName: file,
      },
    },
  });
}

async function main(): Promise<void> {
  await rm(dist, { recursive: true, force: true });
  await mkdir(join(dist, 'demo'), { recursive: true });
  if (existsSync(join(here, 'visitor/main.ts'))) {
    // The IIFE must not be wrapped in `var Fanlight = …`: the entry sets window.Fanlight itself, once.
    await bundle('visitor/main.ts', 'FanlightBundle', ['es', 'iife'], dist, 'fanlight');
  }
  if (existsSync(join(here, 'agent/main.ts'))) {
    await bundle('agent/main.ts', 'FanlightAgent', ['es'], join(dist, 'agent'), 'console');
  }
  await bundle('camera/main.ts', 'FanlightCamera', ['es'], join(dist, 'camera'), 'page');
  await cp(join(here, 'camera/index.html'), join(dist, 'c/index.html'));
  await bundle('join/main.ts', 'FanlightJoin', ['es'], join(dist, 'join'), 'join');
  await cp(join(here, 'join/join.css'), join(dist, 'join/join.css'));
  await cp(join(here, 'join/index.html'), join(dist, 'j/index.html'));
  await cp(join(here, 'agent/index.html'), join(dist, 'agent/index.html'));
  await bundle('embed/viewer.ts', 'FanlightViewerBundle', ['es', 'iife'], dist, 'fanlight-viewer');
  await bundle('admin/main.ts', 'FanlightAdmin', ['es'], join(dist, 'admin'), 'console');
  await cp(join(here, 'admin/index.html'), join(dist, 'admin/index.html'));
  await copyDemo();
}

/** `demo/shop/*` is served at `/demo/`, `demo/index*` at `/`, everything else of `demo/` beside the shop. */
async function copyDemo(): Promise<void> {
  const demo = join(here, 'demo');
  for (const entry of existsSync(demo) ? await readdir(demo) : []) {
    const from = join(demo, entry);
    if (entry === 'shop') {
      await cp(from, join(dist, 'demo'), { recursive: true });
    } else if (entry.startsWith('index')) {
      await cp(from, join(dist, entry), { recursive: true });
    } else if (!entry.endsWith('.ts')) {
      await cp(from, join(dist, 'demo', entry), { recursive: true });
    }
  }
}

await main();
