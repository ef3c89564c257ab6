//! The text of a response, in pieces.
//!
//! A long text is never one string: growing one would hold it twice, and Wasm memory that was once taken is never given
//! back. Each piece is freed as soon as the platform has it.

use std::io;

/// Bytes of a piece.
const PIECE: usize = 64 * 1024;
/// The longest text that goes out at once, in bytes; a longer one is streamed.
pub const MAX_AT_ONCE: usize = 2 * 1024 * 1024;

/// A text in pieces, which may end within a character.
#[derive(Debug, Default)]
pub struct BodyText(Vec<Vec<u8>>);

impl BodyText {
    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Vec::is_empty)
    }

    /// Whether it is to be streamed.
    pub fn is_long(&self) -> bool {
        self.len() > MAX_AT_ONCE
    }

    /// All of it, at once.
    pub fn into_bytes(self) -> Vec<u8> {
        let mut pieces = self.0;
        if pieces.len() == 1 { pieces.pop().unwrap_or_default() } else { pieces.concat() }
    }

    /// A copy as one string, if it has at most so many bytes.
    pub fn to_text(&self, most: usize) -> Option<String> {
        if self.len() > most {
            return None;
        }
        String::from_utf8(self.0.concat()).ok()
    }

    /// The pieces, in their order.
    pub fn into_pieces(self) -> impl Iterator<Item = Vec<u8>> {
        self.0.into_iter()
    }
}

impl From<String> for BodyText {
    fn from(text: String) -> Self {
        Self(vec![text.into_bytes()])
    }
}

impl io::Write for BodyText {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.last_mut().filter(|last| last.len() + bytes.len() <= PIECE) {
            Some(last) => last.extend_from_slice(bytes),
            None => self.0.push(bytes.to_vec()),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    proptest! {
        #[test]
        fn what_is_written_is_what_goes_out(parts in prop::collection::vec("\\PC{0,40}", 0..40), times in 1_usize..300) {
            let (mut text, mut whole) = (BodyText::default(), String::new());
            for part in parts.iter().cycle().take(parts.len() * times) {
                text.write_all(part.as_bytes()).unwrap();
                whole.push_str(part);
            }
            prop_assert_eq!(text.len(), whole.len());
            prop_assert_eq!(text.is_empty(), whole.is_empty());
            prop_assert_eq!(text.to_text(whole.len()), Some(whole.clone()));
            prop_assert_eq!(text.to_text(whole.len().wrapping_sub(1)), if whole.is_empty() { Some(whole.clone()) } else { None });
            let pieces: Vec<Vec<u8>> = BodyText(text.0.clone()).into_pieces().collect();
            prop_assert!(pieces.iter().all(|piece| piece.len() <= PIECE));
            prop_assert_eq!(pieces.concat(), whole.as_bytes());
            prop_assert_eq!(text.into_bytes(), whole.as_bytes());
        }
    }
}
