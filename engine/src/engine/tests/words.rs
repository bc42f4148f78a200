//! What the visitor is asked, and what is reported of it.

use fanlight_wire::consent::{Matter, Question};

use super::*;

fn reports(table: &mut Table) -> Vec<Report> {
    std::iter::from_fn(|| table.engine.poll_report()).collect()
}

fn a_question(text: &str) -> Question {
    Question { text: text.into(), terms: Some("https://shop.example/terms".into()) }
}

/// A policy with words of its own for everything that is asked here.
fn wordy() -> Policy {
    let mut policy = Policy::default();
    policy.questions.view = a_question("May we look?");
    policy.questions.screen = a_question("May we see your screen?");
    policy.questions.camera = a_question("May we see you?");
    policy
}

fn view_ask(signals: &[ToClient]) -> Option<(u32, String, Question)> {
    signals.iter().find_map(|signal| match signal {
        ToClient::ConsentAsk { ask, words, question, .. } => Some((*ask, words.clone(), question.clone())),
        _ => None,
    })
}

fn invitation(signals: &[ToClient]) -> Option<(u32, String, Question)> {
    signals.iter().find_map(|signal| match signal {
        ToClient::ShareInvited { grant, words, question, .. } => Some((*grant, words.clone(), question.clone())),
        _ => None,
    })
}

fn camera_words(signals: &[ToClient]) -> Option<(String, Question)> {
    signals.iter().find_map(|signal| match signal {
        ToClient::CameraWords { question, words } => Some((words.clone(), question.clone())),
        _ => None,
    })
}

fn denied(signals: &[ToClient], tag: &str) -> bool {
    let told = |signal: &ToClient| matches!(signal, ToClient::Denied { re, refusal, .. } if re == tag && refusal.code == Code::Consent);
    signals.iter().any(told)
}

#[test]
fn the_visitor_is_asked_in_the_words_of_the_session() {
    // R045 R082 R116
    let mut table = Table::with(wordy());
    let welcome = table.join(VISITOR, Role::Visitor, "Visitor");
    let camera = a_question("May we see you?");
    assert_eq!(camera_words(&welcome), Some((camera.words(), camera)), "before the visitor could show a camera");
    table.join(ANN, Role::Agent, "Ann");
    let (ask, words, question) = view_ask(&table.signals(VISITOR)).expect("a question");
    assert_eq!((&question, &words), (&a_question("May we look?"), &question.words()));
    table.say(VISITOR, &ToRelay::Consent { ask, accept: true, words: Some(words) });
    table.say(ANN, &ToRelay::ShareInvite);
    let (_, words, question) = invitation(&table.signals(VISITOR)).expect("an invitation");
    assert_eq!((&question, &words), (&a_question("May we see your screen?"), &question.words()));
}

#[test]
fn a_yes_to_other_words_is_none_and_is_asked_in_the_right_ones() {
    // R045 R082 R116: no name, the name of other words, words with other terms.
    let other_terms = Question { terms: None, ..a_question("May we look?") };
    for wrong in [None, Some(Question::standard(Matter::View).words()), Some(other_terms.words())] {
        let mut table = Table::with(wordy());
        table.join(VISITOR, Role::Visitor, "Visitor");
        table.join(ANN, Role::Agent, "Ann");
        let (ask, ..) = view_ask(&table.signals(VISITOR)).expect("a question");
        table.say(VISITOR, &ToRelay::Consent { ask, accept: true, words: wrong.clone() });
        let told = table.signals(VISITOR);
        let (again, words, _) = view_ask(&told).expect("the question once more");
        assert!(denied(&told, "consent") && again == ask, "{told:?}");
        let agreed = |report: &Report| matches!(report, Report::Consent { .. });
        assert!(!reports(&mut table).iter().any(agreed), "nothing is kept as an answer");
        table.say(VISITOR, &ToRelay::Consent { ask, accept: true, words: Some(words) });
        assert!(reports(&mut table).iter().any(agreed));

        table.say(ANN, &ToRelay::ShareInvite);
        let (grant, ..) = invitation(&table.signals(VISITOR)).expect("an invitation");
        // A refusal is told once in a while.
        table.pass(Duration::from_secs(2));
        table.say(VISITOR, &ToRelay::ShareAccept { grant, words: wrong.clone() });
        let told = table.signals(VISITOR);
        let (again, words, _) = invitation(&told).expect("the invitation once more");
        assert!(denied(&told, "share.accept") && again == grant, "{told:?}");
        table.say(VISITOR, &ToRelay::ShareAccept { grant, words: Some(words) });
        let answered = |signal: &ToClient| matches!(signal, ToClient::ShareAnswered { accepted: true, .. });
        assert!(table.signals(ANN).iter().any(answered));

        table.pass(Duration::from_secs(2));
        table.say(VISITOR, &ToRelay::CameraStart { mid: "4".into(), words: wrong });
        let told = table.signals(VISITOR);
        assert!(denied(&told, "camera.start") && camera_words(&told).is_some(), "{told:?}");
    }
}

#[test]
fn a_no_needs_no_words() {
    // R116
    let mut table = Table::with(wordy());
    table.join(VISITOR, Role::Visitor, "Visitor");
    table.join(ANN, Role::Agent, "Ann");
    table.say(VISITOR, &ToRelay::Consent { ask: 1, accept: false, words: None });
    let no = |report: &Report| matches!(report, Report::Consent { accepted: false, .. });
    assert!(reports(&mut table).iter().any(no));
}

#[test]
fn a_page_that_cannot_hide_is_reported_and_only_by_its_visitor() {
    // R106, protocol §14
    let mut table = Table::active();
    table.say(ANN, &ToRelay::MaskError);
    let told = |report: &Report| matches!(report, Report::MaskFailed { .. });
    assert!(!reports(&mut table).iter().any(told));
    table.say(VISITOR, &ToRelay::MaskError);
    assert!(reports(&mut table).iter().any(told));
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
