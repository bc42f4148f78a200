//! One member of a session: its rights, its place, its carrier, its budgets.
//!
//! Invariant: rights are set at the join and only ever narrowed; a resume finds the same identity with the same or
//! narrower rights (rules.md, decision 12).

use std::fmt;
use std::time::Instant;

use aws_lc_rs::constant_time;
use fanlight_wire::command::Admission;
use fanlight_wire::frame::Class;
use fanlight_wire::limits::{
    DOM_BYTES_BURST, DOM_BYTES_PER_SECOND, INPUTS_BURST, INPUTS_PER_SECOND, NAME_CHARS_MAX, POINTERS_BURST,
    POINTERS_PER_SECOND, SIGNALS_BURST, SIGNALS_PER_SECOND,
};
use fanlight_wire::policy::{Capabilities, Role};
use fanlight_wire::report::Report;
use fanlight_wire::signal::{ClientInfo, Member, Presence, ToClient};
use fanlight_wire::{Code, Frame, ParticipantId, PipeId, Refusal, SessionId};

use crate::entropy::Entropy;
use crate::pipe::Pipe;
use crate::rate::Bucket;

/// Bytes of a resume secret.
const SECRET_BYTES: usize = 16;

/// One member of a session.
#[derive(Debug)]
pub(crate) struct Participant {
    pub id: ParticipantId,
    pub role: Role,
    pub name: String,
    pub subject: String,
    /// Of the admission: it is revoked by a later one.
    pub epoch: u32,
    pub capabilities: Capabilities,
    pub client: ClientInfo,
    /// The visitor has agreed (always true of the visitor).
    pub consented: bool,
    /// It came by WHIP: it has no carrier and never will, and it watches nothing.
    pub is_resource: bool,
    pub carrier: Option<(PipeId, Pipe)>,
    pub away_since: Option<Instant>,
    secret: Secret,
    budgets: Budgets,
    told: Option<(Code, Instant)>,
}

/// The resume secret in force, and the one before it until its holder has shown that the new one arrived.
#[derive(Default)]
struct Secret {
    current: Option<[u8; SECRET_BYTES]>,
    previous: Option<[u8; SECRET_BYTES]>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[derive(Debug)]
struct Budgets {
    signals: Bucket,
    pointers: Bucket,
    inputs: Bucket,
    dom_bytes: Bucket,
}

impl Participant {
    pub(crate) fn new(id: ParticipantId, admission: Admission, client: ClientInfo) -> Self {
        Self {
            id,
            role: admission.role,
            name: admission.name.chars().take(NAME_CHARS_MAX).collect(),
            subject: admission.subject,
            epoch: admission.epoch,
            capabilities: admission.capabilities.narrowed_to(admission.role.ceiling()),
            client,
            consented: admission.role == Role::Visitor,
            is_resource: false,
            carrier: None,
            away_since: None,
            secret: Secret::default(),
            budgets: Budgets {
                signals: Bucket::new(SIGNALS_PER_SECOND, SIGNALS_BURST),
                pointers: Bucket::new(POINTERS_PER_SECOND, POINTERS_BURST),
                inputs: Bucket::new(INPUTS_PER_SECOND, INPUTS_BURST),
                dom_bytes: Bucket::new(DOM_BYTES_PER_SECOND, DOM_BYTES_BURST),
            },
            told: None,
        }
    }

    /// A publisher that came by WHIP. It sees nothing of the visitor, so there is nothing to agree to.
    pub(crate) fn without_pipe(id: ParticipantId, admission: Admission, client: ClientInfo) -> Self {
        Self { consented: true, is_resource: true, ..Self::new(id, admission, client) }
    }

    /// As others see it.
    pub(crate) fn member(&self) -> Member {
        let presence = match (self.consented, &self.carrier) {
            _ if self.is_resource => Presence::Here,
            (_, None) => Presence::Away,
            (false, Some(_)) => Presence::Waiting,
            (true, Some(_)) => Presence::Here,
        };
        // R169: agents are shown the visitor's client, nobody is shown an agent's.
        let client = (self.role == Role::Visitor).then(|| self.client.clone());
        Member { id: self.id, role: self.role, name: self.name.clone(), presence, client }
    }

    /// That it has come, or come back.
    pub(crate) fn joined(&self, session: SessionId, resumed: bool) -> Report {
        let (subject, name) = (self.subject.clone(), self.name.clone());
        Report::Joined { session, participant: self.id, role: self.role, resumed, subject, name }
    }

    /// Attaches a carrier; the one before, if any, is returned to be closed.
    pub(crate) fn attach(&mut self, pipe: PipeId) -> Option<(PipeId, Pipe)> {
        self.away_since = None;
        self.carrier.replace((pipe, Pipe::new()))
    }

    pub(crate) fn detach(&mut self, now: Instant) {
        self.carrier = None;
        self.away_since = Some(now);
    }

    /// Makes a new resume token; the one before stays good until [`Self::heard`].
    pub(crate) fn rotate_token(&mut self, session: SessionId, entropy: &mut Entropy) -> String {
        let mut fresh = [0; SECRET_BYTES];
        entropy.fill(&mut fresh);
        self.secret = Secret { current: Some(fresh), previous: self.secret.current };
        format!("{session}.{}.{}", self.id.0, hex::encode(fresh))
    }

    /// The client is alive on its present carrier, so it has the newest token: the one before is void.
    pub(crate) const fn heard(&mut self) {
        self.secret.previous = None;
    }

    /// Is this the resume secret? Compared in constant time.
    pub(crate) fn knows(&self, secret: &[u8]) -> bool {
        let equal = |known: &[u8; SECRET_BYTES]| constant_time::verify_slices_are_equal(known, secret).is_ok();
        self.secret.current.as_ref().is_some_and(equal) || self.secret.previous.as_ref().is_some_and(equal)
    }

    /// Takes the frame from the sender's budget.
    pub(crate) fn spend(&mut self, now: Instant, frame: &Frame) -> Result<(), Refusal> {
        let budgets = &mut self.budgets;
        let (enough, rule) = match frame.header().kind.class() {
            Class::Ctl => (budgets.signals.take(now, 1), "limits::SIGNALS_PER_SECOND"),
            Class::Input => (budgets.inputs.take(now, 1), "limits::INPUTS_PER_SECOND"),
            Class::Pointer => (budgets.pointers.take(now, 1), "limits::POINTERS_PER_SECOND"),
            Class::Dom | Class::Doc => {
                let bytes = u32::try_from(frame.bytes().len()).unwrap_or(u32::MAX);
                (budgets.dom_bytes.take(now, bytes), "limits::DOM_BYTES_PER_SECOND")
            }
        };
        if enough { Ok(()) } else { Err(Refusal::new(Code::Rate, rule)) }
    }

    /// Refusals of a flood are told once a second, counted always.
    pub(crate) fn may_be_told(&mut self, now: Instant, code: Code) -> bool {
        let repeated =
            self.told.is_some_and(|(last, at)| last == code && now.saturating_duration_since(at).as_millis() < 1_000);
        if !repeated {
            self.told = Some((code, now));
        }
        !repeated
    }

    /// May it see the page?
    pub(crate) const fn may_watch(&self) -> bool {
        self.consented && self.capabilities.contains(Capabilities::SUB_DOM)
    }

    /// Queues a frame of somebody else for it.
    pub(crate) fn forward(&mut self, frame: Frame) {
        if let Some((_, pipe)) = &mut self.carrier
            && pipe.push(frame).is_err()
        {
            pipe.close(Code::TooSlow);
        }
    }

    /// Queues a signal. A participant that lets its queue fill is cut off, never waited for.
    pub(crate) fn tell(&mut self, signal: &ToClient) {
        let Some((_, pipe)) = &mut self.carrier else { return };
        let Ok(frame) = signal.to_frame() else {
            pipe.close(Code::Bug);
            return;
        };
        if pipe.push(frame).is_err() {
            pipe.close(Code::TooSlow);
        }
    }
}

/// Splits a resume token into participant and secret.
pub(crate) fn read_token(session: SessionId, token: &str) -> Option<(ParticipantId, Vec<u8>)> {
    let mut parts = token.split('.');
    let (named, participant, secret) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || named.parse() != Ok(session) {
        return None;
    }
    Some((ParticipantId(participant.parse().ok()?), hex::decode(secret).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn participant() -> Participant {
        let session = SessionId::from_bytes([1; 16]);
        let admission = Admission {
            session,
            role: Role::Agent,
            capabilities: Capabilities::from_bits(u32::MAX),
            name: "Ann".into(),
            subject: "ann".into(),
            epoch: 0,
        };
        Participant::new(ParticipantId(2), admission, ClientInfo::default())
    }

    #[test]
    fn a_ticket_cannot_carry_more_than_its_role() {
        assert_eq!(participant().capabilities, Role::Agent.ceiling());
    }

    #[test]
    fn a_resume_token_works_until_its_successor_has_arrived() {
        let session = SessionId::from_bytes([1; 16]);
        let mut entropy = Entropy::seeded(1);
        let mut participant = participant();
        assert!(!participant.knows(&[0; SECRET_BYTES]), "there is no secret before the first");
        let first = participant.rotate_token(session, &mut entropy);
        let second = participant.rotate_token(session, &mut entropy);
        let secret = |token: &str| read_token(session, token).expect("our own token").1;
        assert!(participant.knows(&secret(&first)) && participant.knows(&secret(&second)));
        participant.heard();
        assert!(!participant.knows(&secret(&first)), "a token is good once");
        assert!(participant.knows(&secret(&second)));
        assert!(!participant.knows(&[]) && !participant.knows(&[0; SECRET_BYTES]));
    }

    #[test]
    fn a_token_of_another_session_or_shape_is_none() {
        let session = SessionId::from_bytes([1; 16]);
        for bad in
            ["", "..", "x.1.00", &format!("{session}.999.00"), &format!("{session}.1.zz"), &format!("{session}.1.00.1")]
        {
            assert_eq!(read_token(session, bad), None, "{bad}");
        }
    }
}
