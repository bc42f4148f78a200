/**
 * The events that a page hears of, under the names of the one list (`wire::event`, `docs/events.md`): {@link Narrator} turns what
 * relay and client say to each other into them, {@link Events} hands them to listeners. Both clients use both.
 *
 * A detail holds ids, closed words and codes; never what a page shows, nobody's name.
 */
import type { Ask, Mode, Presence, Role, ShareState, Slot, ToClient, ToRelay, Welcome } from './signal.ts';

type None = Record<string, never>;
interface Who {
  readonly participant: number;
}
type Asked = Partial<Who> & { readonly kind: Ask };

export interface EventDetails {
  'session.created': { session: string };
  'session.started': None;
  'session.continued': None;
  'session.ended': { code: string; by?: number };
  /** The digits are for the page that shows them; nobody else is told. */
  'key.created': { key: string };
  'consent.asked': Asked;
  'consent.given': Asked;
  'consent.denied': Asked;
  'consent.expired': Partial<Asked>;
  'visitor.joined': Who;
  'visitor.left': Who;
  'agent.joined': Who;
  'agent.left': Who;
  'guest.requested': Who;
  'guest.admitted': Who;
  'guest.left': Who;
  'connection.changed': Who & { state: 'away' | 'here' };
  'mode.changed': Who & { mode: Mode };
  'share.started': Who & { slot: Slot };
  'share.taken_over': Who & { slot: Slot };
  'share.stopped': { slot: Slot };
  'share.refused': { code: string };
  'camera.started': Who;
  'camera.stopped': None;
  'mask.error': { error: unknown };
  'policy.enforced': { policy_version: number };
}

export type EventName = keyof EventDetails;

const BOTH = [
  'session.started', 'session.continued', 'session.ended', 'consent.asked', 'consent.given', 'consent.denied', 'consent.expired',
  'agent.joined', 'agent.left', 'guest.requested', 'guest.admitted', 'guest.left', 'connection.changed', 'mode.changed',
  'share.started', 'share.taken_over', 'share.stopped', 'share.refused', 'camera.started', 'camera.stopped', 'policy.enforced',
] as const satisfies readonly EventName[];

/** What a visitor's page hears of. */
export const VISITOR_EVENTS = [...BOTH, 'session.created', 'key.created', 'mask.error'] as const satisfies readonly EventName[];
/** What an agent's page hears of. */
export const AGENT_EVENTS = [...BOTH, 'visitor.joined', 'visitor.left'] as const satisfies readonly EventName[];

export type Tell = <K extends EventName>(name: K, detail: EventDetails[K]) => void;

/** Listeners of one page. A listener that throws is that page's own trouble and stops nobody else. */
export class Events {
  readonly #listeners = new Map<EventName, Set<(detail: never) => void>>();

  /** Listens; the answer stops listening. */
  on<K extends EventName>(name: K, listener: (detail: EventDetails[K]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  readonly tell: Tell = (name, detail) => {
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        (listener as (given: typeof detail) => void)(detail);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  };
}

interface Known {
  readonly role: Role;
  readonly presence: Presence;
}

/** Follows one participant's signals in both directions and tells what has happened. */
export class Narrator {
  readonly #tell: Tell;
  readonly #members = new Map<number, Known>();
  readonly #holders = new Map<Slot, number>();
  /** Who an open question is about. */
  readonly #asks = new Map<number, Asked>();
  #you: { id: number; role: Role } = { id: 0, role: 'visitor' };
  #camera: number | undefined;
  #started = false;

  constructor(tell: Tell) {
    this.#tell = tell;
  }

  /** The relay has said this. */
  heard(signal: ToClient): void {
    switch (signal.t) {
      case 'welcome':
        this.#welcomed(signal);
        break;
      case 'session.stage':
        if (signal.stage === 'active' && !this.#started) {
          this.#started = true;
          this.#tell('session.started', {});
        }
        break;
      case 'session.ended':
        this.#tell('session.ended', { code: signal.code, ...(signal.by !== undefined && { by: signal.by }) });
        break;
      case 'member':
        this.#member(signal.id, { role: signal.role, presence: signal.presence });
        break;
      case 'member.left':
        this.#left(signal.id);
        break;
      case 'mode.changed':
        this.#tell('mode.changed', { participant: signal.by, mode: signal.mode });
        break;
      case 'policy.narrowed':
        this.#tell('policy.enforced', { policy_version: signal.policy_version });
        break;
      case 'denied':
        if (signal.re === 'share.start') {
          this.#tell('share.refused', { code: signal.code });
        }
        break;
      case 'share.state':
        this.#share(signal, true);
        break;
      case 'camera.state':
        this.#film(signal.phase === 'empty' ? undefined : signal.holder);
        break;
      default:
        this.#consent(signal);
    }
  }

  /** This page has said this. */
  said(signal: ToRelay): void {
    switch (signal.t) {
      case 'consent':
        this.#answered(signal.ask, signal.accept);
        break;
      case 'share.accept':
        this.#answered(signal.grant, true);
        break;
      case 'share.decline':
        this.#answered(signal.grant, false);
        break;
      case 'share.invite':
        this.#tell('consent.asked', { participant: this.#you.id, kind: 'screen' });
        break;
      default:
    }
  }

  #welcomed(welcome: Welcome): void {
    this.#you = { id: welcome.you, role: welcome.role };
    this.#started ||= welcome.stage !== 'waiting';
    for (const { id, role, presence } of welcome.members) {
      this.#members.set(id, { role, presence });
    }
    for (const share of welcome.shares) {
      this.#share(share, false);
    }
    this.#camera = welcome.camera === undefined || welcome.camera.phase === 'empty' ? undefined : welcome.camera.holder;
    if (!welcome.resumed) {
      if (welcome.role !== 'visitor' && welcome.stage === 'waiting') {
        this.#tell('consent.asked', { participant: welcome.you, kind: 'view' });
      }
    } else if (welcome.role === 'visitor') {
      this.#tell('session.continued', {});
    } else {
      this.#tell('connection.changed', { participant: welcome.you, state: 'here' });
    }
  }

  #member(id: number, now: Known): void {
    const before = this.#members.get(id);
    this.#members.set(id, now);
    if (id === this.#you.id) {
      return;
    }
    const participant = id;
    if (before === undefined) {
      this.#joined(participant, now);
    } else if (before.presence !== 'away' && now.presence === 'away') {
      this.#tell('connection.changed', { participant, state: 'away' });
    } else if (before.presence === 'away' && now.presence !== 'away') {
      if (now.role === 'visitor') {
        this.#tell('session.continued', {});
      } else {
        this.#tell('connection.changed', { participant, state: 'here' });
      }
    } else if (before.presence === 'waiting' && now.presence === 'here' && now.role === 'guest') {
      this.#tell('guest.admitted', { participant });
    }
  }

  #joined(participant: number, { role, presence }: Known): void {
    if (role === 'visitor') {
      this.#tell('visitor.joined', { participant });
    } else if (role === 'agent') {
      this.#tell('agent.joined', { participant });
    } else if (role === 'guest') {
      this.#tell(presence === 'waiting' ? 'guest.requested' : 'guest.admitted', { participant });
    }
  }

  #left(participant: number): void {
    const role = this.#members.get(participant)?.role;
    this.#members.delete(participant);
    if (role === 'visitor' || role === 'agent' || role === 'guest') {
      this.#tell(`${role}.left`, { participant });
    }
  }

  #share({ slot, phase, holder }: ShareState, tell: boolean): void {
    const before = this.#holders.get(slot);
    if (phase === 'empty' || holder === undefined) {
      this.#holders.delete(slot);
      if (tell && before !== undefined) {
        this.#tell('share.stopped', { slot });
      }
    } else if (before !== holder) {
      this.#holders.set(slot, holder);
      if (tell) {
        this.#tell(before === undefined ? 'share.started' : 'share.taken_over', { participant: holder, slot });
      }
    }
  }

  #film(holder: number | undefined): void {
    const before = this.#camera;
    this.#camera = holder;
    if (before === undefined && holder !== undefined) {
      this.#tell('camera.started', { participant: holder });
    } else if (before !== undefined && holder === undefined) {
      this.#tell('camera.stopped', {});
    }
  }

  #consent(signal: ToClient): void {
    switch (signal.t) {
      case 'consent.ask':
        if (signal.kind === 'view') {
          this.#asked(signal.ask, { participant: signal.participant, kind: 'view' });
        }
        break;
      case 'share.invited':
        this.#asked(signal.grant, { participant: signal.participant, kind: 'screen' });
        break;
      case 'consent.withdrawn':
        if (this.#asks.has(signal.ask)) {
          this.#tell('consent.expired', this.#asks.get(signal.ask) ?? {});
          this.#asks.delete(signal.ask);
        }
        break;
      case 'consent.result':
        if (signal.kind === 'view') {
          this.#tell(signal.accepted ? 'consent.given' : 'consent.denied', { participant: this.#you.id, kind: 'view' });
        }
        break;
      case 'share.answered': {
        const event = signal.accepted ? 'consent.given' : signal.reason === 'timeout' ? 'consent.expired' : 'consent.denied';
        this.#tell(event, { participant: this.#you.id, kind: 'screen' });
        break;
      }
      default:
    }
  }

  /** The same question is put again when the visitor comes back. */
  #asked(ask: number, about: Asked): void {
    if (!this.#asks.has(ask)) {
      this.#asks.set(ask, about);
      this.#tell('consent.asked', about);
    }
  }

  #answered(ask: number, accepted: boolean): void {
    const about = this.#asks.get(ask);
    if (about !== undefined) {
      // An accepted screen may still be declined in the browser's picker; that is no second answer.
      this.#asks.delete(ask);
      this.#tell(accepted ? 'consent.given' : 'consent.denied', about);
    }
  }
}
