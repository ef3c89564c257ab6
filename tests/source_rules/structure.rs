use std::collections::BTreeMap;

use crate::declared::{Declarations, Kind};
use crate::none;
use crate::rooms::{ROOMS, room_of};
use crate::source::{SourceFile, files, files_in, production_files, read, without_tests};

/// Type names that are declared more than once, and why each is right.
const DECLARED_TWICE: &[(&str, &str)] = &[];

/// Files may be this long before the report names them, and functions so.
const LINES_OF_A_FILE: usize = 400;
const LINES_OF_A_FUNCTION: usize = 50;

/// Where each type is declared, for those that are so more than once.
fn declared_twice(files: &[SourceFile]) -> BTreeMap<String, Vec<String>> {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in files {
        for declared in Declarations::of(file).names.into_iter().filter(|declared| declared.kind == Kind::Type) {
            places.entry(declared.name).or_default().push(format!("{}:{}", file.path, declared.line));
        }
    }
    places.retain(|_, places| places.len() > 1);
    places
}

fn names_with_two_meanings(files: &[SourceFile], allowed: &[(&str, &str)]) -> Vec<String> {
    let twice = declared_twice(files);
    let is_allowed = |name: &str| allowed.iter().any(|(known, _)| *known == name);
    let faults = twice.iter().filter(|(name, _)| !is_allowed(name));
    let mut faults: Vec<String> = faults.map(|(name, places)| format!("{name}: {}", places.join(", "))).collect();
    let idle = allowed.iter().filter(|(name, _)| !twice.contains_key(*name));
    faults.extend(idle.map(|(name, _)| format!("{name} is declared once: take it off the list")));
    faults
}

#[test]
fn a_type_name_means_one_thing() {
    none("a type's name is declared once", &names_with_two_meanings(&production_files(), DECLARED_TWICE));
}

#[test]
fn a_name_with_two_meanings_is_found() {
    let file = |path: &str, text: &str| SourceFile::of(path, text).without_tests();
    let files = [
        file("domain/src/host.rs", "pub enum Place { A }"),
        file("src/hub/a.rs", "\nstruct Place; #[cfg(test)] mod tests { struct Row; }"),
        file("src/hub/b.rs", "fn f() { let place = Place::A; } rows! { struct Row { a: u8 } }"),
    ];
    assert_eq!(names_with_two_meanings(&files, &[]), ["Place: domain/src/host.rs:1, src/hub/a.rs:2"]);
    assert_eq!(names_with_two_meanings(&files, &[("Place", "")]), [""; 0]);
    assert_eq!(names_with_two_meanings(&files[1..], &[("Place", "")]).len(), 1, "an exception that nothing needs");
}

/// Who may ask for a client's address: allow-lists, audits, sessions. What is counted is counted by network.
const SEES_ADDRESSES: &[&str] = &[
    "src/api/members/invitations.rs",
    "src/api/members/mod.rs",
    "src/api/members/passwords.rs",
    "src/api/operators/sessions.rs",
    "src/api/operators/switching.rs",
    "src/api/records/files.rs",
    "src/api/records/media.rs",
    "src/api/settings.rs",
    "src/auth/authenticate_member.rs",
    "src/auth/authenticate_operator.rs",
    // A site is told for whom it is asked.
    "src/graphql/endpoint.rs",
    "src/graphql/headers.rs",
    // A stream is judged by lists of addresses for as long as it lives; its network is made of its address.
    "src/live/events.rs",
    "src/live/mercure/subscribe.rs",
    "src/live/mercure/subscriptions.rs",
    "src/live/ticket.rs",
    // What failed for one address of a network may be good for another one, by a key's own list.
    "src/auth/proofs.rs",
    "src/auth/session.rs",
    "src/auth/sso/account.rs",
    // Makes networks of them.
    "src/http/incoming.rs",
    // The row of an audit; there is one for a network.
    "src/pipeline/cross_tenant_audit.rs",
    "src/pipeline/tenant.rs",
];

fn sees_addresses(files: &[SourceFile]) -> Vec<&str> {
    let asks = |file: &&SourceFile| file.text.contains(".address()") || file.text.contains("CF-Connecting-IP");
    files.iter().filter(asks).map(|file| file.path.as_str()).collect()
}

#[test]
fn nothing_is_counted_by_a_clients_address() {
    let files = production_files();
    let seen = sees_addresses(&files);
    let mut faults: Vec<String> = Vec::new();
    faults.extend(seen.iter().filter(|path| !SEES_ADDRESSES.contains(path)).map(|path| format!("{path} asks for it")));
    faults.extend(SEES_ADDRESSES.iter().filter(|path| !seen.contains(path)).map(|path| format!("{path} does not")));
    none("a client's address is for lists and audits; limits take its Network", &faults);
}

#[test]
fn who_asks_for_an_address_is_found() {
    let file = |path: &str, text: &str| SourceFile::of(path, text).without_tests();
    let files =
        [file("src/a.rs", "fn f() { count(request.address()) }"), file("src/b.rs", "fn f() { request.network() }")];
    assert_eq!(sees_addresses(&files), ["src/a.rs"]);
}

/// Lines of each room, long files, long functions, names with several meanings. Tests count as lines and as nothing else.
fn report(files: &[SourceFile]) -> String {
    let mut rooms: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
    let (mut long_files, mut long_functions) = (Vec::new(), Vec::new());
    for file in files {
        let (room, lines) = (rooms.entry(room_of(&file.path)).or_default(), file.lines());
        (room.0, room.1) = (room.0 + 1, room.1 + lines);
        long_files.extend((lines > LINES_OF_A_FILE).then(|| format!("  {lines:5} {}", file.path)));
    }
    let code = without_tests(files.to_vec());
    for file in &code {
        rooms.entry(room_of(&file.path)).or_default().2 += file.lines();
        let long = Declarations::of(file).functions.into_iter().filter(|f| f.lines > LINES_OF_A_FUNCTION);
        long_functions.extend(long.map(|f| format!("  {:5} {}:{} {}", f.lines, file.path, f.line, f.name)));
    }
    let twice = declared_twice(&code);
    let mut page = String::from("room          files   lines  without tests\n");
    let line =
        |name: &str, (files, lines, code): (usize, usize, usize)| format!("{name:12} {files:6} {lines:7} {code:14}\n");
    for room in ROOMS.order.iter().copied().flatten() {
        page += &line(room, rooms.get(room).copied().unwrap_or_default());
    }
    page += &line("together", rooms.values().fold((0, 0, 0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2)));
    for (title, mut lines) in [
        (format!("files over {LINES_OF_A_FILE} lines"), long_files),
        (format!("functions over {LINES_OF_A_FUNCTION} lines"), long_functions),
        (
            "types declared more than once".to_owned(),
            twice.iter().map(|(name, places)| format!("  {:5} {name}: {}", places.len(), places.join(", "))).collect(),
        ),
    ] {
        lines.sort_by(|a, b| b.cmp(a));
        page += &format!("\n{}: {title}\n{}\n", lines.len(), lines.join("\n"));
    }
    page
}

/// `cargo test --test source_rules structure -- --ignored --nocapture` prints it.
#[test]
#[ignore = "a report, not a rule"]
fn report_of_the_source() {
    println!("\n{}", report(&files()));
    for (folder, endings) in [("tests", [".rs", ".mjs"]), ("bench", [".rs", ".js"])] {
        let paths = endings.iter().flat_map(|ending| files_in(folder, ending));
        println!("{folder}: {} lines", paths.map(|path| read(path).lines().count()).sum::<usize>());
    }
}

#[test]
fn the_report_counts_what_is_there() {
    let long = format!("fn long() {{\n{}}}\n", "let a = 1;\n".repeat(50));
    let tests = format!("#[cfg(test)]\nmod tests {{\n  struct A;\n{}}}\n", "// a line\n".repeat(344));
    let text = format!("{long}struct A;\n{tests}");
    let files = [("src/hub/a.rs", text.as_str()), ("src/hub/b.rs", "struct A;\n")];
    let page = report(&files.map(|(path, text)| SourceFile::of(path, text)));
    assert!(page.contains("hub               2     402             54\n"), "{page}");
    assert!(page.contains("\n1: files over 400 lines\n    401 src/hub/a.rs\n"), "{page}");
    assert!(page.contains("\n1: functions over 50 lines\n     52 src/hub/a.rs:1 long\n"), "{page}");
    assert!(
        page.contains("\n1: types declared more than once\n      2 A: src/hub/a.rs:53, src/hub/b.rs:1\n"),
        "{page}"
    );
}
