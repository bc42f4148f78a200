//! The same listener and stream on both runtimes.

use std::io;
use std::net::{Shutdown, SocketAddr};

use socket2::SockRef;

/// Which runtime the streams live on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    Uring,
    Tokio,
}

pub(super) enum Listener {
    Uring(tokio_uring::net::TcpListener),
    Tokio(tokio::net::TcpListener),
}

pub(super) enum Stream {
    Uring(tokio_uring::net::TcpStream),
    Tokio(tokio::net::TcpStream),
}

impl Listener {
    pub(super) fn new(listener: std::net::TcpListener, flavour: Flavour) -> io::Result<Self> {
        match flavour {
            Flavour::Uring => {
                // Requests wait in the kernel; a socket that never blocks would answer them at once.
                listener.set_nonblocking(false)?;
                Ok(Self::Uring(tokio_uring::net::TcpListener::from_std(listener)))
            }
            Flavour::Tokio => {
                listener.set_nonblocking(true)?;
                tokio::net::TcpListener::from_std(listener).map(Self::Tokio)
            }
        }
    }

    pub(super) async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        let (stream, peer) = match self {
            Self::Uring(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                (Stream::Uring(stream), peer)
            }
            Self::Tokio(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                (Stream::Tokio(stream), peer)
            }
        };
        Ok((stream, peer))
    }
}

impl Stream {
    /// Reads into the spare capacity of an empty buffer. 0 bytes: the peer has finished.
    pub(super) async fn read(&self, mut buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        match self {
            Self::Uring(stream) => stream.read(buffer).await,
            Self::Tokio(stream) => loop {
                if let Err(error) = stream.readable().await {
                    return (Err(error), buffer);
                }
                match stream.try_read_buf(&mut buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return (result, buffer),
                }
            },
        }
    }

    pub(super) async fn write_all(&self, buffer: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        match self {
            Self::Uring(stream) => stream.write_all(buffer).await,
            Self::Tokio(stream) => {
                let mut rest = buffer.as_slice();
                while !rest.is_empty() {
                    if let Err(error) = stream.writable().await {
                        return (Err(error), buffer);
                    }
                    match stream.try_write(rest) {
                        Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return (Err(error), buffer),
                    }
                }
                (Ok(()), buffer)
            }
        }
    }

    /// Ends both directions; reads and writes that wait return.
    pub(super) fn shutdown(&self) {
        let result = match self {
            Self::Uring(stream) => stream.shutdown(Shutdown::Both),
            Self::Tokio(stream) => SockRef::from(stream).shutdown(Shutdown::Both),
        };
        if let Err(error) = result {
            tracing::trace!(%error, "a TCP media stream was closed already");
        }
    }
}
