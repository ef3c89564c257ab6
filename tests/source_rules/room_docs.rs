use std::collections::BTreeSet;

use crate::none;
use crate::rooms::{ROOMS, Reserved, Rooms, Rule, room_of};
use crate::source::{SourceFile, WORKER, production_files, read};

/// The levels of the picture from below: a room is the first word of a cell, and ends with `/` or `.rs`.
fn pictured(section: &str) -> Vec<BTreeSet<&str>> {
    let mut levels = vec![BTreeSet::new()];
    for line in section.lines().filter(|line| line.contains(['│', '├', '┌', '└'])) {
        if line.contains(['├', '┌', '└']) {
            levels.push(BTreeSet::new());
        }
        let cells = line.split('│').skip(1).filter_map(|cell| cell.strip_prefix(' '));
        let first = cells.filter_map(|cell| cell.split(' ').next()).filter(|word| word.ends_with(['/', 's']));
        let rooms = first.filter_map(|word| word.strip_suffix('/').or_else(|| word.strip_suffix(".rs")));
        if let Some(level) = levels.last_mut() {
            level.extend(rooms);
        }
    }
    levels.retain(|level| !level.is_empty());
    levels.reverse();
    levels
}

/// A row of the table: the room, what it owns, what it may not touch but for remarks in parentheses.
fn documented(section: &str) -> Vec<(&str, &str, String)> {
    let cells = |line| match str::split(line, '|').map(str::trim).collect::<Vec<_>>()[..] {
        ["", room, owns, touch, ""] if room.starts_with('`') => {
            Some((room_of(room.trim_matches('`')), owns, without_remarks(touch)))
        }
        _ => None,
    };
    section.lines().filter_map(cells).collect()
}

fn without_remarks(text: &str) -> String {
    let mut depth = 0_usize;
    let mut kept = String::new();
    for c in text.chars() {
        depth += usize::from(c == '(');
        if depth == 0 {
            kept.push(c);
        }
        depth -= usize::from(c == ')' && depth > 0);
    }
    kept.trim_matches(['–', ' ']).to_owned()
}

/// Where the section about the rooms and the rules tell different stories.
fn faults_of_documentation(rooms: &Rooms, page: &str) -> Vec<String> {
    let section = page.split("\n## The rooms\n").nth(1).unwrap_or_default().split("\n## ").next().unwrap_or_default();
    let mut faults = Vec::new();
    let order: Vec<BTreeSet<&str>> = rooms.order.iter().map(|level| level.iter().copied().collect()).collect();
    if pictured(section) != order {
        faults.push(format!("the order is {order:?}, the picture's is {:?}", pictured(section)));
    }
    let rows = documented(section);
    for room in rooms.order.iter().copied().flatten().filter(|room| **room != "lib") {
        let Some((_, owns, touch)) = rows.iter().find(|(name, ..)| name == room) else {
            faults.push(format!("{room} has no row"));
            continue;
        };
        let held = rooms.may_not_touch(room);
        if held != *touch {
            faults.push(format!("{room} may not touch: {held} (the tests), {touch} (the page)"));
        }
        let reserved = rooms.reserved.iter().filter(|reserved| reserved.room == *room);
        let untold = reserved.filter(|reserved| !owns.contains(reserved.owns));
        faults.extend(untold.map(|reserved| format!("{room} is {} (the tests), not on the page", reserved.owns)));
    }
    let unknown = rows.iter().filter(|(room, ..)| rooms.height(room).is_none());
    faults.extend(unknown.map(|(room, ..)| format!("{room} is no room")));
    faults
}

/// What a room's opening says that it may not touch: `May not touch: the clock, randomness.`
fn opening(file: &SourceFile) -> String {
    let first = file.tokens.first().map_or(usize::MAX, |(_, line)| *line);
    let opening = file.comments.iter().take_while(|(_, line)| *line < first).map(|(line, _)| line.as_str());
    let opening = opening.collect::<Vec<_>>().join(" ");
    let said = opening.split_once("May not touch").map(|(_, said)| said.trim_start_matches(':').trim());
    without_remarks(said.and_then(|said| said.split('.').next()).unwrap_or_default())
}

/// Rooms that open with other words than their rules.
fn faults_of_openings(rooms: &Rooms, files: &[SourceFile]) -> Vec<String> {
    let openings = rooms.order.iter().copied().flatten().filter_map(|room| {
        let is_opening = |file: &&SourceFile| match file.module().as_slice() {
            [only] => *room == if only == WORKER { "lib" } else { "domain" },
            [krate, name] => krate == WORKER && name == room,
            _ => false,
        };
        Some((*room, files.iter().find(is_opening)?))
    });
    let differing = openings.filter_map(|(room, file)| {
        let (said, held) = (opening(file), rooms.may_not_touch(room));
        (said != held).then(|| format!("{} may not touch: {said} (it says), {held} (the tests hold)", file.path))
    });
    differing.collect()
}

#[test]
fn a_room_opens_with_what_it_may_not_touch() {
    none("the opening of a room", &faults_of_openings(&ROOMS, &production_files()));
}

#[test]
fn the_picture_and_the_table_are_true() {
    none("docs/architecture.md", &faults_of_documentation(&ROOMS, &read("docs/architecture.md")));
}

const SMALL: Rooms = Rooms {
    order: &[&["domain"], &["http", "log"]],
    rules: &[
        Rule { room: "domain", touch: "the clock", names: &["std"], but: &[] },
        Rule { room: "domain", touch: "randomness", names: &["rand"], but: &[] },
    ],
    reserved: &[Reserved { room: "log", owns: "the only console", names: &["dbg!"] }],
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
    let page = |picture: &str, touch: &str, owns: &str| {
        format!(
            "# A\n\n## The rooms\n\n{picture}\n| room | owns | may not touch |\n|---|---|---|\n\
             | `domain/src/` | nouns | {touch} |\n| `src/http/` | the wire | – (or so) |\n\
             | `src/log.rs` | {owns} | – |\n\n## B\n| `src/cellar/` | a | b |\n"
        )
    };
    let picture = "      ┌────────────┐\n 1    │ http/   a  │ log.rs  b      │\n      │        call.rs more  │\n      ├─────┤\n \
                   0    │ domain/ (a crate)  nouns  │\n      └────┘";
    let (touch, owns) = ("the clock, randomness (both are handed in)", "lines, and is the only console");
    assert_eq!(faults_of_documentation(&SMALL, &page(picture, touch, owns)), [""; 0]);
    for (picture, touch, owns) in [
        (picture.replace("http/ ", "https/"), touch, owns),
        (picture.replace("log.rs  b", "        b"), touch, owns),
        (picture.replace("│ log.rs", "│\n ├────┤\n │ log.rs"), touch, owns),
        (picture.to_owned(), "the clock", owns),
        (picture.to_owned(), "randomness, the clock", owns),
        (picture.to_owned(), "–", owns),
        (picture.to_owned(), touch, "lines"),
    ] {
        assert_eq!(faults_of_documentation(&SMALL, &page(&picture, touch, owns)).len(), 1, "{picture} {touch} {owns}");
    }
    let stray = page(picture, touch, &format!("{owns} | – |\n| `src/cellar/` | a"));
    assert_eq!(faults_of_documentation(&SMALL, &stray), ["cellar is no room"]);
    assert_eq!(faults_of_documentation(&SMALL, "").len(), 4, "no picture, and no room has a row");
}
