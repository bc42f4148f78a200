/** Beside the picture: who is here, how the connection is, and what the clients are (R169). */

import type { ClientInfo } from '../../protocol/signal.ts';
import type { ApprovedDocument } from './api.ts';
import { h, say, show } from './dom.ts';
import { displayName, MODE_NAMES, visitor, type SessionState } from './state.ts';

/** What the console measures itself. */
export interface Quality {
  readonly connection: 'connecting' | 'connected' | 'reconnecting' | 'closed';
  readonly carrier: string;
  /** Milliseconds to the relay and back; nothing before the first answer. */
  readonly rtt: number | undefined;
  readonly media: RTCPeerConnectionState | 'none';
}

const PRESENCE = { here: 'here', waiting: 'waiting for consent', away: 'away' } as const;
const ROLES = { visitor: 'Visitor', agent: 'Agent', guest: 'Guest (watching)', upstream: 'Service' } as const;

export class Panel {
  readonly element: HTMLElement;
  private readonly members = h('ul', { class: 'members' });
  private readonly connection = h('dl', { class: 'facts' });
  private readonly theirs = h('dl', { class: 'facts' });
  private readonly yours = h('dl', { class: 'facts' });
  private readonly documents = h('ul', { class: 'documents' });
  private readonly approved: HTMLElement;

  constructor(client: ClientInfo) {
    writeFacts(this.yours, clientFacts(client));
    this.approved = h('section', { hidden: true }, h('h2', {}, 'Approved documents you can share'), this.documents);
    this.element = h('aside', { class: 'panel', 'aria-label': 'People and details' },
      h('h2', {}, 'People'), this.members,
      this.approved,
      h('h2', {}, 'Connection'), this.connection,
      h('h2', {}, 'Visitor’s client'), this.theirs,
      h('h2', {}, 'Your client'), this.yours);
  }

  /** R089, R101: what administrators have approved for this agent's role. */
  listDocuments(documents: readonly ApprovedDocument[]): void {
    show(this.approved, documents.length > 0);
    const key = documents.map((one) => one.id).join();
    if (this.documents.dataset['key'] !== key) {
      this.documents.dataset['key'] = key;
      this.documents.replaceChildren(...documents.map((one) => h('li', {},
        h('span', { class: 'document-name' }, one.name), h('span', { class: 'document-type' }, DOCUMENT_TYPES[one.type]))));
    }
  }

  render(state: SessionState, quality: Quality): void {
    this.members.replaceChildren(
      ...state.members.map((member) => {
        const name = member.id === state.you ? `${displayName(member)} (you)` : displayName(member);
        const holds = Object.values(state.shares).some((share) => share.holder === member.id && share.phase !== 'empty');
        const films = state.camera.holder === member.id && state.camera.phase !== 'empty';
        const shows = [...(holds ? ['sharing a screen'] : []), ...(films ? ['showing a camera'] : [])];
        const detail = [ROLES[member.role], PRESENCE[member.presence], ...shows].join(' · ');
        return h('li', { class: 'member', 'data-presence': member.presence, 'data-role': member.role },
          h('span', { class: 'avatar', 'aria-hidden': 'true' }, displayName(member) === 'The visitor' ? 'V' : initials(displayName(member))),
          h('span', { class: 'member-text' }, h('span', { class: 'member-name' }, name), h('span', { class: 'member-detail' }, detail)));
      }),
    );
    writeFacts(this.connection, [
      ['Mode', MODE_NAMES[state.mode]],
      ['Carrier', quality.carrier === '' ? '–' : quality.carrier],
      ['Round trip', quality.rtt === undefined ? '–' : `${Math.max(1, Math.round(quality.rtt))} ms`],
      ['Media', quality.media === 'none' ? 'not in use' : quality.media],
      ['Session', state.session.slice(0, 8)],
    ]);
    writeFacts(this.theirs, clientFacts(visitor(state)?.client));
  }
}

const DOCUMENT_TYPES = { pdf: 'PDF', xls: 'Excel', csv: 'CSV' } as const;

/** R169: versions only. */
function clientFacts(client: ClientInfo | undefined): readonly Fact[] {
  return [
    ['System', client?.os ?? '–'],
    ['Browser', client?.browser ?? '–'],
    ['Fanlight', client?.client ?? '–'],
  ];
}

/** Changes only the values that differ, so that a reader's place in the list is kept. */
function writeFacts(list: HTMLElement, facts: readonly Fact[]): void {
  if (list.childElementCount !== facts.length * 2) {
    list.replaceChildren(...facts.flatMap(([name]) => [h('dt', {}, name), h('dd', {})]));
  }
  facts.forEach(([, value], index) => {
    const cell = list.children[index * 2 + 1];
    if (cell !== undefined) {
      say(cell as HTMLElement, value);
    }
  });
}

type Fact = readonly [string, string];

/** The badge in the header: a word, a colour and a number. */
export class QualityBadge {
  readonly element = h('span', { class: 'badge', role: 'status' });

  render(state: SessionState, quality: Quality): void {
    const [level, text] = badgeOf(state, quality);
    this.element.dataset['level'] = level;
    say(this.element, text);
  }
}

function badgeOf(state: SessionState, quality: Quality): readonly ['good' | 'fair' | 'poor', string] {
  if (quality.connection !== 'connected') {
    return ['poor', quality.connection === 'closed' ? 'Disconnected' : quality.connection === 'connecting' ? 'Connecting…' : 'Reconnecting…'];
  }
  if (state.lag.state === 'lagging') {
    return ['fair', `Catching up · ${lagText(state.lag.ms)} behind`];
  }
  if (state.lag.state !== 'live') {
    return ['poor', state.lag.state === 'degraded' ? 'Slow connection · pictures only' : 'Catching up…'];
  }
  const { rtt } = quality;
  if (rtt === undefined) {
    return ['good', 'Connected'];
  }
  const number = `${Math.max(1, Math.round(rtt))} ms`;
  return rtt < 150 ? ['good', `Good · ${number}`] : rtt < 400 ? ['fair', `Fair · ${number}`] : ['poor', `Slow · ${number}`];
}

function lagText(ms: number): string {
  return ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`;
}

function initials(name: string): string {
  return name.split(/\s+/u).map((word) => word.charAt(0)).slice(0, 2).join('').toUpperCase();
}
