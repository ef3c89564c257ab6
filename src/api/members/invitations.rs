//! `/api/v1/invitations`: the owner of an e-mail address is invited to become a user.
//!
//! Invariants
//! - An invitation's token is mailed to the invited address only; the row holds its digest.
//! - Nobody invites to a role with permissions that they do not have.
//! - One invitation makes one user, once: it is consumed in the batch that makes the user. A token that opens no
//!   invitation gets the same response whatever the reason.

use serde_json::Value;

use super::sign_in::{LoginAttempt, read_secret};
use super::users::{MAX_NAME, MAX_ROLE};
use super::{audit_entry, check_own, parse_email, role_to_grant};
use crate::auth::idempotency::tenant::{CreatedResource, Creation};
use crate::auth::mail::{self, Mail};
use crate::auth::password_hashing::PasswordHashing;
use crate::auth::principal::{Member, Visitor};
use crate::auth::role::Role;
use crate::auth::rules;
use crate::auth::session::{self, Carrier, LoginContext, SessionUser};
use crate::credentials::key::{fresh_id, fresh_secret};
use crate::credentials::signature::digest;
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::listing::{ListParams, ViewRow, with_timestamps};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::audit_log::AuditEntry;
use crate::storage::row::row_types;
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::{TenantBatch, TenantDb};
use domain::clock::Timestamp;
use domain::json;
use domain::permission::DEFAULT_ROLE;

statements! { TenantSql;
    /// Invitations, newest first, with their status at ?5.
    SHOWN = "SELECT id, created_at, json_object('id', id, 'email', email, 'role', role, 'status', CASE WHEN accepted_at IS NOT NULL THEN 'accepted' WHEN expires_at <= ?5 THEN 'expired' ELSE 'open' END, 'invited_by', invited_by, 'sent_at', sent_at, 'expires_at', expires_at, 'accepted_at', accepted_at, 'created_at', created_at) AS view FROM tenant_invitations WHERE tenant_id = ?1 AND (created_at, id) < (?2, ?3) ORDER BY created_at DESC, id DESC LIMIT ?4";
    /// One invitation, with its status at ?3.
    FIND = "SELECT id, created_at, json_object('id', id, 'email', email, 'role', role, 'status', CASE WHEN accepted_at IS NOT NULL THEN 'accepted' WHEN expires_at <= ?3 THEN 'expired' ELSE 'open' END, 'invited_by', invited_by, 'sent_at', sent_at, 'expires_at', expires_at, 'accepted_at', accepted_at, 'created_at', created_at) AS view FROM tenant_invitations WHERE tenant_id = ?1 AND id = ?2";
    /// An invitation by its id.
    TARGET = "SELECT id, email, role, token, sent_at, expires_at, accepted_at FROM tenant_invitations WHERE tenant_id = ?1 AND id = ?2";
    /// An invitation by its token.
    BY_TOKEN = "SELECT id, email, role, token, sent_at, expires_at, accepted_at FROM tenant_invitations WHERE tenant_id = ?1 AND token = ?2";
    /// Deletes an expired invitation to the address, to make room for a new one.
    FORGET_EXPIRED = "DELETE FROM tenant_invitations WHERE tenant_id = ?1 AND email = ?2 AND accepted_at IS NULL AND expires_at <= ?3";
    /// A new invitation.
    INSERT = "INSERT INTO tenant_invitations (tenant_id, id, email, role, token, invited_by, sent_at, expires_at, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?7)";
    /// A new token, and a new end.
    RENEW = "UPDATE tenant_invitations SET token = ?3, sent_at = ?4, expires_at = ?5 WHERE tenant_id = ?1 AND id = ?2";
    /// Takes an invitation back.
    REVOKE = "DELETE FROM tenant_invitations WHERE tenant_id = ?1 AND id = ?2 AND accepted_at IS NULL";
    /// Consumes an invitation.
    ACCEPT = "UPDATE tenant_invitations SET accepted_at = ?3 WHERE tenant_id = ?1 AND id = ?2 AND accepted_at IS NULL";
    /// The user it makes; their address is verified, because the token was mailed there.
    INSERT_USER = "INSERT INTO users (tenant_id, id, email, name, role, password_hash, email_verified_at, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?7)";
}

/// How a token begins.
const TOKEN_PREFIX: &str = "car_in_";
/// Days until an invitation ends, where the body does not say.
const DAYS: i64 = 7;
/// The most days.
const MAX_DAYS: i64 = 30;
/// Seconds between two mails of one invitation.
const RESEND_SECONDS: i64 = 60;

row_types! {
    struct InvitationRow {
        id: String,
        email: String,
        role: String,
        token: String,
        sent_at: i64,
        expires_at: i64,
        accepted_at: Option<i64>,
    }
}

/// Mails an invitation's token to its address.
fn deliver(request: &Request<Member>, email: &str, token: String, expires_at: Timestamp) {
    let tenant = request.caller.tenant.to_string();
    let mail = Mail { kind: "invitation", tenant, to: email.to_owned(), name: String::new(), token, expires_at };
    mail::send(&request.bindings, &request.background, mail);
}

/// `POST /api/v1/invitations`
pub async fn create(mut request: Request<Member>) -> Result<Response, Problem> {
    let body = request.incoming.json_object(JSON).await?;
    let rows = request.caller.rows(&request.bindings)?;
    let create = match Creation::begin(&request, &rows, "invitations.create", &body).await? {
        Creation::New(create) => create,
        Creation::Done(response) => return Ok(response),
    };
    let mut fields = Fields::new(body);
    let email = fields.required("email", |f| f.parsed("email", parse_email));
    let role = fields.text("role", MAX_ROLE).unwrap_or_else(|| DEFAULT_ROLE.to_owned());
    let days = read_days(&mut fields);
    let email = fields.finish_with(email)?;
    let role = role_to_grant(&request, &rows, &role).await?;
    LoginAttempt::of_member(&request).count_members_mail(&email).await?;
    let id = fresh_id("inv").map_err(problem::internal)?;
    let token = fresh_secret(TOKEN_PREFIX).map_err(problem::internal)?;
    let (now, until) = (request.now(), request.now().plus_seconds(days * 86_400));
    let invited_by = request.caller.actor();
    let detail = json!({ "email": email, "role": role.name });
    let entry = audit_entry(&request, "invitation.create", Some(&id), Some(detail));
    let (role_name, token_digest) = (role.name.as_str(), digest(token.as_bytes()));
    let insert =
        args![id.as_str(), email.as_str(), role_name, token_digest, invited_by.as_str(), now.millis(), until.millis()];
    let batch = rows
        .write()
        .add_all(role.as_seen())
        .add(rules::EMAIL_FREE, args![email.as_str()])
        .add(FORGET_EXPIRED, args![email.as_str(), now.millis()])
        .add(rules::INVITATIONS_LEFT, args![rules::MAX_INVITATIONS])
        .add(INSERT, insert)
        .audit(entry);
    let data = with_timestamps(json!({
        "id": id, "email": email, "role": role_name, "status": "open", "invited_by": invited_by, "sent_at": now,
        "expires_at": until, "accepted_at": null, "created_at": now,
    }));
    let location = format!("/api/v1/invitations/{id}");
    let outcome = create.commit(&rows, batch, CreatedResource { data, location }).await?;
    if outcome.is_first {
        deliver(&request, &email, token, until);
    }
    Ok(outcome.response)
}

/// `GET /api/v1/invitations`
pub async fn list(request: Request<Member>) -> Result<Response, Problem> {
    let tenant = request.caller.tenant.to_string();
    let params = ListParams::read(&request, "invitations.list", &tenant)?;
    let mut args = params.args();
    args.extend(args![request.now().millis()]);
    let rows = request.caller.rows(&request.bindings)?.rows::<ViewRow>(&SHOWN, args).await?;
    params.answer(&request, rows, Some(&tenant))
}

/// `GET /api/v1/invitations/{invitation_id}`
pub async fn get(request: Request<Member>) -> Result<Response, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    shown(&request, &rows).await
}

/// `POST /api/v1/invitations/{invitation_id}/resend`
pub async fn resend(mut request: Request<Member>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.optional_json_object().await?);
    let days = read_days(&mut fields);
    fields.finish()?;
    let rows = request.caller.rows(&request.bindings)?;
    let (invitation, role) = find_open(&request, &rows).await?;
    let now = request.now();
    let elapsed = now.since(Timestamp::from_millis(invitation.sent_at)) / 1000;
    if elapsed < RESEND_SECONDS {
        return Err(problem::rate_limited((RESEND_SECONDS - elapsed).unsigned_abs()));
    }
    LoginAttempt::of_member(&request).count_members_mail(&invitation.email).await?;
    let token = fresh_secret(TOKEN_PREFIX).map_err(problem::internal)?;
    let id = invitation.id.as_str();
    let entry = audit_entry(&request, "invitation.resend", Some(id), None);
    let until = now.plus_seconds(days * 86_400);
    let batch = rows
        .write()
        .add_all(role.as_seen())
        .add(rules::EMAIL_FREE, args![invitation.email.as_str()])
        .add(rules::INVITATION_AS_SEEN, args![id, invitation.token.as_str()])
        .add(RENEW, args![id, digest(token.as_bytes()), now.millis(), until.millis()])
        .audit(entry);
    rules::commit(batch).await?;
    deliver(&request, &invitation.email, token, until);
    shown(&request, &rows).await
}

/// `DELETE /api/v1/invitations/{invitation_id}`
pub async fn revoke(request: Request<Member>) -> Result<Response, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    let (invitation, _) = find_open(&request, &rows).await?;
    let id = invitation.id.as_str();
    let entry = audit_entry(&request, "invitation.revoke", Some(id), None);
    let batch = rows
        .write()
        .add(rules::INVITATION_AS_SEEN, args![id, invitation.token.as_str()])
        .add(REVOKE, args![id])
        .audit(entry);
    rules::commit(batch).await?;
    Response::json(200, &json!({ "id": id }), Some(request.caller.tenant.as_str()))
}

/// `POST /api/v1/invitations/accept`
pub async fn accept(mut request: Request<Visitor>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    let token = fields.required("token", |f| f.text("token", 200));
    let email = fields.required("email", |f| f.parsed("email", parse_email));
    let password = read_secret(&mut fields, "password");
    let name = fields.text("name", MAX_NAME).unwrap_or_default();
    let carrier = if fields.flag("cookie").unwrap_or(false) { Carrier::Cookie } else { Carrier::Tokens };
    if let Some(email) = email.as_deref().filter(|_| !password.is_empty())
        && let Err(invalid) = request.caller.config.passwords.check(&password, email)
    {
        fields.wrong::<()>("password", invalid);
    }
    let (token, email) = fields.finish_with(token.zip(email))?;
    let attempt = LoginAttempt::of(&request).count(&request, &email).await?;
    let outcome = become_user(&request, (&token, email), (&password, name), carrier).await;
    attempt.end(&outcome);
    outcome
}

/// Makes the user whom an open invitation invites.
async fn become_user(
    request: &Request<Visitor>,
    (token, email): (&str, String),
    (password, name): (&str, String),
    carrier: Carrier,
) -> Result<Response, Problem> {
    let tenant = request.caller.tenant.clone();
    let rows = TenantDb::open(&request.bindings, &tenant, &request.caller.config.placement)?;
    let now = request.now();
    let found = rows.row::<InvitationRow>(&BY_TOKEN, args![digest(token.as_bytes())]).await?;
    let is_open =
        |row: &InvitationRow| row.email == email && row.accepted_at.is_none() && now.millis() < row.expires_at;
    let invitation = found.filter(is_open).ok_or_else(problem::invitation_not_found)?;
    let user =
        SessionUser { id: fresh_id("usr").map_err(problem::internal)?, email, name, role: invitation.role.clone() };
    let hash = PasswordHashing::of(request).hash(password)?;
    let batch = accept_batch(request, &rows, &invitation, &user, hash, now);
    rules::commit(batch).await?;
    let context = LoginContext { bindings: &request.bindings, tenant: &tenant, rows: &rows };
    session::open(&context, &user, &request.incoming, carrier, Vec::new()).await?.answer(201, &tenant)
}

/// The batch that makes the user and consumes the invitation.
fn accept_batch<'db>(
    request: &Request<Visitor>,
    rows: &'db TenantDb,
    invitation: &InvitationRow,
    user: &SessionUser,
    hash: String,
    now: Timestamp,
) -> TenantBatch<'db> {
    let (id, at) = (invitation.id.as_str(), now.millis());
    let entry = AuditEntry {
        at: now,
        actor: format!("user:{}", user.id),
        operation: "invitation.accept",
        subject: Some(id),
        detail: Some(json!({ "user": user.id, "role": user.role })),
        address: request.incoming.address(),
        request_id: &request.incoming.id,
    };
    let insert = args![user.id.as_str(), user.email.as_str(), user.name.as_str(), user.role.as_str(), hash, at];
    rows.write()
        .add(rules::INVITATION_OPEN, args![id, invitation.token.as_str(), at])
        .add(rules::HAS_ROOM, args![rules::room(&request.caller.config)])
        .add(INSERT_USER, insert)
        .add(ACCEPT, args![id, at])
        .audit(entry)
}

fn read_days(fields: &mut Fields) -> i64 {
    fields.number("expires_in_days", 1..=MAX_DAYS).unwrap_or(DAYS)
}

/// The invitation that the path names, with its role. Refuses one that was accepted, and one to a role with permissions
/// that the caller does not have.
async fn find_open(request: &Request<Member>, rows: &TenantDb) -> Result<(InvitationRow, Role), Problem> {
    let id = request.params.get("invitation_id");
    let row = rows.row::<InvitationRow>(&TARGET, args![id]).await?.ok_or_else(problem::not_found)?;
    if row.accepted_at.is_some() {
        return Err(problem::invitation_accepted());
    }
    let role = Role::find(rows, &row.role)
        .await?
        .ok_or_else(|| problem::internal("an invitation names a role that does not exist"))?;
    check_own(request, "", role.permissions)?;
    Ok((row, role))
}

async fn shown(request: &Request<Member>, rows: &TenantDb) -> Result<Response, Problem> {
    let args = args![request.params.get("invitation_id"), request.now().millis()];
    let view: Value = rows.row::<ViewRow>(&FIND, args).await?.ok_or_else(problem::not_found)?.shown()?;
    Response::json(200, &view, Some(request.caller.tenant.as_str()))
}
