//! The laws stand in docs/security.md with the tests that would notice their breach: each row names at least one, and each
//! of these is there.

use crate::none;
use crate::source::{files_in, read};

const HEADING: &str = "\n## Laws, and where each is held\n";

/// What is wrong with the section of a page, where these are the tests.
fn faults(page: &str, tests: &str) -> Vec<String> {
    let section = page.split(HEADING).nth(1).unwrap_or_default().split("\n## ").next().unwrap_or_default();
    let rows: Vec<&str> = section
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("|---") && !line.starts_with("| what holds |"))
        .collect();
    let mut faults = Vec::new();
    if rows.is_empty() {
        faults.push("the section has no rows".to_owned());
    }
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let named: Vec<&str> = cells.last().unwrap_or(&"").split('`').skip(1).step_by(2).collect();
        if cells.len() != 3 || named.is_empty() {
            faults.push(format!("no test shows it: {row}"));
        }
        let missing = named.into_iter().filter(|test| !tests.contains(&format!("fn {test}(")));
        faults.extend(missing.map(|test| format!("there is no test {test}: {row}")));
    }
    faults
}

#[test]
fn each_law_names_tests_that_are_there() {
    let tests: Vec<String> =
        ["tests", "src", "domain/src"].iter().flat_map(|folder| files_in(folder, ".rs")).map(read).collect();
    none("laws and their tests stand in docs/security.md", &faults(&read("docs/security.md"), &tests.concat()));
}

#[test]
fn a_row_without_a_test_is_found() {
    let page = |row: &str| {
        format!("{HEADING}\n| what holds | where | tests |\n|---|---|---|\n{row}\n\n## Next\n| a | b | – |")
    };
    let tests = "fn it_holds() {}";
    assert_eq!(faults(&page("| it | `src/a.rs` | `it_holds` |"), tests), Vec::<String>::new());
    for (page, fault) in [
        (page("| it | `src/a.rs` | – |"), "no test shows it"),
        (page("| it | `src/a.rs` | `it_held` |"), "there is no test it_held"),
        (page(""), "no rows"),
    ] {
        assert!(faults(&page, tests).iter().any(|found| found.contains(fault)), "{fault}");
    }
}
