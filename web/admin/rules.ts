/** The editor of a group's rules in staging: fields, what they would mean, save, import, export. */
import { dialog } from '../agent/console/dialogs.ts';
import { button, h, say } from '../agent/console/dom.ts';
import { Refused, type Bundle, type Head, type Problem } from './api.ts';
import { offered } from './draft.ts';
import { DocumentsEditor } from './documents.ts';
import { settingField, type Form } from './fields.ts';
import { attempt, card, isChanged, plural, type Console, type Draft } from './place.ts';
import { placeName, ROLE, SECTIONS } from './settings.ts';
import { SitesEditor } from './sites.ts';
import { Suggestions } from './suggestions.ts';

/** A role that has nothing yet: rights are switched on by hand. */
const NEW_ROLE: Bundle['roles'][string] = {
  active: true, escalate_to_show: false, escalate_to_view: false, agent_surfaces: [], visitor_surfaces: [],
  modes: ['view_only'], annotate: false, share_documents: false, save_documents: false,
};

export async function rulesPage(console: Console, group: string): Promise<void> {
  const head = await console.api.staging(group);
  if (console.here()) {
    new Rules(console, group, head).draw();
  }
}

class Rules {
  readonly #console: Console;
  readonly #group: string;
  readonly #state = h('p', { class: 'state', role: 'status' });
  readonly #save = h('button', { type: 'button', class: 'button button--primary' }, 'Save to staging');
  readonly #discard = button('Discard changes', { class: 'button' }, () => this.#forget());
  readonly #preview = h('div', {});
  readonly #summary = h('div', { class: 'summary', tabindex: '-1' });
  #head: Head;
  #draft: Draft;
  #problems: readonly Problem[];

  constructor(console: Console, group: string, head: Head) {
    [this.#console, this.#group, this.#head] = [console, group, head];
    this.#draft = console.drafts.get(group) ?? draftOf(head);
    this.#problems = isChanged(this.#draft) ? [] : head.version.problems;
    this.#save.addEventListener('click', () => void this.#store(this.#draft.etag));
  }

  draw(): void {
    const form: Form = { bundle: this.#draft.bundle, problems: () => this.#problems, changed: () => this.#changed() };
    const sections = SECTIONS.map(({ title, lead, settings }) => card(title, h('p', { class: 'hint' }, lead), ...settings.map((setting) => settingField(form, setting))));
    const [general, ...others] = sections;
    const editor = new SitesEditor(form, this.#draft.bundle, this.#console.spoken);
    const sites = card('Sites and bookmarks', editor.element);
    const approved = new DocumentsEditor(form, this.#draft.bundle, (url, type) => this.#console.api.checkLink(url, type));
    const documents = card('Approved documents', approved.element);
    const suggested = new Suggestions(this.#console, this.#group, (url) => editor.allow(url));
    const aside = h('aside', { class: 'aside', 'aria-label': 'Preview' }, this.#preview, this.#file());
    this.#console.root.replaceChildren(
      h('div', { class: 'savebar' }, this.#state, h('div', { class: 'actions' }, this.#discard, this.#save)),
      this.#summary,
      h('div', { class: 'columns' }, h('div', { class: 'stack stack--wide' }, sites, suggested.element, documents, ...(general ? [general] : []), ...others, this.#roles(form)), aside));
    this.#drawSummary();
    this.#drawState();
  }

  #roles(form: Form): HTMLElement {
    const { roles } = this.#draft.bundle;
    const shown = Object.keys(roles).map((id) => h('details', { class: 'role' },
      h('summary', {}, id),
      ...ROLE.map((setting) => settingField(form, setting, `/roles/${id}`)),
      button('Remove role', { class: 'button button--quiet', 'aria-label': `Remove role ${id}` }, () => {
        delete roles[id];
        this.#redraw();
      })));
    const name = h('input', { id: 'new-role', type: 'text', pattern: '[a-z0-9\\-]{1,64}', autocomplete: 'off', spellcheck: 'false' });
    const error = h('p', { class: 'field-error', role: 'alert' });
    const add = h('form', { class: 'line', novalidate: true }, h('div', { class: 'field' }, h('label', { for: 'new-role' }, 'New role'), name), h('button', { type: 'submit', class: 'button' }, 'Add role'));
    add.addEventListener('submit', (event) => {
      event.preventDefault();
      if (!/^[a-z0-9-]{1,64}$/u.test(name.value) || name.value in roles) {
        say(error, name.value in roles ? 'There is a role of this name already.' : 'A role is named by 1 to 64 characters of a-z, 0-9 and -.');
        return;
      }
      roles[name.value] = structuredClone(NEW_ROLE);
      this.#redraw();
    });
    return card('Roles', h('p', { class: 'hint' }, 'A role only takes away from what the group allows. An agent without a role has what the group has.'), ...shown, add, error);
  }

  #file(): HTMLElement {
    const input = h('input', { type: 'file', accept: 'application/json', id: 'import', class: 'file' });
    input.addEventListener('change', () => void attempt(this.#console, async () => {
      const text = await input.files?.[0]?.text();
      input.value = '';
      if (text === undefined) {
        return;
      }
      const file = parsed(text);
      try {
        this.#saved(await this.#console.api.imported(this.#group, this.#head.etag, file), 'Imported');
      } catch (error) {
        this.#refused(error);
      }
    }));
    const save = button('Export staging', { class: 'button' }, () => void attempt(this.#console, async () => {
      const { version } = this.#head.version;
      const text = JSON.stringify(await this.#console.api.exported(this.#group, version), null, 2);
      const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
      h('a', { href: url, download: `${this.#group}-policy-${version}.json` }).click();
      URL.revokeObjectURL(url);
    }));
    return card('As a file', h('p', { class: 'hint' }, 'A file holds the whole bundle, also what this page does not show, such as the rules of join keys. Saving here leaves that as it is.'),
      h('div', { class: 'stack' }, save, h('label', { for: 'import', class: 'field-label' }, 'Import into staging'), input));
  }

  #redraw(): void {
    this.#changed();
    this.draw();
  }

  #changed(): void {
    this.#console.drafts.set(this.#group, this.#draft);
    this.#drawState();
  }

  #drawState(): void {
    const changed = isChanged(this.#draft);
    const { version, by } = this.#head.version;
    say(this.#state, changed ? `Changes to version ${this.#draft.version} that are not saved` : `Staging is version ${version}, saved by ${by}`);
    this.#state.dataset['changed'] = String(changed);
    this.#save.disabled = !changed;
    this.#discard.disabled = !changed;
    this.#preview.replaceChildren(previewOf(this.#draft.bundle));
  }

  #drawSummary(): void {
    const { warnings } = this.#head.version;
    const line = ({ path, sentence, rule }: Problem): HTMLElement => h('li', {},
      button(placeName(path), { class: 'link' }, () => this.#goTo(path)), ': ', sentence, ' ', h('span', { class: 'rule' }, rule));
    this.#summary.replaceChildren(
      ...(this.#problems.length === 0 ? [] : [h('div', { class: 'notice notice--bad', role: 'alert' },
        h('h2', {}, isChanged(this.#draft) ? `Not saved: ${plural(this.#problems.length, 'problem')}` : `Cannot be published yet: ${plural(this.#problems.length, 'problem')}`),
        h('ul', {}, ...this.#problems.map(line)))]),
      ...(warnings.length === 0 ? [] : [h('div', { class: 'notice' }, h('h2', {}, 'Worth a second look'), h('ul', {}, ...warnings.map(line)))]));
  }

  /** To the field of a place, or the nearest above it. */
  #goTo(path: string): void {
    for (let at = path; at !== ''; at = at.slice(0, at.lastIndexOf('/'))) {
      const control = this.#console.root.querySelector<HTMLElement>(`[data-path="${CSS.escape(at)}"]`);
      if (control !== null) {
        control.closest('details')?.setAttribute('open', '');
        const target = control.matches('input, select, textarea, button') ? control : control.querySelector<HTMLElement>('input, select, button');
        (target ?? control).focus();
        control.scrollIntoView({ block: 'center' });
        return;
      }
    }
  }

  async #store(seen: string): Promise<void> {
    this.#save.disabled = true;
    try {
      this.#saved(await this.#console.api.save(this.#group, seen, this.#draft.bundle, ''), 'Saved');
    } catch (error) {
      this.#refused(error);
    }
  }

  #saved(head: Head, what: string): void {
    this.#head = head;
    this.#draft = draftOf(head);
    this.#problems = head.version.problems;
    this.#console.drafts.delete(this.#group);
    this.draw();
    this.#console.toasts.show({ kind: 'info', text: `${what} as version ${head.version.version}. Nothing changes for sessions until it is published.` });
  }

  #refused(error: unknown): void {
    this.#drawState();
    if (error instanceof Refused && error.status === 412) {
      void this.#overtaken();
    } else if (error instanceof Refused && error.problems.length > 0) {
      this.#problems = error.problems;
      this.draw();
      this.#summary.focus();
    } else {
      void attempt(this.#console, () => Promise.reject(error));
    }
  }

  /** R026: somebody else has saved meanwhile; nothing is written over unseen. */
  async #overtaken(): Promise<void> {
    await attempt(this.#console, async () => {
      const theirs = await this.#console.api.staging(this.#group);
      dialog('Somebody else has saved meanwhile', [`Version ${theirs.version.version} by ${theirs.version.by} is in staging now. What you have changed here is not saved.`], [
        { label: 'Go on with mine', act: () => void this.#store(theirs.etag) },
        { label: 'Load theirs', act: () => this.#saved(theirs, 'Loaded') },
        { label: 'Not now' },
      ]);
    });
  }

  #forget(): void {
    this.#console.drafts.delete(this.#group);
    this.#draft = draftOf(this.#head);
    this.#problems = this.#head.version.problems;
    this.draw();
  }
}

function draftOf(head: Head): Draft {
  const { version, bundle } = head.version;
  return { etag: head.etag, version, bundle: structuredClone(bundle), saved: JSON.stringify(bundle) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Refused(0, 'E_INPUT', 'This file is not JSON.');
  }
}

/** What the draft means, in a few lines. */
function previewOf(bundle: Bundle): HTMLElement {
  const names: Record<string, string> = { browser: 'tabs', window: 'windows', monitor: 'whole screens' };
  const list = (surfaces: readonly string[], on: boolean): string => (on && surfaces.length > 0 ? surfaces.map((one) => names[one] ?? one).join(', ') : 'nothing');
  const { sharing, sites, modes } = bundle;
  const facts: readonly [string, string][] = [
    ['Sessions', bundle.cobrowse_enabled ? 'may be started' : 'are off'],
    ['Agents share', list(sharing.agent_surfaces, sharing.escalate_to_show)],
    ['Visitors share', list(sharing.visitor_surfaces, sharing.escalate_to_view)],
    ['Sites', sites.allowed.length === 0 ? 'any' : plural(sites.allowed.length, 'allowed pattern')],
    ['Begins in', modes.instant.default.replace('_', ' ')],
  ];
  const marks = offered(bundle).map(({ folder, titles }) => folder === undefined
    ? h('li', {}, titles[0] ?? '')
    : h('li', {}, h('strong', {}, folder), h('ul', {}, ...titles.map((title) => h('li', {}, title)))));
  return card('Preview', h('dl', { class: 'facts' }, ...facts.flatMap(([term, text]) => [h('dt', {}, term), h('dd', {}, text)])),
    h('h3', {}, 'Active bookmarks'),
    marks.length === 0 ? h('p', { class: 'hint' }, 'None.') : h('ul', { class: 'tree' }, ...marks));
}
