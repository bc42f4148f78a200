//! Which cores this process may use, and a thread's place on one of them.
#![expect(unsafe_code, reason = "the scheduler's calls have no safe wrapper here; each block says why it holds")]

use std::io;
use std::mem::{size_of, zeroed};

/// The cores this process may run on, lowest first.
///
/// # Errors
/// What the kernel says; some sandboxes refuse the question.
pub fn cores() -> io::Result<Vec<usize>> {
    // SAFETY: all-zero is an empty set.
    let mut set: libc::cpu_set_t = unsafe { zeroed() };
    // SAFETY: the set is ours and as long as told; 0 is the calling thread.
    if unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let capacity = libc::CPU_SETSIZE.unsigned_abs() as usize;
    // SAFETY: each core asked for is below the set's capacity.
    Ok((0..capacity).filter(|&core| unsafe { libc::CPU_ISSET(core, &set) }).collect())
}

/// Keeps the calling thread on one core.
///
/// # Errors
/// What the kernel says: no such core, or a sandbox that forbids the call.
pub fn pin(core: usize) -> io::Result<()> {
    if core >= libc::CPU_SETSIZE.unsigned_abs() as usize {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: all-zero is an empty set.
    let mut set: libc::cpu_set_t = unsafe { zeroed() };
    // SAFETY: the core is below the set's capacity.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: the set is ours and as long as told; 0 is the calling thread.
    if unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_has_one_core() {
        let all = cores().unwrap();
        let last = *all.last().unwrap();
        let seen = std::thread::spawn(move || pin(last).and_then(|()| cores())).join().unwrap().unwrap();
        assert_eq!(seen, [last]);
        assert!(pin(usize::MAX).is_err());
    }
}
