//! Real streams against a real shard with a scripted engine, on both runtimes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use fanlight_engine::PipeInput;
use fanlight_wire::PipeId;

use super::*;
use crate::io::BackendChoice;
use crate::queue::QueueError;
use crate::shard::Shard;
use crate::shard::tests::{any, echo, patiently, stop};

macro_rules! on_both_runtimes {
    ($($question:ident),+ $(,)?) => {
        mod with_uring { $(#[test] fn $question() { super::$question(super::BackendChoice::Uring) })+ }
        mod with_tokio { $(#[test] fn $question() { super::$question(super::BackendChoice::Mmsg) })+ }
    };
}

on_both_runtimes! {
    packets_are_echoed_in_order,
    a_stream_that_is_no_stun_is_closed,
    a_packet_beyond_the_limit_closes_the_stream,
    an_address_has_few_unproven_streams,
    a_flood_of_frames_does_not_starve_media,
}

/// A connectivity check as far as a stream can tell.
fn stun() -> Vec<u8> {
    let mut packet = vec![0x00, 0x01, 0x00, 0x00, 0x21, 0x12, 0xA4, 0x42];
    packet.resize(20, 7);
    packet
}

fn connect(shard: &Shard) -> TcpStream {
    let stream = TcpStream::connect(shard.tcp[0]).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn say(stream: &mut TcpStream, packet: &[u8]) {
    stream.write_all(&framing::framed(packet).unwrap()).unwrap();
}

fn hear(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("a packet");
    let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut packet).unwrap();
    packet
}

/// The far end closed it, in whatever manner.
fn is_closed(stream: &mut TcpStream) -> bool {
    match patiently(|| stream.read(&mut [0; 16])) {
        Ok(bytes) => bytes == 0,
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    }
}

fn packets_are_echoed_in_order(backend: BackendChoice) {
    let (shard, _reported) = echo(backend, any());
    let mut stream = connect(&shard);
    say(&mut stream, &stun());
    assert_eq!(hear(&mut stream), stun());
    for batch in 0..50_usize {
        let packets: Vec<_> = (0..40).map(|i| vec![i as u8; 1 + (batch * 397 + i * 61) % DATAGRAM_BYTES_MAX]).collect();
        let bytes: Vec<u8> = packets.iter().flat_map(|packet| framing::framed(packet).unwrap()).collect();
        // In pieces that respect no packet.
        bytes.chunks(1 + batch * 211).for_each(|piece| stream.write_all(piece).unwrap());
        for packet in &packets {
            assert!(&hear(&mut stream) == packet, "an echo differs");
        }
    }
    stop(shard);
}

fn a_stream_that_is_no_stun_is_closed(backend: BackendChoice) {
    let (shard, _reported) = echo(backend, any());
    let mut stream = connect(&shard);
    say(&mut stream, &[22, 254, 253, 0, 0, 0, 0, 0, 0, 0]);
    assert!(is_closed(&mut stream));
    let board = Arc::clone(&shard.board);
    stop(shard);
    assert_eq!(board.read().totals.packets_in, 0, "the engine saw nothing of it");
}

fn a_packet_beyond_the_limit_closes_the_stream(backend: BackendChoice) {
    let (shard, _reported) = echo(backend, any());
    let mut stream = connect(&shard);
    say(&mut stream, &stun());
    assert_eq!(hear(&mut stream), stun());
    let length = u16::try_from(DATAGRAM_BYTES_MAX + 1).unwrap();
    stream.write_all(&length.to_be_bytes()).unwrap();
    assert!(is_closed(&mut stream));
    stop(shard);
}

fn an_address_has_few_unproven_streams(backend: BackendChoice) {
    let (shard, _reported) = echo(backend, any());
    let mut silent: Vec<_> = (0..TCP_MEDIA_UNPROVEN_MAX).map(|_| connect(&shard)).collect();
    assert!(is_closed(&mut connect(&shard)), "one too many");
    let mut first = silent.remove(0);
    say(&mut first, &stun());
    assert_eq!(hear(&mut first), stun());
    // A further packet makes the reader look again: the stream has been proven by the echo.
    say(&mut first, &stun());
    assert_eq!(hear(&mut first), stun());
    let mut next = connect(&shard);
    say(&mut next, &stun());
    assert_eq!(hear(&mut next), stun());
    stop(shard);
}

fn a_flood_of_frames_does_not_starve_media(backend: BackendChoice) {
    let (shard, _reported) = echo(backend, any());
    let (handle, done) = (shard.handle.clone(), Arc::new(AtomicBool::new(false)));
    let until = Arc::clone(&done);
    let flood = std::thread::spawn(move || {
        while !until.load(Ordering::Relaxed) {
            let input = ShardInput::Pipe(PipeId(1), PipeInput::Credit(300));
            if handle.try_send(input) == Err(QueueError::Full) {
                std::thread::yield_now();
            }
        }
    });
    let mut stream = connect(&shard);
    for _ in 0..100 {
        say(&mut stream, &stun());
        assert_eq!(hear(&mut stream), stun());
    }
    done.store(true, Ordering::Relaxed);
    flood.join().unwrap();
    stop(shard);
}

#[test]
fn patience_grows_with_proof() {
    let opened = clock::now();
    let heard = opened + Duration::from_secs(100);
    assert_eq!(patience(opened, heard, false, false), opened + HELLO_MAX);
    assert_eq!(patience(opened, heard, true, false), opened + HANDSHAKE_MAX);
    assert_eq!(patience(opened, heard, true, true), heard + TCP_MEDIA_IDLE_MAX);
}

#[test]
fn a_slow_stream_loses_whole_packets_and_bounded_memory() {
    let (packets, mut queued) = mpsc::unbounded_channel();
    let sink = TcpSink { packets, shared: Arc::default() };
    let packet = [9; 1_000];
    let accepted = (0..1_000).filter(|_| sink.send(&packet)).count();
    assert_eq!(accepted, TCP_MEDIA_BACKLOG_BYTES_MAX / (packet.len() + 2));
    let framed = queued.try_recv().unwrap();
    assert_eq!(framed.len(), packet.len() + 2);
    sink.shared.backlog.fetch_sub(framed.len(), Ordering::Relaxed);
    assert!(sink.send(&packet), "room is used again");
    assert!(!sink.send(&vec![0; 70_000]), "what cannot be framed is dropped");
}

#[test]
fn only_stun_begins_a_stream() {
    assert!(is_stun(&stun()));
    assert!(!is_stun(&[]));
    assert!(!is_stun(&[0x80, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42]));
    assert!(!is_stun(&[0, 1, 0, 0, 0, 0, 0, 0]));
}

#[test]
fn places_are_counted_per_address_and_given_back() {
    let book = Rc::new(RefCell::new(Book { next: first_stream(ShardId(2)), total: 0, open: BTreeMap::new() }));
    let [one, two]: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
    let mut places: Vec<_> = (0..TCP_MEDIA_UNPROVEN_MAX).map(|_| Place::take(&book, one).unwrap()).collect();
    assert!(Place::take(&book, one).is_none() && Place::take(&book, two).is_some());
    assert_eq!(places[1].id.0, places[0].id.0 + 1);
    places[0].prove();
    places[0].prove();
    places.push(Place::take(&book, one).unwrap());
    while places.len() < CONNECTIONS_PER_ADDRESS_MAX {
        places.last_mut().unwrap().prove();
        places.push(Place::take(&book, one).unwrap());
    }
    places.iter_mut().for_each(Place::prove);
    assert!(Place::take(&book, one).is_none(), "proven streams have a limit too");
    drop(places);
    assert!(book.borrow().open.is_empty() && book.borrow().total == 0);
}

#[test]
fn a_source_with_many_addresses_has_one_share() {
    let book = Rc::new(RefCell::new(Book { next: 0, total: 0, open: BTreeMap::new() }));
    let address = |last| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]);
    let held: Vec<_> = (0..100).filter_map(|last| Place::take(&book, address(last))).collect();
    assert_eq!(held.len(), TCP_MEDIA_UNPROVEN_MAX, "a household of IPv6 addresses is one source");
    book.borrow_mut().total = CONNECTIONS_MAX;
    assert!(Place::take(&book, [10, 0, 0, 1].into()).is_none(), "the house is full");
    book.borrow_mut().total = held.len();
}
