//! Groups: made, listed, named, switched on and off.

use bytes::Bytes;
use fanlight_wire::limits::NAME_CHARS_MAX;
use fanlight_wire::{Code, Event, GroupId, Refusal};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::{Inquiry, absent, author};
use crate::audit::About;
use crate::control::Control;
use crate::http::{Denied, Page, json, link};
use crate::store::policies::{self as kept, GroupRow, Head};
use crate::store::{server_keys, set_group_active};

#[derive(Deserialize)]
struct New {
    group: GroupId,
    name: String,
    by: Option<String>,
}

#[derive(Deserialize)]
struct Changes {
    name: Option<String>,
    active: Option<bool>,
}

#[derive(Serialize)]
struct Shown {
    group: String,
    name: String,
    /// Off: nobody signs in and no session is made; what the roles may do is kept for the day it is on again.
    active: bool,
    staging: Option<u32>,
    production: Option<u32>,
    sessions: usize,
}

#[derive(Serialize)]
struct List {
    groups: Vec<Shown>,
    /// The cursor of the next page.
    next: Option<String>,
}

pub(super) async fn list(control: &Control, inquiry: &Inquiry<'_>) -> Result<Response<Bytes>, Denied> {
    let page = Page::of(inquiry.asked.query)?;
    let (rows, next) = control
        .store()
        .ask(move |connection| {
            let (rows, next) = page.cut(kept::groups(connection)?, |row| row.id.clone());
            let rows = rows.into_iter().map(|row| heads(connection, row)).collect::<rusqlite::Result<Vec<_>>>()?;
            Ok((rows, next))
        })
        .await?;
    let groups = rows.into_iter().map(|row| shown(control, row)).collect();
    let list = List { groups, next };
    Ok(link(json(StatusCode::OK, &list), inquiry.asked.query, list.next.as_deref()))
}

pub(super) async fn show(control: &Control, group: GroupId) -> Result<Response<Bytes>, Denied> {
    let row = control
        .store()
        .ask(move |connection| kept::group(connection, &group)?.map(|row| heads(connection, row)).transpose());
    let row = row.await?.ok_or_else(absent)?;
    Ok(json(StatusCode::OK, &shown(control, row)))
}

pub(super) async fn create(control: &Control, inquiry: &Inquiry<'_>) -> Result<Response<Bytes>, Denied> {
    let New { group, name, by } = inquiry.asked.json()?;
    let name = display_name(name)?;
    let author = author(control, inquiry, by)?;
    let wanted = group.clone();
    if !control.store().ask(move |connection| kept::create_group(connection, &wanted, &name, &author)).await? {
        return Err(Refusal::new(Code::Busy, "docs/policy.md").saying("There is a group of that id already.").into());
    }
    control.audit(Event::GroupCreated, About { group: Some(group.clone()), ..who(inquiry) });
    let mut response = show(control, group).await?;
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

pub(super) async fn change(
    control: &Control,
    inquiry: &Inquiry<'_>,
    group: GroupId,
) -> Result<Response<Bytes>, Denied> {
    let Changes { name, active } = inquiry.asked.json()?;
    let name = name.map(display_name).transpose()?;
    let wanted = group.clone();
    let changed = control.store().ask(move |connection| {
        if kept::group(connection, &wanted)?.is_none() {
            return Ok(false);
        }
        if let Some(name) = &name {
            kept::rename_group(connection, &wanted, name)?;
        }
        if let Some(active) = active {
            set_group_active(connection, wanted.as_str(), active)?;
        }
        Ok(true)
    });
    if !changed.await? {
        return Err(absent().into());
    }
    if active == Some(false) {
        // Its agents are signed out now, not when their logins end.
        control.presence().sign_out(&group, None);
        control.lobby().watchers.sign_out(&group, None);
        for key in control.servers().remove_group(&group) {
            control.put_out_by_key(&key);
        }
        control.put_out_everybody(&group, Code::Login);
    }
    if active == Some(true) {
        let wanted = group.clone();
        let keys = control.store().ask(move |connection| server_keys::good_of(connection, &wanted)).await?;
        control.servers().add(keys);
    }
    control.audit(Event::GroupChanged, About { group: Some(group.clone()), ..who(inquiry) });
    show(control, group).await
}

fn who(inquiry: &Inquiry<'_>) -> About {
    About { who: Some(inquiry.asked.caller.who()), ..About::default() }
}

fn display_name(name: String) -> Result<String, Refusal> {
    let length = name.trim().chars().count();
    if length == 0 || length > NAME_CHARS_MAX {
        let refusal = Refusal::new(Code::Input, "limits::NAME_CHARS_MAX");
        return Err(refusal.saying("\"name\" must be 1 to 80 characters."));
    }
    Ok(name)
}

type Row = (GroupRow, Option<u32>, Option<u32>);

fn heads(connection: &rusqlite::Connection, row: GroupRow) -> rusqlite::Result<Row> {
    // Rows hold ids that were checked when they were made.
    let Ok(group) = GroupId::new(row.id.clone()) else { return Ok((row, None, None)) };
    let at = |head| kept::mark(connection, &group, head).map(|mark| mark.map(|mark| mark.version));
    let (staging, production) = (at(Head::Staging)?, at(Head::Production)?);
    Ok((row, staging, production))
}

fn shown(control: &Control, (row, staging, production): Row) -> Shown {
    let homes = control.directory().all();
    let sessions = homes.iter().filter(|(_, home)| home.group.as_str() == row.id).count();
    Shown { group: row.id, name: row.name, active: row.active, staging, production, sessions }
}
