use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::shard::{Done, Shard, Tenant};

/// A write to `posts`, as far as what is there lets it happen.
#[derive(Debug, Clone)]
pub enum Write {
    Insert(&'static str, Option<&'static str>, Value),
    Update(&'static str, Value),
    SetStatus(&'static str, Option<&'static str>),
    SoftDelete(&'static str),
    Restore(&'static str),
    Delete(&'static str),
    /// A field is declared otherwise, and all records are derived anew.
    Declare(&'static str, &'static str),
}

fn id() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["first", "a", "b", "c"])
}

fn status() -> impl Strategy<Value = Option<&'static str>> {
    prop::sample::select(vec![None, Some("draft"), Some("out")])
}

fn data() -> impl Strategy<Value = Value> {
    let text = prop::sample::select(vec![json!("red"), json!("green red"), json!("blue"), json!(""), Value::Null]);
    let tags = prop::collection::vec(prop::sample::select(vec!["red", "blue", "x y"]), 0..3).prop_map(Value::from);
    let score = prop::sample::select(vec![json!(1), json!(2.5), json!(-3), Value::Null]);
    let author = prop::sample::select(vec!["ada", "bob", "nobody"]).prop_map(Value::from);
    let near = prop::collection::vec(id(), 0..3).prop_map(Value::from);
    let fields = (
        prop::option::of(text),
        prop::option::of(tags),
        prop::option::of(score),
        prop::option::of(any::<bool>().prop_map(Value::from)),
        prop::option::weighted(0.3, author),
        prop::option::weighted(0.3, near),
    );
    fields.prop_map(|(title, tags, score, done, author, near)| {
        let named = ["title", "tags", "score", "done", "author", "near"].into_iter();
        let present =
            named.zip([title, tags, score, done, author, near]).filter_map(|(name, value)| Some((name, value?)));
        Value::Object(present.map(|(name, value)| (name.to_owned(), value)).collect())
    })
}

pub fn write() -> impl Strategy<Value = Write> {
    let field = prop::sample::select(vec!["title", "tags", "score", "done"]);
    let kinds =
        prop::sample::select(vec!["", "is_indexed", "is_indexed, is_unique", "is_searched", "is_indexed, is_searched"]);
    prop_oneof![
        4 => (id(), status(), data()).prop_map(|(id, status, data)| Write::Insert(id, status, data)),
        4 => (id(), data()).prop_map(|(id, data)| Write::Update(id, data)),
        2 => (id(), status()).prop_map(|(id, status)| Write::SetStatus(id, status)),
        2 => id().prop_map(Write::SoftDelete),
        2 => id().prop_map(Write::Restore),
        2 => id().prop_map(Write::Delete),
        1 => (field, kinds).prop_map(|(field, kinds)| Write::Declare(field, kinds)),
    ]
}

impl Write {
    pub fn apply(&self, tenant: &Tenant) -> Done {
        match self {
            Self::Insert(id, status, data) => tenant.insert_as("posts", id, *status, data.clone()),
            Self::Update(id, data) => tenant.update("posts", id, data.clone()),
            Self::SetStatus(id, status) => tenant.set_status("posts", id, *status),
            Self::SoftDelete(id) => tenant.soft_delete("posts", id),
            Self::Restore(id) => tenant.restore("posts", id),
            Self::Delete(id) => tenant.delete("posts", id),
            Self::Declare(field, kinds) => {
                tenant.db.execute_batch("SAVEPOINT declaration").unwrap();
                tenant.field("posts", field, kinds, None);
                let done = tenant.reindex("posts");
                let end =
                    if done.is_ok() { "RELEASE declaration" } else { "ROLLBACK TO declaration; RELEASE declaration" };
                tenant.db.execute_batch(end).unwrap();
                done
            }
        }
    }
}

/// What is derived from a tenant's records.
#[derive(Debug, PartialEq)]
struct Derived {
    index: Vec<String>,
    references: Vec<String>,
    words: Vec<String>,
    counts: Vec<String>,
}

/// As the triggers left it.
fn derived(tenant: &Tenant) -> Derived {
    Derived {
        index: tenant.list("SELECT collection || '/' || record_id || ' ' || field || ' ' || quote(value) || ' ' || is_unique FROM record_index WHERE tenant_id = ?1 ORDER BY 1"),
        references: tenant.list("SELECT collection || '/' || record_id || ' ' || field || ' ' || target || '/' || target_id FROM record_references WHERE tenant_id = ?1 ORDER BY 1"),
        words: tenant.words(),
        counts: tenant.list("SELECT collection || ' ' || status || ' ' || records FROM record_counts WHERE tenant_id = ?1 AND records <> 0 ORDER BY 1"),
    }
}

/// As the records and the declared fields say.
fn derived_anew(tenant: &Tenant) -> Derived {
    let fields = tenant.list("SELECT json_array(collection, field, is_indexed, is_unique, is_searched, target) FROM collection_fields WHERE tenant_id = ?1");
    let fields: Vec<(String, String, i64, i64, i64, Option<String>)> =
        fields.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
    let records = tenant.list("SELECT json_array(number, collection, id, COALESCE(status, ''), json(data)) FROM records WHERE tenant_id = ?1 AND deleted_at IS NULL");
    let (mut index, mut references, mut words) = (Vec::new(), Vec::new(), Vec::new());
    let mut counts: BTreeMap<(String, String), i64> = BTreeMap::new();
    for row in records {
        let (number, collection, id, status, data): (i64, String, String, String, Value) =
            serde_json::from_str(&row).unwrap();
        *counts.entry((collection.clone(), status)).or_default() += 1;
        let mut is_searched = false;
        let carried = data.as_object().and_then(|_| tenant.cut(&collection, &data));
        if let Some(carried) = carried.as_ref().filter(|carried| !carried.is_empty()) {
            let tag = tenant.word_tag(&collection);
            words.extend(carried.split(' ').map(|word| format!("{number} words {tag}{word}")));
        }
        for (_, field, indexed, unique, searched, target) in fields.iter().filter(|field| field.0 == collection) {
            let values: Vec<&Value> = match data.get(field) {
                Some(Value::Array(values)) => values.iter().collect(),
                Some(value) => vec![value],
                None => Vec::new(),
            };
            if *indexed == 1 {
                let none = [&Value::Null];
                let rows = if values.is_empty() { &none[..] } else { &values };
                index.extend(rows.iter().map(|value| format!("{collection}/{id} {field} {} {unique}", quoted(value))));
            }
            let texts = values.iter().filter_map(|value| value.as_str());
            if let Some(target) = target {
                references.extend(texts.map(|text| format!("{collection}/{id} {field} {target}/{text}")));
            } else if *searched == 1 && carried.is_none() {
                is_searched |= !values.is_empty();
                let atoms = values.iter().filter(|value| !value.is_null()).map(|value| atom(value));
                let terms = atoms.flat_map(|atom| {
                    atom.split(|c: char| !c.is_alphanumeric())
                        .filter(|term| !term.is_empty())
                        .map(str::to_lowercase)
                        .collect::<Vec<_>>()
                });
                words.extend(terms.map(|term| format!("{number} words {term}")));
            }
        }
        if is_searched {
            let scope: String =
                format!("{}:{collection}", tenant.id).bytes().map(|byte| format!("{byte:02x}")).collect();
            words.push(format!("{number} scope x{scope}"));
        }
    }
    let mut counts: Vec<String> =
        counts.iter().map(|((collection, status), n)| format!("{collection} {status} {n}")).collect();
    for rows in [&mut index, &mut references, &mut words, &mut counts] {
        rows.sort();
    }
    Derived { index, references, words, counts }
}

/// A value as SQLite holds it.
fn atom(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => i64::from(*flag).to_string(),
        other => other.to_string(),
    }
}

fn quoted(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::String(text) => format!("'{text}'"),
        other => atom(other),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    /// Whatever is written, in one transaction or several, and whether it happens or not.
    #[test]
    fn what_is_derived_is_what_the_records_say(
        transactions in prop::collection::vec((prop::collection::vec(write(), 1..6), prop::bool::weighted(0.8)), 1..10),
        carries_words in any::<bool>(),
    ) {
        let shard = Shard::new();
        let acme = shard.acme();
        if carries_words {
            acme.give_words("posts");
        }
        let mut happened = 3;
        for (writes, commits) in &transactions {
            let before = acme.everything();
            shard.db.execute_batch("BEGIN").unwrap();
            let news = |write: &&Write| {
                let gone = acme.list("SELECT id FROM records WHERE tenant_id = ?1 AND deleted_at IS NOT NULL");
                let done = write.apply(&acme);
                let silent = match write {
                    Write::Declare(..) => true,
                    Write::Delete(id) => gone.iter().any(|gone| gone == id),
                    _ => false,
                };
                done == Ok(true) && !silent
            };
            let news = writes.iter().filter(news).count();
            shard.db.execute_batch(if *commits { "COMMIT" } else { "ROLLBACK" }).unwrap();
            if *commits {
                happened += news;
            } else {
                prop_assert_eq!(&acme.everything(), &before);
            }
            prop_assert_eq!(derived(&acme), derived_anew(&acme));
            let told = acme.list("SELECT seq || '' FROM record_outbox WHERE tenant_id = ?1");
            prop_assert_eq!(told.len(), happened);
        }
        shard.keeps_the_other();
    }
}
