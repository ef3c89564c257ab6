//! Patterns of texts (JSON Schema's `pattern`): regular expressions as ECMA-262 writes them, with Unicode characters, that
//! are looked for anywhere in a text.
//!
//! A pattern becomes an automaton, which runs in all its states at once (Thompson): nothing is tried twice, so no
//! pattern makes a text of n characters take more than n times the pattern's steps. Both are bounded, and what several
//! checks take together by an [`Effort`]. What needs memory of the text is refused: references back, and looking around.

mod characters;
pub mod effort;
mod parse;
mod program;

use crate::error::Invalid;
use crate::pattern::effort::Effort;
use crate::pattern::program::PatternProgram;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    written: String,
    program: PatternProgram,
}

impl Pattern {
    /// Longest pattern, in bytes.
    pub const MAX_BYTES: usize = 1_000;

    /// Reads a pattern; `invalid_pattern` says at which character, counted from 1, and why.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.len() > Self::MAX_BYTES {
            return Err(Invalid::new("too_long", "must be at most 1000 bytes long"));
        }
        let program = PatternProgram::compile(&parse::read(text)?)?;
        Ok(Self { written: text.to_owned(), program })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// Whether it is found in a text; refused where the effort is used up before that is known.
    pub fn is_found_in(&self, text: &str, effort: &mut Effort) -> Result<bool, Invalid> {
        self.program.is_found_in(text, effort)
    }
}

/// The same text is the same pattern.
impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(pattern: &str, text: &str) -> bool {
        let pattern = Pattern::parse(pattern).unwrap_or_else(|invalid| panic!("{pattern}: {invalid}"));
        pattern.is_found_in(text, &mut Effort::default()).unwrap()
    }

    #[test]
    fn what_patterns_find() {
        for (pattern, yes, no) in [
            ("", vec!["", "a"], vec![]),
            ("b", vec!["b", "abc"], vec!["", "ac"]),
            ("^a", vec!["a", "ab"], vec!["ba", "b\na"]),
            ("a$", vec!["a", "ba"], vec!["ab", "a\n"]),
            ("^$", vec![""], vec!["a", "\n"]),
            ("^(?:ab|cd)+$", vec!["ab", "cdab"], vec!["", "abc"]),
            ("^[A-Z]{2}-\\d{3,5}$", vec!["AB-123", "AB-12345"], vec!["AB-12", "AB-123456", "ab-123"]),
            ("^a{2,}$", vec!["aa", "aaaa"], vec!["a"]),
            ("^a{0}b?c*$", vec!["", "b", "bcc"], vec!["a"]),
            ("^(a|)*$", vec!["", "aaa"], vec!["b"]),
            ("^(?<year>\\d{4})-(?:0[1-9]|1[0-2])$", vec!["2026-01", "2026-12"], vec!["2026-13"]),
            ("^.$", vec!["a", "é", "日", "😀"], vec!["", "\n", "\u{2028}", "ab"]),
            ("^[^a]$", vec!["b", "é", "\n"], vec!["a", ""]),
            ("^[äöü]+$", vec!["äö"], vec!["a", "ß"]),
            ("^[а-я]{2}$", vec!["да"], vec!["дA", "д"]),
            ("^[\\u0410-\\u042f\\u{1F600}]+$", vec!["А😀"], vec!["а"]),
            ("^\\ud83d\\ude00$", vec!["😀"], vec!["😁"]),
            ("^\\w+$", vec!["a_Z9"], vec!["é", "a-b"]),
            ("^\\W$", vec!["é", "-"], vec!["a"]),
            ("^\\d$", vec!["7"], vec!["٧"]),
            ("^\\D$", vec!["٧", "a"], vec!["7"]),
            ("^\\s$", vec![" ", "\u{a0}", "\u{feff}", "\u{2029}", "\u{3000}"], vec!["\u{85}", "\u{200b}"]),
            ("^\\S$", vec!["\u{200b}"], vec!["\t"]),
            ("^[^\\S\\n]+$", vec![" \t"], vec!["\n", "a"]),
            ("^[\\w-\\.]+@([\\w-]+\\.)+[\\w-]{2,4}$", vec!["a.b-c@d.co"], vec!["a@b"]),
            ("^(?:[]|a)$", vec!["a"], vec!["", "]"]),
            ("^[\\]\\-\\\\^[]$", vec!["]", "-", "\\", "^", "["], vec!["a"]),
            ("^[^]$", vec!["a", "\n"], vec![""]),
            ("^[a-]$", vec!["a", "-"], vec!["b"]),
            ("^\\x41\\t\\n\\v\\f\\r\\0\\cJ$", vec!["A\t\n\u{b}\u{c}\r\0\n"], vec![]),
            ("^[\\b]$", vec!["\u{8}"], vec!["b"]),
            ("\\bcat\\b", vec!["cat", "a cat!"], vec!["concat", "cats"]),
            ("\\Bcat", vec!["concat"], vec!["cat"]),
            ("^\\/\\.\\$\\_\\@\\#$", vec!["/.$_@#"], vec![]),
            ("^a}]$", vec!["a}]"], vec![]),
            ("^\\p{L}+$", vec!["aé日ª"], vec!["1", "\u{301}", "Ⓐ", "Ⅷ"]),
            ("^\\p{Lu}\\p{Letter}*$", vec!["Éa"], vec!["éa", "Ⅷ"]),
            ("^\\P{L}$", vec!["1"], vec!["a"]),
            ("^[\\p{N}\\p{White_Space}]+$", vec!["1 ½٧"], vec!["a"]),
            ("^\\p{M}$", vec!["\u{301}"], vec!["a"]),
            ("a+?b*?c??", vec!["a"], vec!["b"]),
            ("^(((a)))$", vec!["a"], vec!["aa"]),
        ] {
            for text in yes {
                assert!(found(pattern, text), "{pattern} in {text:?}");
            }
            for text in no {
                assert!(!found(pattern, text), "{pattern} in {text:?}");
            }
        }
    }

    #[test]
    fn what_no_pattern_is_says_where_and_why() {
        for (pattern, at, why) in [
            ("(", 2, "a group is not closed"),
            ("a)", 2, "a group is closed that is not open"),
            ("[a", 3, "a class is not closed"),
            ("[b-a]", 5, "a range ends before it begins"),
            ("*a", 1, "there is nothing to repeat"),
            ("a|*", 3, "there is nothing to repeat"),
            ("^*", 2, "there is nothing to repeat"),
            ("a**", 3, "there is nothing to repeat"),
            ("a{", 2, "a brace begins a repetition as in {2} or {2,5}: write \\{ for the character"),
            ("a{,5}", 2, "a brace begins a repetition as in {2} or {2,5}: write \\{ for the character"),
            ("a{5,2}", 2, "a repetition ends before it begins"),
            ("a{1001}", 2, "a repetition is counted to 1000 at most"),
            ("a{99999999999999999999}", 2, "a repetition is counted to 1000 at most"),
            ("\\", 2, "a backslash stands before a character"),
            ("\\q", 2, "there is no such escape"),
            ("\\a", 2, "there is no such escape"),
            ("^\\S+\\Z", 6, "there is no such escape"),
            ("(a)\\1", 5, "references to groups are not taken"),
            ("(?<n>a)\\k<n>", 9, "references to groups are not taken"),
            ("a(?=b)", 3, "looking ahead or behind is not taken"),
            ("(?<!a)b", 2, "looking ahead or behind is not taken"),
            ("(?i)a", 2, "flags of groups are not taken"),
            ("(?<1>a)", 4, "a group's name is not complete"),
            ("\\x4", 3, "an escape is not complete"),
            ("\\ud800", 3, "an escape is not a character"),
            ("\\u{110000}", 3, "an escape is not a character"),
            ("\\01", 2, "there is no such escape"),
            ("\\c1", 3, "an escape is not complete"),
            (
                "\\p{Script=Greek}",
                3,
                "the properties that are taken are L, Lu, M, N, Alphabetic, Lowercase, Uppercase, White_Space, ASCII and Any",
            ),
            (
                "\\pL",
                3,
                "the properties that are taken are L, Lu, M, N, Alphabetic, Lowercase, Uppercase, White_Space, ASCII and Any",
            ),
        ] {
            let invalid = Pattern::parse(pattern).err().unwrap_or_else(|| panic!("{pattern} is read"));
            let message = format!("cannot be read as a pattern: at character {at}, {why}");
            assert_eq!((invalid.code, &*invalid.message), ("invalid_pattern", &*message), "{pattern}");
        }
        assert_eq!(Pattern::parse(&"a".repeat(1001)).unwrap_err().code, "too_long");
        assert!(Pattern::parse(&format!("{}{}", "(".repeat(20), ")".repeat(20))).is_ok());
        assert_eq!(Pattern::parse(&"(".repeat(1000)).unwrap_err().code, "invalid_pattern");
        for pattern in ["(a{1000}){1000}", "((a{0,100}){0,100}){0,100}", "(((a?){1000}){1000}){1000}"] {
            assert_eq!(Pattern::parse(pattern).unwrap_err().code, "too_complex", "{pattern}");
        }
        assert!(found("((((){1000}){1000}){1000}){1000}", ""), "what is empty is no more often");
    }

    #[test]
    fn no_pattern_takes_longer_than_its_steps() {
        let text = "a".repeat(20_000);
        for pattern in ["^(a+)+b$", "^(a|aa)*b$", "^(a*)*b$", "(.*)(.*)(.*)(.*)b", "(x+x+)+y"] {
            let mut effort = Effort::default();
            let found = Pattern::parse(pattern).unwrap().is_found_in(&text, &mut effort);
            assert_eq!(found, Ok(false), "{pattern}: {} steps are left", effort.left());
        }
        let wide = Pattern::parse("(a?){500}(a?){400}b").unwrap();
        assert_eq!(wide.is_found_in(&text, &mut Effort::default()).unwrap_err().code, "too_complex");
        let mut effort = Effort::default();
        let anchored = Pattern::parse("^b").unwrap();
        assert_eq!(anchored.is_found_in(&text, &mut effort), Ok(false));
        assert!(effort.left() > Effort::MAX - 10, "it ends where it fails");
    }

    /// A pattern of a small grammar, and the places where it may end from one place, by its meaning.
    #[derive(Debug, Clone)]
    enum Meant {
        Text(char),
        Any,
        Both(Box<Meant>, Box<Meant>),
        Either(Box<Meant>, Box<Meant>),
        Repeat(Box<Meant>, usize, usize),
    }

    impl Meant {
        fn written(&self) -> String {
            match self {
                Self::Text(c) => c.to_string(),
                Self::Any => ".".into(),
                Self::Both(a, b) => a.written() + &b.written(),
                Self::Either(a, b) => format!("(?:{}|{})", a.written(), b.written()),
                Self::Repeat(of, least, more) => format!("(?:{}){{{least},{}}}", of.written(), least + more),
            }
        }

        fn ends(&self, text: &[char], from: &[usize]) -> Vec<usize> {
            let mut ends: Vec<usize> = match self {
                Self::Text(c) => from.iter().filter(|at| text.get(**at) == Some(c)).map(|at| at + 1).collect(),
                Self::Any => from.iter().filter(|at| **at < text.len()).map(|at| at + 1).collect(),
                Self::Both(a, b) => b.ends(text, &a.ends(text, from)),
                Self::Either(a, b) => [a.ends(text, from), b.ends(text, from)].concat(),
                Self::Repeat(of, least, more) => {
                    let mut at = (0..*least).fold(from.to_vec(), |at, _| of.ends(text, &at));
                    for _ in 0..*more {
                        at.extend(of.ends(text, &at));
                    }
                    at
                }
            };
            ends.sort_unstable();
            ends.dedup();
            ends
        }
    }

    fn meant() -> impl Strategy<Value = Meant> {
        let leaf = prop_oneof![prop::sample::select(vec!['a', 'b', 'é']).prop_map(Meant::Text), Just(Meant::Any)];
        leaf.prop_recursive(4, 16, 2, |inner| {
            let pair = (inner.clone(), inner.clone()).prop_map(|(a, b)| (Box::new(a), Box::new(b)));
            prop_oneof![
                pair.clone().prop_map(|(a, b)| Meant::Both(a, b)),
                pair.prop_map(|(a, b)| Meant::Either(a, b)),
                (inner, 0usize..3, 0usize..3).prop_map(|(of, least, more)| Meant::Repeat(Box::new(of), least, more)),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_finds_what_it_means(meant in meant(), texts in prop::collection::vec("[abé]{0,8}", 6)) {
            for text in texts {
                let chars: Vec<char> = text.chars().collect();
                let whole = meant.ends(&chars, &[0]).contains(&chars.len());
                let all: Vec<usize> = (0..=chars.len()).collect();
                prop_assert_eq!(found(&format!("^(?:{})$", meant.written()), &text), whole, "{} {}", meant.written(), text);
                prop_assert_eq!(found(&meant.written(), &text), !meant.ends(&chars, &all).is_empty());
            }
        }

        #[test]
        fn no_text_breaks_the_reader(pattern in "\\PC{0,30}|[\\\\()\\[\\]{}|?*+^$.a0-9,:<=!pub-]{0,30}", text in "\\PC{0,20}") {
            if let Ok(pattern) = Pattern::parse(&pattern) {
                let _ = pattern.is_found_in(&text, &mut Effort::default());
            }
        }
    }
}
