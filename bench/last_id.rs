//! The id of the last whole event, as an `EventSource` keeps it to resume with.

const LONGEST: usize = 64;

/// Kept without allocation, from pieces of a body.
#[derive(Clone, Copy)]
pub struct LastId {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Default for LastId {
    fn default() -> Self {
        Self { bytes: [0; LONGEST], length: 0 }
    }
}

impl LastId {
    /// The id, once there was one.
    pub fn text(&self) -> Option<&str> {
        let bytes = self.bytes.get(..self.length).filter(|bytes| !bytes.is_empty())?;
        std::str::from_utf8(bytes).ok()
    }

    /// Keeps the id of the last event that lies whole in this piece. An event that
    /// pieces divide is passed over: a resume from the one before repeats it, which
    /// is found out, and loses nothing.
    pub fn note(&mut self, piece: &[u8]) {
        let Some(end) = piece.windows(2).rposition(|two| two == b"\n\n") else {
            return;
        };
        let events = piece.get(..end).unwrap_or_default();
        let Some(start) = events.windows(4).rposition(|four| four == b"id: ").map(|at| at + 4) else {
            return;
        };
        let at_line_start = start == 4 || events.get(start - 5) == Some(&b'\n');
        let line = events.get(start..).unwrap_or_default().split(|byte| *byte == b'\n').next().unwrap_or_default();
        if at_line_start && let Some(room) = self.bytes.get_mut(..line.len()) {
            room.copy_from_slice(line);
            self.length = line.len();
        }
    }
}
