//! G-51: what guessing a key costs and teaches.

use super::*;
use crate::control::testing::an_instant;

fn group(name: &str) -> GroupId {
    GroupId::new(name).expect("a legal id")
}

fn guesser(group_name: &str, agent: &str) -> Guesser {
    Guesser { group: group(group_name), agent: agent.into() }
}

fn session(n: u8) -> SessionId {
    SessionId::from_bytes([n; 16])
}

fn code(result: Result<SessionId, Denied>) -> Code {
    result.expect_err("a refusal").refusal.code
}

#[test]
fn a_key_is_nine_digits_and_good_for_one_exchange() {
    let (keys, now) = (Keys::new(), an_instant());
    let key = keys.make(session(1), group("demo"), now).expect("a first key");
    assert!(key.len() == KEY_DIGITS && key.bytes().all(|b| b.is_ascii_digit()), "{key}");
    let spoken = format!("{} {}-{}", &key[..3], &key[3..6], &key[6..]);
    let ann = guesser("demo", "ann");
    assert_eq!(keys.exchange(&ann, &spoken, now).expect("the right key"), session(1));
    assert_eq!(code(keys.exchange(&ann, &key, now)), Code::Key);
}

#[test]
fn wrong_expired_used_and_foreign_meet_the_same_answer() {
    let (keys, start) = (Keys::new(), an_instant());
    let make = |now| keys.make(session(1), group("demo"), now).expect("a key");
    let (expired, used, foreign) = (make(start), make(start), make(start + KEY_LIFE / 2));
    keys.exchange(&guesser("demo", "user"), &used, start).expect("its first use");
    let now = start + KEY_LIFE;
    let refusals = [
        keys.exchange(&guesser("demo", "a"), "not a key", now),
        keys.exchange(&guesser("demo", "b"), "000000000", now),
        keys.exchange(&guesser("demo", "c"), &expired, now),
        keys.exchange(&guesser("demo", "d"), &used, now),
        keys.exchange(&guesser("other", "e"), &foreign, now),
        keys.exchange(&guesser("demo", "f"), "", now),
    ];
    for refusal in refusals {
        let denied = refusal.expect_err("none of them is good");
        assert_eq!((denied.refusal, denied.retry_after), (Refusal::new(Code::Key, "G-51"), None));
    }
    let mine = keys.exchange(&guesser("demo", "g"), &foreign, now);
    assert_eq!(mine.expect("a foreign guess does not use a key up"), session(1));
}

#[test]
fn an_agent_has_five_wrong_tries_a_minute_with_growing_pauses() {
    let (keys, start) = (Keys::new(), an_instant());
    let key = keys.make(session(1), group("demo"), start).expect("a key");
    let ann = guesser("demo", "ann");
    let mut now = start;
    for pause in [0, 1, 2, 4] {
        assert_eq!(code(keys.exchange(&ann, "123", now)), Code::Key);
        if pause > 0 {
            let early = keys.exchange(&ann, &key, now).expect_err("even the right key has to wait");
            assert_eq!((early.refusal.code, early.retry_after), (Code::Rate, Some(Duration::from_secs(pause))));
        }
        now += Duration::from_secs(pause);
    }
    assert_eq!(code(keys.exchange(&ann, "123", now)), Code::Key);
    now += Duration::from_secs(8);
    assert_eq!(code(keys.exchange(&ann, &key, now)), Code::Rate, "the sixth within the minute");
    assert!(keys.exchange(&guesser("demo", "ben"), &key, now).is_ok(), "another agent is not hindered");
}

#[test]
fn a_success_buys_no_new_guesses() {
    let (keys, now) = (Keys::new(), an_instant());
    let ann = guesser("demo", "ann");
    for _ in 0..KEY_TRIES_PER_AGENT {
        assert_eq!(code(keys.exchange(&ann, "123", now)), Code::Key);
        let key = keys.make(session(1), group("demo"), now).expect("a key");
        // A success, or a refusal because of the pause: neither may refill the budget.
        drop(keys.exchange(&ann, &key, now));
        keys.forget(&session(1));
    }
    assert_eq!(code(keys.exchange(&ann, "123", now)), Code::Rate);
}

#[test]
fn the_chance_to_guess_a_key_in_an_hour_is_below_one_in_ten_thousand() {
    let (keys, start) = (Keys::new(), an_instant());
    let mut looked_up = 0;
    // A hundred captured accounts of one group, guessing every second for an hour.
    for second in 0..3_600_u64 {
        let now = start + Duration::from_secs(second);
        for n in 0..100 {
            let thief = guesser("demo", &n.to_string());
            looked_up += u32::from(code(keys.exchange(&thief, "123", now)) == Code::Key);
        }
    }
    assert_eq!(looked_up, KEY_TRIES_PER_GROUP_HOUR);
    assert_eq!(code(keys.exchange(&guesser("demo", "fresh"), "1", start + Duration::from_secs(1_800))), Code::Rate);
    assert_eq!(code(keys.exchange(&guesser("other", "fresh"), "1", start)), Code::Key, "other groups are not hindered");
    let miss = 1.0 - 200.0 / f64::from(SPACE);
    let hit = 1.0 - miss.powi(i32::try_from(looked_up).expect("a small number"));
    assert!(hit <= 1e-4, "200 open keys are hit with {hit:e}");
}

#[test]
fn a_session_has_few_open_keys_and_they_go_with_it() {
    let (keys, now) = (Keys::new(), an_instant());
    let made: Vec<_> = (0..KEYS_PER_SESSION_MAX).map(|_| keys.make(session(1), group("demo"), now)).collect();
    let one_more = keys.make(session(1), group("demo"), now).expect_err("one too many");
    assert_eq!(one_more.code, Code::Rate);
    keys.forget(&session(1));
    for (n, key) in made.into_iter().enumerate() {
        let result = keys.exchange(&guesser("demo", &n.to_string()), &key.expect("was made"), now);
        assert_eq!(code(result), Code::Key);
    }
    assert!(keys.make(session(1), group("demo"), now).is_ok());
}

#[test]
fn expired_keys_leave_the_memory() {
    let (keys, start) = (Keys::new(), an_instant());
    for n in 0..100 {
        keys.make(session(n), group("demo"), start).expect("room");
    }
    keys.make(session(200), group("demo"), start + KEY_LIFE).expect("room");
    let state = locked(&keys.state);
    assert_eq!((state.open.len(), state.order.len(), state.per_session.len()), (1, 1, 1));
}
