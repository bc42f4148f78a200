/**
 * A bundle that is being edited: places in it by JSON pointer, and the order of bookmarks and folders. Pure: no page here.
 *
 * Invariant: what this console does not show stays in the bundle as it was.
 */
import type { Bundle, Item, Problem } from './api.ts';

/** R035: bookmarks and folders together. The relay refuses more; the console says so before. */
export const ITEMS_MAX = 20;

/** Where an item is: at the top, or within a folder. */
export type Place = readonly [number] | readonly [number, number];

const parts = (path: string): string[] => path.split('/').slice(1).map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));

/** What is at a JSON pointer (RFC 6901). */
export function valueAt(bundle: unknown, path: string): unknown {
  return parts(path).reduce<unknown>((value, part) => (value as Record<string, unknown> | undefined)?.[part], bundle);
}

/** Puts something at a JSON pointer whose parent exists. */
export function put(bundle: unknown, path: string, value: unknown): void {
  const names = parts(path);
  const last = names.pop() ?? '';
  const parent = names.reduce<unknown>((above, part) => (above as Record<string, unknown> | undefined)?.[part], bundle);
  (parent as Record<string, unknown>)[last] = value;
}

export function count(items: readonly Item[]): number {
  return items.reduce((sum, item) => sum + 1 + (item.kind === 'folder' ? item.links.length : 0), 0);
}

/** The pointer of an item. */
export function pointer(place: Place): string {
  return place.length === 1 ? `/sites/bookmarks/${place[0]}` : `/sites/bookmarks/${place[0]}/links/${place[1]}`;
}

/** Takes an item out. */
export function take(items: Item[], place: Place): void {
  const [at, within] = place;
  const folder = items[at];
  if (within === undefined) {
    items.splice(at, 1);
  } else if (folder?.kind === 'folder') {
    folder.links.splice(within, 1);
  }
}

/**
 * Moves the item at `from` before what is now at `to` (R033). Gives its new place, or nothing where it cannot go: folders do
 * not nest.
 */
export function move(items: Item[], from: Place, to: Place): Place | undefined {
  const target = to.length === 2 ? items[to[0]] : undefined;
  const item = from.length === 1 ? items[from[0]] : linkAt(items, from);
  if (item === undefined || (to.length === 2 && (target?.kind !== 'folder' || item.kind === 'folder'))) {
    return undefined;
  }
  take(items, from);
  if (to.length === 1) {
    const at = Math.min(from.length === 1 && from[0] < to[0] ? to[0] - 1 : to[0], items.length);
    items.splice(at, 0, item);
    return [at];
  }
  if (target?.kind !== 'folder' || item.kind === 'folder') {
    return undefined;
  }
  const shifted = from.length === 2 && from[0] === to[0] && from[1] < to[1] ? to[1] - 1 : to[1];
  const within = Math.min(shifted, target.links.length);
  const { title, url, active } = item;
  target.links.splice(within, 0, { title, url, active });
  return [items.indexOf(target), within];
}

function linkAt(items: readonly Item[], [at, within]: readonly [number, number]): Item | undefined {
  const folder = items[at];
  const link = folder?.kind === 'folder' ? folder.links[within] : undefined;
  return link === undefined ? undefined : { kind: 'link', ...link };
}

/** Where an arrow key moves an item: up and down in its list, right into the folder above, left out of its folder. */
export function stepped(items: readonly Item[], [at, within]: Place, key: string): Place | undefined {
  const folder = items[at];
  if (within !== undefined) {
    const last = (folder?.kind === 'folder' ? folder.links.length : 0) - 1;
    switch (key) {
      case 'ArrowUp':
        return within > 0 ? [at, within - 1] : [at];
      case 'ArrowDown':
        return within < last ? [at, within + 2] : [at + 1];
      case 'ArrowLeft':
        return [at + 1];
      default:
        return undefined;
    }
  }
  const above = items[at - 1];
  switch (key) {
    case 'ArrowUp':
      return at > 0 ? [at - 1] : undefined;
    case 'ArrowDown':
      return at < items.length - 1 ? [at + 2] : undefined;
    case 'ArrowRight':
      return above?.kind === 'folder' && folder?.kind === 'link' ? [at - 1, above.links.length] : undefined;
    default:
      return undefined;
  }
}

/** The bookmarks that a viewer is offered: active ones, and folders that hold some (R025, R031). */
export function offered(bundle: Bundle): { readonly folder?: string; readonly titles: readonly string[] }[] {
  return bundle.sites.bookmarks.filter((item) => item.active).flatMap((item) => {
    if (item.kind === 'link') {
      return [{ titles: [item.title] }];
    }
    const titles = item.links.filter((link) => link.active).map((link) => link.title);
    return titles.length === 0 ? [] : [{ folder: item.name, titles }];
  });
}

/** The problems of exactly this place. */
export function problemsAt(problems: readonly Problem[], path: string): readonly Problem[] {
  return problems.filter((problem) => problem.path === path);
}
