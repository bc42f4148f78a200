/** Building elements: by names and text only, so that nothing a server said is ever read as markup. */

export type Child = Node | string;

/** An element with attributes and children. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** A button that does one thing. */
export function button(label: string, look: string, press: () => void): HTMLButtonElement {
  const made = element('button', { type: 'button', ...(look === '' ? {} : { class: look }) }, label);
  made.addEventListener('click', press);
  return made;
}

/** Writes text only when it changes, so that a live region speaks only then. */
export function say(node: Element, text: string): void {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

/** A colour per participant, the same for everybody who sees it: readable behind white text. */
export function colorOf(id: number): string {
  const colors = ['#1f4fd8', '#b42d7a', '#0f766e', '#9a3412', '#6d28d9', '#166534', '#a21caf', '#0369a1'];
  return colors[id % colors.length] ?? '#1f4fd8';
}

export function initials(name: string): string {
  const letters = name.trim().split(/\s+/u).map((word) => [...word][0] ?? '');
  return (letters.length > 1 ? `${letters[0] ?? ''}${letters.at(-1) ?? ''}` : (letters[0] ?? '?')).toUpperCase();
}
