//! What an auditor and a webhook hear of a session, in order.

use fanlight_wire::report::Report;

use super::*;

/// One word per report, and whom it is about.
fn heard(table: &mut Table) -> Vec<String> {
    let mut words = Vec::new();
    while let Some(report) = table.engine.poll_report() {
        words.push(match report {
            Report::Joined { participant, resumed, .. } => format!("joined {participant} {resumed}"),
            Report::Away { participant, .. } => format!("away {participant}"),
            // About the same moments, for the lease of an agent and for the list of running sessions.
            Report::AgentHere { .. } | Report::Stage { .. } => continue,
            Report::Started { .. } => "started".to_owned(),
            Report::Asked { participant, kind, .. } => format!("asked {participant} {}", kind.label()),
            Report::Unanswered { participant, kind, .. } => format!("unanswered {participant} {}", kind.label()),
            Report::Consent { participant, kind, accepted, .. } => {
                format!("consent {participant} {} {accepted}", kind.label())
            }
            Report::ModeChanged { by, mode, .. } => format!("mode {by} {}", mode.label()),
            Report::ShareRefused { participant, code, .. } => format!("share refused {participant} {code}"),
            Report::Left { participant, .. } => format!("left {participant}"),
            Report::Ended { code, .. } => format!("ended {code}"),
            other => format!("{other:?}").split(' ').next().unwrap_or_default().to_owned(),
        });
    }
    words
}

#[test]
fn a_session_is_told_from_its_first_participant_to_its_end() {
    // R106, R117, R187
    let mut table = Table::active();
    assert_eq!(
        heard(&mut table),
        ["joined p1 false", "joined p2 false", "asked p2 view", "consent p2 view true", "started"]
    );

    table.say(ANN, &ToRelay::ModeSet { mode: Mode::ViewOnly });
    table.say(ANN, &ToRelay::ModeSet { mode: Mode::ViewOnly });
    table.say(
        ANN,
        &ToRelay::ShareStart {
            mid: "9".into(),
            surface: None,
            audio_mid: None,
            grant: None,
            url: None,
            assurance: None,
        },
    );
    table.say(VISITOR, &ToRelay::Pause { on: true });
    table.say(VISITOR, &ToRelay::Pause { on: false });
    let words = heard(&mut table);
    let refused = ["mode p2 view_only", "Refused", "share refused p2 E_SDP"];
    assert_eq!(words, refused, "the same mode is no change, going on is no second start");

    table.say(ANN, &ToRelay::ShareInvite);
    table.pass(fanlight_wire::limits::CONSENT_MAX);
    assert_eq!(heard(&mut table), ["asked p2 screen", "unanswered p2 screen"]);

    table.give(VISITOR, PipeInput::Closed);
    table.say(ANN, &ToRelay::End);
    assert_eq!(heard(&mut table), ["away p1", "left p1", "left p2", "ended E_ENDED"]);
}
