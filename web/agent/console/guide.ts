/**
 * What a session of a kind begins with (R127, R135, R136, R139), and what a page around this console is told as it goes on.
 */

import type { Closed } from '../../protocol/connection.ts';
import { dialog } from './dialogs.ts';
import type { Entry, Session } from './session.ts';
import type { ShareStep } from './share.ts';
import { admitted, type SessionState } from './state.ts';

export class Guide {
  private started = false;
  private shares: Readonly<Record<'agent' | 'visitor', string>> = { agent: 'empty', visitor: 'empty' };

  constructor(
    private readonly entry: Entry,
    private readonly session: Session,
    private readonly event: (name: string, detail: Record<string, unknown>) => void,
  ) {}

  follow(state: SessionState, step: ShareStep): void {
    if (!this.started && admitted(state)) {
      this.started = true;
      this.event('session.started', { session: this.entry.session, kind: this.entry.kind ?? 'cobrowse' });
      if (this.entry.resume === undefined) {
        this.begin(step);
      }
    }
    for (const side of ['agent', 'visitor'] as const) {
      const phase = state.shares[side]?.phase ?? 'empty';
      if (phase !== this.shares[side]) {
        const before = this.shares[side];
        this.shares = { ...this.shares, [side]: phase };
        if (phase === 'live') {
          this.event('share.started', { session: this.entry.session, by: side });
        } else if (before === 'live') {
          this.event('share.stopped', { session: this.entry.session, by: side });
        }
      }
    }
  }

  end(closed: Closed): void {
    this.event('session.ended', { session: this.entry.session, code: closed.code, sentence: closed.sentence });
  }

  private begin(step: ShareStep): void {
    if (this.entry.kind === 'view') {
      this.session.inviteVisitor();
    } else if (this.entry.kind === 'show' && step === 'idle') {
      // The browser's picker opens from a press only.
      dialog('Your visitor is here', ['Choose what they shall see. Nothing is shown before that.'], [
        { label: 'Choose what to show', act: () => void this.session.share.start() },
        { label: 'Later' },
      ]);
    }
  }
}
