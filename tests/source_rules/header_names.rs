//! Headers that the source reads and sends are those that operations declare: a page of another origin may send the
//! former and read the latter, and the OpenAPI documents tell of both.
//!
//! What a handler reaches is followed by the names of functions: in its own file, by the module or type in front of the
//! name, or wherever the name is the only one of its kind.

use std::collections::{BTreeMap, BTreeSet};

use carillon::routes::cors::{answered, sent};
use carillon::routes::openapi::schemas;
use carillon::routes::{self, Route, Surface};

use crate::imports::Imports;
use crate::source::{SourceFile, production_files};
use crate::tokens::Token;

/// Request headers that browsers send by themselves, or let any page send (Fetch, "forbidden request-header" and
/// "CORS-safelisted request-header"), and one of Cloudflare's.
const OF_BROWSERS: [&str; 8] =
    ["Accept", "CF-Connecting-IP", "Content-Length", "Cookie", "Origin", "Sec-Fetch-Site", "User-Agent", "Referer"];

/// Headers of answers that every page may read (Fetch, "CORS-safelisted response-header name").
const SHOWN_TO_ALL: [&str; 4] = ["Cache-Control", "Content-Length", "Content-Type", "Last-Modified"];

/// Headers of answers that are for browsers and proxies, and tell a page nothing.
const NOT_FOR_PAGES: [&str; 8] = [
    "Content-Security-Policy",
    "Referrer-Policy",
    "Set-Cookie",
    "Strict-Transport-Security",
    "Vary",
    "X-Accel-Buffering",
    "X-Content-Type-Options",
    "X-Frame-Options",
];

/// What a function reads, sends and calls.
#[derive(Debug, Default, Clone)]
struct HeaderUse {
    reads: BTreeSet<String>,
    sends: BTreeSet<String>,
    /// Each with the module or type in front of it, or the point of a method.
    calls: Vec<(Option<String>, String)>,
}

/// A function: its file's path, the types that the file declares, its name, what it does.
struct FoundFunction {
    path: String,
    owners: BTreeSet<String>,
    name: String,
    does: HeaderUse,
}

fn is_header_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// What stands between these tokens.
fn used(tokens: &[(Token, usize)]) -> HeaderUse {
    let mut used = HeaderUse::default();
    let at = |i: usize| tokens.get(i).map(|(token, _)| token);
    let is = |i: Option<usize>, wanted: &str| i.and_then(at).is_some_and(|token| token.is(wanted));
    for i in 0..tokens.len() {
        match at(i) {
            Some(Token::Text(text)) if is_header_name(text) && is(i.checked_sub(1), "(") => {
                let method = i.checked_sub(2).and_then(at).and_then(Token::word).unwrap_or_default();
                let (is_sent, is_read) = (is(Some(i + 1), ","), is(Some(i + 1), ")"));
                match method {
                    "header" | "append" | "set" if is_sent => used.sends.extend([text.clone()]),
                    "header" | "header_as_sent" | "get" | "tags" | "date" if is_read => {
                        used.reads.extend([text.clone()])
                    }
                    _ => {}
                }
            }
            Some(Token::Word(name)) if is(Some(i + 1), "(") && !is(i.checked_sub(1), "fn") => {
                let is_path = is(i.checked_sub(1), ":") && is(i.checked_sub(2), ":");
                let is_method = is(i.checked_sub(1), ".");
                let before = match is_path {
                    true => i.checked_sub(3).and_then(at).and_then(Token::word),
                    false => is_method.then_some("."),
                };
                used.calls.push((before.map(str::to_owned), name.clone()));
            }
            _ => {}
        }
    }
    // Handed on as functions.
    used.calls.extend(used_as_values(tokens));
    used
}

/// `problem::not_found` without a call, as in `ok_or_else(problem::not_found)`.
fn used_as_values(tokens: &[(Token, usize)]) -> Vec<(Option<String>, String)> {
    let paths = tokens.windows(5).filter_map(|window| {
        let [(owner, _), (one, _), (two, _), (name, _), (next, _)] = window else { return None };
        let is_path = one.is(":") && two.is(":") && (next.is(")") || next.is(","));
        is_path.then(|| Some((Some(owner.word()?.to_owned()), name.word()?.to_owned())))?
    });
    paths.collect()
}

fn functions(file: &SourceFile) -> Vec<FoundFunction> {
    let mut owners: BTreeSet<String> = file.module().last().cloned().into_iter().collect();
    for kind in ["struct", "enum", "type"] {
        let names = file.find(&[kind]).into_iter().filter_map(|(at, _)| file.tokens.get(at + 1)?.0.word());
        owners.extend(names.map(str::to_owned));
    }
    let mut found = Vec::new();
    for (at, _) in file.find(&["fn"]) {
        let Some(name) = file.tokens.get(at + 1).and_then(|(token, _)| token.word()) else { continue };
        let opens = file.tokens[at..].iter().position(|(token, _)| token.is("{") || token.is(";")).map(|i| at + i);
        let Some(opens) = opens.filter(|opens| file.tokens[*opens].0.is("{")) else { continue };
        let mut depth = 0_usize;
        let ends = file.tokens[opens..].iter().position(|(token, _)| {
            depth += usize::from(token.is("{"));
            depth -= usize::from(token.is("}"));
            depth == 0
        });
        let body = &file.tokens[opens..=opens + ends.unwrap()];
        let does = used(body);
        found.push(FoundFunction { path: file.path.clone(), owners: owners.clone(), name: name.to_owned(), does });
    }
    found
}

/// The functions of the source, and which calls which.
struct Functions {
    all: Vec<FoundFunction>,
    /// Which file imports which.
    imports: BTreeSet<(String, String)>,
}

impl Functions {
    fn of(files: &[SourceFile]) -> Self {
        let imports = Imports::of(files);
        // What runs in the hub's object answers the Worker, not a client; and a static file's headers are read of the platform's
        // answer, not of a request.
        let others = ["domain/", "src/hub/", "src/storage/assets.rs"];
        let files = files.iter().filter(|file| !others.iter().any(|other| file.path.starts_with(other)));
        let edges = imports.edges().map(|(from, to, _)| (from.to_owned(), to.to_owned()));
        Self { all: files.flat_map(functions).collect(), imports: edges.collect() }
    }

    fn called(&self, from: &FoundFunction, (owner, name): &(Option<String>, String)) -> Vec<usize> {
        let named: Vec<usize> = (0..self.all.len()).filter(|i| self.all[*i].name == *name).collect();
        let here = |i: &&usize| self.all[**i].path == from.path;
        let is_imported = |i: &usize| self.imports.contains(&(from.path.clone(), self.all[*i].path.clone()));
        // Methods of values that were handed in are of files that need not be imported, but not of other handlers.
        let is_handlers = |i: &usize| ["src/api/", "src/live/"].iter().any(|room| self.all[*i].path.starts_with(room));
        let only = |named: Vec<usize>| match named[..] {
            [one] if here(&&one) || is_imported(&one) || !is_handlers(&one) => named,
            _ => Vec::new(),
        };
        match owner.as_deref() {
            Some(".") => only(named),
            Some("Self" | "self") => named.iter().filter(here).copied().collect(),
            Some(owner) => {
                let (imported, rest): (Vec<usize>, Vec<usize>) =
                    named.into_iter().filter(|i| self.all[*i].owners.contains(owner)).partition(is_imported);
                if imported.is_empty() { rest.into_iter().filter(|i| here(&i)).collect() } else { imported }
            }
            None if named.iter().any(|i| here(&i)) => named.iter().filter(here).copied().collect(),
            None => only(named),
        }
    }

    /// What a handler reads and sends, with all that it reaches.
    fn reached(&self, path: &[&str]) -> HeaderUse {
        let [.., module, name] = path else { return HeaderUse::default() };
        let begins = (0..self.all.len()).filter(|i| {
            let one = &self.all[*i];
            let folder = path[1..path.len() - 1].join("/");
            let is_file =
                [format!("{folder}.rs"), format!("{folder}/mod.rs")].iter().any(|end| one.path.ends_with(end));
            one.name == *name && one.owners.contains(*module) && is_file
        });
        let mut open: Vec<usize> = begins.collect();
        assert!(!open.is_empty(), "a handler that is nowhere: {path:?}");
        let (mut seen, mut all) = (BTreeSet::new(), HeaderUse::default());
        while let Some(at) = open.pop() {
            // What conditions read of dates counts where a time is told: `validators`.
            if !seen.insert(at) || self.all[at].path.ends_with("http/precondition.rs") {
                continue;
            }
            let one = &self.all[at];
            all.reads.extend(one.does.reads.iter().cloned());
            all.sends.extend(one.does.sends.iter().cloned());
            open.extend(one.does.calls.iter().flat_map(|call| self.called(one, call)));
            if one.name == "preconditions" {
                all.reads.extend(["If-Match", "If-None-Match"].map(str::to_owned));
            }
        }
        all
    }
}

/// The handlers by their operations, as the table's source writes them.
fn handlers(files: &[SourceFile]) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for file in files.iter().filter(|file| file.path.starts_with("src/routes/")) {
        for (at, _) in file.find(&["handler", "!", "("]) {
            let words = file.tokens[at + 3..].iter().map(|(token, _)| token).take_while(|token| !token.is(")"));
            let path = words.filter_map(Token::word).map(str::to_owned).collect();
            let before = file.tokens[..at].windows(3).rev().find_map(|window| match window {
                [(verb, _), (open, _), (Token::Text(name), _)] if open.is("(") && verb.word().is_some() => {
                    ["asset", "get", "post", "put", "patch", "delete"]
                        .contains(&verb.word().unwrap())
                        .then(|| name.clone())
                }
                _ => None,
            });
            if let Some(name) = before {
                found.insert(name, path);
            }
        }
    }
    found
}

/// What passes an operation by: its site reads it, of which no page could know otherwise.
const READ_BY_SITES: [&str; 2] = ["X-WP-Nonce", "woocommerce-session"];

/// What functions that operations share send for others alone.
const FOR_OTHERS: [(&str, &str, &str); 1] = [("records.delete", "ETag", "what is deleted has no version")];

/// What an operation reads or sends and does not declare, and what it declares and does not read.
fn faults_of(route: &'static Route, does: &HeaderUse) -> Vec<String> {
    let mut faults = Vec::new();
    let declared: BTreeSet<&str> = sent(route).into_iter().collect();
    for name in does.reads.iter().filter(|name| !OF_BROWSERS.contains(&name.as_str())) {
        if !declared.contains(name.as_str()) {
            faults.push(format!("{} reads {name}", route.name));
        }
    }
    let by_contract = route.contract.param_names().filter(|name| schemas::is_header(name));
    let by_validators = ["If-Modified-Since", "If-Unmodified-Since"];
    for name in by_contract.filter(|name| !by_validators.contains(name)) {
        if !does.reads.contains(name) && !READ_BY_SITES.contains(&name) {
            faults.push(format!("{} declares {name} and does not read it", route.name));
        }
    }
    let surfaces = [Surface::Platform, Surface::Tenant].into_iter().filter(|host| route.surface.includes(*host));
    let may: BTreeSet<&str> = surfaces.flat_map(|surface| answered(route, surface)).collect();
    for name in does.sends.iter().map(String::as_str) {
        let is_for_others = FOR_OTHERS.iter().any(|(operation, header, _)| (*operation, *header) == (route.name, name));
        if !is_for_others && !may.contains(name) && !SHOWN_TO_ALL.contains(&name) && !NOT_FOR_PAGES.contains(&name) {
            faults.push(format!("{} sends {name}", route.name));
        }
    }
    faults
}

#[test]
fn an_operation_declares_the_headers_that_it_reads_and_sends() {
    let files = production_files();
    let (functions, handlers) = (Functions::of(&files), handlers(&files));
    let mut faults = Vec::new();
    for route in routes::all() {
        let path: Vec<&str> = handlers[route.name].iter().map(String::as_str).collect();
        faults.extend(faults_of(route, &functions.reached(&path)));
    }
    crate::none("operations declare the headers that they read and send", &faults);
}

/// Whatever reads or sends, reached from a handler or not.
#[test]
fn every_header_in_the_source_is_declared_by_some_operation() {
    let surfaces = [Surface::Platform, Surface::Tenant];
    let reads: BTreeSet<&str> = routes::all().flat_map(sent).chain(OF_BROWSERS).collect();
    let sends = routes::all().flat_map(|route| surfaces.into_iter().flat_map(move |surface| answered(route, surface)));
    let sends: BTreeSet<&str> = sends.chain(SHOWN_TO_ALL).chain(NOT_FOR_PAGES).collect();
    let mut faults = Vec::new();
    for one in Functions::of(&production_files()).all {
        let unread = one.does.reads.iter().filter(|name| !reads.contains(name.as_str()));
        faults.extend(unread.map(|name| format!("{}: {} reads {name}", one.path, one.name)));
        let unsent = one.does.sends.iter().filter(|name| !sends.contains(name.as_str()));
        faults.extend(unsent.map(|name| format!("{}: {} sends {name}", one.path, one.name)));
    }
    crate::none("headers are declared", &faults);
}

#[test]
fn a_header_that_is_not_declared_is_found() {
    let text = "
        pub async fn get(request: Request) { helper(&request); other::Thing::make().header(\"X-Sent\", 1); unique(); }
        use crate::auth::other; fn helper(request: &Request) { request.incoming.header(\"X-Read\"); let x = [(\"X-Pair\", 1)]; }
        fn apart(request: &Request) { request.header(\"X-Apart\"); }
    ";
    let second = "fn unique() { problem(other::by_value) } fn by_value() { a.header(\"X-By-Value\") } fn unique2() {}";
    let files = [SourceFile::of("src/api/things.rs", text), SourceFile::of("src/auth/other.rs", second)];
    let does = Functions::of(&files).reached(&["api", "api", "things", "get"][1..]);
    assert_eq!(does.reads.into_iter().collect::<Vec<_>>(), ["X-By-Value", "X-Read"]);
    assert_eq!(does.sends.into_iter().collect::<Vec<_>>(), ["X-Sent"]);
    let route = routes::all().find(|route| route.name == "files.get").unwrap();
    let does =
        HeaderUse { reads: ["X-Read".to_owned()].into(), sends: ["X-Sent".to_owned()].into(), calls: Vec::new() };
    let faults = faults_of(route, &does);
    assert!(
        faults.contains(&"files.get reads X-Read".to_owned()) && faults.contains(&"files.get sends X-Sent".to_owned())
    );
    assert!(faults.contains(&"files.get declares If-Match and does not read it".to_owned()));
}
