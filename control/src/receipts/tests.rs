//! Whatever is changed in a file of receipts is found, and where.

use proptest::prelude::*;

use super::*;

fn receipt(at: u64, happened: Happened) -> Receipt {
    Receipt {
        session: SessionId::from_bytes([7; 16]),
        group: GroupId::new("demo").expect("a legal id"),
        at,
        matter: Matter::View,
        happened,
        agent: Some(("ann".into(), "Ann Ahlberg".into())),
        shown: Some(("They see this page.".into(), Some("https://shop.example/terms".into()))),
        policy_version: 3,
    }
}

fn file(signer: &Signer) -> Value {
    file_of(signer, Some(4))
}

/// Three receipts of as many as `wanted`.
fn file_of(signer: &Signer, wanted: Option<u64>) -> Value {
    let happened = [Happened::Answered(Answer::Declined), Happened::Answered(Answer::Accepted), Happened::Paused];
    let mut records: Vec<Record> = Vec::new();
    for happened in happened {
        let before = records.last().map(|record| record["hash"].as_str().expect("a hash").to_owned());
        let number = records.len() as u64 + 1;
        records.push(chained(receipt(1_800_000_000 + number, happened).record(), number, before.as_deref()));
    }
    let Receipt { session, group, at, .. } = receipt(1_800_000_100, Happened::Over);
    let closing = Closing { session, group, at, code: Some("E_ENDED"), wanted };
    let before = records[2]["hash"].as_str().expect("a hash").to_owned();
    let closing = chained(closing.record(3), 4, Some(&before));
    let signature = signer.sign(closing["hash"].as_str().expect("a hash"));
    records.push(closing);
    let texts = ["They see this page.".to_owned(), "Shown to nobody.".to_owned()];
    let file = signer.file(&session, "demo", (records, Some(signature)), texts);
    serde_json::to_value(file).expect("plain data")
}

fn judged(file: &Value) -> Result<Verified, Fault> {
    verify(file.to_string().as_bytes(), None)
}

fn a_signer() -> Signer {
    Signer::open(None).expect("a key of this process")
}

#[test]
fn an_untouched_file_is_good_and_says_whose_it_is() {
    // R045 R116 R138
    let signer = a_signer();
    let file = file(&signer);
    let Ok(Verified { session, receipts, lost, key }) = judged(&file) else { panic!("a good file is refused") };
    assert_eq!((session, receipts, lost), ("07".repeat(16), 3, Some(1)));
    assert!(verify(file.to_string().as_bytes(), Some(&key)).is_ok());
    assert_eq!(verify(file.to_string().as_bytes(), Some(&a_signer().public())), Err(Fault::Key));
    assert_eq!(file["texts"].as_object().map(serde_json::Map::len), Some(1), "only what was shown is in the file");
    assert!(!file.to_string().contains("\"ann\""), "an agent's id is told as its hash");
}

#[test]
fn what_nobody_knows_is_not_called_none() {
    // R045
    let lost = |wanted| judged(&file_of(&a_signer(), wanted)).map(|verified| verified.lost);
    assert_eq!((lost(Some(3)), lost(None)), (Ok(Some(0)), Ok(None)));
}

#[test]
fn a_cut_is_found() {
    let file = file(&a_signer());
    let without = |from: usize, to: usize| {
        let mut cut = file.clone();
        cut["records"].as_array_mut().expect("a list").drain(from..to);
        judged(&cut)
    };
    assert_eq!(without(3, 4), Err(Fault::Open), "the end");
    assert_eq!(without(2, 4), Err(Fault::Open), "more of the end");
    assert!(
        matches!(without(0, 4), Err(Fault::Text(_))),
        "everything but the words, which nobody is said to have seen"
    );
    let follows = "it does not follow the receipt before it";
    assert_eq!(without(1, 2), Err(Fault::Record { record: 2, what: follows }), "the middle");
    assert_eq!(without(0, 1), Err(Fault::Record { record: 1, what: follows }), "the beginning");
    let mut swapped = file.clone();
    swapped["records"].as_array_mut().expect("a list").swap(0, 1);
    assert_eq!(judged(&swapped), Err(Fault::Record { record: 1, what: follows }));
    let mut twice = file.clone();
    let last = twice["records"][3].clone();
    twice["records"].as_array_mut().expect("a list").push(last);
    assert_eq!(judged(&twice), Err(Fault::Record { record: 4, what: "the chain was closed before its end" }));
    let mut unsigned = file;
    unsigned.as_object_mut().expect("a map").remove("signature");
    assert_eq!(judged(&unsigned), Err(Fault::Open));
}

/// Somebody who knows the form makes every hash anew after a change: only the signature is left to tell.
#[test]
fn a_chain_that_is_forged_anew_lacks_the_key() {
    let signer = a_signer();
    let mut forged = file(&signer);
    let mut records: Vec<Record> = serde_json::from_value(forged["records"].clone()).expect("records");
    records[0].insert("happened".into(), json!("accepted"));
    let mut before: Option<String> = None;
    for (at, record) in records.iter_mut().enumerate() {
        record.remove("hash");
        *record = chained(std::mem::take(record), at as u64 + 1, before.as_deref());
        before = record["hash"].as_str().map(str::to_owned);
    }
    let end = before.expect("records");
    forged["records"] = serde_json::to_value(records).expect("plain data");
    assert_eq!(judged(&forged), Err(Fault::Signature));
    let other = a_signer();
    forged["signature"] = json!(other.sign(&end));
    assert_eq!(judged(&forged), Err(Fault::Signature));
    forged["key"] = json!(other.public());
    let whose = verify(forged.to_string().as_bytes(), Some(&signer.public()));
    assert_eq!(whose, Err(Fault::Key), "a key of one's own is found by whoever knows the node's");
}

/// Every place in a document: the way to each member of each object and list.
fn places(value: &Value, way: &str, to: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| {
            let name = name.replace('~', "~0").replace('/', "~1");
            places(value, &format!("{way}/{name}"), to);
        }),
        Value::Array(list) => list.iter().enumerate().for_each(|(at, value)| places(value, &format!("{way}/{at}"), to)),
        _ => to.push(way.to_owned()),
    }
}

proptest! {
    /// Each field of the file, the header's and every receipt's, changed in any way, is found.
    #[test]
    fn every_change_of_a_field_is_found(pick in any::<prop::sample::Index>(), text in ".{0,12}", number in any::<u32>(), kind in 0..4) {
        let whole = file(&a_signer());
        let mut all = Vec::new();
        places(&whole, "", &mut all);
        let place = pick.get(&all);
        let mut changed = whole.clone();
        let field = changed.pointer_mut(place).expect("a place of this document");
        let new = match kind {
            0 => json!(text),
            1 => json!(number),
            2 => Value::Null,
            _ => field.as_str().map_or(json!(true), |old| json!(format!("{old}{text}"))),
        };
        prop_assume!(*field != new);
        *field = new;
        prop_assert!(judged(&changed).is_err(), "{place}");
    }

    /// So is every byte of the text of a file, except where JSON does not care.
    #[test]
    fn every_change_of_a_byte_is_found(pick in any::<prop::sample::Index>(), byte in 0x21_u8..0x7f) {
        let whole = file(&a_signer());
        let mut bytes = whole.to_string().into_bytes();
        let at = pick.index(bytes.len());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        let same = serde_json::from_slice::<Value>(&bytes).is_ok_and(|value| value == whole);
        prop_assert!(same || verify(&bytes, None).is_err());
    }
}

#[test]
fn what_a_store_refuses_stays_first_in_the_line_and_is_written_later() {
    // R045
    let book = Book::open(None).expect("a key of this process");
    let store = rusqlite::Connection::open_in_memory().expect("memory");
    let Receipt { session, group, at, .. } = receipt(9, Happened::Over);
    for (at, happened) in [(1, Happened::Answered(Answer::Accepted)), (2, Happened::Paused), (3, Happened::Over)] {
        assert!(book.enter(Entry::Receipt(receipt(at, happened))));
        assert!(book.write(&store).is_err() && book.has_any(), "no table, as on a disk that is full");
    }
    assert!(book.enter(Entry::Closing(Closing { session, group, at, code: Some("E_ENDED"), wanted: Some(3) })));
    // One of them is refused whatever the store's state is.
    let tables = "CREATE TABLE receipts (session TEXT, seq INTEGER, record TEXT, hash TEXT, signature TEXT);
        CREATE TRIGGER never BEFORE INSERT ON receipts WHEN instr(NEW.record, '\"at\":2,') > 0
            BEGIN SELECT RAISE(ABORT, 'never'); END;";
    store.execute_batch(tables).expect("a table");
    assert_eq!(book.write(&store), Ok(1), "it holds up nobody else");
    assert!(!book.has_any());
    let (records, signature) = crate::store::receipts::receipts(&store, &session.to_string()).expect("readable");
    let told: Vec<_> = records.iter().map(|record| (record["at"].clone(), record["happened"].clone())).collect();
    let wanted = [(1, "accepted"), (3, "over"), (9, "closed")].map(|(at, happened)| (json!(at), json!(happened)));
    assert_eq!(told, wanted);
    assert_eq!((&records[2]["kept"], &records[2]["lost"], signature.is_some()), (&json!(2), &json!(1), true));
}
