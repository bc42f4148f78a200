/** The panel that shows an agent's screen: movable in size, keyboard operable, and never in the way for good. */
import { button, element, say } from './dom.ts';
import type { View } from './view.ts';

export class ScreenPanel {
  readonly root = element('section', { class: 'screen', 'aria-label': "The agent's screen", hidden: '' });
  readonly #title = element('p');
  readonly #loading = element('p', { role: 'status' }, 'Content is loading…');
  readonly #video = element('video', { autoplay: '', playsinline: '', muted: '' });
  readonly #sound: HTMLButtonElement;
  readonly #size: HTMLButtonElement;
  #folded = false;

  constructor() {
    // A page that starts sound by itself would be stopped by the browser: the visitor turns it on.
    this.#video.muted = true;
    this.#sound = button('Turn sound on', '', () => this.#toggleSound());
    this.#size = button('Larger', '', () => this.#toggleSize());
    const hide = button('Hide', '', () => this.#fold());
    this.root.append(
      element('header', {}, this.#title, this.#sound, this.#size, hide),
      element('div', { class: 'stage' }, this.#loading, this.#video),
    );
    this.root.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && this.root.classList.contains('big')) {
        this.#toggleSize();
      }
    });
  }

  stream(stream: MediaStream): void {
    this.#video.srcObject = stream;
  }

  show(theirs: View['theirs']): void {
    if (theirs.phase === 'empty') {
      this.#folded = false;
    }
    this.root.hidden = theirs.phase === 'empty' || this.#folded;
    this.#video.hidden = theirs.phase !== 'live';
    this.#loading.hidden = theirs.phase === 'live';
    this.#sound.hidden = !theirs.audio;
    say(this.#title, `${theirs.name}’s screen`);
    if (theirs.phase === 'live' && this.#video.paused) {
      // Refused only when the page may not play at all; the picture then waits for the visitor's next click.
      this.#video.play().catch(() => undefined);
    }
  }

  /** Fills the page: the agent's screen is what such a session is for (R127). */
  enlarge(): void {
    if (!this.root.classList.contains('big')) {
      this.#toggleSize();
    }
  }

  /** Brings a hidden panel back. */
  unfold(theirs: View['theirs']): void {
    this.#folded = false;
    this.show(theirs);
  }

  get folded(): boolean {
    return this.#folded;
  }

  #fold(): void {
    this.#folded = true;
    this.root.hidden = true;
    this.root.dispatchEvent(new Event('fold'));
  }

  #toggleSound(): void {
    this.#video.muted = !this.#video.muted;
    say(this.#sound, this.#video.muted ? 'Turn sound on' : 'Turn sound off');
  }

  #toggleSize(): void {
    const big = this.root.classList.toggle('big');
    say(this.#size, big ? 'Smaller' : 'Larger');
  }
}
