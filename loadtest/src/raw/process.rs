//! What the kernel says about a process: the time it has used, the memory it holds; and a thread's place on a core.
#![expect(unsafe_code, reason = "the scheduler's calls have no safe wrapper here; each block says why it holds")]

use std::fs;
use std::io;
use std::mem::{size_of, zeroed};
use std::time::Duration;

/// User and system time of all threads that live now. By the scheduler's own count in nanoseconds where it tells one, else by
/// ticks.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let times = tasks.flatten().map(|task| {
        let line = fs::read_to_string(task.path().join("schedstat")).ok()?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    });
    // A thread that ends while it is read is not counted.
    let total: u64 = times.flatten().sum();
    if total > 0 { Some(Duration::from_nanos(total)) } else { ticks(pid) }
}

fn ticks(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    // The kernel tells user space of a hundred ticks per second on every platform served here.
    Some(Duration::from_millis((user + system) * 10))
}

/// Bytes of resident memory.
pub fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1_024)
}

/// Time that the calling thread has used.
pub fn own_cpu_time() -> Duration {
    // SAFETY: all-zero is a valid value of this plain C structure.
    let mut usage: libc::rusage = unsafe { zeroed() };
    // SAFETY: the structure lives during the call.
    unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
    let time = |at: libc::timeval| {
        Duration::from_secs(at.tv_sec.unsigned_abs()) + Duration::from_micros(at.tv_usec.unsigned_abs())
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// Keeps process or thread `pid` (0: the calling thread) on one core; what it starts later stays there, too.
///
/// # Errors
/// What the kernel says.
pub fn pin(pid: u32, core: usize) -> io::Result<()> {
    // SAFETY: all-zero is an empty set.
    let mut set: libc::cpu_set_t = unsafe { zeroed() };
    // SAFETY: cores are few; the set has room for 1 024.
    unsafe { libc::CPU_SET(core.min(1_023), &mut set) };
    // SAFETY: the set is ours and as long as told.
    let done = unsafe { libc::sched_setaffinity(pid.cast_signed(), size_of::<libc::cpu_set_t>(), &raw const set) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Puts process `pid` (0: the calling one) before others, where the host allows it: both ends of a measurement want the same.
pub fn favour(pid: u32) -> bool {
    let name = if pid == 0 { "self".to_owned() } else { pid.to_string() };
    // Where the scheduler groups processes by terminal session, it is the group that competes; elsewhere there is no such file.
    let grouped = fs::write(format!("/proc/{name}/autogroup"), "-10").is_ok();
    // SAFETY: sets a number of a process.
    (unsafe { libc::setpriority(libc::PRIO_PROCESS, pid, -10) == 0 }) || grouped
}

/// As many open files as the host allows, for thousands of sockets.
pub fn raise_open_files() -> u64 {
    // SAFETY: all-zero is a valid value of this plain C structure.
    let mut limit: libc::rlimit = unsafe { zeroed() };
    // SAFETY: the structure lives during the call.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: as above.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    limit.rlim_cur
}

/// What the machine is doing besides: the load average of the last minute.
pub fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_is_seen_working() {
        let own = std::process::id();
        let before = (cpu_time(own).expect("a time"), own_cpu_time());
        let mut sum = 0_u64;
        while own_cpu_time() < before.1 + Duration::from_millis(20) {
            sum = sum.wrapping_add(std::hint::black_box(1));
        }
        assert!(sum > 0 && cpu_time(own).expect("a time") > before.0);
        assert!(resident(own).expect("a size") > 1 << 20);
        assert!(ticks(own).is_some() && cpu_time(u32::MAX).is_none());
    }
}
