/** `window.FanlightAgent.on(name, …)`: what a page that holds the agent console can listen to (`docs/events.md`). */

import { Events, type AGENT_EVENTS, type EventDetails } from '../../protocol/events.ts';

export type AgentEvents = Pick<EventDetails, (typeof AGENT_EVENTS)[number]>;

declare global {
  interface Window {
    FanlightAgent?: Pick<Events, 'on'>;
  }
}

/** The one console of this page. */
export const FanlightAgent = new Events();

window.FanlightAgent = { on: (name, listener) => FanlightAgent.on(name, listener) };
