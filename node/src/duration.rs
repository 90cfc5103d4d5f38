//! Durations as Vault's API writes them: Go's syntax, or a bare number of seconds.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;

const NANOSECONDS_PER_SECOND: i64 = 1_000_000_000;
/// The longest text looked at; the longest sensible one ("2562047h47m16.854775807s") is far shorter.
const MAX_TEXT_BYTES: usize = 64;

/// A signed length of time in nanoseconds, at most 292 years either way (as Go's `time.Duration`).
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct GoDuration(pub i64);

impl GoDuration {
    /// Whole seconds.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(NANOSECONDS_PER_SECOND))
    }

    /// Whole seconds, rounded towards zero.
    pub fn seconds(self) -> i64 {
        self.0 / NANOSECONDS_PER_SECOND
    }

    /// The same length unsigned; `None` when negative.
    pub fn unsigned(self) -> Option<Duration> {
        u64::try_from(self.0).ok().map(Duration::from_nanos)
    }

    /// Reads what a user wrote for the parameter `field`: `90` and `"90"` are seconds, `"1h30m"`, `"1.5h"` Go's syntax,
    /// `"1d"` a single number of days. Empty text is zero.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the field, as Vault's parser would refuse it.
    pub fn parse(field: &'static str, text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let wrong = || {
            Error::invalid(
                field,
                format!("error converting input for field {field:?}: time: invalid duration"),
            )
        };
        if text.len() > MAX_TEXT_BYTES {
            return Err(wrong());
        }
        if text.is_empty() {
            return Ok(Self::default());
        }
        if let Ok(seconds) = text.parse::<i64>() {
            return Ok(Self::from_seconds(seconds));
        }
        let (sign, digits) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let nanoseconds = match digits.strip_suffix('d') {
            Some(days) => component(days, 86_400 * NANOSECONDS_PER_SECOND),
            None => components(digits),
        };
        nanoseconds
            .and_then(|nanoseconds| nanoseconds.checked_mul(sign))
            .map(Self)
            .ok_or_else(wrong)
    }
}

/// A sequence like `1h30m0.5s`.
fn components(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total = 0i64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let number_bytes = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(number_bytes);
        let unit_bytes = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_bytes);
        let nanoseconds = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => NANOSECONDS_PER_SECOND,
            "m" => 60 * NANOSECONDS_PER_SECOND,
            "h" => 3_600 * NANOSECONDS_PER_SECOND,
            _ => return None,
        };
        total = total.checked_add(component(number, nanoseconds)?)?;
        rest = after;
    }
    Some(total)
}

/// A decimal number of a unit.
fn component(number: &str, unit_nanoseconds: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: i64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut total = whole.checked_mul(unit_nanoseconds)?;
    let mut place = unit_nanoseconds;
    for digit in fraction.bytes() {
        place /= 10;
        total = total.checked_add(i64::from(digit - b'0').checked_mul(place)?)?;
    }
    Some(total)
}

/// As Go prints it: `3h0m0s`, `1m30s`, `1.5s`, `0s`.
impl fmt::Display for GoDuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = self.0.unsigned_abs();
        if self.0 < 0 {
            formatter.write_str("-")?;
        }
        let second = NANOSECONDS_PER_SECOND.unsigned_abs();
        if nanoseconds > 0 && nanoseconds < second {
            let (unit, divisor) = match nanoseconds {
                0..1_000 => ("ns", 1),
                1_000..1_000_000 => ("µs", 1_000),
                _ => ("ms", 1_000_000),
            };
            return write!(formatter, "{}{unit}", decimal(nanoseconds, divisor));
        }
        let minutes = nanoseconds / (60 * second);
        let seconds = decimal(nanoseconds % (60 * second), second);
        match (minutes / 60, minutes % 60) {
            (0, 0) => write!(formatter, "{seconds}s"),
            (0, minutes) => write!(formatter, "{minutes}m{seconds}s"),
            (hours, minutes) => write!(formatter, "{hours}h{minutes}m{seconds}s"),
        }
    }
}

fn decimal(value: u64, divisor: u64) -> String {
    let fraction = value % divisor;
    if fraction == 0 {
        return (value / divisor).to_string();
    }
    let width = usize::try_from(divisor.ilog10()).unwrap_or(0);
    let digits = format!("{fraction:0width$}");
    format!("{}.{}", value / divisor, digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Option<i64> {
        GoDuration::parse("ttl", text)
            .ok()
            .map(|duration| duration.0)
    }

    #[test]
    fn vaults_forms_are_read() {
        let second = NANOSECONDS_PER_SECOND;
        for (text, expected) in [
            ("", 0),
            ("90", 90 * second),
            ("-5", -5 * second),
            ("1h30m", 5_400 * second),
            ("1.5h", 5_400 * second),
            ("768h0m0s", 768 * 3_600 * second),
            ("1d", 86_400 * second),
            ("250ms", 250_000_000),
            ("-1m", -60 * second),
        ] {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_vault_refuses_is_refused() {
        for text in [
            "2d12h",
            "1w",
            "1m30",
            "h",
            ".s",
            "1.5",
            "1h 2m",
            "--1s",
            "9999999999999h",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn they_print_as_go_prints_them() {
        for (nanoseconds, text) in [
            (0, "0s"),
            (1_500_000_000, "1.5s"),
            (90_000_000_000, "1m30s"),
            (10_800_000_000_000, "3h0m0s"),
            (-1_000_000_000, "-1s"),
            (1_500_000, "1.5ms"),
        ] {
            assert_eq!(GoDuration(nanoseconds).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(nanoseconds in -(1i64 << 60)..(1i64 << 60)) {
            prop_assert_eq!(parse(&GoDuration(nanoseconds).to_string()), Some(nanoseconds));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text: String) {
            let _ = parse(&text);
        }
    }
}
