/** What a reload of the tab must not lose: who is signed in and where the agent was. Kept for this tab only. */

import type { SessionKind } from '../../protocol/lobby.ts';
import type { Login } from './api.ts';

/** A place in a session that can be resumed. */
export interface Place {
  readonly session: string;
  readonly resume: string;
  readonly kind?: SessionKind;
}

const LOGIN = 'fanlight.login';
const PLACE = 'fanlight.place';

export const savedLogin = (): Login | undefined => read<Login>(LOGIN);
export const saveLogin = (login: Login | undefined): void => write(LOGIN, login);
export const savedPlace = (): Place | undefined => read<Place>(PLACE);
export const savePlace = (place: Place | undefined): void => write(PLACE, place);

const VISITORS = 'fanlight.visitors';

/** Visitors that this tab follows. */
export const savedVisitors = (): readonly string[] => read<string[]>(VISITORS) ?? [];
export const saveVisitors = (visitors: readonly string[]): void => write(VISITORS, visitors);

function read<T>(key: string): T | undefined {
  try {
    const text = sessionStorage.getItem(key);
    return text === null ? undefined : (JSON.parse(text) as T);
  } catch {
    return undefined;
  }
}

function write(key: string, value: unknown): void {
  try {
    if (value === undefined) {
      sessionStorage.removeItem(key);
    } else {
      sessionStorage.setItem(key, JSON.stringify(value));
    }
  } catch {
    // Storage is off: a reload then asks for the login again.
  }
}
