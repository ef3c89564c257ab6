//! Ranges of bytes (RFC 9110, 14): one part of a file, or all of it.

/// Which bytes of a file were requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// All of them: there is no range, or several, or one that we do not understand.
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
    /// Reads the header `ByteRange` for a body of `size` bytes.
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
        let part = |offset, length| ByteRange::Part { offset, length };
        for (header, range) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=0-9", part(0, 10)),
            ("bytes=2-5", part(2, 4)),
            ("bytes=5-", part(5, 5)),
            ("bytes=5-99", part(5, 5)),
            ("bytes=-3", part(7, 3)),
            ("bytes=-99", part(0, 10)),
            ("bytes=10-", ByteRange::Unsatisfiable),
            ("bytes=10-12", ByteRange::Unsatisfiable),
            ("bytes=-0", ByteRange::Unsatisfiable),
            ("bytes=0-1,4-5", ByteRange::Whole),
            ("bytes=5-2", ByteRange::Whole),
            ("bytes=-", ByteRange::Whole),
            ("bytes=a-b", ByteRange::Whole),
            ("items=0-1", ByteRange::Whole),
            ("bytes=99999999999999999999-", ByteRange::Unsatisfiable),
        ] {
            assert_eq!(ByteRange::parse(Some(header), 10), range, "{header}");
        }
        assert_eq!(ByteRange::parse(None, 10), ByteRange::Whole);
    }

    proptest! {
        #[test]
        fn a_part_lies_within(text in "bytes=[0-9]{0,22}-[0-9]{0,22}", size in 0u64..1000) {
            if let ByteRange::Part { offset, length } = ByteRange::parse(Some(&text), size) {
                prop_assert!(length > 0 && offset + length <= size);
            }
        }
    }
}
