/**
 * Small charts as SVG: bars that stand on a baseline, stacked or not. Each is a figure with a caption and a table of the same numbers, so that
 * nothing is told by colour or shape alone.
 */
import { h } from '../agent/console/dom.ts';
import { table } from './place.ts';

const SVG = 'http://www.w3.org/2000/svg';
const HEIGHT = 220;
const LEFT = 34;
const BOTTOM = 26;
const TOP = 10;

/** One part of a bar; its class gives the colour. */
export interface Part {
  readonly name: string;
  readonly kind: string;
  readonly count: number;
}

export interface Bar {
  readonly label: string;
  /** In full, for the table and for whoever points at the bar. */
  readonly title: string;
  readonly parts: readonly Part[];
}

function draw<K extends keyof SVGElementTagNameMap>(tag: K, attributes: Readonly<Record<string, string | number>>, ...children: Node[]): SVGElementTagNameMap[K] {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, String(value));
  }
  element.append(...children);
  return element;
}

const words = (tag: 'text' | 'title', attributes: Readonly<Record<string, string | number>>, content: string): SVGElement => {
  const element = draw(tag, attributes);
  element.textContent = content;
  return element;
};

const sum = (bar: Bar): number => bar.parts.reduce((all, part) => all + part.count, 0);

/** A round number that is at least the highest bar, and the step between the lines below it. */
export function scale(most: number): { top: number; step: number } {
  const rough = Math.max(1, most) / 4;
  const ten = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(1, [1, 2, 5, 10].map((times) => times * ten).find((size) => size >= rough) ?? 10 * ten);
  return { top: Math.max(step, Math.ceil(most / step) * step), step };
}

/** A figure with bars from left to right, drawn for a place about `wide` pixels wide. */
export function bars(caption: string, head: string, all: readonly Bar[], wide = 580): HTMLElement {
  const { top, step } = scale(Math.max(0, ...all.map(sum)));
  const room = HEIGHT - TOP - BOTTOM;
  const y = (count: number): number => TOP + room - (count / top) * room;
  const slot = (wide - LEFT) / Math.max(1, all.length);
  const width = Math.min(46, slot * 0.7);
  const svg = draw('svg', { viewBox: `0 0 ${wide} ${HEIGHT}`, class: 'chart', role: 'img', 'aria-label': `${caption}. ${spokenOf(all)}` });
  for (let count = 0; count <= top; count += step) {
    svg.append(draw('line', { x1: LEFT, x2: wide, y1: y(count), y2: y(count), class: count === 0 ? 'chart-base' : 'chart-line' }));
    svg.append(words('text', { x: LEFT - 8, y: y(count) + 4, 'text-anchor': 'end', class: 'chart-text' }, String(count)));
  }
  // A label for each bar where there is room, else for every second, third …
  const every = Math.ceil(all.length / 10);
  all.forEach((bar, at) => {
    const x = LEFT + at * slot + (slot - width) / 2;
    const whole = draw('g', { class: 'chart-bar' }, words('title', {}, `${bar.title}: ${sum(bar)}`));
    let below = 0;
    for (const part of bar.parts.filter(({ count }) => count > 0)) {
      whole.append(draw('rect', { x, width, y: y(below + part.count), height: y(below) - y(below + part.count), class: `chart-part chart-part--${part.kind}` }));
      below += part.count;
    }
    svg.append(whole);
    if (at % every === 0) {
      svg.append(words('text', { x: x + width / 2, y: HEIGHT - 8, 'text-anchor': 'middle', class: 'chart-text' }, bar.label));
    }
  });
  return h('figure', { class: 'figure' }, h('figcaption', {}, caption), legend(all), svg, numbers(caption, head, all));
}

function spokenOf(all: readonly Bar[]): string {
  const most = all.reduce<Bar | undefined>((best, bar) => (best === undefined || sum(bar) > sum(best) ? bar : best), undefined);
  const total = all.reduce((whole, bar) => whole + sum(bar), 0);
  return total === 0 || most === undefined ? 'Nothing to show.' : `${total} in all, most in ${most.title}: ${sum(most)}. The numbers are in the table below.`;
}

function partsOf(all: readonly Bar[]): readonly Part[] {
  return all[0]?.parts ?? [];
}

function legend(all: readonly Bar[]): HTMLElement | undefined {
  const parts = partsOf(all);
  if (parts.length < 2) {
    return undefined;
  }
  return h('ul', { class: 'legend' }, ...parts.map((part) => h('li', {}, h('span', { class: `swatch chart-part--${part.kind}`, 'aria-hidden': 'true' }), part.name)));
}

function numbers(caption: string, head: string, all: readonly Bar[]): HTMLElement {
  const names = partsOf(all).map((part) => part.name);
  const rows = all.map((bar) => [bar.title, ...bar.parts.map((part) => String(part.count))]);
  return h('details', { class: 'numbers' }, h('summary', {}, 'As a table'), table(`${caption}, as a table`, [head, ...names], rows));
}
