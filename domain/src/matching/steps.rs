//! What compiling costs, counted: the bound on it bounds the time that it takes, what stays in memory, and so what
//! strangers can ask of a hub. What all streams of a hub take together, the `budget` bounds.

use crate::error::Invalid;

/// Steps that were taken to compile the patterns of one list. What stays in memory for good counts for more of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Steps(usize);

impl Steps {
    /// Most steps of one pattern, and of all patterns of a stream together; those that a token grants count apart.
    pub const MAX: usize = 131_072;
    /// How many steps one entry of a compiled table counts for; it takes four bytes.
    pub const OF_ENTRY: usize = 16;
    /// The code of the error of what takes more.
    pub const EXCEEDED: &'static str = "too_complex";

    /// Takes further steps; refused before more are taken than may be.
    pub fn take(&mut self, steps: usize) -> Result<(), Invalid> {
        let taken = self.0.saturating_add(steps);
        if taken > Self::MAX {
            let message = "takes more than 131,072 steps to compile, by itself or with the patterns before it: \
                           use fewer or smaller repetitions";
            return Err(Invalid::new(Self::EXCEEDED, message));
        }
        self.0 = taken;
        Ok(())
    }

    /// How many were taken.
    pub fn taken(self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_was_not_taken() {
        let mut steps = Steps::default();
        steps.take(Steps::MAX - 1).unwrap();
        assert_eq!(steps.take(2).unwrap_err().code, Steps::EXCEEDED);
        assert!(steps.take(usize::MAX).is_err());
        assert_eq!(steps.taken(), Steps::MAX - 1);
        assert!(steps.take(1).is_ok() && steps.take(1).is_err());
        assert!(steps.take(1).unwrap_err().message.contains("131,072"));
    }
}
