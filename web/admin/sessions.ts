/** The sessions that run on this relay, kept up to date while they are looked at. */
import { dialog } from '../agent/console/dialogs.ts';
import { button, h, say } from '../agent/console/dom.ts';
import type { Session } from './api.ts';
import { attempt, card, moment, plural, sentenceOf, table, type Console } from './place.ts';

const EVERY_MS = 3_000;

export async function sessionsPage(console: Console): Promise<void> {
  const state = h('p', { class: 'hint', role: 'status' });
  const list = h('div', {});
  let last = '';
  const look = async (): Promise<void> => {
    const sessions = await console.api.sessions();
    say(state, sessions.length === 0 ? 'No session runs now.' : `${plural(sessions.length, 'session')} running.`);
    const now = JSON.stringify(sessions);
    // Drawn anew only when it says something new, so that the focus stays where it is.
    if (now !== last) {
      last = now;
      list.replaceChildren(sessions.length === 0 ? '' : listOf(console, sessions, look));
    }
  };
  await look();
  if (!console.here()) {
    return;
  }
  console.root.replaceChildren(h('div', { class: 'page-head' }, h('h1', {}, 'Live sessions')), card('Running here', state, list));
  const timer = setInterval(() => {
    if (!console.here()) {
      clearInterval(timer);
    } else if (!document.hidden) {
      look().catch((error: unknown) => say(state, sentenceOf(error)));
    }
  }, EVERY_MS);
}

const badge = (level: string, words: string): HTMLElement => h('span', { class: 'badge', 'data-level': level }, words);

function stageOf({ stage }: Session): HTMLElement {
  const [level, words] = ({ waiting: ['info', 'Waiting'], active: ['good', 'Active'], paused: ['fair', 'Paused'] } as const)[stage];
  return badge(level, words);
}

/** How the slowest agent's copy of the page keeps up. */
function lagOf({ lag }: Session): HTMLElement | string {
  if (lag === null) {
    return '';
  }
  const [level, words] = ({
    live: ['good', 'Live'], lagging: ['fair', 'Behind'], resync: ['fair', 'Begins anew'], degraded: ['poor', 'Far behind'], closed: ['poor', 'Given up'],
  } as const)[lag];
  return badge(level, words);
}

function listOf(console: Console, sessions: readonly Session[], look: () => Promise<void>): HTMLElement {
  const end = (session: string): HTMLElement => button('End', { class: 'button button--quiet', 'aria-label': `End session ${session.slice(0, 8)}` }, () => {
    dialog('End this session?', ['Everybody in it is told, and it is over at once.'], [
      {
        label: 'End it',
        act: () => void attempt(console, async () => {
          await console.api.endSession(session);
          await look();
        }),
      },
      { label: 'Let it run' },
    ]);
  });
  const rows = sessions.map((one) => [
    h('code', { title: one.session }, one.session.slice(0, 8)), one.group, stageOf(one), String(one.participants), (one.mode ?? '').replaceAll('_', ' '), lagOf(one),
    moment(one.created), String(one.agents_joined), String(one.shares), String(one.refusals), String(one.shard), end(one.session),
  ] as const);
  return table('Live sessions', ['Session', 'Group', 'State', 'Present', 'Mode', 'Page keeps up', 'Since', 'Agents joined', 'Shares', 'Refusals', 'Shard', ''], rows);
}
