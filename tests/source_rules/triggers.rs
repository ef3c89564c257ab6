use std::collections::BTreeSet;

use rusqlite::Connection;
use sqlparser::ast::{Insert, Statement, TableFactor, TableObject};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer, Word};

use crate::full_text::written;
use crate::mutants::mutants;
use crate::none;
use crate::planner::astray;
use crate::statements::{migrated, of_tenants};
use crate::tenant_lint::{TENANT, faults, last, shard_tables};

/// A trigger. In its texts `?1` stands for the tenant of the row that fires it, and every other column of that row for
/// a text.
#[derive(Debug)]
struct Trigger {
    name: String,
    table: String,
    when: Option<String>,
    statements: Vec<String>,
}

impl Trigger {
    /// From its definition.
    fn of(sql: &str) -> Self {
        let tokens = Tokenizer::new(&SQLiteDialect {}, sql).tokenize().unwrap();
        let place = |word: &str| tokens.iter().position(|token| is_word(token, word));
        let follows = |word: &str| {
            let mut rest = tokens[place(word).unwrap() + 1..].iter();
            rest.find(|token| matches!(token, Token::Word(_))).unwrap().to_string()
        };
        let (begin, end) = (place("BEGIN").unwrap(), tokens.iter().rposition(|token| is_word(token, "END")).unwrap());
        let when = place("WHEN").filter(|when| *when < begin);
        let body = tokens[begin + 1..end].split(|token| *token == Token::SemiColon).map(bound);
        Self {
            name: follows("TRIGGER"),
            table: follows("ON"),
            when: when.map(|when| bound(&tokens[when + 1..begin])),
            statements: body.filter(|statement| !statement.is_empty()).collect(),
        }
    }

    /// What it reads and writes, its condition as a query.
    fn texts(&self) -> Vec<String> {
        let when = self.when.iter().map(|when| format!("SELECT {when}"));
        when.chain(self.statements.iter().cloned()).collect()
    }

    /// What reaches beyond the tenant of the row that fires it.
    fn faults(&self, tables: &BTreeSet<String>) -> Vec<String> {
        let mut found: Vec<String> = self.texts().iter().flat_map(|text| self.faults_of(text, tables)).collect();
        if !tables.contains(&self.table) {
            found.push(format!("stands on {}, which is no table of a shard", self.table));
        }
        found.into_iter().map(|fault| format!("{}: {fault}", self.name)).collect()
    }

    fn faults_of(&self, text: &str, tables: &BTreeSet<String>) -> Vec<String> {
        match written(text, &self.table) {
            Some(Ok(words)) => words.map(|words| faults(&words, tables)).unwrap_or_default(),
            Some(Err(fault)) => vec![fault],
            None => faults(text, tables),
        }
    }

    /// Whether it writes, rather than only refuse.
    fn derives(&self) -> bool {
        self.statements.iter().any(|statement| !statement.starts_with("SELECT"))
    }
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(Word { value, quote_style: None, .. }) if value.eq_ignore_ascii_case(word))
}

/// Tokens as a text in which `?1` is the tenant.
fn bound(tokens: &[Token]) -> String {
    let (mut text, mut rest) = (String::new(), tokens);
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (row, [Token::Period, Token::Word(column), after @ ..]) if is_word(row, "NEW") || is_word(row, "OLD") => {
                let is_tenant = column.value.eq_ignore_ascii_case(TENANT);
                text += &if is_tenant { "?1".to_owned() } else { format!("'{row}.{}'", column.value) };
                rest = after;
            }
            // The parser knows SQLite's IS NOT only in its standard form.
            (is, [Token::Whitespace(_), not, Token::Whitespace(_), what, ..])
                if is_word(is, "IS") && is_word(not, "NOT") && !is_word(what, "NULL") =>
            {
                text += "IS DISTINCT FROM";
                rest = &after[2..];
            }
            (Token::Whitespace(_), _) => text.push(' '),
            _ => text += &first.to_string(),
        }
    }
    text.trim().to_owned()
}

/// What each trigger reads and writes, as [`Trigger`] has it, by its name.
pub fn texts_of_triggers(db: &Connection) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for trigger in triggers(db) {
        let planned = trigger.texts().into_iter().filter(|text| !text.starts_with("SELECT RAISE"));
        texts.extend(planned.map(|text| (trigger.name.clone(), text)));
    }
    texts
}

fn triggers(db: &Connection) -> Vec<Trigger> {
    definitions(db).iter().map(|sql| Trigger::of(sql)).collect()
}

fn definitions(db: &Connection) -> Vec<String> {
    let mut statement = db.prepare("SELECT sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY name").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// A conflict clause holds for what the triggers of a statement write too, and REPLACE fires none for what it removes:
/// where rows are derived, a statement has none.
fn resolves_conflicts(sql: &str, deriving: &BTreeSet<String>) -> bool {
    let statement = Parser::parse_sql(&SQLiteDialect {}, sql).unwrap().remove(0);
    let table = match &statement {
        Statement::Insert(Insert { table: TableObject::TableName(name), or, replace_into, .. })
            if or.is_some() || *replace_into =>
        {
            last(name)
        }
        Statement::Update { table, or: Some(_), .. } => match &table.relation {
            TableFactor::Table { name, .. } => last(name),
            _ => return true,
        },
        _ => return false,
    };
    deriving.contains(&table)
}

fn deriving(triggers: &[Trigger]) -> BTreeSet<String> {
    triggers.iter().filter(|trigger| trigger.derives()).map(|trigger| trigger.table.clone()).collect()
}

#[test]
fn every_trigger_keeps_to_the_tenant_of_its_row() {
    let (db, tables) = (migrated("migrations/tenant"), shard_tables());
    let triggers = triggers(&db);
    assert!(triggers.len() > 40 && triggers.iter().all(|trigger| !trigger.statements.is_empty()), "{triggers:?}");
    none(
        "each table in a trigger is bound by tenant_id = NEW.tenant_id or OLD.tenant_id",
        &triggers.iter().flat_map(|trigger| trigger.faults(&tables)).collect::<Vec<_>>(),
    );
}

#[test]
fn every_statement_of_a_trigger_searches_by_tenant() {
    let db = migrated("migrations/tenant");
    let mut faults = Vec::new();
    for (name, text) in texts_of_triggers(&db) {
        faults.extend(astray(&db, &text).into_iter().map(|step| format!("{name}: {step}")));
    }
    none("SQLite does not search these by tenant_id", &faults);
}

#[test]
fn no_statement_resolves_conflicts_where_rows_are_derived() {
    let triggers = triggers(&migrated("migrations/tenant"));
    let deriving = deriving(&triggers);
    assert_eq!(
        deriving.iter().map(String::as_str).collect::<Vec<_>>(),
        [
            "collection_state",
            "collections",
            "record_files",
            "record_sequence",
            "record_versions",
            "records",
            "roles",
            "users"
        ]
    );
    let registered = of_tenants().into_iter().map(|statement| (statement.name.to_owned(), statement.text.to_owned()));
    let triggered =
        triggers.iter().flat_map(|trigger| trigger.statements.iter().map(|s| (trigger.name.clone(), s.clone())));
    let wrong = registered.chain(triggered).filter(|(_, text)| resolves_conflicts(text, &deriving));
    none("these resolve conflicts for triggers", &wrong.map(|(name, _)| name).collect::<Vec<_>>());
    for sql in [
        "INSERT OR REPLACE INTO records (tenant_id) VALUES (?1)",
        "INSERT OR IGNORE INTO records (tenant_id) VALUES (?1)",
        "REPLACE INTO records (tenant_id) VALUES (?1)",
        "UPDATE OR IGNORE records SET status = ?2 WHERE tenant_id = ?1",
    ] {
        assert!(resolves_conflicts(sql, &deriving), "{sql}");
    }
    let free = "INSERT INTO records (tenant_id) VALUES (?1) ON CONFLICT (tenant_id, collection, id) DO NOTHING";
    assert!(!resolves_conflicts(free, &deriving));
}

#[test]
fn a_trigger_that_reaches_beyond_its_row_is_found() {
    let tables = shard_tables();
    let faults =
        |header: &str, body: &str| Trigger::of(&format!("CREATE TRIGGER t {header} BEGIN {body}; END")).faults(&tables);
    const SCOPE: &str = "'x' || hex(NEW.tenant_id || ':' || NEW.collection)";
    let words = |number: &str, scope: &str, from: &str| {
        format!(
            "INSERT INTO record_search (rowid, scope, words) SELECT {number}, {scope}, group_concat(f.field) {from}"
        )
    };
    const TAG: &str = "substr(c.creation_id, 17)";
    const OWN: &str = "c.tenant_id = NEW.tenant_id AND c.slug = NEW.collection AND NEW.words <> ''";
    let tagged = |number: &str, tag: &str, condition: &str| {
        format!(
            "INSERT INTO record_search (rowid, scope, words) SELECT {number}, NULL, 'z' || {tag} || replace(NEW.words, ' ', ' z' || {tag}) FROM collections c WHERE {condition}"
        )
    };
    let fields = "FROM collection_fields f WHERE f.tenant_id = NEW.tenant_id";
    let insert = "AFTER INSERT ON records";
    let passes = [
        (insert, "UPDATE record_counts SET records = 1 WHERE tenant_id = NEW.tenant_id AND status = CASE WHEN 1 THEN 'a;END' END".into()),
        ("AFTER DELETE ON records", "DELETE FROM record_index WHERE tenant_id = old.tenant_id AND record_id = old.id".into()),
        ("AFTER DELETE ON records WHEN OLD.id = 'WHEN'", "SELECT RAISE(ABORT, 'no')".into()),
        (
            "AFTER INSERT ON records WHEN EXISTS (SELECT 1 FROM users u WHERE u.tenant_id = NEW.tenant_id)",
            "INSERT INTO record_sequence (tenant_id, last) VALUES (NEW.tenant_id, 1) ON CONFLICT (tenant_id) DO UPDATE SET last = last + 1".into(),
        ),
        (insert, words("NEW.number", SCOPE, fields)),
        (insert, tagged("NEW.number", TAG, OWN)),
        (insert, "DELETE FROM record_search WHERE rowid = OLD.number".into()),
    ];
    for (header, body) in &passes {
        assert_eq!(faults(header, body), [""; 0], "{header} {body}");
    }
    let refused = [
        (insert, "UPDATE record_counts SET records = 1".into()),
        (insert, "UPDATE record_counts SET records = 1 WHERE tenant_id = NEW.id".into()),
        (insert, "UPDATE record_counts SET records = 1 WHERE tenant_id = tenant_id".into()),
        (insert, "UPDATE record_counts SET records = 1 WHERE tenant_id = 'NEW.tenant_id'".into()),
        (insert, "UPDATE record_counts SET tenant_id = NEW.tenant_id WHERE tenant_id = NEW.tenant_id".into()),
        (insert, "SELECT RAISE(ABORT, 'x'); DELETE FROM record_index WHERE record_id = NEW.id".into()),
        (insert, "INSERT INTO record_sequence (tenant_id, last) VALUES ('b', 1)".into()),
        (insert, "INSERT INTO record_sequence (tenant_id, last) SELECT tenant_id, 1 FROM users".into()),
        ("AFTER INSERT ON records WHEN EXISTS (SELECT 1 FROM users)", "SELECT RAISE(ABORT, 'x')".into()),
        (
            "AFTER INSERT ON records WHEN (SELECT live FROM collections WHERE slug = NEW.collection) = 1",
            "SELECT 1".into(),
        ),
        ("AFTER INSERT ON strangers", "SELECT 1".into()),
        (insert, words("NEW.version", SCOPE, fields)),
        (insert, words("OLD.number", SCOPE, fields)),
        (insert, words("NEW.number", "NEW.tenant_id", fields)),
        (insert, words("NEW.number", "'x' || hex(NEW.id || ':' || NEW.collection)", fields)),
        (insert, words("NEW.number", "'x' || hex(NEW.tenant_id || NEW.collection)", fields)),
        (insert, words("NEW.number", SCOPE, "FROM collection_fields f")),
        (insert, tagged("NEW.version", TAG, OWN)),
        (insert, tagged("NEW.number", "substr(c.creation_id, 16)", OWN)),
        (insert, tagged("NEW.number", "NEW.id", OWN)),
        (insert, tagged("NEW.number", TAG, "c.slug = NEW.collection AND NEW.words <> ''")),
        (insert, tagged("NEW.number", TAG, "c.tenant_id = NEW.tenant_id AND NEW.words <> ''")),
        (insert, tagged("NEW.number", TAG, "c.tenant_id = NEW.tenant_id AND c.slug = NEW.words AND 1")),
        (insert, tagged("NEW.number", TAG, "c.tenant_id = NEW.tenant_id AND c.slug = NEW.collection AND 1 OR 1")),
        ("AFTER INSERT ON collections", tagged("NEW.number", TAG, OWN)),
        ("AFTER INSERT ON collections", words("NEW.number", SCOPE, fields)),
        (insert, "INSERT INTO record_search (rowid, scope, words) VALUES (NEW.number, NEW.tenant_id, NEW.data)".into()),
        (insert, "DELETE FROM record_search".into()),
        (insert, "DELETE FROM record_search WHERE rowid = NEW.version".into()),
        (insert, "DELETE FROM record_search WHERE rowid = NEW.number OR 1".into()),
        (insert, "UPDATE record_search SET words = '' WHERE rowid = NEW.number".into()),
    ];
    for (header, body) in &refused {
        assert!(!faults(header, body).is_empty(), "passes: {header} {body}");
    }
}

#[test]
fn no_trigger_survives_losing_its_tenant() {
    let (db, tables) = (migrated("migrations/tenant"), shard_tables());
    let (mut survivors, mut tried) = (Vec::new(), 0);
    for sql in definitions(&db) {
        let trigger = Trigger::of(&sql);
        for text in trigger.texts() {
            for (what, mutant) in mutants(&text) {
                tried += 1;
                if trigger.faults_of(&mutant, &tables).is_empty() {
                    survivors.push(format!("{}, {what}: {mutant}", trigger.name));
                }
            }
        }
        // The definition itself with one tenant less.
        for (tenant, other) in [("NEW.tenant_id", "NEW.id"), ("OLD.tenant_id", "OLD.id")] {
            for (at, _) in sql.match_indices(tenant) {
                tried += 1;
                let mutant = format!("{}{other}{}", &sql[..at], &sql[at + tenant.len()..]);
                if Trigger::of(&mutant).faults(&tables).is_empty() {
                    survivors.push(format!("{}, {tenant} at {at}", trigger.name));
                }
            }
        }
    }
    assert!(tried > 150, "{tried}");
    none("the lint lets these pass", &survivors);
}
