use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error};

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// Units a duration is written in, with their length in nanoseconds. `d` is ours, the others are Go's.
const UNITS: [(&str, u64); 9] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", NANOSECONDS_PER_SECOND),
    ("m", 60 * NANOSECONDS_PER_SECOND),
    ("h", 3_600 * NANOSECONDS_PER_SECOND),
    ("d", 86_400 * NANOSECONDS_PER_SECOND),
];

/// A length of time as the configuration writes it: numbers with units, as in Go's `time.ParseDuration`.
///
/// `10s`, `1m30s`, `1.5h` and `-1s` are durations, `10` is not: nobody could tell its unit. A sign is allowed because
/// zero and less switch some settings off.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct SignedDuration {
    nanoseconds: i64,
}

impl SignedDuration {
    /// The length, if it is greater than zero.
    pub fn positive(self) -> Option<Duration> {
        self.not_negative().filter(|duration| !duration.is_zero())
    }

    /// The length, if it is zero or greater.
    pub fn not_negative(self) -> Option<Duration> {
        u64::try_from(self.nanoseconds).ok().map(Duration::from_nanos)
    }
}

impl FromStr for SignedDuration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let nanoseconds = if unsigned == "0" { 0 } else { parse_terms(text, unsigned)? };
        let signed = if negative { -nanoseconds } else { nanoseconds };
        let nanoseconds =
            i64::try_from(signed).map_err(|_| InvalidDuration::OutOfRange { text: text.to_owned() })?;
        Ok(Self { nanoseconds })
    }
}

impl<'de> Deserialize<'de> for SignedDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Sums `NUMBER UNIT NUMBER UNIT …`, in nanoseconds.
fn parse_terms(text: &str, unsigned: &str) -> Result<i128, InvalidDuration> {
    let not_a_duration = || InvalidDuration::NotADuration { text: text.to_owned() };
    let mut rest = unsigned;
    let mut total = 0_i128;
    if rest.is_empty() {
        return Err(not_a_duration());
    }
    while !rest.is_empty() {
        let number_len = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_len);
        let unit_len = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_len);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(not_a_duration());
        }
        if unit.is_empty() {
            return Err(InvalidDuration::NoUnit { text: text.to_owned() });
        }
        let Some((_, unit_nanoseconds)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(InvalidDuration::UnknownUnit { text: text.to_owned(), unit: unit.to_owned() });
        };
        total = term(whole, fraction, *unit_nanoseconds)
            .and_then(|term| total.checked_add(term))
            .ok_or_else(|| InvalidDuration::OutOfRange { text: text.to_owned() })?;
        rest = after;
    }
    Ok(total)
}

/// `whole.fraction` units in nanoseconds, what is below one nanosecond cut off; none if it cannot be counted.
fn term(whole: &str, fraction: &str, unit_nanoseconds: u64) -> Option<i128> {
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanoseconds = whole.checked_mul(i128::from(unit_nanoseconds))?;
    let mut scale = i128::from(unit_nanoseconds);
    let mut numerator = 0_i128;
    let mut denominator = 1_i128;
    // Nineteen digits reach below a nanosecond of any unit; further ones cannot change the result.
    for digit in fraction.bytes().take(19) {
        numerator = numerator * 10 + i128::from(digit - b'0');
        denominator *= 10;
    }
    scale = scale.checked_mul(numerator)?;
    nanoseconds = nanoseconds.checked_add(scale / denominator)?;
    Some(nanoseconds)
}

/// A text that is not a duration.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidDuration {
    /// No numbers with units.
    #[error(
        "invalid duration {text:?}: expected numbers with units, such as \"10s\", \"1m30s\" or \"500ms\""
    )]
    NotADuration {
        /// The text.
        text: String,
    },
    /// A number without a unit.
    #[error("invalid duration {text:?}: missing unit, write for example \"10s\" for ten seconds")]
    NoUnit {
        /// The text.
        text: String,
    },
    /// A number with a unit that is none.
    #[error("invalid duration {text:?}: unknown unit {unit:?}, expected one of ns, us, ms, s, m, h, d")]
    UnknownUnit {
        /// The text.
        text: String,
        /// What stands where a unit should.
        unit: String,
    },
    /// A length that cannot be counted.
    #[error("invalid duration {text:?}: longer than the 292 years that can be counted")]
    OutOfRange {
        /// The text.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Duration, InvalidDuration> {
        text.parse::<SignedDuration>().map(|duration| duration.not_negative().unwrap())
    }

    #[test]
    fn go_durations_are_read() {
        for (text, expected) in [
            ("10s", Duration::from_secs(10)),
            ("1m30s", Duration::from_secs(90)),
            ("500ms", Duration::from_millis(500)),
            ("1.5h", Duration::from_secs(5_400)),
            ("100us", Duration::from_micros(100)),
            ("100\u{b5}s", Duration::from_micros(100)),
            ("100\u{3bc}s", Duration::from_micros(100)),
            ("1h0m", Duration::from_secs(3_600)),
            ("1h15m30.918s", Duration::from_millis(4_530_918)),
            (".5s", Duration::from_millis(500)),
            ("1.s", Duration::from_secs(1)),
            ("+5s", Duration::from_secs(5)),
            ("0", Duration::ZERO),
            ("0s", Duration::ZERO),
            ("7ns", Duration::from_nanos(7)),
            ("0.3333333333333333333h", Duration::from_secs(1_200) - Duration::from_nanos(1)),
            ("9223372036854775807ns", Duration::from_nanos(i64::MAX as u64)),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn day_is_a_unit() {
        assert_eq!(parse("1d"), Ok(Duration::from_secs(86_400)));
        assert_eq!(parse("1d12h"), Ok(Duration::from_secs(129_600)));
    }

    #[test]
    fn duration_below_zero_is_neither_positive_nor_zero() {
        let duration: SignedDuration = "-1m30s".parse().unwrap();
        assert_eq!(duration.not_negative(), None);
        assert_eq!(duration.positive(), None);
        assert_eq!("0s".parse::<SignedDuration>().unwrap().positive(), None);
    }

    #[test]
    fn bare_number_is_refused_because_its_unit_is_unknown() {
        for text in ["10", "1.5", "1m30", "-7"] {
            assert_eq!(parse(text), Err(InvalidDuration::NoUnit { text: text.to_owned() }), "{text}");
        }
    }

    #[test]
    fn text_that_is_no_duration_is_refused() {
        for text in ["", "-", "s", ".s", "1..5s", "ten seconds", " 10s"] {
            assert_eq!(parse(text), Err(InvalidDuration::NotADuration { text: text.to_owned() }), "{text}");
        }
        for (text, unit) in [("10 s", " s"), ("10sec", "sec"), ("1H", "H"), ("2w", "w")] {
            let expected = InvalidDuration::UnknownUnit { text: text.to_owned(), unit: unit.to_owned() };
            assert_eq!(parse(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn duration_that_cannot_be_counted_is_refused() {
        for text in ["9223372036854775808ns", "999999999999999999999999999999999999999999h", "300000d"] {
            assert_eq!(parse(text), Err(InvalidDuration::OutOfRange { text: text.to_owned() }), "{text}");
        }
    }
}
