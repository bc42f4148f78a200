//! Who was in a session: one row per agent's place, written when the visitor has answered and when it has left.

use fanlight_wire::consent::Answer;
use fanlight_wire::policy::Mode;
use fanlight_wire::{ParticipantId, SessionId};
use rusqlite::{Connection, params};

use super::records::seconds;
use crate::live::Attendee;

/// Writes or renews a row. Repeating it is harmless.
pub(crate) fn keep_attendee(
    connection: &Connection,
    session: &SessionId,
    who: ParticipantId,
    attendee: &Attendee,
) -> rusqlite::Result<()> {
    let modes: Vec<&str> = attendee.modes.iter().copied().map(Mode::label).collect();
    connection
        .prepare_cached(
            "INSERT INTO session_agents
                 (session, participant, agent, role, joined, answer, allowed, left_at, code, modes, shares, screens, cameras)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13
                 WHERE EXISTS (SELECT 1 FROM sessions WHERE id = ?1)
             ON CONFLICT (session, participant) DO UPDATE SET
                 answer = ?6, allowed = ?7, left_at = ?8, code = ?9, modes = ?10, shares = ?11, screens = ?12, cameras = ?13",
        )?
        .execute(params![
            session.to_string(),
            who.0,
            attendee.subject,
            attendee.role.label(),
            seconds(attendee.joined),
            attendee.answer.map(Answer::label),
            attendee.allowed.map(seconds),
            attendee.left.map(|(at, _)| seconds(at)),
            attendee.left.map(|(_, code)| code.label()),
            modes.join(" "),
            attendee.shares,
            attendee.screens,
            attendee.cameras,
        ])
        .map(drop)
}
