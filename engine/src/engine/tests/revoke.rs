//! Rights that are taken back, and what control is told of an agent's connection.

use fanlight_wire::command::Whom;
use fanlight_wire::report::Report;

use super::*;

#[test]
fn a_revoked_agent_is_out_in_the_same_turn_and_stays_out() {
    // G-54: the carrier, the resume token and a ticket that is still under way end with the same epoch.
    let mut table = Table::new();
    table.join(VISITOR, Role::Visitor, "Visitor");
    let token = resume_of(&table.join(ANN, Role::Agent, "Ann"));
    table.accept();
    table.dom(Kind::Snapshot, 1, 0);
    table.outputs(ANN);
    table.join(BEN, Role::Agent, "Ben");
    table.accept();
    table.outputs(ANN);
    table.outputs(BEN);
    let revoke = |table: &mut Table, whom: Whom, epoch: u32| {
        let command = Command::Revoke { session: SESSION, whom, epoch, code: Code::Login };
        table.engine.handle_command(table.now, command);
    };
    let ann = || Whom::One { role: Role::Agent, subject: "Ann".into() };
    revoke(&mut table, ann(), 2);
    table.dom(Kind::Diff, 1, 1);
    assert_eq!(table.outputs(ANN), [PipeOutput::Close(Code::Login)], "nothing after it, not even what was under way");
    assert_eq!(table.page_of(BEN), ["1.1"], "nobody else is touched");
    table.give(PipeId(4), PipeInput::Resume { session: SESSION, token, client: ClientInfo::default() });
    assert_eq!(table.outputs(PipeId(4)), [PipeOutput::Close(Code::Resume)]);
    let late = |table: &mut Table, pipe: PipeId, epoch: u32| {
        let admission = Admission {
            session: SESSION,
            role: Role::Agent,
            capabilities: Role::Agent.ceiling(),
            name: "Ann".into(),
            subject: "Ann".into(),
            epoch,
        };
        table.give(pipe, PipeInput::Join { admission: Box::new(admission), client: ClientInfo::default() });
        table.outputs(pipe)
    };
    assert_eq!(late(&mut table, PipeId(6), 1), [PipeOutput::Close(Code::Ticket)], "a ticket from before");
    assert!(matches!(late(&mut table, PipeId(7), 2)[..], [PipeOutput::Frame(_), ..]), "a right given anew");
    revoke(&mut table, ann(), 2);
    assert!(table.outputs(PipeId(7)).is_empty(), "repeating it is harmless");
    revoke(&mut table, Whom::Everybody, 3);
    assert_eq!(table.outputs(BEN).last(), Some(&PipeOutput::Close(Code::Login)));
    assert!(!table.outputs(VISITOR).iter().any(|output| matches!(output, PipeOutput::Close(_))), "the visitor stays");
}

#[test]
fn control_is_told_when_an_agents_connection_comes_and_goes() {
    // R143: the lease of an agent ends with its connection.
    let mut table = Table::active();
    table.give(ANN, PipeInput::Closed);
    table.pass(Duration::from_secs(200));
    let told = std::iter::from_fn(|| table.engine.poll_report()).filter_map(|report| match report {
        Report::AgentHere { subject, here, .. } => Some((subject, here)),
        Report::Left { .. } => Some((String::from("left"), false)),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [("Ann".into(), true), ("Ann".into(), false), ("left".into(), false)]);
}
