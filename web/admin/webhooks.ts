/** The webhooks of a group: where its events go, whether they arrive, and what to do about those that did not. */
import { dialog } from '../agent/console/dialogs.ts';
import { button, h, say } from '../agent/console/dom.ts';
import type { Delivery, Webhook, Webhooks } from './api.ts';
import { attempt, card, moment, plural, sentenceOf, table, type Console } from './place.ts';

export async function webhooksPage(console: Console, group: string): Promise<void> {
  const { webhooks, events } = await console.api.webhooks(group);
  if (!console.here()) {
    return;
  }
  const cards = webhooks.map((webhook) => shown(console, group, webhook, events));
  console.root.replaceChildren(
    ...(cards.length === 0 ? [card('Webhooks', h('p', {}, 'No server of this group hears of its events yet.'))] : cards),
    card('New webhook', newWebhook(console, group, events)));
}

function shown(console: Console, group: string, webhook: Webhook, events: Webhooks['events']): HTMLElement {
  const redraw = (): Promise<void> => webhooksPage(console, group);
  const says = h('p', { class: 'hint', role: 'status' });
  const late = h('div', {});
  const test = button('Send a test', { class: 'button' }, () => void attempt(console, async () => {
    say(says, 'Sending…');
    const { delivered, sentence, took_ms } = await console.api.testWebhook(group, webhook.id);
    says.dataset['level'] = delivered ? 'good' : 'poor';
    say(says, `${sentence} ${Math.max(1, took_ms)} ms.`);
  }));
  const rotate = button('New secret', { class: 'button' }, () => void attempt(console, async () => {
    const { secret, previous_until } = await console.api.rotateWebhook(group, webhook.id);
    showSecret(secret, `The secret before stays good until ${moment(previous_until)}: messages carry both signatures until then.`);
  }));
  const remove = button('Remove', { class: 'button button--danger' }, () => {
    dialog('Remove this webhook?', [webhook.url, `${plural(webhook.waiting, 'message')} that wait and ${webhook.dead} dead go with it.`], [
      { label: 'Remove', act: () => void attempt(console, async () => {
        await console.api.removeWebhook(group, webhook.id);
        await redraw();
      }) },
      { label: 'Cancel' },
    ]);
  });
  const active = h('input', { type: 'checkbox', checked: webhook.active });
  active.addEventListener('change', () => void attempt(console, async () => {
    try {
      await console.api.changeWebhook(group, webhook.id, { active: active.checked });
    } finally {
      await redraw();
    }
  }));
  const dead = button(`Show ${plural(webhook.dead, 'dead message')}`, { class: 'button', hidden: webhook.dead === 0 }, () => void attempt(console, async () => {
    late.replaceChildren(deadTable(console, group, webhook, await console.api.deliveries(group, webhook.id), redraw));
  }));
  const replay = button('Replay all', { class: 'button', hidden: webhook.dead === 0 }, () => void attempt(console, async () => {
    const { replayed } = await console.api.replay(group, webhook.id);
    console.toasts.show({ kind: 'info', text: `${plural(replayed, 'message')} will be tried again.` });
    await redraw();
  }));
  return h('section', { class: 'panel-card webhook', 'aria-label': `Webhook ${webhook.url}` },
    h('div', { class: 'webhook-head' }, h('h2', {}, webhook.url), health(webhook),
      h('label', { class: 'tick' }, active, h('span', {}, 'On'))),
    h('p', { class: 'hint' }, healthSentence(webhook)),
    chosenEvents(console, group, webhook, events, redraw),
    h('div', { class: 'line' }, test, dead, replay, h('span', { class: 'spacer' }), rotate, remove), says, late);
}

function health(webhook: Webhook): HTMLElement {
  const bad = webhook.dead > 0 || (webhook.failed_at ?? 0) > (webhook.delivered_at ?? 0);
  const [level, text] = !webhook.active ? ['fair', 'Off'] : bad ? ['poor', 'Failing'] : webhook.delivered_at == null ? ['fair', 'Not used yet'] : ['good', 'Delivering'];
  return h('span', { class: 'badge', 'data-level': level }, text);
}

function healthSentence({ delivered_at, failed_at, failure, waiting, dead }: Webhook): string {
  const parts = [
    delivered_at == null ? 'Nothing delivered yet.' : `Last delivered ${moment(delivered_at)}.`,
    ...(failed_at == null || failed_at < (delivered_at ?? 0) ? [] : [`Last failure ${moment(failed_at)}: ${failure ?? ''}`]),
    `${waiting} waiting, ${dead} dead.`,
  ];
  return parts.join(' ');
}

function chosenEvents(console: Console, group: string, webhook: Webhook, events: Webhooks['events'], redraw: () => Promise<void>): HTMLElement {
  const boxes = eventBoxes(events, webhook.events);
  const save = button('Save events', { class: 'button' }, () => void attempt(console, async () => {
    await console.api.changeWebhook(group, webhook.id, { events: boxes.chosen() });
    console.toasts.show({ kind: 'info', text: 'The events are saved.' });
    await redraw();
  }));
  return h('details', {}, h('summary', {}, `${plural(webhook.events.length, 'event')} of ${events.length}`), boxes.element, save);
}

function eventBoxes(events: Webhooks['events'], now: readonly string[]): { element: HTMLElement; chosen: () => string[] } {
  const inputs = events.map(({ event }) => h('input', { type: 'checkbox', value: event, checked: now.includes(event) }));
  const lines = events.map(({ event, when }, at) => h('label', { class: 'tick', title: when }, inputs[at], h('code', {}, event)));
  const all = button('Choose all', { class: 'link' }, () => inputs.forEach((input) => {
    input.checked = true;
  }));
  return {
    element: h('fieldset', { class: 'set events' }, h('legend', {}, 'Events'), h('div', { class: 'event-grid' }, ...lines), all),
    chosen: () => inputs.filter((input) => input.checked).map((input) => input.value),
  };
}

function deadTable(console: Console, group: string, webhook: Webhook, dead: readonly Delivery[], redraw: () => Promise<void>): HTMLElement {
  const rows = dead.map((one) => [
    moment(one.created), h('code', {}, one.event), h('code', {}, one.session?.slice(0, 8) ?? '–'), String(one.attempts), one.failure ?? '',
    button('Replay', { class: 'button', 'aria-label': `Replay ${one.event} of ${moment(one.created)}` }, () => void attempt(console, async () => {
      await console.api.replay(group, webhook.id, one.delivery);
      console.toasts.show({ kind: 'info', text: 'The message will be tried again.' });
      await redraw();
    })),
  ] as const);
  return table('Dead messages', ['Happened', 'Event', 'Session', 'Tries', 'Why', ''], rows);
}

function newWebhook(console: Console, group: string, events: Webhooks['events']): HTMLElement {
  const url = h('input', { id: 'webhook-url', type: 'url', autocomplete: 'off', spellcheck: 'false', required: true, maxlength: '2048', placeholder: 'https://hooks.example.com/fanlight' });
  const boxes = eventBoxes(events, ['session.created', 'session.started', 'session.ended']);
  const error = h('p', { class: 'field-error', role: 'alert' });
  const form = h('form', { class: 'form' },
    h('div', { class: 'field' }, h('label', { for: 'webhook-url' }, 'Address of your server'), url), boxes.element,
    h('div', {}, h('button', { type: 'submit', class: 'button button--primary' }, 'Add webhook')), error);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    say(error, '');
    console.api.createWebhook(group, { url: url.value.trim(), events: boxes.chosen() }).then(
      async ({ secret }) => {
        await webhooksPage(console, group);
        showSecret(secret ?? '', 'Your server checks with it that a message is from this relay.');
      },
      (refusal: unknown) => say(error, sentenceOf(refusal)),
    );
  });
  return h('div', { class: 'stack' }, h('p', { class: 'hint' }, 'Messages hold ids and states, never what a page shows and nobody’s name.'), form);
}

function showSecret(secret: string, sentence: string): void {
  dialog('The secret of this webhook', ['It is shown this once. Keep it where your server finds it.', h('p', {}, h('code', { class: 'secret' }, secret)), sentence], [{ label: 'Done' }]);
}
