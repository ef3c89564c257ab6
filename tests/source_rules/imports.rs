use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::OnceLock;

use crate::none;
use crate::references::{Reading, Use};
use crate::source::{SourceFile, production_files};

/// A path behind the name of its crate: `[carillon, tenant, registry, Tenant]`, `[worker, d1]`.
pub type Name = Vec<String>;

/// What one file names, wherever it is written: in a `use`, in code, inside a macro or an attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    pub path: Name,
    pub line: usize,
}

/// Which file names what, and which file it imports by that.
#[derive(Debug, Default)]
pub struct Imports {
    pub names: BTreeMap<String, Vec<Named>>,
    /// Importing file, imported file, and the first line that does it.
    files: BTreeMap<String, BTreeMap<String, usize>>,
}

impl Imports {
    pub fn of(files: &[SourceFile]) -> Self {
        let project = Project::of(files);
        let mut imports = Self::default();
        for (file, reading) in files.iter().zip(&project.readings) {
            let imported = imports.files.entry(file.path.clone()).or_default();
            let names = imports.names.entry(file.path.clone()).or_default();
            let local = project.local_names(reading);
            let uses = reading.uses.iter().map(|used| (local.absolute(&used.scope, &used.path), true, used.line));
            let written = reading.written.iter();
            let written = written.map(|path| (local.absolute(&path.scope, &path.path), path.is_macro, path.line));
            for (path, may_be_macro, line) in uses.chain(written) {
                let mut targets = Targets { project: &project, may_be_macro, files: Vec::new(), paths: Vec::new() };
                targets.follow(path, 0);
                names.extend(targets.paths.into_iter().map(|path| Named { path, line }));
                for target in targets.files.into_iter().filter(|target| *target != file.path) {
                    let first = imported.entry(target.to_owned()).or_insert(line);
                    *first = line.min(*first);
                }
            }
        }
        imports
    }

    pub fn edges(&self) -> impl Iterator<Item = (&str, &str, usize)> {
        self.files.iter().flat_map(|(from, to)| to.iter().map(|(to, line)| (from.as_str(), to.as_str(), *line)))
    }

    /// The shortest circle through each import that is on one.
    fn circles(&self) -> Vec<String> {
        let mut circles = BTreeSet::new();
        for (from, to, _) in self.edges() {
            if let Some(mut circle) = self.shortest_path(to, from) {
                let first = circle.iter().enumerate().min_by_key(|(_, file)| *file).map_or(0, |(at, _)| at);
                circle.rotate_left(first);
                circles.insert(circle);
            }
        }
        let with_line = |from: &str, to: &str| format!("{from}:{} → ", self.files[from][to]);
        let written = circles.into_iter().map(|circle| {
            let next = circle.iter().cycle().skip(1);
            let steps: String = circle.iter().zip(next).map(|(from, to)| with_line(from, to)).collect();
            steps + circle[0]
        });
        written.collect()
    }

    /// The shortest path from a file to another, both included.
    fn shortest_path<'a>(&'a self, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut queue = VecDeque::from([from]);
        while let Some(here) = queue.pop_front() {
            if here == to {
                let mut path = vec![here];
                while let Some(before) = path.last().filter(|last| **last != from).map(|last| came_from[last]) {
                    path.push(before);
                }
                path.reverse();
                return Some(path);
            }
            for next in self.files.get(here).into_iter().flat_map(BTreeMap::keys) {
                if next != from && !came_from.contains_key(next.as_str()) {
                    came_from.insert(next, here);
                    queue.push_back(next);
                }
            }
        }
        None
    }
}

/// All files together: where a path leads.
struct Project<'f> {
    readings: Vec<Reading<'f>>,
    modules: BTreeMap<Name, &'f str>,
    /// Modules inside of files.
    inline: BTreeSet<Name>,
    /// `#[macro_export]`: the macro stands at its crate's root, its text in this file.
    exported_macros: BTreeMap<Name, &'f str>,
    /// Every macro by the module it is written in; `use` makes a path of it.
    macros: BTreeMap<Name, &'f str>,
    /// `pub use` and `pub(…) use`: a module's own name for something else.
    reexports: BTreeMap<Name, Name>,
}

impl<'f> Project<'f> {
    fn of(files: &'f [SourceFile]) -> Self {
        let readings: Vec<Reading> = files.iter().map(Reading::of).collect();
        let modules = files.iter().map(|file| (file.module(), file.path.as_str())).collect();
        let inline = readings.iter().flat_map(|reading| reading.inline.iter().cloned()).collect();
        let (mut exported_macros, mut macros) = (BTreeMap::new(), BTreeMap::new());
        for (file, reading) in files.iter().zip(&readings) {
            for (name, is_exported) in &reading.macros {
                let module = file.module();
                if *is_exported {
                    exported_macros.insert(vec![module[0].clone(), name.clone()], file.path.as_str());
                }
                macros.insert(module.into_iter().chain([name.clone()]).collect(), file.path.as_str());
            }
        }
        let reexports = BTreeMap::new();
        let mut project = Self { readings, modules, inline, exported_macros, macros, reexports };
        let mut reexports = BTreeMap::new();
        for reading in &project.readings {
            let local = project.local_names(reading);
            for used in reading.uses.iter().filter(|used| used.is_reexport) {
                let target = local.absolute(&used.scope, &used.path);
                let own = used.name.as_ref().map(|name| below(&used.scope, name));
                if let Some(own) = own.filter(|own| *own != target) {
                    reexports.insert(own, target);
                }
            }
        }
        project.reexports = reexports;
        project
    }

    /// What the names of a file stand for. A `use` may rest on another, so they are read until nothing changes.
    fn local_names(&self, reading: &Reading) -> LocalNames<'_, 'f> {
        let mut local = LocalNames { project: self, names: BTreeMap::new(), globs: BTreeMap::new() };
        for _ in 0..4 {
            for Use { scope, path, name, .. } in &reading.uses {
                let path = local.absolute(scope, path);
                match name {
                    Some(name) => drop(local.names.insert(below(scope, name), path)),
                    None => local.globs.entry(scope.clone()).or_default().push(path),
                }
            }
        }
        local
    }

    fn is_module(&self, path: &Name) -> bool {
        self.modules.contains_key(path) || self.inline.contains(path)
    }
}

/// What the names of one file stand for.
struct LocalNames<'p, 'f> {
    project: &'p Project<'f>,
    names: BTreeMap<Name, Name>,
    globs: BTreeMap<Name, Vec<Name>>,
}

impl LocalNames<'_, '_> {
    /// A path as it is written in a module, behind the name of its crate. One that begins in nothing we know is another
    /// crate's, or begins with a type.
    fn absolute(&self, scope: &Name, path: &[String]) -> Name {
        let Some((first, rest)) = path.split_first() else { return Name::new() };
        let mut absolute = match first.as_str() {
            "" => Name::new(),
            "crate" => scope[..1].to_vec(),
            "self" => scope.clone(),
            "super" => scope[..scope.len().saturating_sub(1).max(1)].to_vec(),
            name => self.named(scope, name).unwrap_or_else(|| vec![name.to_owned()]),
        };
        for segment in rest {
            match segment.as_str() {
                "super" => drop(absolute.pop()),
                "self" => {}
                name => absolute.push(name.to_owned()),
            }
        }
        absolute
    }

    fn named(&self, scope: &Name, name: &str) -> Option<Name> {
        let child = below(scope, name);
        let through_glob = |glob: &Name| {
            let child = below(glob, name);
            let known = self.names.get(&child).or_else(|| self.project.reexports.get(&child)).cloned();
            known.or_else(|| self.project.is_module(&child).then_some(child))
        };
        let known = self.names.get(&child).filter(|path| **path != [name]).cloned();
        let known = known.or_else(|| self.project.is_module(&child).then_some(child));
        known.or_else(|| self.globs.get(scope).into_iter().flatten().find_map(through_glob))
    }
}

/// Follows a path to the files behind it, also where a module gives on what it imported itself.
struct Targets<'p, 'f> {
    project: &'p Project<'f>,
    may_be_macro: bool,
    files: Vec<&'f str>,
    paths: Vec<Name>,
}

impl Targets<'_, '_> {
    fn follow(&mut self, path: Name, depth: usize) {
        let project = self.project;
        if let Some(file) = project.exported_macros.get(&path).filter(|_| self.may_be_macro) {
            self.files.push(file);
            return self.paths.push(path);
        }
        if let [name] = path.as_slice() {
            // `#[macro_use]`: a macro without a path.
            let named = project.macros.iter().filter(|(path, _)| self.may_be_macro && path.last() == Some(name));
            self.files.extend(named.map(|(_, file)| *file));
        }
        let module = (1..=path.len()).rev().find(|length| project.modules.contains_key(&path[..*length]));
        let given_on = module.filter(|length| *length < path.len()).and_then(|length| {
            let target = project.reexports.get(&path[..=length]).filter(|_| depth < 8)?;
            Some(target.iter().chain(&path[length + 1..]).cloned().collect::<Name>())
        });
        let is_macro = |path: &Name| project.macros.contains_key(path);
        match module {
            // A macro is its author's, whoever gives it on.
            Some(_) if self.may_be_macro && given_on.as_ref().is_some_and(is_macro) => {}
            Some(length) => self.files.push(project.modules[&path[..length]]),
            None => {}
        }
        self.paths.push(path);
        if let Some(target) = given_on {
            self.follow(target, depth + 1);
        }
    }
}

fn below(module: &Name, name: &str) -> Name {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

/// The imports of the project.
pub fn project() -> &'static Imports {
    static IMPORTS: OnceLock<Imports> = OnceLock::new();
    IMPORTS.get_or_init(|| Imports::of(&production_files()))
}

#[test]
fn no_circle_runs_through_files() {
    none("files import each other in circles", &project().circles());
}

/// Files in memory, without their tests.
pub fn tree(files: &[(&str, &str)]) -> Vec<SourceFile> {
    files.iter().map(|(path, text)| SourceFile::of(path, text).without_tests()).collect()
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

/// The files that `src/storage/kv.rs` imports if it holds this text.
fn imported(text: &str) -> Vec<(String, usize)> {
    let files = [
        ("domain/src/lib.rs", "pub mod host; pub mod json;"),
        ("domain/src/host.rs", ""),
        ("domain/src/json.rs", "#[macro_export] macro_rules! json { () => { $crate::host::f() } }"),
        ("src/lib.rs", "mod http; mod storage; mod tenant; pub(crate) use storage::row::row_type;"),
        ("src/http/mod.rs", ""),
        ("src/storage/kv.rs", text),
        ("src/storage/mod.rs", "pub mod kv; pub use self::row::Row;"),
        ("src/storage/row.rs", "pub struct Row; macro_rules! row_type { () => {} } pub(crate) use row_type;"),
        ("src/tenant/mod.rs", "pub mod registry; pub use registry as all_tenants;"),
        ("src/tenant/registry.rs", "#[macro_export] macro_rules! tenants { () => {} }"),
    ];
    let imports = Imports::of(&tree(&files));
    imports.files["src/storage/kv.rs"].clone().into_iter().collect()
}

#[test]
fn an_import_is_found_however_it_is_written() {
    let registry = [
        "use crate::tenant::registry::find;",
        "use crate::{http, tenant::{self, registry}};",
        "use crate::tenant::{registry as r};",
        "use crate::tenant::registry::*;",
        "use crate::{tenant::*}; fn f() { registry::find() }",
        "use crate::*; fn f() { tenant::registry::find() }",
        "fn f() { crate::tenant::registry::find() }",
        "fn f(x: Vec<crate::tenant::registry::Tenant>) {}",
        "fn f() { Vec::<crate::tenant::registry::Tenant>::new() }",
        "impl crate::tenant::registry::Find for X {}",
        "fn f() { <X as crate::tenant::registry::Find>::find() }",
        "use crate::tenant; fn f() { tenant::registry::find() }",
        "use crate::tenant as whose; fn f() { whose::registry::find() }",
        "use crate::tenant as whose; use whose::registry::find;",
        "use super::super::tenant::registry;",
        "fn f() { super::super::tenant::registry::find() }",
        "fn f() { use crate::tenant::registry; }",
        "mod inner { use super::super::super::tenant::registry; }",
        "use crate::tenant; mod inner { use super::*; fn f() { tenant::registry::find() } }",
        "fn f() { g!(a, [crate::tenant::registry::find()]) }",
        "use crate::tenant; fn f() { g!(0..tenant::registry::MAX) }",
        "macro_rules! g { () => { $crate::tenant::registry::find() } }",
        "macro_rules! g { () => { use crate::{tenant::{registry}}; } }",
        "#[serde(with = \"crate::tenant::registry\")] struct A;",
        "struct A { #[serde(default = \"crate::tenant::registry::find\")] a: u8 }",
        "#[g(crate::tenant::registry)] struct A;",
        "#[crate::tenant::registry::g] struct A;",
        "use crate::tenants;",
        "crate::tenants! {}",
        "fn f() { crate::tenants!() }",
        "tenants! {}",
        "use crate::tenant::all_tenants::find;",
    ];
    for text in registry {
        let found = imported(text);
        assert!(found.contains(&("src/tenant/registry.rs".to_owned(), 1)), "{text}: {found:?}");
    }
}

#[test]
fn an_import_leads_to_where_a_thing_is_written() {
    let only = |file: &str| vec![(file.to_owned(), 1)];
    assert_eq!(imported("use domain::host::Host;"), only("domain/src/host.rs"));
    assert_eq!(imported("fn f(host: &::domain::host::Host) {}"), only("domain/src/host.rs"));
    for text in ["use domain::json; fn f() { json!() }", "fn f() { domain::json!() }"] {
        assert_eq!(imported(text), only("domain/src/json.rs"), "{text}");
    }
    for text in ["use crate::row_type; row_type! {}", "crate::row_type! {}", "use super::row::row_type;"] {
        assert_eq!(imported(text), only("src/storage/row.rs"), "{text}");
    }
    let both = [("src/storage/mod.rs".to_owned(), 2), ("src/storage/row.rs".to_owned(), 2)];
    assert_eq!(imported("\nuse super::Row;"), both);
}

#[test]
fn what_is_no_import_is_none() {
    let nothing = [
        "",
        "/// [`crate::tenant::registry`]\nfn f() {}",
        "// crate::tenant::registry\nconst A: &str = \"crate::tenant::registry\";",
        "#[cfg(test)] mod tests { use crate::tenant::registry; }",
        "use std::tenant; fn f() { tenant::registry::find() }",
        "use serde_json::json; fn f() { json!() }",
        "pub(in crate::storage) fn f() {}",
        "fn f(tenant: T) { g!(tenant.registry::<u8>()) }",
        "macro_rules! g { ($tenant:ident) => { $tenant::registry::find() } }",
        "fn f() { g!(a != b) }",
    ];
    for text in nothing {
        assert_eq!(imported(text), [], "{text}");
    }
}
