//! Many clients on one thread: one socket each, one epoll for all, publishers on time.
//!
//! The thread looks at whoever is due to send between any two handfuls of readable sockets, so that receiving for a thousand
//! does not make a publisher late; when it does, [`Source::late`] says so.

use std::io;
use std::net::SocketAddrV4;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::door::Door;
use super::encoding::Way;
use super::epoll::Epoll;
use super::handshake::Handshake;
use super::publisher::Publisher;
use super::rtp::{self, Wish};
use super::simulcast::{Layers, Simulcast};
use super::source::{Load, Source};
use super::srtp::{Keying, Lane};
use super::udp::{Inbox, Origin, Port};
use super::watcher::{Arrival, Manner, Watcher};
use crate::clock::{self, Moment};

/// Between two looks at everybody's timers.
const SCAN: Duration = Duration::from_millis(5);
/// Between two sender reports.
const REPORT: Duration = Duration::from_secs(1);

/// What a client is to do once its keys are there.
#[derive(Debug, Clone, Copy)]
pub enum Plan {
    Watch { manner: Manner, rtx: Option<u8> },
    Publish { load: Load, ssrc: u32, payload_type: u8, join: bool },
    Simulcast { layers: Layers, payload_type: u8 },
}

/// One client.
#[derive(Debug)]
pub struct Member {
    pub port: Port,
    handshake: Option<Handshake>,
    plan: Plan,
    part: Part,
    /// When it began to join.
    began_us: u64,
    /// When media could flow.
    pub ready_us: Option<u64>,
    pub profile: String,
    /// What the server calls this client, to end it there.
    pub resource: Option<Door>,
}

#[derive(Debug)]
enum Part {
    Waiting,
    Watching(Box<Watcher>),
    Publishing { publisher: Publisher, incoming: Box<Lane>, reported: Instant },
    Failed,
}

impl Member {
    /// A client whose handshake has begun. `began_us`: when it asked to join.
    pub const fn new(port: Port, handshake: Handshake, plan: Plan, began_us: u64) -> Self {
        let handshake = Some(handshake);
        Self {
            port,
            handshake,
            plan,
            part: Part::Waiting,
            began_us,
            ready_us: None,
            profile: String::new(),
            resource: None,
        }
    }

    /// A client that needs no handshake; `client` says whose keys it writes with.
    pub fn keyed(port: Port, keying: &Keying, client: bool, remote: SocketAddrV4, plan: Plan) -> Self {
        let began_us = clock::now_us();
        let mut member = Self {
            port,
            handshake: None,
            plan,
            part: Part::Waiting,
            began_us,
            ready_us: None,
            profile: String::new(),
            resource: None,
        };
        member.begin(keying, client, remote);
        member
    }

    fn begin(&mut self, keying: &Keying, client: bool, remote: SocketAddrV4) {
        let now_us = clock::now_us();
        self.ready_us = Some(now_us);
        let (Some(outgoing), Some(incoming)) = (keying.lane(client), keying.lane(!client)) else {
            self.part = Part::Failed;
            return;
        };
        self.part = match self.plan {
            Plan::Watch { manner, rtx } => {
                Part::Watching(Box::new(Watcher::new(manner, incoming, outgoing, rtx, remote, self.began_us)))
            }
            Plan::Publish { load, ssrc, payload_type, join } => {
                let way = Way::new(outgoing, remote, payload_type, join);
                let publisher = Publisher::Steady(Box::new(Source::new(clock::now(), load, way, ssrc)));
                Part::Publishing { publisher, incoming: Box::new(incoming), reported: clock::now() }
            }
            Plan::Simulcast { layers, payload_type } => {
                let way = Way::new(outgoing, remote, payload_type, false);
                let publisher = Publisher::Simulcast(Box::new(Simulcast::new(clock::now(), way, layers)));
                Part::Publishing { publisher, incoming: Box::new(incoming), reported: clock::now() }
            }
        };
    }

    fn handle(&mut self, moment: Moment, from: Origin, bytes: &mut [u8]) {
        match bytes.first() {
            Some(128..=191) => match &mut self.part {
                Part::Watching(watcher) => {
                    let arrived_us = from.stamp_ns.and_then(|stamp| moment.place(stamp)).unwrap_or(moment.now_us);
                    watcher.handle(bytes, Arrival { arrived_us, seen_us: moment.now_us });
                }
                Part::Publishing { publisher, incoming, .. } if rtp::is_rtcp(bytes) => {
                    let Some(compound) = incoming.open_rtcp(bytes) else { return };
                    rtp::wishes(compound, |wish| {
                        if let Wish::Keyframe { ssrc } = wish {
                            publisher.wish(ssrc);
                        }
                    });
                }
                Part::Publishing { .. } | Part::Waiting | Part::Failed => {}
            },
            Some(_) => {
                if let Some(handshake) = &mut self.handshake {
                    handshake.handle_datagram(moment.now, from.address, bytes);
                    self.follow();
                }
            }
            None => {}
        }
    }

    /// Sends what the handshake has to say; begins once it is done.
    fn follow(&mut self) {
        let Some(handshake) = &mut self.handshake else { return };
        while let Some((to, bytes)) = handshake.poll_transmit() {
            self.port.send(to, &bytes);
        }
        if handshake.failed {
            self.part = Part::Failed;
        }
        if !matches!(self.part, Part::Waiting) || !handshake.connected {
            return;
        }
        let (Some(keys), Some(remote)) = (handshake.keys.clone(), handshake.remote) else { return };
        self.profile = keys.profile;
        match keys.keying {
            Some(keying) => self.begin(&keying, keys.client, remote),
            None => self.part = Part::Failed,
        }
    }

    fn handle_timeout(&mut self, now: Instant, now_us: u64) {
        if self.handshake.as_ref().is_some_and(|handshake| handshake.deadline() <= now) {
            if let Some(handshake) = &mut self.handshake {
                handshake.handle_timeout(now);
            }
            self.follow();
        }
        match &mut self.part {
            Part::Watching(watcher) => watcher.handle_timeout(&self.port, now_us),
            Part::Publishing { publisher, reported, .. } if *reported + REPORT <= now => {
                *reported = now;
                publisher.report(&self.port);
            }
            Part::Publishing { .. } | Part::Waiting | Part::Failed => {}
        }
    }

    pub const fn publisher(&mut self) -> Option<&mut Publisher> {
        if let Part::Publishing { publisher, .. } = &mut self.part { Some(publisher) } else { None }
    }

    /// The publisher of one encoding at a steady rate.
    pub const fn source(&mut self) -> Option<&mut Source> {
        if let Some(Publisher::Steady(source)) = self.publisher() { Some(source) } else { None }
    }

    pub const fn watcher(&mut self) -> Option<&mut Watcher> {
        if let Part::Watching(watcher) = &mut self.part { Some(watcher) } else { None }
    }

    pub const fn has_failed(&self) -> bool {
        matches!(self.part, Part::Failed)
    }

    /// Says goodbye on the way out.
    pub fn close(&mut self) {
        if let Some(handshake) = &mut self.handshake {
            handshake.close(clock::now());
        }
        self.follow();
    }
}

/// All clients of one thread.
#[derive(Debug)]
pub struct Swarm {
    epoll: Epoll,
    members: Vec<Option<Member>>,
    sources: Vec<usize>,
    inbox: Inbox,
    scanned: Instant,
}

impl Swarm {
    /// Nobody yet.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new()?;
        Ok(Self { epoll, members: Vec::new(), sources: Vec::new(), inbox: Inbox::default(), scanned: clock::now() })
    }

    /// How many clients have ever come in; the next one's number.
    pub const fn len(&self) -> usize {
        self.members.len()
    }

    pub const fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Takes a client in and returns its number.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn add(&mut self, mut member: Member) -> io::Result<usize> {
        let at = self.members.len();
        member.port.stamp()?;
        self.epoll.watch(member.port.fd(), at as u64)?;
        if matches!(member.plan, Plan::Publish { .. } | Plan::Simulcast { .. }) {
            self.sources.push(at);
        }
        member.follow();
        self.members.push(Some(member));
        Ok(at)
    }

    /// Sends a client away; its socket goes with it.
    pub fn remove(&mut self, at: usize) -> Option<Member> {
        self.sources.retain(|source| *source != at);
        let mut member = self.members.get_mut(at)?.take()?;
        member.close();
        Some(member)
    }

    pub fn member(&mut self, at: usize) -> Option<&mut Member> {
        self.members.get_mut(at)?.as_mut()
    }

    pub fn members(&mut self) -> impl Iterator<Item = &mut Member> {
        self.members.iter_mut().flatten()
    }

    pub fn watchers(&mut self) -> impl Iterator<Item = &mut Watcher> {
        self.members().filter_map(Member::watcher)
    }

    pub fn sources(&mut self) -> impl Iterator<Item = &mut Source> {
        self.members().filter_map(Member::source)
    }

    /// Runs everybody until then; newcomers may come in by `door`.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn run(&mut self, until: Instant, door: Option<&Receiver<Member>>) -> io::Result<()> {
        loop {
            let now = clock::now();
            if now >= until {
                return Ok(());
            }
            let publishing = self.publish(now);
            if now >= self.scanned + SCAN {
                self.scanned = now;
                let now_us = clock::now_us();
                self.members.iter_mut().flatten().for_each(|member| member.handle_timeout(now, now_us));
                while let Some(newcomer) = door.and_then(|door| door.try_recv().ok()) {
                    self.add(newcomer)?;
                }
            }
            let wake = until.min(self.scanned + SCAN).min(publishing.unwrap_or(until));
            self.receive(wake.saturating_duration_since(clock::now()))?;
        }
    }

    /// Sends what is due; when the next is.
    fn publish(&mut self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for at in &self.sources {
            let Some(Some(member)) = self.members.get_mut(*at) else { continue };
            let Part::Publishing { publisher, .. } = &mut member.part else { continue };
            publisher.handle_timeout(now, &member.port);
            next = next.into_iter().chain(publisher.deadline()).min();
        }
        next
    }

    fn receive(&mut self, patience: Duration) -> io::Result<()> {
        for number in self.epoll.wait(patience)? {
            let at = number as usize;
            let Some(Some(member)) = self.members.get_mut(at) else { continue };
            let mut read = None;
            self.inbox.receive(member.port.fd(), |from, bytes| {
                // One reading for what one call has brought, made after it.
                let moment = *read.get_or_insert_with(Moment::take);
                member.handle(moment, from, bytes);
            });
        }
        Ok(())
    }
}
