//! `/api/v1/roles`: what users may do, by name. Five are built in; a tenant makes others.
//!
//! Invariants
//! - Nobody makes, changes or deletes a role with permissions that they do not have.
//! - A role that somebody has, or is invited to, is not deleted.
//! - Changed permissions count on the next request. If the role loses some, the streams of its users end.

use serde_json::Value;

use super::{MAX_ROLE, audit_entry, check_own};
use crate::api::key_draft::PermissionList;
use crate::auth::idempotency::tenant::{CreatedResource, Creation};
use crate::auth::principal::Member;
use crate::auth::revocation::{self, MintedBy, revoking};
use crate::auth::role::{Role, is_built_in};
use crate::auth::rules::{self, MAX_ROLES};
use crate::http::fields::Fields;
use crate::http::incoming::{JSON, MERGE_PATCH};
use crate::http::listing::{ViewRow, with_timestamps};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::{Pagination, Response};
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::TenantDb;
use domain::error::Invalid;
use domain::json;
use domain::permission::{BUILT_IN_ROLES, Permission, Permissions};

statements! { TenantSql;
    /// Every role the tenant made, by name.
    SHOWN = "SELECT name AS id, created_at, json_object('name', name, 'description', description, 'permissions', json(permissions), 'built_in', json('false'), 'created_at', created_at, 'updated_at', updated_at) AS view FROM roles WHERE tenant_id = ?1 ORDER BY name";
    /// One of them.
    FIND = "SELECT name AS id, created_at, json_object('name', name, 'description', description, 'permissions', json(permissions), 'built_in', json('false'), 'created_at', created_at, 'updated_at', updated_at) AS view FROM roles WHERE tenant_id = ?1 AND name = ?2";
    /// A new role.
    INSERT = "INSERT INTO roles (tenant_id, name, description, permissions, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)";
    /// Changes what is not NULL.
    UPDATE = "UPDATE roles SET description = COALESCE(?3, description), permissions = COALESCE(?4, permissions), updated_at = ?5 WHERE tenant_id = ?1 AND name = ?2";
    /// Deletes a role.
    DELETE = "DELETE FROM roles WHERE tenant_id = ?1 AND name = ?2";
}

/// The longest description, in bytes.
const MAX_DESCRIPTION: usize = 500;

/// `POST /api/v1/roles`
pub async fn create(mut request: Request<Member>) -> Result<Response, Problem> {
    let body = request.incoming.json_object(JSON).await?;
    let rows = request.caller.rows(&request.bindings)?;
    let create = match Creation::begin(&request, &rows, "roles.create", &body).await? {
        Creation::New(create) => create,
        Creation::Done(response) => return Ok(response),
    };
    let mut fields = Fields::new(body);
    let name = fields.required("name", |f| f.parsed("name", parse_name));
    let description = fields.text_or_none("description", MAX_DESCRIPTION).unwrap_or_default();
    let permissions = fields.required("permissions", |f| PermissionList::read(f, "permissions"));
    let (name, permissions) = fields.finish_with(name.zip(permissions))?;
    check_own(&request, "/permissions", permissions.set)?;
    if is_built_in(&name) {
        return Err(rules::role_taken());
    }
    let now = request.now().millis();
    let entry =
        audit_entry(&request, "role.create", Some(&name), Some(json!({ "permissions": permissions.set.names() })));
    let insert = args![name.as_str(), description.as_str(), permissions.names.to_string(), now];
    let batch = rows.write().add(rules::ROLES_LEFT, args![MAX_ROLES]).add(INSERT, insert).audit(entry);
    let data = with_timestamps(json!({
        "name": name, "description": description, "permissions": permissions.names, "built_in": false,
        "created_at": now, "updated_at": now,
    }));
    let location = format!("/api/v1/roles/{name}");
    Ok(create.commit(&rows, batch, CreatedResource { data, location, etag: None }).await?.response)
}

/// `GET /api/v1/roles`
pub async fn list(request: Request<Member>) -> Result<Response, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    let mut roles: Vec<Value> = BUILT_IN_ROLES.iter().map(|(name, set)| built_in(name, *set)).collect();
    for row in rows.rows::<ViewRow>(&SHOWN, Vec::new()).await? {
        roles.push(row.shown()?);
    }
    let most = MAX_ROLES.unsigned_abs() as usize + BUILT_IN_ROLES.len();
    let pagination = Pagination { per_page: u32::try_from(most).unwrap_or(0), ..Pagination::default() };
    Response::list(&roles, pagination, Some(request.caller.tenant.as_str()))
}

/// `GET /api/v1/roles/{role}`
pub async fn get(request: Request<Member>) -> Result<Response, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    shown(&request, &rows).await
}

/// What is shown of a role and set by nobody.
const READ_ONLY: [&str; 4] = ["name", "built_in", "created_at", "updated_at"];

/// `PATCH /api/v1/roles/{role}`
pub async fn patch(mut request: Request<Member>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(MERGE_PATCH).await?);
    let rows = request.caller.rows(&request.bindings)?;
    fields.read_only(&view(&request, &rows).await?, &READ_ONLY);
    let sets_description = fields.has("description");
    let description =
        fields.text_or_none("description", MAX_DESCRIPTION).or_else(|| sets_description.then(String::new));
    let permissions = PermissionList::<Permissions>::read(&mut fields, "permissions");
    fields.finish()?;
    let role = find(&request, &rows).await?;
    if let Some(permissions) = &permissions {
        check_own(&request, "/permissions", permissions.set)?;
    }
    let loses = permissions.as_ref().is_some_and(|permissions| !permissions.set.covers(role.permissions));
    let detail = permissions.as_ref().map(|permissions| json!({ "permissions": permissions.set.names() }));
    let entry = audit_entry(&request, "role.update", Some(&role.name), detail);
    let listed = permissions.map(|permissions| permissions.names.to_string());
    let update = args![role.name.as_str(), description, listed, request.now().millis()];
    let batch = rows.write().add_all(role.as_seen()).add(UPDATE, update).audit(entry);
    let minted_by = if loses { MintedBy::UsersOfRole(&rows, &role.name) } else { MintedBy::Nobody };
    revoking(&request.bindings, &request.caller.tenant, minted_by, rules::commit(batch)).await?;
    shown(&request, &rows).await
}

/// `DELETE /api/v1/roles/{role}`
pub async fn delete(request: Request<Member>) -> Result<Response, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    let role = find(&request, &rows).await?;
    let name = role.name.as_str();
    let entry = audit_entry(&request, "role.delete", Some(name), None);
    let batch =
        rows.write().add_all(role.as_seen()).add(rules::ROLE_UNUSED, args![name]).add(DELETE, args![name]).audit(entry);
    // No user has it, but an operator may have entered with it.
    let ending = MintedBy::Principal(revocation::role(name));
    revoking(&request.bindings, &request.caller.tenant, ending, rules::commit(batch)).await?;
    Response::json(200, &json!({ "name": name }), Some(request.caller.tenant.as_str()))
}

/// `GET /api/v1/permissions`
pub async fn permissions(request: Request<Member>) -> Result<Response, Problem> {
    let one = |permission: &Permission| json!({ "name": permission.as_str(), "description": permission.about() });
    let all: Vec<Value> = Permission::ALL.iter().map(one).collect();
    let pagination = Pagination { per_page: u32::try_from(all.len()).unwrap_or(0), ..Pagination::default() };
    Response::list(&all, pagination, Some(request.caller.tenant.as_str()))
}

/// A lower-case letter, then at most 39 lower-case letters, digits, `_` and `-`.
fn parse_name(text: &str) -> Result<String, Invalid> {
    let rest_fits = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'));
    if text.starts_with(|c: char| c.is_ascii_lowercase()) && rest_fits && text.len() <= MAX_ROLE {
        return Ok(text.to_owned());
    }
    let message = format!("must be 1 to {MAX_ROLE} lower-case letters, digits, _ and -, the first a letter");
    Err(Invalid::new("invalid_name", message))
}

/// The role that the path names, if the caller may change it.
async fn find(request: &Request<Member>, rows: &TenantDb) -> Result<Role, Problem> {
    let name = request.params.get("role");
    if is_built_in(name) {
        return Err(problem::built_in_role());
    }
    let role = Role::find(rows, name).await?.ok_or_else(problem::not_found)?;
    check_own(request, "", role.permissions)?;
    Ok(role)
}

/// A built-in role as JSON. One that may do everything shows `*`, because it includes permissions of later versions.
fn built_in(name: &str, set: Permissions) -> Value {
    let names = if set.covers(Permissions::ALL) { vec!["*"] } else { set.names() };
    json!({ "name": name, "description": "", "permissions": names, "built_in": true, "created_at": null, "updated_at": null })
}

/// The role that the path names, as it is shown.
async fn view(request: &Request<Member>, rows: &TenantDb) -> Result<Value, Problem> {
    let name = request.params.get("role");
    match BUILT_IN_ROLES.iter().find(|(built_in, _)| *built_in == name) {
        Some((name, set)) => Ok(built_in(name, *set)),
        None => rows.row::<ViewRow>(&FIND, args![name]).await?.ok_or_else(problem::not_found)?.shown(),
    }
}

async fn shown(request: &Request<Member>, rows: &TenantDb) -> Result<Response, Problem> {
    let view = view(request, rows).await?;
    Response::json(200, &view, Some(request.caller.tenant.as_str()))
}
