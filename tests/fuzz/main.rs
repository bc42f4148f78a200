//! Fuzzing on the stable toolchain: one target per decoder and one for whole histories of the engine.
//!
//! Without a wish each target replays its committed corpus and a fixed number of mutations of it, the same in every run.
//! `make fuzz` (`FUZZ_SECONDS`) goes on from there for a while, with other mutations each time. An input that breaks
//! something is printed as a line to be added to `corpus/<target>.txt`.

#![expect(clippy::print_stdout, reason = "a long run shows how far it is, and the input that broke something")]

use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::time::Duration;

use fanlight_loadtest::clock;

mod history;
mod media;
mod mutate;
mod targets;

/// Mutations per target when nobody asks for more.
const MUTATIONS: u64 = 3_000;

type Target = fn(&[u8]);

/// The committed inputs of a target: one line of hexadecimal digits each, `#` begins a comment.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(format!("{name}.txt"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| hex::decode(line.trim()).unwrap_or_else(|error| panic!("{name}: {error}"))).collect()
}

/// Runs one input; when it breaks something, says which it was.
fn run(name: &str, target: Target, input: &[u8]) {
    if let Err(broken) = catch_unwind(AssertUnwindSafe(|| target(input))) {
        println!("{name} breaks on this input:\n{}", hex::encode(input));
        resume_unwind(broken);
    }
}

fn fuzz(name: &str, target: Target) {
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "{name} has no corpus");
    for input in &corpus {
        run(name, target, input);
    }
    let wished: Option<u64> = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let Some(seconds) = wished else {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..MUTATIONS {
            run(name, target, &mutate::mutated(&mut random, &corpus));
        }
        return;
    };
    let (mut random, start) = (fastrand::Rng::new(), clock::now());
    let (mut runs, mut shown) = (0_u64, 0);
    while clock::now() - start < Duration::from_secs(seconds) {
        for _ in 0..100 {
            run(name, target, &mutate::mutated(&mut random, &corpus));
        }
        runs += 100;
        let elapsed = (clock::now() - start).as_secs();
        if elapsed > shown {
            shown = elapsed;
            println!("{name}: {elapsed}/{seconds} s, {runs} inputs");
        }
    }
}

macro_rules! targets {
    ($($name:ident: $target:path;)+) => {
        $(#[test]
        fn $name() {
            fuzz(stringify!($name), $target);
        })+
    };
}

targets! {
    frame: targets::frame;
    splitter: targets::splitter;
    signal: targets::signal;
    claims: targets::claims;
    keyframe: targets::keyframe;
    demux: targets::demux;
    fingerprint: targets::fingerprint;
    offer: targets::offer;
    rtp_header: media::rtp_header;
    rtcp: media::rtcp;
    recorder: media::recorder;
    reception: media::reception;
    layers: media::layers;
    engine: history::engine;
}

/// Writes the first corpus from what the real encoders produce, where there is none yet. Run with `UPDATE_VECTORS=1`.
#[test]
fn every_target_has_a_corpus() {
    for (name, inputs) in targets::seeds().into_iter().chain(media::seeds()) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(format!("{name}.txt"));
        if std::env::var_os("UPDATE_VECTORS").is_some() && !path.exists() {
            let mut text = format!("# Inputs of the fuzz target `{name}`, one per line.\n");
            for input in inputs {
                writeln!(text, "{}", hex::encode(input)).expect("a string takes everything");
            }
            std::fs::write(&path, text).expect("the corpus directory is writable");
        }
        assert!(path.exists(), "{name} has no corpus");
    }
}
