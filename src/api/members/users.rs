//! `/api/v1/users`: who belongs to a tenant, with which role, and whether they may come in.
//!
//! Invariants
//! - Nobody gives a role that may do more than themselves, nor changes or removes a user whose role may.
//! - A tenant keeps an active owner or admin, and no more users than its plan allows; both are rules of the write.
//! - What a user loses is lost on the next request, and the streams of the tokens they minted end.

use serde_json::Value;

use super::{check_own, deed, end_minted, parse_email, role_to_give};
use crate::auth::idempotency::tenant::{Creation, Made};
use crate::auth::principal::Member;
use crate::auth::role::Role;
use crate::auth::rules;
use crate::credentials::key::fresh_id;
use crate::http::fields::Fields;
use crate::http::incoming::{JSON, MERGE_PATCH};
use crate::http::listing::{ListParams, ViewRow, with_moments};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::row::row_types;
use crate::storage::sql::{Arg, TenantSql};
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::TenantDb;
use domain::error::Invalid;
use domain::json;

statements! { TenantSql;
    /// Users, newest first: ?5 their status, ?6 their role, ?7 a text in address or name, in lower case.
    SHOWN = "SELECT id, created_at, json_object('id', id, 'email', email, 'name', name, 'role', role, 'status', status, 'email_verified_at', email_verified_at, 'last_login_at', last_login_at, 'created_at', created_at, 'updated_at', updated_at) AS view FROM users WHERE tenant_id = ?1 AND (created_at, id) < (?2, ?3) AND (?5 IS NULL OR status = ?5) AND (?6 IS NULL OR role = ?6) AND (?7 IS NULL OR instr(lower(email), ?7) > 0 OR instr(lower(name), ?7) > 0) ORDER BY created_at DESC, id DESC LIMIT ?4";
    /// One user.
    FIND = "SELECT id, created_at, json_object('id', id, 'email', email, 'name', name, 'role', role, 'status', status, 'email_verified_at', email_verified_at, 'last_login_at', last_login_at, 'created_at', created_at, 'updated_at', updated_at) AS view FROM users WHERE tenant_id = ?1 AND id = ?2";
    /// What a change must know of a user, and whether the tenant has an active owner or admin without them.
    TARGET = "SELECT u.role, u.status, r.permissions AS own_role, EXISTS (SELECT 1 FROM users o WHERE o.tenant_id = ?1 AND o.role IN ('owner', 'admin') AND o.status = 'active' AND o.id <> ?2) AS others FROM users u LEFT JOIN roles r ON r.tenant_id = ?1 AND r.name = u.role WHERE u.tenant_id = ?1 AND u.id = ?2";
    /// A new user, of whom no password is known.
    INSERT = "INSERT INTO users (tenant_id, id, email, name, role, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)";
    /// Changes what is not NULL.
    UPDATE = "UPDATE users SET name = COALESCE(?3, name), role = COALESCE(?4, role), status = COALESCE(?5, status), updated_at = ?6 WHERE tenant_id = ?1 AND id = ?2";
    /// Removes a user, and by reference their sessions, tokens and identities.
    DELETE = "DELETE FROM users WHERE tenant_id = ?1 AND id = ?2";
    /// Ends a user's sessions.
    END_SESSIONS = "DELETE FROM sessions WHERE tenant_id = ?1 AND user_id = ?2";
    /// What a user was issued before ?3 is void.
    VOID_ISSUED = "UPDATE users SET not_before = MAX(not_before, ?3) WHERE tenant_id = ?1 AND id = ?2";
    /// Ends everybody's sessions.
    END_ALL_SESSIONS = "DELETE FROM sessions WHERE tenant_id = ?1";
    /// What anybody was issued before ?2 is void.
    VOID_ALL_ISSUED = "INSERT INTO tenant_auth (tenant_id, not_before) VALUES (?1, ?2) ON CONFLICT (tenant_id) DO UPDATE SET not_before = MAX(tenant_auth.not_before, excluded.not_before)";
}

/// The longest name of a person, in bytes.
pub const MAX_NAME: usize = 200;
/// The longest name of a role, in bytes.
pub const MAX_ROLE: usize = 40;
/// The longest text to search for, in bytes.
const MAX_SEARCHED: usize = 100;

row_types! {
    struct TargetRow {
        role: String,
        status: String,
        own_role: Option<String>,
        others: i64,
    }
}

/// A user whom the caller may change.
struct Target {
    id: String,
    role: Role,
    is_active: bool,
    others: bool,
}

impl Target {
    /// The user that the path names; 404 if there is none, 403 if their role may do more than the caller.
    async fn reach(request: &Request<Member>, rows: &TenantDb) -> Result<Self, Problem> {
        let id = request.params.get("user_id").to_owned();
        let row = rows.row::<TargetRow>(&TARGET, args![id.as_str()]).await?.ok_or_else(problem::not_found)?;
        let role = Role::stored(&row.role, row.own_role);
        check_own(request, "", role.permissions)?;
        Ok(Self { id, role, is_active: row.status == "active", others: row.others != 0 })
    }

    /// Refuses early what the rule would refuse, before any stream is ended for it.
    fn check_others(&self) -> Result<(), Problem> {
        let is_last = self.is_active && rules::is_owner(&self.role.name) && !self.others;
        if is_last { Err(problem::last_owner()) } else { Ok(()) }
    }

    /// The rules that the user is still who the caller was seen to reach.
    fn as_seen(&self) -> Vec<(TenantSql, Vec<Arg>)> {
        let user = (rules::USER_AS_SEEN, args![self.id.as_str(), self.role.name.as_str()]);
        std::iter::once(user).chain(self.role.as_seen()).collect()
    }

    fn minted_by(&self) -> Option<String> {
        Some(format!("user:{}", self.id))
    }
}

/// `POST /api/v1/users`
pub async fn create(mut request: Request<Member>) -> Result<Response, Problem> {
    let body = request.incoming.json_object(JSON).await?;
    let rows = request.caller.rows(&request.bindings)?;
    let pending = match Creation::begin(&request, &rows, "users.create", &body).await? {
        Creation::New(pending) => pending,
        Creation::Done(answer) => return Ok(answer),
    };
    let mut fields = Fields::new(body);
    let email = fields.required("email", |f| f.parsed("email", parse_email));
    let name = fields.text("name", MAX_NAME).unwrap_or_default();
    let role = fields.required("role", |f| f.text("role", MAX_ROLE));
    fields.finish()?;
    let (Some(email), Some(role)) = (email, role) else {
        return Err(problem::internal("a body without its fields"));
    };
    let role = role_to_give(&request, &rows, &role).await?;
    let id = fresh_id("usr").map_err(problem::internal)?;
    let now = request.now().millis();
    let detail = json!({ "email": email, "role": role.name });
    let deed = deed(&request, "user.create", Some(&id), Some(detail)).statement();
    let batch = rows
        .write()
        .add_all(role.as_seen())
        .add(rules::EMAIL_UNINVITED, args![email.as_str(), now])
        .add(rules::HAS_ROOM, args![rules::room(&request.caller.config)])
        .add(INSERT, args![id.as_str(), email.as_str(), name.as_str(), role.name.as_str(), now])
        .add(deed.0, deed.1);
    let data = with_moments(json!({
        "id": id, "email": email, "name": name, "role": role.name, "status": "active",
        "email_verified_at": null, "last_login_at": null, "created_at": now, "updated_at": now,
    }));
    Ok(pending.commit(&rows, batch, Made { data, location: format!("/api/v1/users/{id}") }).await?.answer)
}

/// `GET /api/v1/users`
pub async fn list(request: Request<Member>) -> Result<Response, Problem> {
    let query = &request.incoming.query;
    let status =
        query.get("status").map(|status| parse_status(status).map_err(|e| problem::invalid_query("status", e)));
    let status = status.transpose()?.map(str::to_owned);
    let role = query.get("role").map(str::to_owned);
    let text = query.get("q").filter(|text| !text.is_empty()).map(str::to_ascii_lowercase);
    if text.as_ref().is_some_and(|text| text.len() > MAX_SEARCHED) {
        let invalid = Invalid::new("too_long", format!("must be at most {MAX_SEARCHED} bytes long"));
        return Err(problem::invalid_query("q", invalid));
    }
    let tenant = request.caller.tenant.to_string();
    let filters = json!([tenant, status, role, text]).to_string();
    let asked = ListParams::read(&request, "users.list", &filters)?;
    let mut args = asked.args();
    args.extend(args![status, role, text]);
    let rows = request.caller.rows(&request.bindings)?.rows::<ViewRow>(&SHOWN, args).await?;
    asked.answer(&request, rows, Some(&tenant))
}

/// `GET /api/v1/users/{user_id}`
pub async fn get(request: Request<Member>) -> Result<Response, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    shown(&request, &rows).await
}

/// `PATCH /api/v1/users/{user_id}`
pub async fn patch(mut request: Request<Member>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(MERGE_PATCH).await?);
    let is_nameless = fields.has("name");
    let name = fields.text("name", MAX_NAME).or_else(|| is_nameless.then(String::new));
    let role = fields.text("role", MAX_ROLE);
    let status = fields.parsed("status", |text| parse_status(text).map(str::to_owned));
    fields.finish()?;
    let rows = request.caller.rows(&request.bindings)?;
    let target = Target::reach(&request, &rows).await?;
    let role = match role.filter(|role| *role != target.role.name) {
        Some(role) => Some(role_to_give(&request, &rows, &role).await?),
        None => None,
    };
    let is_disabled = status.as_deref() == Some("disabled");
    let loses = role.is_some() || is_disabled;
    let stays_owner = !is_disabled && role.as_ref().is_none_or(|role| rules::is_owner(&role.name));
    let now = request.now().millis();
    let detail = [
        ("name", name.as_deref()),
        ("role", role.as_ref().map(|role| role.name.as_str())),
        ("status", status.as_deref()),
    ];
    let detail = detail.into_iter().filter_map(|(field, value)| Some((field, value?))).collect::<Value>();
    let deed = deed(&request, "user.update", Some(&target.id), Some(detail)).statement();
    let id = target.id.as_str();
    let mut batch = rows.write().add_all(target.as_seen()).add_all(role.iter().filter_map(Role::as_seen));
    if !stays_owner {
        target.check_others()?;
        batch = batch.add(rules::KEEPS_AN_OWNER, args![id]);
    }
    if is_disabled {
        batch = batch.add(END_SESSIONS, args![id]).add(VOID_ISSUED, args![id, now + 1]);
    }
    let role = role.map(|role| role.name);
    batch = batch.add(UPDATE, args![id, name, role, status, now]).add(deed.0, deed.1);
    if loses {
        end_minted(&request, target.minted_by()).await?;
    }
    rules::commit(batch).await?;
    if loses {
        end_minted(&request, target.minted_by()).await?;
    }
    shown(&request, &rows).await
}

/// `DELETE /api/v1/users/{user_id}`
pub async fn remove(request: Request<Member>) -> Result<Response, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    let target = Target::reach(&request, &rows).await?;
    target.check_others()?;
    let deed = deed(&request, "user.remove", Some(&target.id), None).statement();
    let batch = rows
        .write()
        .add_all(target.as_seen())
        .add(rules::KEEPS_AN_OWNER, args![target.id.as_str()])
        .add(DELETE, args![target.id.as_str()])
        .add(deed.0, deed.1);
    end_minted(&request, target.minted_by()).await?;
    rules::commit(batch).await?;
    end_minted(&request, target.minted_by()).await?;
    named(&request, &target)
}

/// `POST /api/v1/users/{user_id}/sessions/revoke`
pub async fn revoke_sessions(request: Request<Member>) -> Result<Response, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    let target = Target::reach(&request, &rows).await?;
    let deed = deed(&request, "user.revoke_sessions", Some(&target.id), None).statement();
    let batch = rows
        .write()
        .add_all(target.as_seen())
        .add(END_SESSIONS, args![target.id.as_str()])
        .add(VOID_ISSUED, args![target.id.as_str(), request.now().millis() + 1])
        .add(deed.0, deed.1);
    end_minted(&request, target.minted_by()).await?;
    rules::commit(batch).await?;
    end_minted(&request, target.minted_by()).await?;
    named(&request, &target)
}

/// `POST /api/v1/auth/revoke-all`
pub async fn revoke_all(request: Request<Member>) -> Result<Response, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    let now = request.now();
    let tenant = request.caller.tenant.as_str();
    let deed = deed(&request, "tenant.revoke_all", Some(tenant), None).statement();
    let batch = rows
        .write()
        .add(END_ALL_SESSIONS, Vec::new())
        .add(VOID_ALL_ISSUED, args![now.millis() + 1])
        .add(deed.0, deed.1);
    end_minted(&request, None).await?;
    batch.commit().await?;
    end_minted(&request, None).await?;
    Response::json(200, &json!({ "revoked_at": now }), Some(tenant))
}

fn parse_status(text: &str) -> Result<&str, Invalid> {
    match text {
        "active" | "disabled" => Ok(text),
        _ => Err(Invalid::new("invalid_status", "must be active or disabled")),
    }
}

async fn shown(request: &Request<Member>, rows: &TenantDb) -> Result<Response, Problem> {
    let row = rows.row::<ViewRow>(&FIND, args![request.params.get("user_id")]).await?.ok_or_else(problem::not_found)?;
    Response::json(200, &row.shown()?, Some(request.caller.tenant.as_str()))
}

fn named(request: &Request<Member>, target: &Target) -> Result<Response, Problem> {
    let data: Value = json!({ "id": target.id });
    Response::json(200, &data, Some(request.caller.tenant.as_str()))
}
