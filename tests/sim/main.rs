//! Whole sessions on virtual time: one engine, simulated participants, lossy links, oracles in every run.

mod adapt;
mod attack;
mod camera;
mod dom;
mod enforce;
mod evaluate;
mod screen;
mod sites;
mod takeover;
mod uplink;
