use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use crate::none;
use crate::source::{SourceFile, Token, production_files};

/// The floors of the tower. Each stands on those below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Floor {
    Ground,
    Engines,
    Services,
    Top,
}

impl Floor {
    fn of_room(room: &str) -> Option<Self> {
        match room {
            "credentials" | "log" | "tenant_id" => Some(Self::Ground),
            "storage" | "hub" | "http" => Some(Self::Engines),
            "graphql" | "live" | "records" | "tenant" | "auth" => Some(Self::Services),
            "lib" | "pipeline" | "routes" | "api" => Some(Self::Top),
            _ => None,
        }
    }

    fn of_file(path: &str) -> Option<Self> {
        let path = path.strip_prefix("src/").unwrap_or(path);
        Self::of_room(path.split('/').next().unwrap_or_default().trim_end_matches(".rs"))
    }
}

impl fmt::Display for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ground => "ground",
            Self::Engines => "engines",
            Self::Services => "services",
            Self::Top => "top",
        })
    }
}

/// Which file reads which other, and on which line first.
#[derive(Debug, Default)]
struct Imports(BTreeMap<String, BTreeMap<String, usize>>);

impl Imports {
    fn of(files: &[SourceFile]) -> Self {
        let modules: BTreeMap<Vec<String>, &str> = files.iter().map(|f| (f.module(), f.path.as_str())).collect();
        let macros = exported_macros(files);
        let mut imports = Self::default();
        for file in files {
            let read = imports.0.entry(file.path.clone()).or_default();
            for (path, line) in paths(file, &modules) {
                let target = match path.as_slice() {
                    [name] if macros.contains_key(name) => macros[name].as_str(),
                    _ => (0..=path.len()).rev().find_map(|n| modules.get(&path[..n])).copied().unwrap_or_default(),
                };
                if !target.is_empty() && target != file.path {
                    read.entry(target.to_owned()).or_insert(line);
                }
            }
        }
        imports
    }

    fn edges(&self) -> impl Iterator<Item = (&str, &str, usize)> {
        self.0.iter().flat_map(|(from, read)| read.iter().map(|(to, line)| (from.as_str(), to.as_str(), *line)))
    }

    fn faults_of_floors(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for file in self.0.keys().filter(|file| Floor::of_file(file).is_none()) {
            faults.push(format!("{file} stands on no floor"));
        }
        for (from, to, line) in self.edges() {
            if let (Some(low), Some(high)) = (Floor::of_file(from), Floor::of_file(to))
                && low < high
            {
                faults.push(format!("{from}:{line} ({low}) reaches up to {to} ({high})"));
            }
        }
        faults
    }

    /// The shortest circle through each import that is on one.
    fn circles(&self) -> Vec<String> {
        let mut circles = BTreeSet::new();
        for (from, to, _) in self.edges() {
            if let Some(mut circle) = self.way(to, from) {
                let first = circle.iter().enumerate().min_by_key(|(_, file)| *file).map_or(0, |(at, _)| at);
                circle.rotate_left(first);
                circles.insert(circle);
            }
        }
        let with_line = |from: &str, to: &str| format!("{from}:{} → ", self.0[from][to]);
        let written = circles.into_iter().map(|circle| {
            let next = circle.iter().cycle().skip(1);
            let steps: String = circle.iter().zip(next).map(|(from, to)| with_line(from, to)).collect();
            steps + circle[0]
        });
        written.collect()
    }

    /// The shortest way from a file to another, both included.
    fn way<'a>(&'a self, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
        let mut came: BTreeMap<&str, &str> = BTreeMap::new();
        let mut queue = VecDeque::from([from]);
        while let Some(here) = queue.pop_front() {
            if here == to {
                let mut way = vec![here];
                while let Some(before) = way.last().filter(|last| **last != from).map(|last| came[last]) {
                    way.push(before);
                }
                way.reverse();
                return Some(way);
            }
            for next in self.0.get(here).into_iter().flat_map(BTreeMap::keys) {
                if next != from && !came.contains_key(next.as_str()) {
                    came.insert(next, here);
                    queue.push_back(next);
                }
            }
        }
        None
    }
}

/// `#[macro_export] macro_rules! name`: the macro stands at the root, its text where it is written.
fn exported_macros(files: &[SourceFile]) -> BTreeMap<String, String> {
    let mut macros = BTreeMap::new();
    for file in files {
        for (at, _) in file.find(&["macro_export", "]", "macro_rules", "!"]) {
            if let Some(name) = file.tokens.get(at + 4).and_then(|(token, _)| token.word()) {
                macros.insert(name.to_owned(), file.path.clone());
            }
        }
    }
    macros
}

/// Every path of a file that begins in this crate, from the crate's root: those it uses, and those it writes out.
fn paths(file: &SourceFile, modules: &BTreeMap<Vec<String>, &str>) -> Vec<(Vec<String>, usize)> {
    let module = file.module();
    let (mut used, mut written) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < file.tokens.len() {
        let (token, line) = &file.tokens[at];
        if token.is("use") {
            let mut tree = UseTree { tokens: &file.tokens, at: at + 1, leaves: Vec::new() };
            tree.read(&[]);
            used.extend(tree.leaves.into_iter().map(|(path, name)| (path, name, *line)));
            at = tree.at;
        } else if let Some(word) = token.word() {
            let mut path = vec![word.to_owned()];
            at += 1;
            while let [(Token::Mark(':'), _), (Token::Mark(':'), _), (Token::Word(next), _), ..] = &file.tokens[at..] {
                path.push(next.clone());
                at += 3;
            }
            written.push((path, *line));
        } else {
            at += 1;
        }
    }
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut found = Vec::new();
    for (path, name, line) in used {
        if let Some(path) = from_root(&path, &module, &BTreeMap::new(), modules) {
            names.insert(name, path.clone());
            found.push((path, line));
        }
    }
    for (path, line) in written.into_iter().filter(|(path, _)| path.len() > 1) {
        found.extend(from_root(&path, &module, &names, modules).map(|path| (path, line)));
    }
    found
}

/// A path from the crate's root; none if it begins in another crate or in nothing we know.
fn from_root(
    path: &[String],
    module: &[String],
    names: &BTreeMap<String, Vec<String>>,
    modules: &BTreeMap<Vec<String>, &str>,
) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    let mut start = match first.as_str() {
        "crate" => Vec::new(),
        "self" => module.to_vec(),
        "super" => module.split_last()?.1.to_vec(),
        name => match names.get(name) {
            Some(known) => known.clone(),
            None => {
                let child: Vec<String> = module.iter().chain([first]).cloned().collect();
                modules.contains_key(&child).then_some(child)?
            }
        },
    };
    for segment in rest {
        match segment.as_str() {
            "super" => drop(start.pop()),
            "self" => {}
            name => start.push(name.to_owned()),
        }
    }
    Some(start)
}

/// The tree of a `use`: each leaf with the name it gets here.
struct UseTree<'a> {
    tokens: &'a [(Token, usize)],
    at: usize,
    leaves: Vec<(Vec<String>, String)>,
}

impl UseTree<'_> {
    fn token(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    /// Reads one tree below `prefix`, up to the `,`, `}` or `;` behind it.
    fn read(&mut self, prefix: &[String]) {
        let mut path = prefix.to_vec();
        let mut name = None;
        while let Some(token) = self.token().cloned() {
            match token {
                Token::Mark('{') => {
                    self.at += 1;
                    while self.token().is_some_and(|token| !token.is("}")) {
                        self.read(&path);
                        if self.token().is_some_and(|token| token.is(",")) {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                Token::Mark(',' | '}' | ';') => break,
                Token::Word(word) if word == "as" => {
                    self.at += 1;
                    name = self.token().and_then(Token::word).map(str::to_owned);
                }
                Token::Word(word) if word == "self" && !path.is_empty() => {}
                Token::Word(word) => path.push(word),
                _ => {}
            }
            self.at += 1;
        }
        let name = name.or_else(|| path.last().cloned()).unwrap_or_default();
        self.leaves.push((path, name));
    }
}

#[test]
fn no_floor_reaches_up() {
    let rule = "credentials, log, tenant_id < storage, hub, http < graphql, live, records, tenant, auth < api, routes, pipeline, lib";
    none(rule, &Imports::of(&production_files()).faults_of_floors());
}

#[test]
fn no_circle_runs_through_files() {
    none("files read each other in circles", &Imports::of(&production_files()).circles());
}

fn tree(files: &[(&str, &str)]) -> Vec<SourceFile> {
    files.iter().map(|(path, text)| SourceFile::of(path, text).without_tests()).collect()
}

#[test]
fn reaching_up_is_found_however_it_is_written() {
    let reaching = [
        "use crate::tenant::api::create;",
        "use crate::{http, tenant::{self, api}};",
        "fn f() { crate::tenant::api::create() }",
        "use crate::tenant; fn f() { tenant::api::create() }",
        "use crate::tenant as whose; fn f() { whose::api::create() }",
        "use super::super::tenant::api;",
        "fn f() { super::super::tenant::api::create() }",
        "use crate::macro_of_tenant;",
    ];
    for text in reaching {
        let files = [
            ("src/storage/kv.rs", text),
            ("src/storage/mod.rs", "pub mod kv;"),
            ("src/http/mod.rs", ""),
            ("src/tenant/mod.rs", "pub mod api;"),
            ("src/tenant/api.rs", "#[macro_export] macro_rules! macro_of_tenant { () => {} }"),
        ];
        let faults = Imports::of(&tree(&files)).faults_of_floors();
        assert!(!faults.is_empty(), "{text}");
        assert!(faults.iter().all(|fault| fault.starts_with("src/storage/kv.rs:1 (engines) reaches up")), "{faults:?}");
    }
    let files = [
        ("src/tenant/api.rs", "use crate::storage::kv; use std::tenant; fn f() { kv::get() }"),
        ("src/storage/kv.rs", "/// crate::tenant::api\n#[cfg(test)] mod tests { use crate::tenant::api; }"),
        ("src/lib.rs", "pub mod storage; pub mod tenant;"),
    ];
    assert_eq!(Imports::of(&tree(&files)).faults_of_floors(), [""; 0]);
    assert_eq!(
        Imports::of(&tree(&[("src/cellar/a.rs", "")])).faults_of_floors(),
        ["src/cellar/a.rs stands on no floor"]
    );
}

#[test]
fn circles_are_found_and_named() {
    let files = [
        ("src/tenant/api.rs", "use super::change;"),
        ("src/tenant/change.rs", "\nuse super::registry::Tenant;"),
        ("src/tenant/registry.rs", "fn f() {\n\n super::api::find() }"),
        ("src/tenant/record.rs", "use super::registry::Tenant;"),
        ("src/tenant/mod.rs", ""),
    ];
    let circle = "src/tenant/api.rs:1 → src/tenant/change.rs:2 → src/tenant/registry.rs:3 → src/tenant/api.rs";
    assert_eq!(Imports::of(&tree(&files)).circles(), [circle]);
    assert_eq!(Imports::of(&tree(&files[1..])).circles(), [""; 0]);
}
