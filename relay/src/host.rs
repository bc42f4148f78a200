//! What this machine can do for the hot path, and what holds it back, in words an operator can act on.
//!
//! Probing opens and closes what will be used later and changes nothing. A missing ability is a finding, never an
//! error: the relay runs on the plain backend with single datagrams if it must.

use std::fmt;
use std::io;

use crate::io::{BackendKind, SocketReport, cores, probe_socket, probe_uring};

/// The findings.
#[derive(Debug)]
pub struct Host {
    /// Cores this process may use; empty when the kernel does not say.
    pub cores: Vec<usize>,
    pub uring: Result<(), UringRefusal>,
    /// A media socket as the kernel grants it, or why there is none.
    pub socket: Result<SocketReport, String>,
}

/// Why io_uring cannot be used here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UringRefusal {
    #[error("the kernel has no io_uring")]
    Absent,
    #[error("the kernel setting kernel.io_uring_disabled is {0}; 0 allows it")]
    Disabled(u8),
    #[error("refused by a seccomp filter or another security module (Docker's default profile does this)")]
    Forbidden,
    #[error("the limit on locked memory is too low (LimitMEMLOCK, ulimit -l)")]
    Memory,
    #[error("{0}")]
    Other(String),
}

impl Host {
    pub fn probe() -> Self {
        Self {
            cores: cores().unwrap_or_default(),
            uring: probe_uring().map_err(|error| UringRefusal::read(&error, uring_disabled())),
            socket: probe_socket().map_err(|error| error.to_string()),
        }
    }

    /// The backend that `auto` leads to.
    pub const fn backend(&self) -> BackendKind {
        match self.uring {
            Ok(()) => BackendKind::Uring,
            Err(_) => BackendKind::Mmsg,
        }
    }

    /// Shards that fit: one per core, at least one.
    pub fn shards(&self) -> usize {
        self.cores.len().max(1)
    }

    /// Can media be served at all? If not, why.
    ///
    /// # Errors
    /// The kernel's words when not even a UDP socket on loopback can be opened.
    pub fn fitness(&self) -> Result<(), &str> {
        self.socket.as_ref().map(|_| ()).map_err(String::as_str)
    }

    /// What an operator should change, one line each; empty on a well-prepared host.
    pub fn warnings(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Err(refusal) = &self.uring {
            lines.push(format!("io_uring is not used: {refusal}"));
        }
        if let Ok(report) = &self.socket {
            lines.extend(clamp_warnings(report));
            if !report.gso {
                lines
                    .push("UDP segmentation offload is missing: every datagram costs a system call's share".to_owned());
            }
        }
        lines
    }
}

/// One line per kernel setting that clamps a media socket, with the cure.
fn clamp_warnings(report: &SocketReport) -> Vec<String> {
    let line = |(key, bytes)| format!("socket buffers are clamped: set {key} = {bytes} (sysctl -w {key}={bytes})");
    report.clamps().map(line).collect()
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let yes = |able: bool| if able { "yes" } else { "no" };
        writeln!(f, "cores      {}", self.cores.len())?;
        match &self.uring {
            Ok(()) => writeln!(f, "io_uring   yes")?,
            Err(refusal) => writeln!(f, "io_uring   no: {refusal}")?,
        }
        match &self.socket {
            Ok(report) => {
                writeln!(f, "udp gso    {}", yes(report.gso))?;
                writeln!(f, "udp gro    {}", yes(report.gro))?;
                let (receive, send, wanted) = (report.receive_bytes, report.send_bytes, report.wanted_bytes);
                writeln!(f, "buffers    {receive} bytes in, {send} bytes out of {wanted} wanted")?;
            }
            Err(error) => writeln!(f, "sockets    none: {error}")?,
        }
        write!(f, "backend    {}", self.backend())
    }
}

impl UringRefusal {
    /// What the kernel's answer means, given the setting `kernel.io_uring_disabled`.
    fn read(error: &io::Error, disabled: u8) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOSYS) => Self::Absent,
            Some(libc::EPERM | libc::EACCES) if disabled > 0 => Self::Disabled(disabled),
            Some(libc::EPERM | libc::EACCES) => Self::Forbidden,
            Some(libc::ENOMEM) => Self::Memory,
            _ => Self::Other(error.to_string()),
        }
    }
}

fn uring_disabled() -> u8 {
    let text = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    text.trim().parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(uring: Result<(), UringRefusal>, receive_bytes: usize, gso: bool) -> Host {
        let local = std::net::SocketAddr::from(([127, 0, 0, 1], 7730));
        let report = SocketReport { local, wanted_bytes: 4096, receive_bytes, send_bytes: 4096, gro: true, gso };
        Host { cores: vec![0, 1], uring, socket: Ok(report) }
    }

    #[test]
    fn a_refusal_is_named_by_its_cause() {
        let read = |code, disabled| UringRefusal::read(&io::Error::from_raw_os_error(code), disabled);
        assert_eq!(read(libc::ENOSYS, 0), UringRefusal::Absent);
        assert_eq!(read(libc::EPERM, 2), UringRefusal::Disabled(2));
        assert_eq!(read(libc::EPERM, 0), UringRefusal::Forbidden);
        assert_eq!(read(libc::ENOMEM, 0), UringRefusal::Memory);
        assert!(matches!(read(libc::EINVAL, 0), UringRefusal::Other(_)));
    }

    #[test]
    fn warnings_name_the_cure() {
        assert_eq!(host(Ok(()), 4096, true).warnings(), Vec::<String>::new());
        let lines = host(Err(UringRefusal::Forbidden), 212, false).warnings();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].contains("seccomp") && lines[1].contains("sysctl -w net.core.rmem_max=4096"), "{lines:?}");
    }

    #[test]
    fn the_findings_read_as_a_table() {
        let text = host(Err(UringRefusal::Disabled(1)), 212, true).to_string();
        for line in ["cores      2", "io_uring   no: ", "udp gso    yes", "buffers    212 bytes in", "backend    mmsg"]
        {
            assert!(text.contains(line), "{line:?} in\n{text}");
        }
    }

    #[test]
    fn this_machine_can_open_a_socket() {
        let host = Host::probe();
        assert_eq!(host.fitness(), Ok(()));
        assert!(host.shards() >= 1 && !host.cores.is_empty());
    }
}
