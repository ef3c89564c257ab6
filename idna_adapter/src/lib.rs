//! What `idna` knows of Unicode, from tables that the Worker has already.
//!
//! The usual back ends bring 45 KB and more of tables into the Worker. This one maps to lower case, folds full-width
//! forms, composes (normal form C) and lets `idna` do the Punycode: hosts as people and browsers write them come out as
//! UTS 46 has them, composed or decomposed. What it does not do: compatibility letters, and the rules for joiners and for
//! text from right to left, beyond refusing all characters that are not seen.
//! Topics and patterns go through the same mapping, so they meet; hosts that are called are not decided by it.

#![no_std]

use unicode_normalization::UnicodeNormalization;

/// Bidi classes that a label may begin with.
pub const FIRST_BC_MASK: BidiClassMask = BidiClassMask(());
/// Those that a label from left to right may end with.
pub const LAST_LTR_MASK: BidiClassMask = BidiClassMask(());
/// Those that a label from right to left may end with.
pub const LAST_RTL_MASK: BidiClassMask = BidiClassMask(());
/// Those in the middle of a label from left to right.
pub const MIDDLE_LTR_MASK: BidiClassMask = BidiClassMask(());
/// Those in the middle of a label from right to left.
pub const MIDDLE_RTL_MASK: BidiClassMask = BidiClassMask(());
/// Those that make a domain one with text from right to left: none.
pub const RTL_MASK: BidiClassMask = BidiClassMask(());
/// Joining types before a joiner.
pub const LEFT_OR_DUAL_JOINING_MASK: JoiningTypeMask = JoiningTypeMask(());
/// Joining types behind a joiner.
pub const RIGHT_OR_DUAL_JOINING_MASK: JoiningTypeMask = JoiningTypeMask(());

/// A bidi class: not told apart.
#[derive(Clone, Copy)]
pub struct BidiClass(());

/// A set of bidi classes: always empty, so no domain counts as bidirectional.
#[derive(Clone, Copy)]
pub struct BidiClassMask(());

impl BidiClass {
    pub fn to_mask(self) -> BidiClassMask {
        BidiClassMask(())
    }

    pub fn is_ltr(self) -> bool {
        true
    }

    pub fn is_nonspacing_mark(self) -> bool {
        false
    }

    pub fn is_european_number(self) -> bool {
        false
    }

    pub fn is_arabic_number(self) -> bool {
        false
    }
}

impl BidiClassMask {
    pub fn intersects(self, _other: BidiClassMask) -> bool {
        false
    }
}

/// A joining type: not told apart.
#[derive(Clone, Copy)]
pub struct JoiningType(());

/// A set of joining types.
#[derive(Clone, Copy)]
pub struct JoiningTypeMask(());

impl JoiningType {
    pub fn to_mask(self) -> JoiningTypeMask {
        JoiningTypeMask(())
    }

    pub fn is_transparent(self) -> bool {
        false
    }
}

impl JoiningTypeMask {
    pub fn intersects(self, _other: JoiningTypeMask) -> bool {
        false
    }
}

/// What `idna` asks.
#[derive(Default)]
#[non_exhaustive]
pub struct Adapter;

impl Adapter {
    pub const fn new() -> Self {
        Self
    }

    pub fn is_virama(&self, _c: char) -> bool {
        false
    }

    pub fn is_mark(&self, _c: char) -> bool {
        false
    }

    pub fn bidi_class(&self, _c: char) -> BidiClass {
        BidiClass(())
    }

    pub fn joining_type(&self, _c: char) -> JoiningType {
        JoiningType(())
    }

    /// A host's characters in the form they are registered in; U+FFFD for those that no host has.
    pub fn map_normalize<'a>(&'a self, chars: impl Iterator<Item = char> + 'a) -> impl Iterator<Item = char> + 'a {
        let mapped = chars.map(narrow).flat_map(char::to_lowercase);
        mapped.map(|c| if is_unseen(c) { '\u{fffd}' } else { c }).nfc()
    }

    /// The characters of a decoded label; U+FFFD for those that the mapping would have changed. `idna` compares them, so
    /// a label that is not composed is refused.
    pub fn normalize_validate<'a>(&'a self, chars: impl Iterator<Item = char> + 'a) -> impl Iterator<Item = char> + 'a {
        let is_mapped = |c: char| is_unseen(c) || !c.to_lowercase().eq([c]) || narrow(c) != c;
        chars.map(move |c| if is_mapped(c) { '\u{fffd}' } else { c }).nfc()
    }
}

/// The ASCII character of a full-width form, and the full stop of an ideographic one.
fn narrow(c: char) -> char {
    match c {
        '\u{3002}' | '\u{ff61}' => '.',
        '\u{ff01}'..='\u{ff5e}' => u8::try_from(u32::from(c) - 0xfee0).map_or(c, char::from),
        c => c,
    }
}

/// Controls, spaces, joiners, marks of direction, selectors, tags, and what is for private use.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || !c.is_ascii() && c.is_whitespace()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{fff0}'..='\u{ffff}' | '\u{e0000}'..=char::MAX)
}
