//! G-51: what guessing a key costs and teaches.

use std::net::Ipv4Addr;

use super::*;
use crate::control::testing::an_instant;

/// Life of a key by the default rules.
const LIFE: Duration = Duration::from_secs(600);
/// 10⁹ keys.
const SPACE: f64 = 1e9;

fn group(name: &str) -> GroupId {
    GroupId::new(name).expect("a legal id")
}

fn guesser(group_name: &str, agent: &str) -> Guesser {
    Guesser { group: group(group_name), agent: agent.into() }
}

fn session(n: u8) -> SessionId {
    SessionId::from_bytes([n; 16])
}

fn at(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n))
}

fn make(keys: &Keys, of: u8, group_name: &str, now: Instant) -> String {
    keys.make(session(of), group(group_name), &KeyRules::default(), now).expect("a key").0
}

/// From an address of the agent's own.
fn exchange(keys: &Keys, who: &Guesser, text: &str, now: Instant) -> Result<SessionId, Denied> {
    let own = who.agent.bytes().fold(7, |sum: u32, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) & 0xff_ffff;
    keys.exchange(who, at(own), text, now, |_| Ok(())).map_err(|missed| missed.denied)
}

fn code(result: Result<SessionId, Denied>) -> Code {
    result.expect_err("a refusal").refusal.code
}

#[test]
fn a_key_is_nine_digits_and_good_for_one_exchange() {
    // R109, R119, R122
    let (keys, now) = (Keys::new(), an_instant());
    let key = make(&keys, 1, "demo", now);
    assert!(key.len() == KEY_DIGITS && key.bytes().all(|b| b.is_ascii_digit()), "{key}");
    let spoken = format!("{} {}-{}", &key[..3], &key[3..6], &key[6..]);
    let ann = guesser("demo", "ann");
    assert_eq!(exchange(&keys, &ann, &spoken, now).expect("the right key"), session(1));
    assert_eq!(code(exchange(&keys, &ann, &key, now)), Code::Key);
}

#[test]
fn digits_life_and_budgets_are_the_groups() {
    let (keys, start) = (Keys::new(), an_instant());
    let rules = KeyRules { digits: 6, minutes: 2, tries_per_agent: 2, tries_per_group_hour: 180 };
    let (key, life) = keys.make(session(1), group("demo"), &rules, start).expect("a key");
    assert_eq!((key.len(), life), (6, Duration::from_secs(120)));
    let ann = guesser("demo", "ann");
    for second in [0, 1] {
        assert_eq!(code(exchange(&keys, &ann, "123", start + Duration::from_secs(second))), Code::Key);
    }
    assert_eq!(
        code(exchange(&keys, &ann, &key, start + Duration::from_secs(60))),
        Code::Rate,
        "two tries, as the group says"
    );
    // Whatever the group says: six digits are guessed at most twenty times an hour.
    let tries = (2..100).filter(|n| {
        let thief = guesser("demo", &n.to_string());
        code(exchange(&keys, &thief, "123", start + Duration::from_secs(61))) == Code::Key
    });
    assert_eq!(tries.count() as u32, KEY_TRIES_SIX_DIGITS_HOUR - 2);
    let (nine, _) = keys.make(session(2), group("new"), &KeyRules::default(), start).expect("a key");
    assert_eq!(nine.len(), KEY_DIGITS);
    assert!(code(exchange(&keys, &guesser("new", "zoe"), &key, start + life)) == Code::Key, "it has expired");
}

#[test]
fn wrong_expired_used_and_foreign_meet_the_same_answer() {
    // R122
    let (keys, start) = (Keys::new(), an_instant());
    let (expired, used, foreign) =
        (make(&keys, 1, "demo", start), make(&keys, 1, "demo", start), make(&keys, 1, "demo", start + LIFE / 2));
    exchange(&keys, &guesser("demo", "user"), &used, start).expect("its first use");
    let now = start + LIFE;
    let refusals = [
        exchange(&keys, &guesser("demo", "a"), "not a key", now),
        exchange(&keys, &guesser("demo", "b"), "000000000", now),
        exchange(&keys, &guesser("demo", "c"), &expired, now),
        exchange(&keys, &guesser("demo", "d"), &used, now),
        exchange(&keys, &guesser("other", "e"), &foreign, now),
        exchange(&keys, &guesser("demo", "f"), "", now),
        exchange(&keys, &guesser("demo", "h"), "ABCDEFGH", now),
    ];
    for refusal in refusals {
        let denied = refusal.expect_err("none of them is good");
        assert_eq!((denied.refusal, denied.retry_after), (Refusal::new(Code::Key, "G-51"), None));
    }
    let mine = exchange(&keys, &guesser("demo", "g"), &foreign, now);
    assert_eq!(mine.expect("a foreign guess does not use a key up"), session(1));
}

#[test]
fn who_is_not_let_in_does_not_use_the_key_up() {
    let (keys, now) = (Keys::new(), an_instant());
    let key = make(&keys, 1, "demo", now);
    let ann = guesser("demo", "ann");
    let busy = keys.exchange(&ann, at(1), &key, now, |_| Err(Refusal::new(Code::Busy, "R143").into()));
    assert_eq!(busy.expect_err("busy").denied.refusal.code, Code::Busy);
    assert!(exchange(&keys, &ann, &key, now).is_ok());
}

#[test]
fn an_agent_has_five_wrong_tries_in_a_quarter_of_an_hour_with_growing_pauses() {
    let (keys, start) = (Keys::new(), an_instant());
    let key = make(&keys, 1, "demo", start);
    let ann = guesser("demo", "ann");
    let mut now = start;
    for pause in [0, 1, 2, 4] {
        assert_eq!(code(exchange(&keys, &ann, "123", now)), Code::Key);
        if pause > 0 {
            let early = exchange(&keys, &ann, &key, now).expect_err("even the right key has to wait");
            assert_eq!((early.refusal.code, early.retry_after), (Code::Rate, Some(Duration::from_secs(pause))));
        }
        now += Duration::from_secs(pause);
    }
    assert_eq!(code(exchange(&keys, &ann, "123", now)), Code::Key);
    let denied = exchange(&keys, &ann, &key, now + Duration::from_secs(60)).expect_err("the sixth");
    assert_eq!((denied.refusal.code, denied.retry_after), (Code::Rate, Some(KEY_TRY_WINDOW - Duration::from_secs(67))));
    assert!(exchange(&keys, &guesser("demo", "ben"), &key, now).is_ok(), "another agent is not hindered");
    let late = make(&keys, 1, "demo", start + KEY_TRY_WINDOW);
    assert!(exchange(&keys, &ann, &late, start + KEY_TRY_WINDOW).is_ok());
}

#[test]
fn a_source_has_twenty_wrong_tries_an_hour_whoever_asks() {
    let (keys, now) = (Keys::new(), an_instant());
    let tries = (0..100).filter(|n| {
        let thief = guesser(&format!("group-{}", n % 3), &n.to_string());
        let missed = keys.exchange(&thief, at(1), "123", now, |_| Ok(())).expect_err("wrong");
        missed.denied.refusal.code == Code::Key
    });
    assert_eq!(tries.count() as u32, KEY_TRIES_PER_SOURCE_HOUR);
    let key = make(&keys, 1, "demo", now);
    assert!(exchange(&keys, &guesser("demo", "ann"), &key, now).is_ok(), "elsewhere nobody is hindered");
}

#[test]
fn a_success_buys_no_new_guesses() {
    let (keys, now) = (Keys::new(), an_instant());
    let ann = guesser("demo", "ann");
    for _ in 0..KEY_TRIES_PER_AGENT {
        assert_eq!(code(exchange(&keys, &ann, "123", now)), Code::Key);
        let key = make(&keys, 1, "demo", now);
        // A success, or a refusal because of the pause: neither may refill the budget.
        drop(exchange(&keys, &ann, &key, now));
        keys.forget(&session(1));
    }
    assert_eq!(code(exchange(&keys, &ann, "123", now)), Code::Rate);
}

#[test]
fn the_chance_to_guess_a_key_in_an_hour_is_below_one_in_ten_thousand() {
    let (keys, start) = (Keys::new(), an_instant());
    let (mut looked_up, mut alarms, mut locked_at) = (0, 0, None);
    // A hundred captured accounts of one group, each at an address of its own, guessing every ten seconds for an hour.
    for second in (0..3_600_u64).step_by(10) {
        let now = start + Duration::from_secs(second);
        for n in 0..100 {
            let thief = guesser("demo", &n.to_string());
            let missed = keys.exchange(&thief, at(n), "123", now, |_| Ok(())).expect_err("wrong");
            looked_up += u32::from(missed.denied.refusal.code == Code::Key);
            alarms += u32::from(missed.stepped_up);
            locked_at = locked_at.or_else(|| missed.stepped_up.then_some((second, looked_up)));
        }
    }
    assert_eq!(looked_up, KEY_TRIES_PER_GROUP_HOUR);
    let (second, tried) = locked_at.expect("an alarm");
    assert_eq!((alarms, tried), (1, KEY_TRIES_PER_GROUP_HOUR), "with the very try that used the budget up");
    let late = start + Duration::from_secs(1_800);
    assert_eq!(code(exchange(&keys, &guesser("demo", "fresh"), "1", late)), Code::Rate);
    assert_eq!(
        code(exchange(&keys, &guesser("other", "fresh"), "1", start)),
        Code::Key,
        "other groups are not hindered"
    );
    let miss = 1.0 - 200.0 / SPACE;
    let hit = 1.0 - miss.powi(i32::try_from(looked_up).expect("a small number"));
    assert!(hit <= 1e-4, "200 open keys are hit with {hit:e}");
    // Longer keys: what the agents' own budgets leave, every account a captured one.
    let tries = 100 * KEY_TRIES_PER_SOURCE_HOUR;
    let longer = 1.0 - (1.0_f64 - 200.0 / 32_f64.powi(KEY_LONG_CHARS as i32)).powi(tries as i32);
    assert!(longer <= 1e-6, "{longer:e}");
    tracing::info!(hit, longer, second, "chance in a group's hour");
}

#[test]
fn a_group_that_is_guessed_at_meets_by_longer_keys() {
    let (keys, start) = (Keys::new(), an_instant());
    let before = make(&keys, 1, "demo", start);
    for n in 0..KEY_TRIES_PER_GROUP_HOUR {
        let thief = guesser("demo", &format!("thief-{n}"));
        keys.exchange(&thief, at(n), "123", start, |_| Ok(())).expect_err("wrong");
    }
    let ann = guesser("demo", "ann");
    assert_eq!(code(exchange(&keys, &ann, &before, start)), Code::Rate, "digits are not looked up any more");
    let long = make(&keys, 1, "demo", start);
    assert!(long.len() == KEY_LONG_CHARS && long.bytes().all(|b| LETTERS.contains(&b)), "{long}");
    assert_eq!(make(&keys, 2, "other", start).len(), KEY_DIGITS, "other groups' are as ever");
    let spoken = format!("{} {}", &long[..4], &long[4..]).to_lowercase().replace('0', "o").replace('1', "l");
    assert_eq!(exchange(&keys, &ann, &spoken, start).expect("as it is read aloud"), session(1));
    let hour = start + HOUR;
    assert_eq!(make(&keys, 1, "demo", hour).len(), KEY_DIGITS, "when the hour is over");
}

#[test]
fn a_session_has_few_open_keys_and_they_go_with_it() {
    let (keys, now) = (Keys::new(), an_instant());
    let made: Vec<_> = (0..KEYS_PER_SESSION_MAX).map(|_| make(&keys, 1, "demo", now)).collect();
    let one_more = keys.make(session(1), group("demo"), &KeyRules::default(), now).expect_err("one too many");
    assert_eq!(one_more.code, Code::Rate);
    keys.forget(&session(1));
    for (n, key) in made.into_iter().enumerate() {
        assert_eq!(code(exchange(&keys, &guesser("demo", &n.to_string()), &key, now)), Code::Key);
    }
    assert_eq!(make(&keys, 1, "demo", now).len(), KEY_DIGITS);
}

#[test]
fn expired_keys_leave_the_memory() {
    let (keys, start) = (Keys::new(), an_instant());
    for n in 0..100 {
        make(&keys, n, "demo", start);
    }
    make(&keys, 200, "demo", start + LIFE);
    let state = locked(&keys.state);
    assert_eq!((state.open.len(), state.order.len(), state.per_session.len()), (1, 1, 1));
}

/// Printed, not judged: a busy machine would make it fail.
#[test]
fn a_wrong_and_a_foreign_key_take_the_same_time() {
    let (keys, now) = (Keys::new(), an_instant());
    let foreign = make(&keys, 1, "other", now);
    let mut times = [Vec::new(), Vec::new()];
    for n in 0..2_000_u32 {
        for (kind, text) in ["000000000", foreign.as_str()].into_iter().enumerate() {
            let who = guesser(&format!("g{n}-{kind}"), "thief");
            let began = an_instant();
            let missed = keys.exchange(&who, at(2 * n + kind as u32), text, now, |_| Ok(()));
            times[kind].push(an_instant() - began);
            assert_eq!(missed.expect_err("neither is good").denied.refusal.code, Code::Key);
        }
    }
    let p99 = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() * 99 / 100]
    });
    eprintln!("p99 of a wrong key {:?}, of a foreign one {:?}", p99[0], p99[1]);
}
