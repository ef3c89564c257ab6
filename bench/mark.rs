//! The mark that every event carries: its number in the run and when it was sent.
//!
//! A mark is 25 bytes, `~` and then hex digits: 8 of the number, 16 of the
//! nanoseconds since the run's clock began. `~` occurs nowhere else in a stream,
//! so that a reader finds marks by one byte and parses no JSON.

use std::io::BufRead;

const START: u8 = b'~';
const DIGITS: usize = 24;

/// One event's number and send time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Counts from 0 over all rounds of one audience.
    pub number: u32,
    /// Nanoseconds since the audience's clock began.
    pub sent: u64,
}

impl Mark {
    /// The mark as it stands in the event.
    pub fn text(self) -> String {
        format!("~{:08x}{:016x}", self.number, self.sent)
    }

    fn parse(digits: &[u8; DIGITS]) -> Option<Self> {
        let (number, sent) = digits.split_at(8);
        Some(Self { number: u32::try_from(hex(number)?).ok()?, sent: hex(sent)? })
    }
}

fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(nibble))
    })
}

/// Finds marks in a body that arrives in pieces of any size.
#[derive(Default)]
pub struct Finder {
    /// Digits of a mark that the last piece cut short.
    digits: [u8; DIGITS],
    have: Option<usize>,
}

impl Finder {
    /// Calls `found` for each mark that ends in this piece.
    pub fn scan(&mut self, mut piece: &[u8], mut found: impl FnMut(Mark)) {
        while !piece.is_empty() {
            let have = match self.have.take() {
                Some(have) => have,
                None => match skip_past_start(&mut piece) {
                    true => 0,
                    false => return,
                },
            };
            let take = piece.len().min(DIGITS - have);
            let (digits, rest) = piece.split_at(take);
            if let Some(free) = self.digits.get_mut(have..have + take) {
                free.copy_from_slice(digits);
            }
            piece = rest;
            if have + take < DIGITS {
                self.have = Some(have + take);
            } else if let Some(mark) = Mark::parse(&self.digits) {
                found(mark);
            }
        }
    }
}

/// Moves past the next start byte; `skip_until` is the standard library's fast search.
fn skip_past_start(piece: &mut &[u8]) -> bool {
    let before = *piece;
    let skipped = piece.skip_until(START).unwrap_or(0);
    skipped > 0 && before.get(skipped - 1) == Some(&START)
}
