/** One line under the toolbar that says what is being shared with whom, now (R013). */

import { h, say, show } from './dom.ts';
import type { ShareStep } from './share.ts';
import { displayName, SURFACE_NAMES, type SessionState } from './state.ts';

interface Words {
  readonly kind: 'loading' | 'live' | 'info';
  readonly text: string;
}

export class Banner {
  readonly element: HTMLElement;
  private readonly text = h('span', { class: 'banner-text' });

  constructor() {
    this.element = h('div', { class: 'banner', role: 'status', 'aria-live': 'polite', hidden: true },
      h('span', { class: 'banner-dot', 'aria-hidden': 'true' }), this.text);
  }

  /** `stated`: the relay takes the agent's word for what the window shows. */
  render(state: SessionState, step: ShareStep, stated: boolean): void {
    const words = bannerWords(state, step, stated);
    show(this.element, words !== undefined);
    if (words !== undefined) {
      this.element.dataset['kind'] = words.kind;
      say(this.text, words.text);
    }
  }
}

/** What the banner says; our own share first, because its owner must never be unsure about it. */
export function bannerWords(state: SessionState, step: ShareStep, stated = false): Words | undefined {
  const mine = state.shares.agent;
  if (step === 'picking') {
    return { kind: 'info', text: 'Choose what to share in the window of your browser. Nothing is shared yet.' };
  }
  if (step === 'sharing' && mine?.phase === 'held') {
    return { kind: 'loading', text: 'Your content is loading: the page that you share is being checked…' };
  }
  if (step === 'asking' || (step === 'sharing' && mine?.phase === 'waiting')) {
    return { kind: 'loading', text: 'Your content is loading for the visitor…' };
  }
  if (step === 'sharing') {
    const what = mine?.surface === undefined ? 'your screen' : SURFACE_NAMES[mine.surface];
    const limits = stated ? ' Only the page that you opened is checked, not where you go in that window.' : '';
    return { kind: 'live', text: `Your content is being shared with the visitor: ${what}.${limits}` };
  }
  return visitorWords(state) ?? othersWords(state);
}

function visitorWords(state: SessionState): Words | undefined {
  const theirs = state.shares.visitor;
  if (theirs?.phase === 'waiting') {
    return { kind: 'loading', text: 'The visitor’s screen is loading…' };
  }
  if (theirs?.phase === 'live') {
    const what = theirs.surface === undefined ? 'a screen' : SURFACE_NAMES[theirs.surface];
    return { kind: 'live', text: `The visitor is sharing ${what} with you.` };
  }
  if (state.invite.at === 'pending') {
    return { kind: 'loading', text: 'You asked the visitor to share a screen. Waiting for the answer…' };
  }
  if (state.invite.at === 'accepted') {
    return { kind: 'loading', text: 'The visitor agreed and is choosing what to share…' };
  }
  return undefined;
}

function othersWords(state: SessionState): Words | undefined {
  const share = state.shares.agent;
  if (share === undefined || share.phase === 'empty' || share.holder === state.you) {
    return undefined;
  }
  const holder = state.members.find((member) => member.id === share.holder);
  return { kind: 'info', text: `${holder === undefined ? 'Another agent' : displayName(holder)} is sharing their screen with the visitor.` };
}
