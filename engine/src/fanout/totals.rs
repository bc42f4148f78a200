//! What a session's media has counted.

use fanlight_wire::report::{Drop, ShardTotals};

/// Counted since the session began, in datagrams where not said otherwise.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct MediaTotals {
    pub packets_in: u64,
    pub bytes_in: u64,
    pub packets_out: u64,
    pub bytes_out: u64,
    /// RTP packets dropped, by [`Drop::ALL`].
    pub drops: [u64; Drop::ALL.len()],
    /// Wishes of subscribers, and requests to publishers.
    pub keyframe_requests_in: u64,
    pub keyframe_requests_out: u64,
    /// Packets handed to mirrors, those of them that did not get there, and those taken in as a mirror.
    pub mirrored_out: u64,
    pub mirrored_lost: u64,
    pub mirrored_in: u64,
    /// Handshakes that chose an AES-GCM profile for SRTP, and those that chose another.
    pub srtp_gcm: u64,
    pub srtp_other: u64,
}

impl MediaTotals {
    pub(super) fn drop(&mut self, reason: Drop, packets: u64) {
        if let Some(count) = self.drops.get_mut(reason as usize) {
            *count += packets;
        }
    }

    pub(super) const fn sent(&mut self, packets: u64, bytes: u64) {
        self.packets_out += packets;
        self.bytes_out += bytes;
    }

    pub(super) fn add_to(&self, to: &mut ShardTotals) {
        to.packets_in += self.packets_in;
        to.bytes_in += self.bytes_in;
        to.packets_out += self.packets_out;
        to.bytes_out += self.bytes_out;
        to.keyframe_requests_in += self.keyframe_requests_in;
        to.keyframe_requests_out += self.keyframe_requests_out;
        to.mirrored_out += self.mirrored_out;
        to.mirrored_lost += self.mirrored_lost;
        to.mirrored_in += self.mirrored_in;
        to.srtp_gcm += self.srtp_gcm;
        to.srtp_other += self.srtp_other;
        to.drops.iter_mut().zip(self.drops).for_each(|(to, from)| *to += from);
    }
}
