//! What patterns take together, counted.

use crate::error::Invalid;

/// The steps that patterns may still take: one for each state in which they are at a character. Whoever asks them of many
/// values takes one for each of these too.
#[derive(Debug)]
pub struct Effort(usize);

impl Effort {
    /// Steps for one record: some ten milliseconds.
    pub const MAX: usize = 2_000_000;

    /// How many are left.
    pub fn left(&self) -> usize {
        self.0
    }

    /// Takes a step; refused where none is left.
    pub fn take(&mut self) -> Result<(), Invalid> {
        let message = "takes too long to be compared with the schema's patterns and alternatives";
        self.0 = self.0.checked_sub(1).ok_or_else(|| Invalid::new("too_complex", message))?;
        Ok(())
    }
}

impl Default for Effort {
    fn default() -> Self {
        Self(Self::MAX)
    }
}
