//! Ranges of bytes (RFC 9110, 14): one part of what is there, or all of it.

/// What of a body of known length was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// All of it: no range, several, or none that we understand.
    Whole,
    /// From its first byte, so many.
    Part {
        /// The first byte.
        offset: u64,
        /// How many; at least one.
        length: u64,
    },
    /// Nothing that is there.
    Unsatisfiable,
}

impl Range {
    /// Reads the header `Range` for a body of `size` bytes.
    pub fn parse(header: Option<&str>, size: u64) -> Self {
        header.and_then(|text| text.trim().strip_prefix("bytes=")).map_or(Self::Whole, |set| Self::of_set(set, size))
    }

    fn of_set(set: &str, size: u64) -> Self {
        let Some((first, last)) = set.split_once('-') else { return Self::Whole };
        let number = |text: &str| match text.trim() {
            "" => Some(None),
            digits if digits.bytes().all(|b| b.is_ascii_digit()) => Some(Some(digits.parse().unwrap_or(u64::MAX))),
            _ => None,
        };
        let (offset, end) = match (number(first), number(last)) {
            (Some(None), Some(Some(suffix))) => (size.saturating_sub(suffix), if suffix == 0 { 0 } else { size }),
            (Some(Some(first)), Some(None)) => (first, size),
            (Some(Some(first)), Some(Some(last))) if first <= last => (first, last.saturating_add(1).min(size)),
            _ => return Self::Whole,
        };
        match end.checked_sub(offset) {
            Some(length) if length > 0 => Self::Part { offset, length },
            _ => Self::Unsatisfiable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges() {
        let part = |offset, length| Range::Part { offset, length };
        for (header, range) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=0-9", part(0, 10)),
            ("bytes=2-5", part(2, 4)),
            ("bytes=5-", part(5, 5)),
            ("bytes=5-99", part(5, 5)),
            ("bytes=-3", part(7, 3)),
            ("bytes=-99", part(0, 10)),
            ("bytes=10-", Range::Unsatisfiable),
            ("bytes=10-12", Range::Unsatisfiable),
            ("bytes=-0", Range::Unsatisfiable),
            ("bytes=0-1,4-5", Range::Whole),
            ("bytes=5-2", Range::Whole),
            ("bytes=-", Range::Whole),
            ("bytes=a-b", Range::Whole),
            ("items=0-1", Range::Whole),
            ("bytes=99999999999999999999-", Range::Unsatisfiable),
        ] {
            assert_eq!(Range::parse(Some(header), 10), range, "{header}");
        }
        assert_eq!(Range::parse(None, 10), Range::Whole);
    }

    proptest! {
        #[test]
        fn a_part_lies_within(text in "bytes=[0-9]{0,22}-[0-9]{0,22}", size in 0u64..1000) {
            if let Range::Part { offset, length } = Range::parse(Some(&text), size) {
                prop_assert!(length > 0 && offset + length <= size);
            }
        }
    }
}
