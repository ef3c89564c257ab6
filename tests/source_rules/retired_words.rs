use std::collections::BTreeSet;
use std::sync::OnceLock;

use crate::declared::{Declarations, Kind};
use crate::none;
use crate::source::{SourceFile, files_in, read};
use crate::tokens::Token;

/// Where a word is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Inside any name, in documentation, comments, texts and documents.
    Anywhere,
    /// Inside any name: `trail` in `trailOf`, `the_trail`, `Trail`. Sentences may use the word.
    Names,
    /// As the name of a type.
    Types,
    /// As the name of a module, a file of Rust or a macro.
    Modules,
    /// As a phrase in documentation, comments, texts and documents.
    Sentences,
}

use Place::{Anywhere, Modules, Names, Sentences, Types};

/// A word that only this project ever used so.
struct Retired {
    /// Its parts in lower case: `left behind` is also `left_behind` and `LeftBehind`.
    word: &'static str,
    instead: &'static str,
    places: &'static [Place],
}

/// Words that were used here for what has a name in the field.
const RETIRED: &[Retired] = &[
    // Requests and responses.
    Retired { word: "walk", instead: "RequestContext", places: &[Names] },
    Retired { word: "trail", instead: "ResponseMeta", places: &[Names] },
    Retired { word: "door", instead: "RouteMatch", places: &[Types, Modules] },
    Retired { word: "doors", instead: "RouteMatch", places: &[Types, Modules] },
    Retired { word: "doorstep", instead: "SessionContext", places: &[Anywhere] },
    Retired { word: "entrance", instead: "TenantSource", places: &[Types, Modules] },
    Retired { word: "lobby", instead: "LoginContext", places: &[Anywhere] },
    Retired { word: "border", instead: "cross_tenant_audit", places: &[Types, Modules] },
    Retired { word: "answer", instead: "Response", places: &[Types, Modules] },
    Retired { word: "answered", instead: "Result<T, Problem>", places: &[Types, Modules] },
    Retired { word: "asked", instead: "ListParams", places: &[Types, Modules] },
    Retired { word: "call", instead: "Request", places: &[Types, Modules] },
    // The hub.
    Retired { word: "awake", instead: "HubState", places: &[Types, Modules] },
    Retired { word: "reach", instead: "SubscriptionIndex", places: &[Types, Modules] },
    Retired { word: "reached", instead: "Subscription", places: &[Types, Modules] },
    Retired { word: "sieve", instead: "RecordFilters", places: &[Anywhere] },
    Retired { word: "looks", instead: "CacheStats", places: &[Types, Modules] },
    Retired { word: "spread", instead: "fan-out", places: &[Names] },
    Retired { word: "surge", instead: "burst", places: &[Names] },
    Retired { word: "lull", instead: "debounce", places: &[Anywhere] },
    Retired { word: "standing", instead: "tenant_state", places: &[Names] },
    Retired { word: "unheeded", instead: "HubError", places: &[Anywhere] },
    Retired { word: "hub's word", instead: "grant", places: &[Sentences] },
    // Who asks.
    Retired { word: "prove member", instead: "authenticate", places: &[Names] },
    Retired { word: "prove operator", instead: "authenticate", places: &[Names] },
    Retired { word: "proves nobody", instead: "is not valid", places: &[Sentences] },
    Retired { word: "presented", instead: "Credentials", places: &[Types, Modules] },
    Retired { word: "keyed", instead: "IdempotencyKey", places: &[Types, Modules] },
    Retired { word: "pending", instead: "IdempotentCreate", places: &[Types] },
    Retired { word: "made", instead: "IdempotentCreate", places: &[Types] },
    Retired { word: "desk", instead: "sign_in", places: &[Names] },
    Retired { word: "work", instead: "PasswordHashing", places: &[Types, Modules] },
    Retired { word: "outside", instead: "outbound_oidc", places: &[Types, Modules] },
    Retired { word: "mailed", instead: "email_token", places: &[Types, Modules] },
    Retired { word: "memory", instead: "sealed_cache", places: &[Types, Modules] },
    Retired { word: "meter", instead: "cache_stats", places: &[Types, Modules] },
    Retired { word: "left behind", instead: "stale", places: &[Names] },
    // Records and storage.
    Retired { word: "deed", instead: "audit entry", places: &[Anywhere] },
    Retired { word: "deeds", instead: "audit entries", places: &[Anywhere] },
    Retired { word: "kept", instead: "cached", places: &[Types, Modules] },
    Retired { word: "sought", instead: "search", places: &[Anywhere] },
    Retired { word: "words", instead: "terms", places: &[Types] },
    Retired { word: "moment", instead: "timestamp", places: &[Types, Modules] },
    Retired { word: "rows", instead: "records, row_types", places: &[Modules] },
    // Sentences that say nothing to a stranger.
    Retired { word: "in vain", instead: "that it failed", places: &[Sentences] },
    Retired { word: "which is none", instead: "what is wrong, and what would be right", places: &[Sentences] },
    Retired { word: "as many as there may be", instead: "which limit is reached", places: &[Sentences] },
    // Tests.
    Retired { word: "curtain", instead: "test admin worker", places: &[Anywhere] },
    Retired { word: "party", instead: "Fixture", places: &[Types, Modules] },
    Retired { word: "plant", instead: "seed", places: &[Names] },
    Retired { word: "way", instead: "redirect_flow", places: &[Types, Modules] },
    Retired { word: "word", instead: "id_token_claims", places: &[Types, Modules] },
    Retired { word: "house", instead: "source_rules", places: &[Types, Modules] },
];

/// The parts of a name: `left_behind`, `LEFT_BEHIND` and `LeftBehind` are `left` and `behind`.
fn parts(name: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let (mut is_inside, mut was_lower) = (false, false);
    for c in name.chars() {
        if c.is_alphanumeric() {
            if !is_inside || was_lower && c.is_uppercase() {
                parts.push(String::new());
            }
            if let Some(part) = parts.last_mut() {
                part.extend(c.to_lowercase());
            }
        }
        (is_inside, was_lower) = (c.is_alphanumeric(), c.is_lowercase() || c.is_numeric());
    }
    parts
}

/// The retired words, taken apart.
fn words() -> &'static [(Vec<String>, &'static Retired)] {
    static WORDS: OnceLock<Vec<(Vec<String>, &'static Retired)>> = OnceLock::new();
    WORDS.get_or_init(|| RETIRED.iter().map(|retired| (parts(retired.word), retired)).collect())
}

fn holds(parts: &[String], word: &[String]) -> bool {
    parts.windows(word.len()).any(|window| window == word)
}

/// What is told of one file: the line, the word, and what to say instead.
type Faults = BTreeSet<(usize, &'static str, &'static str)>;

/// Names of a kind, each with its line.
fn in_names<'n>(names: impl Iterator<Item = (&'n str, usize)>, place: Place, faults: &mut Faults) {
    let is_whole = matches!(place, Types | Modules);
    for (name, line) in names {
        let parts = parts(name);
        for (word, retired) in words() {
            let is_here = retired.places.contains(&place) || !is_whole && retired.places.contains(&Anywhere);
            if is_here && if is_whole { parts == *word } else { holds(&parts, word) } {
                faults.insert((line, retired.word, retired.instead));
            }
        }
    }
}

/// Sentences, line by line. What stands in backticks is names too.
fn in_sentences<'t>(lines: impl Iterator<Item = (&'t str, usize)>, faults: &mut Faults) {
    let mut words: Vec<(String, usize)> = Vec::new();
    for (text, line) in lines {
        let goes_on = words.last().is_none_or(|(_, last)| last + 1 >= line);
        words.extend((!goes_on).then(|| (String::new(), line)));
        words.extend(parts(text).into_iter().map(|part| (part, line)));
        in_names(text.split('`').skip(1).step_by(2).map(|code| (code, line)), Names, faults);
    }
    let (words, lines): (Vec<String>, Vec<usize>) = words.into_iter().unzip();
    for (word, retired) in self::words() {
        if !retired.places.iter().any(|place| matches!(place, Anywhere | Sentences)) {
            continue;
        }
        let found = words.windows(word.len()).zip(&lines).filter(|(window, _)| *window == word.as_slice());
        faults.extend(found.map(|(_, line)| (*line, retired.word, retired.instead)));
    }
}

/// What a file of Rust says: its name, the names in it, its comments and texts.
fn in_rust(file: &SourceFile) -> Faults {
    let mut faults = Faults::new();
    let module = file.path.trim_end_matches(".rs").trim_end_matches("/mod");
    in_names(module.rsplit('/').take(1).map(|name| (name, 1)), Modules, &mut faults);
    for declared in Declarations::of(file).names {
        let place = if declared.kind == Kind::Type { Types } else { Modules };
        in_names(std::iter::once((declared.name.as_str(), declared.line)), place, &mut faults);
    }
    for (token, line) in &file.tokens {
        match token {
            Token::Word(name) => in_names(std::iter::once((name.as_str(), *line)), Names, &mut faults),
            Token::Text(text) => {
                in_sentences(text.lines().map(|text| (text, *line)), &mut faults);
                let is_name = text.contains('_') && text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                in_names(is_name.then_some((text.as_str(), *line)).into_iter(), Names, &mut faults);
            }
            Token::Number(_) | Token::Mark(_) => {}
        }
    }
    in_sentences(file.comments.iter().map(|(text, line)| (text.as_str(), *line)), &mut faults);
    faults
}

fn in_document(text: &str) -> Faults {
    let mut faults = Faults::new();
    in_sentences(text.lines().zip(1..), &mut faults);
    faults
}

/// Every retired word of the project, file by file.
fn retired_words() -> Vec<String> {
    let mut all = Vec::new();
    let own = "tests/source_rules/retired_words.rs";
    let folders = ["domain/src", "src", "tests", "bench", "fuzz/src", "idna_adapter/src"];
    let rust = folders.into_iter().flat_map(|folder| files_in(folder, ".rs")).filter(|path| path != own);
    all.extend(rust.map(|path| (in_rust(&SourceFile::of(&path, &read(&path))), path)));
    let documents = [files_in("docs", ".md"), files_in("src", ".js"), files_in("src", ".html")].concat();
    let documents =
        documents.into_iter().chain(["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"].map(str::to_owned));
    all.extend(documents.map(|path| (in_document(&read(&path)), path)));
    let told = all.iter().flat_map(|(faults, path)| {
        faults.iter().map(move |(line, word, instead)| format!("{path}:{line} says `{word}`; the field says {instead}"))
    });
    told.collect()
}

#[test]
fn no_retired_word_is_used() {
    none("words of a private dialect", &retired_words());
}

/// `cargo test --test source_rules retired_words -- --ignored --nocapture` prints how often each word is left.
#[test]
#[ignore = "a report, not a rule"]
fn report_of_retired_words() {
    let all = retired_words();
    for retired in RETIRED {
        let says = format!("says `{}`;", retired.word);
        println!("{:6} {}", all.iter().filter(|fault| fault.contains(&says)).count(), retired.word);
    }
    println!("{:6} together", all.len());
}

#[test]
fn a_retired_word_is_found_where_it_is_looked_for() {
    let words = |path: &str, text: &str| -> Vec<(usize, &str)> {
        in_rust(&SourceFile::of(path, text)).into_iter().map(|(line, word, _)| (line, word)).collect()
    };
    let refused = [
        ("fn f(walk: u8) {}", "walk"),
        ("struct TenantWalk;", "walk"),
        ("const LEFT_BEHIND: u8 = 1;", "left behind"),
        ("fn leftBehind() {}", "left behind"),
        ("const A: &str = \"left_behind\";", "left behind"),
        ("/// See `left_behind`.\nfn f() {}", "left behind"),
        ("rows! { struct DeedRow { a: u8 } }", "deed"),
        ("/// Writes the deed.\nfn f() {}", "deed"),
        ("fn f() {\n    // Writes deeds.\n}", "deeds"),
        ("const A: &str = \"a change and its deed\";", "deed"),
        ("enum Asked { A }", "asked"),
        ("type Answered<T> = Result<T, u8>;", "answered"),
        ("mod looks;", "looks"),
        ("macro_rules! rows { () => {} }", "rows"),
        ("/// It waits in\n/// vain.\nfn f() {}", "in vain"),
        ("const A: &str = \"looks for a text in {}, which is none\";", "which is none"),
        ("/// Its hub's word.\nfn f() {}", "hub's word"),
    ];
    for (text, word) in refused {
        assert!(words("src/a.rs", text).iter().any(|(_, found)| *found == word), "{text}");
    }
    assert_eq!(words("src/hub/looks.rs", ""), [(1, "looks")]);
    assert_eq!(words("src/rows/mod.rs", ""), [(1, "rows")]);
    assert_eq!(words("src/a.rs", "\n\nfn f() { g(\n  desk) }"), [(4, "desk")]);
    let found = in_document("# A\n\nWho stands at the lobby, in\nvain.\n\n`tenant_walk`\n");
    let found: Vec<_> = found.into_iter().map(|(line, word, _)| (line, word)).collect();
    assert_eq!(found, [(3, "in vain"), (3, "lobby"), (6, "walk")]);
}

#[test]
fn ordinary_english_is_not_refused() {
    let passes = [
        "/// A deploy leaves nothing left behind; the walk over a list is a trail of pages.\nfn f() {}",
        "/// Who asked is answered; it looks as if the hub is awake and keeps its word, standing.\nfn f() {}",
        "// In the list.\n\n// Vain.\nfn f(asked: u8, answered: u8) { let pending = asked; }",
        "const A: &str = \"The rows that were kept, and the words in them\"; struct Rows; struct KeptList;",
        "fn f(indeed: u8, airport: u8, walking_boots: u8) {} enum Answers { Spreadsheet }",
        "fn rows() {} fn reach() { memory.rows() } fn call(word: &str) -> Row {}",
        "const A: &str = \"spread, surge, walk\"; // plant",
    ];
    for text in passes {
        assert_eq!(in_rust(&SourceFile::of("src/a.rs", text)), Faults::new(), "{text}");
    }
    assert_eq!(in_document("What is left behind is deleted. `list` spreads. A walk-through."), Faults::new());
}

#[test]
fn the_list_says_each_word_once_and_how_to_say_it() {
    let words: BTreeSet<&str> = RETIRED.iter().map(|retired| retired.word).collect();
    assert_eq!(words.len(), RETIRED.len());
    for retired in RETIRED {
        assert!(!retired.instead.is_empty() && !retired.places.is_empty(), "{}", retired.word);
        assert_eq!(retired.word, retired.word.to_lowercase(), "{}", retired.word);
    }
}
