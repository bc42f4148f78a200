//! Settings of a session that its engine obeys: its longest time, what a role may show and ask for.

use fanlight_wire::command::Narrowing;
use fanlight_wire::limits::{AGENT_GRACE, SESSION_WARNING};
use fanlight_wire::policy::Surface;

use super::*;

fn warnings(signals: &[ToClient]) -> usize {
    signals.iter().filter(|signal| matches!(signal, ToClient::SessionEnding { seconds: 60 })).count()
}

fn ended(signals: &[ToClient]) -> Option<(Code, String)> {
    signals.iter().find_map(|signal| match signal {
        ToClient::SessionEnded { code, sentence, .. } => Some((*code, sentence.clone())),
        _ => None,
    })
}

fn lasting(minutes: u16) -> Table {
    let mut table = Table::with(Policy { minutes_max: Some(minutes), ..Policy::default() });
    table.join(VISITOR, Role::Visitor, "Visitor");
    table.join(ANN, Role::Agent, "Ann");
    table.accept();
    table.signals(ANN);
    table
}

#[test]
fn a_session_is_warned_before_its_longest_time_and_told_why_it_ends() {
    let mut table = lasting(30);
    table.pass(Duration::from_secs(29 * 60 - 1));
    assert_eq!((warnings(&table.signals(ANN)), warnings(&table.signals(VISITOR))), (0, 0));
    table.pass(Duration::from_secs(2));
    assert_eq!((warnings(&table.signals(ANN)), warnings(&table.signals(VISITOR))), (1, 1), "a minute before");
    table.pass(SESSION_WARNING - Duration::from_secs(2));
    assert_eq!(ended(&table.signals(ANN)), None);
    table.pass(Duration::from_secs(1));
    // R187: both are told before their carriers close.
    for pipe in [ANN, VISITOR] {
        let (code, sentence) = ended(&table.signals(pipe)).expect("the end is told");
        assert_eq!(code, Code::Timeout);
        assert!(sentence.contains("longest time"), "{sentence}");
    }
}

#[test]
fn a_shorter_time_that_is_enforced_still_leaves_a_minute() {
    let mut table = lasting(30);
    table.pass(Duration::from_secs(10 * 60));
    let policy = Policy { version: 2, minutes_max: Some(5), ..Policy::default() };
    let narrowing = Narrowing { policy, agents: Role::Agent.ceiling(), subjects: Vec::new() };
    table.engine.handle_command(table.now, Command::Narrow { session: SESSION, narrowing: Box::new(narrowing) });
    table.deliver();
    table.pass(Duration::from_secs(1));
    let told = table.signals(ANN);
    assert_eq!((warnings(&told), ended(&told)), (1, None));
    table.pass(SESSION_WARNING);
    assert!(ended(&table.signals(ANN)).is_some());
}

#[test]
fn no_more_agents_come_than_the_group_allows() {
    // R185
    let mut table = Table::with(Policy { agents_max: 1, ..Policy::default() });
    table.join(VISITOR, Role::Visitor, "Visitor");
    table.join(ANN, Role::Agent, "Ann");
    let admission = Admission {
        session: SESSION,
        role: Role::Agent,
        capabilities: Role::Agent.ceiling(),
        name: "Ben".into(),
        subject: "Ben".into(),
        epoch: 0,
    };
    table.give(BEN, PipeInput::Join { admission: Box::new(admission), client: ClientInfo::default() });
    assert_eq!(table.outputs(BEN), [PipeOutput::Close(Code::Full)]);
}

#[test]
fn the_last_agents_leave_ends_the_session_only_where_the_group_says_so() {
    // R186
    let left = |end_on_agent_leave| {
        let mut table = Table::with(Policy { end_on_agent_leave, ..Policy::default() });
        table.join(VISITOR, Role::Visitor, "Visitor");
        table.join(ANN, Role::Agent, "Ann");
        table.accept();
        table.say(ANN, &ToRelay::Leave);
        ended(&table.signals(VISITOR)).map(|(code, _)| code)
    };
    assert_eq!((left(true), left(false)), (Some(Code::Ended), None));
    // Losing the connection is no leaving: there is a time to come back in, and to be followed by somebody else.
    let mut table = Table::with(Policy { end_on_agent_leave: true, ..Policy::default() });
    table.join(VISITOR, Role::Visitor, "Visitor");
    table.join(ANN, Role::Agent, "Ann");
    table.accept();
    table.give(ANN, PipeInput::Closed);
    table.pass(AGENT_GRACE - Duration::from_secs(1));
    assert_eq!(ended(&table.signals(VISITOR)), None);
}

#[test]
fn an_invitation_says_what_the_asking_agents_role_may_be_shown() {
    // R046, R152
    let policy = Policy { visitor_surfaces: vec![Surface::Browser, Surface::Monitor], ..Policy::default() };
    let mut table = Table::with(policy);
    table.join(VISITOR, Role::Visitor, "Visitor");
    let capabilities = Capabilities::from_bits(Role::Agent.ceiling().bits() & !Capabilities::VIEW_MONITOR.bits());
    let admission = Admission {
        session: SESSION,
        role: Role::Agent,
        capabilities,
        name: "Ann".into(),
        subject: "Ann".into(),
        epoch: 0,
    };
    table.give(ANN, PipeInput::Join { admission: Box::new(admission), client: ClientInfo::default() });
    table.accept();
    table.say(ANN, &ToRelay::ShareInvite);
    let invited = table.signals(VISITOR).into_iter().find_map(|signal| match signal {
        ToClient::ShareInvited { surfaces, .. } => Some(surfaces),
        _ => None,
    });
    assert_eq!(invited, Some(vec![Surface::Browser]));
}

#[test]
fn every_refused_share_is_told_however_quick_the_retry() {
    // R050, R051
    let mut table = Table::with(Policy { agent_surfaces: vec![Surface::Browser], ..Policy::default() });
    table.join(VISITOR, Role::Visitor, "Visitor");
    table.join(ANN, Role::Agent, "Ann");
    table.accept();
    table.signals(ANN);
    for surface in [Some(Surface::Window), Some(Surface::Monitor), None] {
        let (url, assurance) = (None, None);
        table.say(ANN, &ToRelay::ShareStart { mid: "2".into(), surface, audio_mid: None, grant: None, url, assurance });
    }
    let denied = table.signals(ANN).into_iter().filter_map(|signal| match signal {
        ToClient::Denied { re, refusal, allowed, .. } => Some((re, refusal.code, allowed)),
        _ => None,
    });
    let each = ("share.start".to_owned(), Code::Surface, vec![Surface::Browser]);
    assert_eq!(denied.collect::<Vec<_>>(), [each.clone(), each.clone(), each]);
}
