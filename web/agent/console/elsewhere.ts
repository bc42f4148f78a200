/**
 * R143: a group may allow an agent one session at a time. Where another one stands in the way the agent decides whether to leave it,
 * because only the agent knows that its page is gone: to the relay a page that died looks alive until its silence is noticed.
 */

import { RefusedError } from './api.ts';
import { dialog } from './dialogs.ts';

/** Joins by `join`, which may name a session to leave for it. Rejects with the refusal when the agent stays where it is. */
export async function orLeaveOther<T>(join: (leave?: string) => Promise<T>): Promise<T> {
  try {
    return await join();
  } catch (refusal) {
    const leave = refusal instanceof RefusedError && refusal.sessions.length > 0 ? await chosen(refusal.sessions) : undefined;
    if (leave === undefined) {
      throw refusal;
    }
    return join(leave);
  }
}

function chosen(sessions: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    const one = sessions.length === 1;
    const leave = sessions.map((session) => ({
      label: one ? 'Leave the other session and join' : `Leave session ${session.slice(0, 8)} and join`,
      act: () => resolve(session),
    }));
    const shown = dialog(
      one ? 'You are in another session' : 'You are in other sessions',
      [
        one ? 'Your group allows one session at a time.' : 'Your group allows no more sessions at a time.',
        'It is open in another tab or window, or its page was closed a moment ago. If you leave it, its visitor is told and it can go on without you.',
      ],
      [...leave, { label: 'Stay there' }],
    );
    // After the act of whichever choice closed it.
    shown.addEventListener('close', () => resolve(undefined));
  });
}
