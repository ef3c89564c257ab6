//! GraphQL documents and variables: no text breaks their readers, and what shares a key has one meaning. A normal form is
//! a document with the tokens of the one that it stands for, but for the order of variables, and canonical variables are the
//! same JSON. libFuzzer ends a case that takes too long.
#![no_main]

use carillon_fuzz::graphql_tokens::{in_variable_order, significant_tokens};
use domain::graphql::{DocumentLimits, GraphqlDocument, OperationLimits, canonical_variables};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// What a text is made of; a number beyond them is a text of its own.
const WORDS: [&str; 32] = [
    "{",
    "}",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "...",
    "...",
    "on ",
    "query ",
    "mutation ",
    "fragment ",
    "fragment F on T{",
    "a ",
    "b:",
    "F ",
    "__schema",
    "$",
    "$a:T",
    "=",
    "@",
    "!",
    "1",
    "-2.5e3",
    "\"",
    "\"\"\"",
    "\\",
    " ",
    ",",
    "\r\n#",
];

fn normal_form(text: &str) -> Option<String> {
    let document = GraphqlDocument::parse(text, &DocumentLimits::default()).ok()?;
    if let Ok(operation) = document.operation(None) {
        assert!(operation.depth <= operation.fields && operation.aliases <= operation.fields);
        let _ = operation.check(&OperationLimits::default());
    }
    Some(document.normal_form())
}

fn check_document(text: &str) {
    let Some(form) = normal_form(text) else { return };
    let tokens = significant_tokens(text).unwrap();
    let tokens_of_form = significant_tokens(&form).unwrap();
    assert_eq!(in_variable_order(&tokens), in_variable_order(&tokens_of_form));
    assert_eq!(normal_form(&form).as_ref(), Some(&form));
    assert_eq!(normal_form(&tokens.join("\r#\"\n,")), Some(form));
}

fn check_variables(text: &str) {
    let Ok(canonical) = canonical_variables(Some(text)) else { return };
    assert_eq!(canonical_variables(Some(&canonical)).as_ref(), Ok(&canonical));
    // Numbers beyond a double are JSON, and no `Value`.
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        let value = if value.is_null() { Value::Object(Default::default()) } else { value };
        assert_eq!(serde_json::from_str::<Value>(&canonical).unwrap(), value);
    }
}

fuzz_target!(|input: (Vec<(u8, &str)>, &str)| {
    let (words, text) = input;
    let words = words.into_iter().map(|(n, own)| WORDS.get(usize::from(n) % 40).copied().unwrap_or(own));
    check_document(&words.collect::<String>());
    check_document(text);
    check_variables(text);
});
