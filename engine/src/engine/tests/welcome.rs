//! Agents whose invitation the visitor has accepted, and questions whose time the group sets.

use super::*;

fn welcome(table: &mut Table, who: &str) {
    table.engine.handle_command(table.now, Command::Welcome { session: SESSION, subject: who.into() });
}

fn asked(signals: &[ToClient]) -> bool {
    signals.iter().any(|signal| matches!(signal, ToClient::ConsentAsk { .. }))
}

fn let_in(signals: &[ToClient]) -> bool {
    let yes = |signal: &ToClient| matches!(signal, ToClient::ConsentResult { kind: Ask::View, accepted: true });
    signals.iter().any(yes)
}

#[test]
fn whoever_comes_first_the_accepted_invitation_was_the_question() {
    // R116, R117
    for visitor_first in [true, false] {
        let mut table = Table::new();
        welcome(&mut table, "Ann");
        let mut heard = Vec::new();
        if visitor_first {
            heard.extend(table.join(VISITOR, Role::Visitor, "Visitor"));
            heard.extend(table.join(ANN, Role::Agent, "Ann"));
        } else {
            assert!(!let_in(&table.join(ANN, Role::Agent, "Ann")), "nobody is let in to nobody");
            heard.extend(table.join(VISITOR, Role::Visitor, "Visitor"));
            heard.extend(table.signals(ANN));
        }
        heard.extend(table.signals(VISITOR));
        assert!(let_in(&heard) && !asked(&heard), "{heard:?}");
        let consents = std::iter::from_fn(|| table.engine.poll_report())
            .filter(|report| matches!(report, Report::Consent { kind: Ask::View, accepted: true, .. }));
        assert_eq!(consents.count(), 1, "it is a consent like any other, and recorded as one");
        table.dom(Kind::Snapshot, 1, 0);
        assert_eq!(table.page_of(ANN), ["1.0"]);
    }
}

#[test]
fn a_welcome_is_for_one_agent_and_for_once() {
    // R116
    let mut table = Table::new();
    table.join(VISITOR, Role::Visitor, "Visitor");
    welcome(&mut table, "Ann");
    table.join(BEN, Role::Agent, "Ben");
    assert!(asked(&table.signals(VISITOR)), "Ben was not invited");
    table.join(ANN, Role::Agent, "Ann");
    assert!(!asked(&table.signals(VISITOR)));
    table.give(ANN, PipeInput::Closed);
    table.signals(VISITOR);
    table.join(PipeId(4), Role::Agent, "Ann");
    assert!(asked(&table.signals(VISITOR)), "with a new ticket she asks like anybody");
}

#[test]
fn the_group_sets_how_long_a_question_stays_open() {
    // R044
    let mut table = Table::with(Policy { question_seconds: 5, ..Policy::default() });
    table.join(VISITOR, Role::Visitor, "Visitor");
    table.join(ANN, Role::Agent, "Ann");
    table.pass(Duration::from_millis(4_900));
    assert!(!table.outputs(ANN).contains(&PipeOutput::Close(Code::Timeout)));
    table.pass(Duration::from_millis(200));
    assert!(table.outputs(ANN).contains(&PipeOutput::Close(Code::Timeout)));
}
