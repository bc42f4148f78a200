/** The key that the visitor reads out, and its end: a key that is no longer good must not be read out. */

export interface ShownKey {
  readonly digits: string;
  /** Milliseconds since 1970. */
  readonly until: number;
}

/** As the relay gives it. */
export function shownKey({ key, expires_s }: { readonly key: string; readonly expires_s: number }): ShownKey {
  return { digits: key, until: Date.now() + expires_s * 1_000 };
}

/** The key of an earlier page, if it is still good. */
export function stillGood(key: ShownKey | undefined): ShownKey | undefined {
  return key !== undefined && key.until > Date.now() ? key : undefined;
}

/** Tells when the key on screen expires. */
export class KeyWatch {
  readonly #expired: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(expired: () => void) {
    this.#expired = expired;
  }

  /** This key is shown now, or none. */
  watch(key: ShownKey | undefined): void {
    clearTimeout(this.#timer);
    this.#timer = key && setTimeout(() => this.#expired(), key.until - Date.now());
  }
}
