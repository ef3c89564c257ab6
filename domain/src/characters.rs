//! Invisible characters: controls and Unicode's format characters, which names from outside may not contain.

/// Unicode's general category Cf (format), as of Unicode 16.
const FORMAT: [(char, char); 21] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{180e}', '\u{180e}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{2064}'),
    ('\u{2066}', '\u{206f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{fff9}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0001}', '\u{e0001}'),
    ('\u{e0020}', '\u{e007f}'),
];

/// Whether this is a format character, such as a zero-width joiner or a mark of direction.
pub fn is_format(c: char) -> bool {
    !c.is_ascii() && FORMAT.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

/// Whether this is a control character (C0, C1, U+007F) or a format character.
pub fn is_control_or_format(c: char) -> bool {
    c.is_control() || is_format(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_unicodes() {
        assert_eq!(('\0'..=char::MAX).filter(|c| is_format(*c)).count(), 170, "characters of category Cf");
        assert!(FORMAT.is_sorted());
        let soft_hyphen_joiners_marks_and_tags =
            "\u{ad}\u{61c}\u{180e}\u{200b}\u{200d}\u{200e}\u{202e}\u{2066}\u{feff}\u{e0041}";
        assert!(soft_hyphen_joiners_marks_and_tags.chars().all(is_format));
        let neighbours = "\u{ac}\u{ae}\u{606}\u{200a}\u{2010}\u{2065}\u{fffc}\u{34f}\u{fe0f}\u{e0100}a é🚲";
        assert!(!neighbours.chars().any(is_control_or_format));
    }

    #[test]
    fn controls_are_c0_c1_and_delete() {
        let controls: Vec<u32> = ('\0'..'\u{ad}').filter(|c| is_control_or_format(*c)).map(u32::from).collect();
        assert_eq!(controls, (0..0x20).chain(0x7f..0xa0).collect::<Vec<_>>());
    }
}
