//! Dates in HTTP headers (RFC 9110, 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.

use crate::clock::{Timestamp, civil_from_days};

const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Years that a date with two digits for its year may lie ahead; one that would lie further is of the century before.
const YEARS_AHEAD: i64 = 50;

/// A time to the second, in the parts that dates are written of.
struct DateParts {
    weekday: &'static str,
    day: i64,
    month: &'static str,
    year: i64,
    time: String,
}

impl DateParts {
    fn of(timestamp: Timestamp) -> Self {
        let seconds = timestamp.seconds();
        let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days);
        let name = |names: &[&'static str], at: i64| usize::try_from(at).ok().and_then(|at| names.get(at).copied());
        Self {
            weekday: name(&DAYS, days.rem_euclid(7)).unwrap_or_default(),
            day,
            month: name(&MONTHS, month - 1).unwrap_or_default(),
            year,
            time: format!("{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60),
        }
    }

    fn short_weekday(&self) -> &'static str {
        self.weekday.get(..3).unwrap_or_default()
    }
}

/// Writes a time, to the second.
pub fn print(timestamp: Timestamp) -> String {
    let date = DateParts::of(timestamp);
    format!("{}, {:02} {} {:04} {} GMT", date.short_weekday(), date.day, date.month, date.year, date.time)
}

/// Reads a date in any of the three forms that a recipient must take; none for any other text. `now` tells the century of
/// the one that does not.
pub fn parse(text: &str, now: Timestamp) -> Option<Timestamp> {
    fixed(text).or_else(|| of_rfc_850(text, now)).or_else(|| of_asctime(text))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the form that every sender must use.
fn fixed(text: &str) -> Option<Timestamp> {
    let [_, day, month, year, time, _] = words(text)?;
    moment(year.parse().ok()?, month, day, time).filter(|at| print(*at) == text)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`. The weekday is that of some century.
fn of_rfc_850(text: &str, now: Timestamp) -> Option<Timestamp> {
    let (weekday, rest) = text.split_once(", ").filter(|(weekday, _)| DAYS.contains(weekday))?;
    let [date, time, _] = words(rest)?;
    let (day_month, year) = date.rsplit_once('-')?;
    let (day, month) = day_month.split_once('-')?;
    let latest = DateParts::of(now).year + YEARS_AHEAD;
    let year = latest - (latest - year.parse::<i64>().ok()?).rem_euclid(100);
    moment(year, month, day, time).filter(|at| {
        let date = DateParts::of(*at);
        let two_digits = date.year.rem_euclid(100);
        format!("{weekday}, {:02}-{}-{two_digits:02} {} GMT", date.day, date.month, date.time) == text
    })
}

/// `Sun Nov  6 08:49:37 1994`.
fn of_asctime(text: &str) -> Option<Timestamp> {
    let [_, month, day, time, year] = words(text)?;
    moment(year.parse().ok()?, month, day, time).filter(|at| {
        let date = DateParts::of(*at);
        format!("{} {} {:>2} {} {:04}", date.short_weekday(), date.month, date.day, date.time, date.year) == text
    })
}

/// The words of a text, if there are so many.
fn words<const N: usize>(text: &str) -> Option<[&str; N]> {
    text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().try_into().ok()
}

fn moment(year: i64, month: &str, day: &str, time: &str) -> Option<Timestamp> {
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    Timestamp::parse_rfc3339(&format!("{year:04}-{month:02}-{day:0>2}T{time}Z")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

    #[test]
    fn the_examples_of_the_standard() {
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(parse(text, NOW), Some(Timestamp::from_millis(784_111_777_000)), "{text}");
        }
        for other in [
            "",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "sun, 06 nov 1994 08:49:37 gmt",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun,  06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37.5 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Someday, 06-Nov-94 08:49:37 GMT",
            "Sunday, 6-Nov-94 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "Sun Nov 06 08:49:37 1994",
            "Mon Nov  6 08:49:37 1994",
            "1994-11-06T08:49:37Z",
            "784111777",
        ] {
            assert_eq!(parse(other, NOW), None, "{other}");
        }
    }

    /// RFC 9110, 5.6.7: what would be more than 50 years ahead is past.
    #[test]
    fn a_year_of_two_digits_is_of_the_century_that_it_is_near() {
        let year = |digits: &str| {
            let at = parse(&format!("Sunday, 06-Nov-{digits} 08:49:37 GMT"), NOW).unwrap();
            DateParts::of(at).year
        };
        assert_eq!(["26", "94", "76", "77", "00", "99"].map(year), [2026, 1994, 2076, 1977, 2000, 1999]);
    }

    proptest! {
        #[test]
        fn printed_and_read_again_is_the_same_second(seconds in 0i64..253_402_300_799) {
            let timestamp = Timestamp::from_millis(seconds * 1000);
            prop_assert_eq!(parse(&print(timestamp), NOW), Some(timestamp));
        }

        #[test]
        fn no_text_breaks_the_parser(text in "\\PC{0,40}") {
            let _ = parse(&text, NOW);
        }
    }
}
