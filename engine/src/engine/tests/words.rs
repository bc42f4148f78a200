//! What the visitor is asked, and what is reported of it.

use fanlight_wire::consent::Question;

use super::*;

fn reports(table: &mut Table) -> Vec<Report> {
    std::iter::from_fn(|| table.engine.poll_report()).collect()
}

#[test]
fn the_visitor_is_asked_in_the_words_of_the_session() {
    // R045 R082 R116
    let mut policy = Policy::default();
    policy.questions.view = Question { text: "May we look?".into(), terms: Some("https://shop.example/terms".into()) };
    policy.questions.screen.text = "May we see your screen?".into();
    let (view, screen) = (policy.questions.view.clone(), policy.questions.screen.clone());
    let mut table = Table::with(policy);
    table.join(VISITOR, Role::Visitor, "Visitor");
    table.join(ANN, Role::Agent, "Ann");
    let asked = table.signals(VISITOR);
    let Some(ask) = asked.iter().find_map(|signal| match signal {
        ToClient::ConsentAsk { ask, name, question, .. } if name == "Ann" && *question == view => Some(*ask),
        _ => None,
    }) else {
        panic!("{asked:?}")
    };
    table.say(VISITOR, &ToRelay::Consent { ask, accept: true });
    table.say(ANN, &ToRelay::ShareInvite);
    let invited = table.signals(VISITOR);
    let words = |signal: &ToClient| matches!(signal, ToClient::ShareInvited { question, .. } if *question == screen);
    assert!(invited.iter().any(words), "{invited:?}");
}

#[test]
fn every_question_has_an_end_that_is_reported() {
    // R045 R116
    let mut table = Table::active();
    let joined = reports(&mut table).into_iter().find_map(|report| match report {
        Report::Joined { role: Role::Agent, subject, name, .. } => Some((subject, name)),
        _ => None,
    });
    assert_eq!(joined, Some(("Ann".into(), "Ann".into())), "as the visitor was shown it");
    // Asked for a screen, and gone before the answer.
    table.say(ANN, &ToRelay::ShareInvite);
    table.say(ANN, &ToRelay::Leave);
    let told = reports(&mut table);
    let withdrawn = told.iter().position(|report| matches!(report, Report::Withdrawn { kind: Ask::Screen, .. }));
    let left = told.iter().position(|report| matches!(report, Report::Left { role: Role::Agent, .. }));
    assert!(withdrawn.is_some() && withdrawn < left, "{told:?}");
    let waits = |report: &Report| matches!(report, Report::Stage { stage: Stage::Waiting, .. });
    assert!(told.iter().any(waits), "{told:?}");
    // Never answered.
    table.join(BEN, Role::Agent, "Ben");
    table.pass(Duration::from_secs(120));
    let told = reports(&mut table);
    assert!(told.iter().any(|report| matches!(report, Report::Unanswered { kind: Ask::View, .. })), "{told:?}");
}
