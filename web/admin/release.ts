/** From staging to production: what would change, publish, roll back, and how far it has reached. */
import { dialog } from '../agent/console/dialogs.ts';
import { button, h } from '../agent/console/dom.ts';
import { Refused, type Change, type Head, type Problem, type Rollout } from './api.ts';
import { attempt, card, isChanged, plural, table, type Console } from './place.ts';
import { placeName } from './settings.ts';

export async function releasePage(console: Console, group: string): Promise<void> {
  const { api } = console;
  const [staging, production, difference, rollout] = await Promise.all([
    api.staging(group), api.production(group), api.diff(group, 'production', 'staging'), api.rollout(group),
  ]);
  if (!console.here()) {
    return;
  }
  const again = (): Promise<void> => releasePage(console, group);
  console.root.replaceChildren(
    unsaved(console, group),
    h('div', { class: 'columns' },
      h('div', { class: 'stack stack--wide' }, changes(console, group, staging, production, difference.changes, again)),
      h('aside', { class: 'aside', 'aria-label': 'Production' }, inProduction(console, group, production, again), reach(console, group, rollout, again))));
}

function unsaved(console: Console, group: string): HTMLElement {
  const draft = console.drafts.get(group);
  const there = draft !== undefined && isChanged(draft);
  return h('p', { class: 'notice', hidden: !there }, 'There are changes that are not saved to staging; they are not part of what is published.');
}

function changes(console: Console, group: string, staging: Head, production: Head, list: readonly Change[], again: () => Promise<void>): HTMLElement {
  const { version, problems } = staging.version;
  const refused = h('div', { role: 'alert' }, problems.length === 0 ? '' : problemList('Staging cannot be published yet', problems));
  const publish = button(`Publish version ${version}`, { class: 'button button--primary' }, () => void attempt(console, async () => {
    try {
      await console.api.publish(group, production.etag, version);
    } catch (error) {
      if (error instanceof Refused && error.problems.length > 0) {
        refused.replaceChildren(problemList('Not published', error.problems));
        return;
      }
      if (error instanceof Refused && error.status === 412) {
        await again();
        throw new Refused(412, error.code, 'Production has changed meanwhile. This page shows it as it is now; look again before you publish.');
      }
      throw error;
    }
    console.toasts.show({ kind: 'info', text: `Version ${version} is in production. New sessions follow it.` });
    await again();
  }));
  publish.disabled = list.length === 0 && version === production.version.version;
  const rows = list.map(({ path, before, after }) => [placeName(path), shown(before), shown(after)] as const);
  return card(`Version ${production.version.version} in production → version ${version} in staging`,
    list.length === 0 ? h('p', { class: 'hint' }, 'They say the same.') : table('Changes', ['Place', 'In production', 'In staging'], rows),
    refused, h('div', { class: 'actions' }, publish));
}

function problemList(title: string, problems: readonly Problem[]): HTMLElement {
  return h('div', { class: 'notice notice--bad' }, h('h3', {}, `${title}: ${plural(problems.length, 'problem')}`),
    h('ul', {}, ...problems.map(({ path, sentence, rule }) => h('li', {}, `${placeName(path)}: ${sentence} `, h('span', { class: 'rule' }, rule)))));
}

function inProduction(console: Console, group: string, { etag, version }: Head, again: () => Promise<void>): HTMLElement {
  const back = button('Roll back', { class: 'button' }, () => {
    dialog('Roll back production?', ['Production goes back to the version that was there before. New sessions follow it; sessions that run keep theirs.'], [
      {
        label: 'Roll back',
        act: () => void attempt(console, async () => {
          const head = await console.api.rollBack(group, etag);
          console.toasts.show({ kind: 'info', text: `Production is version ${head.version.version} again.` });
          await again();
        }),
      },
      { label: 'Keep it' },
    ]);
  });
  return card('In production', h('p', { class: 'big' }, `Version ${version.version}`), h('p', { class: 'hint' }, `Saved by ${version.by}`), h('div', { class: 'actions' }, back));
}

function reach(console: Console, group: string, rollout: Rollout, again: () => Promise<void>): HTMLElement {
  const { sessions, under_production: reached } = rollout;
  const enforce = button('Enforce now', { class: 'button' }, () => {
    dialog('Enforce production on running sessions?', ['Sessions that run under another version lose at once what production does not allow: shares end, and pages are masked anew. Nobody gains a right.'], [
      {
        label: 'Enforce',
        act: () => void attempt(console, async () => {
          const { told, unreached } = await console.api.enforce(group);
          const rest = unreached === 0 ? '' : ` ${plural(unreached, 'session')} could not be reached; repeat it.`;
          console.toasts.show({ kind: unreached === 0 ? 'info' : 'warning', text: `${plural(told, 'session was', 'sessions were')} told.${rest}` });
          await again();
        }),
      },
      { label: 'Not now' },
    ]);
  });
  enforce.disabled = sessions === reached;
  return card('Rollout', h('p', { class: 'big' }, `${reached} of ${sessions}`), h('progress', { max: String(Math.max(sessions, 1)), value: String(reached), 'aria-label': 'Sessions under production' }),
    h('p', { class: 'hint' }, 'running sessions follow the version in production.'),
    h('div', { class: 'actions' }, button('Look again', { class: 'button' }, () => void attempt(console, again)), enforce));
}

function words(value: unknown): string {
  if (typeof value === 'boolean') {
    return value ? 'on' : 'off';
  }
  if (Array.isArray(value)) {
    return value.length === 0 ? 'nothing' : value.map(words).join(', ');
  }
  return typeof value === 'object' && value !== null ? Object.values(value).map(words).join(' · ') : String(value ?? 'none');
}

/** A value in words, a line for each part. */
function shown(value: unknown): HTMLElement {
  if (value === undefined || value === '' || (Array.isArray(value) && value.length === 0)) {
    return h('span', { class: 'hint' }, 'nothing');
  }
  if (typeof value !== 'object' || value === null) {
    return h('span', {}, words(value));
  }
  const lines = Array.isArray(value) ? value.map(words) : Object.entries(value).map(([name, one]) => `${name.replaceAll('_', ' ')}: ${words(one)}`);
  return h('ul', { class: 'words' }, ...lines.map((line) => h('li', {}, line)));
}
