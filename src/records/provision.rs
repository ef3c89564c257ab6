//! Collections as they are made: by a body, or of a template in a tenant that may have some of them already.
//!
//! Invariant: a collection that is there is kept as it is, whoever made it. So a template may be applied again.

use super::definition::Definition;
use super::template::Template;
use crate::http::problem::Problem;
use crate::storage::sql::{Arg, StorageError, TenantSql};
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::TenantDb;

statements! { TenantSql;
    /// A new collection.
    INSERT = "INSERT INTO collections (tenant_id, slug, name, description, schema, statuses, template, alias, versioned, soft_delete, live, public_read, files, revision, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 1, ?14, ?14)";
    /// How its index stands: there is nothing to index.
    INSERT_STATE = "INSERT INTO collection_state (tenant_id, collection) VALUES (?1, ?2)";
    /// Its declared fields, from the JSON ?3; each is ready.
    INSERT_FIELDS = "INSERT INTO collection_fields (tenant_id, collection, field, is_indexed, is_unique, is_searched, is_ready, target) SELECT ?1, ?2, json_extract(j.value, '$.field'), json_extract(j.value, '$.indexed'), json_extract(j.value, '$.unique'), json_extract(j.value, '$.searched'), 1, json_extract(j.value, '$.target') FROM json_each(?3) j";
}

/// The statements that make a collection.
pub fn insertion(definition: &Definition, template: Option<&str>, now: i64) -> [(TenantSql, Vec<Arg>); 3] {
    let slug = definition.slug.as_str();
    let insert = args![
        slug,
        definition.name.as_str(),
        definition.description.as_str(),
        definition.schema.to_string(),
        definition.statuses.to_string(),
        template,
        definition.alias.then_some("client_id"),
        definition.versioned,
        definition.soft_delete,
        definition.live,
        definition.public_read,
        definition.files,
        now
    ];
    let fields = args![slug, definition.declared.as_str()];
    [(INSERT, insert), (INSERT_STATE, args![slug]), (INSERT_FIELDS, fields)]
}

/// The collections of a template, in an order in which they can be made.
pub fn definitions(template: &Template) -> Result<Vec<Definition>, Problem> {
    template.collections.iter().cloned().map(Definition::read).collect()
}

/// Makes the collections of templates that the tenant does not have yet. Names that are no template's are passed over.
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
