//! The words of texts: as the full-text index holds them, and as a search asks for them.
//!
//! Invariants
//! - Words are made in one way, whether they are stored or asked for: letters are compared without case, accents, points
//!   and width, and whatever is no letter and no digit stands between two words.
//! - Scripts without blanks (Chinese, Japanese, Thai and their like) have no such words. Each of their letters makes one
//!   together with the next, so that any part of a text is found.
//! - A word is ASCII letters and digits, whatever it was, and so is a tag: no tokenizer divides the two, and a word that
//!   is asked for behind a tag is found behind that tag only.
//! - Spelt so, one word begins with another if its letters do.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::error::Invalid;

/// Most words of a record: those behind them are not found.
pub const MAX_WORDS: usize = 20_000;
/// Most bytes of a record's words.
pub const MAX_BYTES: usize = 512 * 1024;
/// What is spelt as no word is: a search that is to find nothing asks for it.
pub const NO_WORD: &str = "z";
/// Letters of a word that count.
const MAX_LETTERS: usize = 64;
/// Most words of a search.
pub const MAX_SEARCHED: usize = 32;
/// Most beginnings of a search: each of them has the index put together what is found behind all words that begin so.
pub const MAX_BEGINNINGS: usize = 4;

/// The words of a record's texts, a space between two, and another one between two texts, across which there is no phrase.
pub fn of_texts<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    let (mut words, mut left) = (String::new(), MAX_WORDS);
    for text in texts {
        let mut gap = if words.is_empty() { "" } else { "  " };
        for run in runs(text) {
            for word in run.words() {
                if left == 0 || words.len() + gap.len() + word.len() > MAX_BYTES {
                    return words;
                }
                words.push_str(gap);
                words.push_str(&word);
                (gap, left) = (" ", left - 1);
            }
        }
    }
    words
}

/// What a search asks for: all of its phrases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search(Vec<Phrase>);

/// Words one behind the other.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Phrase {
    words: Vec<String>,
    /// Whether the last word may go on.
    goes_on: bool,
}

impl Search {
    /// Reads a search: words, phrases in double quotes, and beginnings with a `*` behind them; what stands there again is
    /// asked for once. Nothing in it is an error but more than [`MAX_SEARCHED`] words or [`MAX_BEGINNINGS`] beginnings.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let parts: Vec<&str> = text.split('"').collect();
        let (mut phrases, mut words) = (Vec::<Phrase>::new(), 0);
        for (i, part) in parts.iter().enumerate() {
            let mut found = runs(part);
            words += found.len();
            if words > MAX_SEARCHED {
                return Err(Invalid::new("too_many_words", format!("must have at most {MAX_SEARCHED} words")));
            }
            // What is behind the last quote is in none.
            match parts.get(i + 1) {
                Some(next) if i % 2 == 1 => {
                    if let Some(last) = found.last_mut() {
                        last.starred = next.starts_with('*');
                    }
                    phrases.extend(Phrase::of(&found));
                }
                _ => phrases.extend(found.iter().filter_map(|run| Phrase::of(std::slice::from_ref(run)))),
            }
        }
        let mut distinct = Vec::<Phrase>::new();
        for phrase in phrases {
            if !distinct.contains(&phrase) {
                distinct.push(phrase);
            }
        }
        if distinct.iter().filter(|phrase| phrase.goes_on).count() > MAX_BEGINNINGS {
            let message = format!(
                "must have at most {MAX_BEGINNINGS} beginnings: words with a * behind them, or single letters of a script without blanks"
            );
            return Err(Invalid::new("too_many_beginnings", message));
        }
        Ok(Self(distinct))
    }

    /// Whether it has no words: nothing is found by it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The query of FTS5 that finds the words behind a tag.
    pub fn query(&self, tag: &str) -> String {
        let phrase = |phrase: &Phrase| {
            let words: Vec<String> = phrase.words.iter().map(|word| format!("{tag}{word}")).collect();
            format!("\"{}\"{}", words.join(" "), if phrase.goes_on { " *" } else { "" })
        };
        self.0.iter().map(phrase).collect::<Vec<_>>().join(" AND ")
    }
}

impl Phrase {
    fn of(runs: &[LetterRun]) -> Option<Self> {
        let mut words: Vec<String> = runs.iter().flat_map(LetterRun::words).collect();
        let last = runs.last()?;
        let mut goes_on = last.starred;
        if !last.is_spaced {
            // The last letter alone says that the text ends here, which a search does not.
            goes_on = last.letters.len() == 1;
            if !goes_on {
                words.pop();
            }
        }
        Some(Self { words, goes_on })
    }
}

/// Letters and digits one behind the other, of scripts with blanks or of scripts without.
#[derive(Debug)]
struct LetterRun {
    letters: Vec<char>,
    is_spaced: bool,
    /// Whether a `*` follows.
    starred: bool,
}

impl LetterRun {
    /// Its words: itself; or each letter with the next, and the last one alone.
    fn words(&self) -> Vec<String> {
        if self.is_spaced {
            return vec![spelt(self.letters.iter().take(MAX_LETTERS))];
        }
        (0..self.letters.len()).map(|at| spelt(self.letters.iter().skip(at).take(2))).collect()
    }
}

/// The runs of a text.
fn runs(text: &str) -> Vec<LetterRun> {
    let (mut runs, mut is_open) = (Vec::<LetterRun>::new(), false);
    for letter in folded(text) {
        if !is_letter(letter) {
            if let Some(last) = runs.last_mut().filter(|_| is_open && letter == '*') {
                last.starred = true;
            }
            is_open = false;
            continue;
        }
        let is_spaced = has_blanks(letter);
        match runs.last_mut() {
            Some(last) if is_open && last.is_spaced == is_spaced => last.letters.push(letter),
            _ => runs.push(LetterRun { letters: vec![letter], is_spaced, starred: false }),
        }
        is_open = true;
    }
    runs
}

/// The letters of a text as they are compared.
fn folded(text: &str) -> impl Iterator<Item = char> {
    let plain = text.nfkd().filter(|letter| !is_accent(*letter)).nfc();
    plain.flat_map(char::to_lowercase).map(|letter| if letter == 'ς' { 'σ' } else { letter })
}

/// What is written over, under or between letters and does not count: accents, the points of Hebrew and Arabic, soft
/// hyphens, selectors of variants.
fn is_accent(letter: char) -> bool {
    matches!(letter, '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}' | '\u{5c2}' | '\u{5c4}' | '\u{5c5}' | '\u{5c7}'
        | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{ad}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Whether a word may have it. Behind the third plane there are no letters.
fn is_letter(letter: char) -> bool {
    letter < '\u{40000}' && (letter.is_alphanumeric() || is_combining_mark(letter))
}

/// Whether its script sets blanks between words.
fn has_blanks(letter: char) -> bool {
    // Thai, Lao, Tibetan; Burmese; Khmer; ideographs and kana; more Burmese; ideographs of later planes.
    !matches!(letter, '\u{e00}'..='\u{fff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{2e80}'..='\u{312f}' | '\u{31a0}'..='\u{31ff}' | '\u{3400}'..='\u{9fff}' | '\u{a9e0}'..='\u{a9ff}'
        | '\u{aa60}'..='\u{aa7f}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Letters spelt in ASCII. How one begins says where it ends, so that no two texts have the same spelling.
fn spelt<'l>(letters: impl Iterator<Item = &'l char>) -> String {
    /// Codes of two digits behind the `z`: up to the Cyrillic letters.
    const SHORT: u32 = 29 * 36;
    let digit = |value: u32| char::from_digit(value % 36, 36).unwrap_or('0');
    let mut word = String::new();
    for letter in letters {
        match letter {
            '0'..='9' | 'a'..='y' => word.push(*letter),
            'z' => word.push_str("zz"),
            _ => {
                let code = u32::from(*letter).saturating_sub(0x80);
                word.push('z');
                if code < SHORT {
                    word.extend([digit(code / 36), digit(code)]);
                } else {
                    let code = code - SHORT;
                    word.extend([digit(29 + code / 46_656), digit(code / 1296), digit(code / 36), digit(code)]);
                }
            }
        }
    }
    word
}

#[cfg(test)]
mod tests;
