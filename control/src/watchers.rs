//! Streams of events to agents' consoles: who of their visitors has come, what became of their invites (R114, R145).
//!
//! Invariant: a stream gets only what its own login may know: visitors of its group that it named, invites and sessions of
//! its agent. A stream that does not keep up is closed; its client comes back and reads the present state.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Mutex;

use bytes::Bytes;
use fanlight_wire::limits::{WATCHER_QUEUE_MAX, WATCHERS_MAX, WATCHERS_PER_AGENT_MAX};
use fanlight_wire::{Code, GroupId, Refusal};
use serde::Serialize;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::keys::Guesser;
use crate::locked;
use crate::visitors::Visitor;

#[derive(Debug, Default)]
pub(crate) struct Watchers {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    streams: HashMap<u64, Stream>,
    of_visitor: HashMap<Visitor, BTreeSet<u64>>,
    of_agent: HashMap<Guesser, BTreeSet<u64>>,
    last: u64,
    closed: bool,
}

#[derive(Debug)]
struct Stream {
    agent: Guesser,
    /// What the agent calls each visitor.
    visitors: Vec<(String, Visitor)>,
    lane: Sender<Bytes>,
}

impl Watchers {
    /// A new stream, which begins with a `first` line about each visitor; what changes meanwhile comes after it. A
    /// further stream of the same agent ends its oldest.
    ///
    /// # Errors
    /// `E_OVERLOAD` when the node has as many as it may, `E_DRAIN` while draining.
    pub(crate) fn open(
        &self,
        agent: Guesser,
        visitors: Vec<(String, Visitor)>,
        first: impl Fn(&str, Visitor) -> Bytes,
    ) -> Result<Receiver<Bytes>, Refusal> {
        let mut state = locked(&self.state);
        if state.closed {
            return Err(Refusal::new(Code::Draining, "P3"));
        }
        state.sweep();
        if state.streams.len() >= WATCHERS_MAX {
            return Err(Refusal::new(Code::Overload, "limits::WATCHERS_MAX"));
        }
        let own = state.of_agent.get(&agent);
        if let Some(oldest) = own.filter(|own| own.len() >= WATCHERS_PER_AGENT_MAX).and_then(BTreeSet::first).copied() {
            state.remove(oldest);
        }
        let (lane, events) = channel(WATCHER_QUEUE_MAX);
        state.last += 1;
        let id = state.last;
        for (name, visitor) in &visitors {
            state.of_visitor.entry(*visitor).or_default().insert(id);
            // There is room: `WATCHED_MAX` is less than the queue.
            drop(lane.try_send(first(name, *visitor)));
        }
        state.of_agent.entry(agent.clone()).or_default().insert(id);
        state.streams.insert(id, Stream { agent, visitors, lane });
        Ok(events)
    }

    /// Tells everybody who watches this visitor; `make` gets what the agent calls the visitor.
    pub(crate) fn tell_about<T: Serialize>(&self, visitor: Visitor, event: &str, make: impl Fn(&str) -> T) {
        let mut state = locked(&self.state);
        let ids: Vec<u64> = state.of_visitor.get(&visitor).into_iter().flatten().copied().collect();
        for id in ids {
            let Some(stream) = state.streams.get(&id) else { continue };
            let named = stream.visitors.iter().filter(|(_, watched)| *watched == visitor);
            let sent = named.map(|(name, _)| stream.lane.try_send(line(event, &make(name))));
            if sent.filter(Result::is_err).count() > 0 {
                state.remove(id);
            }
        }
    }

    /// Tells every stream of an agent.
    pub(crate) fn tell_agent<T: Serialize>(&self, agent: &Guesser, event: &str, value: &T) {
        let mut state = locked(&self.state);
        let ids: Vec<u64> = state.of_agent.get(agent).into_iter().flatten().copied().collect();
        let line = line(event, value);
        for id in ids {
            let sent = state.streams.get(&id).map(|stream| stream.lane.try_send(line.clone()));
            if sent.is_some_and(|sent| sent.is_err()) {
                state.remove(id);
            }
        }
    }

    /// Ends the streams of a group's agents, or of one of them: who is signed out hears nothing more (G-54).
    pub(crate) fn sign_out(&self, group: &GroupId, agent: Option<&str>) {
        let chosen = |who: &Guesser| who.group == *group && agent.is_none_or(|agent| who.agent == agent);
        let mut state = locked(&self.state);
        let ids: Vec<u64> =
            state.of_agent.iter().filter(|(agent, _)| chosen(agent)).flat_map(|(_, ids)| ids.iter().copied()).collect();
        for id in ids {
            state.remove(id);
        }
    }

    /// Ends every stream, and opens none while `closed`.
    pub(crate) fn close(&self, closed: bool) {
        let mut state = locked(&self.state);
        if closed {
            *state = State { last: state.last, ..State::default() };
        }
        state.closed = closed;
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let mut state = locked(&self.state);
        state.sweep();
        state.streams.len()
    }
}

impl State {
    /// Forgets the streams whose clients have gone.
    fn sweep(&mut self) {
        let gone: Vec<u64> =
            self.streams.iter().filter(|(_, stream)| stream.lane.is_closed()).map(|(id, _)| *id).collect();
        for id in gone {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: u64) {
        let Some(Stream { agent, visitors, .. }) = self.streams.remove(&id) else { return };
        for (_, visitor) in &visitors {
            take_out(&mut self.of_visitor, visitor, id);
        }
        take_out(&mut self.of_agent, &agent, id);
    }
}

fn take_out<K: Hash + Eq>(index: &mut HashMap<K, BTreeSet<u64>>, key: &K, id: u64) {
    if let Some(ids) = index.get_mut(key) {
        ids.remove(&id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}

/// One event as `text/event-stream` writes it.
pub(crate) fn line<T: Serialize>(event: &str, value: &T) -> Bytes {
    // Serialising our own events cannot fail: plain fields, string keys; JSON has no raw line breaks.
    let data = serde_json::to_string(value).unwrap_or_default();
    Bytes::from(format!("event: {event}\ndata: {data}\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::visitors::Visitors;

    fn agent(name: &str) -> Guesser {
        Guesser { group: GroupId::new("demo").expect("a legal id"), agent: name.into() }
    }

    #[test]
    fn a_stream_hears_of_its_own_and_one_that_sleeps_is_closed() {
        let visitors = Visitors::new();
        let named = |id: &str| visitors.named(&agent("ann").group, id);
        let first = |name: &str, _| Bytes::from(format!("{name} "));
        let watchers = Watchers::default();
        let mut ann = watchers.open(agent("ann"), vec![("m".into(), named("maria"))], first).expect("room");
        let mut ben = watchers.open(agent("ben"), vec![("l".into(), named("leo"))], first).expect("room");
        assert_eq!(
            (ann.try_recv().as_deref(), ben.try_recv().as_deref()),
            (Ok(b"m ".as_slice()), Ok(b"l ".as_slice()))
        );
        watchers.tell_about(named("maria"), "presence", str::to_owned);
        watchers.tell_agent(&agent("ann"), "invite", &1);
        assert_eq!(ann.try_recv().as_deref(), Ok(b"event: presence\ndata: \"m\"\n\n".as_slice()));
        assert_eq!(ann.try_recv().as_deref(), Ok(b"event: invite\ndata: 1\n\n".as_slice()));
        assert!(ben.try_recv().is_err(), "nothing of this is Ben's");
        for _ in 0..=WATCHER_QUEUE_MAX {
            watchers.tell_agent(&agent("ben"), "invite", &1);
        }
        assert_eq!(watchers.len(), 1, "who does not read is closed");
        drop(ann);
        assert_eq!(watchers.len(), 0);
    }

    #[test]
    fn an_agent_has_so_many_streams_and_none_when_signed_out() {
        let first = |_: &str, _| Bytes::new();
        let watchers = Watchers::default();
        let mut held: Vec<_> = (0..=WATCHERS_PER_AGENT_MAX)
            .map(|_| watchers.open(agent("ann"), Vec::new(), first).expect("room"))
            .collect();
        assert_eq!(watchers.len(), WATCHERS_PER_AGENT_MAX);
        assert!(held[0].try_recv().is_err_and(|error| error == tokio::sync::mpsc::error::TryRecvError::Disconnected));
        watchers.sign_out(&agent("ann").group, Some("ben"));
        assert_eq!(watchers.len(), WATCHERS_PER_AGENT_MAX);
        watchers.sign_out(&agent("ann").group, Some("ann"));
        assert_eq!(watchers.len(), 0);
        watchers.close(true);
        assert_eq!(watchers.open(agent("ann"), Vec::new(), first).map(drop).map_err(|r| r.code), Err(Code::Draining));
    }
}
