//! Creation of collections, from a body or from templates.
//!
//! Invariant: a collection that exists already stays as it is, so that a template can be applied again.

use super::definition::Definition;
use super::template::Template;
use crate::http::problem::Problem;
use crate::storage::sql::{Arg, StorageError, TenantSql};
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::TenantDb;

statements! { TenantSql;
    /// A new collection.
    INSERT = "INSERT INTO collections (tenant_id, slug, name, description, schema, statuses, alias, versioned, soft_delete, live, public_read, files, template, revision, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 1, ?14, ?14)";
    /// The state of its index: nothing to index, and no record without its words.
    INSERT_STATE = "INSERT INTO collection_state (tenant_id, collection, has_words) VALUES (?1, ?2, 1)";
    /// Its indexed and searched fields, from the JSON ?3; each is ready.
    INSERT_FIELDS = "INSERT INTO collection_fields (tenant_id, collection, field, is_indexed, is_unique, is_searched, is_ready, target) SELECT ?1, ?2, json_extract(j.value, '$.field'), json_extract(j.value, '$.indexed'), json_extract(j.value, '$.unique'), json_extract(j.value, '$.searched'), 1, json_extract(j.value, '$.target') FROM json_each(?3) j";
}

/// The statements that create a collection.
pub fn insertion(definition: &Definition, template: Option<&str>, now: i64) -> [(TenantSql, Vec<Arg>); 3] {
    let slug = definition.slug.as_str();
    let mut insert = definition.columns();
    insert.extend(args![template, now]);
    let fields = args![slug, definition.declared.as_str()];
    [(INSERT, insert), (INSERT_STATE, args![slug]), (INSERT_FIELDS, fields)]
}

/// The collections of a template, in an order in which they can be created.
pub fn definitions(template: &Template) -> Result<Vec<Definition>, Problem> {
    template.collections.iter().cloned().map(Definition::read).collect()
}

/// Creates the collections of templates that the tenant does not have yet. Unknown names of templates are ignored.
pub async fn provision(rows: &TenantDb, templates: &[String], now: i64) -> Result<(), Problem> {
    for template in templates.iter().filter_map(|name| Template::find(name)) {
        for definition in definitions(&template)? {
            let made = rows.write().add_all(insertion(&definition, Some(template.name), now)).commit().await;
            match made {
                Err(StorageError::Constraint(words)) if words.contains("collections.slug") => {}
                made => drop(made?),
            }
        }
    }
    Ok(())
}
