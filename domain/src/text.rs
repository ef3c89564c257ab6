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

/// Why an operator does something, 10 to 500 characters: long enough to be judged later. White space around it is dropped.
pub fn parse_reason(text: &str) -> Result<String, Invalid> {
    let text = bounded(text.trim(), 2000)?;
    if (10..=500).contains(&text.chars().count()) {
        Ok(text)
    } else {
        Err(Invalid::new("invalid_length", "must be 10 to 500 characters long"))
    }
}
