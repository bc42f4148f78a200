//! The one gate that every frame passes: known sender, kind, capability, mode, lease, consent, page epoch, rate, size.
//!
//! Invariant: what is not allowed by a rule here is refused, with the rule's name. The gate decides from sender, header
//! and session state alone; it never reads a payload. The permission table itself is data: [`policy::TABLE`].

use fanlight_wire::frame::{Header, Kind};
use fanlight_wire::limits::POINTER_BYTES_MAX;
use fanlight_wire::policy::{self, Capabilities, Gate, Mode, Policy, Role, Row, Surface};
use fanlight_wire::signal::{Stage, ToRelay};
use fanlight_wire::{Code, Refusal};

/// What the gate knows of the sender and its session.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    pub role: Role,
    pub capabilities: Capabilities,
    /// The visitor has agreed to this participant (always true of the visitor itself).
    pub consented: bool,
    pub stage: Stage,
    pub mode: Mode,
    /// Holds the input lease.
    pub lease: bool,
}

/// Where a permitted frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// To the signal handlers.
    Signal,
    /// Into the DOM stream.
    Dom,
    /// From an agent to the visitor.
    Visitor,
    /// From the visitor to every agent it has agreed to.
    Agents,
}

/// May this frame pass, and where does it go?
///
/// # Errors
/// The [`Refusal`] to tell the sender.
pub fn frame(standing: Standing, header: &Header) -> Result<Route, Refusal> {
    match (header.kind, standing.role) {
        (Kind::Signal, _) => Ok(Route::Signal),
        (Kind::Snapshot | Kind::Diff | Kind::Asset, Role::Visitor) => {
            needs(standing, Capabilities::PUB_DOM, "protocol §9")?;
            active(standing)?;
            Ok(Route::Dom)
        }
        (Kind::PointerMove, Role::Visitor) => {
            active(standing)?;
            small(header)?;
            Ok(Route::Agents)
        }
        (Kind::PointerMove | Kind::PointerTrue | Kind::Input | Kind::Navigate | Kind::Annotate, Role::Agent) => {
            towards_visitor(standing, header)
        }
        (
            Kind::Snapshot
            | Kind::Diff
            | Kind::Asset
            | Kind::PointerMove
            | Kind::PointerTrue
            | Kind::Input
            | Kind::Navigate
            | Kind::Annotate
            | Kind::Document,
            _,
        ) => Err(Refusal::new(Code::Role, "protocol §9")),
    }
}

fn towards_visitor(standing: Standing, header: &Header) -> Result<Route, Refusal> {
    let Some(row) = Row::of(header.kind) else {
        return Err(Refusal::new(Code::Role, "protocol §9"));
    };
    needs(standing, row.capability, row.rule)?;
    if !row.allows(standing.mode) {
        return Err(Refusal::new(Code::Mode, row.rule));
    }
    if row.gate == Gate::Lease && !standing.lease {
        return Err(Refusal::new(Code::Lease, row.rule));
    }
    active(standing)?;
    small(header)?;
    Ok(Route::Visitor)
}

/// May this signal be acted upon? Rules that need more of the session's state (grants, slots) are checked where that
/// state lives.
///
/// # Errors
/// The [`Refusal`] to tell the sender.
pub fn signal(standing: Standing, policy: &Policy, signal: &ToRelay) -> Result<(), Refusal> {
    match signal {
        ToRelay::Hello { .. } => {
            Err(Refusal::new(Code::State, "protocol §2").saying("This connection has been greeted."))
        }
        ToRelay::Consent { .. } | ToRelay::Mask { .. } | ToRelay::MaskError | ToRelay::Pause { .. } => {
            only(standing, Role::Visitor, "R116")
        }
        ToRelay::ShareDecline { .. } | ToRelay::ShareAccept { .. } => only(standing, Role::Visitor, "R045"),
        ToRelay::Resync => needs(standing, Capabilities::SUB_DOM, "protocol §5"),
        ToRelay::Offer { .. } => active(standing),
        ToRelay::ShareStart { surface, .. } => share_start(standing, policy, *surface),
        ToRelay::ShareStatement { .. } => only(standing, Role::Agent, "R052"),
        ToRelay::CameraStart { .. } => camera_start(standing),
        ToRelay::CameraStop => only(standing, Role::Visitor, "R110"),
        ToRelay::ShareInvite => invite(standing, policy),
        ToRelay::ModeSet { mode } => mode_set(standing, policy, *mode),
        ToRelay::ControlRequest => {
            needs(standing, Capabilities::CONTROL_REQUEST, "R165")?;
            Err(Refusal::new(Code::Mode, "R164").saying("Full Control is not available on this relay."))
        }
        ToRelay::End => needs(standing, Capabilities::END, "R170"),
        ToRelay::ShareStop | ToRelay::Leave | ToRelay::Ping { .. } => Ok(()),
    }
}

fn share_start(standing: Standing, policy: &Policy, surface: Option<Surface>) -> Result<(), Refusal> {
    needs(standing, Capabilities::PUB_SCREEN, "R006")?;
    active(standing)?;
    let (level, rule, allowed) = match standing.role {
        Role::Visitor => (policy::LEVEL_INVITE, "R041", &policy.visitor_surfaces),
        Role::Agent | Role::Guest | Role::Upstream => (policy::LEVEL_SHARE, "R005", &policy.agent_surfaces),
    };
    if policy.feature_level < level {
        return Err(Refusal::new(Code::Level, rule));
    }
    if standing.role == Role::Agent && !policy.escalate_to_show {
        return Err(Refusal::new(Code::Capability, "R006"));
    }
    // R047: a browser that does not say what it captures is taken to capture everything.
    let surface = surface.unwrap_or(Surface::Monitor);
    if !allowed.contains(&surface) {
        return Err(Refusal::new(Code::Surface, "R007"));
    }
    if standing.role == Role::Agent && !standing.capabilities.contains(Capabilities::showing(surface)) {
        return Err(Refusal::new(Code::Surface, "R152"));
    }
    Ok(())
}

/// What an agent with these rights may share (R007: group and role).
pub fn agent_surfaces(policy: &Policy, rights: Capabilities) -> Vec<Surface> {
    let mine = |surface: &&Surface| rights.contains(Capabilities::showing(**surface));
    policy.agent_surfaces.iter().filter(mine).copied().collect()
}

/// What the visitor may share when an agent with these rights has asked for it (R046).
pub fn visitor_surfaces(policy: &Policy, asker: Capabilities) -> Vec<Surface> {
    let theirs = |surface: &&Surface| asker.contains(Capabilities::viewing(**surface));
    policy.visitor_surfaces.iter().filter(theirs).copied().collect()
}

/// R110: the visitor's own camera; whoever publishes one for it comes over HTTP.
fn camera_start(standing: Standing) -> Result<(), Refusal> {
    only(standing, Role::Visitor, "R110")?;
    needs(standing, Capabilities::PUB_CAMERA, "R110")?;
    active(standing)
}

fn invite(standing: Standing, policy: &Policy) -> Result<(), Refusal> {
    needs(standing, Capabilities::INVITE, "R042")?;
    active(standing)?;
    if policy.feature_level < policy::LEVEL_INVITE {
        return Err(Refusal::new(Code::Level, "R041"));
    }
    if !policy.escalate_to_view {
        return Err(Refusal::new(Code::Capability, "R043"));
    }
    Ok(())
}

fn mode_set(standing: Standing, policy: &Policy, mode: Mode) -> Result<(), Refusal> {
    only(standing, Role::Agent, "R155")?;
    active(standing)?;
    if !policy.allowed_modes.contains(&mode) {
        return Err(Refusal::new(Code::Mode, "R155").saying("This mode is not available in this session."));
    }
    Ok(())
}

fn only(standing: Standing, role: Role, rule: &'static str) -> Result<(), Refusal> {
    if standing.role == role { Ok(()) } else { Err(Refusal::new(Code::Role, rule)) }
}

fn needs(standing: Standing, capability: Capabilities, rule: &'static str) -> Result<(), Refusal> {
    if standing.capabilities.contains(capability) { Ok(()) } else { Err(Refusal::new(Code::Capability, rule)) }
}

/// R009, R116: nothing flows before the visitor has agreed, and nothing while it has paused.
fn active(standing: Standing) -> Result<(), Refusal> {
    if !standing.consented {
        return Err(Refusal::new(Code::Consent, "R116"));
    }
    match standing.stage {
        Stage::Active => Ok(()),
        Stage::Waiting => Err(Refusal::new(Code::State, "R009")),
        Stage::Paused => Err(Refusal::new(Code::State, "R009").saying("The visitor has paused the session.")),
    }
}

fn small(header: &Header) -> Result<(), Refusal> {
    let is_pointer = matches!(header.kind, Kind::PointerMove | Kind::PointerTrue);
    if is_pointer && header.length as usize > POINTER_BYTES_MAX {
        return Err(Refusal::new(Code::Size, "limits::POINTER_BYTES_MAX"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(role: Role) -> Standing {
        Standing {
            role,
            capabilities: role.ceiling(),
            consented: true,
            stage: Stage::Active,
            mode: Mode::ViewPointer,
            lease: false,
        }
    }

    /// Role × kind × mode, so that no right is unseen (`docs/protocol.md` §8).
    #[test]
    fn the_whole_table() {
        let mut table = String::new();
        for role in Role::ALL {
            for kind in Kind::ALL {
                let cells: Vec<String> = Mode::ALL
                    .iter()
                    .map(|mode| match frame(Standing { mode: *mode, ..standing(role) }, &Header::single(kind)) {
                        Ok(route) => format!("{route:?}"),
                        Err(refusal) => refusal.code.to_string(),
                    })
                    .collect();
                table.push_str(&format!("{:8} {:12} {}\n", role.label(), kind.label(), cells.join(" ")));
            }
        }
        assert_eq!(table, include_str!("permit/table.txt"), "the permission table changed:\n{table}");
    }

    #[test]
    fn nothing_flows_before_consent() {
        // R116
        for role in Role::ALL {
            for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Signal) {
                let without = Standing { consented: false, ..standing(role) };
                let waiting = Standing { stage: Stage::Waiting, ..standing(role) };
                assert!(frame(without, &Header::single(kind)).is_err(), "{role:?} {kind:?}");
                assert!(frame(waiting, &Header::single(kind)).is_err(), "{role:?} {kind:?}");
            }
        }
    }

    fn share(surface: Option<Surface>) -> ToRelay {
        ToRelay::ShareStart { mid: "2".into(), surface, audio_mid: None, grant: None, url: None, assurance: None }
    }

    #[test]
    fn a_role_shares_what_the_group_and_itself_allow() {
        // R007, R046, R152
        let policy = Policy { agent_surfaces: vec![Surface::Browser, Surface::Window], ..Policy::default() };
        let rights = Capabilities::from_bits(Role::Agent.ceiling().bits() & !Capabilities::SHOW_BROWSER.bits());
        let agent = Standing { capabilities: rights, ..standing(Role::Agent) };
        for (surface, rule) in [(Surface::Browser, "R152"), (Surface::Monitor, "R007")] {
            let refused = signal(agent, &policy, &share(Some(surface))).expect_err("not allowed");
            assert_eq!((refused.code, refused.rule.as_ref()), (Code::Surface, rule));
        }
        assert!(signal(agent, &policy, &share(Some(Surface::Window))).is_ok());
        assert_eq!(agent_surfaces(&policy, rights), [Surface::Window]);
        assert_eq!(visitor_surfaces(&policy, Capabilities::VIEW_MONITOR), [Surface::Monitor]);
    }

    #[test]
    fn a_surface_that_is_not_named_counts_as_the_monitor() {
        // R007, R047
        let policy = Policy { agent_surfaces: vec![Surface::Browser], ..Policy::default() };
        let start = share;
        assert!(signal(standing(Role::Agent), &policy, &start(Some(Surface::Browser))).is_ok());
        for surface in [None, Some(Surface::Monitor), Some(Surface::Window)] {
            let refused = signal(standing(Role::Agent), &policy, &start(surface)).expect_err("not allowed");
            assert_eq!(refused.code, Code::Surface);
        }
    }

    #[test]
    fn a_camera_is_the_visitors_alone_and_only_while_the_session_is_on() {
        // R110, R116
        let start = ToRelay::CameraStart { mid: "4".into(), words: None };
        let judged = |standing| signal(standing, &Policy::default(), &start).map_err(|refusal| refusal.code);
        assert_eq!(judged(standing(Role::Visitor)), Ok(()));
        for role in [Role::Agent, Role::Guest, Role::Upstream] {
            assert_eq!(judged(standing(role)), Err(Code::Role));
            assert!(signal(standing(role), &Policy::default(), &ToRelay::CameraStop).is_err());
        }
        let of_visitor = standing(Role::Visitor);
        let without = Standing { capabilities: Capabilities::PUB_SCREEN, ..of_visitor };
        assert_eq!(judged(without), Err(Code::Capability));
        for stage in [Stage::Waiting, Stage::Paused] {
            assert_eq!(judged(Standing { stage, ..of_visitor }), Err(Code::State));
        }
    }

    #[test]
    fn feature_levels_gate_sharing() {
        // R005, R041
        let policy = Policy { feature_level: 55, ..Policy::default() };
        assert!(signal(standing(Role::Agent), &policy, &share(None)).is_ok());
        let below = Policy { feature_level: 52, ..Policy::default() };
        let refused = signal(standing(Role::Agent), &below, &share(None)).expect_err("needs 5.3");
        assert_eq!((refused.code, refused.rule.as_ref()), (Code::Level, "R005"));
        let invite = signal(standing(Role::Agent), &policy, &ToRelay::ShareInvite).expect_err("needs 5.7");
        assert_eq!(invite.code, Code::Level);
    }
}
