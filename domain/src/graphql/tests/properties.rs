//! What holds for every document.

use apollo_parser::Parser;
use proptest::prelude::*;
use proptest::sample::select;

use super::generated::{documents, ignored, written};
use super::{normal_form, parse, tokens_of};
use crate::graphql::token_reader::significant_tokens;

/// Texts of tokens that are hardly ever a document.
fn soup(vocabulary: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(select(vocabulary), 0..most).prop_map(|words| words.join(" "))
}

/// Documents that are hardly ever alike, and hardly ever quite different.
fn small_documents() -> impl Strategy<Value = String> {
    let variable = select(vec!["$a:T", "$b:T", "$a:T=1", "$b:T=\"\"", "$b:T=\"\" $a:T", "$a:T $b:T", "$a:[T] $b:T!"]);
    let selection = select(vec![
        "a",
        "b",
        "a b",
        "b a",
        "a:b",
        "a,b",
        "a(b:1)",
        "a(b:1.0)",
        "a(b:[1 2])",
        "a(b:[12])",
        "a(b:\"1 2\")",
        "a(b:\"1  2\")",
        "a(b:\"\"\"1\n 2\"\"\")",
        "a(b:\"\"\"1\n  2\"\"\")",
        "...F",
        "... on F{a}",
        "...{a}",
        "a@b",
        "a @b",
    ]);
    (variable, selection)
        .prop_map(|(variable, selection)| format!("query ({variable}) {{ {selection} }} fragment F on T {{a}}"))
}

const WORDS: &[&str] = &[
    "query",
    "mutation",
    "fragment",
    "on",
    "F",
    "a",
    "b",
    "{",
    "}",
    "{",
    "}",
    "{ a }",
    "(",
    ")",
    "[",
    "]",
    "...",
    "...F",
    "$",
    "$a",
    "a:",
    ":",
    "=",
    "@",
    "@a",
    "!",
    "&",
    "|",
    "1",
    "-2.5e3",
    "\"a\"",
    "\"\"\"b\"\"\"",
    "\"\"",
    "null",
    "fragment F on T { a }",
    "(a: 1)",
    "($a: T)",
    "type",
    "extend",
    ",",
    "#c\n",
];
/// Without arguments, whose names `apollo-parser` takes without values too, and strings, which it takes before fragments.
const WORDS_OF_SELECTIONS: &[&str] = &[
    "query",
    "mutation",
    "subscription",
    "fragment F",
    "on",
    "on T",
    "a",
    "{",
    "}",
    "{",
    "}",
    "{ a",
    "a }",
    "...",
    "... on",
    ":",
    "@",
    "a",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn ignored_tokens_and_the_order_of_variables_do_not_change_the_normal_form(
        document in documents(), some in ignored(), others in ignored(), order in 0..12_usize
    ) {
        let (text, same) = (written(&document, &some, 0), written(&document, &others, order));
        prop_assert_eq!(normal_form(&text), normal_form(&same));
    }

    #[test]
    fn a_normal_form_is_its_own(document in documents(), ignored in ignored(), order in 0..12_usize) {
        let form = normal_form(&written(&document, &ignored, order));
        prop_assert_eq!(normal_form(&form), form);
    }

    #[test]
    fn a_normal_form_has_the_tokens_of_its_document(document in documents(), ignored in ignored(), order in 0..12_usize) {
        let text = written(&document, &ignored, order);
        let form = normal_form(&text);
        prop_assert_eq!(tokens_of(&form), tokens_of(&text));
        prop_assert!(form.len() <= text.len() + tokens_of(&text).len());
    }

    #[test]
    fn an_operation_is_the_same_in_the_normal_form(document in documents(), ignored in ignored()) {
        let text = written(&document, &ignored, 1);
        let form = normal_form(&text);
        let (document, normal) = (parse(&text).unwrap(), parse(&form).unwrap());
        let (a, b) = (document.operation(Some("Q")).unwrap(), normal.operation(Some("Q")).unwrap());
        prop_assert_eq!((a.kind, a.depth, a.fields, a.aliases), (b.kind, b.depth, b.fields, b.aliases));
        prop_assert!(a.depth <= a.fields && a.aliases <= a.fields);
    }

    #[test]
    fn documents_of_different_tokens_have_different_normal_forms(
        a in prop_oneof![small_documents(), documents().prop_map(|document| written(&document, &[" "], 0))],
        b in prop_oneof![small_documents(), documents().prop_map(|document| written(&document, &[","], 1))],
        removed in any::<prop::sample::Index>(),
    ) {
        prop_assert_eq!(normal_form(&a) == normal_form(&b), tokens_of(&a) == tokens_of(&b));
        let mut fewer = significant_tokens(&a).unwrap();
        let at = removed.index(fewer.len());
        fewer.remove(at);
        let fewer = fewer.join("\n");
        if let Ok(other) = parse(&fewer) {
            prop_assert_eq!(other.normal_form() == normal_form(&a), tokens_of(&fewer) == tokens_of(&a));
        }
    }

    #[test]
    fn what_is_taken_is_a_document_for_another_parser(document in documents(), ignored in ignored(), soup in soup(WORDS, 12)) {
        for text in [written(&document, &ignored, 1), soup] {
            if let Ok(document) = parse(&text) {
                let form = document.normal_form();
                prop_assert_eq!(Parser::new(&form).parse().errors().len(), 0, "{}", form);
            }
        }
    }

    #[test]
    fn what_another_parser_takes_is_taken(text in soup(WORDS_OF_SELECTIONS, 14)) {
        let is_refused = parse(&text).is_err_and(|error| error.code == "syntax");
        prop_assert_eq!(Parser::new(&text).parse().errors().len() > 0, is_refused, "{}", text);
    }

    #[test]
    fn no_text_breaks_the_reader(
        text in prop_oneof!["\\PC{0,40}", "[{}()\\[\\]\"\\\\u0-9a-fD:.$\r\n#,!-]{0,40}", any::<String>(), soup(WORDS, 40)]
    ) {
        if let Ok(document) = parse(&text) {
            let form = document.normal_form();
            prop_assert_eq!(tokens_of(&form), tokens_of(&text));
            prop_assert_eq!(normal_form(&form), form);
        }
    }
}
