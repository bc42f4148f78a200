/**
 * A screen that the visitor has chosen with its consent, before the relay was asked for a place (R138): one click answers
 * both "may this agent see it" and "which screen".
 */
export class ReadyScreen {
  #held: { readonly capture: MediaStream; readonly participant: number; readonly words: string } | undefined;

  /** Keeps what was captured for the agent that the visitor agreed to, in these words. */
  hold(capture: MediaStream, participant: number, words: string): void {
    this.drop();
    this.#held = { capture, participant, words };
  }

  /** Gives it out, once, if it was meant for this agent and asked for in the same words. */
  take(participant: number, words: string): MediaStream | undefined {
    const held = this.#held;
    if (held?.participant !== participant || held.words !== words) {
      return undefined;
    }
    this.#held = undefined;
    return held.capture;
  }

  drop(): void {
    for (const track of this.#held?.capture.getTracks() ?? []) {
      track.stop();
    }
    this.#held = undefined;
  }
}
