//! A tenant's registry of documents, on its shard: what whoever may write it put there, by hash and alias.
//!
//! Invariants
//! - A text in the registry was parsed within the tenant's bounds, and stands under its own hash.
//! - An alias names one document of the tenant. It is given here alone, by whoever has `documents:write`.
//! - What isolates remember of it is at most five seconds old, so a change holds everywhere by then.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::Value;

use super::texts;
use crate::http::problem::{self, Problem};
use crate::isolate_cache::{CacheKey, IsolateCache, KeyIdentity};
use crate::storage::bindings::SystemClock;
use crate::storage::row::row_types;
use crate::storage::sql::{Arg, StorageError, TenantSql, args, statements};
use crate::storage::tenant_db::TenantDb;
use crate::tenant_id::TenantId;
use domain::clock::{Clock, Timestamp};
use domain::document_name::{DocumentAlias, DocumentHash, DocumentName};
use domain::json;

statements! { TenantSql;
    /// The document of the hash ?2.
    BY_HASH = "SELECT hash, text FROM documents WHERE tenant_id = ?1 AND hash = ?2";
    /// The document of the alias ?2.
    BY_ALIAS = "SELECT hash, text FROM documents WHERE tenant_id = ?1 AND alias = ?2";
    /// Takes aliases from the documents that had them: ?2 lists each with the hash that it leads to from now on.
    FREE_ALIASES = "UPDATE documents SET alias = NULL WHERE tenant_id = ?1 AND hash IN (SELECT d.hash FROM json_each(?2) j CROSS JOIN documents d WHERE d.tenant_id = ?1 AND d.alias = json_extract(j.value, '$[0]') AND d.hash <> json_extract(j.value, '$[1]'))";
    /// Registers the documents that ?2 lists, at ?3 by ?4. One that is there gets the alias that is listed, or none.
    REGISTER = "INSERT INTO documents (tenant_id, hash, alias, text, bytes, created_at, created_by) SELECT ?1, json_extract(j.value, '$.hash'), json_extract(j.value, '$.alias'), json_extract(j.value, '$.text'), octet_length(json_extract(j.value, '$.text')), ?3, ?4 FROM json_each(?2) j WHERE TRUE ON CONFLICT (tenant_id, hash) DO UPDATE SET alias = excluded.alias WHERE documents.alias IS DISTINCT FROM excluded.alias";
    /// There are at most ?2 documents, of at most ?3 bytes in all.
    DOCUMENTS_LEFT = "INSERT OR REPLACE INTO write_rules (tenant_id, has_documents_left) VALUES (?1, (SELECT count(*) <= ?2 AND COALESCE(sum(bytes), 0) <= ?3 FROM documents WHERE tenant_id = ?1))";
    /// Takes a document out.
    REMOVE = "DELETE FROM documents WHERE tenant_id = ?1 AND hash = ?2";
}

row_types! {
    struct RegisteredRow {
        hash: String,
        text: String,
    }
}

/// Most documents of a tenant, and most bytes of all of them.
const MAX_DOCUMENTS: i64 = 10_000;
const MAX_DOCUMENTS_BYTES: i64 = 20_000_000;
/// Bytes of texts that one statement takes.
const STATEMENT_BYTES: usize = 400_000;
/// Most names that an isolate remembers, and how long, in milliseconds.
const MAX_NAMES: usize = 2_000;
const REMEMBERED_MILLIS: i64 = 5_000;

/// A name that a tenant's registry was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct NameOfTenant {
    tenant: TenantId,
    name: DocumentName,
}

impl CacheKey for NameOfTenant {
    const IDENTITY: KeyIdentity = KeyIdentity::CheckedAgainst("nothing: it is forgotten after five seconds");
}

thread_local! {
    static NAMES: RefCell<IsolateCache<NameOfTenant, Option<DocumentHash>>> = RefCell::new(IsolateCache::new(MAX_NAMES, REMEMBERED_MILLIS));
}

/// The text of a document of the registry, as it was at most five seconds ago.
pub async fn find(rows: &TenantDb, name: &DocumentName) -> Result<Option<Rc<str>>, Problem> {
    let (tenant, now) = (rows.tenant(), SystemClock.now());
    let key = NameOfTenant { tenant: tenant.clone(), name: name.clone() };
    match NAMES.with_borrow_mut(|names| names.get(&key, now).cloned()) {
        Some(None) => return Ok(None),
        Some(Some(hash)) => {
            if let Some(text) = texts::get(tenant, &hash) {
                return Ok(Some(text));
            }
        }
        None => {}
    }
    let (statement, sent) = match name {
        DocumentName::Hash(hash) => (BY_HASH, hash.as_str()),
        DocumentName::Alias(alias) => (BY_ALIAS, alias.as_str()),
    };
    let found = match rows.row::<RegisteredRow>(&statement, args![sent]).await? {
        Some(row) => Some((DocumentHash::parse(&row.hash).map_err(problem::internal)?, Rc::<str>::from(row.text))),
        None => None,
    };
    if let Some((hash, text)) = &found {
        texts::remember(tenant, hash, text);
    }
    let hash = found.as_ref().map(|(hash, _)| hash.clone());
    NAMES.with_borrow_mut(|names| names.insert(key, hash, now));
    Ok(found.map(|(_, text)| text))
}

/// A document to be registered.
pub struct NewDocument {
    /// The hash of its text.
    pub hash: DocumentHash,
    /// Its alias, if it is to have one.
    pub alias: Option<DocumentAlias>,
    /// Its text, which was parsed.
    pub text: String,
}

/// The statements that register documents, whose hashes and aliases are listed once each.
pub fn registration(documents: &[NewDocument], by: &str, at: Timestamp) -> Vec<(TenantSql, Vec<Arg>)> {
    let aliases = documents.iter().filter_map(|one| Some(json!([one.alias.as_ref()?.as_str(), one.hash.as_str()])));
    let mut statements = vec![(FREE_ALIASES, args![Value::Array(aliases.collect()).to_string()])];
    let mut rest = documents;
    while !rest.is_empty() {
        let (listed, others) = rest.split_at(fitting(rest));
        let listed = listed.iter().map(|one| {
            let alias = one.alias.as_ref().map(DocumentAlias::as_str);
            json!({ "hash": one.hash.as_str(), "alias": alias, "text": one.text })
        });
        statements.push((REGISTER, args![Value::Array(listed.collect()).to_string(), at.millis(), by]));
        rest = others;
    }
    statements.push((DOCUMENTS_LEFT, args![MAX_DOCUMENTS, MAX_DOCUMENTS_BYTES]));
    statements
}

/// How many documents one statement takes: at least one.
fn fitting(documents: &[NewDocument]) -> usize {
    let sums = documents.iter().scan(0, |sum, one| {
        *sum += one.text.len();
        Some(*sum)
    });
    sums.take_while(|bytes| *bytes <= STATEMENT_BYTES).count().clamp(1, documents.len().max(1))
}

/// The problem of a batch that could not be committed.
pub fn meaning(error: StorageError) -> Problem {
    match &error {
        StorageError::Constraint(words) if words.contains("document_limit_reached") => {
            problem::too_many("documents, of at most 20 MB in all", MAX_DOCUMENTS)
        }
        _ => error.into(),
    }
}

/// Makes this isolate ask a tenant's registry anew, because it was changed.
pub fn forget(tenant: &TenantId) {
    let now = SystemClock.now();
    NAMES.with_borrow_mut(|names| {
        let of_tenant: Vec<_> =
            names.current(now).map(|(key, _)| key).filter(|key| key.tenant == *tenant).cloned().collect();
        of_tenant.iter().for_each(|key| names.forget(key, now));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphql::naming::hash_of;

    fn document(bytes: usize, alias: Option<&str>) -> NewDocument {
        let text = format!("{{{}}}", "a".repeat(bytes.saturating_sub(2)));
        let alias = alias.map(|alias| DocumentAlias::parse(alias).unwrap());
        NewDocument { hash: hash_of(&text), alias, text }
    }

    #[test]
    fn long_lists_are_several_statements_between_aliases_and_the_bound() {
        let of = |documents: &[NewDocument]| {
            let statements = registration(documents, "key:1", Timestamp::from_millis(1));
            statements.iter().map(|(sql, _)| sql.name().rsplit("::").next().unwrap()).collect::<Vec<_>>().join(" ")
        };
        let long = || document(STATEMENT_BYTES / 2, None);
        assert_eq!(of(&[document(9, Some("A"))]), "FREE_ALIASES REGISTER DOCUMENTS_LEFT");
        assert_eq!(of(&[long(), long()]), "FREE_ALIASES REGISTER DOCUMENTS_LEFT");
        assert_eq!(of(&[long(), long(), document(9, None)]), "FREE_ALIASES REGISTER REGISTER DOCUMENTS_LEFT");
        assert_eq!(of(&[document(STATEMENT_BYTES + 1, None), long()]), "FREE_ALIASES REGISTER REGISTER DOCUMENTS_LEFT");
    }
}
