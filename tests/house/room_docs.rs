use crate::none;
use crate::rooms::{HOUSE, House, Reserved, Rule, room_of};
use crate::source::{SourceFile, WORKER, production_files, read};

/// A row of the table of rooms: the room, what it owns, what it may not touch.
fn documented(page: &str) -> Vec<(String, &str, &str)> {
    let cells = |line| match str::split(line, '|').map(str::trim).collect::<Vec<_>>()[..] {
        ["", room, owns, touch, ""] if room.starts_with('`') => {
            let path = room.trim_matches('`');
            let file = if path.ends_with(".rs") { path.to_owned() } else { format!("{}/", path.trim_end_matches('/')) };
            let file = if path.trim_end_matches('/') == "domain" { "domain/src/".to_owned() } else { file };
            Some((room_of(&file).to_owned(), owns, touch))
        }
        _ => None,
    };
    page.lines().filter_map(cells).filter(|(room, ..)| !room.is_empty()).collect()
}

/// Where the table of rooms and the rules tell different stories.
fn faults_of_documentation(house: &House, page: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !page.contains(&house.line()) {
        faults.push(format!("the order is not there: {}", house.line()));
    }
    let rows = documented(page);
    for room in house.order.iter().copied().flatten().filter(|room| **room != "lib") {
        let Some((_, owns, touch)) = rows.iter().find(|(name, ..)| name == room) else {
            faults.push(format!("{room} has no row"));
            continue;
        };
        let rules = house.may_not_touch(room);
        if rules != touch.trim_matches('–') {
            faults.push(format!("{room} may not touch: {rules} (the tests), {touch} (the page)"));
        }
        let reserved = house.reserved.iter().filter(|reserved| reserved.room == *room && !owns.contains(reserved.owns));
        faults.extend(
            reserved.map(|reserved| format!("{room} is {} (the tests); it owns {owns} (the page)", reserved.owns)),
        );
    }
    let unknown = rows.iter().filter(|(room, ..)| house.height(room).is_none());
    faults.extend(unknown.map(|(room, ..)| format!("{room} is no room")));
    faults
}

/// What a room's opening says that it may not touch: `May not touch: the clock, randomness.`
fn opening(file: &SourceFile) -> String {
    let first = file.tokens.first().map_or(usize::MAX, |(_, line)| *line);
    let opening = file.comments.iter().take_while(|(_, line)| *line < first).map(|(line, _)| line.as_str());
    let opening = opening.collect::<Vec<_>>().join(" ");
    let said = opening.split_once("May not touch").map(|(_, said)| said.trim_start_matches(':').trim());
    said.and_then(|said| said.split(['.', '(']).next().map(str::trim)).unwrap_or_default().to_owned()
}

/// Rooms that open with other words than their rules.
fn faults_of_openings(house: &House, files: &[SourceFile]) -> Vec<String> {
    let rooms = house.order.iter().copied().flatten();
    let openings = rooms.filter_map(|room| {
        let is_opening = |file: &&SourceFile| match file.module().as_slice() {
            [only] => *room == if only == WORKER { "lib" } else { "domain" },
            [_, name] => name == room,
            _ => false,
        };
        Some((*room, files.iter().find(is_opening)?))
    });
    let differing = openings.filter_map(|(room, file)| {
        let (said, held) = (opening(file), house.may_not_touch(room));
        (said != held).then(|| format!("{} may not touch: {said} (it says), {held} (the tests hold)", file.path))
    });
    differing.collect()
}

#[test]
fn a_room_opens_with_what_it_may_not_touch() {
    none("the opening of a room", &faults_of_openings(&HOUSE, &production_files()));
}

#[test]
fn the_picture_of_the_house_is_true() {
    none("docs/architecture.md", &faults_of_documentation(&HOUSE, &read("docs/architecture.md")));
}

const SMALL: House = House {
    order: &[&["domain"], &["http", "log"]],
    rules: &[
        Rule { room: "domain", touch: "the clock", names: &["std"], but: &[] },
        Rule { room: "domain", touch: "randomness", names: &["rand"], but: &[] },
    ],
    reserved: &[Reserved { room: "log", owns: "the only console", names: &["dbg!"], but: &[] }],
};

#[test]
fn a_room_that_opens_with_other_words_is_found() {
    let faults = |domain: &str, http: &str| {
        let files =
            [("domain/src/lib.rs", domain), ("src/http/mod.rs", http), ("src/http/call.rs", "//! May not touch: a.")];
        faults_of_openings(&SMALL, &files.map(|(path, text)| SourceFile::of(path, text)))
    };
    let good = "//! The nouns.\n//!\n//! Owns: them. May not touch: the clock,\n//! randomness (both are handed in).\n\nmod a;";
    assert_eq!(faults(good, "//! The wire.\npub mod call;"), [""; 0]);
    assert_eq!(faults("//! May not touch: the clock.\npub mod a;", "").len(), 1);
    assert_eq!(faults("pub mod a;\n// May not touch: the clock, randomness.", "").len(), 1);
    assert_eq!(faults(good, "//! May not touch: the hub.\npub mod call;").len(), 1);
}

#[test]
fn a_page_that_tells_another_story_is_found() {
    let page = |order: &str, touch: &str, owns: &str| {
        format!(
            "```text\n{order}\n```\n| room | owns | may not touch |\n|---|---|---|\n| `domain/` | nouns | {touch} |\n\
             | `src/http/` | the wire | – |\n| `src/log.rs` | {owns} | – |\n"
        )
    };
    let (order, touch, owns) = ("domain < http, log", "the clock, randomness", "lines, and is the only console");
    assert_eq!(faults_of_documentation(&SMALL, &page(order, touch, owns)), [""; 0]);
    assert_eq!(faults_of_documentation(&SMALL, &page("domain < http < log", touch, owns)).len(), 1);
    assert_eq!(faults_of_documentation(&SMALL, &page(order, "the clock", owns)).len(), 1);
    assert_eq!(faults_of_documentation(&SMALL, &page(order, touch, "lines")).len(), 1);
    let stray = page(order, touch, owns) + "| `src/cellar/` | a | – |";
    assert_eq!(faults_of_documentation(&SMALL, &stray), ["cellar is no room"]);
    assert_eq!(faults_of_documentation(&SMALL, order).len(), 3, "no room has a row");
}
