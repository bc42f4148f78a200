/** Addresses that agents would have liked to share (R054): allow them in the draft, or put them aside. */
import { button, h } from '../agent/console/dom.ts';
import type { Suggestion } from './api.ts';
import { attempt, card, moment, plural, table, type Console } from './place.ts';

export class Suggestions {
  readonly element = h('div', {});
  readonly #console: Console;
  readonly #group: string;
  readonly #allow: (url: string) => void;

  /** `allow` puts an address on the list of the draft. */
  constructor(console: Console, group: string, allow: (url: string) => void) {
    [this.#console, this.#group, this.#allow] = [console, group, allow];
    void attempt(console, async () => this.#draw(await console.api.suggestions(group)));
  }

  /** Nothing is shown while nobody has asked for anything. */
  #draw(suggestions: readonly Suggestion[]): void {
    if (suggestions.length === 0) {
      this.element.replaceChildren();
      return;
    }
    const rows = suggestions.map((one) => [
      h('span', { class: 'url' }, one.url),
      `${one.agent}, ${moment(one.at)}`,
      plural(one.times, 'time'),
      h('div', { class: 'actions' },
        button('Allow', { class: 'button', 'aria-label': `Allow ${one.url}` }, () => void this.#done(one, true)),
        button('Put aside', { class: 'button button--quiet', 'aria-label': `Put aside ${one.url}` }, () => void this.#done(one, false))),
    ]);
    this.element.replaceChildren(card('Suggested by agents',
      h('p', { class: 'hint' }, 'Pages that agents wanted to share and could not. What you allow goes into the list above; save and publish it for new sessions.'),
      table('Suggested pages', ['Page', 'Asked last', 'Asked', ''], rows)));
  }

  async #done(one: Suggestion, allow: boolean): Promise<void> {
    await attempt(this.#console, async () => {
      await this.#console.api.removeSuggestion(this.#group, one.id);
      if (allow) {
        this.#allow(one.url);
      }
      this.#console.toasts.show({ kind: 'info', text: allow ? 'The page is on the list of allowed sites. Save to keep it.' : 'The suggestion is put aside.' });
      this.#draw(await this.#console.api.suggestions(this.#group));
    });
  }
}
