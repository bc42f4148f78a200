/** The camera page `/c/<token>`: draws a {@link PhoneView} and reports what is tapped. One screen, made for a phone in one hand. */
import './camera.css';
import { button, h, say, show } from '../agent/console/dom.ts';
import { said } from '../visitor/said.ts';
import { PhoneVisit, type PhoneView } from './visit.ts';

const token = location.pathname.split('/')[2] ?? '';
const video = h('video', { autoplay: true, playsinline: true, 'aria-label': 'What your camera shows' });
video.muted = true;

const visit = new PhoneVisit(token, (view) => draw(view), (stream) => {
  video.srcObject = stream;
  if (stream !== null) {
    void video.play().catch(() => undefined);
  }
});

const title = h('h1', { tabindex: '-1' });
const note = h('p', { class: 'note', role: 'alert' });
const agree = button('Show my camera', { class: 'button button--primary button--wide' }, () => void visit.agree());
const refuse = button('No, thanks', { class: 'button button--wide' }, () => void visit.refuse());
const points = h('div', { class: 'points' });
const card = h('main', { class: 'ask' }, h('p', { class: 'brand' }, h('span', { class: 'brand-mark', 'aria-hidden': 'true' }), 'Fanlight'), title, points, note, agree, refuse);

const status = h('p', { class: 'status', role: 'status' });
const warning = h('p', { class: 'note', role: 'alert' });
const also = h('div', { class: 'also', role: 'group' });
const flip = button('Flip', { class: 'round' }, () => visit.flip());
const torch = button('Light', { class: 'round', 'aria-pressed': 'false' }, () => void visit.torch(visit.view.torch !== 'on'));
const hide = button('Hide', { class: 'round', 'aria-pressed': 'false' }, () => visit.hide(!visit.view.camera.hidden));
const again = button('Show camera again', { class: 'button button--primary' }, () => visit.again());
const end = button('End', { class: 'round round--end' }, () => visit.end());
const covered = h('p', { class: 'covered' }, 'Your picture is hidden.');
const phone = h('main', { class: 'phone', 'aria-label': 'Your camera' }, video, covered,
  h('div', { class: 'top' }, status, warning, also), h('div', { class: 'controls' }, again, torch, hide, flip, end));

let step: PhoneView['step'] | undefined;

function draw(view: PhoneView): void {
  const running = view.step === 'on' || view.step === 'opening';
  if (step !== view.step) {
    step = view.step;
    document.getElementById('camera')?.replaceChildren(running ? phone : card);
    (running ? end : title).focus();
  }
  if (running) {
    drawPhone(view);
  } else {
    drawCard(view);
  }
}

function drawCard(view: PhoneView): void {
  say(title, titleOf(view));
  say(note, view.text);
  show(note, view.text !== '');
  const asked = view.step === 'asked';
  show(agree, asked);
  show(refuse, asked);
  show(points, asked);
  if (asked && points.childElementCount === 0) {
    points.replaceChildren(...said(view.words), h('p', { class: 'soft' }, 'The rear camera opens first.'));
  }
}

function titleOf({ step: at, agent }: PhoneView): string {
  if (at === 'looking') {
    return 'One moment, please';
  }
  if (at === 'over') {
    return agent === '' ? 'This link does not work' : 'That was it';
  }
  return `${agent} would like to see what your camera shows`;
}

function drawPhone(view: PhoneView): void {
  const { camera } = view;
  const words = view.step === 'opening' ? 'Opening… your browser may ask for your permission.'
    : !view.connected ? 'Connection lost. Trying to come back…'
    : camera.phase === 'live' ? `${view.agent} sees your camera`
    : camera.phase === 'off' ? 'Your camera is off' : 'Connecting your camera…';
  say(status, words);
  status.dataset['live'] = String(camera.phase === 'live' && !camera.hidden);
  say(warning, view.text);
  show(warning, view.text !== '');
  video.classList.toggle('mirror', camera.front);
  show(video, !camera.hidden && camera.phase !== 'off');
  show(covered, camera.hidden);
  const on = camera.phase === 'waiting' || camera.phase === 'live';
  show(flip, on && camera.flips);
  show(torch, on && view.torch !== 'none');
  show(hide, on);
  show(again, view.step === 'on' && camera.phase === 'off');
  torch.setAttribute('aria-pressed', String(view.torch === 'on'));
  hide.setAttribute('aria-pressed', String(camera.hidden));
  say(hide, camera.hidden ? 'Show' : 'Hide');
  drawAlso(view);
}

function drawAlso({ also: asked }: PhoneView): void {
  show(also, asked !== undefined);
  if (also.dataset['ask'] !== String(asked?.ask) && asked !== undefined) {
    also.dataset['ask'] = String(asked.ask);
    also.replaceChildren(h('p', {}, `${asked.name} would like to see it, too.`), ...said(asked.words),
      button('No', { class: 'button' }, () => visit.answer(false)), button('Allow', { class: 'button button--primary' }, () => visit.answer(true)));
  }
}

document.getElementById('camera')?.replaceChildren(card);
window.addEventListener('pagehide', () => visit.end());
draw(visit.view);
void visit.begin();
