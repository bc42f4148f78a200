/** The session's controls (R151, R152): every control says why when it cannot be used. Decides nothing; calls what it is given. */

import { Capability, type Mode } from '../../protocol/signal.ts';
import type { Zoom } from '../viewer.ts';
import { button, h, icon, say, show } from './dom.ts';
import { Menu, type MenuItem } from './menu.ts';
import type { ShareStep } from './share.ts';
import type { Picture } from './stage.ts';
import { MODE_NAMES, shareBlocked, type SessionState } from './state.ts';

export interface ToolbarActions {
  readonly setMode: (mode: Mode) => void;
  readonly shareMine: () => void;
  /** Approved pages to open, or none. */
  readonly bookmarks: (blocked: string | undefined) => readonly MenuItem[];
  readonly askVisitor: () => void;
  readonly stopSharing: () => void;
  readonly showPicture: (picture: Picture) => void;
  readonly zoom: (zoom: Zoom) => void;
  readonly trueView: (on: boolean) => void;
  readonly leave: () => void;
  readonly end: () => void;
  readonly togglePanel: (open: boolean) => void;
}

/** Why a mode is not offered at all in this product (R163–R167). */
const UNAVAILABLE: Partial<Record<Mode, string>> = {
  true_pointer: 'needs Advanced mode',
  full_control: 'not available yet',
};
const ZOOM_STEPS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2];

export class Toolbar {
  readonly element: HTMLElement;
  private readonly mode = h('select', { id: 'mode', class: 'select' });
  private readonly modeControl = h('div', { class: 'control' }, h('label', { for: 'mode', class: 'control-label' }, 'Mode'), this.mode);
  private readonly shareMenu: Menu;
  private readonly stop: HTMLButtonElement;
  private readonly pictures: Record<Picture, HTMLButtonElement>;
  private readonly pictureGroup: HTMLElement;
  private readonly zoomLabel = h('span', { class: 'zoom-label', 'aria-live': 'off' }, '100 %');
  private readonly zoomGroup: HTMLElement;
  private scale = 1;
  private state: SessionState | undefined;
  private step: ShareStep = 'idle';

  constructor(private readonly act: ToolbarActions) {
    this.mode.addEventListener('change', () => act.setMode(this.mode.value as Mode));
    this.shareMenu = new Menu('Share Screen', 'screen', 'button button--primary', () => this.shareItems());
    this.stop = button('Stop Sharing', { class: 'button button--danger', hidden: true, id: 'stop-sharing' }, act.stopSharing);
    this.stop.prepend(icon('stop'));
    this.pictures = { page: this.pictureButton('page', 'Page'), screen: this.pictureButton('screen', 'Screen') };
    this.pictureGroup = h('div', { class: 'segmented', role: 'group', 'aria-label': 'Picture' }, this.pictures.page, this.pictures.screen);
    this.zoomGroup = this.zoomControls();
    const leave = new Menu('Disconnect', 'leave', 'button', () => this.leaveItems());
    this.element = h('div', { class: 'toolbar', role: 'toolbar', 'aria-label': 'Session' },
      this.modeControl,
      this.shareMenu.element, this.stop, this.pictureGroup, this.zoomGroup,
      h('div', { class: 'spacer' }), this.panelToggle(), leave.element);
  }

  render(state: SessionState, step: ShareStep, picture: Picture): void {
    this.state = state;
    this.step = step;
    this.renderModes(state);
    show(this.stop, step === 'asking' || step === 'sharing');
    this.shareMenu.button.disabled = step === 'picking';
    const screen = state.shares.visitor?.phase === 'live';
    // A session that is about a screen has no page to point at or to look at instead.
    const page = (state.capabilities & Capability.SUB_DOM) !== 0;
    show(this.modeControl, page);
    show(this.pictureGroup, screen && page);
    for (const [name, element] of Object.entries(this.pictures)) {
      element.setAttribute('aria-pressed', String(name === picture));
    }
    show(this.zoomGroup, picture === 'page' && page);
  }

  private renderModes(state: SessionState): void {
    const signature = `${state.modes.join()} ${state.mode}`;
    if (this.mode.dataset['signature'] === signature) {
      return;
    }
    this.mode.dataset['signature'] = signature;
    const options = (Object.keys(MODE_NAMES) as Mode[]).map((mode) => {
      const reason = state.modes.includes(mode) ? undefined : (UNAVAILABLE[mode] ?? 'not allowed by your group');
      const label = reason === undefined ? MODE_NAMES[mode] : `${MODE_NAMES[mode]} (${reason})`;
      return h('option', { value: mode, disabled: reason !== undefined, selected: mode === state.mode }, label);
    });
    this.mode.replaceChildren(...options);
    this.mode.value = state.mode;
  }

  /** R053: shows what can be shared. */
  openShareMenu(): void {
    this.shareMenu.open();
  }

  /** R002: two things the one button offers. */
  private shareItems(): readonly MenuItem[] {
    const { state } = this;
    const mine = state === undefined ? 'Not connected.' : shareBlocked(state, Capability.PUB_SCREEN);
    const theirs = state === undefined ? 'Not connected.' : shareBlocked(state, Capability.INVITE);
    const pending = state?.invite.at === 'pending' ? 'You have asked. Waiting for the visitor’s answer.' : undefined;
    const sharing = this.step === 'sharing';
    return [
      {
        label: sharing ? 'Share something else' : 'Share my screen',
        detail: 'Show the visitor your entire screen, a window or a tab. You choose next.',
        blocked: mine, act: this.act.shareMine,
      },
      {
        label: 'Ask the visitor to share',
        detail: 'Sends an invitation. The visitor decides and chooses what to show.',
        blocked: theirs ?? pending, act: this.act.askVisitor,
      },
      ...this.act.bookmarks(mine),
    ];
  }

  private leaveItems(): readonly { label: string; detail: string; blocked?: string | undefined; act: () => void }[] {
    const mayEnd = this.state === undefined || (this.state.capabilities & Capability.END) !== 0;
    return [
      { label: 'Leave', detail: 'The session goes on for the others.', act: this.act.leave },
      {
        label: 'End session for everyone',
        detail: 'The visitor and all agents are told and disconnected.',
        blocked: mayEnd ? undefined : 'Your account may not end sessions.', act: this.act.end,
      },
    ];
  }

  private pictureButton(picture: Picture, label: string): HTMLButtonElement {
    return button(label, { class: 'segment', 'aria-pressed': 'false' }, () => this.act.showPicture(picture));
  }

  private zoomControls(): HTMLElement {
    const out = button(icon('zoomOut') as unknown as Node, { class: 'button button--icon', 'aria-label': 'Zoom out' }, () => this.stepZoom(-1));
    const zoomIn = button(icon('zoomIn') as unknown as Node, { class: 'button button--icon', 'aria-label': 'Zoom in' }, () => this.stepZoom(1));
    const fit = button('Fit', { class: 'button button--quiet' }, () => this.setZoom('fit'));
    const trueView = h('input', { type: 'checkbox', id: 'true-view', checked: true });
    trueView.addEventListener('change', () => this.act.trueView(trueView.checked));
    return h('div', { class: 'zoom', role: 'group', 'aria-label': 'Size of the page' },
      out, this.zoomLabel, zoomIn, fit,
      h('label', { class: 'check', for: 'true-view', title: "Shows the page at the visitor's own size" }, trueView, 'True View'));
  }

  private stepZoom(direction: 1 | -1): void {
    const now = this.scale;
    const steps = direction === 1 ? ZOOM_STEPS : ZOOM_STEPS.toReversed();
    this.setZoom(steps.find((candidate) => (candidate - now) * direction > 0.001) ?? now);
  }

  private setZoom(zoom: Zoom): void {
    this.act.zoom(zoom);
  }

  /** The scale in effect, also when the page is fitted. */
  showScale(scale: number): void {
    this.scale = scale;
    say(this.zoomLabel, `${Math.round(scale * 100)} %`);
  }

  private panelToggle(): HTMLElement {
    const toggle = button(icon('people') as unknown as Node, { class: 'button button--icon panel-toggle', 'aria-label': 'People and details', 'aria-expanded': 'false' }, () => {
      const open = toggle.getAttribute('aria-expanded') !== 'true';
      toggle.setAttribute('aria-expanded', String(open));
      this.act.togglePanel(open);
    });
    return toggle;
  }
}
