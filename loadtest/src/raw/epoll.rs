//! One epoll for all sockets of a thread, with timeouts of microseconds.
#![expect(unsafe_code, reason = "epoll has no safe wrapper here; each block says why it holds")]

use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Sockets told about by one wait.
pub const READY_MAX: usize = 32;

/// Who is readable.
#[derive(Debug)]
pub struct Epoll {
    own: OwnedFd,
}

impl Epoll {
    /// Watches nobody yet.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the descriptor that comes back is ours alone.
        let own = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if own < 0 {
            return Err(io::Error::last_os_error());
        }
        // A publisher's moments are microseconds apart; the default slack is fifty of them.
        // SAFETY: sets a number of the calling thread.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
        // SAFETY: just opened, and nobody else has it.
        Ok(Self { own: unsafe { OwnedFd::from_raw_fd(own) } })
    }

    /// Watches `fd` from now on, as `number`; closing the socket ends that.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn watch(&self, fd: RawFd, number: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: number };
        // SAFETY: both descriptors are open and the event outlives the call.
        let done = unsafe { libc::epoll_ctl(self.own.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Waits that long for somebody to be readable; their numbers, at most [`READY_MAX`].
    ///
    /// # Errors
    /// What the kernel says.
    pub fn wait(&self, patience: Duration) -> io::Result<impl Iterator<Item = u64> + use<>> {
        // SAFETY: all-zero is a valid value of this plain C structure.
        let mut ready: [libc::epoll_event; READY_MAX] = unsafe { zeroed() };
        let timeout =
            libc::timespec { tv_sec: patience.as_secs().cast_signed(), tv_nsec: patience.subsec_nanos().into() };
        // SAFETY: the array and the timeout live during the call, and the array is as long as told.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.own.as_raw_fd(),
                ready.as_mut_ptr(),
                READY_MAX as libc::c_int,
                &raw const timeout,
                std::ptr::null::<libc::sigset_t>(),
                0_usize,
            )
        };
        if count < 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        Ok(ready.into_iter().take(usize::try_from(count).unwrap_or(0)).map(|event| event.u64))
    }
}
