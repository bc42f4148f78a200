/** Building elements in one line, and three small things every part of the console needs. */

type Attributes = Readonly<Record<string, string | boolean | undefined>>;
type Child = Node | string | undefined;

/** An element with attributes and children. `true` sets an empty attribute, `false` and `undefined` leave it out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? '' : value);
    }
  }
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

/** A button that does `act`. Never a submit button by accident. */
export function button(label: Child, attributes: Attributes, act: () => void): HTMLButtonElement {
  const element = h('button', { type: 'button', ...attributes }, label);
  element.addEventListener('click', act);
  return element;
}

/** A drawing from the console's own set of icons; decoration only. */
export function icon(name: keyof typeof ICONS): SVGSVGElement {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 20 20');
  svg.setAttribute('aria-hidden', 'true');
  svg.setAttribute('class', 'icon');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return svg;
}

/** Shows or hides without removing; a hidden element is hidden from assistive technology too. */
export function show(element: HTMLElement, visible: boolean): void {
  element.hidden = !visible;
}

/** Replaces the text only when it differs, so that live regions speak once. */
export function say(element: HTMLElement, text: string): void {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

const ICONS = {
  screen: 'M3 4h14v9H3zM7 16h6M10 13v3',
  chevron: 'M6 8l4 4 4-4',
  stop: 'M6 6h8v8H6z',
  leave: 'M12 4h4v12h-4M3 10h9M9 7l3 3-3 3',
  page: 'M5 3h7l3 3v11H5zM12 3v3h3M7.500 10h5M7.500 13h5',
  zoomIn: 'M9 4a5 5 0 100 10A5 5 0 009 4zM13 13l4 4M9 7v4M7 9h4',
  zoomOut: 'M9 4a5 5 0 100 10A5 5 0 009 4zM13 13l4 4M7 9h4',
  people: 'M7 9a2.500 2.500 0 100-5 2.500 2.500 0 000 5zM2.500 16c0-3 2-4.500 4.500-4.500s4.500 1.500 4.500 4.500M13.500 9a2 2 0 100-4M14 11.500c2.200.2 3.500 1.700 3.500 4.500',
  info: 'M10 3a7 7 0 100 14 7 7 0 000-14zM10 9v5M10 6.200v.1',
  lock: 'M5 9h10v8H5zM7 9V6.500a3 3 0 016 0V9',
} as const;
