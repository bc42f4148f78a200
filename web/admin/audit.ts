/** The audit trail: what happened, when, in which session, by whom. */
import { button, h, say } from '../agent/console/dom.ts';
import type { AuditFilter, AuditLine } from './api.ts';
import { saveAs } from './files.ts';
import { attempt, card, moment, plural, sentenceOf, table, type Console } from './place.ts';
import { choice, field, given, lastDays } from './reports.ts';

export async function auditPage(console: Console): Promise<void> {
  const groups = await console.api.groups();
  if (!console.here()) {
    return;
  }
  const state = h('p', { class: 'hint', role: 'status' });
  const list = h('div', { class: 'stack' });
  const text = (id: string): HTMLInputElement => h('input', { id, type: 'text', autocomplete: 'off', spellcheck: 'false' });
  const day = (id: string, value: string): HTMLInputElement => h('input', { id, type: 'date', value, required: true });
  const range = lastDays(7);
  const [from, to, what, who, session] = [day('from', range.from), day('to', range.to), text('what'), text('who'), text('session')];
  const group = choice('group', [['', 'All groups'], ...groups.map((one) => [one.group, one.name] as const)]);
  const wish = (): AuditFilter => ({
    from: from.value, to: to.value,
    ...given({ group: group.value, what: what.value.trim(), who: who.value.trim(), session: session.value.trim() }),
  });
  const look = async (): Promise<void> => {
    try {
      const { lines, next } = await console.api.audit(wish());
      say(state, lines.length === 0 ? 'Nothing was written down in these days.' : `${plural(lines.length, 'line')}${next === null ? '' : ', and older ones'}.`);
      drawLines(console, list, wish(), lines, next);
    } catch (error) {
      say(state, sentenceOf(error));
      list.replaceChildren();
    }
  };
  const form = h('form', { class: 'line filters' },
    field('from', 'From', from), field('to', 'To', to), field('group', 'Group', group), field('what', 'Event, for example consent.given', what),
    field('who', 'By', who), field('session', 'Session id', session), h('button', { type: 'submit', class: 'button button--primary' }, 'Show'));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void look();
  });
  const file = (form: 'csv' | 'json'): HTMLElement => button(form.toUpperCase(), { class: 'button', 'aria-label': `Save as ${form.toUpperCase()}` }, () => void attempt(console, async () => {
    saveAs(`audit-${from.value}-${to.value}.${form}`, await console.api.auditFile(wish(), form));
  }));
  console.root.replaceChildren(
    h('div', { class: 'page-head' }, h('h1', {}, 'Audit trail')),
    card('Lines by', form, h('p', { class: 'hint' }, 'Days are in UTC, at most 31 at a time. Lines are only ever added.'), state),
    card('Lines', h('div', { class: 'actions' }, h('span', { class: 'hint' }, 'The whole range as a file:'), file('csv'), file('json')), list));
  await look();
}

function drawLines(console: Console, to: HTMLElement, wish: AuditFilter, lines: readonly AuditLine[], next: string | null): void {
  const rows = lines.map((line) => [
    moment(line.at), h('code', {}, line.what), line.group ?? '', line.session === null ? '' : h('code', { title: line.session }, line.session.slice(0, 8)),
    line.who ?? '', [line.detail, line.code].filter((part) => part !== null).join(', '),
  ] as const);
  const more = button('Older', { class: 'button' }, () => void attempt(console, async () => {
    const page = await console.api.audit(wish, next ?? undefined);
    drawLines(console, to, wish, [...lines, ...page.lines], page.next);
  }));
  to.replaceChildren(
    lines.length === 0 ? h('p', { class: 'hint' }, 'Nothing to list.') : table('Audit trail', ['When', 'What', 'Group', 'Session', 'By', 'Detail'], rows),
    ...(next === null ? [] : [h('div', { class: 'actions' }, more)]));
}
