use std::fs;

use crate::source::root;

const PATH: &str = "docs/mercure.md";

/// The tests that a document names, each as its module and its function: `` `mercure_errors::an_invalid_token…` ``.
fn named(text: &str) -> Vec<(&str, &str)> {
    let quoted = text.split('`').skip(1).step_by(2);
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    quoted.filter_map(|code| code.split_once("::")).filter(|(file, test)| is_name(file) && is_name(test)).collect()
}

/// Those of them that are not there.
fn missing<'t>(named: &[(&'t str, &'t str)], read: impl Fn(&str) -> String) -> Vec<String> {
    let is_there = |(file, test): &(&str, &str)| {
        let source = read(file);
        source.contains(&format!("\n#[tokio::test]\nasync fn {test}()"))
    };
    named.iter().filter(|name| !is_there(name)).map(|(file, test)| format!("{PATH} names {file}::{test}")).collect()
}

#[test]
fn every_test_that_the_table_of_mercure_names_is_there() {
    let text = fs::read_to_string(root().join(PATH)).unwrap();
    let named = named(&text);
    assert!(named.len() >= 90, "{} names", named.len());
    let read = |file: &str| fs::read_to_string(root().join(format!("tests/{file}.rs"))).unwrap_or_default();
    crate::none("a requirement without its test", &missing(&named, read));
}

#[test]
fn a_test_that_is_not_there_is_found() {
    let text = "| a | `mercure_a::one` `mercure_a::two` | `curl -d x::Y` | `mercure_b::one` |";
    let named = named(text);
    assert_eq!(named, [("mercure_a", "one"), ("mercure_a", "two"), ("mercure_b", "one")]);
    let read =
        |file: &str| if file == "mercure_a" { "\n#[tokio::test]\nasync fn one() {}".into() } else { String::new() };
    assert_eq!(missing(&named, read), ["docs/mercure.md names mercure_a::two", "docs/mercure.md names mercure_b::one"]);
}
