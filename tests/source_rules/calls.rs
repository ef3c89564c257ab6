//! Who calls other servers: JavaScript calls `fetch` in one file, and the hub by its stub. (In Rust, `rooms.rs` holds it.)

use crate::source::{files_in, read};

/// The only file whose JavaScript calls other servers.
const CALLER: &str = "src/http/outbound.js";

/// Where a file uses `fetch` in any other way than on a stub of a hub.
fn calls(text: &str) -> Vec<usize> {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
    let found = text.lines().enumerate().filter(|(_, line)| {
        let code = line.split("//").next().unwrap_or_default();
        code.match_indices("fetch").any(|(at, word)| {
            let (before, after) = (&code[..at], &code[at + word.len()..]);
            let is_whole = !before.ends_with(is_word) && !after.starts_with(is_word);
            is_whole && !before.ends_with("hub.")
        })
    });
    found.map(|(number, _)| number + 1).collect()
}

#[test]
fn one_file_calls_other_servers() {
    let scripts = files_in("src", ".js");
    assert!(scripts.contains(&CALLER.to_owned()), "{scripts:?}");
    let faults = scripts
        .iter()
        .filter(|path| *path != CALLER)
        .flat_map(|path| calls(&read(path)).into_iter().map(move |line| format!("{path}:{line}")));
    crate::none("only src/http/outbound.js calls other servers", &faults.collect::<Vec<_>>());
    assert_eq!(calls(&read(CALLER)).len(), 1, "one call, with one set of bounds");
}

#[test]
fn a_call_is_found_however_it_is_written() {
    for text in [
        "await fetch(url)",
        "const call = fetch;",
        "globalThis.fetch(url)",
        "globalThis[\"fetch\"](url)",
        "x.github.fetch2; self.fetch (u)",
    ] {
        assert_eq!(calls(text), [1], "{text}");
    }
    for text in ["hub.fetch(`http://hub`)", "// fetch(url)", "const fetched = 1;", "refetch(url)"] {
        assert_eq!(calls(text), [0; 0], "{text}");
    }
}
