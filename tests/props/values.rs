//! Signals, names of things and claims: the JSON and text that come from outside.

use fanlight_wire::policy::{Capabilities, Mode, Role, Surface};
use fanlight_wire::signal::{ClientInfo, ToClient, ToRelay};
use fanlight_wire::sites::Assurance;
use fanlight_wire::token::{AUDIENCE, Claims, ClientKind, ISSUER};
use fanlight_wire::{GroupId, MaskEpoch, SessionId};
use proptest::array::uniform16;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

fn text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..40).prop_map(|chars| chars.into_iter().collect())
}

fn assurance() -> impl Strategy<Value = Assurance> {
    select(vec![Assurance::None, Assurance::Surface, Assurance::Stated, Assurance::Proved])
}

fn signal() -> impl Strategy<Value = ToRelay> {
    let client = (text(), text(), text()).prop_map(|(os, browser, client)| ClientInfo { os, browser, client });
    prop_oneof![
        (any::<u32>(), option::of(text()), option::of(text()), client)
            .prop_map(|(schema, ticket, resume, client)| ToRelay::Hello { schema, ticket, resume, client }),
        (any::<u32>(), any::<bool>(), option::of(text())).prop_map(|(ask, accept, words)| ToRelay::Consent {
            ask,
            accept,
            words
        }),
        (any::<u32>(), option::of(text())).prop_map(|(grant, words)| ToRelay::ShareAccept { grant, words }),
        any::<u32>().prop_map(|epoch| ToRelay::Mask { epoch: MaskEpoch::new(epoch) }),
        text().prop_map(|sdp| ToRelay::Offer { sdp }),
        (
            text(),
            option::of(select(Surface::ALL.to_vec())),
            option::of(text()),
            option::of(any::<u32>()),
            option::of(text()),
            option::of(assurance()),
        )
            .prop_map(|(mid, surface, audio_mid, grant, url, assurance)| {
                ToRelay::ShareStart { mid, surface, audio_mid, grant, url, assurance }
            }),
        (option::of(text()), assurance()).prop_map(|(url, assurance)| ToRelay::ShareStatement { url, assurance }),
        (text(), option::of(text())).prop_map(|(mid, words)| ToRelay::CameraStart { mid, words }),
        (any::<u32>(), text()).prop_map(|(grant, reason)| ToRelay::ShareDecline { grant, reason }),
        select(Mode::ALL.to_vec()).prop_map(|mode| ToRelay::ModeSet { mode }),
        (0.0..1e15f64).prop_map(|at| ToRelay::Ping { at: at.trunc() }),
    ]
}

/// JSON that looks like a signal: a known tag with fields of any type.
fn near_signal() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    let field = leaf.prop_recursive(4, 16, 4, |inner| vec(inner, 0..4).prop_map(Value::from));
    let names = [
        "schema", "ticket", "resume", "client", "ask", "accept", "epoch", "on", "sdp", "mid", "grant", "mode", "url",
        "words",
    ];
    (select(ToRelay::TAGS.to_vec()), vec((select(names.to_vec()), field), 0..4)).prop_map(|(tag, fields)| {
        let mut object: serde_json::Map<_, _> =
            fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        object.insert("t".into(), tag.into());
        Value::Object(object)
    })
}

proptest! {
    #[test]
    fn a_signal_reads_back(signal in signal()) {
        let frame = signal.to_frame().expect("a small signal");
        prop_assert_eq!(ToRelay::parse(frame.payload()).expect("its own text"), signal);
    }

    #[test]
    fn bytes_of_any_kind_are_a_signal_or_an_error(bytes in vec(any::<u8>(), 0..300)) {
        drop(ToRelay::parse(&bytes));
        drop(ToClient::parse(&bytes));
    }

    #[test]
    fn json_of_any_shape_is_a_signal_or_an_error(value in near_signal()) {
        let tag = value["t"].as_str().map(ToOwned::to_owned);
        if let Ok(signal) = ToRelay::parse(value.to_string().as_bytes()) {
            prop_assert_eq!(Some(signal.tag().to_owned()), tag);
        }
    }

    #[test]
    fn a_session_id_reads_back_and_nothing_else_is_one(bytes in uniform16(any::<u8>()), other in text()) {
        let id = SessionId::from_bytes(bytes);
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        if let Ok(id) = other.parse::<SessionId>() {
            prop_assert_eq!(id.to_string(), other);
        }
    }

    #[test]
    fn a_group_id_is_what_it_was_made_of(text in "[a-z0-9-]{1,64}", other in text()) {
        let group = GroupId::new(text.as_str()).expect("legal");
        prop_assert_eq!(group.as_str(), text.as_str());
        if let Ok(group) = GroupId::new(other.as_str()) {
            prop_assert!(group.as_str().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
        }
    }

    #[test]
    fn claims_read_back_and_unknown_claims_are_refused(
        (exp, iat, epoch, bits) in any::<(u64, u64, u32, u32)>(),
        (jti, sub, name) in (text(), text(), text()),
        session in uniform16(any::<u8>()),
        role in select(Role::ALL.to_vec()),
    ) {
        let claims = Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            exp,
            iat,
            jti,
            sub,
            group: GroupId::new("demo").expect("legal"),
            session: SessionId::from_bytes(session),
            epoch,
            role,
            capabilities: Capabilities::from_bits(bits),
            name,
            client_kind: if bits % 2 == 0 { ClientKind::Web } else { ClientKind::Native },
        };
        let mut json = serde_json::to_value(&claims).expect("plain data");
        prop_assert_eq!(serde_json::from_value::<Claims>(json.clone()).expect("its own text"), claims);
        json["admin"] = true.into();
        prop_assert!(serde_json::from_value::<Claims>(json).is_err());
    }

    #[test]
    fn narrowing_never_adds_a_right(bits: u32, ceiling: u32) {
        let (rights, ceiling) = (Capabilities::from_bits(bits), Capabilities::from_bits(ceiling));
        let narrowed = rights.narrowed_to(ceiling);
        prop_assert!(rights.contains(narrowed) && ceiling.contains(narrowed));
    }
}
