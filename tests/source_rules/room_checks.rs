use std::collections::BTreeSet;

use crate::imports::{Imports, project, tree};
use crate::none;
use crate::rooms::{ROOMS, Rooms, Rule, room_of};
use crate::source::{SourceFile, WORKER, production_files};
use crate::tokens::Token;

impl Rooms {
    fn faults_of_order(&self, imports: &Imports) -> Vec<String> {
        let mut faults = Vec::new();
        for (from, to, line) in imports.edges() {
            let (low, high) = (room_of(from), room_of(to));
            let (Some(own), Some(other)) = (self.height(low), self.height(high)) else { continue };
            let may = low == high || other < own;
            if !may {
                faults.push(format!("{from}:{line} ({low}) imports {to} ({high})"));
            }
        }
        faults
    }

    fn faults_of_rules(&self, files: &[SourceFile], imports: &Imports) -> Vec<String> {
        let mut faults = Vec::new();
        for rule in self.rules {
            let mut used = BTreeSet::new();
            for file in files.iter().filter(|file| room_of(&file.path) == rule.room) {
                for (line, what) in named(file, imports, rule.names) {
                    match rule.but.iter().find(|but| leads_to(&what, but)) {
                        Some(but) => drop(used.insert(*but)),
                        None => faults.push(format!(
                            "{}:{line} names {what}: {} may not touch {}",
                            file.path, rule.room, rule.touch
                        )),
                    }
                }
            }
            let idle = rule.but.iter().filter(|but| !used.contains(*but));
            faults.extend(idle.map(|but| format!("{} no longer names {but}: take it off `{}`", rule.room, rule.touch)));
        }
        for reserved in self.reserved {
            for file in files.iter().filter(|file| room_of(&file.path) != reserved.room) {
                faults.extend(named(file, imports, reserved.names).into_iter().map(|(line, what)| {
                    format!("{}:{line} names {what}: {} is {}", file.path, reserved.room, reserved.owns)
                }));
            }
        }
        faults
    }
}

/// Whether a path is one that is allowed, lies below it, or is a module on the way to it.
fn leads_to(path: &str, allowed: &str) -> bool {
    let below = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    below(path, allowed) || below(allowed, path)
}

/// What a rule looks for in a file.
enum Pattern<'p> {
    /// `crate::storage`, `worker::d1`, `worker`: what this path leads to, however it is written.
    Path(Vec<&'p str>),
    /// `.d1(`, `println!`, `D1Database`: these tokens.
    Tokens(Vec<&'p str>),
    /// `sql tenants`: a statement with this word.
    Sql(&'p str),
}

impl<'p> Pattern<'p> {
    fn of(text: &'p str) -> Self {
        if let Some(table) = text.strip_prefix("sql ") {
            return Self::Sql(table);
        }
        if let Some(method) = text.strip_prefix('.') {
            return Self::Tokens(vec![".", method.trim_end_matches('('), "("]);
        }
        match text.strip_suffix('!') {
            Some(name) => Self::Tokens(vec![name, "!"]),
            None if text.starts_with(char::is_uppercase) => Self::Tokens(vec![text]),
            None => {
                Self::Path(text.split("::").map(|segment| if segment == "crate" { WORKER } else { segment }).collect())
            }
        }
    }
}

/// Where a file names one of these, and what stands there.
fn named(file: &SourceFile, imports: &Imports, patterns: &[&str]) -> BTreeSet<(usize, String)> {
    let mut found = BTreeSet::new();
    for text in patterns {
        match Pattern::of(text) {
            Pattern::Path(prefix) => {
                let names = imports.names[&file.path].iter();
                let below = names.filter(|name| name.path.iter().take(prefix.len()).eq(prefix.iter()));
                found.extend(below.map(|name| {
                    let path = name.path.join("::");
                    let path = path.strip_prefix(WORKER).map_or(path.clone(), |rest| format!("crate{rest}"));
                    (name.line, path)
                }));
            }
            Pattern::Tokens(tokens) => {
                found.extend(file.find(&tokens).into_iter().map(|(_, line)| (line, (*text).to_owned())));
            }
            Pattern::Sql(table) => {
                let names_table = |token: &Token| matches!(token, Token::Text(sql) if is_sql(sql) && words(sql).any(|word| word == table));
                let statements = file.tokens.iter().filter(|(token, _)| names_table(token));
                found.extend(statements.map(|(_, line)| (*line, (*text).to_owned())));
            }
        }
    }
    found
}

fn is_sql(text: &str) -> bool {
    ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "].iter().any(|verb| text.trim_start().starts_with(verb))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
}

#[test]
fn a_room_imports_lower_rooms_alone() {
    none(&ROOMS.line(), &ROOMS.faults_of_order(project()));
}

#[test]
fn no_room_touches_what_it_may_not() {
    none("see the table of rooms in docs/architecture.md", &ROOMS.faults_of_rules(&production_files(), project()));
}

#[test]
fn reaching_up_or_aside_is_found() {
    let faults = |from: &str, text: &str| {
        let files = [
            (from, text),
            ("domain/src/host.rs", ""),
            ("src/http/mod.rs", "pub mod call;"),
            ("src/http/call.rs", "#[macro_export] macro_rules! called { () => {} }"),
            ("src/hub/mod.rs", ""),
            ("src/log.rs", ""),
            ("src/lib.rs", "mod http;"),
        ];
        ROOMS.faults_of_order(&Imports::of(&tree(&files)))
    };
    let refused = [
        (
            "src/storage/kv.rs",
            "use crate::http::call;",
            "src/storage/kv.rs:1 (storage) imports src/http/call.rs (http)",
        ),
        ("src/storage/kv.rs", "crate::called! {}", "src/storage/kv.rs:1 (storage) imports src/http/call.rs (http)"),
        ("src/hub/a.rs", "use crate::http;", "src/hub/a.rs:1 (hub) imports src/http/mod.rs (http)"),
        ("src/http/outbound.rs", "use crate::hub;", "src/http/outbound.rs:1 (http) imports src/hub/mod.rs (hub)"),
        ("src/live/page.rs", "use crate::fetch;", "src/live/page.rs:1 (live) imports src/lib.rs (lib)"),
    ];
    for (from, text, fault) in refused {
        assert_eq!(faults(from, text), [fault], "{text}");
    }
    let passes = [
        ("src/tenant/change.rs", "use crate::{http::call, hub}; use domain::host; fn f() { crate::log::f() }"),
        ("src/http/answer.rs", "use super::call;"),
        ("src/pipeline/mod.rs", "use crate::http; #[cfg(test)] mod tests { use crate::fetch; }"),
    ];
    for (from, text) in passes {
        assert_eq!(faults(from, text), [""; 0], "{text}");
    }
}

/// What the rules say of one file beside these modules.
fn told(path: &str, text: &str) -> Vec<String> {
    let files = [
        (path, text),
        ("src/storage/mod.rs", "pub mod kv; pub mod outbox; pub use self::kv::Kv;"),
        ("src/storage/kv.rs", "pub struct Kv;"),
        ("src/storage/outbox.rs", ""),
        ("src/tenant/mod.rs", "pub mod registry; pub mod secrets;"),
        ("src/tenant/registry.rs", ""),
        ("src/tenant/secrets.rs", ""),
        ("src/hub/event_log.rs", ""),
    ];
    let files = tree(&files);
    let told = ROOMS.faults_of_rules(&files, &Imports::of(&files)).into_iter();
    told.filter(|fault| fault.starts_with(path)).collect()
}

#[test]
fn what_a_room_may_not_touch_is_found() {
    let refused = [
        ("domain/src/host.rs", "fn f(url: &worker::Url) {}", "worker::Url: domain may not touch any platform type"),
        ("domain/src/clock.rs", "use std::time::{Instant};", "std::time::Instant: domain may not touch the clock"),
        ("domain/src/ids.rs", "fn f() { getrandom::fill() }", "getrandom::fill: domain may not touch randomness"),
        ("src/credentials/key.rs", "use js_sys::Date;", "js_sys::Date: credentials may not touch any platform type"),
        ("src/log.rs", "use domain::event::Event;", "domain::event::Event: log may not touch data of tenants"),
        ("src/storage/kv.rs", "use domain::plan;", "domain::plan: storage may not touch decisions about tenants"),
        ("src/http/call.rs", "use crate::storage::outbox;", "crate::storage::outbox: http may not touch databases"),
        ("src/http/call.rs", "use crate::hub::protocol;", "crate::hub::protocol: http may not touch the hub"),
        ("src/http/call.rs", "use crate::tenant;", "crate::tenant: http may not touch tenants"),
        (
            "src/hub/a.rs",
            "use crate::storage::audit_log;",
            "crate::storage::audit_log: hub may not touch any other row of D1",
        ),
        (
            "src/hub/a.rs",
            "fn f() { m!(crate::tenant::secrets::get()) }",
            "crate::tenant::secrets::get: hub may not touch tenants' secrets",
        ),
        (
            "src/tenant/a.rs",
            "use crate::hub::event_log::Log;",
            "crate::hub::event_log::Log: tenant may not touch events",
        ),
        (
            "src/auth/a.rs",
            "use crate::tenant::resolve;",
            "crate::tenant::resolve: auth may not touch the registry of tenants",
        ),
        (
            "src/auth/a.rs",
            "const A: &str = \"SELECT id FROM tenants\";",
            "sql tenants: auth may not touch the registry of tenants",
        ),
        (
            "src/records/a.rs",
            "use crate::tenant; fn f() { tenant::registry::find() }",
            "crate::tenant::registry::find: records may not touch the registry of tenants",
        ),
        (
            "src/records/a.rs",
            "use crate::hub::event_log;",
            "crate::hub::event_log: records may not touch the event log",
        ),
        (
            "src/records/a.rs",
            "use crate::auth::authenticate;",
            "crate::auth::authenticate: records may not touch who somebody is",
        ),
        ("src/live/a.rs", "use crate::hub::reach;", "crate::hub::reach: live may not touch who may see what"),
        ("src/tenant/a.rs", "use domain::record::Record;", "domain::record::Record: tenant may not touch records"),
        (
            "src/credentials/a.rs",
            "use crate::tenant_id::TenantId;",
            "crate::tenant_id::TenantId: credentials may not touch who owns a credential",
        ),
        ("src/api/a.rs", "use crate::routes;", "crate::routes: api may not touch how a request is routed and admitted"),
        ("src/routes/a.rs", "use crate::storage::kv::Kv;", "crate::storage::kv::Kv: routes may not touch stores"),
        ("src/pipeline/a.rs", "fn f() { request.body(10) }", ".body(: pipeline may not touch the contents of requests"),
        (
            "src/live/a.rs",
            "fn f(d1: D1Database) {}",
            "D1Database: storage is the only code that speaks to D1, KV and R2",
        ),
        (
            "src/live/a.rs",
            "use worker::d1::D1Type;",
            "worker::d1::D1Type: storage is the only code that speaks to D1, KV and R2",
        ),
        (
            "src/live/a.rs",
            "use worker::{d1 as d}; ",
            "worker::d1: storage is the only code that speaks to D1, KV and R2",
        ),
        (
            "src/api/a.rs",
            "fn f() { json!({ \"a\": env.kv(\"KV\") }) }",
            ".kv(: storage is the only code that speaks to D1, KV and R2",
        ),
        ("src/lib.rs", "fn f() { bindings.d1(name) }", ".d1(: storage is the only code that speaks to D1, KV and R2"),
        (
            "src/pipeline/mod.rs",
            "fn f() { worker::console_log!(\"a\") }",
            "console_log!: log is the only code that writes to the console",
        ),
        (
            "src/pipeline/mod.rs",
            "use worker::console_error as say; ",
            "worker::console_error: log is the only code that writes to the console",
        ),
        (
            "src/hub/a.rs",
            "fn f() { web_sys::console::log_1(&a) }",
            "web_sys::console::log_1: log is the only code that writes to the console",
        ),
    ];
    for (path, text, fault) in refused {
        let fault = format!("{path}:1 names {fault}");
        let told = told(path, text);
        assert!(told.contains(&fault), "{text}: {told:?}");
    }
    // Two rules about one name.
    assert_eq!(told("src/hub/a.rs", "use crate::storage::Kv;").len(), 3);
}

#[test]
fn what_a_room_may_touch_passes() {
    let passes = [
        ("src/hub/a.rs", "use crate::storage::{self, outbox::Outbox}; fn f() { storage::outbox::f() }"),
        ("src/http/problem.rs", "use crate::storage::sql::StorageError;"),
        ("src/auth/a.rs", "use crate::tenant::secrets; const A: &str = \"SELECT tenants_seen FROM x\";"),
        ("src/storage/bindings.rs", "fn f() { env.d1(name) }"),
        ("src/log.rs", "fn f() { worker::console_log!(\"{line}\") }"),
        (
            "src/live/a.rs",
            "/// [`crate::hub::reach`], D1Database, println!\n#[cfg(test)] mod tests { fn f() { println!() } }",
        ),
        ("src/records/a.rs", "const A: &str = \"the tenants of a shard\"; use crate::auth::principal::Member;"),
    ];
    for (path, text) in passes {
        assert_eq!(told(path, text), [""; 0], "{text}");
    }
}

#[test]
fn an_exception_that_nothing_needs_is_found() {
    let rooms = Rooms {
        rules: &[Rule { room: "http", touch: "databases", names: &["crate::storage"], but: &["crate::storage::sql"] }],
        reserved: &[],
        ..ROOMS
    };
    let faults = |text: &str| {
        let files = tree(&[("src/http/call.rs", text)]);
        rooms.faults_of_rules(&files, &Imports::of(&files))
    };
    assert_eq!(faults("use crate::storage::sql::StorageError;"), [""; 0]);
    assert_eq!(faults(""), ["http no longer names crate::storage::sql: take it off `databases`"]);
}
