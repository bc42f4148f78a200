//! *Enforce* narrows what runs, at once and for good.

use fanlight_wire::command::Narrowing;
use fanlight_wire::policy::Masks;
use fanlight_wire::report::Report;

use super::*;

fn narrowing(version: u32, policy: Policy, agents: Capabilities) -> Command {
    let policy = Policy { version, ..policy };
    let narrowing = Narrowing { policy, agents, subjects: vec![("Ben".into(), Capabilities::SUB_DOM)] };
    Command::Narrow { session: SESSION, narrowing: Box::new(narrowing) }
}

fn view_only() -> Policy {
    Policy { allowed_modes: vec![Mode::ViewOnly], default_mode: Mode::ViewOnly, ..Policy::default() }
}

fn rights(signals: &[ToClient]) -> Option<Capabilities> {
    signals.iter().rev().find_map(|signal| match signal {
        ToClient::Welcome { capabilities, .. } | ToClient::PolicyNarrowed { capabilities, .. } => Some(*capabilities),
        _ => None,
    })
}

#[test]
fn rights_and_mode_are_taken_back_and_the_page_is_forgotten() {
    let mut table = Table::active();
    table.dom(Kind::Snapshot, 1, 0);
    table.outputs(ANN);
    assert!(table.engine.totals().dom_cache_bytes > 0);
    let agents = Role::Agent.ceiling();
    table.engine.handle_command(
        table.now,
        narrowing(5, view_only(), Capabilities::from_bits(agents.bits() & !Capabilities::INVITE.bits())),
    );
    assert_eq!(table.engine.totals().dom_cache_bytes, 0, "nothing recorded before is served to anybody");
    let told = table.signals(ANN);
    assert!(told.iter().any(|signal| matches!(signal, ToClient::ModeChanged { mode: Mode::ViewOnly, .. })));
    assert!(rights(&told).is_some_and(|rights| !rights.contains(Capabilities::INVITE)), "{told:?}");
    let visitor = table.signals(VISITOR);
    let raised =
        |signal: &ToClient| matches!(signal, ToClient::MaskRaised { epoch, .. } if *epoch == MaskEpoch::new(1));
    assert!(visitor.iter().any(raised), "{visitor:?}");

    table.say(ANN, &ToRelay::ModeSet { mode: Mode::ViewPointer });
    table.say(ANN, &ToRelay::ShareInvite);
    let refused: Vec<_> = table
        .signals(ANN)
        .into_iter()
        .filter_map(|signal| match signal {
            ToClient::Denied { refusal, policy_version, .. } => Some((refusal.code, policy_version)),
            _ => None,
        })
        .collect();
    assert_eq!(refused, [(Code::Mode, 5), (Code::Capability, 5)], "the version that refuses is named");
    table.dom(Kind::Diff, 1, 1);
    assert!(table.page_of(ANN).is_empty(), "a frame of the old mask is stale");
}

#[test]
fn an_older_ticket_and_a_wider_version_give_nothing_back() {
    let mut table = Table::active();
    table.engine.handle_command(table.now, narrowing(5, view_only(), Capabilities::SUB_DOM));
    table.engine.handle_command(table.now, narrowing(6, Policy::default(), Role::Agent.ceiling()));
    assert_eq!(rights(&table.signals(ANN)), Some(Capabilities::SUB_DOM));
    // Ben's ticket was minted before, with every right.
    let told = table.join(BEN, Role::Agent, "Ben");
    assert_eq!(rights(&told), Some(Capabilities::SUB_DOM), "his role's rights");
    let modes = told.iter().find_map(|signal| match signal {
        ToClient::Welcome { modes, .. } => Some(modes.clone()),
        _ => None,
    });
    assert_eq!(modes, Some(vec![Mode::ViewOnly]));
    let reports: Vec<_> = std::iter::from_fn(|| table.engine.poll_report()).collect();
    let narrowed = reports.iter().filter_map(|report| match report {
        Report::Narrowed { version, .. } => Some(*version),
        _ => None,
    });
    assert_eq!(narrowed.collect::<Vec<_>>(), [5, 6], "control learns what is in force");
    assert!(rights(&table.signals(VISITOR)).is_some_and(|rights| rights.contains(Capabilities::PUB_DOM)));
}

#[test]
fn a_visitors_page_is_told_what_the_group_hides_before_it_shows_anything() {
    // R154
    let hides = |name: &str| Masks { mask: vec![name.into()], ..Masks::default() };
    let mut table = Table::with(Policy { masks: hides(".a"), ..Policy::default() });
    let masks = |signals: &[ToClient]| {
        signals.iter().find_map(|signal| match signal {
            ToClient::Welcome { masks, .. } => masks.clone(),
            ToClient::MaskRaised { masks, .. } => Some(masks.clone()),
            _ => None,
        })
    };
    assert_eq!(masks(&table.join(VISITOR, Role::Visitor, "Visitor")), Some(hides(".a")));
    assert_eq!(masks(&table.join(ANN, Role::Agent, "Ann")), None, "agents need not know");
    let more = Policy { masks: hides(".b"), ..Policy::default() };
    table.engine.handle_command(table.now, narrowing(5, more, Role::Agent.ceiling()));
    let both = Masks { mask: vec![".a".into(), ".b".into()], ..Masks::default() };
    assert_eq!(masks(&table.signals(VISITOR)), Some(both));
}
