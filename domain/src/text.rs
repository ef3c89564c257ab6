//! Texts within bounds.

use crate::error::Invalid;

/// A text of 1 to `max` bytes without control characters.
pub fn bounded(text: &str, max: usize) -> Result<String, Invalid> {
    if text.is_empty() || text.len() > max {
        return Err(Invalid::new("invalid_length", format!("must be 1 to {max} bytes long")));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid::new("control_character", "must not contain control characters"));
    }
    Ok(text.to_owned())
}
