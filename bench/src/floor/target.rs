//! The floor as a target: its process, and clients that share keys with it instead of shaking hands.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::{Command, Stdio};

use fanlight_loadtest::raw::process;
use fanlight_loadtest::raw::rtp::PT_VP8;
use fanlight_loadtest::raw::source::Load;
use fanlight_loadtest::raw::srtp::Keying;
use fanlight_loadtest::raw::swarm::{Member, Plan, Swarm};
use fanlight_loadtest::raw::udp::Port;
use fanlight_loadtest::raw::watcher::Manner;

use super::{Roster, Seat, Track};
use crate::measure::Target;

/// Socket buffers of a client.
const BUFFER_BYTES: usize = 1 << 20;

/// Starts a floor on `core` with `sessions` publishers of `subscribers` each; they are silent until they are paced.
///
/// # Errors
/// What the kernel says.
pub fn open(
    swarm: &mut Swarm,
    core: usize,
    (sessions, subscribers): (usize, usize),
    load: Load,
    join: bool,
) -> io::Result<Target> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("floor-server").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    process::pin(child.id(), core)?;
    process::favour(child.id());
    let mut line = String::new();
    let out = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    BufReader::new(out).read_line(&mut line)?;
    let port = line.trim().strip_prefix("PORT=").and_then(|port| port.parse().ok());
    let remote = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port.ok_or(io::ErrorKind::InvalidData)?);
    let pid = child.id();
    let mut target =
        Target { name: "floor".into(), pid, child: Some(child), sources: Vec::new(), watchers: Vec::new() };
    let mut roster = Roster::default();
    for _ in 0..sessions {
        let (keying, ssrc) = (Keying::random(), fastrand::u32(1 << 16..));
        let mut track = Track { ssrc, keying: hex::encode(keying.material()), subscribers: Vec::new() };
        let plan = Plan::Publish { load, ssrc, payload_type: PT_VP8, join };
        let publisher = Member::keyed(Port::open(Ipv4Addr::LOCALHOST, BUFFER_BYTES)?, &keying, true, remote, plan);
        target.sources.push(swarm.add(publisher)?);
        for _ in 0..subscribers {
            let (port, keying) = (Port::open(Ipv4Addr::LOCALHOST, BUFFER_BYTES)?, Keying::random());
            track.subscribers.push(Seat { address: port.local(), keying: hex::encode(keying.material()) });
            let plan = Plan::Watch { manner: Manner::default(), rtx: None };
            target.watchers.push(swarm.add(Member::keyed(port, &keying, true, remote, plan))?);
        }
        roster.tracks.push(track);
    }
    target.pace(swarm, 0);
    let mut line = serde_json::to_vec(&roster)?;
    line.push(b'\n');
    let mut input = target.child.as_mut().and_then(|child| child.stdin.take()).ok_or(io::ErrorKind::BrokenPipe)?;
    input.write_all(&line)?;
    Ok(target)
}
