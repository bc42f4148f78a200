/** The part of the card that shows the visitor's own camera, and stops it. */
import type { CameraView } from './camera.ts';
import { button, element, say } from './dom.ts';

export interface PreviewEvents {
  hideCamera(on: boolean): void;
  flipCamera(): void;
  stopCamera(): void;
}

export class CameraPanel {
  readonly root = element('section', { class: 'camera', 'aria-label': 'Your camera', hidden: '' });
  readonly #text = element('p', { role: 'status' });
  readonly #cover = element('p', { 'aria-hidden': 'true' });
  readonly #video = element('video', { autoplay: '', playsinline: '', muted: '', 'aria-label': 'What your camera shows' });
  readonly #hide: HTMLButtonElement;
  readonly #flip: HTMLButtonElement;
  #hidden = false;

  constructor(events: PreviewEvents) {
    this.#video.muted = true;
    this.#hide = button('Hide picture', '', () => events.hideCamera(!this.#hidden));
    this.#flip = button('Other camera', '', () => events.flipCamera());
    this.root.append(
      this.#text,
      element('div', { class: 'stage' }, this.#cover, this.#video),
      element('div', { class: 'row' }, this.#hide, this.#flip, button('Stop camera', 'stop', () => events.stopCamera())),
    );
  }

  stream(stream: MediaStream | null): void {
    this.#video.srcObject = stream;
    if (stream !== null) {
      this.#video.play().catch(() => undefined);
    }
  }

  show(view: CameraView): void {
    this.#hidden = view.hidden;
    this.root.hidden = view.phase === 'off';
    this.#video.hidden = view.hidden || view.phase === 'opening';
    this.#video.classList.toggle('mirror', view.front);
    this.#flip.hidden = !view.flips;
    this.#hide.hidden = view.phase === 'opening';
    say(this.#hide, view.hidden ? 'Show picture' : 'Hide picture');
    say(this.#cover, view.phase === 'opening' ? 'Opening…' : 'Picture hidden');
    say(this.#text, textOf(view));
  }
}

function textOf(view: CameraView): string {
  if (view.phase === 'opening') {
    return 'Your browser may ask for your permission.';
  }
  if (view.hidden) {
    return 'Your camera is on; its picture is hidden.';
  }
  return view.phase === 'live' ? 'Your camera is being seen.' : 'Your camera is about to be seen…';
}
