//! Texts that somebody writes to make a reader slow or its stack too short.

use super::{parse, tokens_of};
use crate::graphql::{DocumentLimits, GraphqlDocument};

/// Texts that would be slow or deep for a reader that is not careful, and what each is refused for.
fn hostile(n: usize) -> Vec<(&'static str, String, Option<&'static str>)> {
    let many = |text: &str| text.repeat(n);
    vec![
        ("open braces", many("{"), Some("syntax")),
        ("nested fields", many("{a") + &many("}"), Some("too_nested")),
        ("nested inline fragments", many("{...") + "{a}" + &many("}"), Some("too_nested")),
        ("nested lists", format!("{{a(b:{}{})}}", many("["), many("]")), Some("too_nested")),
        ("nested objects", format!("{{a(b:{}1{})}}", many("{c:"), many("}")), Some("too_nested")),
        ("nested types", format!("query($a:{}T{}){{a}}", many("["), many("]")), Some("too_nested")),
        ("closing braces", format!("{{a{}", many("}")), Some("syntax")),
        ("aliases", format!("{{{}}}", many("a:b ")), None),
        ("arguments", format!("{{a({})}}", many("b:1 ")), None),
        ("directives", format!("{{a{}}}", many("@b")), None),
        ("bangs", format!("query($a:T{}){{a}}", many("!")), Some("syntax")),
        ("a long string", format!("{{a(b:\"{}\")}}", many("é")), None),
        ("an open string", format!("{{a(b:\"{}", many("é")), Some("syntax")),
        ("escapes", format!("{{a(b:\"{}\")}}", many("\\u{1F600}\\uD83D\\uDE00")), None),
        ("a long escape", format!("{{a(b:\"\\u{{{}}}\")}}", many("0")), None),
        ("a block string", format!("{{a(b:\"\"\"{}\"\"\")}}", many("\r\n \\\"\"\" \"\" \\ ")), None),
        ("an open block string", format!("{{a(b:\"\"\"{}", many("\\\"\"\"")), Some("syntax")),
        ("empty strings", format!("{{a(b:[{}])}}", many("\"\",")), None),
        ("carriage returns", many("\r") + "{a}", None),
        ("byte order marks", many("\u{feff}") + "{a}", None),
        ("comments", many("#{\r") + "{a}", None),
        ("commas", many(",") + "{a" + &many(",") + ":b}", None),
        ("nothing else", many(" "), Some("syntax")),
        ("variables", format!("query({}){{a}}", (0..n).map(|n| format!("$v{n}:T=1 ")).collect::<String>()), None),
        ("one variable", format!("query({}){{a}}", many("$a:T")), Some("duplicate_variable")),
        ("operations", (0..n).map(|n| format!("query Q{n}{{a}}")).collect(), None),
        ("anonymous operations", many("{a}"), Some("anonymous_operation")),
        ("one operation", many("query Q{a}"), Some("duplicate_operation")),
        ("one fragment", "{a}".to_owned() + &many("fragment F on T{a}"), Some("duplicate_fragment")),
        ("a fragment spread often", format!("{{{}}} fragment F on T{{{}}}", many("...F "), many("a ")), None),
        ("a fragment of itself", format!("{{a}} fragment F on T{{{}}}", many("...F ")), Some("fragment_cycle")),
        ("unknown fragments", format!("{{{}}}", many("...F ")), Some("unknown_fragment")),
        ("digits", format!("{{a(b:{})}}", many("9")), None),
        ("a long name", format!("{{{}}}", many("a")), None),
        ("zeros", format!("{{a(b:{})}}", many("0")), Some("syntax")),
        ("types", many("type T{a:T}"), Some("not_executable")),
    ]
}

#[test]
fn hostile_texts_are_read_or_refused() {
    let wide = DocumentLimits { bytes: usize::MAX, tokens: usize::MAX, nesting: 1_000_000 };
    for (what, text, refused) in hostile(30_000) {
        let outcome = GraphqlDocument::parse(&text, &wide).map(|document| document.normal_form());
        assert_eq!(outcome.as_ref().err().map(|error| error.code), refused, "{what}");
        if let Ok(form) = outcome {
            assert_eq!(tokens_of(&form), tokens_of(&text), "{what}");
        }
        let error = parse(&text).err().map(|error| error.code);
        assert!(
            matches!(error, Some("too_long" | "too_many_tokens" | "too_nested" | "syntax") | None) || error == refused,
            "{what}"
        );
    }
}

#[test]
fn the_deepest_document_fits_on_a_stack_of_wasm() {
    let n = DocumentLimits::MAX_NESTING;
    let limits = DocumentLimits { nesting: usize::MAX, ..DocumentLimits::default() };
    for (text, more) in [
        ("{a".repeat(n) + &"}".repeat(n), "{a".repeat(n + 1) + &"}".repeat(n + 1)),
        ("{...".repeat(n - 1) + "{a}" + &"}".repeat(n - 1), "{...".repeat(n) + "{a}" + &"}".repeat(n)),
        (
            format!("{{a(b:{}{})}}", "[".repeat(n - 2), "]".repeat(n - 2)),
            format!("{{a(b:{}{})}}", "{a:".repeat(n - 1), "}".repeat(n - 1)),
        ),
    ] {
        let read = move || {
            let form = GraphqlDocument::parse(&text, &limits).unwrap().normal_form();
            assert_eq!(form, text);
            assert_eq!(GraphqlDocument::parse(&more, &limits).unwrap_err().code, "too_nested");
        };
        std::thread::Builder::new().stack_size(1024 * 1024).spawn(read).unwrap().join().unwrap();
    }
}
