use std::collections::BTreeMap;

use syn::visit::Visit;
use syn::{ItemImpl, ItemStruct};

use crate::none;
use crate::source::{SourceFile, files, production_files, read};
use crate::tokens::tokens_of;

/// Who may say that a tenant is proven: the file, how often, and how it knows.
const PROVERS: &[(&str, usize, &str)] = &[
    ("src/hub/object.rs", 1, "the hub is named by its tenant, and serves no message for another"),
    ("src/graphql/shield.rs", 1, "the object is named by its tenant, which a Worker proved"),
    ("src/storage/shard_db.rs", 1, "it has a row on the shard, and only a proven tenant's are written there"),
    ("src/tenant/entered.rs", 1, "the row of the audit is joined with the registry's"),
    ("src/tenant/registry.rs", 1, "the row was read from the registry"),
    (
        "src/tenant/resolve.rs",
        3,
        "the registry named the host's tenant or has the id; or KV did, and the hub refuses a host that is not its own",
    ),
    ("src/tenant/secrets.rs", 1, "the registry has secrets of it"),
];

fn unknown_provers(files: &[SourceFile], provers: &[(&str, usize, &str)]) -> Vec<String> {
    let mut calls = BTreeMap::new();
    for file in files {
        let is_proof = |(at, _): &(usize, usize)| {
            file.tokens.get(at + 3).and_then(|(token, _)| token.word()).is_some_and(|name| name.contains("proven"))
        };
        let found = file.find(&["TenantId", ":", ":"]).iter().filter(|place| is_proof(place)).count();
        if found > 0 {
            calls.insert(file.path.as_str(), found);
        }
    }
    let mut faults = Vec::new();
    for (file, found) in &calls {
        let known = provers.iter().find(|(path, ..)| path == file).map_or(0, |(_, known, _)| *known);
        if known != *found {
            faults.push(format!("{file} says TenantId::proven {found} times, {known} are accounted for"));
        }
    }
    for (file, ..) in provers.iter().filter(|(file, ..)| !calls.contains_key(file)) {
        faults.push(format!("{file} no longer proves a tenant: take it off the list"));
    }
    faults
}

/// Traits that make a value out of another: none makes a proven tenant.
const MAKERS: [&str; 6] = ["Default", "Deserialize", "From", "FromRow", "FromStr", "TryFrom"];

/// Ways to a proven tenant past its constructor: a trait that makes one, or another name for the type.
fn other_ways_to_a_tenant(files: &[SourceFile]) -> Vec<String> {
    struct Search<'f>(&'f SourceFile, Vec<String>);
    impl<'ast> Visit<'ast> for Search<'_> {
        fn visit_item_struct(&mut self, item: &'ast ItemStruct) {
            for attribute in item.attrs.iter().filter(|_| item.ident == "TenantId") {
                let syn::Meta::List(list) = &attribute.meta else { continue };
                for (token, span) in tokens_of(list.tokens.clone()) {
                    self.fault(token.word().unwrap_or_default(), span.start().line);
                }
            }
        }

        fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
            let syn::Type::Path(this) = &*item.self_ty else { return };
            let made = item.trait_.as_ref().and_then(|(path, _)| path.segments.last());
            if let Some(made) = made.filter(|_| this.path.segments.last().is_some_and(|last| last.ident == "TenantId"))
            {
                self.fault(&made.ident.to_string(), made.ident.span().start().line);
            }
        }
    }
    impl Search<'_> {
        fn fault(&mut self, name: &str, line: usize) {
            if MAKERS.contains(&name) {
                self.1.push(format!("{}:{line} makes a TenantId by {name}", self.0.path));
            }
        }
    }
    let mut faults = Vec::new();
    for file in files {
        let mut search = Search(file, Vec::new());
        search.visit_file(&file.syntax());
        faults.extend(search.1);
        let renamed = file.find(&["TenantId", "as"]).into_iter();
        faults.extend(renamed.map(|(_, line)| format!("{}:{line} gives TenantId another name", file.path)));
    }
    faults
}

/// Who may open a database, and hand text to it: the file, how often, and why its text is a constant.
const OPENERS: &[(&str, usize, &str)] = &[
    ("src/storage/bindings.rs", 1, "finds the binding; takes no text"),
    ("src/storage/control_db.rs", 1, "takes only the text of a registered statement"),
    ("src/storage/probe.rs", 1, "asks whether a table is there; gives no row away"),
    ("src/storage/shard_db.rs", 1, "takes only the text of a registered statement"),
    ("src/storage/tenant_db.rs", 1, "takes only the text of a registered statement"),
];

/// Statements reach a database through few doors, and are made by `statements!` alone.
fn unregistered_sql(files: &[SourceFile]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files {
        let found = file.find(&[".", "d1", "("]).len();
        let known = OPENERS.iter().find(|(path, ..)| *path == file.path).map_or(0, |(_, known, _)| *known);
        if found != known {
            faults.push(format!("{} opens {found} databases, {known} are accounted for", file.path));
        }
        if file.path.starts_with("src/storage/") {
            for act in ["exec", "prepare"] {
                let found = file.find(&[".", act, "("]).into_iter();
                faults.extend(found.map(|(_, line)| format!("{}:{line} {act}s SQL past d1.js", file.path)));
            }
        }
        for kind in ["TenantSql", "ShardSql", "ControlSql"] {
            let found = file.find(&[kind, ":", ":", "new"]).into_iter();
            faults.extend(found.map(|(_, line)| format!("{}:{line} makes a {kind} without statements!", file.path)));
        }
    }
    faults
}

/// The clippy lints that Cargo.toml denies.
fn denied() -> Vec<String> {
    let manifest = read("Cargo.toml");
    let (_, section) = manifest.split_once("[lints.clippy]").expect("Cargo.toml has [lints.clippy]");
    let section = section.split("\n[").next().unwrap_or_default();
    let lints = section.lines().filter_map(|line| line.split_once('=')).filter(|(_, level)| level.contains("deny"));
    lints.map(|(name, _)| name.trim().to_owned()).collect()
}

/// Attributes that lift a denied lint, or a group that holds one.
fn lifted_lints(files: &[SourceFile], denied: &[String]) -> Vec<String> {
    const GROUPS: [&str; 3] = ["all", "restriction", "pedantic"];
    let mut faults = Vec::new();
    for file in files {
        for level in ["allow", "expect", "warn"] {
            for (at, line) in file.find(&[level, "("]) {
                let inside = file.tokens[at + 2..].iter().take_while(|(token, _)| !token.is(")"));
                let words: Vec<&str> = inside.filter_map(|(token, _)| token.word()).collect();
                let lifts = |lint: &str| denied.iter().any(|d| d == lint) || GROUPS.contains(&lint);
                for pair in words.windows(2).filter(|pair| pair[0] == "clippy" && lifts(pair[1])) {
                    faults.push(format!("{}:{line} {level}s clippy::{}", file.path, pair[1]));
                }
                if words.first() == Some(&"warnings") {
                    faults.push(format!("{}:{line} {level}s warnings", file.path));
                }
            }
        }
    }
    faults
}

#[test]
fn few_files_say_that_a_tenant_is_proven() {
    none("TenantId::proven", &unknown_provers(&production_files(), PROVERS));
}

#[test]
fn nothing_else_makes_a_proven_tenant() {
    none("TenantId", &other_ways_to_a_tenant(&production_files()));
}

#[test]
fn sql_reaches_a_database_through_registered_statements_only() {
    none("every statement is registered", &unregistered_sql(&production_files()));
}

#[test]
fn no_denied_lint_is_lifted() {
    let denied = denied();
    assert!(denied.iter().any(|lint| lint == "unwrap_used"), "{denied:?}");
    none("what Cargo.toml denies stays denied", &lifted_lints(&files(), &denied));
}

#[test]
fn a_forbidden_act_is_found() {
    let file = |text: &str| [SourceFile::of("src/live/x.rs", text)];
    for text in ["TenantId::proven(id)", "ids.map(TenantId::proven)", "crate::domain::ids::TenantId::proven_here(id)"] {
        assert_eq!(unknown_provers(&file(text), &[]).len(), 1, "{text}");
    }
    assert_eq!(
        unknown_provers(&file("TenantId::proven(a); TenantId::proven(b)"), &[("src/live/x.rs", 1, "")]).len(),
        1
    );
    assert_eq!(unknown_provers(&file(""), &[("src/live/x.rs", 1, "")]).len(), 1);
    let made = [
        "#[derive(Debug, Deserialize)] pub struct TenantId(Box<str>);",
        "#[derive(serde::Deserialize)] pub struct TenantId(Box<str>);",
        "impl From<&str> for TenantId { }",
        "impl<'de> serde::Deserialize<'de> for crate::tenant_id::TenantId { }",
        "mod inner { impl FromStr for TenantId { } }",
        "use crate::tenant_id::TenantId as Tenant;",
    ];
    for text in made {
        assert_eq!(other_ways_to_a_tenant(&file(text)).len(), 1, "{text}");
    }
    let passes = "#[derive(Debug, Serialize)] pub struct TenantId(Box<str>); impl From<TenantId> for String { }";
    assert_eq!(other_ways_to_a_tenant(&file(passes)), [""; 0]);
    for text in ["bindings.d1(name)", "TenantSql::new(name, text)", "crate::storage::sql::ControlSql::new(name, text)"]
    {
        assert_eq!(unregistered_sql(&file(text)).len(), 1, "{text}");
    }
    let denied = ["unwrap_used".to_owned()];
    for text in ["#[allow(clippy::unwrap_used)]", "#![expect(dead_code, clippy::unwrap_used)]", "#[allow(clippy::all)]"]
    {
        assert_eq!(lifted_lints(&file(text), &denied).len(), 1, "{text}");
    }
    assert_eq!(lifted_lints(&file("#[allow(clippy::too_many_arguments)]"), &denied), [""; 0]);
}
