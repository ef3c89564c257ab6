//! `/api/v1/invitations`: the owner of an e-mail address is invited to become a user.
//!
//! Invariants
//! - An invitation's token is mailed to the invited address only; the row holds its digest.
//! - Nobody invites to a role with permissions that they do not have.
//! - An invitation is worth what whoever sent it may do when it is accepted: if they cannot invite to that role any more,
//!   it is closed. Somebody who can may send it again, and it is theirs then.
//! - One invitation makes one user, once: it is consumed in the batch that makes the user. A token that opens no
//!   invitation gets the same response whatever the reason.

use serde_json::Value;

use super::sign_in::{LoginAttempt, read_new_password};
use super::users::{MAX_NAME, MAX_ROLE};
use super::{audit_entry, check_own, parse_email, role_to_grant};
use crate::auth::idempotency::tenant::{CreatedResource, Creation};
use crate::auth::mail::{self, Mail};
use crate::auth::maker::Maker;
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
use crate::storage::sql::{Arg, TenantSql, args, statements};
use crate::storage::tenant_db::{TenantBatch, TenantDb};
use domain::clock::Timestamp;
use domain::json;
use domain::password::Password;
use domain::permission::{DEFAULT_ROLE, Permission};

statements! { TenantSql;
    /// Invitations, newest first, with their status at ?5. One whose sender is gone or was disabled since is closed.
    SHOWN = "SELECT i.id, i.created_at, json_object('id', i.id, 'email', i.email, 'role', i.role, 'status', CASE WHEN i.accepted_at IS NOT NULL THEN 'accepted' WHEN i.expires_at <= ?5 THEN 'expired' WHEN i.invited_by LIKE 'user:%' AND NOT EXISTS (SELECT 1 FROM users u WHERE u.tenant_id = ?1 AND u.id = substr(i.invited_by, 6) AND u.status = 'active' AND u.security_stamp = i.inviter_stamp) THEN 'closed' WHEN i.invited_by LIKE 'key:%' AND NOT EXISTS (SELECT 1 FROM api_keys k WHERE k.tenant_id = ?1 AND k.id = substr(i.invited_by, 5) AND k.revoked_at IS NULL) THEN 'closed' ELSE 'open' END, 'invited_by', i.invited_by, 'sent_at', i.sent_at, 'expires_at', i.expires_at, 'accepted_at', i.accepted_at, 'created_at', i.created_at) AS view FROM tenant_invitations i WHERE i.tenant_id = ?1 AND (i.created_at, i.id) < (?2, ?3) ORDER BY i.created_at DESC, i.id DESC LIMIT ?4";
    /// One invitation, with its status at ?3.
    FIND = "SELECT i.id, i.created_at, json_object('id', i.id, 'email', i.email, 'role', i.role, 'status', CASE WHEN i.accepted_at IS NOT NULL THEN 'accepted' WHEN i.expires_at <= ?3 THEN 'expired' WHEN i.invited_by LIKE 'user:%' AND NOT EXISTS (SELECT 1 FROM users u WHERE u.tenant_id = ?1 AND u.id = substr(i.invited_by, 6) AND u.status = 'active' AND u.security_stamp = i.inviter_stamp) THEN 'closed' WHEN i.invited_by LIKE 'key:%' AND NOT EXISTS (SELECT 1 FROM api_keys k WHERE k.tenant_id = ?1 AND k.id = substr(i.invited_by, 5) AND k.revoked_at IS NULL) THEN 'closed' ELSE 'open' END, 'invited_by', i.invited_by, 'sent_at', i.sent_at, 'expires_at', i.expires_at, 'accepted_at', i.accepted_at, 'created_at', i.created_at) AS view FROM tenant_invitations i WHERE i.tenant_id = ?1 AND i.id = ?2";
    /// An invitation by its id.
    TARGET = "SELECT id, email, role, token, invited_by, inviter_stamp, sent_at, expires_at, accepted_at FROM tenant_invitations WHERE tenant_id = ?1 AND id = ?2";
    /// An invitation by its token.
    BY_TOKEN = "SELECT id, email, role, token, invited_by, inviter_stamp, sent_at, expires_at, accepted_at FROM tenant_invitations WHERE tenant_id = ?1 AND token = ?2";
    /// Deletes an expired invitation to the address, to make room for a new one.
    FORGET_EXPIRED = "DELETE FROM tenant_invitations WHERE tenant_id = ?1 AND email = ?2 AND accepted_at IS NULL AND expires_at <= ?3";
    /// A new invitation.
    INSERT = "INSERT INTO tenant_invitations (tenant_id, id, email, role, token, invited_by, sent_at, expires_at, created_at, inviter_stamp) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?7, ?9)";
    /// A new token and a new end; from now on it is the invitation of whoever sends it.
    RENEW = "UPDATE tenant_invitations SET token = ?3, sent_at = ?4, expires_at = ?5, invited_by = ?6, inviter_stamp = ?7 WHERE tenant_id = ?1 AND id = ?2";
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
        invited_by: String,
        inviter_stamp: String,
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
    let insert = args![
        id.as_str(),
        email.as_str(),
        role_name,
        token_digest,
        invited_by.as_str(),
        now.millis(),
        until.millis(),
        request.caller.maker().basis.as_str(),
    ];
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
    let outcome = create.commit(&rows, batch, CreatedResource { data, location, etag: None }).await?;
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
    let (invited_by, stamp) = (request.caller.actor(), request.caller.maker().basis.as_str());
    let until = now.plus_seconds(days * 86_400);
    let batch = rows
        .write()
        .add_all(role.as_seen())
        .add(rules::EMAIL_FREE, args![invitation.email.as_str()])
        .add(rules::INVITATION_AS_SEEN, args![id, invitation.token.as_str()])
        .add(RENEW, args![id, digest(token.as_bytes()), now.millis(), until.millis(), invited_by, stamp])
        .audit(entry);
    rules::commit(batch).await?;
    deliver(&request, &invitation.email, token, until);
    shown(&request, &rows).await
}

/// `DELETE /api/v1/invitations/{invitation_id}`
pub async fn revoke(request: Request<Member>) -> Result<Response, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    let (invitation, role) = find_open(&request, &rows).await?;
    let id = invitation.id.as_str();
    let entry = audit_entry(&request, "invitation.revoke", Some(id), None);
    let batch = rows
        .write()
        .add_all(role.as_seen())
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
    let policy = &request.caller.config.passwords;
    let password = read_new_password(&mut fields, "password", policy, email.as_deref());
    let name = fields.text("name", MAX_NAME).unwrap_or_default();
    let carrier = if fields.flag("cookie").unwrap_or(false) { Carrier::Cookie } else { Carrier::Tokens };
    let ((token, email), password) = fields.finish_with(token.zip(email).zip(password))?;
    let attempt = LoginAttempt::of(&request).count(&request, &email).await?;
    let outcome = become_user(&request, (&token, email), (&password, name), carrier).await;
    attempt.end(&outcome);
    outcome
}

/// Makes the user whom an open invitation invites.
async fn become_user(
    request: &Request<Visitor>,
    (token, email): (&str, String),
    (password, name): (&Password, String),
    carrier: Carrier,
) -> Result<Response, Problem> {
    let tenant = request.caller.tenant.clone();
    let rows = TenantDb::open(&request.bindings, &tenant, &request.caller.config.placement)?;
    let now = request.now();
    let found = rows.row::<InvitationRow>(&BY_TOKEN, args![digest(token.as_bytes())]).await?;
    let is_open =
        |row: &InvitationRow| row.email == email && row.accepted_at.is_none() && now.millis() < row.expires_at;
    let invitation = found.filter(is_open).ok_or_else(problem::invitation_not_found)?;
    let (role, inviter_as_seen) = judged(request, &rows, &invitation).await?;
    let user =
        SessionUser { id: fresh_id("usr").map_err(problem::internal)?, email, name, role: invitation.role.clone() };
    let hash = PasswordHashing::of(request).hash(password)?;
    let rules = role.as_seen().into_iter().chain(inviter_as_seen);
    let batch = accept_batch(request, &rows, &invitation, &user, hash, now).add_all(rules);
    rules::commit(batch).await?;
    let context = LoginContext { bindings: &request.bindings, tenant: &tenant, rows: &rows };
    session::open(&context, &user, &request.incoming, carrier, Vec::new()).await?.answer(201, &tenant)
}

/// The invitation's role, and the rules that whoever sent it is still what they were found to be. The answer of any wrong
/// invitation if they cannot invite to that role now.
async fn judged(
    request: &Request<Visitor>,
    rows: &TenantDb,
    invitation: &InvitationRow,
) -> Result<(Role, Vec<(TenantSql, Vec<Arg>)>), Problem> {
    let (principal, basis) = (invitation.invited_by.clone(), invitation.inviter_stamp.clone());
    let inviter = Maker { principal, basis, ..Maker::default() };
    let own = inviter.judge(&request.bindings, rows, None).await?.ok_or_else(problem::invitation_not_found)?;
    let role = Role::find(rows, &invitation.role).await?.ok_or_else(problem::invitation_not_found)?;
    if !own.permissions.has(Permission::InvitationsWrite) || !own.permissions.covers(role.permissions) {
        return Err(problem::invitation_not_found());
    }
    Ok((role, own.as_seen))
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
