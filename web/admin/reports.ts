/** Reports: sessions of some days, how they went, who saw what and who allowed it. */
import { dialog } from '../agent/console/dialogs.ts';
import { button, h, say } from '../agent/console/dom.ts';
import type { Attendance, Filter, SessionRecord, Summary } from './api.ts';
import { bars } from './charts.ts';
import { saveAs } from './files.ts';
import { attempt, card, moment, plural, sentenceOf, table, type Console } from './place.ts';

export const OUTCOMES = {
  connected: 'Connected', refused: 'Refused', unanswered: 'Unanswered', interrupted: 'Interrupted', running: 'Running',
} as const;
type Outcome = keyof typeof OUTCOMES;
const OUTCOME_NAMES = Object.entries(OUTCOMES) as [Outcome, string][];
const ANSWERS: Readonly<Record<string, string>> = { accepted: 'Allowed', declined: 'Declined', timed_out: 'No answer', withdrawn: 'Left before an answer' };
const LEVELS: Readonly<Record<Outcome, string>> = { connected: 'good', refused: 'poor', unanswered: 'fair', interrupted: 'poor', running: 'info' };

const isOutcome = (text: string): text is Outcome => Object.hasOwn(OUTCOMES, text);

/** Where filters, state and results go. */
interface Parts {
  readonly state: HTMLElement;
  readonly figures: HTMLElement;
  readonly list: HTMLElement;
}

export const dayOf = (time: Date): string => time.toISOString().slice(0, 10);

/** The last `days` days, today included. */
export function lastDays(days: number, now = new Date()): { from: string; to: string } {
  return { from: dayOf(new Date(now.getTime() - (days - 1) * 86_400_000)), to: dayOf(now) };
}

export async function reportsPage(console: Console): Promise<void> {
  const groups = await console.api.groups();
  if (!console.here()) {
    return;
  }
  const parts: Parts = { state: h('p', { class: 'hint', role: 'status' }), figures: h('div', { class: 'figures' }), list: h('div', { class: 'stack' }) };
  const day = (id: string, value: string): HTMLInputElement => h('input', { id, type: 'date', value, required: true });
  const range = lastDays(7);
  const [from, to] = [day('from', range.from), day('to', range.to)];
  const group = choice('group', [['', 'All groups'], ...groups.map((one) => [one.group, one.name] as const)]);
  const agent = h('input', { id: 'agent', type: 'text', autocomplete: 'off', spellcheck: 'false' });
  const outcome = choice('outcome', [['', 'Any outcome'], ...OUTCOME_NAMES]);
  const wish = (): Filter => ({
    from: from.value, to: to.value,
    ...given({ group: group.value, agent: agent.value.trim() }),
    ...(isOutcome(outcome.value) ? { outcome: outcome.value } : {}),
  });
  const look = (): Promise<void> => read(console, parts, wish());
  const quick = (label: string, days: number): HTMLElement => button(label, { class: 'button button--quiet' }, () => {
    const last = lastDays(days);
    [from.value, to.value] = [last.from, last.to];
    void look();
  });
  const form = h('form', { class: 'line filters' },
    field('from', 'From', from), field('to', 'To', to), field('group', 'Group', group), field('agent', 'Agent id', agent), field('outcome', 'Outcome', outcome),
    h('button', { type: 'submit', class: 'button button--primary' }, 'Show'));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void look();
  });
  const file = (form: 'csv' | 'json'): HTMLElement => button(form.toUpperCase(), { class: 'button', 'aria-label': `Save as ${form.toUpperCase()}` }, () => void attempt(console, async () => {
    saveAs(`sessions-${from.value}-${to.value}.${form}`, await console.api.sessionFile(wish(), form));
  }));
  console.root.replaceChildren(
    h('div', { class: 'page-head' }, h('h1', {}, 'Reports'), h('span', { class: 'spacer' }), quick('Today', 1), quick('7 days', 7), quick('31 days', 31)),
    card('Sessions by', form, h('p', { class: 'hint' }, 'Days are in UTC, at most 31 at a time.'), parts.state),
    parts.figures,
    card('Sessions', h('div', { class: 'actions' }, h('span', { class: 'hint' }, 'The whole range as a file:'), file('csv'), file('json')), parts.list));
  await look();
}

/** Only what was filled in. */
export function given<T extends Record<string, string>>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== '')) as Partial<T>;
}

export function choice(id: string, options: readonly (readonly [string, string])[]): HTMLSelectElement {
  return h('select', { id, class: 'select' }, ...options.map(([value, label]) => h('option', { value }, label)));
}

export function field(id: string, label: string, input: HTMLElement): HTMLElement {
  return h('div', { class: 'field' }, h('label', { for: id }, label), input);
}

async function read(console: Console, parts: Parts, wish: Filter): Promise<void> {
  try {
    const [summary, page] = await Promise.all([console.api.summary(wish), console.api.sessionReport(wish)]);
    if (!console.here()) {
      return;
    }
    say(parts.state, summary.sessions === 0 ? 'No session began in these days.' : `${plural(summary.sessions, 'session')} from ${summary.from} to ${summary.to}.`);
    parts.figures.replaceChildren(...(summary.sessions === 0 ? [] : figures(summary)));
    drawList(console, parts.list, wish, page.sessions, page.next);
  } catch (error) {
    say(parts.state, sentenceOf(error));
    parts.figures.replaceChildren();
    parts.list.replaceChildren();
  }
}

function figures(summary: Summary): HTMLElement[] {
  const { outcomes, days, durations, sessions } = summary;
  const ended = sessions - (outcomes['running'] ?? 0);
  const tile = (label: string, value: string): HTMLElement => h('div', { class: 'panel-card stat' }, h('span', { class: 'hint' }, label), h('span', { class: 'big' }, value));
  const share = ended === 0 ? '–' : `${Math.round((100 * (outcomes['connected'] ?? 0)) / ended)} %`;
  const perDay = daysOf(summary.from, summary.to).map((day) => ({
    label: `${Number(day.slice(8))}.${Number(day.slice(5, 7))}.`,
    title: day,
    parts: OUTCOME_NAMES.map(([kind, name]) => ({ kind, name, count: days.find((one) => one.day === day && one.outcome === kind)?.sessions ?? 0 })),
  }));
  const byOutcome = OUTCOME_NAMES.map(([kind, name]) => ({ label: name, title: name, parts: [{ kind, name: 'Sessions', count: outcomes[kind] ?? 0 }] }));
  const lasted = durations.map((step, at) => {
    const title = spanOf(durations[at - 1]?.under_s ?? 0, step.under_s);
    return { label: title, title, parts: [{ kind: 'plain', name: 'Sessions', count: step.sessions }] };
  });
  const chart = (figure: HTMLElement, wide = false): HTMLElement => h('div', { class: wide ? 'panel-card wide' : 'panel-card' }, figure);
  return [
    h('div', { class: 'stats wide' }, tile('Sessions', String(sessions)), tile('Connected', share), tile('Refused by the visitor', String(outcomes['refused'] ?? 0)), tile('Running now', String(outcomes['running'] ?? 0))),
    chart(bars('Sessions per day', 'Day', perDay, window.innerWidth > 860 ? 1200 : 580), true),
    chart(bars('How they went', 'Outcome', byOutcome)),
    chart(bars('How long connected ones lasted', 'Lasted', lasted)),
  ];
}

/** Every day of a range, as the relay writes them. */
export function daysOf(from: string, to: string): string[] {
  const days: string[] = [];
  for (let time = Date.parse(from); time <= Date.parse(to) && days.length < 31; time += 86_400_000) {
    days.push(dayOf(new Date(time)));
  }
  return days;
}

/** `5–15 min`, from seconds. */
export function spanOf(from: number, under: number | null): string {
  const minutes = (seconds: number): string => (seconds >= 3600 ? `${seconds / 3600} h` : `${seconds / 60} min`);
  if (under === null) {
    return `${minutes(from)} +`;
  }
  return from === 0 ? `< ${minutes(under)}` : `${minutes(from).replace(under >= 3600 && from < 3600 ? /$/u : / (min|h)$/u, '')}–${minutes(under)}`;
}

function drawList(console: Console, to: HTMLElement, wish: Filter, sessions: readonly SessionRecord[], next: string | null): void {
  const rows = sessions.map((one) => [
    button(h('code', {}, one.session.slice(0, 8)), { class: 'button button--quiet', 'aria-label': `Who saw what in session ${one.session.slice(0, 8)}` }, () => void attempt(console, () => details(console, one))),
    one.group, moment(one.created), one.duration_s === null ? '' : lengthOf(one.duration_s), outcomeBadge(one.outcome), String(one.agents), String(one.shares), String(one.takeovers),
  ] as const);
  const more = button('Older', { class: 'button' }, () => void attempt(console, async () => {
    const page = await console.api.sessionReport(wish, next ?? undefined);
    drawList(console, to, wish, [...sessions, ...page.sessions], page.next);
  }));
  to.replaceChildren(
    sessions.length === 0 ? h('p', { class: 'hint' }, 'Nothing to list.') : table('Sessions of the report', ['Session', 'Group', 'Began', 'Lasted', 'Outcome', 'Agents', 'Shares', 'Takeovers'], rows),
    ...(next === null ? [] : [h('div', { class: 'actions' }, more)]));
}

function outcomeBadge(outcome: Outcome): HTMLElement {
  return h('span', { class: 'badge', 'data-level': LEVELS[outcome] }, OUTCOMES[outcome]);
}

export function lengthOf(seconds: number): string {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  if (hours > 0) {
    return `${hours} h ${minutes} min`;
  }
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

async function details(console: Console, one: SessionRecord): Promise<void> {
  const { who } = await console.api.sessionDetails(one.session);
  const id = one.session.slice(0, 8);
  const rows = who.map((agent) => [h('code', {}, agent.agent), moment(agent.joined), allowedOf(agent), agent.left === null ? '' : moment(agent.left), agent.modes.join(', ').replaceAll('_', ' '),
    String(agent.shares), String(agent.screens_seen), String(agent.cameras_seen)] as const);
  const heads = ['Agent', 'Came', 'The visitor', 'Left', 'Modes', 'Own shares', 'Screens seen', 'Cameras seen'];
  const ending = one.end_code === null ? OUTCOMES[one.outcome] : `${OUTCOMES[one.outcome]}, ended with ${one.end_code}`;
  dialog(`Session ${id}`, [
    h('p', { class: 'hint' }, `${moment(one.created)}. ${ending}. Policy version ${one.policy_version}.`),
    who.length === 0 ? h('p', {}, 'Nobody but the visitor was here.') : table(`Who saw what in session ${id}`, heads, rows),
  ], [
    {
      label: 'Save consent receipts',
      act: () => void attempt(console, async () => saveAs(`receipts-${one.session}.json`, await console.api.receipts(one.session))),
    },
    { label: 'Close' },
  ]);
}

function allowedOf(agent: Attendance): string {
  const answer = agent.answer === null ? 'Was not asked' : (ANSWERS[agent.answer] ?? agent.answer);
  return agent.allowed === null ? answer : `${answer} ${moment(agent.allowed)}`;
}
