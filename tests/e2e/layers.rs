//! A camera in two encodings over real sockets: by WHIP into the session of a visitor, by WHEP to one viewer with room and one
//! whose path narrows and widens again. Judged is what must hold however fast the machine is: every change of encoding begins
//! with a keyframe, numbers go on without a gap, time never goes back, and the picture follows the path.

use std::time::Duration;

use fanlight_loadtest::carrier::Kind;
use fanlight_loadtest::client::Client;
use fanlight_loadtest::clock;
use fanlight_loadtest::raw::crowd::{Pace, gather};
use fanlight_loadtest::raw::door::Door;
use fanlight_loadtest::raw::publisher::Publisher;
use fanlight_loadtest::raw::simulcast::Layers;
use fanlight_loadtest::raw::swarm::{Member, Swarm};
use fanlight_loadtest::raw::watcher::{Manner, Watcher};
use tokio::task::JoinSet;

use crate::house::{BACKENDS, House, say};
use crate::scene::Scene;

/// Bits per second: the second is more than the narrow path carries, the first is less.
const LAYERS: [u64; 2] = [200_000, 1_000_000];
const NARROW: u64 = 600_000;
/// However busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pictures seen of an encoding before the path changes again.
const PICTURES: u64 = 30;
/// What is under way when the publisher stops arrives within this.
const DRAIN: Duration = Duration::from_secs(1);

const VIEWER: Manner =
    Manner { sample: 1, feedback: true, nack: true, loss: 0.0, round_trip: Duration::from_millis(20), bottleneck: 0 };

/// A session in which a camera may be shown, and those who are in it.
async fn session(house: &House) -> (String, JoinSet<()>) {
    let Scene { visitor, agents, .. } = Scene::open(house, Kind::WebSocket, 1, 2_000).await;
    let session = visitor.seat().place().expect("welcomed").session.to_string();
    let mut present = JoinSet::new();
    let stay = |mut client: Client| async move { while client.next().await.is_ok() {} };
    std::iter::once(visitor).chain(agents).for_each(|client| {
        present.spawn(stay(client));
    });
    (session, present)
}

fn door(house: &House, session: &str, kind: &str, right: &str) -> Door {
    let minted = house.verb(&["token", "--session", session, "--role", "upstream", "--can", right]);
    assert!(minted.status.success(), "{}", String::from_utf8_lossy(&minted.stderr));
    let token = String::from_utf8(minted.stdout).expect("text").trim().to_owned();
    Door { url: format!("http://{}/v1/sessions/{session}/{kind}?source=camera", house.public), token: Some(token) }
}

struct Room {
    swarm: Swarm,
    camera: usize,
    wide: usize,
    narrow: usize,
}

impl Room {
    fn open(whip: &Door, whep: &Door) -> Self {
        let mut swarm = Swarm::new().expect("an epoll");
        let publish = |_| whip.publish_simulcast(Layers::new(&LAYERS));
        let camera = gather(&mut swarm, 1, Pace::default(), publish).expect("a camera");
        let viewers = gather(&mut swarm, 2, Pace::default(), |_| whep.watch(VIEWER)).expect("two viewers");
        let ([camera], [wide, narrow]) = (camera.as_slice(), viewers.as_slice()) else { panic!("one and two") };
        Self { swarm, camera: *camera, wide: *wide, narrow: *narrow }
    }

    fn viewer(&mut self, at: usize) -> &mut Watcher {
        self.swarm.member(at).and_then(Member::watcher).expect("it watches")
    }

    fn publisher(&mut self) -> &mut Publisher {
        self.swarm.member(self.camera).and_then(Member::publisher).expect("it publishes")
    }

    /// The source of an encoding.
    fn ssrc(&mut self, layer: usize) -> u32 {
        let Publisher::Simulcast(camera) = self.publisher() else { panic!("a camera of several encodings") };
        camera.encodings()[layer].ssrc()
    }

    /// Waits until a viewer has seen a second of pictures of one encoding.
    fn until_seen(&mut self, at: usize, layer: usize) {
        let (ssrc, until) = (self.ssrc(layer), clock::now() + PATIENCE);
        let mut since = None;
        loop {
            self.swarm.run(clock::now() + Duration::from_millis(20), None).expect("sockets");
            let watcher = self.viewer(at);
            let (follows, frames) = (watcher.viewing.follows(), watcher.viewing.frames);
            since = since.filter(|_| follows == Some(ssrc)).or_else(|| (follows == Some(ssrc)).then_some(frames));
            if since.is_some_and(|since| frames >= since + PICTURES) {
                return;
            }
            assert!(clock::now() < until, "encoding {layer} is not seen: {:?} {frames}", watcher.viewing.switches);
        }
    }

    fn assert_whole(&mut self, at: usize) {
        let watcher = self.viewer(at);
        let (viewing, watch) = (&watcher.viewing, watcher.viewing.watch());
        assert_eq!(viewing.keyless(), [], "every change begins with a keyframe");
        let runs: Vec<_> = watch.runs().copied().collect();
        assert!(runs.first().is_some_and(|run| run.from_key), "and so does the first picture: {runs:?}");
        assert_eq!((watch.backwards(), watcher.foreign, watcher.sealed), (0, 0, 0), "time, foreign, unreadable");
        let [stream] = watcher.streams.as_slice() else { panic!("one numbering whatever flows") };
        assert_eq!(stream.repeated, 0, "no number twice");
        assert!(stream.lost() <= watcher.overflowed, "{} of {} missing", stream.lost(), stream.expected());
    }
}

fn watch(whip: &Door, whep: &Door) -> String {
    let mut room = Room::open(whip, whep);
    let (wide, narrow) = (room.wide, room.narrow);
    room.until_seen(wide, 1);
    room.until_seen(narrow, 1);
    room.viewer(narrow).manner.bottleneck = NARROW;
    room.until_seen(narrow, 0);
    room.viewer(narrow).manner.bottleneck = 0;
    room.until_seen(narrow, 1);
    let now = clock::now();
    room.publisher().stop(now);
    room.swarm.run(clock::now() + DRAIN, None).expect("sockets");
    room.assert_whole(wide);
    room.assert_whole(narrow);
    assert!(room.viewer(narrow).viewing.switches.len() >= 2, "down and up again");
    let (large, small) = (room.ssrc(1), room.ssrc(0));
    let beside = room.viewer(wide);
    // Nobody's narrow path takes the large picture from another; at the very beginning the small one may have been shown.
    let way_down = beside.viewing.watch().runs().zip(beside.viewing.watch().runs().skip(1));
    let way_down = way_down.filter(|(one, next)| (one.share, next.share) == (large, small)).count();
    assert_eq!((way_down, beside.streams[0].lost()), (0, 0));
    let (_, late, wishes) = room.publisher().counts();
    let narrow = room.viewer(narrow);
    format!(
        "{} changes behind a bottleneck, {} packets in front of its full queue, {} repaired, longest standstill {} ms; {wishes} \
         keyframes asked for, {late} packets left late",
        narrow.viewing.switches.len(),
        narrow.overflowed,
        narrow.streams[0].repaired(),
        narrow.viewing.gap_us_max / 1_000
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn encodings_change_with_the_path_and_only_at_keyframes() {
    for backend in BACKENDS {
        let mut house = House::open(backend, "");
        let (session, present) = session(&house).await;
        let whip = door(&house, &session, "whip", "pub.camera");
        let whep = door(&house, &session, "whep", "sub.camera");
        let figure = tokio::task::spawn_blocking(move || watch(&whip, &whep)).await.expect("no panic");
        drop(present);
        house.assert_quiet().await;
        say(&format!("two encodings on {backend}: {figure}"));
    }
}
