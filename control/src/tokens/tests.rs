//! G-50: forged, altered, late and repeated tickets. A ticket that is accepted here although it was not minted as it is
//! read would let somebody into a stranger's page.

use fanlight_wire::policy::{Capabilities, Role};
use fanlight_wire::token::{ClientKind, MEDIA_TYPE, TICKET_TYPE};
use fanlight_wire::{GroupId, SessionId};
use proptest::prelude::*;

use super::*;
use crate::control::testing::an_instant;

const NOW: u64 = 1_800_000_000;

fn tokens() -> Tokens {
    Tokens::open(None).expect("a key in memory")
}

fn claims() -> Claims {
    Claims {
        iss: ISSUER.into(),
        aud: AUDIENCE.into(),
        exp: NOW + TICKET_LIFE.as_secs(),
        iat: NOW,
        jti: "a-ticket".into(),
        sub: "ann".into(),
        group: GroupId::new("demo").expect("a legal id"),
        session: SessionId::from_bytes([7; 16]),
        epoch: 1,
        role: Role::Agent,
        capabilities: Role::Agent.ceiling(),
        name: "Ann Ahlberg".into(),
        client_kind: ClientKind::Web,
    }
}

/// A ticket of ours with other claims, signed with the right key.
fn signed(tokens: &Tokens, change: impl FnOnce(&mut serde_json::Value)) -> String {
    let mut value = serde_json::to_value(claims()).expect("plain data");
    change(&mut value);
    tokens.ring().sign(Kind::Join, value.to_string().as_bytes())
}

/// The first segment of a ticket.
fn first_segment(tokens: &Tokens) -> String {
    tokens.mint(claims()).split('.').next().expect("a segment").to_owned()
}

fn header_of(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().expect("a segment")).expect("base64url");
    String::from_utf8(header).expect("text")
}

#[test]
fn a_minted_ticket_reads_back() {
    let tokens = tokens();
    let ticket = tokens.mint(claims());
    assert_eq!(tokens.verify(&ticket, NOW), Ok(claims()));
    assert!(header_of(&ticket).contains(TICKET_TYPE), "RFC 8725 §3.11");
    assert!(ticket.len() < TICKET_BYTES_MAX);
}

#[test]
fn capabilities_end_at_the_roles_ceiling() {
    let tokens = tokens();
    let all = Capabilities::from_bits(u32::MAX);
    let minted = tokens.mint(Claims { capabilities: all, ..claims() });
    let forged = signed(&tokens, |value| value["capabilities"] = u32::MAX.into());
    for ticket in [minted, forged] {
        let read = tokens.verify(&ticket, NOW).expect("ours");
        assert_eq!(read.capabilities, Role::Agent.ceiling());
        assert!(!read.capabilities.contains(Capabilities::CONTROL_GRANT));
    }
}

#[test]
fn a_media_token_is_no_ticket_and_a_ticket_is_no_media_token() {
    // G-50; RFC 8725 §3.11
    let tokens = tokens();
    let day = MEDIA_TOKEN_LIFE_MAX.as_secs();
    let media = tokens.mint_media(Claims { exp: NOW + day, ..claims() });
    let ticket = tokens.mint(claims());
    assert!(header_of(&media).contains(MEDIA_TYPE));
    assert!(tokens.verify(&media, NOW).is_err() && tokens.verify_media(&ticket, NOW).is_err());
    for _ in 0..3 {
        assert!(tokens.verify_media(&media, NOW + day).is_ok(), "it may be shown again and again");
    }
    assert!(tokens.verify_media(&media, NOW + day + TICKET_LEEWAY.as_secs() + 1).is_err());
    let long = tokens.mint_media(Claims { exp: NOW + day + 1, ..claims() });
    assert!(tokens.verify_media(&long, NOW).is_err(), "nothing lives longer than a day");
}

#[test]
fn time_is_obeyed_within_the_leeway() {
    // P14
    let tokens = tokens();
    let ticket = tokens.mint(claims());
    let (life, leeway) = (TICKET_LIFE.as_secs(), TICKET_LEEWAY.as_secs());
    assert!(tokens.verify(&ticket, NOW - leeway).is_ok());
    assert!(tokens.verify(&ticket, NOW - leeway - 1).is_err());
    assert!(tokens.verify(&ticket, NOW + life + leeway).is_ok());
    assert!(tokens.verify(&ticket, NOW + life + leeway + 1).is_err());
    assert!(tokens.verify(&ticket, 0).is_err());
    assert!(tokens.verify(&ticket, u64::MAX).is_err());
}

#[test]
fn a_ticket_admits_once() {
    let tokens = tokens();
    let mut now = an_instant();
    assert_eq!(tokens.spend("one", now), Ok(()));
    assert_eq!(tokens.spend("two", now + GENERATION / 2), Ok(()));
    // Each stays spent for as long as it could be shown again.
    for _ in 0..4 {
        assert!(tokens.spend("one", now).is_err());
        assert!(tokens.spend("two", now).is_err());
        now += GENERATION / 4;
    }
    now += GENERATION * 3;
    assert_eq!(tokens.spend("three", now), Ok(()));
    let spent = locked(&tokens.spent);
    assert_eq!(spent.newer.len() + spent.older.len(), 1, "old generations are forgotten");
}

#[test]
fn what_is_remembered_is_bounded() {
    let tokens = tokens();
    let now = an_instant();
    for n in 0..TICKETS_SPENT_MAX {
        tokens.spend(&n.to_string(), now).expect("room");
    }
    assert_eq!(tokens.spend("more", now).map_err(|refusal| refusal.code), Err(Code::Overload));
}

#[test]
fn another_header_is_never_accepted_even_with_our_signature() {
    let tokens = tokens();
    let payload = serde_json::to_vec(&claims()).expect("plain data");
    let headers = [
        r#"{"alg":"none","typ":"fanlight-join+jwt","kid":"KID"}"#,
        r#"{"alg":"HS256","typ":"fanlight-join+jwt","kid":"KID"}"#,
        r#"{"alg":"Ed25519","typ":"fanlight-join+jwt","kid":"KID"}"#,
        r#"{"alg":"EdDSA"}"#,
        r#"{"alg":"EdDSA","typ":"JWT","kid":"KID"}"#,
        r#"{"alg":"EdDSA","typ":"FANLIGHT-JOIN+JWT","kid":"KID"}"#,
        r#"{"typ":"fanlight-join+jwt","alg":"EdDSA","kid":"KID"}"#,
        r#"{"alg":"EdDSA","typ":"fanlight-join+jwt"}"#,
        r#"{"alg":"EdDSA","typ":"fanlight-join+jwt","kid":"0000000000000000"}"#,
        r#"{"alg":"EdDSA","typ":"fanlight-join+jwt","kid":"../../dev/null"}"#,
        r#"{"alg":"EdDSA","typ":"fanlight-join+jwt","kid":"KID","jku":"https://evil.example/keys"}"#,
        r#"{"alg":"EdDSA","typ":"fanlight-join+jwt","kid":"KID","jwk":{}}"#,
        r#"{"alg":"EdDSA","typ":"fanlight-join+jwt","kid":"KID","crit":["exp"]}"#,
        r#"{"alg":"EdDSA","alg":"none","typ":"fanlight-join+jwt","kid":"KID"}"#,
        "",
    ];
    let kid = tokens.ring().name().to_owned();
    let named = headers.iter().map(|header| header.replace("KID", &kid));
    for header in named {
        let ticket = tokens.ring().forge(&URL_SAFE_NO_PAD.encode(&header), &payload);
        assert!(tokens.verify(&ticket, NOW).is_err(), "{header}");
    }
    let own = format!(r#"{{"alg":"EdDSA","typ":"fanlight-join+jwt","kid":"{kid}"}}"#);
    let ticket = tokens.ring().forge(&URL_SAFE_NO_PAD.encode(own), &payload);
    assert!(tokens.verify(&ticket, NOW).is_ok(), "and this is the one");
}

#[test]
fn other_claims_are_never_accepted_even_with_our_signature() {
    let tokens = tokens();
    type Change = fn(&mut serde_json::Value);
    let changes: [Change; 20] = [
        |v| v["aud"] = "fanlight-operator".into(),
        |v| v["aud"] = vec![AUDIENCE].into(),
        |v| v["iss"] = "somebody".into(),
        |v| v["exp"] = (NOW + 60).to_string().into(),
        |v| v["exp"] = (NOW as f64 + 60.0).into(),
        |v| v["exp"] = serde_json::Value::Null,
        |v| v["exp"] = (NOW + 61).into(),
        |v| v["exp"] = u64::MAX.into(),
        |v| v["exp"] = NOW.into(),
        |v| v["iat"] = 0.into(),
        |v| v["iat"] = (-1).into(),
        |v| v["role"] = "admin".into(),
        |v| v["session"] = "7".into(),
        |v| v["group"] = "De mo".into(),
        |v| v["jti"] = "".into(),
        |v| v["jti"] = "x".repeat(65).into(),
        |v| v["sub"] = "".into(),
        |v| v["name"] = "".into(),
        |v| v["name"] = "n".repeat(81).into(),
        |v| v["admin"] = true.into(),
    ];
    for (n, change) in changes.into_iter().enumerate() {
        assert!(tokens.verify(&signed(&tokens, change), NOW).is_err(), "change {n}");
    }
    for claim in ["iss", "aud", "exp", "iat", "jti", "sub", "group", "session", "epoch", "role", "capabilities", "name"]
    {
        let without = signed(&tokens, |value| drop(value.as_object_mut().expect("an object").remove(claim)));
        assert!(tokens.verify(&without, NOW).is_err(), "without {claim}");
        let text = serde_json::to_value(claims()).expect("plain data").to_string();
        let value = serde_json::to_value(claims()).expect("plain data")[claim].to_string();
        let twice = text.replacen('{', &format!("{{\"{claim}\":{value},"), 1);
        assert!(tokens.verify(&tokens.ring().sign(Kind::Join, twice.as_bytes()), NOW).is_err(), "{claim} twice");
    }
}

#[test]
fn a_replaced_keys_tokens_are_good_until_they_expire_and_it_signs_no_more() {
    let tokens = tokens();
    let (day, leeway) = (MEDIA_TOKEN_LIFE_MAX.as_secs(), TICKET_LEEWAY.as_secs());
    let ticket = tokens.mint(claims());
    let media = tokens.mint_media(Claims { exp: NOW + day, ..claims() });
    // Minted by whoever has stolen the key, after its end.
    let stolen = tokens.mint(Claims { iat: NOW + 10, exp: NOW + 70, ..claims() });
    let first = tokens.ring().name().to_owned();
    assert_ne!(tokens.rotate(NOW, false).expect("nothing overlaps"), first);
    assert!(tokens.verify(&ticket, NOW + 60).is_ok() && tokens.verify_media(&media, NOW + day).is_ok());
    assert!(tokens.verify(&stolen, NOW + 20).is_err());
    assert!(tokens.verify(&tokens.mint(claims()), NOW).is_ok(), "the new key");
    let early = tokens.rotate(NOW + day, false).expect_err("a third key");
    assert_eq!(early.code, Code::Busy);
    tokens.rotate(NOW + day + leeway, false).expect("the first key's last token has expired");
    assert!(tokens.verify_media(&media, NOW + day).is_err(), "two keys and no more");
    let last = tokens.mint_media(claims());
    tokens.rotate(NOW + day + leeway, true).expect("somebody else has it");
    assert!(tokens.verify_media(&last, NOW).is_err());
}

#[test]
fn both_keys_outlive_a_restart() {
    let folder = std::env::temp_dir().join(format!("fanlight-ring-{}", crate::secrets::opaque()));
    let path = folder.join("ticket.key");
    let open = || Tokens::open(Some(&path)).expect("a folder that can be written");
    let tokens = open();
    let before = tokens.mint(claims());
    tokens.rotate(NOW, false).expect("nothing overlaps");
    let after = tokens.mint(claims());
    let again = open();
    let read = (again.verify(&before, NOW).is_ok(), again.verify(&after, NOW).is_ok());
    let busy = again.rotate(NOW + 1, false).map_err(|refusal| refusal.code);
    again.rotate(NOW + 1, true).expect("forgotten");
    let third = open();
    let forgotten = (third.verify(&before, NOW).is_err(), third.verify(&after, NOW).is_err());
    std::fs::remove_dir_all(&folder).expect("ours to remove");
    assert_eq!((read, busy, forgotten), ((true, true), Err(Code::Busy), (true, true)));
}

#[test]
fn another_key_is_never_accepted() {
    let ticket = tokens().mint(claims());
    assert!(tokens().verify(&ticket, NOW).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    // G-50: none of ten thousand altered tickets is accepted. One key serves all cases; making one is the slow part.
    #[test]
    fn an_altered_ticket_is_never_accepted(
        at in any::<proptest::sample::Index>(),
        how in 0_u8..6,
        byte in any::<u8>(),
        bit in 0_u8..7,
    ) {
        static TOKENS: std::sync::LazyLock<Tokens> = std::sync::LazyLock::new(tokens);
        let ticket = TOKENS.mint(claims());
        let mut bytes = ticket.clone().into_bytes();
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] ^= 1 << bit,
            1 => bytes[at] = byte,
            2 => drop(bytes.remove(at)),
            3 => bytes.insert(at, byte),
            4 => bytes.truncate(at),
            _ => { let other = byte as usize % bytes.len(); bytes.swap(at, other); }
        }
        let altered = String::from_utf8_lossy(&bytes).into_owned();
        prop_assume!(altered != ticket);
        prop_assert!(TOKENS.verify(&altered, NOW).is_err());
    }

    #[test]
    fn anything_at_all_is_refused_without_a_panic(text in ".{0,400}", unix in any::<u64>()) {
        static TOKENS: std::sync::LazyLock<Tokens> = std::sync::LazyLock::new(tokens);
        prop_assert!(TOKENS.verify(&text, unix).is_err());
        let headed = format!("{}.{text}", first_segment(&TOKENS));
        prop_assert!(TOKENS.verify(&headed, unix).is_err());
    }
}
