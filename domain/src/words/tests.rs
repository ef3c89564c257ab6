use proptest::prelude::*;
use rusqlite::Connection;

use super::*;

/// Tags as the database makes them: of one letter and sixteen hexadecimal digits.
const OWN: &str = "z0123456789abcdef";
const OTHER: &str = "z0123456789abcdee";

/// An index with the words of two collections, tagged as the triggers do it.
struct Index(Connection);

impl Index {
    fn of(own: &[&str], others: &[&str]) -> Self {
        let db = Connection::open_in_memory().unwrap();
        let made = "CREATE VIRTUAL TABLE record_search USING fts5 (scope, words, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2')";
        db.execute(made, []).unwrap();
        for (number, tag, texts) in [(1, OWN, own), (2, OTHER, others)] {
            let words = of_texts(texts.iter().copied());
            assert!(words.chars().all(|letter| matches!(letter, '0'..='9' | 'a'..='z' | ' ')), "{words}");
            let sql = "INSERT INTO record_search (rowid, scope, words) SELECT ?1, NULL, ?2 || replace(?3, ' ', ' ' || ?2) WHERE ?3 <> ''";
            db.execute(sql, (number, tag, words)).unwrap();
        }
        Self(db)
    }

    fn found(&self, search: &str, tag: &str) -> Vec<i64> {
        let search = Search::parse(search).unwrap();
        if search.is_empty() {
            return Vec::new();
        }
        let sql = "SELECT rowid FROM record_search WHERE record_search MATCH ?1 ORDER BY rowid";
        let mut statement = self.0.prepare(sql).unwrap();
        statement.query_map([search.query(tag)], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    /// Whether a search finds the own record, and it alone.
    fn has(&self, search: &str) -> bool {
        let found = self.found(search, OWN);
        assert!(found.is_empty() || found == [1], "{search}: {found:?}");
        !found.is_empty()
    }

    /// Every token in it.
    fn tokens(&self) -> Vec<String> {
        self.0.execute_batch("CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab(main, record_search, row)").unwrap();
        let mut statement = self.0.prepare("SELECT term FROM temp.vocabulary").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }
}

fn found(text: &str, search: &str) -> bool {
    Index::of(&[text], &["zq red"]).has(search)
}

#[test]
fn words_are_found_whatever_their_case_accents_and_width() {
    for (text, search) in [
        ("Größe der Bäume", "große baume"),
        ("Déjà vu", "DEJA VU"),
        ("De\u{301}ja", "déja"),
        ("ΟΔΟΣ", "οδος"),
        ("İstanbul", "istanbul"),
        ("Ｃａｆé １２", "cafe 12"),
        ("ﬁne", "fine"),
        ("Ёлка", "елка"),
        ("हिन्दी भाषा", "हिन्दी"),
        ("שָׁלוֹם", "שלום"),
        ("مُحَمَّد", "محمد"),
        ("co\u{ad}operate", "cooperate"),
        ("한국어 사전", "한국*"),
        ("l'été", "ete"),
        ("pizza zz", "pizza zz"),
        ("name@mail.example", "example"),
        ("𝒳 42", "x 42"),
    ] {
        assert!(found(text, search), "{search} in {text}");
    }
    for (text, search) in [
        ("Größe", "grosse"),
        ("Baumhaus", "baum"),
        ("pizza", "piza"),
        ("pizza", "pizz"),
        ("haus baum", "baum haus wald"),
        ("한국어", "한국"),
        ("ß", "z2n"),
        ("ß", "2n"),
    ] {
        assert!(!found(text, search), "{search} in {text}");
    }
}

#[test]
fn any_part_of_a_text_without_blanks_is_found() {
    for (text, search) in [
        ("東京タワー", "東京"),
        ("東京タワー", "京タ"),
        ("東京タワー", "タワー"),
        ("東京タワー", "ー"),
        ("東京タワー", "東"),
        ("東京タワー", "東京タワー"),
        ("東京タワー", "東京*"),
        ("東京タワー 2020", "\"タワー 2020\""),
        ("東京2020年", "東京2020"),
        ("東京2020年", "\"東京2020年\""),
        ("がぎぐ", "か\u{3099}き\u{3099}"),
        ("ﾀﾜｰ", "タワー"),
        ("ภาษาไทย", "ไทย"),
        ("我爱北京天安门", "北京 天安门"),
        ("𠮷野家", "𠮷野"),
    ] {
        assert!(found(text, search), "{search} in {text}");
    }
    for (text, search) in [
        ("東京タワー", "京東"),
        ("東京タワー", "東タ"),
        ("東京 タワー", "\"京タ\""),
        ("東京", "東京タ"),
        ("京東", "東京"),
    ] {
        assert!(!found(text, search), "{search} in {text}");
    }
}

#[test]
fn phrases_and_beginnings() {
    for (search, expected) in [
        ("\"red car\"", true),
        ("\"car red\"", false),
        ("car red", true),
        ("\"red ca\"", false),
        ("\"red ca\"*", true),
        ("\"red ca*\"", false),
        ("gre*", true),
        ("g* r*", true),
        ("gre", false),
        ("gre *", false),
        // Of two texts none is behind the other.
        ("\"car green\"", false),
        ("\"red car", true),
        ("car\"red", true),
    ] {
        assert_eq!(Index::of(&["a red car", "green"], &["red car green"]).has(search), expected, "{search}");
    }
}

#[test]
fn a_search_without_a_word_finds_nothing() {
    for search in ["", " ", "*", "\"\"", "\"*\"", "-", "😀", "()", "\u{301}", "\u{0}", "*\""] {
        assert!(Search::parse(search).unwrap().is_empty(), "{search:?}");
    }
}

#[test]
fn words_are_bounded() {
    let (most, more) = ("a ".repeat(MAX_SEARCHED), "a ".repeat(MAX_SEARCHED + 1));
    assert!(Search::parse(&most).is_ok());
    assert_eq!(Search::parse(&more).unwrap_err().code, "too_many_words");
    assert_eq!(Search::parse(&format!("\"{more}\"")).unwrap_err().code, "too_many_words");
    assert!(Search::parse(&"東".repeat(66)).is_ok());

    let text = format!("{}last", "word ".repeat(MAX_WORDS - 1));
    assert!(of_texts([text.as_str(), "more"].into_iter()).ends_with(" last"));
    assert_eq!(of_texts(["a ".repeat(64_000).as_str()].into_iter()).split(' ').count(), MAX_WORDS);
    let long = "\u{fdf2}".repeat(15) + " ";
    for text in ["\u{fdfa}".repeat(43_000), long.repeat(9000), "東".repeat(43_000)] {
        assert!((1..=MAX_BYTES).contains(&of_texts([text.as_str()].into_iter()).len()));
    }
    let word = "a".repeat(100_000);
    assert_eq!(of_texts([word.as_str()].into_iter()).len(), 64);
    assert!(found(&word, &word) && found(&word, "aaa*"));
}

/// Texts of any kind: of few letters, so that words come again, and of whatever there is.
fn text() -> impl Strategy<Value = String> {
    let few = "[a-czéßΣя東京タ한हि्\\- \"*'.(]{0,24}";
    let syntax = prop::sample::select(vec![
        "AND",
        "OR",
        "NOT",
        "NEAR(a b, 2)",
        "words : a",
        "{words scope} : a",
        "- scope : a",
        "^a",
        "a + b",
        "\"a\"\"b\"",
        "z0123456789abcdeered",
        "z0123456789abcdee",
        "scope",
        "x6f",
        "a\u{0}b",
        "';--",
        "\u{feff}red",
    ]);
    prop_oneof![3 => few.prop_map(String::from), 2 => any::<String>(), 1 => syntax.prop_map(str::to_owned)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    /// Whatever is stored is found: by each of its words, by how each begins, and by any of its words in their order.
    #[test]
    fn what_is_stored_is_found(text in text(), other in text(), at in any::<prop::sample::Index>(), length in 1usize..5, cut in any::<prop::sample::Index>()) {
        let index = Index::of(&[&text, &other], &[&other]);
        let words: Vec<String> = runs(&text).iter().map(|run| run.letters.iter().collect()).collect();
        for word in &words {
            prop_assert!(index.has(word), "{word:?} of {text:?}");
            let letters: Vec<char> = word.chars().collect();
            let begin: String = letters[..=cut.index(letters.len())].iter().collect();
            prop_assert!(index.has(&format!("{begin}*")), "{begin:?} of {text:?}");
        }
        if !words.is_empty() {
            let from = at.index(words.len());
            let phrase = words[from..words.len().min(from + length)].join(" ");
            prop_assert!(index.has(&format!("\"{phrase}\"")), "{phrase:?} of {text:?}");
            let all = words.iter().take(MAX_SEARCHED).cloned().collect::<Vec<_>>().join(" ");
            // A single letter of a script without blanks is a beginning.
            let alone = |run: &&LetterRun| !run.is_spaced && run.letters.len() == 1;
            let searched = runs(&all);
            let beginnings: std::collections::HashSet<_> = searched.iter().filter(alone).map(|run| &run.letters).collect();
            if beginnings.len() > MAX_BEGINNINGS {
                prop_assert_eq!(Search::parse(&all).unwrap_err().code, "too_many_beginnings");
            } else {
                prop_assert!(index.has(&all), "{all:?}");
            }
        }
    }

    /// No search of few beginnings is an error, and none reaches what is behind another tag, whatever both say.
    #[test]
    fn no_search_is_an_error_or_reaches_another_tag(search in text(), own in text(), other in text()) {
        if let Err(invalid) = Search::parse(&search) {
            prop_assert_eq!(invalid.code, "too_many_beginnings");
            let beginnings = runs(&search).iter().filter(|run| run.starred || !run.is_spaced).count() + search.matches("\"*").count();
            prop_assert!(beginnings > MAX_BEGINNINGS, "{search:?}");
            return Ok(());
        }
        let index = Index::of(&[&own], &[&other]);
        prop_assert!(!index.found(&search, OWN).contains(&2), "{search:?}");
        prop_assert!(!index.found(&search, OTHER).contains(&1), "{search:?}");
        for token in index.tokens() {
            prop_assert!(token.starts_with(OWN) || token.starts_with(OTHER), "{token:?}");
        }
    }

    /// A word is spelt as no other, and begins as another if its letters do.
    #[test]
    fn spelling_keeps_letters_apart(one in "[a-zé東яßह𠮷0-9]{0,4}", other in "[a-zé東яßह𠮷0-9]{0,4}") {
        let of = |word: &str| spelt(word.chars().collect::<Vec<_>>().iter());
        prop_assert_eq!(of(&one) == of(&other), one == other);
        prop_assert_eq!(of(&one).starts_with(&of(&other)), one.starts_with(&other));
    }
}

#[test]
fn every_letter_has_a_spelling_of_its_own() {
    let letters: Vec<char> = ('\0'..'\u{40000}').filter(|letter| is_letter(*letter)).collect();
    let spellings: std::collections::HashSet<String> = letters
        .iter()
        .filter(|letter| !letter.is_ascii_uppercase())
        .map(|letter| spelt(std::iter::once(letter)))
        .collect();
    assert_eq!(spellings.len(), letters.len() - 26);
    assert!(!spellings.contains(NO_WORD));
    assert!(spellings.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())));
}
