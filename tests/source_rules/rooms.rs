use std::collections::BTreeSet;

use crate::none;
use crate::source::{WORKER, files};
use crate::statements::{migrated, tables};

/// The rooms, level by level from below. A room imports rooms of lower levels alone, so rooms of one level do not know
/// each other.
const ORDER: &[&[&str]] = &[
    &["domain"],
    &["credentials", "isolate_cache", "log", "tenant_id"],
    &["storage"],
    &["http", "hub"],
    &["tenant"],
    &["auth"],
    &["graphql", "live", "records"],
    &["api"],
    &["routes"],
    &["pipeline"],
    &["lib"],
];

/// What a room may not touch, in the words of docs/architecture.md, and what nothing in it may name for that.
pub struct Rule {
    pub room: &'static str,
    /// One of the things that the third column of the room's row names, which are separated by commas.
    pub touch: &'static str,
    /// See `Pattern` in `room_checks.rs`.
    pub names: &'static [&'static str],
    /// Paths below those names that it may name all the same.
    pub but: &'static [&'static str],
}

const RULES: &[Rule] = &[
    Rule {
        room: "domain",
        touch: "any platform type",
        names: &["worker", "js_sys", "web_sys", "wasm_bindgen", "wasm_bindgen_futures"],
        but: &[],
    },
    Rule {
        room: "domain",
        touch: "the clock",
        names: &["std::time::SystemTime", "std::time::Instant", "chrono::Utc::now", "chrono::Local"],
        but: &[],
    },
    Rule { room: "domain", touch: "randomness", names: &["getrandom", "getrandom02", "rand"], but: &[] },
    Rule {
        room: "credentials",
        touch: "any platform type",
        names: &["worker", "js_sys", "web_sys", "wasm_bindgen", "wasm_bindgen_futures"],
        but: &[],
    },
    Rule {
        room: "credentials",
        touch: "any store",
        names: &["crate::storage", "sql SELECT", "sql INSERT", "sql UPDATE", "sql DELETE"],
        but: &[],
    },
    Rule {
        room: "credentials",
        touch: "the clock",
        names: &["std::time::SystemTime", "std::time::Instant", "chrono::Utc::now", "chrono::Local", "SystemClock"],
        but: &[],
    },
    Rule {
        room: "credentials",
        touch: "who owns a credential",
        names: &["crate::tenant_id", "crate::tenant", "crate::auth"],
        but: &[],
    },
    Rule {
        room: "log",
        touch: "data of tenants",
        names: &["domain::event", "domain::record", "domain::frame", "domain::filter"],
        but: &[],
    },
    Rule {
        room: "storage",
        touch: "decisions about tenants",
        names: &["domain::permission", "domain::plan", "domain::selector", "domain::filter", "domain::matching"],
        but: &[],
    },
    Rule {
        room: "http",
        touch: "databases",
        names: &["crate::storage"],
        // A request carries the bindings to its handler; a list knows the form of its rows and arguments.
        but: &["crate::storage::bindings", "crate::storage::row", "crate::storage::sql"],
    },
    Rule { room: "http", touch: "the hub", names: &["crate::hub"], but: &[] },
    Rule { room: "http", touch: "tenants", names: &["crate::tenant", "domain::plan", "domain::permission"], but: &[] },
    Rule {
        room: "hub",
        touch: "any other row of D1",
        names: &["crate::storage"],
        but: &[
            "crate::storage::bindings",
            "crate::storage::outbox",
            "crate::storage::sealed::random",
            "crate::storage::sql::StorageError",
            "crate::storage::tenant_db::Placement",
        ],
    },
    Rule { room: "hub", touch: "KV", names: &["crate::storage::kv", "crate::storage::keys"], but: &[] },
    Rule {
        room: "hub",
        touch: "tenants' secrets",
        names: &["crate::storage::sealed", "crate::tenant::secrets", "crate::credentials"],
        but: &["crate::storage::sealed::random"],
    },
    Rule {
        room: "tenant",
        touch: "events",
        names: &["crate::hub::event_log", "crate::hub::fan_out", "crate::live", "domain::event", "domain::frame"],
        but: &[],
    },
    Rule { room: "tenant", touch: "records", names: &["crate::records", "domain::record", "sql records"], but: &[] },
    Rule {
        room: "auth",
        touch: "the registry of tenants",
        names: &[
            "crate::tenant",
            "sql tenants",
            "sql tenant_domains",
            "sql tenant_secrets",
            "sql placements",
            "sql pending_changes",
        ],
        but: &["crate::tenant::secrets", "crate::tenant::turns"],
    },
    Rule {
        room: "records",
        touch: "the registry of tenants",
        names: &["crate::tenant::registry", "crate::tenant::record", "sql tenants", "sql tenant_domains", "sql plans"],
        but: &[],
    },
    Rule {
        room: "records",
        touch: "the event log",
        names: &["crate::hub::event_log", "crate::hub::sqlite", "crate::hub::fan_out"],
        but: &[],
    },
    Rule {
        room: "records",
        touch: "who somebody is",
        names: &["crate::auth"],
        but: &["crate::auth::idempotency", "crate::auth::principal", "crate::auth::rules"],
    },
    Rule { room: "live", touch: "the event log", names: &["crate::hub::event_log", "crate::hub::sqlite"], but: &[] },
    Rule {
        room: "live",
        touch: "who may see what",
        names: &["crate::hub"],
        but: &["crate::hub::client", "crate::hub::protocol"],
    },
    Rule { room: "graphql", touch: "records", names: &["crate::records", "domain::record", "sql records"], but: &[] },
    Rule {
        room: "graphql",
        touch: "the hub's state",
        names: &["crate::hub"],
        but: &["crate::hub::client", "crate::hub::protocol"],
    },
    Rule {
        room: "api",
        touch: "how a request is routed and admitted",
        names: &["crate::routes", "crate::pipeline"],
        but: &[],
    },
    Rule {
        room: "routes",
        touch: "stores",
        names: &["crate::storage"],
        but: &["crate::storage::bindings", "crate::storage::sealed::random"],
    },
    Rule {
        room: "pipeline",
        touch: "the contents of requests",
        names: &[".body(", ".json_object(", ".json_object_within(", ".optional_json_object(", ".stream("],
        but: &[],
    },
];

/// What one room has to itself.
pub struct Reserved {
    pub room: &'static str,
    /// How the second column of the room's row in docs/architecture.md says it.
    pub owns: &'static str,
    pub names: &'static [&'static str],
}

const RESERVED: &[Reserved] = &[
    Reserved {
        room: "storage",
        owns: "the only code that speaks to D1, KV and R2",
        names: &[
            "worker::d1",
            "worker::kv",
            "worker::Bucket",
            "D1Database",
            "D1PreparedStatement",
            "KvStore",
            ".d1(",
            ".kv(",
            ".bucket(",
            ".media(",
            ".assets(",
            ".prepare(",
        ],
    },
    Reserved {
        room: "http",
        owns: "the only code that calls other servers",
        names: &["worker::Fetch", "web_sys::Request", "web_sys::RequestInit", "fetch_with_request", "fetch_with_str"],
    },
    Reserved {
        room: "log",
        owns: "the only code that writes to the console",
        names: &[
            "console_debug!",
            "console_error!",
            "console_log!",
            "console_warn!",
            "worker::console",
            "worker::console_debug",
            "worker::console_error",
            "worker::console_log",
            "worker::console_warn",
            "web_sys::console",
            "dbg!",
            "eprint!",
            "eprintln!",
            "print!",
            "println!",
        ],
    },
];

/// The rooms of a project, and what they promise.
pub struct Rooms {
    pub order: &'static [&'static [&'static str]],
    pub rules: &'static [Rule],
    pub reserved: &'static [Reserved],
}

/// Those of this project.
pub const ROOMS: Rooms = Rooms { order: ORDER, rules: RULES, reserved: RESERVED };

/// The room of a file: its folder under `src/`, or its name; `domain` is a crate of its own.
pub fn room_of(path: &str) -> &str {
    match path.strip_prefix("src/") {
        Some(path) => path.split('/').next().unwrap_or_default().trim_end_matches(".rs"),
        None if path.starts_with("domain/src/") => "domain",
        None => "",
    }
}

impl Rooms {
    pub fn height(&self, room: &str) -> Option<usize> {
        self.order.iter().position(|row| row.contains(&room))
    }

    /// What a room may not touch, in the order of its rules.
    pub fn may_not_touch(&self, room: &str) -> String {
        let touch = self.rules.iter().filter(|rule| rule.room == room).map(|rule| rule.touch);
        touch.collect::<Vec<_>>().join(", ")
    }

    /// The order on one line, as docs/architecture.md holds it.
    pub fn line(&self) -> String {
        self.order.iter().map(|row| row.join(", ")).collect::<Vec<_>>().join(" < ")
    }
}

#[test]
fn every_file_belongs_to_a_room() {
    let stray = files().into_iter().filter(|file| ROOMS.height(room_of(&file.path)).is_none());
    none("a file in no known room", &stray.map(|file| file.path).collect::<Vec<_>>());
}

/// Modules of our own and tables that are not there: a rule about what was renamed would forbid nothing.
fn names_of_nothing(rules: &[Rule], modules: &BTreeSet<String>, tables: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    for rule in rules {
        for name in rule.names {
            let is_ours = name.starts_with("crate::") || name.starts_with("domain::");
            let is_module = modules.contains(*name);
            let table = name.strip_prefix("sql ").filter(|word| word.starts_with(char::is_lowercase));
            let is_table = table.is_none_or(|table| tables.iter().any(|known| known == table));
            if is_ours && !is_module || !is_table {
                faults.push(format!("{}: {name} is not there", rule.room));
            }
        }
    }
    faults
}

#[test]
fn the_rules_name_what_is_there() {
    let modules = files().iter().map(|file| file.module().join("::").replacen(WORKER, "crate", 1)).collect();
    let tables = ["migrations/control", "migrations/tenant"].map(|folder| tables(&migrated(folder))).concat();
    none("rules about nothing", &names_of_nothing(RULES, &modules, &tables));
    let rules = [Rule {
        room: "http",
        touch: "",
        names: &["crate::hub", "crate::hup", "worker::d1", "sql tenants", "sql tenant"],
        but: &[],
    }];
    let modules = ["crate::hub", "crate::hub::client"].map(str::to_owned).into();
    let told = names_of_nothing(&rules, &modules, &["tenants".to_owned()]);
    assert_eq!(told, ["crate::hup", "sql tenant"].map(|n| format!("http: {n} is not there")));
}

#[test]
fn a_room_stands_once_and_rules_are_about_rooms() {
    let rooms: Vec<&str> = ORDER.iter().copied().flatten().copied().collect();
    assert_eq!(rooms.len(), rooms.iter().collect::<BTreeSet<_>>().len(), "twice");
    for rule in RULES {
        assert!(rooms.contains(&rule.room) && !rule.names.is_empty(), "{}: {}", rule.room, rule.touch);
    }
    for reserved in RESERVED {
        assert!(rooms.contains(&reserved.room), "{}", reserved.owns);
    }
}
