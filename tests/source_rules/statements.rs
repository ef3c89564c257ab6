use std::collections::BTreeMap;

use carillon::storage::sql::{ControlSql, ShardSql, TenantSql};
use carillon::{auth, records, storage, tenant};
use rusqlite::Connection;
use serde_json::json;

use crate::full_text::belongs_to_an_index;
use crate::none;
use crate::shard::Shard;
use crate::source::{SourceFile, production_files, read, root};
use crate::tokens::Token;

/// A registered statement.
#[derive(Debug, Clone, Copy)]
pub struct Registered {
    pub file: &'static str,
    pub name: &'static str,
    pub text: &'static str,
}

/// The constant of a statement, without the module that its name begins with.
fn constant(name: &'static str) -> &'static str {
    name.rsplit("::").next().unwrap_or(name)
}

/// Tables of a shard whose rows lie by `number` and not by tenant: the table, and why that is right.
pub const BY_NUMBER: &[(&str, &str)] =
    &[("records", "its rows are long and come in order; the full-text index names a row by its number")];

/// Whether a table is one of [`BY_NUMBER`].
pub fn is_by_number(table: &str) -> bool {
    BY_NUMBER.iter().any(|(name, _)| *name == table)
}

const OF_TENANTS: &[(&str, &[TenantSql])] = &[
    ("src/auth/account.rs", auth::account::STATEMENTS),
    ("src/api/documents.rs", carillon::api::documents::STATEMENTS),
    ("src/api/members/audit.rs", carillon::api::members::audit::STATEMENTS),
    ("src/auth/idempotency/tenant.rs", carillon::auth::idempotency::tenant::STATEMENTS),
    ("src/api/members/invitations.rs", carillon::api::members::invitations::STATEMENTS),
    ("src/api/members/keys.rs", carillon::api::members::keys::STATEMENTS),
    ("src/api/members/refresh.rs", carillon::api::members::refresh::STATEMENTS),
    ("src/api/members/roles.rs", carillon::api::members::roles::STATEMENTS),
    ("src/api/members/sessions.rs", carillon::api::members::sessions::STATEMENTS),
    ("src/api/members/users.rs", carillon::api::members::users::STATEMENTS),
    ("src/auth/email_token.rs", carillon::auth::email_token::STATEMENTS),
    ("src/api/operators/impersonation.rs", carillon::api::operators::impersonation::STATEMENTS),
    ("src/auth/authenticate_member.rs", carillon::auth::authenticate_member::STATEMENTS),
    ("src/auth/registration.rs", auth::registration::STATEMENTS),
    ("src/auth/revocation.rs", auth::revocation::STATEMENTS),
    ("src/auth/role.rs", auth::role::STATEMENTS),
    ("src/auth/rules.rs", auth::rules::STATEMENTS),
    ("src/auth/session.rs", auth::session::STATEMENTS),
    ("src/auth/sso/account.rs", auth::sso::account::STATEMENTS),
    ("src/auth/sso/attempt.rs", auth::sso::attempt::STATEMENTS),
    ("src/api/sso/clients.rs", carillon::api::sso::clients::STATEMENTS),
    ("src/auth/sso/provider.rs", auth::sso::provider::STATEMENTS),
    ("src/api/sso/providers.rs", carillon::api::sso::providers::STATEMENTS),
    ("src/api/sso/sign_in.rs", carillon::api::sso::sign_in::STATEMENTS),
    ("src/api/records/collections.rs", carillon::api::records::collections::STATEMENTS),
    ("src/api/records/stats.rs", carillon::api::records::stats::STATEMENTS),
    ("src/api/records/versions.rs", carillon::api::records::versions::STATEMENTS),
    ("src/graphql/documents/registry.rs", carillon::graphql::documents::registry::STATEMENTS),
    ("src/records/cache_purge.rs", records::cache_purge::STATEMENTS),
    ("src/records/collection.rs", records::collection::STATEMENTS),
    ("src/records/expand.rs", records::expand::STATEMENTS),
    ("src/records/file.rs", records::file::STATEMENTS),
    ("src/records/job.rs", records::job::STATEMENTS),
    ("src/records/operation.rs", records::operation::STATEMENTS),
    ("src/records/outbox.rs", records::outbox::STATEMENTS),
    ("src/records/plan.rs", records::plan::STATEMENTS),
    ("src/records/provision.rs", records::provision::STATEMENTS),
    ("src/records/record.rs", records::record::STATEMENTS),
    ("src/records/rules.rs", records::rules::STATEMENTS),
    ("src/records/storage.rs", records::storage::STATEMENTS),
    ("src/records/together.rs", records::together::STATEMENTS),
    ("src/records/sweep.rs", records::sweep::STATEMENTS),
    ("src/records/upload.rs", records::upload::STATEMENTS),
    ("src/records/write.rs", records::write::STATEMENTS),
    ("src/storage/audit_log.rs", storage::audit_log::STATEMENTS),
    ("src/storage/outbox.rs", storage::outbox::STATEMENTS),
    ("src/storage/security_events.rs", storage::security_events::STATEMENTS),
    ("src/storage/tenant_db.rs", storage::tenant_db::STATEMENTS),
    ("src/tenant/turns.rs", tenant::turns::STATEMENTS),
];

const OF_SHARDS: &[(&str, &[ShardSql])] = &[
    ("src/auth/registration.rs", auth::registration::due::STATEMENTS),
    ("src/records/stale_jobs.rs", carillon::records::stale_jobs::STATEMENTS),
    ("src/records/outbox.rs", records::outbox::due::STATEMENTS),
    ("src/records/storage.rs", records::storage::due::STATEMENTS),
    ("src/tenant/turns.rs", tenant::turns::due::STATEMENTS),
];

const OF_CONTROL: &[(&str, &[ControlSql])] = &[
    ("src/api/operators/grants.rs", carillon::api::operators::grants::STATEMENTS),
    ("src/api/operators/master_keys.rs", carillon::api::operators::master_keys::STATEMENTS),
    ("src/api/operators/mod.rs", carillon::api::operators::STATEMENTS),
    ("src/api/operators/accounts.rs", carillon::api::operators::accounts::STATEMENTS),
    ("src/api/operators/platform_keys.rs", carillon::api::operators::platform_keys::STATEMENTS),
    ("src/api/operators/rules.rs", carillon::api::operators::rules::STATEMENTS),
    ("src/api/operators/login_failures.rs", carillon::api::operators::login_failures::STATEMENTS),
    ("src/api/operators/sessions.rs", carillon::api::operators::sessions::STATEMENTS),
    ("src/auth/authenticate_operator.rs", carillon::auth::authenticate_operator::STATEMENTS),
    ("src/auth/signing_keys.rs", auth::signing_keys::STATEMENTS),
    ("src/api/tenants/tenant.rs", carillon::api::tenants::tenant::STATEMENTS),
    ("src/tenant/site.rs", carillon::tenant::site::STATEMENTS),
    ("src/tenant/change.rs", tenant::change::STATEMENTS),
    ("src/tenant/domains.rs", tenant::domains::STATEMENTS),
    ("src/tenant/domain_checks.rs", tenant::domain_checks::STATEMENTS),
    ("src/api/members/endpoint.rs", carillon::api::members::endpoint::STATEMENTS),
    ("src/auth/idempotency/platform.rs", carillon::auth::idempotency::platform::STATEMENTS),
    ("src/api/tenants/list.rs", carillon::api::tenants::list::STATEMENTS),
    ("src/api/settings.rs", carillon::api::settings::STATEMENTS),
    ("src/tenant/entered.rs", tenant::entered::STATEMENTS),
    ("src/tenant/registry.rs", tenant::registry::STATEMENTS),
    ("src/tenant/resolve.rs", tenant::resolve::STATEMENTS),
    ("src/tenant/secrets.rs", tenant::secrets::STATEMENTS),
];

/// Every statement that runs on a shard for a tenant.
pub fn of_tenants() -> Vec<Registered> {
    let each = |(file, statements): &(&'static str, &'static [TenantSql])| {
        let file = *file;
        statements.iter().map(move |sql| Registered { file, name: constant(sql.name()), text: sql.text() })
    };
    OF_TENANTS.iter().flat_map(each).collect()
}

/// Every statement that looks across the tenants of a shard.
pub fn of_shards() -> Vec<Registered> {
    let each = |(file, statements): &(&'static str, &'static [ShardSql])| {
        let file = *file;
        statements.iter().map(move |sql| Registered { file, name: constant(sql.name()), text: sql.text() })
    };
    OF_SHARDS.iter().flat_map(each).collect()
}

/// Every statement that runs on the control database.
pub fn of_control() -> Vec<Registered> {
    let each = |(file, statements): &(&'static str, &'static [ControlSql])| {
        let file = *file;
        statements.iter().map(move |sql| Registered { file, name: constant(sql.name()), text: sql.text() })
    };
    OF_CONTROL.iter().flat_map(each).collect()
}

/// A database in memory with the migrations of a folder.
pub fn migrated(folder: &str) -> Connection {
    let db = Connection::open_in_memory().unwrap();
    migrate(&db, folder, |_| true);
    db
}

/// Applies those migrations of a folder that are wanted, by the names of their files.
pub fn migrate(db: &Connection, folder: &str, wanted: impl Fn(&str) -> bool) {
    let mut paths: Vec<_> =
        std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| wanted(&path.file_name().unwrap().to_string_lossy())) {
        db.execute_batch(&read(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// The tables of a database, without the full-text indexes that are accounted for and what lies under them.
pub fn tables(db: &Connection) -> Vec<String> {
    let sql = "SELECT name, type FROM pragma_table_list WHERE schema = 'main' AND type <> 'view' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let mut statement = db.prepare(sql).unwrap();
    let all = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap);
    all.filter(|(name, kind): &(String, String)| !belongs_to_an_index(name, kind)).map(|(name, _)| name).collect()
}

/// The names that the `statements!` blocks of a file declare; none if it has no block.
fn declared(file: &SourceFile) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    let blocks = file.find(&["statements", "!", "{"]);
    for (start, _) in &blocks {
        let inside = file.tokens[*start..].iter().take_while(|(token, _)| !token.is("}")).collect::<Vec<_>>();
        for triple in inside.windows(3) {
            if let [(Token::Word(name), _), (Token::Mark('='), _), (Token::Text(_), _)] = triple {
                names.push(name.as_str());
            }
        }
    }
    (!blocks.is_empty()).then_some(names)
}

fn uncollected(files: &[SourceFile], collected: &[Registered]) -> Vec<String> {
    let mut by_file: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for statement in collected {
        by_file.entry(statement.file).or_default().push(statement.name);
    }
    let mut faults = Vec::new();
    for file in files {
        let names = declared(file).unwrap_or_default();
        let known = by_file.remove(file.path.as_str()).unwrap_or_default();
        if names != known {
            faults.push(format!("{} declares {names:?}, collected are {known:?}", file.path));
        }
    }
    faults.extend(by_file.keys().map(|file| format!("{file} is no file")));
    faults
}

#[test]
fn every_statement_of_the_source_is_collected() {
    let collected = [of_tenants(), of_shards(), of_control()].concat();
    assert!(collected.len() > 30, "{}", collected.len());
    none(
        "add the module's STATEMENTS to tests/source_rules/statements.rs",
        &uncollected(&production_files(), &collected),
    );
}

#[test]
fn a_module_that_is_not_collected_is_found() {
    let text = "statements! { TenantSql;\n /// Doc.\n ONE = \"SELECT 1\";\n TWO = \"SELECT 2\"; }";
    let files = [SourceFile::of("src/records/outbox.rs", text)];
    assert_eq!(uncollected(&files, &[]).len(), 1);
    let one = Registered { file: "src/records/outbox.rs", name: "ONE", text: "" };
    assert_eq!(uncollected(&files, &[one]).len(), 1);
    assert_eq!(uncollected(&files, &[one, Registered { name: "TWO", ..one }]), [""; 0]);
}

#[test]
fn a_key_that_changed_meanwhile_is_not_replaced() {
    let db = migrated("migrations/control");
    let text = |name: &str| of_control().into_iter().find(|statement| statement.name == name).unwrap().text;
    let insert = "INSERT INTO tenants (id, slug, display_name, plan, status, revision, features, resources, cors_origins, rate_limits, settings, branding, data_key, created_at, updated_at) VALUES (?1, ?1, '', 'free', 'active', 1, '{}', '{}', '[]', '{}', '{}', '{}', ?2, 1, 1)";
    for (id, key) in [("same", Some("1.a")), ("changed", Some("1.b")), ("purged", None), ("new", Some("2.n"))] {
        db.execute(insert, (id, key)).unwrap();
    }
    let list = |sql: &str, params: &[&dyn rusqlite::ToSql]| -> Vec<String> {
        let mut statement = db.prepare(sql).unwrap();
        statement.query_map(params, |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(list(text("OLD_DATA_KEYS"), &[&2, &10]), ["same", "changed"]);
    let page = r#"[["same","1.a","2.a"],["changed","1.x","2.x"],["purged","1.p","2.p"],["gone","1.g","2.g"]]"#;
    assert_eq!(list(text("REWRAP_DATA_KEYS"), &[&page]), ["same"]);
    let keys = "SELECT id || ' ' || COALESCE(data_key, '-') FROM tenants ORDER BY id";
    assert_eq!(list(keys, &[]), ["changed 1.b", "new 2.n", "purged -", "same 2.a"]);
    assert_eq!(list(text("REWRAP_DATA_KEYS"), &[&page]), [""; 0], "once");
}

#[test]
fn a_write_passes_only_while_the_fence_says_so() {
    let db = migrated("migrations/tenant");
    let text = |name: &str| of_tenants().into_iter().find(|statement| statement.name == name).unwrap().text;
    let write = |tenant: &str, epoch: i64| {
        let guard = db.execute(text("GUARD"), (tenant, epoch));
        guard.map(drop).map_err(|error| error.to_string())
    };
    let set = |mode: &str, epoch: i64, revision: i64| {
        db.execute(text("SET_FENCE"), ("acme", mode, epoch, revision)).unwrap();
    };
    let refused_by = |result: Result<(), String>, words: &str| result.is_err_and(|error| error.contains(words));
    // The words are those that StorageError reads.
    assert!(refused_by(write("acme", 1), "NOT NULL constraint failed: write_guard"), "an unknown tenant");
    set("rw", 1, 5);
    assert_eq!(write("acme", 1), Ok(()));
    assert!(refused_by(write("acme", 2), "CHECK constraint failed: ok"), "another epoch");
    assert!(refused_by(write("other", 1), "NOT NULL constraint failed: write_guard"), "another tenant");
    set("ro", 1, 6);
    assert!(refused_by(write("acme", 1), "CHECK constraint failed: ok"), "read only");
    set("rw", 1, 5);
    assert!(write("acme", 1).is_err(), "a lower revision changes nothing");
    set("rw", 1, 7);
    assert_eq!(write("acme", 1), Ok(()));
}

#[test]
fn a_rule_that_holds_leaves_no_row_and_one_that_does_not_is_named() {
    let db = migrated("migrations/tenant");
    let rows = || {
        let sql = "SELECT (SELECT count(*) FROM write_guard) + (SELECT count(*) FROM write_rules)";
        db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let mut columns =
        db.prepare("SELECT name FROM pragma_table_info('write_rules') WHERE name <> 'tenant_id'").unwrap();
    let rules: Vec<String> = columns.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(rules.len() > 15, "{rules:?}");
    for rule in rules
        .iter()
        .map(|rule| format!("write_rules (tenant_id, {rule})"))
        .chain(["write_guard (tenant_id, ok)".into()])
    {
        let state = |holds: i64| db.execute(&format!("INSERT OR REPLACE INTO {rule} VALUES ('acme', ?1)"), [holds]);
        state(1).unwrap();
        assert_eq!(rows(), 0, "{rule}: a trigger of its table is to name it");
        let refused = state(0).unwrap_err().to_string();
        assert!(refused.contains("CHECK constraint failed: "), "{rule}: {refused}");
    }
    // What a statement says of two rules at once, one of them could hide.
    let several = of_tenants().into_iter().filter(|statement| {
        let columns =
            statement.text.strip_prefix("INSERT OR REPLACE INTO write_rules (").and_then(|rest| rest.split_once(')'));
        columns.is_some_and(|(columns, _)| columns.split(", ").count() != 2)
    });
    none("state one rule at a time", &several.map(|statement| statement.name.to_owned()).collect::<Vec<_>>());
}

#[test]
fn an_outbox_is_read_in_pages_and_emptied_only_by_numbers_that_it_gave() {
    let db = migrated("migrations/tenant");
    let of = |file: &str, name: &str| {
        let mut statements = of_tenants().into_iter().filter(|statement| statement.file == file);
        statements.find(|statement| statement.name == name).unwrap().text
    };
    let text = |name: &str| of("src/storage/outbox.rs", name);
    let set_fence = of("src/storage/tenant_db.rs", "SET_FENCE");
    let put = "INSERT INTO record_outbox (tenant_id, seq, at, collection, record_id, action, private, version, data, created_at, updated_at, created_by, updated_by) VALUES (?1, ?2, ?2, 'c', 'r', 'create', 0, 1, ?3, 0, 0, '', '')";
    let read = |after: i64| -> Vec<i64> {
        let mut statement = db.prepare(text("AFTER")).unwrap();
        statement.query_map(("acme", after), |row| row.get("seq")).unwrap().map(Result::unwrap).collect()
    };
    let forget = |seq: i64| db.execute(text("FORGET"), ("acme", seq)).unwrap();
    db.execute(put, ("other", 1, "{}")).unwrap();
    for seq in 1..=250 {
        db.execute(put, ("acme", seq, "{}")).unwrap();
    }
    assert_eq!((read(0), read(195)), ((1..=100).collect(), (196..=250).collect()));
    assert_eq!(forget(100), 0, "no number was given");
    db.execute("INSERT INTO past_sequences (tenant_id, last) VALUES ('acme', 250)", []).unwrap();
    assert_eq!(forget(251), 0, "a number that was not given");
    assert_eq!((forget(250), forget(250)), (250, 0));
    for (seq, kilobytes) in [(251, 300), (252, 200), (253, 50), (254, 50), (255, 1)] {
        db.execute(put, ("acme", seq, "x".repeat(kilobytes * 1000))).unwrap();
    }
    assert_eq!((read(250), read(251), read(252)), (vec![251], vec![252, 253, 254], vec![253, 254, 255]));

    let waiting = of_shards().into_iter().find(|statement| statement.name == "WAITING").unwrap().text;
    let again = of_shards().into_iter().find(|statement| statement.name == "AGAIN").unwrap().text;
    let due = |sql: &str, at: i64, most: i64| -> Vec<String> {
        let mut statement = db.prepare(sql).unwrap();
        statement.query_map((at, "outbox", most), |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(due(waiting, 1000, 9), [""; 0], "none of them is served");
    for tenant in ["acme", "other"] {
        db.execute(set_fence, (tenant, "rw", 1, 1)).unwrap();
    }
    // Whoever waits longest is first.
    assert_eq!(due(waiting, 1000, 9), ["other", "acme"]);
    assert_eq!((due(waiting, 251, 9), due(waiting, 1000, 1)), (vec!["other".to_owned()], vec!["other".to_owned()]));
    // Whoever is remembered is due by that alone, and only in this work.
    for (tenant, work) in [("other", "outbox"), ("acme", "sweep")] {
        db.execute(of("src/tenant/turns.rs", "REMEMBER"), (tenant, work, 500, 1)).unwrap();
    }
    assert_eq!((due(waiting, 1000, 9), due(again, 499, 9)), (vec!["acme".to_owned()], Vec::new()));
    assert_eq!(due(again, 500, 9), ["other"]);
    db.execute(of("src/tenant/turns.rs", "RETRY_ALL"), ["other"]).unwrap();
    assert_eq!(due(again, 0, 9), ["other"]);
    db.execute(set_fence, ("other", "ro", 1, 2)).unwrap();
    assert_eq!((due(waiting, 1000, 9), due(again, 1000, 9)), (vec!["acme".to_owned()], Vec::new()));
    db.execute(set_fence, ("other", "rw", 1, 3)).unwrap();
    db.execute(of("src/tenant/turns.rs", "FORGET"), ("other", "outbox")).unwrap();
    assert_eq!((due(waiting, 1000, 9), due(again, 1000, 9)), (vec!["other".to_owned(), "acme".to_owned()], Vec::new()));
}

/// What is bound to a statement behind the tenant.
type Bound<'a> = &'a [&'a dyn rusqlite::ToSql];

/// Runs a rule of a file for the tenant `acme`.
fn rule(db: &Connection, file: &str, name: &str, args: Bound) -> Result<(), String> {
    let statement = of_tenants().into_iter().find(|statement| statement.file == file && statement.name == name);
    let bound: Vec<&dyn rusqlite::ToSql> = std::iter::once(&"acme" as _).chain(args.iter().copied()).collect();
    db.execute(statement.unwrap().text, bound.as_slice()).map(drop).map_err(|error| error.to_string())
}

/// Each case is a rule, the name it fails by, what breaks it and what keeps it.
fn rules_fail_by_their_names(db: &Connection, file: &str, cases: &[(&str, &str, Bound, Bound)]) {
    for (name, constraint, broken, kept) in cases {
        let failure = Err(format!("CHECK constraint failed: {constraint}"));
        assert_eq!(rule(db, file, name, broken), failure, "{name}");
        assert_eq!(rule(db, file, name, kept), Ok(()), "{name}");
    }
}

#[test]
fn a_rule_that_does_not_hold_fails_by_its_name_and_one_that_does_says_nothing() {
    let db = migrated("migrations/tenant");
    let user = "INSERT INTO users (tenant_id, id, email, role, created_at, updated_at) VALUES (?1, ?2, ?2, ?3, 0, 0)";
    for (tenant, id, role) in [("acme", "ada", "owner"), ("acme", "bob", "press"), ("other", "eve", "owner")] {
        db.execute(user, (tenant, id, role)).unwrap();
    }
    db.execute_batch(
        "INSERT INTO roles (tenant_id, name, permissions, created_at, updated_at) VALUES ('acme', 'press', '[]', 0, 0);
         INSERT INTO tenant_invitations (tenant_id, id, email, role, token, invited_by, sent_at, expires_at, created_at)
         VALUES ('acme', 'i', 'cy', 'desk', 't', 'ada', 0, 100, 0);
         INSERT INTO sso_providers (tenant_id, id, name, issuer, client_id, scopes, role_map, default_role, reach, created_at, updated_at)
         VALUES ('acme', 's', 's', 's', 's', '', '{\"a\": \"mapped\"}', 'fallback', '[]', 0, 0);",
    )
    .unwrap();
    const FILE: &str = "src/auth/rules.rs";
    let none: Option<i64> = None;
    let cases: [(&str, &str, Bound, Bound); 13] = [
        ("KEEPS_AN_OWNER", "last_owner", &[&"ada"], &[&"bob"]),
        ("HAS_ROOM", "user_limit_reached", &[&2], &[&3]),
        ("HAS_ROOM", "user_limit_reached", &[&0], &[&none]),
        ("ROLES_LEFT", "role_limit_reached", &[&1], &[&2]),
        ("INVITATIONS_LEFT", "invitation_limit_reached", &[&1], &[&2]),
        ("USER_AS_SEEN", "changed_meanwhile", &[&"bob", &"viewer"], &[&"bob", &"press"]),
        ("ROLE_AS_SEEN", "changed_meanwhile", &[&"press", &"[1]"], &[&"press", &"[]"]),
        ("ROLE_UNUSED", "role_in_use", &[&"press"], &[&"free"]),
        ("ROLE_UNUSED", "role_in_use", &[&"desk"], &[&"free"]),
        ("ROLE_UNUSED", "role_in_use", &[&"mapped"], &[&"a"]),
        ("INVITATION_OPEN", "invitation_closed", &[&"i", &"t", &100], &[&"i", &"t", &99]),
        ("INVITATION_AS_SEEN", "changed_meanwhile", &[&"i", &"old"], &[&"i", &"t"]),
        ("EMAIL_UNINVITED", "email_invited", &[&"cy", &99], &[&"cy", &100]),
    ];
    rules_fail_by_their_names(&db, FILE, &cases);
    assert!(rule(&db, FILE, "ROLE_UNUSED", &[&"fallback"]).is_err());
    assert!(rule(&db, FILE, "EMAIL_FREE", &[&"bob"]).is_err() && rule(&db, FILE, "EMAIL_FREE", &[&"eve"]).is_ok());
}

#[test]
fn a_window_that_is_not_counted_yet_begins_with_what_was_made_in_it() {
    let shard = Shard::new();
    let text = |name: &str| {
        of_tenants().into_iter().find(|s| s.file == "src/records/rules.rs" && s.name == name).unwrap().text
    };
    let made = |start: i64, most: i64| {
        let args = ("acme", "people", "hour", start, most);
        shard.db.query_row(text("MADE"), args, |row| row.get::<_, i64>(0)).unwrap()
    };
    let count = |start: i64, more: i64, most: i64| {
        shard.db.execute(text("COUNT_RATE"), ("acme", "people", "hour", start, more, most)).unwrap();
        made(start, most)
    };
    // Ada and Bob were made in the first millisecond.
    assert_eq!((made(1, 9), made(1, 1), made(2, 9)), (2, 1, 0));
    assert_eq!([count(1, 1, 9), count(1, 1, 9)], [3, 4], "they are counted once");
    assert_eq!(count(2, 1, 9), 1, "another window");
    assert_eq!(count(1, 1, 1), 2, "no more are read than the bound");
    shard.acme().soft_delete("people", "ada").unwrap();
    assert_eq!(count(0, 1, 9), 2);
    shard.keeps_the_other();
}

#[test]
fn a_rule_of_records_fails_by_its_name_too() {
    const FILE: &str = "src/records/rules.rs";
    let shard = Shard::new();
    let db = &shard.db;
    // The other tenant has more of everything.
    for slug in ["x", "y", "z"] {
        shard.other().collection(slug, "");
    }
    let counted = |tenant: &str, start: i64, more: i64| {
        let count = of_tenants().into_iter().find(|s| s.file == FILE && s.name == "COUNT_RATE").unwrap();
        db.execute(count.text, (tenant, "posts", "hour", start, more, 0)).unwrap();
    };
    counted("acme", 0, 9);
    counted("acme", 3600, 2);
    counted("acme", 3600, 1);
    counted("other", 3600, 50);
    let (acme, other) = (shard.acme(), shard.other());
    let [a, posts, people] = ["a", "posts", "people"].map(|slug| acme.creation_id(slug));
    let [z, theirs] = ["z", "posts"].map(|slug| other.creation_id(slug));
    rules_fail_by_their_names(
        db,
        FILE,
        &[
            ("COLLECTIONS_LEFT", "collection_limit_reached", &[&3], &[&4]),
            ("DEFINITION_AS_SEEN", "definition_changed", &[&"posts", &posts, &2], &[&"posts", &posts, &1]),
            ("DEFINITION_AS_SEEN", "definition_changed", &[&"posts", &people, &1], &[&"people", &people, &1]),
            ("DEFINITION_AS_SEEN", "definition_changed", &[&"posts", &theirs, &1], &[&"posts", &posts, &1]),
            ("DEFINITION_AS_SEEN", "definition_changed", &[&"z", &z, &1], &[&"a", &a, &1]),
            ("COLLECTION_AS_SEEN", "definition_changed", &[&"posts", &people], &[&"posts", &posts]),
            ("COLLECTION_AS_SEEN", "definition_changed", &[&"posts", &theirs], &[&"people", &people]),
            ("COLLECTION_AS_SEEN", "definition_changed", &[&"z", &z], &[&"a", &a]),
            ("COLLECTION_UNNAMED", "collection_referenced", &[&"people"], &[&"posts"]),
            ("RECORDS_LEFT", "record_limit_reached", &[&"people", &1], &[&"people", &2]),
            ("RATE_LEFT", "record_rate_reached", &[&"posts", &"hour", &2], &[&"posts", &"hour", &3]),
            ("RATE_LEFT", "record_rate_reached", &[&"posts", &"hour", &0], &[&"posts", &"month", &0]),
        ],
    );
    let [ada, newer, first, another] = [
        ("ada", 1, acme.record_creation_id("people", "ada")),
        ("ada", 2, acme.record_creation_id("people", "ada")),
        ("first", 1, acme.record_creation_id("posts", "first")),
        ("ada", 1, other.record_creation_id("people", "ada")),
    ]
    .map(|(id, seen, made)| json!([{"id": id, "made": made, "seen": seen}]).to_string());
    rules_fail_by_their_names(
        db,
        "src/records/write.rs",
        &[
            ("AS_SEEN", "record_changed", &[&"people", &newer, &1], &[&"people", &ada, &1]),
            ("AS_SEEN", "record_changed", &[&"people", &another, &1], &[&"people", &ada, &1]),
            ("AS_SEEN", "record_changed", &[&"people", &first, &1], &[&"posts", &first, &1]),
        ],
    );
    db.execute("UPDATE collections SET deleted_at = 1 WHERE tenant_id = 'acme' AND slug = 'posts'", []).unwrap();
    let seen = |id: &String| {
        let definition = rule(db, FILE, "DEFINITION_AS_SEEN", &[&"posts", id, &1]);
        (definition.is_ok(), rule(db, FILE, "COLLECTION_AS_SEEN", &[&"posts", id]).is_ok())
    };
    assert_eq!(seen(&posts), (false, true), "it is being deleted");
    acme.make_again("posts", "");
    assert_eq!((seen(&posts), seen(&acme.creation_id("posts"))), ((false, false), (true, true)));
}
