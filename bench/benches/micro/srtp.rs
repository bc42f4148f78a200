//! Protection and opening of one packet, for each profile.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput};
use fanlight_engine::rtp::header::Header;
use fanlight_engine::rtp::srtp::{Keying, Profile, Protect, Side, Unprotect};

/// A packet of the acceptance figures: payload and header.
const PACKET_BYTES: usize = 1_100;
const HEADER_BYTES: usize = 12;

fn contexts(profile: Profile) -> (Protect, Unprotect) {
    let keying = Keying::new(profile, &vec![7; profile.material_bytes()]).expect("material of the right length");
    let protect = Protect::new(&keying, Side::Server).expect("keys");
    (protect, Unprotect::new(&keying, Side::Server).expect("keys"))
}

/// Writes the header of packet `index`; what follows it is whatever was there before.
fn number(packet: &mut [u8], index: u64) {
    let [high, low] = (index as u16).to_be_bytes();
    packet[..HEADER_BYTES].copy_from_slice(&[0x80, 96, high, low, 0, 0, 0, 1, 0, 0, 0, 2]);
}

pub(super) fn srtp(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("srtp, 1 100 bytes");
    group.throughput(Throughput::Elements(1));
    for profile in [Profile::Aes128Gcm, Profile::Aes256Gcm, Profile::Aes128CmSha1_80] {
        let (mut protect, _) = contexts(profile);
        let mut packet = vec![0; PACKET_BYTES + protect.rtp_overhead()];
        let mut index = 0;
        group.bench_function(format!("protect, {}", profile.name()), |bencher| {
            bencher.iter(|| {
                index += 1;
                number(&mut packet, index);
                protect.rtp(black_box(&mut packet), HEADER_BYTES, index).expect("room");
            });
        });
        // A sender of its own: a receiver follows one from its beginning.
        let (mut protect, mut unprotect) = contexts(profile);
        let mut index = 0;
        let mut next = || {
            index += 1;
            number(&mut packet, index);
            protect.rtp(&mut packet, HEADER_BYTES, index).expect("room");
            packet.clone()
        };
        group.bench_function(format!("unprotect, {}", profile.name()), |bencher| {
            let open = |packet: &mut Vec<u8>| {
                let header = Header::parse(packet).expect("a header");
                unprotect.rtp(black_box(packet), &header).expect("authentic")
            };
            bencher.iter_batched_ref(&mut next, open, BatchSize::SmallInput);
        });
    }
    group.finish();
}
