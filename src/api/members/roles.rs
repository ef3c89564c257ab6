//! `/api/v1/roles`: what users may do, by name. Five are built in; a tenant makes others.
//!
//! Invariants
//! - Nobody makes, changes or deletes a role that may do more than themselves.
//! - A role that somebody has, or is invited to, is not deleted.
//! - Another set of permissions counts on the next request, and ends the streams of the role's users.

use serde_json::Value;

use super::users::MAX_ROLE;
use super::{Listed, check_own, deed, end_minted, read_permissions};
use crate::auth::idempotency::tenant::{Creation, Made};
use crate::auth::principal::Member;
use crate::auth::role::{Role, is_built_in};
use crate::auth::rules::{self, MAX_ROLES};
use crate::http::fields::Fields;
use crate::http::incoming::{JSON, MERGE_PATCH};
use crate::http::listing::{ViewRow, with_moments};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::{Pagination, Response};
use crate::storage::row::row_types;
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
    /// Some users of a role.
    USERS = "SELECT id FROM users WHERE tenant_id = ?1 AND role = ?2 LIMIT ?3";
}

/// The longest description, in bytes.
const MAX_DESCRIPTION: usize = 500;
/// Most users of a role whose streams are ended one by one; of more, everybody's are.
const ENDED_EACH: usize = 20;

row_types! {
    struct IdRow {
        id: String,
    }
}

/// `POST /api/v1/roles`
pub async fn create(mut request: Request<Member>) -> Result<Response, Problem> {
    let body = request.incoming.json_object(JSON).await?;
    let rows = request.caller.rows(&request.bindings)?;
    let pending = match Creation::begin(&request, &rows, "roles.create", &body).await? {
        Creation::New(pending) => pending,
        Creation::Done(answer) => return Ok(answer),
    };
    let mut fields = Fields::new(body);
    let name = fields.required("name", |f| f.parsed("name", parse_name));
    let description = fields.text("description", MAX_DESCRIPTION).unwrap_or_default();
    let permissions = fields.required("permissions", |f| read_permissions(f, "permissions"));
    fields.finish()?;
    let (Some(name), Some(Listed { json: listed, set })) = (name, permissions) else {
        return Err(problem::internal("a body without its fields"));
    };
    check_own(&request, "/permissions", set)?;
    if is_built_in(&name) {
        return Err(rules::role_taken());
    }
    let now = request.now().millis();
    let deed = deed(&request, "role.create", Some(&name), Some(json!({ "permissions": set.names() }))).statement();
    let insert = args![name.as_str(), description.as_str(), listed.as_str(), now];
    let batch = rows.write().add(rules::ROLES_LEFT, args![MAX_ROLES]).add(INSERT, insert).add(deed.0, deed.1);
    let listed: Value = serde_json::from_str(&listed).map_err(problem::internal)?;
    let data = with_moments(json!({
        "name": name, "description": description, "permissions": listed, "built_in": false,
        "created_at": now, "updated_at": now,
    }));
    Ok(pending.commit(&rows, batch, Made { data, location: format!("/api/v1/roles/{name}") }).await?.answer)
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

/// `PATCH /api/v1/roles/{role}`
pub async fn patch(mut request: Request<Member>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(MERGE_PATCH).await?);
    let is_plain = fields.has("description");
    let description = fields.text("description", MAX_DESCRIPTION).or_else(|| is_plain.then(String::new));
    let permissions = read_permissions(&mut fields, "permissions");
    fields.finish()?;
    let rows = request.caller.rows(&request.bindings)?;
    let role = reach(&request, &rows).await?;
    if let Some(permissions) = &permissions {
        check_own(&request, "/permissions", permissions.set)?;
    }
    let changes = permissions.as_ref().is_some_and(|permissions| permissions.set != role.permissions);
    let detail = permissions.as_ref().map(|permissions| json!({ "permissions": permissions.set.names() }));
    let deed = deed(&request, "role.update", Some(&role.name), detail).statement();
    let listed = permissions.map(|permissions| permissions.json);
    let update = args![role.name.as_str(), description, listed, request.now().millis()];
    let batch = rows.write().add_all(role.as_seen()).add(UPDATE, update).add(deed.0, deed.1);
    if changes {
        end_streams(&request, &rows, &role.name).await?;
    }
    rules::commit(batch).await?;
    if changes {
        end_streams(&request, &rows, &role.name).await?;
    }
    shown(&request, &rows).await
}

/// `DELETE /api/v1/roles/{role}`
pub async fn delete(request: Request<Member>) -> Result<Response, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    let role = reach(&request, &rows).await?;
    let name = role.name.as_str();
    let deed = deed(&request, "role.delete", Some(name), None).statement();
    let batch = rows
        .write()
        .add_all(role.as_seen())
        .add(rules::ROLE_UNUSED, args![name])
        .add(DELETE, args![name])
        .add(deed.0, deed.1);
    rules::commit(batch).await?;
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
async fn reach(request: &Request<Member>, rows: &TenantDb) -> Result<Role, Problem> {
    let name = request.params.get("role");
    if is_built_in(name) {
        return Err(problem::built_in_role());
    }
    let role = Role::find(rows, name).await?.ok_or_else(problem::not_found)?;
    check_own(request, "", role.permissions)?;
    Ok(role)
}

/// Ends the streams of tokens that the role's users minted.
async fn end_streams(request: &Request<Member>, rows: &TenantDb, role: &str) -> Result<(), Problem> {
    let limit = i64::try_from(ENDED_EACH + 1).unwrap_or(i64::MAX);
    let users = rows.rows::<IdRow>(&USERS, args![role, limit]).await?;
    if users.len() > ENDED_EACH {
        return end_minted(request, None).await;
    }
    for user in users {
        end_minted(request, Some(format!("user:{}", user.id))).await?;
    }
    Ok(())
}

/// A built-in role as it is shown; one that may do everything says so, as later permissions are meant too.
fn built_in(name: &str, set: Permissions) -> Value {
    let names = if set.covers(Permissions::ALL) { vec!["*"] } else { set.names() };
    json!({ "name": name, "description": "", "permissions": names, "built_in": true, "created_at": null, "updated_at": null })
}

async fn shown(request: &Request<Member>, rows: &TenantDb) -> Result<Response, Problem> {
    let name = request.params.get("role");
    let view = match BUILT_IN_ROLES.iter().find(|(built_in, _)| *built_in == name) {
        Some((name, set)) => built_in(name, *set),
        None => rows.row::<ViewRow>(&FIND, args![name]).await?.ok_or_else(problem::not_found)?.shown()?,
    };
    Response::json(200, &view, Some(request.caller.tenant.as_str()))
}
