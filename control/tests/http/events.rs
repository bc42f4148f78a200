//! What shards report becomes lines under the names of the one list of events.

use std::time::Duration;

use fanlight_wire::policy::{Mode, Role};
use fanlight_wire::report::Report;
use fanlight_wire::resource::ResourceKind;
use fanlight_wire::signal::{Ask, Slot};
use fanlight_wire::{Code, Event, ParticipantId, SessionId};
use rusqlite::Connection;

use crate::desk::{Desk, Folder};

fn reports(session: SessionId) -> Vec<Report> {
    let (visitor, ann, gil) = (ParticipantId(1), ParticipantId(2), ParticipantId(3));
    let joined = |participant, role, resumed| Report::Joined {
        session,
        participant,
        role,
        resumed,
        subject: "ann".into(),
        name: "Ann Ahlberg".into(),
    };
    let consent =
        |participant, role, accepted| Report::Consent { session, participant, role, kind: Ask::View, accepted };
    let slot = Slot::Agent;
    vec![
        joined(visitor, Role::Visitor, false),
        joined(ann, Role::Agent, false),
        Report::Asked { session, participant: ann, kind: Ask::View },
        consent(ann, Role::Agent, true),
        Report::Started { session },
        joined(gil, Role::Guest, false),
        consent(gil, Role::Guest, true),
        Report::Unanswered { session, participant: ann, kind: Ask::Screen },
        consent(ann, Role::Agent, false),
        Report::ModeChanged { session, mode: Mode::ViewPointer, by: ann },
        Report::Away { session, participant: visitor },
        joined(visitor, Role::Visitor, true),
        joined(ann, Role::Agent, true),
        Report::ShareStarted { session, slot, participant: ann },
        Report::ShareTakenOver { session, slot, from: ann, to: gil },
        Report::ShareStopped { session, slot, participant: gil },
        Report::ShareRefused { session, participant: ann, code: Code::Surface },
        Report::MaskFailed { session, participant: visitor },
        Report::CameraStarted { session, participant: visitor, own: true },
        Report::CameraStopped { session, participant: visitor },
        Report::ResourceMade { session, kind: ResourceKind::Whep, participant: None },
        Report::ResourceGone { session, kind: ResourceKind::Whep, participant: None, code: Code::Left },
        Report::Left { session, participant: gil, role: Role::Guest, code: Code::Left },
        Report::Ended { session, code: Code::Ended, by: Some(visitor), lasted: Duration::from_secs(1) },
    ]
}

#[test]
fn every_report_is_a_line_of_the_list() {
    // R106, R187, R189, R190: names of the list, ids and closed words; nobody is named.
    let folder = Folder::new("events");
    let desk = Desk::kept_in(&folder, true);
    let session: SessionId = desk.visit().text("session").parse().expect("a session id");
    for report in reports(session) {
        desk.control.report(report);
    }
    drop(desk);
    let store = Connection::open(folder.0.join("fanlight.db")).expect("a store");
    let mut lines = store.prepare("SELECT what, who, detail FROM audit ORDER BY id").expect("a table");
    let shown = |row: &rusqlite::Row<'_>| {
        let words = [row.get::<_, Option<String>>(0)?, row.get(1)?, row.get(2)?];
        Ok(words.into_iter().flatten().collect::<Vec<_>>().join(" "))
    };
    let lines: Vec<String> = lines.query_map([], shown).expect("a query").collect::<Result<_, _>>().expect("text");
    let wanted = "session.created visitor\nkey.created visitor\nvisitor.joined p1\nagent.joined p2\n\
        consent.asked p2 view\nconsent.given p2 view\nsession.started\nguest.requested p3\nconsent.given p3 view\n\
        guest.admitted p3\nconsent.expired p2 screen\nconsent.denied p2 view\nmode.changed p2 view_pointer\n\
        connection.changed p1 away\nsession.continued p1\nconnection.changed p2 here\nshare.started p2 agent\n\
        share.taken_over p3 agent\nshare.stopped p3 agent\nshare.refused p2\nmask.error p1\ncamera.started p1\ncamera.stopped p1\n\
        watch.began\nwatch.ended\nguest.left p3\nsession.ended p1";
    assert_eq!(lines.join("\n"), wanted);
    for line in &lines {
        let name = line.split(' ').next().unwrap_or_default();
        assert!(Event::named(name).is_some(), "{name} is not in the list");
    }
}
