//! Scripts of letters, as far as a label of a host name must be told from one that only looks like it.
//!
//! The rule is "highly restrictive" of Unicode's security mechanisms (UTS 39, 5.2): the letters of a label are of one
//! script, or of those that Japanese, Chinese or Korean mix with Latin. Ranges are those of the blocks; a block that is
//! not named here counts as a script of its own, so that it is never mixed with another.

/// A script, or a group of characters that is treated as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script {
    Latin,
    Greek,
    Cyrillic,
    Armenian,
    Hebrew,
    Arabic,
    Georgian,
    Ethiopic,
    Khmer,
    Han,
    Hiragana,
    Katakana,
    Bopomofo,
    Hangul,
    /// A block of 128 characters that has no name here.
    Block(u32),
}

/// Scripts that are written together.
const MIXED: [&[Script]; 3] = [
    &[Script::Latin, Script::Han, Script::Hiragana, Script::Katakana],
    &[Script::Latin, Script::Han, Script::Bopomofo],
    &[Script::Latin, Script::Han, Script::Hangul],
];

/// The script of a character; none for those that every script uses.
fn script_of(letter: char) -> Option<Script> {
    Some(match u32::from(letter) {
        // ASCII digits and hyphen, the middle dot, combining marks, joiners, the prolonged sound mark.
        0x2D | 0x30..=0x39 | 0x5F | 0xB7 | 0x300..=0x36F | 0x200C..=0x200D | 0x30FB..=0x30FC => return None,
        0x41..=0x5A | 0x61..=0x7A | 0xC0..=0x2AF | 0x1E00..=0x1EFF | 0x2C60..=0x2C7F => Script::Latin,
        0xA720..=0xA7FF | 0xAB30..=0xAB6F => Script::Latin,
        0x370..=0x3FF | 0x1F00..=0x1FFF => Script::Greek,
        0x400..=0x52F | 0x1C80..=0x1C8F | 0x2DE0..=0x2DFF | 0xA640..=0xA69F => Script::Cyrillic,
        0x530..=0x58F => Script::Armenian,
        0x590..=0x5FF => Script::Hebrew,
        0x600..=0x6FF | 0x750..=0x77F | 0x8A0..=0x8FF => Script::Arabic,
        0x10A0..=0x10FF | 0x1C90..=0x1CBF | 0x2D00..=0x2D2F => Script::Georgian,
        0x1200..=0x139F | 0x2D80..=0x2DDF => Script::Ethiopic,
        0x1780..=0x17FF => Script::Khmer,
        0x2E80..=0x2FDF | 0x3005..=0x3007 | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF => Script::Han,
        0x20000..=0x323AF => Script::Han,
        0x3040..=0x309F => Script::Hiragana,
        0x30A0..=0x30FF | 0x31F0..=0x31FF => Script::Katakana,
        0x3100..=0x312F | 0x31A0..=0x31BF => Script::Bopomofo,
        0x1100..=0x11FF | 0x3130..=0x318F | 0xAC00..=0xD7AF => Script::Hangul,
        other => Script::Block(other >> 7),
    })
}

/// Whether the letters of a label are of one script, or of scripts that are written together.
pub fn is_of_one_script(label: &str) -> bool {
    let mut scripts = label.chars().filter_map(script_of);
    let Some(first) = scripts.next() else { return true };
    let rest: Vec<Script> = scripts.filter(|script| *script != first).collect();
    rest.is_empty()
        || MIXED.iter().any(|mixed| mixed.contains(&first) && rest.iter().all(|script| mixed.contains(script)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_script_is_one_script() {
        for good in [
            "acme-2",
            "bücher",
            "пример",
            "παράδειγμα",
            "日本語とカタカナ",
            "abc日本",
            "한국어go",
            "ไทย",
            "हिन्दी",
            "123",
            "",
        ] {
            assert!(is_of_one_script(good), "{good}");
        }
        // Cyrillic a, Greek omicron, Cherokee, Armenian, and scripts of East Asia that nobody mixes.
        for bad in ["аpple", "gοogle", "abᏟ", "paypaլ", "кириллицаabc", "かな한", "日α", "ไa", "a١", "ㄅかな"]
        {
            assert!(!is_of_one_script(bad), "{bad}");
        }
    }
}
