//! Questions to the visitor: may this agent see the page, will you share your screen (R045, R116, R165).
//!
//! Invariant: a question is answered at most once; an unanswered one is withdrawn in time; a "no" is remembered so that
//! an agent cannot nag.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use fanlight_wire::consent;
use fanlight_wire::limits::{AGENTS_MAX, DENIAL_REMEMBERED};
use fanlight_wire::policy::{Capabilities, Role, Surface};
use fanlight_wire::report::Report;
use fanlight_wire::signal::{Ask, Stage, ToClient};
use fanlight_wire::{Code, ParticipantId, Refusal};

use super::sites::counted;
use super::{Context, Session};
use crate::deadline::{Deadline, Reason};
use crate::participant::Participant;
use crate::permit;

/// One open question about one agent.
#[derive(Debug, Clone, Copy)]
struct Question {
    about: ParticipantId,
    until: Instant,
}

/// A visitor's screen, asked for by an agent.
#[derive(Debug, Clone, Copy)]
struct Grant {
    asker: ParticipantId,
    until: Instant,
    accepted: bool,
}

/// Everything that was asked of the visitor.
#[derive(Debug, Default)]
pub(super) struct Asks {
    last: u32,
    views: BTreeMap<u32, Question>,
    grants: BTreeMap<u32, Grant>,
    /// Subjects that were told no, to what, and until when they may not ask for it again.
    denied: BTreeMap<(Ask, String), Instant>,
    /// Subjects that the visitor has agreed to before they came (R116); each is let in once.
    welcome: BTreeSet<String>,
}

impl Asks {
    /// May an agent with this subject ask now?
    pub(super) fn may_ask(&self, now: Instant, kind: Ask, subject: &str) -> Result<(), Refusal> {
        match self.denied.get(&(kind, subject.to_owned())) {
            Some(until) if *until > now => Err(Refusal::new(Code::Consent, "protocol §14")
                .saying("The visitor has said no. Wait a minute before you ask again.")),
            _ => Ok(()),
        }
    }

    pub(super) fn deadline(&self) -> Deadline {
        let views = self.views.values().map(|question| question.until);
        let grants = self.grants.values().map(|grant| grant.until);
        views.chain(grants).min().map_or(Deadline::IDLE, |at| Deadline::new(at, Reason::Consent))
    }

    const fn next_number(&mut self) -> u32 {
        self.last = self.last.wrapping_add(1);
        self.last
    }
}

impl Session {
    /// Asks the visitor whether `who` may see the page.
    pub(super) fn ask_to_view(&mut self, cx: &mut Context<'_>, who: ParticipantId) {
        let ask = self.asks.next_number();
        cx.reports.push_back(Report::Asked { session: self.id, participant: who, kind: Ask::View });
        self.asks.views.insert(ask, Question { about: who, until: cx.now + self.question_time() });
        self.let_in_welcome(cx);
        self.put_view_question(cx.now, ask);
    }

    /// The visitor has accepted this agent's invitation before either of them came: that was the question, and asking
    /// again would only confuse.
    pub(crate) fn expect_agent(&mut self, cx: &mut Context<'_>, subject: String) {
        if self.asks.welcome.len() < AGENTS_MAX {
            self.asks.welcome.insert(subject);
        }
        self.let_in_welcome(cx);
        self.dispatch(cx);
    }

    /// Answers the open questions that the visitor has answered already, as soon as it is there to be seen.
    fn let_in_welcome(&mut self, cx: &mut Context<'_>) {
        if !self.participants.values().any(|member| member.role == Role::Visitor) {
            return;
        }
        let subject = |who: &ParticipantId| self.participants.get(who).map(|agent| agent.subject.clone());
        let open = self.asks.views.iter().filter_map(|(ask, question)| Some((*ask, subject(&question.about)?)));
        let answered: Vec<_> = open.filter(|(_, subject)| self.asks.welcome.contains(subject)).collect();
        for (ask, subject) in answered {
            self.asks.welcome.remove(&subject);
            if let Err(refusal) = self.settle_view(cx, ask, true) {
                tracing::debug!(session = %self.id, code = %refusal.code, "a welcome came too late");
            }
        }
    }

    fn question_time(&self) -> Duration {
        Duration::from_secs(self.policy.question_seconds.into())
    }

    /// The visitor is (back) on a carrier: everything that is still open is asked (again).
    pub(super) fn visitor_arrived(&mut self, cx: &mut Context<'_>) {
        self.let_in_welcome(cx);
        let views: Vec<u32> = self.asks.views.keys().copied().collect();
        for ask in views {
            self.put_view_question(cx.now, ask);
        }
        let grants: Vec<u32> =
            self.asks.grants.iter().filter(|(_, grant)| !grant.accepted).map(|(grant, _)| *grant).collect();
        for grant in grants {
            self.put_screen_question(cx.now, grant);
        }
    }

    /// The visitor's answer about an agent. A yes to other words than the session's is none: it is asked in these.
    pub(super) fn answer_view(
        &mut self,
        cx: &mut Context<'_>,
        ask: u32,
        accept: bool,
        words: Option<&str>,
    ) -> Result<(), Refusal> {
        if accept
            && self.asks.views.contains_key(&ask)
            && let Err(refusal) = same_words(&self.policy.questions.view, words)
        {
            self.put_view_question(cx.now, ask);
            return Err(refusal);
        }
        self.settle_view(cx, ask, accept)
    }

    fn settle_view(&mut self, cx: &mut Context<'_>, ask: u32, accept: bool) -> Result<(), Refusal> {
        let Some(Question { about, until }) = self.asks.views.remove(&ask) else {
            return Err(Refusal::new(Code::State, "R116").saying("This question is no longer open."));
        };
        if until <= cx.now {
            cx.reports.push_back(Report::Unanswered { session: self.id, participant: about, kind: Ask::View });
            return Err(Refusal::new(Code::Timeout, "R116"));
        }
        cx.reports.push_back(Report::Consent {
            session: self.id,
            participant: about,
            role: self.role_of(about),
            kind: Ask::View,
            accepted: accept,
        });
        self.tell(about, &ToClient::ConsentResult { kind: Ask::View, accepted: accept });
        if accept {
            self.let_in(cx, about);
        } else {
            self.remember_denial(cx.now, Ask::View, about);
            self.remove(cx, about, Code::Consent);
        }
        Ok(())
    }

    /// R117: the visitor agreed; from here on the page flows to `who`.
    fn let_in(&mut self, cx: &mut Context<'_>, who: ParticipantId) {
        let Some(participant) = self.participants.get_mut(&who) else { return };
        participant.consented = true;
        let watches = participant.may_watch();
        self.announce(who);
        let stage = self.stage;
        if stage == Stage::Waiting {
            self.set_stage(cx, Stage::Active);
        } else {
            self.tell(who, &ToClient::SessionStage { stage });
        }
        self.tell_what_was_missed(who);
        if watches {
            self.dom.join(cx.now, who);
        }
    }

    /// While it waited for consent, `who` was told neither of other members nor of slots and camera.
    fn tell_what_was_missed(&mut self, who: ParticipantId) {
        let others: Vec<_> = self.participants.values().filter(|p| p.id != who).map(Participant::member).collect();
        for other in others {
            self.tell(who, &ToClient::Member(other));
        }
        for share in self.shares.states() {
            self.tell(who, &ToClient::Share(share));
        }
        if let Some(camera) = self.participants.get(&who).and_then(|participant| self.camera_for(participant)) {
            self.tell(who, &ToClient::Camera(camera));
        }
    }

    /// An agent asks for the visitor's screen (R042, R044).
    pub(super) fn invite_screen(&mut self, cx: &mut Context<'_>, asker: ParticipantId) -> Result<(), Refusal> {
        let subject = self.participants.get(&asker).map(|p| p.subject.clone()).unwrap_or_default();
        self.asks.may_ask(cx.now, Ask::Screen, &subject)?;
        if self.asks.grants.values().any(|grant| grant.asker == asker) {
            return Err(Refusal::new(Code::Busy, "R044").saying("You have already asked; wait for the answer."));
        }
        let grant = self.asks.next_number();
        cx.reports.push_back(Report::Asked { session: self.id, participant: asker, kind: Ask::Screen });
        self.asks.grants.insert(grant, Grant { asker, until: cx.now + self.question_time(), accepted: false });
        self.put_screen_question(cx.now, grant);
        Ok(())
    }

    /// The visitor clicked Accept (R045), and says which words it was shown.
    pub(super) fn accept_screen(
        &mut self,
        cx: &mut Context<'_>,
        number: u32,
        words: Option<&str>,
    ) -> Result<(), Refusal> {
        let open = self.asks.grants.get(&number).filter(|grant| !grant.accepted);
        let asker = open.ok_or_else(|| Refusal::new(Code::Grant, "R045"))?.asker;
        if let Err(refusal) = same_words(&self.policy.questions.screen, words) {
            self.put_screen_question(cx.now, number);
            return Err(refusal);
        }
        // The picker may stay open for a while; the grant's time begins anew.
        let until = cx.now + self.question_time();
        self.asks.grants.insert(number, Grant { asker, until, accepted: true });
        self.screen_answered(cx, number, asker, true, "");
        Ok(())
    }

    /// The visitor said no, or has chosen nothing after all (R048).
    pub(super) fn decline_screen(&mut self, cx: &mut Context<'_>, number: u32, reason: &str) -> Result<(), Refusal> {
        let gone = self.asks.grants.remove(&number);
        let asker = gone.ok_or_else(|| Refusal::new(Code::Grant, "R045"))?.asker;
        if reason != "picker" {
            self.remember_denial(cx.now, Ask::Screen, asker);
        }
        self.screen_answered(cx, number, asker, false, reason);
        Ok(())
    }

    fn screen_answered(
        &mut self,
        cx: &mut Context<'_>,
        grant: u32,
        asker: ParticipantId,
        accepted: bool,
        reason: &str,
    ) {
        cx.reports.push_back(Report::Consent {
            session: self.id,
            participant: asker,
            role: self.role_of(asker),
            kind: Ask::Screen,
            accepted,
        });
        let reason: String = reason.chars().take(32).collect();
        self.tell(asker, &ToClient::ShareAnswered { grant, accepted, reason });
    }

    /// Uses up an accepted grant: the visitor's share begins (R045: single use). Who asked for it. A surface that the
    /// asker may not be shown leaves the grant open for another try.
    pub(super) fn redeem_grant(
        &mut self,
        number: Option<u32>,
        surface: Option<Surface>,
    ) -> Result<ParticipantId, Refusal> {
        let refusal = || Refusal::new(Code::Grant, "R045");
        let number = number.ok_or_else(refusal)?;
        let asker = match self.asks.grants.get(&number) {
            Some(grant) if grant.accepted => grant.asker,
            _ => return Err(refusal()),
        };
        let rights = self.participants.get(&asker).map_or(Capabilities::NONE, |asker| asker.capabilities);
        if !rights.contains(Capabilities::viewing(counted(surface))) {
            return Err(Refusal::new(Code::Surface, "R046"));
        }
        self.asks.grants.remove(&number);
        Ok(asker)
    }

    /// Who has asked the visitor for a screen and waits for it.
    pub(super) fn askers(&self) -> impl Iterator<Item = ParticipantId> {
        self.asks.grants.values().map(|grant| grant.asker)
    }

    /// Nobody is asked for a screen any more, and what was promised is not taken up.
    pub(super) fn withdraw_grants(&mut self, cx: &mut Context<'_>) {
        let open = std::mem::take(&mut self.asks.grants);
        for (ask, grant) in open {
            self.note_withdrawn(cx, grant.asker, Ask::Screen);
            self.tell_visitor(&ToClient::ConsentWithdrawn { ask });
        }
    }

    /// Withdraws every question that concerns a participant who left.
    pub(super) fn withdraw_asks_about(&mut self, cx: &mut Context<'_>, who: ParticipantId) {
        let views = self.asks.views.iter().filter(|(_, question)| question.about == who);
        let views = views.map(|(ask, _)| (*ask, Ask::View));
        let grants = self.asks.grants.iter().filter(|(_, grant)| grant.asker == who);
        let grants = grants.map(|(grant, _)| (*grant, Ask::Screen));
        let asks: Vec<(u32, Ask)> = views.chain(grants).collect();
        for (ask, kind) in asks {
            self.note_withdrawn(cx, who, kind);
            self.asks.views.remove(&ask);
            self.asks.grants.remove(&ask);
            self.tell_visitor(&ToClient::ConsentWithdrawn { ask });
        }
    }

    /// Withdraws what the visitor has not answered in time.
    pub(super) fn expire_asks(&mut self, cx: &mut Context<'_>) {
        let late: Vec<(u32, ParticipantId)> = self
            .asks
            .views
            .iter()
            .filter(|(_, question)| question.until <= cx.now)
            .map(|(ask, question)| (*ask, question.about))
            .collect();
        for (ask, about) in late {
            self.asks.views.remove(&ask);
            self.tell_visitor(&ToClient::ConsentWithdrawn { ask });
            cx.reports.push_back(Report::Unanswered { session: self.id, participant: about, kind: Ask::View });
            self.tell(about, &ToClient::ConsentResult { kind: Ask::View, accepted: false });
            self.remove(cx, about, Code::Timeout);
        }
        let late: Vec<(u32, ParticipantId)> = self
            .asks
            .grants
            .iter()
            .filter(|(_, grant)| grant.until <= cx.now)
            .map(|(number, grant)| (*number, grant.asker))
            .collect();
        for (grant, asker) in late {
            self.asks.grants.remove(&grant);
            self.tell_visitor(&ToClient::ConsentWithdrawn { ask: grant });
            cx.reports.push_back(Report::Unanswered { session: self.id, participant: asker, kind: Ask::Screen });
            self.tell(asker, &ToClient::ShareAnswered { grant, accepted: false, reason: "timeout".to_owned() });
        }
        self.asks.denied.retain(|_, until| *until > cx.now);
    }

    fn note_withdrawn(&self, cx: &mut Context<'_>, participant: ParticipantId, kind: Ask) {
        cx.reports.push_back(Report::Withdrawn { session: self.id, participant, kind });
    }

    fn remember_denial(&mut self, now: Instant, kind: Ask, who: ParticipantId) {
        if let Some(participant) = self.participants.get(&who) {
            self.asks.denied.insert((kind, participant.subject.clone()), now + DENIAL_REMEMBERED);
        }
    }

    fn put_view_question(&mut self, now: Instant, ask: u32) {
        let Some(Question { about, until }) = self.asks.views.get(&ask).copied() else { return };
        let name = self.name_of(about);
        let seconds = seconds_left(now, until);
        let question = self.policy.questions.view.clone();
        let (kind, words) = (Ask::View, question.words());
        self.tell_visitor(&ToClient::ConsentAsk { ask, kind, participant: about, name, seconds, question, words });
    }

    fn put_screen_question(&mut self, now: Instant, grant: u32) {
        let Some(Grant { asker, until, .. }) = self.asks.grants.get(&grant).copied() else { return };
        let name = self.name_of(asker);
        let seconds = seconds_left(now, until);
        let rights = self.participants.get(&asker).map_or(Capabilities::NONE, |asker| asker.capabilities);
        let surfaces = permit::visitor_surfaces(&self.policy, rights);
        let question = self.policy.questions.screen.clone();
        let words = question.words();
        let participant = asker;
        self.tell_visitor(&ToClient::ShareInvited { grant, participant, name, seconds, surfaces, question, words });
    }

    /// Whoever has left in the meantime was one of the session's agents.
    fn role_of(&self, who: ParticipantId) -> Role {
        self.participants.get(&who).map_or(Role::Agent, |participant| participant.role)
    }

    fn name_of(&self, who: ParticipantId) -> String {
        self.participants.get(&who).map(|participant| participant.name.clone()).unwrap_or_default()
    }
}

/// A yes is one to the words that were shown: they must be the session's, which the receipt will hold.
pub(super) fn same_words(question: &consent::Question, shown: Option<&str>) -> Result<(), Refusal> {
    if shown == Some(&*question.words()) {
        return Ok(());
    }
    let sentence = "Other words were shown than this session asks in. Read the question again, then answer it.";
    Err(Refusal::new(Code::Consent, "R045").saying(sentence))
}

fn seconds_left(now: Instant, until: Instant) -> u32 {
    u32::try_from(until.saturating_duration_since(now).as_secs()).unwrap_or(u32::MAX)
}
