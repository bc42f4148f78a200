//! Joining by the hundred: threads that only signal, and the swarm that shakes hands meanwhile.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::door::JoinError;
use super::swarm::{Member, Swarm};
use crate::clock;

/// A client that is not connected this long after everybody has signalled never will be.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at who is there.
const LOOK: Duration = Duration::from_millis(20);

/// How clients come.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Threads that signal at the same time.
    pub workers: usize,
    /// Joins per second at most; 0 for as fast as they go.
    pub per_second: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { workers: 8, per_second: 0 }
    }
}

/// Lets `count` clients join, each made by `join` from its number, while `swarm` goes on; returns their numbers in it.
///
/// # Errors
/// The first [`JoinError`], also when somebody does not get connected in time.
pub fn gather(
    swarm: &mut Swarm,
    count: usize,
    pace: Pace,
    join: impl Fn(usize) -> Result<Member, JoinError> + Sync,
) -> Result<Vec<usize>, JoinError> {
    let first = swarm.len();
    let (entrance, door) = mpsc::channel();
    let (next, start) = (AtomicUsize::new(0), clock::now());
    let failures = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..pace.workers.clamp(1, count.max(1)))
            .map(|_| {
                let (entrance, next, join) = (entrance.clone(), &next, &join);
                scope.spawn(move || {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            return Ok(());
                        }
                        if pace.per_second > 0 {
                            let due = start + Duration::from_secs(1) * number as u32 / pace.per_second;
                            std::thread::sleep(due.saturating_duration_since(clock::now()));
                        }
                        if entrance.send(join(number)?).is_err() {
                            return Ok(());
                        }
                    }
                })
            })
            .collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            swarm.run(clock::now() + LOOK, Some(&door))?;
        }
        let homes = workers.into_iter().map(|worker| worker.join().unwrap_or(Err(JoinError::Http)));
        homes.collect::<Result<(), JoinError>>()
    });
    failures?;
    let until = clock::now() + PATIENCE;
    loop {
        swarm.run(clock::now() + LOOK, Some(&door))?;
        let mut absent = 0;
        for at in first..first + count {
            match swarm.member(at) {
                Some(member) if member.has_failed() => return Err(JoinError::Unkeyed(member.profile.clone())),
                Some(member) if member.ready_us.is_some() => {}
                _ => absent += 1,
            }
        }
        if absent == 0 {
            return Ok((first..first + count).collect());
        }
        if clock::now() > until {
            return Err(JoinError::Absent(absent));
        }
    }
}
