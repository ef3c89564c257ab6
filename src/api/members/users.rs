//! `/api/v1/users`: who belongs to a tenant, with which role, and whether they may sign in.
//!
//! Invariants
//! - Nobody grants a role with more permissions than their own, nor changes or removes a user who has such a role. What
//!   reaches everybody takes every permission.
//! - A tenant keeps an active owner or admin, and no more users than its plan allows; both are checked in the write's
//!   own transaction.
//! - A user who loses rights loses them on the next request, and the streams of tokens they minted end.

use serde_json::Value;

use super::invitations::ClosedInvitation;
use super::{MAX_NAME, MAX_ROLE, audit_entry, check_own, parse_email, role_to_grant};
use crate::auth::email_token;
use crate::auth::idempotency::tenant::{CreatedResource, Creation};
use crate::auth::principal::Member;
use crate::auth::revocation::{MintedBy, revoking};
use crate::auth::role::Role;
use crate::auth::rules;
use crate::credentials::key::fresh_id;
use crate::http::fields::Fields;
use crate::http::incoming::{JSON, MERGE_PATCH};
use crate::http::listing::{ListParams, ViewRow, with_timestamps};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::row::row_types;
use crate::storage::sql::{Arg, TenantSql};
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::{TenantBatch, TenantDb};
use domain::error::Invalid;
use domain::json;
use domain::permission::{DEFAULT_ROLE, Permission, Permissions};

statements! { TenantSql;
    /// Users, newest first: ?5 their status, ?6 their role, ?7 a lower-case text to find in address or name.
    SHOWN = "SELECT id, created_at, json_object('id', id, 'email', email, 'name', name, 'role', role, 'status', status, 'email_verified_at', email_verified_at, 'last_login_at', last_login_at, 'created_at', created_at, 'updated_at', updated_at) AS view FROM users WHERE tenant_id = ?1 AND (created_at, id) < (?2, ?3) AND (?5 IS NULL OR status = ?5) AND (?6 IS NULL OR role = ?6) AND (?7 IS NULL OR instr(lower(email), ?7) > 0 OR instr(lower(name), ?7) > 0) ORDER BY created_at DESC, id DESC LIMIT ?4";
    /// One user.
    FIND = "SELECT id, created_at, json_object('id', id, 'email', email, 'name', name, 'role', role, 'status', status, 'email_verified_at', email_verified_at, 'last_login_at', last_login_at, 'created_at', created_at, 'updated_at', updated_at) AS view FROM users WHERE tenant_id = ?1 AND id = ?2";
    /// A user's role and status, and whether the tenant has another active owner or admin.
    TARGET = "SELECT u.role, u.status, r.permissions AS own_role, EXISTS (SELECT 1 FROM users o WHERE o.tenant_id = ?1 AND o.role IN ('owner', 'admin') AND o.status = 'active' AND o.id <> ?2) AS others FROM users u LEFT JOIN roles r ON r.tenant_id = ?1 AND r.name = u.role WHERE u.tenant_id = ?1 AND u.id = ?2";
    /// A new user without a password.
    INSERT = "INSERT INTO users (tenant_id, id, email, name, role, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)";
    /// Changes what is not NULL.
    UPDATE = "UPDATE users SET name = COALESCE(?3, name), role = COALESCE(?4, role), status = COALESCE(?5, status), updated_at = ?6 WHERE tenant_id = ?1 AND id = ?2";
    /// Removes a user, and by reference their sessions, tokens and identities.
    DELETE = "DELETE FROM users WHERE tenant_id = ?1 AND id = ?2";
    /// Ends a user's sessions.
    END_SESSIONS = "DELETE FROM sessions WHERE tenant_id = ?1 AND user_id = ?2";
    /// Tokens that a user was issued before ?3 are void.
    VOID_ISSUED = "UPDATE users SET not_before = MAX(not_before, ?3) WHERE tenant_id = ?1 AND id = ?2";
    /// Takes back the open invitations that a user (`user:…`) sent.
    CLOSE_INVITATIONS = "DELETE FROM tenant_invitations WHERE tenant_id = ?1 AND invited_by = ?2 AND accepted_at IS NULL";
    /// Revokes the keys that a user holds.
    REVOKE_KEYS = "UPDATE api_keys SET revoked_at = ?3, previous_digest = NULL, previous_until = NULL WHERE tenant_id = ?1 AND holder_id = ?2 AND revoked_at IS NULL";
    /// Takes back every open invitation.
    CLOSE_ALL_INVITATIONS = "DELETE FROM tenant_invitations WHERE tenant_id = ?1 AND accepted_at IS NULL";
    /// Deletes every token that was mailed.
    FORGET_ALL_MAILED = "DELETE FROM mailed_tokens WHERE tenant_id = ?1";
    /// Deletes every registration that is not proven.
    END_ALL_REGISTRATIONS = "DELETE FROM registrations WHERE tenant_id = ?1";
    /// Deletes every sign-in that is under way at a provider.
    END_ALL_ATTEMPTS = "DELETE FROM sso_attempts WHERE tenant_id = ?1";
    /// Revokes every key.
    REVOKE_ALL_KEYS = "UPDATE api_keys SET revoked_at = ?2, previous_digest = NULL, previous_until = NULL WHERE tenant_id = ?1 AND revoked_at IS NULL";
    /// Ends everybody's sessions.
    END_ALL_SESSIONS = "DELETE FROM sessions WHERE tenant_id = ?1";
    /// Tokens that anybody was issued before ?2 are void.
    VOID_ALL_ISSUED = "INSERT INTO tenant_auth (tenant_id, not_before) VALUES (?1, ?2) ON CONFLICT (tenant_id) DO UPDATE SET not_before = MAX(tenant_auth.not_before, excluded.not_before)";
}

/// The longest text to search for, in bytes.
const MAX_SEARCH: usize = 100;

row_types! {
    struct TargetRow {
        role: String,
        status: String,
        own_role: Option<String>,
        others: i64,
    }
}

/// A user whom the caller may change.
struct TargetUser {
    id: String,
    role: Role,
    is_active: bool,
    has_others: bool,
}

impl TargetUser {
    /// The user that the path names; 404 if there is none, 403 if they have permissions that the caller does not have.
    async fn find(request: &Request<Member>, rows: &TenantDb) -> Result<Self, Problem> {
        let id = request.params.get("user_id").to_owned();
        let row = rows.row::<TargetRow>(&TARGET, args![id.as_str()]).await?.ok_or_else(problem::not_found)?;
        let role = Role::stored(&row.role, row.own_role);
        check_own(request, "", role.permissions)?;
        Ok(Self { id, role, is_active: row.status == "active", has_others: row.others != 0 })
    }

    /// Refuses the last owner here already: the rule of the write would refuse it too, but after streams were ended.
    fn check_not_last_owner(&self) -> Result<(), Problem> {
        let is_last = self.is_active && rules::is_owner(&self.role.name) && !self.has_others;
        if is_last { Err(problem::last_owner()) } else { Ok(()) }
    }

    /// The rules that user and role have not changed since they were read.
    fn as_seen(&self) -> Vec<(TenantSql, Vec<Arg>)> {
        let user = (rules::USER_AS_SEEN, args![self.id.as_str(), self.role.name.as_str()]);
        std::iter::once(user).chain(self.role.as_seen()).collect()
    }

    /// Commits a change of the user that takes rights away from them.
    async fn revoking(&self, request: &Request<Member>, batch: TenantBatch<'_>) -> Result<(), Problem> {
        let minted_by = MintedBy::UserWithKeys(&self.id);
        revoking(&request.bindings, &request.caller.tenant, minted_by, rules::commit(batch)).await
    }
}

/// What is shown of a user and set by nobody.
const READ_ONLY: [&str; 6] = ["id", "email", "email_verified_at", "last_login_at", "created_at", "updated_at"];

/// `POST /api/v1/users`
pub async fn create(mut request: Request<Member>) -> Result<Response, Problem> {
    let body = request.incoming.json_object(JSON).await?;
    let rows = request.caller.rows(&request.bindings)?;
    let create = match Creation::begin(&request, &rows, "users.create", &body).await? {
        Creation::New(create) => create,
        Creation::Done(response) => return Ok(response),
    };
    let mut fields = Fields::new(body);
    let email = fields.required("email", |f| f.parsed("email", parse_email));
    let name = fields.text_or_none("name", MAX_NAME).unwrap_or_default();
    let role = fields.text("role", MAX_ROLE).unwrap_or_else(|| DEFAULT_ROLE.to_owned());
    let email = fields.finish_with(email)?;
    let role = role_to_grant(&request, &rows, &role).await?;
    let id = fresh_id("usr").map_err(problem::internal)?;
    let now = request.now().millis();
    let closed = ClosedInvitation::to(&request, &rows, &email).await?;
    let mut detail = json!({ "email": email, "role": role.name });
    closed.iter().for_each(|closed| closed.note(&mut detail));
    let entry = audit_entry(&request, "user.create", Some(&id), Some(detail));
    let batch = rows
        .write()
        .add_all(role.as_seen())
        .add_all(closed.iter().map(ClosedInvitation::forget))
        .add(rules::EMAIL_UNINVITED, args![email.as_str(), now])
        .add(rules::HAS_ROOM, args![rules::room(&request.caller.config)])
        .add(INSERT, args![id.as_str(), email.as_str(), name.as_str(), role.name.as_str(), now])
        .audit(entry);
    let data = with_timestamps(json!({
        "id": id, "email": email, "name": name, "role": role.name, "status": "active",
        "email_verified_at": null, "last_login_at": null, "created_at": now, "updated_at": now,
    }));
    let location = format!("/api/v1/users/{id}");
    Ok(create.commit(&rows, batch, CreatedResource { data, location, etag: None }).await?.response)
}

/// `GET /api/v1/users`
pub async fn list(request: Request<Member>) -> Result<Response, Problem> {
    let query = &request.incoming.query;
    let status =
        query.get("status").map(|status| parse_status(status).map_err(|e| problem::invalid_query("status", e)));
    let status = status.transpose()?.map(str::to_owned);
    let role = query.get("role").map(str::to_owned);
    let text = query.get("q").filter(|text| !text.is_empty()).map(str::to_ascii_lowercase);
    if text.as_ref().is_some_and(|text| text.len() > MAX_SEARCH) {
        let invalid = Invalid::new("too_long", format!("must be at most {MAX_SEARCH} bytes long"));
        return Err(problem::invalid_query("q", invalid));
    }
    let tenant = request.caller.tenant.to_string();
    let filters = json!([tenant, status, role, text]).to_string();
    let params = ListParams::read(&request, "users.list", &filters)?;
    let mut args = params.args();
    args.extend(args![status, role, text]);
    let rows = request.caller.rows(&request.bindings)?.rows::<ViewRow>(&SHOWN, args).await?;
    params.answer(&request, rows, Some(&tenant))
}

/// `GET /api/v1/users/{user_id}`
pub async fn get(request: Request<Member>) -> Result<Response, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    shown(&request, &rows).await
}

/// `PATCH /api/v1/users/{user_id}`
pub async fn patch(mut request: Request<Member>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(MERGE_PATCH).await?);
    let rows = request.caller.rows(&request.bindings)?;
    fields.read_only(&find(&request, &rows).await?.shown()?, &READ_ONLY);
    let sets_name = fields.has("name");
    let name = fields.text_or_none("name", MAX_NAME).or_else(|| sets_name.then(String::new));
    let role = fields.text("role", MAX_ROLE);
    let status = fields.parsed("status", |text| parse_status(text).map(str::to_owned));
    fields.finish()?;
    let target = TargetUser::find(&request, &rows).await?;
    let role = match role.filter(|role| *role != target.role.name) {
        Some(role) => Some(role_to_grant(&request, &rows, &role).await?),
        None => None,
    };
    let is_disabled = status.as_deref() == Some("disabled");
    let loses_rights = role.is_some() || is_disabled;
    let stays_owner = !is_disabled && role.as_ref().is_none_or(|role| rules::is_owner(&role.name));
    let now = request.now().millis();
    let detail = [
        ("name", name.as_deref()),
        ("role", role.as_ref().map(|role| role.name.as_str())),
        ("status", status.as_deref()),
    ];
    let detail = detail.into_iter().filter_map(|(field, value)| Some((field, value?))).collect::<Value>();
    let entry = audit_entry(&request, "user.update", Some(&target.id), Some(detail));
    let id = target.id.as_str();
    let mut batch = rows.write().add_all(target.as_seen()).add_all(role.iter().filter_map(Role::as_seen));
    if !stays_owner {
        target.check_not_last_owner()?;
        batch = batch.add(rules::KEEPS_AN_OWNER, args![id]);
    }
    if is_disabled {
        batch = batch
            .add(END_SESSIONS, args![id])
            .add(VOID_ISSUED, args![id, now + 1])
            .add(email_token::FORGET_OF_USER, args![id]);
    }
    let role = role.map(|role| role.name);
    batch = batch.add(UPDATE, args![id, name, role, status, now]).audit(entry);
    if loses_rights {
        target.revoking(&request, batch).await?;
    } else {
        rules::commit(batch).await?;
    }
    shown(&request, &rows).await
}

/// `DELETE /api/v1/users/{user_id}`
pub async fn remove(request: Request<Member>) -> Result<Response, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    let target = TargetUser::find(&request, &rows).await?;
    target.check_not_last_owner()?;
    let entry = audit_entry(&request, "user.remove", Some(&target.id), None);
    let batch = rows
        .write()
        .add_all(target.as_seen())
        .add(rules::KEEPS_AN_OWNER, args![target.id.as_str()])
        .add(DELETE, args![target.id.as_str()])
        .audit(entry);
    target.revoking(&request, batch).await?;
    id_of(&request, &target)
}

/// `POST /api/v1/users/{user_id}/sessions/revoke`
pub async fn revoke_sessions(mut request: Request<Member>) -> Result<Response, Problem> {
    let with_keys = read_with_keys(&mut request).await?;
    let rows = request.caller.rows(&request.bindings)?;
    let target = TargetUser::find(&request, &rows).await?;
    let (id, now) = (target.id.as_str(), request.now().millis());
    let entry = audit_entry(&request, "user.revoke_sessions", Some(id), Some(json!({ "api_keys": with_keys })));
    let mut batch = rows
        .write()
        .add_all(target.as_seen())
        .add(END_SESSIONS, args![id])
        .add(VOID_ISSUED, args![id, now + 1])
        .add(email_token::FORGET_OF_USER, args![id])
        .add(CLOSE_INVITATIONS, args![format!("user:{id}")]);
    if with_keys {
        batch = batch.add(REVOKE_KEYS, args![id, now]);
    }
    target.revoking(&request, batch.audit(entry)).await?;
    id_of(&request, &target)
}

/// `POST /api/v1/auth/revoke-all`. It reaches owners too, so only who may do everything may call it.
pub async fn revoke_all(mut request: Request<Member>) -> Result<Response, Problem> {
    let with_keys = read_with_keys(&mut request).await?;
    check_own(&request, "", Permissions::ALL)?;
    let rows = request.caller.rows(&request.bindings)?;
    let now = request.now();
    let tenant = request.caller.tenant.as_str();
    let entry = audit_entry(&request, "tenant.revoke_all", Some(tenant), Some(json!({ "api_keys": with_keys })));
    let mut batch = rows
        .write()
        .add(END_ALL_SESSIONS, Vec::new())
        .add(VOID_ALL_ISSUED, args![now.millis() + 1])
        .add(FORGET_ALL_MAILED, Vec::new())
        .add(END_ALL_REGISTRATIONS, Vec::new())
        .add(END_ALL_ATTEMPTS, Vec::new())
        .add(CLOSE_ALL_INVITATIONS, Vec::new());
    if with_keys {
        batch = batch.add(REVOKE_ALL_KEYS, args![now.millis()]);
    }
    let batch = batch.audit(entry);
    let commit = async { batch.commit().await.map_err(Problem::from) };
    revoking(&request.bindings, &request.caller.tenant, MintedBy::Everybody, commit).await?;
    Response::json(200, &json!({ "revoked_at": now }), Some(tenant))
}

/// Reads whether API keys are revoked too, which takes the permission to write them.
async fn read_with_keys(request: &mut Request<Member>) -> Result<bool, Problem> {
    let mut fields = Fields::new(request.incoming.optional_json_object().await?);
    let with_keys = fields.flag("api_keys").unwrap_or(false);
    fields.finish()?;
    if with_keys && !request.caller.permissions().has(Permission::ApiKeysWrite) {
        return Err(problem::forbidden(Permission::ApiKeysWrite.as_str()));
    }
    Ok(with_keys)
}

fn parse_status(text: &str) -> Result<&str, Invalid> {
    match text {
        "active" | "disabled" => Ok(text),
        _ => Err(Invalid::new("invalid_status", "must be active or disabled")),
    }
}

async fn find(request: &Request<Member>, rows: &TenantDb) -> Result<ViewRow, Problem> {
    rows.row::<ViewRow>(&FIND, args![request.params.get("user_id")]).await?.ok_or_else(problem::not_found)
}

async fn shown(request: &Request<Member>, rows: &TenantDb) -> Result<Response, Problem> {
    let row = find(request, rows).await?;
    Response::json(200, &row.shown()?, Some(request.caller.tenant.as_str()))
}

fn id_of(request: &Request<Member>, target: &TargetUser) -> Result<Response, Problem> {
    let data: Value = json!({ "id": target.id });
    Response::json(200, &data, Some(request.caller.tenant.as_str()))
}
