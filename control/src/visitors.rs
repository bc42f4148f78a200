//! Who is on the website now: the pages that hold a presence socket, by visitor (R108, R118).
//!
//! Invariant: a visitor's id is held only as a keyed hash of group and id, made with a key that dies with the process; a
//! page counts as long as its socket is open. A visitor is *present* while a page of it can be seen, *busy* while a page
//! says that it is in a session; of several pages the one looked at last is the one that is asked.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;

use aws_lc_rs::hmac;
use fanlight_wire::limits::{
    PAGES_MAX, PAGES_PER_ADDRESS_MAX, PAGES_PER_GROUP_MAX, PAGES_PER_VISITOR_MAX, PRESENCE_QUEUE_MAX,
};
use fanlight_wire::{Code, GroupId, Refusal};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::locked;
use crate::mint::Client;
use crate::secrets::{Hash, fixed, random};

/// A visitor of a group, as everything here knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Visitor(Hash);

/// One open page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PageId(u64);

/// What an agent may know of a visitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    Absent,
    Present,
    Busy,
}

/// What a page says of itself.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
pub(crate) struct Looks {
    /// It is on screen, not behind another tab.
    visible: bool,
    /// It has just been looked at.
    focused: bool,
    /// It is in a session.
    busy: bool,
}

/// Every page of this node.
#[derive(Debug)]
pub(crate) struct Visitors {
    secret: hmac::Key,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pages: HashMap<PageId, Page>,
    of_visitor: HashMap<Visitor, Vec<PageId>>,
    of_group: HashMap<GroupId, usize>,
    of_address: HashMap<IpAddr, usize>,
    last: u64,
    /// Counts looks, so that the newest is known without a clock.
    looks: u64,
    closed: bool,
}

#[derive(Debug)]
struct Page {
    visitor: Visitor,
    group: GroupId,
    address: IpAddr,
    client: Client,
    visible: bool,
    busy: bool,
    looked_at: u64,
    lane: Sender<String>,
}

impl Visitors {
    pub(crate) fn new() -> Self {
        Self { secret: hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()), state: Mutex::default() }
    }

    /// The visitor whom this group calls `id`.
    pub(crate) fn named(&self, group: &GroupId, id: &str) -> Visitor {
        let mut context = hmac::Context::with_key(&self.secret);
        // A group id has no zero byte, so no two pairs are one text.
        for part in [group.as_str(), "\0", id] {
            context.update(part.as_bytes());
        }
        Visitor(fixed(context.sign().as_ref()))
    }

    /// A page of this visitor has opened. Its messages arrive in the receiver, which closes when the page must go.
    ///
    /// # Errors
    /// `E_RATE` for an address or a group with too many pages, `E_OVERLOAD` for a full node, `E_DRAIN` while draining.
    pub(crate) fn enter(
        &self,
        visitor: Visitor,
        group: &GroupId,
        address: IpAddr,
        client: Client,
    ) -> Result<(PageId, Receiver<String>), Refusal> {
        let mut state = locked(&self.state);
        if state.closed {
            return Err(Refusal::new(Code::Draining, "P3"));
        }
        if state.pages.len() >= PAGES_MAX {
            return Err(Refusal::new(Code::Overload, "limits::PAGES_MAX"));
        }
        if state.of_group.get(group).is_some_and(|count| *count >= PAGES_PER_GROUP_MAX) {
            return Err(Refusal::new(Code::Rate, "limits::PAGES_PER_GROUP_MAX"));
        }
        if state.of_address.get(&address).is_some_and(|count| *count >= PAGES_PER_ADDRESS_MAX) {
            return Err(Refusal::new(Code::Rate, "limits::PAGES_PER_ADDRESS_MAX"));
        }
        state.make_room(visitor);
        let (lane, mailbox) = channel(PRESENCE_QUEUE_MAX);
        state.last += 1;
        let id = PageId(state.last);
        state.of_visitor.entry(visitor).or_default().push(id);
        *state.of_group.entry(group.clone()).or_default() += 1;
        *state.of_address.entry(address).or_default() += 1;
        let group = group.clone();
        let page = Page { visitor, group, address, client, visible: false, busy: false, looked_at: 0, lane };
        state.pages.insert(id, page);
        Ok((id, mailbox))
    }

    /// A page has said how it looks. The visitor it belongs to; none when it is gone.
    pub(crate) fn looks(&self, page: PageId, looks: Looks) -> Option<Visitor> {
        let mut state = locked(&self.state);
        state.looks += 1;
        let now = state.looks;
        let page = state.pages.get_mut(&page)?;
        if looks.focused || (looks.visible && !page.visible) {
            page.looked_at = now;
        }
        (page.visible, page.busy) = (looks.visible, looks.busy);
        Some(page.visitor)
    }

    /// What has opened the socket.
    pub(crate) fn client(&self, page: PageId) -> Client {
        locked(&self.state).pages.get(&page).map(|page| page.client).unwrap_or_default()
    }

    /// A page is gone. The visitor it belonged to, if that is news.
    pub(crate) fn leave(&self, page: PageId) -> Option<Visitor> {
        locked(&self.state).remove(page)
    }

    pub(crate) fn standing(&self, visitor: Visitor) -> Standing {
        let state = locked(&self.state);
        let pages = || state.of(visitor);
        match (pages().any(|(_, page)| page.busy), pages().any(|(_, page)| page.visible)) {
            (true, _) => Standing::Busy,
            (false, true) => Standing::Present,
            (false, false) => Standing::Absent,
        }
    }

    /// The page to ask: of those that can be seen, the one looked at last.
    pub(crate) fn foremost(&self, visitor: Visitor) -> Option<PageId> {
        let state = locked(&self.state);
        let seen = state.of(visitor).filter(|(_, page)| page.visible);
        seen.max_by_key(|(_, page)| page.looked_at).map(|(id, _)| id)
    }

    /// Sends a page a message; false when it is gone or takes nothing.
    pub(crate) fn tell(&self, page: PageId, text: String) -> bool {
        let state = locked(&self.state);
        state.pages.get(&page).is_some_and(|page| page.lane.try_send(text).is_ok())
    }

    /// Lets go of every page, and takes none while `closed`.
    pub(crate) fn close(&self, closed: bool) {
        let mut state = locked(&self.state);
        if closed {
            *state = State { last: state.last, ..State::default() };
        }
        state.closed = closed;
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        locked(&self.state).pages.len()
    }
}

impl State {
    fn of(&self, visitor: Visitor) -> impl Iterator<Item = (PageId, &Page)> {
        let ids = self.of_visitor.get(&visitor).map(Vec::as_slice).unwrap_or_default();
        ids.iter().filter_map(|id| self.pages.get(id).map(|page| (*id, page)))
    }

    /// The page that was looked at longest ago goes, when there are as many as may be: a shop left open in many tabs
    /// must not keep its visitor away.
    fn make_room(&mut self, visitor: Visitor) {
        if self.of_visitor.get(&visitor).is_none_or(|pages| pages.len() < PAGES_PER_VISITOR_MAX) {
            return;
        }
        let oldest = self.of(visitor).min_by_key(|(_, page)| page.looked_at).map(|(id, _)| id);
        if let Some(oldest) = oldest {
            self.remove(oldest);
        }
    }

    fn remove(&mut self, id: PageId) -> Option<Visitor> {
        let Page { visitor, group, address, .. } = self.pages.remove(&id)?;
        if let Some(pages) = self.of_visitor.get_mut(&visitor) {
            pages.retain(|page| *page != id);
            if pages.is_empty() {
                self.of_visitor.remove(&visitor);
            }
        }
        count_down(&mut self.of_group, &group);
        count_down(&mut self.of_address, &address);
        Some(visitor)
    }
}

fn count_down<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn group(name: &str) -> GroupId {
        GroupId::new(name).expect("a legal id")
    }

    fn seen(focused: bool) -> Looks {
        Looks { visible: true, focused, busy: false }
    }

    #[test]
    fn a_visitor_is_present_while_a_page_can_be_seen() {
        // R114, R118
        let visitors = Visitors::new();
        let maria = visitors.named(&group("demo"), "maria");
        assert_eq!(visitors.standing(maria), Standing::Absent);
        let (page, _mailbox) = visitors.enter(maria, &group("demo"), HOME, Client::Program).expect("room");
        assert_eq!(visitors.standing(maria), Standing::Absent, "a socket alone is not enough");
        visitors.looks(page, seen(true));
        assert_eq!(visitors.standing(maria), Standing::Present);
        visitors.looks(page, Looks { visible: true, focused: false, busy: true });
        assert_eq!(visitors.standing(maria), Standing::Busy);
        visitors.looks(page, Looks::default());
        assert_eq!((visitors.standing(maria), visitors.foremost(maria)), (Standing::Absent, None));
        visitors.leave(page);
        assert_eq!(visitors.len(), 0);
    }

    #[test]
    fn the_page_looked_at_last_is_asked_and_groups_are_apart() {
        // R118, G-52
        let visitors = Visitors::new();
        let maria = visitors.named(&group("demo"), "maria");
        assert_ne!(maria, visitors.named(&group("other"), "maria"));
        let open = || visitors.enter(maria, &group("demo"), HOME, Client::Program).expect("room");
        let ((first, _a), (second, _b)) = (open(), open());
        visitors.looks(second, seen(true));
        visitors.looks(first, seen(true));
        assert_eq!(visitors.foremost(maria), Some(first));
        visitors.looks(second, seen(true));
        visitors.looks(first, seen(false));
        assert_eq!(visitors.foremost(maria), Some(second), "being visible is not being looked at");
        visitors.looks(second, Looks::default());
        assert_eq!(visitors.foremost(maria), Some(first));
    }

    #[test]
    fn many_pages_of_one_visitor_close_the_oldest_and_an_address_is_bounded() {
        let visitors = Visitors::new();
        let maria = visitors.named(&group("demo"), "maria");
        let mut pages: Vec<_> = (0..PAGES_PER_VISITOR_MAX)
            .map(|_| visitors.enter(maria, &group("demo"), HOME, Client::Program).expect("room"))
            .collect();
        for (page, _) in &pages[1..] {
            visitors.looks(*page, seen(true));
        }
        let _one_more = visitors.enter(maria, &group("demo"), HOME, Client::Program).expect("room is made");
        assert_eq!(visitors.len(), PAGES_PER_VISITOR_MAX);
        assert!(
            pages[0].1.try_recv().is_err_and(|error| error == tokio::sync::mpsc::error::TryRecvError::Disconnected)
        );
        let mut held = Vec::new();
        let refused = loop {
            let other = visitors.named(&group("demo"), &held.len().to_string());
            match visitors.enter(other, &group("demo"), HOME, Client::Program) {
                Ok(page) => held.push(page),
                Err(refusal) => break refusal.code,
            }
        };
        assert_eq!((refused, visitors.len()), (Code::Rate, PAGES_PER_ADDRESS_MAX));
        visitors.close(true);
        assert_eq!(visitors.len(), 0);
        assert_eq!(
            visitors.enter(maria, &group("demo"), HOME, Client::Program).map(drop).map_err(|r| r.code),
            Err(Code::Draining)
        );
    }
}
