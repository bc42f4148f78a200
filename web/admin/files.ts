/** Files that the relay gives: saved as they came, never opened here. */
import { h } from '../agent/console/dom.ts';

export function saveAs(name: string, content: Blob): void {
  const address = URL.createObjectURL(content);
  const link = h('a', { href: address, download: name });
  link.click();
  // The browser has begun to save by the end of this turn.
  setTimeout(() => URL.revokeObjectURL(address), 0);
}
