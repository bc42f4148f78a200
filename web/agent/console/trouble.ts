/** Why the picker gave nothing, from the name of its error and the browser's user agent. */

export type Trouble = 'how_to' | 'nothing_shared' | 'unable';

/**
 * R008: on macOS a refusal looks the same whether the agent has cancelled or the system forbids the browser to record the screen,
 * so the way to allow it is shown.
 */
export function trouble(name: string, userAgent: string): Trouble {
  if (name === 'NotAllowedError') return /Mac OS X/u.test(userAgent) ? 'how_to' : 'nothing_shared';
  return name === 'AbortError' ? 'nothing_shared' : 'unable';
}
