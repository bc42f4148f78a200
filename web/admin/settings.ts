/** The settings that the relay obeys now, in the words of the console: where each is in a bundle, and what it may be. */

/** One field of the editor. `path` is a JSON pointer, for a role relative to it. */
export type Setting =
  | { readonly kind: 'flag'; readonly path: string; readonly label: string; readonly hint?: string }
  | { readonly kind: 'set'; readonly path: string; readonly label: string; readonly options: Options; readonly hint?: string }
  | { readonly kind: 'lines'; readonly path: string; readonly label: string; readonly hint?: string }
  /** Several lines of plain text. */
  | { readonly kind: 'text'; readonly path: string; readonly label: string; readonly hint?: string }
  /** A web address, or none. */
  | { readonly kind: 'address'; readonly path: string; readonly label: string; readonly hint?: string }
  | { readonly kind: 'choice'; readonly path: string; readonly label: string; readonly options: Options; readonly hint?: string }
  | { readonly kind: 'number'; readonly path: string; readonly label: string; readonly least: number; readonly most: number; readonly hint?: string };

type Options = readonly (readonly [value: string | number, label: string])[];

export interface Section {
  readonly id: string;
  readonly title: string;
  readonly lead: string;
  readonly settings: readonly Setting[];
}

const SURFACES: Options = [['browser', 'Browser tab'], ['window', 'Window'], ['monitor', 'Whole screen']];
export const INSTANT_MODES: Options = [['view_only', 'View Only'], ['view_pointer', 'View + Pointer'], ['full_control', 'Full Control']];
export const MODES: Options = [...INSTANT_MODES, ['true_pointer', 'True Pointer']];
export const ASSURANCES: Options = [
  ['none', 'Nothing has to be known'],
  ['surface', 'The kind of surface'],
  ['stated', 'Opened by the viewer itself'],
  ['proved', 'Proved by the captured tab'],
];
const LEVELS: Options = Array.from({ length: 21 }, (_, at) => [40 + at, `${Math.floor((40 + at) / 10)}.${at % 10}`]);

/** What a visitor is asked about, in the words of an administrator. */
const MATTERS: readonly (readonly [matter: string, name: string, hint?: string])[] = [
  ['view', 'May an agent see the page?'],
  ['show', 'May an agent show a screen?', 'In sessions that an agent begins to show a screen.'],
  ['screen', 'Will the visitor share a screen?', 'Also in sessions that an agent begins to view a screen.'],
  ['camera', 'Will the visitor show a camera?', 'Also on the phone that opens a camera link.'],
  ['control', 'May an agent take control?', 'Kept for Full Control, which is not available yet.'],
  ['document', 'May a document be shared?', 'Kept for documents, which are not available yet.'],
];

/** `where`: what sets these fields apart from those of the other engine, also for whoever hears them only. */
function privacyOf(engine: string, where = ''): readonly Setting[] {
  return [
    { kind: 'flag', path: `/privacy/${engine}/everything`, label: `Hide all text that is not shown on purpose${where}` },
    { kind: 'lines', path: `/privacy/${engine}/mask`, label: `Hide the text of${where}` },
    { kind: 'lines', path: `/privacy/${engine}/block`, label: `Leave out completely${where}` },
    { kind: 'lines', path: `/privacy/${engine}/unmask`, label: `Show on purpose${where}` },
  ];
}

export const SECTIONS: readonly Section[] = [
  {
    id: 'general',
    title: 'General',
    lead: 'Whether the group may cobrowse at all, and up to which feature level.',
    settings: [
      { kind: 'flag', path: '/cobrowse_enabled', label: 'Sessions may be started' },
      { kind: 'choice', path: '/feature_level', label: 'Feature level', options: LEVELS, hint: 'Agents share a screen from 5.3, visitors from 5.7; folders need 6.0.' },
    ],
  },
  {
    id: 'sharing',
    title: 'Screen sharing',
    lead: 'Who may share a screen, and what kind of it.',
    settings: [
      { kind: 'flag', path: '/sharing/escalate_to_show', label: 'Agents may share their screen' },
      { kind: 'set', path: '/sharing/agent_surfaces', label: 'Agents may share', options: SURFACES },
      { kind: 'flag', path: '/sharing/escalate_to_view', label: 'Agents may ask for the visitor’s screen' },
      { kind: 'set', path: '/sharing/visitor_surfaces', label: 'Visitors may share', options: SURFACES },
      { kind: 'choice', path: '/sharing/assurance/browser', label: 'While allowed sites are on, a tab needs', options: ASSURANCES },
      { kind: 'choice', path: '/sharing/assurance/window', label: 'While allowed sites are on, a window needs', options: ASSURANCES },
      {
        kind: 'choice',
        path: '/sharing/assurance/monitor',
        label: 'While allowed sites are on, a whole screen needs',
        options: ASSURANCES,
        hint: 'A whole screen can be neither stated nor proved: asking for that refuses it.',
      },
    ],
  },
  {
    id: 'modes',
    title: 'Modes',
    lead: 'What an agent may do in the visitor’s page.',
    settings: [
      { kind: 'set', path: '/modes/instant/allowed', label: 'Allowed modes', options: INSTANT_MODES },
      { kind: 'choice', path: '/modes/instant/default', label: 'Default mode', options: INSTANT_MODES },
    ],
  },
  {
    id: 'privacy',
    title: 'Privacy',
    lead: 'What the visitor’s page hides before anything is sent, beyond what the page hides by itself. CSS selectors, one in a line.',
    settings: privacyOf('instant'),
  },
  {
    id: 'privacy-advanced',
    title: 'Privacy in Advanced mode',
    lead: 'The same for sessions in Advanced mode, which this relay does not offer yet. Every session today is in Instant mode and uses the settings above.',
    settings: privacyOf('advanced', ', in Advanced mode'),
  },
  {
    id: 'questions',
    title: 'Questions to the visitor',
    lead: 'The words that the visitor sees, one statement in a line, and that the consent receipt keeps. An empty field stands for the relay’s standard words.',
    settings: [
      ...MATTERS.flatMap(([matter, name, hint]): Setting[] => [
        { kind: 'text', path: `/consent/${matter}`, label: name, ...(hint === undefined ? {} : { hint }) },
        { kind: 'address', path: `/terms/${matter}`, label: `Terms for “${name}”` },
      ]),
      { kind: 'number', path: '/consent/seconds', label: 'Seconds that a question stays open', least: 3, most: 600 },
    ],
  },
  {
    id: 'hosted',
    title: 'Documents on your site',
    lead: 'PDF and Excel files on your own site that are shown as part of the page. Kept for documents, which are not available yet.',
    settings: [{ kind: 'lines', path: '/documents/hosted', label: 'Addresses of such files, as https://shop.example/files/*' }],
  },
  {
    id: 'session',
    title: 'Sessions and records',
    lead: 'How a session runs, and how long its records are kept.',
    settings: [
      { kind: 'number', path: '/session/agents_max', label: 'Most agents in a session', least: 1, most: 64 },
      { kind: 'flag', path: '/session/end_on_agent_leave', label: 'End the session when the last agent leaves' },
      { kind: 'flag', path: '/session/dom_cache', label: 'Keep the page in memory for agents who join later' },
      { kind: 'number', path: '/retention/audit_days', label: 'Days that audit lines are kept', least: 1, most: 3650 },
      { kind: 'number', path: '/retention/sessions_days', label: 'Days that session records are kept', least: 1, most: 3650 },
    ],
  },
];

/** Of one role; in force as far as the group allows the same. */
export const ROLE: readonly Setting[] = [
  { kind: 'flag', path: '/active', label: 'Role is active', hint: 'Agents of a role that is not active may do nothing.' },
  { kind: 'flag', path: '/escalate_to_show', label: 'May share their screen' },
  { kind: 'set', path: '/agent_surfaces', label: 'May share', options: SURFACES },
  { kind: 'flag', path: '/escalate_to_view', label: 'May ask for the visitor’s screen' },
  { kind: 'set', path: '/visitor_surfaces', label: 'The visitor may share with them', options: SURFACES },
  { kind: 'set', path: '/modes', label: 'Modes', options: MODES },
  { kind: 'flag', path: '/annotate', label: 'May draw' },
];

const LABELS = new Map(SECTIONS.flatMap((section) => section.settings).map((setting) => [setting.path, setting.label]));

const LISTS: ReadonlyMap<string, string> = new Map([['sites/allowed', 'Allowed site'], ['sites/bookmarks', 'Bookmark'], ['documents/links', 'Document']]);

/** Fields of a list in the words of the editor. */
const NAMES: Readonly<Record<string, string>> = { links: 'link', url: 'address' };

/** A place in words, for lists of changes and problems. */
export function placeName(path: string): string {
  for (let at = path; at !== ''; at = at.slice(0, at.lastIndexOf('/'))) {
    const label = LABELS.get(at);
    if (label !== undefined) {
      return label;
    }
  }
  const [first = '', second = '', ...rest] = path.split('/').slice(1);
  const human = (part: string): string => (/^\d+$/u.test(part) ? `${Number(part) + 1}` : part.replaceAll('_', ' '));
  const name = LISTS.get(`${first}/${second}`);
  const words = name === undefined ? [first, second, ...rest] : [`${name} ${human(rest[0] ?? '')}`, ...rest.slice(1)];
  const text = words.filter((word) => word !== '').map((word) => NAMES[word] ?? human(word).trim()).join(' › ').replaceAll('link › ', 'link ');
  return text === '' ? 'The bundle' : text.charAt(0).toUpperCase() + text.slice(1);
}
