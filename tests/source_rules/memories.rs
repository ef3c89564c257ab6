//! What isolates, KV and the hub remember stands in one table (docs/architecture.md, "What is remembered"), and nothing
//! else is remembered. What an isolate remembers by key is an `IsolateCache`, which knows its age and its identity.

use std::collections::BTreeSet;

use crate::none;
use crate::source::{SourceFile, files_in, production_files, read};

/// What is no cache although it outlives a request: made once from the deployment or the code.
const ONCE: &[(&str, &str)] = &[
    ("src/routes/cors.rs", "ON_TENANT"),
    ("src/routes/find.rs", "ON_PLATFORM"),
    ("src/routes/find.rs", "ON_TENANT"),
    ("src/routes/mod.rs", "SECTIONS"),
    ("src/storage/settings.rs", "SETTINGS"),
];

/// Constants that are declared as statics.
const CONSTANTS: &[(&str, &str)] = &[("src/routes/mod.rs", "SECTIONS")];

/// What remembers by key: within a number of entries and an age, or within bytes that tenants share, where whoever finds
/// something judges its age and identity.
const CACHES: &[&str] = &["IsolateCache", "AnswerMemory"];

/// Every `static` of a file: its name and the words of its type. A `'static` is a lifetime, and no word.
fn statics(file: &SourceFile) -> Vec<(String, Vec<String>)> {
    let word = |at: usize| file.tokens.get(at).and_then(|(token, _)| token.word());
    let mut found = Vec::new();
    for (at, _) in file.find(&["static"]) {
        let name = match word(at + 1) {
            Some("mut") => word(at + 2),
            name => name,
        };
        let Some(name) = name.filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_')) else { continue };
        let rest = file.tokens.iter().skip(at + 2).take_while(|(token, _)| !token.is("="));
        found.push((name.to_owned(), rest.filter_map(|(token, _)| token.word()).map(str::to_owned).collect()));
    }
    found
}

/// The section of the page, without the rest.
fn section(page: &str) -> &str {
    page.split("\n## What is remembered\n").nth(1).unwrap_or_default().split("\n## ").next().unwrap_or_default()
}

/// The texts in backticks of a row's first and last cell.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The rows of the tables: what is remembered, and the tests that show what is said of it.
fn rows(section: &str) -> Vec<(Vec<&str>, Vec<&str>)> {
    let cells = |line: &'_ str| -> Option<(usize, usize)> { Some((line.find('|')?, line.rfind('|')?)) };
    let mut rows = Vec::new();
    for line in section.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---")) {
        let Some((first, last)) = cells(line).filter(|(first, last)| first < last) else { continue };
        let cells: Vec<&str> = line.get(first + 1..last).unwrap_or_default().split(" | ").collect();
        if let [memory, .., tests] = cells[..]
            && memory.trim() != "memory"
        {
            rows.push((quoted(memory), quoted(tests)));
        }
    }
    rows
}

/// The constructors of KV keys.
fn kv_keys(keys: &str) -> BTreeSet<String> {
    let own = keys.split("impl KvKey {").nth(1).unwrap_or_default().split("\n}").next().unwrap_or_default();
    let made = own.lines().filter(|line| line.contains("-> Self"));
    made.filter_map(|line| line.trim().strip_prefix("pub fn ")?.split('(').next())
        .map(|name| format!("KvKey::{name}"))
        .collect()
}

/// The hub's tables.
fn hub_tables(files: &[SourceFile]) -> BTreeSet<String> {
    let made = files.iter().filter(|file| file.path.starts_with("src/hub/"));
    let names = made.flat_map(|file| file.text.split("CREATE TABLE IF NOT EXISTS ").skip(1));
    names.filter_map(|rest| rest.split([' ', '\n']).next()).map(str::to_owned).collect()
}

/// What the table must name: statics by file and name, KV keys, the hub's tables.
fn remembered(files: &[SourceFile], keys: &str) -> BTreeSet<String> {
    let mut all: BTreeSet<String> = kv_keys(keys).into_iter().chain(hub_tables(files)).collect();
    for file in files {
        let named = |name: &str| format!("{} {name}", file.path.trim_start_matches("src/"));
        let own = statics(file).into_iter().filter(|(name, _)| !CONSTANTS.contains(&(&file.path, name)));
        all.extend(own.map(|(name, _)| named(&name)));
    }
    all
}

/// What the table names.
fn documented(rows: &[(Vec<&str>, Vec<&str>)]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (memories, _) in rows {
        let mut file = None;
        for text in memories {
            match file {
                _ if text.ends_with(".rs") => file = Some(*text),
                Some(file) => drop(all.insert(format!("{file} {text}"))),
                None => drop(all.insert((*text).to_owned())),
            }
        }
    }
    all
}

fn faults(files: &[SourceFile], keys: &str, page: &str, tests: &str) -> Vec<String> {
    let rows = rows(section(page));
    let (there, told) = (remembered(files, keys), documented(&rows));
    let mut faults: Vec<String> =
        there.difference(&told).map(|memory| format!("{memory} is remembered, and no row tells of it")).collect();
    faults.extend(told.difference(&there).map(|memory| format!("a row tells of {memory}, which is not remembered")));
    for (memories, shown_by) in &rows {
        if shown_by.is_empty() {
            faults.push(format!("{memories:?}: no test shows it"));
        }
        let missing = shown_by.iter().filter(|test| !tests.contains(&format!("fn {test}(")));
        faults.extend(missing.map(|test| format!("{memories:?}: there is no test {test}")));
    }
    for file in files {
        for (name, words) in statics(file) {
            let is_cache = words.iter().any(|word| CACHES.contains(&word.as_str()) || wraps_a_cache(files, word));
            let is_number =
                matches!(&words[..], [cell, number] if cell == "Cell" && ["u32", "u64", "usize"].contains(&&**number));
            if !is_cache && !is_number && !ONCE.contains(&(&file.path, &name)) {
                faults.push(format!(
                    "{} remembers {name} in something else than an IsolateCache or an AnswerMemory",
                    file.path
                ));
            }
        }
    }
    faults
}

/// Whether a type of ours holds an `IsolateCache` for what it remembers.
fn wraps_a_cache(files: &[SourceFile], name: &str) -> bool {
    let declared = format!("struct {name} {{");
    let bodies = files.iter().filter_map(|file| file.text.split(&declared).nth(1)?.split("\n}").next());
    bodies.into_iter().any(|body| body.contains("IsolateCache<"))
}

/// What JavaScript would remember between requests: a variable of a module, or a collection that is empty when it loads.
fn remembered_in_script(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let variable = ["let ", "var ", "export let ", "export var "].iter().any(|word| line.starts_with(word));
        let collection = line.starts_with("const ") || line.starts_with("export const ");
        let empty =
            ["Map", "Set", "WeakMap", "WeakSet", "Array"].iter().any(|kind| line.contains(&format!("new {kind}()")))
                || line.ends_with("= {};")
                || line.ends_with("= [];");
        if variable || (collection && empty) {
            faults.push(format!("{path}:{} remembers something between requests", number + 1));
        }
    }
    faults
}

/// The Worker and the domain, without their tests.
fn sources() -> Vec<SourceFile> {
    production_files()
}

#[test]
fn what_is_remembered_stands_in_the_table() {
    let tests: Vec<String> =
        ["tests", "src", "domain/src"].iter().flat_map(|folder| files_in(folder, ".rs")).map(read).collect();
    let found = faults(&sources(), &read("src/storage/keys.rs"), &read("docs/architecture.md"), &tests.concat());
    none("what is remembered stands in docs/architecture.md", &found);
}

#[test]
fn javascript_remembers_nothing() {
    let found = files_in("src", ".js").into_iter().flat_map(|path| remembered_in_script(&path, &read(&path)));
    none("JavaScript remembers nothing between requests", &found.collect::<Vec<_>>());
}

#[test]
fn a_memory_without_a_row_or_without_a_cache_is_found() {
    let keys = "impl KvKey {\n    pub fn host(host: &Host) -> Self {\n    }\n}\n";
    let page = "\n## What is remembered\n\n| memory | key | shown by |\n|---|---|---|\n\
        | `a.rs` `HOSTS`: hosts | host | `it_holds` |\n| `KvKey::host` | host | `it_holds` |\n\n## Next\n";
    let good = "thread_local! { static HOSTS: RefCell<IsolateCache<Host, ()>> = RefCell::new(x()); }";
    let told = |text: &str, page: &str| faults(&[SourceFile::of("src/a.rs", text)], keys, page, "fn it_holds() {}");
    assert_eq!(told(good, page), Vec::<String>::new());
    for (text, page, fault) in [
        ("static SEEN: Mutex<HashMap<Host, ()>> = x();", page, "SEEN is remembered"),
        (
            "thread_local! { static HOSTS: RefCell<HashMap<Host, ()>> = x(); }",
            page,
            "something else than an IsolateCache",
        ),
        ("fn nothing() {}", page, "which is not remembered"),
        (good, &page.replace("`it_holds` |\n\n", "– |\n\n"), "no test shows it"),
        (good, &page.replace("it_holds", "it_held"), "there is no test it_held"),
    ] {
        let found = told(text, page);
        assert!(found.iter().any(|found| found.contains(fault)), "{fault}: {found:?}");
    }
    let wrapped =
        "struct Seen {\n    hosts: IsolateCache<Host, ()>,\n}\nthread_local! { static HOSTS: RefCell<Seen> = x(); }";
    assert_eq!(told(wrapped, page), Vec::<String>::new());
    let counted = "thread_local! { static HOSTS: Cell<u64> = const { Cell::new(0) }; }";
    assert_eq!(told(counted, page), Vec::<String>::new(), "a number needs no cache, but a row");
    for text in ["let last;", "const seen = new Map();", "export const all = [];"] {
        assert_eq!(remembered_in_script("a.js", text).len(), 1, "{text}");
    }
    assert_eq!(
        remembered_in_script("a.js", "const ENDINGS = new Map([\nconst encoder = new TextEncoder();\n  let x;"),
        [""; 0]
    );
}
