//! Values of the configuration file that carry their unit: `"2s"`, `"256KiB"`, `"127.0.0.1:7700"` or `"off"`.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time, written with its unit: `ms`, `s`, `m` or `h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// A number of bytes, written with its unit: `B`, `KiB`, `MiB` or `GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// An address to listen on, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen(pub Option<SocketAddr>);

/// The text is not a value of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct ValueError {
    text: String,
    expected: &'static str,
}

const SPAN_UNITS: [(&str, u64); 4] = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
const SIZE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl FromStr for Span {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let expected = "a whole number with the unit ms, s, m or h, for example \"2s\"";
        number_with_unit(text, &SPAN_UNITS, expected).map(|ms| Self(Duration::from_millis(ms)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        if ms.is_multiple_of(1_000) { write!(f, "{}s", ms / 1_000) } else { write!(f, "{ms}ms") }
    }
}

impl FromStr for Size {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let expected = "a whole number with the unit B, KiB, MiB or GiB, for example \"256KiB\"";
        number_with_unit(text, &SIZE_UNITS, expected).map(Self)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, unit): &&(&str, u64)| self.0 > 0 && self.0.is_multiple_of(*unit);
        let (name, unit) = SIZE_UNITS.iter().find(whole).unwrap_or(&("B", 1));
        write!(f, "{}{name}", self.0 / unit)
    }
}

impl FromStr for Listen {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text == "off" {
            return Ok(Self(None));
        }
        let wrong = |_| ValueError { text: text.into(), expected: "an address with a port, or \"off\"" };
        text.parse().map(|address| Self(Some(address))).map_err(wrong)
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("off"),
        }
    }
}

fn number_with_unit(text: &str, units: &[(&str, u64)], expected: &'static str) -> Result<u64, ValueError> {
    let wrong = || ValueError { text: text.into(), expected };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    number.checked_mul(*factor).ok_or_else(wrong)
}

macro_rules! as_text {
    ($($name:ident)+) => {
        $(
            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
                }
            }

            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(self)
                }
            }
        )+
    };
}

as_text!(Span Size Listen);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_reads_back_what_it_prints() {
        for text in ["250ms", "2s", "900s", "0s"] {
            assert_eq!(text.parse::<Span>().map(|v| v.to_string()), Ok(text.to_string()));
        }
        for text in ["1B", "256KiB", "3MiB", "2GiB", "0B", "1025B"] {
            assert_eq!(text.parse::<Size>().map(|v| v.to_string()), Ok(text.to_string()));
        }
        for text in ["off", "127.0.0.1:80", "[::1]:443"] {
            assert_eq!(text.parse::<Listen>().map(|v| v.to_string()), Ok(text.to_string()));
        }
        assert_eq!("2h".parse(), Ok(Span(Duration::from_secs(7_200))));
    }

    #[test]
    fn a_number_without_a_unit_is_refused() {
        for text in ["", "2", "s", "2 s", "-1s", "1.5s", "2sec", "99999999999999999999s", "18446744073709551615h"] {
            assert!(text.parse::<Span>().is_err(), "{text:?}");
        }
        for text in ["64", "64kb", "64K", "18446744073709551615GiB"] {
            assert!(text.parse::<Size>().is_err(), "{text:?}");
        }
        assert!("localhost:80".parse::<Listen>().is_err());
    }
}
