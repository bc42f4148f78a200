//! A webhook's receiver on this machine: keeps what it is sent, answers as it is told.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver as Mail, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// What came in one request.
#[derive(Debug, Clone)]
pub(crate) struct Delivered {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Delivered {
    pub(crate) fn header(&self, name: &str) -> String {
        let line = self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name} in {}", self.head)).to_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// Listens for as long as the test process runs.
pub(crate) struct Receiver {
    address: SocketAddr,
    mail: Mail<Delivered>,
    status: Arc<Mutex<u16>>,
}

impl Receiver {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let (keep, mail) = channel();
        let status = Arc::new(Mutex::new(204));
        let answer = Arc::clone(&status);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let status = *answer.lock().expect("no test panics while it holds this");
                serve(stream, status, &keep);
            }
        });
        Self { address, mail, status }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it answers like this.
    pub(crate) fn answers(&self, status: u16) {
        *self.status.lock().expect("no test panics while it holds this") = status;
    }

    pub(crate) fn next(&self) -> Delivered {
        self.mail.recv_timeout(Duration::from_secs(20)).expect("something is delivered")
    }

    /// Everything that has come and nobody has looked at.
    pub(crate) fn rest(&self) -> Vec<Delivered> {
        self.mail.try_iter().collect()
    }
}

fn serve(mut stream: TcpStream, status: u16, keep: &Sender<Delivered>) {
    let (mut seen, mut part) = (String::new(), [0; 4_096]);
    let whole = loop {
        let read = stream.read(&mut part).unwrap_or(0);
        seen.push_str(&String::from_utf8_lossy(&part[..read]));
        let Some((head, body)) = seen.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if read == 0 || length.is_none_or(|length| body.len() >= length) {
            break Delivered { head: head.to_owned(), body: body.to_owned() };
        }
    };
    // Answered before it is kept, so that a test that has it knows it was answered. Whoever has left misses both.
    drop(stream.write_all(format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n").as_bytes()));
    drop(keep.send(whole));
}
