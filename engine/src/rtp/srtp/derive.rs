//! Session keys from a master key: AES in counter mode over labels (RFC 3711 §4.3; for AES-GCM, RFC 7714 §11).
//!
//! The key derivation rate is always zero: DTLS-SRTP never signals another (RFC 5764 §4.1.2).

use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

/// What a derived key is for. The value is RFC 3711's label (§4.3.1 and §4.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// The labels of one kind of packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Labels {
    pub(super) encryption: Label,
    pub(super) authentication: Label,
    pub(super) salt: Label,
}

pub(super) const RTP: Labels =
    Labels { encryption: Label::RtpEncryption, authentication: Label::RtpAuthentication, salt: Label::RtpSalt };
pub(super) const RTCP: Labels =
    Labels { encryption: Label::RtcpEncryption, authentication: Label::RtcpAuthentication, salt: Label::RtcpSalt };

/// Byte of the 112-bit salt with which a label is combined: six bytes of index follow it.
const LABEL_AT: usize = 7;

/// Fills `out` with the key for `label`. `None` when a length fits no profile.
pub(super) fn derive(key: &[u8], salt: &[u8], label: Label, out: &mut [u8]) -> Option<()> {
    let algorithm = match key.len() {
        16 => &AES_128,
        32 => &AES_256,
        _ => return None,
    };
    // A 96-bit salt is used as if 16 zero bits followed it (RFC 7714 §11); the counter's last 16 bits begin at zero.
    let mut counter = [0; 16];
    counter.get_mut(..salt.len().min(14))?.copy_from_slice(salt.get(..salt.len().min(14))?);
    *counter.get_mut(LABEL_AT)? ^= label as u8;
    let key = EncryptingKey::ctr(UnboundCipherKey::new(algorithm, key).ok()?).ok()?;
    out.fill(0);
    key.less_safe_encrypt(out, EncryptionContext::Iv128(FixedLength::from(counter))).ok()?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3711 §B.3.
    #[test]
    fn session_keys_of_rfc_3711() {
        let key = hex::decode("E1F97A0D3E018BE0D64FA32C06DE4139").unwrap();
        let salt = hex::decode("0EC675AD498AFEEBB6960B3AABE6").unwrap();
        let (mut cipher, mut auth, mut session_salt) = ([0; 16], [0; 94], [0; 14]);
        derive(&key, &salt, Label::RtpEncryption, &mut cipher).unwrap();
        derive(&key, &salt, Label::RtpAuthentication, &mut auth).unwrap();
        derive(&key, &salt, Label::RtpSalt, &mut session_salt).unwrap();
        assert_eq!(hex::encode_upper(cipher), "C61E7A93744F39EE10734AFE3FF7A087");
        assert_eq!(hex::encode_upper(session_salt), "30CBBC08863D8C85D49DB34A9AE1");
        let expected = concat!(
            "CEBE321F6FF7716B6FD4AB49AF256A15",
            "6D38BAA48F0A0ACF3C34E2359E6CDBCE",
            "E049646C43D9327AD175578EF7227098",
            "6371C10C9A369AC2F94A8C5FBCDDDC25",
            "6D6E919A48B610EF17C2041E47403576",
            "6B68642C59BBFC2F34DB60DBDFB2",
        );
        assert_eq!(hex::encode_upper(auth), expected);
    }

    #[test]
    fn lengths_of_no_profile_are_refused() {
        assert!(derive(&[0; 24], &[0; 14], Label::RtpSalt, &mut [0; 14]).is_none());
        assert!(derive(&[], &[], Label::RtpSalt, &mut [0; 14]).is_none());
    }
}
