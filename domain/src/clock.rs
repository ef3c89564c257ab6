//! Time as a value: milliseconds since 1970, passed in and never looked up.
//!
//! Written by hand: a crate of dates would bring a formatter and an RFC 3339 parser, which nothing else uses, into the
//! Wasm that every isolate compiles. What is needed is one printed form, one parser and the calendar's two conversions.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Invalid;

const DAY: i64 = 86_400_000;

/// A source of the current time: the runtime's clock, or a fixed one in tests.
pub trait Clock {
    /// The current time.
    fn now(&self) -> Timestamp;
}

/// Milliseconds since 1970-01-01T00:00:00Z. Written as RFC 3339 in UTC with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since 1970.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The time `millis` later; saturates.
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// The time `seconds` later; saturates.
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        self.plus_millis(seconds.saturating_mul(1000))
    }

    /// Milliseconds from `earlier` to this time; negative if this time is earlier.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The first millisecond of its month, in UTC.
    pub const fn month_start(self) -> Self {
        let days = self.0.div_euclid(DAY);
        let (_, _, day) = civil_from_days(days);
        Self((days - day + 1) * DAY)
    }

    /// Parses RFC 3339 (`2026-11-21T16:00:00Z`, fractions and offsets allowed). A leap second, the last one of a month in
    /// UTC, is the first second of the next month, as POSIX counts: so it comes after all others of its month.
    pub fn parse_rfc3339(text: &str) -> Result<Self, Invalid> {
        parse(text)
            .ok_or_else(|| Invalid::new("invalid_time", "must be an RFC 3339 time, such as 2027-01-31T12:00:00Z"))
    }

    /// Parses RFC 3339, and refuses what is not after `now`: the end of something that is still to begin.
    pub fn parse_future(text: &str, now: Self) -> Result<Self, Invalid> {
        let at = Self::parse_rfc3339(text)?;
        if at > now { Ok(at) } else { Err(Invalid::new("past", "must be a time in the future")) }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, rest) = (self.0.div_euclid(DAY), self.0.rem_euclid(DAY));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
        let (second, millis) = (rest / 1000 % 60, rest % 1000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse_rfc3339(&text).map_err(serde::de::Error::custom)
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    let digits = |from: usize, to: usize| -> Option<i64> {
        let part = text.get(from..to)?;
        part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?
    };
    let at = |i: usize, wanted: &[u8]| text.as_bytes().get(i).is_some_and(|b| wanted.contains(b));
    let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
    let (hour, minute, second) = (digits(11, 13)?, digits(14, 16)?, digits(17, 19)?);
    let shape = at(4, b"-") && at(7, b"-") && at(10, b"Tt ") && at(13, b":") && at(16, b":");
    let calendar = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    if !shape || !calendar || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut rest = text.get(19..)?;
    let mut millis = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let len = fraction.bytes().take_while(u8::is_ascii_digit).count();
        let digits = fraction.get(..len).filter(|d| !d.is_empty())?;
        millis = format!("{digits:0<3}").get(..3)?.parse().ok()?;
        rest = fraction.get(len..)?;
    }
    let offset = match rest.as_bytes() {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let digit = |b: &u8| b.is_ascii_digit().then(|| i64::from(b - b'0'));
            let (h, m) = (digit(h1)? * 10 + digit(h2)?, digit(m1)? * 10 + digit(m2)?);
            if h > 23 || m > 59 {
                return None;
            }
            (h * 60 + m) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    let days = days_from_civil(year, month, day);
    let at = Timestamp(days * DAY + ((hour * 60 + minute - offset) * 60 + second) * 1000 + millis);
    // A second 60 is a leap second: it ends where a month begins in UTC (RFC 3339, 5.7).
    (second < 60 || at.millis() - millis == at.month_start().millis()).then_some(at)
}

/// Days since 1970 of a date of the proleptic Gregorian calendar; years begin in March here,
/// so that the leap day comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_from_civil`]: year, month, day.
pub(super) const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_moments() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp(951_782_400_000).to_string(), "2000-02-29T00:00:00.000Z");
        let offset = Timestamp::parse_rfc3339("2026-11-21T18:00:00.25+02:00");
        assert_eq!(offset.map(|t| t.to_string()), Ok("2026-11-21T16:00:00.250Z".into()));
    }

    #[test]
    fn months_begin_on_their_first_day() {
        for (moment, start) in [
            ("2026-11-21T16:00:00Z", "2026-11-01T00:00:00.000Z"),
            ("2024-02-29T23:59:59.999Z", "2024-02-01T00:00:00.000Z"),
            ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(Timestamp::parse_rfc3339(moment).unwrap().month_start().to_string(), start);
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "2026",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+1:00",
            "１026-01-01T00:00:00Z",
        ] {
            assert!(Timestamp::parse_rfc3339(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_leap_second_is_the_last_of_a_month_in_utc() {
        let read = |text: &str| Timestamp::parse_rfc3339(text).map(|at| at.to_string());
        for (text, shown) in [
            ("1990-12-31T23:59:60Z", "1991-01-01T00:00:00.000Z"),
            ("1990-12-31T15:59:60-08:00", "1991-01-01T00:00:00.000Z"),
            ("1991-01-01T00:59:60+01:00", "1991-01-01T00:00:00.000Z"),
            ("1998-12-31t23:59:60.123z", "1999-01-01T00:00:00.123Z"),
            ("2012-07-01T05:29:60.999999+05:30", "2012-07-01T00:00:00.999Z"),
            ("2024-02-29T23:59:60-00:00", "2024-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(shown), "{text}");
        }
        for text in [
            "1990-12-31T23:59:61Z",
            "1990-12-31T23:58:60Z",
            "1990-12-31T22:59:60Z",
            "1990-12-31T23:59:60+01:00",
            "1990-12-31T15:59:60-07:00",
            "1990-12-30T23:59:60Z",
            "2024-02-28T23:59:60Z",
            "1991-01-01T00:00:60Z",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        let moments =
            ["2016-12-31T23:59:59.999Z", "2016-12-31T23:59:60Z", "2016-12-31T23:59:60.5Z", "2017-01-01T00:00:01Z"];
        let shown = moments.map(|moment| read(moment).unwrap());
        assert!(shown.is_sorted(), "text order is time order: {shown:?}");
    }

    #[test]
    fn every_form_of_the_standard_is_read() {
        let read = |text: &str| Timestamp::parse_rfc3339(text).map(|at| at.to_string());
        for (text, shown) in [
            ("1985-04-12T23:20:50.52Z", "1985-04-12T23:20:50.520Z"),
            ("1996-12-19T16:39:57-08:00", "1996-12-20T00:39:57.000Z"),
            ("1937-01-01T12:00:27.87+00:20", "1937-01-01T11:40:27.870Z"),
            ("2026-01-01t00:00:00z", "2026-01-01T00:00:00.000Z"),
            ("2026-01-01T00:00:00.1234567890123456789Z", "2026-01-01T00:00:00.123Z"),
            ("2026-01-01T00:00:00+23:59", "2025-12-31T00:01:00.000Z"),
            ("2000-02-29T00:00:00-00:00", "2000-02-29T00:00:00.000Z"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(shown), "{text}");
        }
        for text in [
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00+01:60",
            "2026-01-01T00:00:00+0100",
            "2026-01-01T00:00:00 Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T0:00:00Z",
            "2026-04-31T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "+2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00,5Z",
            "2026-01-01T00:00:0٠Z",
            "2026-W01-1T00:00:00Z",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_sixtieth_second_is_one_after_the_fifty_ninth(day in 1i64..29, month in 1i64..13, minute in 0i64..1440, offset in -1439i64..1440) {
            let (sign, away) = if offset < 0 { ('-', -offset) } else { ('+', offset) };
            let text = |second| {
                let (hour, minute, h, m) = (minute / 60, minute % 60, away / 60, away % 60);
                format!("2026-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{sign}{h:02}:{m:02}")
            };
            let last = Timestamp::parse_rfc3339(&text(59)).unwrap();
            let next = last.plus_seconds(1);
            let expected = (next == next.month_start()).then_some(next);
            prop_assert_eq!(Timestamp::parse_rfc3339(&text(60)).ok(), expected);
        }

        #[test]
        fn shown_and_read_again_is_the_same_moment(millis in 0i64..253_402_300_799_999) {
            prop_assert_eq!(Timestamp::parse_rfc3339(&Timestamp(millis).to_string()), Ok(Timestamp(millis)));
        }

        #[test]
        fn no_text_breaks_the_parser(text in "\\PC{0,40}") {
            let _ = Timestamp::parse_rfc3339(&text);
        }
    }
}
