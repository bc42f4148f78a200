/** Who moved which head when; a version that was in production can be put back. */
import { button, h } from '../agent/console/dom.ts';
import type { Head, Move } from './api.ts';
import { attempt, card, moment, table, type Console } from './place.ts';

const WHAT: Readonly<Record<string, string>> = {
  saved: 'Saved to staging', published: 'Published', rolled_back: 'Rolled back', enforced: 'Enforced', created: 'Created',
};

export async function historyPage(console: Console, group: string): Promise<void> {
  const [first, production] = await Promise.all([console.api.history(group, null), console.api.production(group)]);
  if (console.here()) {
    draw(console, group, production, first.moves, first.next);
  }
}

function draw(console: Console, group: string, production: Head, moves: readonly Move[], next: number | null): void {
  const were = new Set(moves.filter(({ what }) => what === 'published' || what === 'rolled_back').flatMap(({ version, before }) => [version, before]));
  const rows = moves.map((move) => {
    const { version } = move;
    const back = button('Put back', { class: 'button button--quiet', 'aria-label': `Put version ${version} back into production` }, () => void attempt(console, async () => {
      const head = await console.api.rollBack(group, production.etag, version);
      console.toasts.show({ kind: 'info', text: `Production is version ${head.version.version} again.` });
      await historyPage(console, group);
    }));
    const may = move.what === 'published' && were.has(version) && version !== production.version.version;
    return [moment(move.at), WHAT[move.what] ?? move.what, `Version ${version}`, move.before === null || move.before === version ? '' : `Version ${move.before}`, move.who, may ? back : ''] as const;
  });
  const more = button('Older', { class: 'button' }, () => void attempt(console, async () => {
    const page = await console.api.history(group, next);
    draw(console, group, production, [...moves, ...page.moves], page.next);
  }));
  console.root.replaceChildren(card('History',
    table('History', ['When', 'What', 'To', 'From', 'Who', ''], rows),
    next === null ? undefined : h('div', { class: 'actions' }, more)));
}
