/** The session screen: puts toolbar, banner, stage and panel together and draws them from the session's state. */

import { clientInfo, type CarrierChoice, type Closed } from '../../protocol/connection.ts';
import { TAKEN_OVER, type Surface } from '../../protocol/signal.ts';
import { Banner } from './banner.ts';
import type { Login } from './api.ts';
import { closeDialog, dialog, macHowTo } from './dialogs.ts';
import { h } from './dom.ts';
import { Guide } from './guide.ts';
import { Panel, QualityBadge } from './panel.ts';
import { Session, type Entry } from './session.ts';
import { Sites } from './sites.ts';
import { Stage } from './stage.ts';
import { admitted, endedBy, isCameraOnly, SURFACE_NAMES, surfacesOf, type ShareRefusal } from './state.ts';
import { savePlace } from './storage.ts';
import { Toasts } from './toasts.ts';
import { trouble } from './trouble.ts';
import { Toolbar } from './toolbar.ts';

export interface RoomOptions {
  readonly carrier: CarrierChoice;
  readonly toasts: Toasts;
  /** Who is here; without a token for whoever came by a `view_url`. */
  readonly login: Login;
  /** For a page around this console. */
  readonly event: (name: string, detail: Record<string, unknown>) => void;
}

export class Room {
  readonly session: Session;
  readonly stage: Stage;
  /** For the header: how the connection is. */
  readonly badge = new QualityBadge();
  private readonly toolbar: Toolbar;
  private readonly banner: Banner;
  private readonly panel = new Panel(clientInfo());
  private readonly toasts: Toasts;
  private readonly element: HTMLElement;
  private readonly sites: Sites;
  /** The version of the rules under which the list of approved pages was asked for. */
  private listed: number | undefined;
  private readonly mayList: boolean;
  private drawn = false;
  private readonly guide: Guide;

  constructor(
    root: HTMLElement,
    entry: Entry,
    options: RoomOptions,
    private readonly over: (closed: Closed) => void,
  ) {
    this.toasts = options.toasts;
    this.mayList = options.login.token !== '';
    this.stage = new Stage(
      {
        resync: () => this.session.wantResync(),
        pointed: (position) => this.session.point(position),
        scaled: (scale) => this.toolbar.showScale(scale),
      },
      () => this.draw(),
      () => this.session.leave(),
    );
    this.sites = new Sites(options.login, entry.session, options.toasts, {
      changed: () => this.draw(),
      opened: (url) => this.session.share.noteOpened(url),
      shareWindow: () => this.share('window'),
      chooseAgain: () => this.toolbar.openShareMenu(),
    });
    this.toolbar = this.makeToolbar();
    this.banner = new Banner();
    this.element = h('div', { class: 'room' }, this.toolbar.element, this.banner.element,
      h('main', { class: 'room-body' }, this.stage.element, this.panel.element));
    root.replaceChildren(this.element);
    this.session = new Session(entry, options.carrier, {
      changed: () => this.draw(),
      notice: (notice) => this.toasts.show(notice),
      takenOver: (text) => this.takenOver(text),
      refused: (refusal) => this.refused(refusal),
      notCaptured: (error) => this.notCaptured(error),
      stream: (stream) => this.stage.attach(stream),
      camera: (stream) => this.stage.camera.attach(stream),
      resume: (resume) => savePlace({ session: entry.session, resume, ...(entry.kind !== undefined && { kind: entry.kind }) }),
      forget: () => this.stage.forgetPage(),
      over: (closed) => this.finish(closed),
    });
    this.session.viewer = this.stage.viewer;
    this.guide = new Guide(entry, this.session, options.event);
    this.draw();
  }

  private makeToolbar(): Toolbar {
    return new Toolbar({
      setMode: (mode) => this.session.setMode(mode),
      shareMine: () => this.share(),
      bookmarks: (blocked) => this.sites.items(blocked),
      askVisitor: () => this.session.inviteVisitor(),
      stopSharing: () => this.session.share.stop(),
      showPicture: (picture) => this.stage.choose(picture),
      zoom: (zoom) => this.stage.viewer.setZoom(zoom),
      trueView: (on) => this.trueView(on),
      leave: () => this.session.leave(),
      end: () => this.confirmEnd(),
      togglePanel: (open) => this.panel.element.classList.toggle('panel--open', open),
    });
  }

  /** Draws once per turn, however many signals came in it. */
  private draw(): void {
    if (!this.drawn) {
      this.drawn = true;
      queueMicrotask(() => {
        this.drawn = false;
        this.render();
      });
    }
  }

  private render(): void {
    const { state, quality, shareStep } = this.session;
    this.element.classList.toggle('room--camera', isCameraOnly(state));
    this.list();
    this.toolbar.render(state, shareStep, this.stage.picture);
    this.banner.render(state, shareStep, this.session.share.isStated);
    this.stage.render(state, quality.connection);
    this.panel.render(state, quality);
    this.panel.listDocuments(this.sites.shareable?.documents ?? []);
    this.session.share.namesSites = this.sites.shareable?.sites !== undefined;
    this.badge.render(state, quality);
    this.guide.follow(state, shareStep);
  }

  /** R036: the list comes with the session; narrower rights make it anew. */
  private list(): void {
    const { state } = this.session;
    if (this.mayList && admitted(state) && this.listed !== state.policyVersion) {
      this.listed = state.policyVersion;
      void this.sites.load();
    }
  }

  private share(prefer?: Surface): void {
    void this.session.share.start(prefer, surfacesOf(this.session.state));
  }

  /** R172: local only; the visitor is not told. */
  private trueView(on: boolean): void {
    this.stage.viewer.setTrueView(on);
    if (!on) {
      this.stage.viewer.clearPointers();
      this.toasts.show({ kind: 'info', text: 'The page now fills your window. Pointing works again when True View is on.' });
    }
  }

  private takenOver(text: string): void {
    dialog('Your screen share has ended', [text === '' ? TAKEN_OVER : text], [{ label: 'OK' }]);
  }

  /** R050, R051: what was refused, what is allowed, and another try. */
  private refused(refusal: ShareRefusal): void {
    const allowed = refusal.allowed.map((surface) => SURFACE_NAMES[surface]).join(' or ');
    if (refusal.code === 'E_SURFACE') {
      const cure = allowed === '' ? refusal.sentence : `Your group allows sharing ${allowed}. Press Retry and choose that.`;
      const [only] = refusal.allowed.length === 1 ? refusal.allowed : [];
      dialog('That kind of screen may not be shared', ['Nothing was shown to the visitor.', cure], [
        { label: 'Retry', act: () => this.share(only) },
        { label: 'Cancel' },
      ]);
    } else if (refusal.code === 'E_SITE') {
      this.sites.refused(refusal);
    } else {
      const title = refusal.code === 'E_POLICY' ? 'Your screen share has ended' : 'Sharing did not start';
      dialog(title, [refusal.sentence], [{ label: 'OK' }]);
    }
  }

  /** R008, R011: the picker gave nothing. */
  private notCaptured(error: unknown): void {
    const why = trouble(error instanceof DOMException ? error.name : '', navigator.userAgent);
    if (why === 'how_to') {
      dialog('Nothing was shared', [macHowTo()], [
        { label: 'Retry', act: () => this.share() },
        { label: 'Close' },
      ]);
    } else if (why === 'nothing_shared') {
      this.toasts.show({ kind: 'info', text: 'Nothing was shared.' });
    } else {
      dialog('Your screen cannot be captured', ['This browser cannot share a screen here. Use a current desktop browser.'], [{ label: 'OK' }]);
    }
  }

  private confirmEnd(): void {
    dialog('End the session for everyone?', ['The visitor and all agents are told and disconnected.'], [
      { label: 'End session', act: () => this.session.end() },
      { label: 'Cancel' },
    ]);
  }

  private finish(closed: Closed): void {
    savePlace(undefined);
    this.guide.end(closed);
    this.stage.clear();
    this.toasts.clear();
    closeDialog();
    this.over({ code: closed.code, sentence: endedBy(this.session.state) ?? closed.sentence });
  }
}
