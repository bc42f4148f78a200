//! One session with everybody in it: a visitor with a page, agents that see it.

use std::time::Duration;

use fanlight_loadtest::carrier::Kind;
use fanlight_loadtest::client::{Client, Door, Visit, Way};
use fanlight_loadtest::clock;
use fanlight_loadtest::latencies::Latencies;
use fanlight_loadtest::mirror::Applied;
use fanlight_loadtest::page::{Page, State};
use fanlight_loadtest::seat::Received;
use fanlight_wire::signal::{Slot, ToRelay};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::house::House;
use crate::plain;

/// One session.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) visitor: Client,
    pub(crate) agents: Vec<Client>,
    pub(crate) page: Page,
}

/// How fast a page changes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) interval: Duration,
    pub(crate) change_bytes: usize,
}

impl Scene {
    /// A visitor and `count` agents, all on carriers of `kind`. The first two agents sign in and use a key, as people
    /// do; further ones come with tickets that the operator's door mints.
    pub(crate) async fn open(house: &House, kind: Kind, count: usize, snapshot_bytes: usize) -> Self {
        let door = house.door();
        let visit = door.visit("demo").await.expect("a session");
        let way = Way { door: &door, kind, connect: &visit.connect };
        let mut visitor = Client::join(&way, &visit.ticket).await.expect("the visitor is welcome");
        let mut agents = Vec::new();
        for index in 0..count {
            let ticket = match index {
                0 | 1 => keyed(&door, &visit, index).await,
                _ => minted(house, &visit, &format!("agent-{index}")).await,
            };
            let joined = Client::join(&way, &ticket);
            agents.push(joined.await.expect("the agent is welcome"));
            visitor.agree().await.expect("the visitor agrees");
        }
        let page = visitor.show_page(7, snapshot_bytes).await.expect("a page is wanted");
        let mut scene = Self { visitor, agents, page };
        scene.assert_equal().await;
        scene
    }

    /// Sends a change of about `bytes`.
    pub(crate) async fn change(&mut self, bytes: usize) {
        let frames = self.page.change(bytes, clock::now_us());
        self.visitor.send(frames).await.expect("the visitor's carrier is open");
    }

    /// Waits until every agent's page equals the visitor's.
    pub(crate) async fn assert_equal(&mut self) {
        let state = self.page.state();
        for agent in &mut self.agents {
            agent.follow("an equal page", |seat| seat.mirror().state() == Some(state)).await.expect("an equal page");
        }
    }

    /// Takes the snapshot that the relay has asked for, if it has.
    pub(crate) async fn photograph(&mut self) {
        if std::mem::take(&mut self.visitor.seat_mut().snapshots_wanted) > 0 {
            let snapshot = self.page.snapshot(clock::now_us());
            self.visitor.send(snapshot).await.expect("open");
        }
    }

    /// The visitor changes its page for `time` and every agent follows. Returns how long changes took when everybody is
    /// up to date.
    pub(crate) async fn go_on(&mut self, pace: Pace, time: Duration) -> Latencies {
        let (target, told) = watch::channel(None);
        let mut readers = JoinSet::new();
        for (nth, agent) in self.agents.drain(..).enumerate() {
            readers.spawn(follow(nth, agent, told.clone()));
        }
        self.keep_changing(pace, time).await;
        target.send_replace(Some(self.page.state()));
        let mut latencies = Latencies::default();
        let mut home = readers.join_all().await;
        home.sort_by_key(|(nth, ..)| *nth);
        for (_, agent, measured) in home {
            self.agents.push(agent);
            latencies.merge(measured.into_samples());
        }
        latencies
    }

    async fn keep_changing(&mut self, pace: Pace, time: Duration) {
        let mut tick = interval(pace.interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let until = clock::now() + time;
        while clock::now() < until {
            tokio::select! {
                _ = tick.tick() => self.change(pace.change_bytes).await,
                received = self.visitor.next() => {
                    received.expect("a sound stream");
                    self.photograph().await;
                }
            }
        }
    }

    /// The first agent asks, the visitor accepts and asks for the slot. Sending is left to the caller.
    pub(crate) async fn invite_visitor(&mut self) {
        let agent = self.agents.first_mut().expect("an agent");
        agent.tell(&ToRelay::ShareInvite).await.expect("open");
        self.visitor.follow("an invitation", |seat| !seat.grants.is_empty()).await.expect("an invitation");
        let invited = self.visitor.seat_mut().grants.pop_front().expect("just seen");
        let grant = invited.number;
        self.visitor.tell(&invited.accept()).await.expect("open");
        self.visitor.start_share(Some(grant)).await.expect("open");
        let own = self.visitor.seat().id();
        self.visitor.see_share(Slot::Visitor, |share| share.holder == Some(own)).await.expect("the slot");
    }
}

/// Reads until the page is as told; what was measured comes home with the client.
async fn follow(
    nth: usize,
    mut agent: Client,
    mut target: watch::Receiver<Option<State>>,
) -> (usize, Client, Latencies) {
    let mut latencies = Latencies::default();
    loop {
        let wanted = *target.borrow();
        if wanted.is_some() && agent.seat().mirror().state() == wanted {
            return (nth, agent, latencies);
        }
        tokio::select! {
            received = agent.next() => {
                if let Received::Page(Applied::Diff { at_us }) = received.expect("a sound stream") {
                    latencies.note(clock::now_us().saturating_sub(at_us));
                }
            }
            changed = target.changed() => changed.expect("the test is there"),
        }
    }
}

async fn keyed(door: &Door, visit: &Visit, index: usize) -> String {
    let key = match index {
        0 => visit.key.clone(),
        _ => door.further_key(visit).await.expect("a key"),
    };
    let token = door.login_demo(index).await.expect("an agent of the demo");
    door.join(&token, &key).await.expect("a good key").ticket
}

/// A ticket from the operator's door.
pub(crate) async fn minted(house: &House, visit: &Visit, name: &str) -> String {
    let body = json!({ "session": visit.session, "role": "agent", "name": name, "subject": name }).to_string();
    let bearer = format!("Authorization: Bearer {}\r\n", house.operator_token());
    let answer = plain::ask(&house.operator, "POST /v1/tickets", &bearer, &body).await;
    let minted: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
    minted["ticket"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}
