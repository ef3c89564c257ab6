//! Ranges of bytes (RFC 9110, 14): one part of a file, or all of it.
//!
//! Several ranges that leave a gap are answered with the whole file, which 14.2 leaves to the server: nobody has to
//! take `multipart/byteranges` apart, and a request costs one read.

use super::etag::EntityTag;
use super::precondition::Validators;
use domain::clock::Timestamp;
use domain::http_date;

/// Most ranges that are read; more are as good as none (14.2: a server may ignore what looks like an attack).
const MAX_RANGES: usize = 32;

/// Which bytes of a file were requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// All of them: there is no range, or several with gaps, or one that we do not understand.
    Whole,
    /// Consecutive bytes.
    Part {
        /// The first byte's offset.
        offset: u64,
        /// How many; at least one.
        length: u64,
    },
    /// None that exists.
    Unsatisfiable,
}

impl ByteRange {
    /// Reads the header `Range` for a body of `size` bytes. A unit is known in any letter case (14.1).
    pub fn parse(header: Option<&str>, size: u64) -> Self {
        let bytes =
            header.and_then(|text| text.trim().split_once('=')).filter(|(unit, _)| unit.eq_ignore_ascii_case("bytes"));
        bytes.and_then(|(_, set)| Self::of_set(set, size)).unwrap_or(Self::Whole)
    }

    /// What `If-Range` makes of it (13.1.5): it stands if the client's part is of this very state, else all is sent. A date
    /// counts as the time of a state is a strong validator: no state before it had one of the same second (8.8.2.2).
    pub fn if_range(self, header: Option<&str>, current: Validators<'_>, now: Timestamp) -> Self {
        let is_current = |sent: &str| match EntityTag::parse(sent) {
            Some(tag) => tag.is_strong(current.etag),
            None => http_date::parse(sent, now)
                .is_some_and(|date| current.modified.is_some_and(|modified| modified.seconds() == date.seconds())),
        };
        if header.is_none_or(|sent| is_current(sent.trim())) { self } else { Self::Whole }
    }

    /// The ranges of a set as one, without those that lie behind the end; none if the set is not valid.
    fn of_set(set: &str, size: u64) -> Option<Self> {
        let mut ranges = Vec::new();
        for range in set.split(',').map(|range| range.trim_matches([' ', '\t'])).filter(|range| !range.is_empty()) {
            ranges.push(interval(range, size)?);
        }
        if ranges.is_empty() || ranges.len() > MAX_RANGES {
            return None;
        }
        let mut satisfiable: Vec<_> = ranges.into_iter().filter(|(first, end)| first < end).collect();
        satisfiable.sort_unstable();
        let mut satisfiable = satisfiable.into_iter();
        let Some((offset, mut end)) = satisfiable.next() else { return Some(Self::Unsatisfiable) };
        for (next, next_end) in satisfiable {
            if next > end {
                return Some(Self::Whole);
            }
            end = end.max(next_end);
        }
        Some(Self::Part { offset, length: end - offset })
    }
}

/// The first byte of a range and the one behind its last; not in this order if the body has none of them. None if it is no
/// range.
fn interval(range: &str, size: u64) -> Option<(u64, u64)> {
    let (first, last) = range.split_once('-')?;
    match (first, last) {
        ("", last) => Some((size.saturating_sub(position(last)?), size)),
        (first, "") => Some((position(first)?, size)),
        (first, last) => {
            let (first, last) = (position(first)?, position(last)?);
            (first <= last).then(|| (first, last.saturating_add(1).min(size)))
        }
    }
}

/// A number of any length; what is too large for one is the largest.
fn position(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 9110, 14.1.1, 14.1.2, 14.2 and 14.4 for a body of ten bytes, stated case by case.
    #[test]
    fn ranges() {
        let part = |offset, length| ByteRange::Part { offset, length };
        let (whole, unsatisfiable) = (ByteRange::Whole, ByteRange::Unsatisfiable);
        for (header, range) in [
            // First and last.
            ("bytes=0-0", part(0, 1)),
            ("bytes=0-9", part(0, 10)),
            ("bytes=2-5", part(2, 4)),
            ("bytes=9-9", part(9, 1)),
            ("bytes=5-99", part(5, 5)),
            ("bytes=0-99999999999999999999", part(0, 10)),
            ("bytes=007-008", part(7, 2)),
            // Open.
            ("bytes=0-", part(0, 10)),
            ("bytes=5-", part(5, 5)),
            ("bytes=9-", part(9, 1)),
            // From the end.
            ("bytes=-1", part(9, 1)),
            ("bytes=-3", part(7, 3)),
            ("bytes=-10", part(0, 10)),
            ("bytes=-99", part(0, 10)),
            ("bytes=-99999999999999999999", part(0, 10)),
            // Letter case, and blanks of lists.
            ("Bytes=0-1", part(0, 2)),
            ("BYTES=-1", part(9, 1)),
            (" bytes=0-1 ", part(0, 2)),
            ("bytes= 0-1", part(0, 2)),
            ("bytes=,0-1 ,", part(0, 2)),
            // Behind the end.
            ("bytes=10-", unsatisfiable),
            ("bytes=10-12", unsatisfiable),
            ("bytes=99-", unsatisfiable),
            ("bytes=-0", unsatisfiable),
            ("bytes=99999999999999999999-", unsatisfiable),
            ("bytes=10-, 20-30, -0", unsatisfiable),
            // Several.
            ("bytes=0-1,4-5", whole),
            ("bytes=0-0,-1", whole),
            ("bytes=0-4,5-9", part(0, 10)),
            ("bytes=0-4,3-6", part(0, 7)),
            ("bytes=5-6,2-4", part(2, 5)),
            ("bytes=0-1,0-1", part(0, 2)),
            ("bytes=0-1,20-30", part(0, 2)),
            ("bytes=20-30 , 8-", part(8, 2)),
            // Not valid: as if it were not there.
            ("bytes=5-2", whole),
            ("bytes=0-1,5-2", whole),
            ("bytes=-", whole),
            ("bytes=", whole),
            ("bytes=,", whole),
            ("bytes", whole),
            ("bytes=a-b", whole),
            ("bytes=0-1x", whole),
            ("bytes=+0-1", whole),
            ("bytes=0 - 1", whole),
            ("bytes=0--1", whole),
            ("bytes=0x1-2", whole),
            ("bytes =0-1", whole),
            ("bytes:0-1", whole),
            ("0-1", whole),
            ("", whole),
            // Another unit.
            ("items=0-1", whole),
            ("byte=0-1", whole),
        ] {
            assert_eq!(ByteRange::parse(Some(header), 10), range, "{header}");
        }
        assert_eq!(ByteRange::parse(None, 10), whole);
        let many = |count: usize| format!("bytes={}", vec!["0-1"; count].join(","));
        assert_eq!(ByteRange::parse(Some(&many(32)), 10), part(0, 2));
        assert_eq!(ByteRange::parse(Some(&many(33)), 10), whole);
    }

    #[test]
    fn a_range_of_another_state_is_none() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let current = Validators { etag: "\"a\"", modified: Some(Timestamp::from_millis(784_111_777_500)) };
        let part = ByteRange::Part { offset: 0, length: 2 };
        let stands = |header: &str| part.if_range(Some(header), current, now) == part;
        for header in [
            "\"a\"",
            " \"a\" ",
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert!(stands(header), "{header}");
        }
        for header in [
            "\"b\"",
            "W/\"a\"",
            "*",
            "",
            "a",
            "\"a\", \"b\"",
            "Sun, 06 Nov 1994 08:49:36 GMT",
            "Sun, 06 Nov 1994 08:49:38 GMT",
            "tomorrow",
        ] {
            assert!(!stands(header), "{header}");
        }
        assert_eq!(part.if_range(None, current, now), part);
        assert_eq!(ByteRange::Unsatisfiable.if_range(Some("\"b\""), current, now), ByteRange::Whole);
    }

    proptest! {
        #[test]
        fn a_part_lies_within(text in "(?i)bytes=([0-9]{0,22}-[0-9]{0,22},? ?){1,3}", size in 0u64..1000) {
            if let ByteRange::Part { offset, length } = ByteRange::parse(Some(&text), size) {
                prop_assert!(length > 0 && offset + length <= size);
            }
        }

        /// A part has every byte that was asked for, and no other.
        #[test]
        fn a_part_is_what_was_asked_for(asked in prop::collection::vec((0u64..12, 0u64..4), 1..4)) {
            let set: Vec<_> = asked.iter().map(|(first, more)| format!("{first}-{}", first + more)).collect();
            let wanted = |at: u64| asked.iter().any(|(first, more)| (*first..=first + more).contains(&at));
            let count = (0..10).filter(|at| wanted(*at)).count() as u64;
            match ByteRange::parse(Some(&format!("bytes={}", set.join(","))), 10) {
                ByteRange::Part { offset, length } => {
                    prop_assert_eq!(length, count);
                    prop_assert!((offset..offset + length).all(wanted));
                }
                ByteRange::Unsatisfiable => prop_assert_eq!(count, 0),
                ByteRange::Whole => prop_assert!(count > 0 && count < 10),
            }
        }
    }
}
