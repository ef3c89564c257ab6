//! `/api/v1/invitations`: the owner of an e-mail address is invited to become a user.
//!
//! Invariants
//! - An invitation's token is mailed to the invited address only; the row holds its digest.
//! - Nobody invites to a role with permissions that they do not have.
//! - An invitation is worth what whoever sent it may do when it is accepted: if they cannot invite to that role any more,
//!   it is closed. Somebody who can may send it again, and it is theirs then. It keeps nobody from inviting its address
//!   anew, nor from making a user of it.
//! - One invitation makes one user, once: it is consumed in the batch that makes the user. A token that opens no
//!   invitation gets the same response whatever the reason.

use std::collections::HashMap;

use serde_json::Value;

use super::sign_in::{LoginAttempt, read_new_password};
use super::{MAX_NAME, MAX_ROLE, audit_entry, check_own, parse_email, role_to_grant};
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
use crate::http::problem::{self, Problem, RateBound};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::audit_log::AuditEntry;
use crate::storage::bindings::Bindings;
use crate::storage::row::row_types;
use crate::storage::sql::{Arg, TenantSql, args, statements};
use crate::storage::tenant_db::{TenantBatch, TenantDb};
use domain::clock::Timestamp;
use domain::json;
use domain::password::Password;
use domain::permission::{DEFAULT_ROLE, Permission};

statements! { TenantSql;
    /// Invitations, newest first, with their status at ?5 as far as the row says it ([`Shown`]).
    SHOWN = "SELECT i.id, i.created_at, json_object('id', i.id, 'email', i.email, 'role', i.role, 'status', CASE WHEN i.accepted_at IS NOT NULL THEN 'accepted' WHEN i.expires_at <= ?5 THEN 'expired' ELSE 'open' END, 'invited_by', i.invited_by, 'sent_at', i.sent_at, 'expires_at', i.expires_at, 'accepted_at', i.accepted_at, 'created_at', i.created_at, 'inviter_stamp', i.inviter_stamp) AS view FROM tenant_invitations i WHERE i.tenant_id = ?1 AND (i.created_at, i.id) < (?2, ?3) ORDER BY i.created_at DESC, i.id DESC LIMIT ?4";
    /// One invitation, with its status at ?3 as far as the row says it.
    FIND = "SELECT i.id, i.created_at, json_object('id', i.id, 'email', i.email, 'role', i.role, 'status', CASE WHEN i.accepted_at IS NOT NULL THEN 'accepted' WHEN i.expires_at <= ?3 THEN 'expired' ELSE 'open' END, 'invited_by', i.invited_by, 'sent_at', i.sent_at, 'expires_at', i.expires_at, 'accepted_at', i.accepted_at, 'created_at', i.created_at, 'inviter_stamp', i.inviter_stamp) AS view FROM tenant_invitations i WHERE i.tenant_id = ?1 AND i.id = ?2";
    /// An invitation by its id.
    TARGET = "SELECT id, email, role, token, invited_by, inviter_stamp, sent_at, expires_at, accepted_at FROM tenant_invitations WHERE tenant_id = ?1 AND id = ?2";
    /// An invitation by its token.
    BY_TOKEN = "SELECT id, email, role, token, invited_by, inviter_stamp, sent_at, expires_at, accepted_at FROM tenant_invitations WHERE tenant_id = ?1 AND token = ?2";
    /// The invitation to an address that was not accepted.
    BY_EMAIL = "SELECT id, email, role, token, invited_by, inviter_stamp, sent_at, expires_at, accepted_at FROM tenant_invitations WHERE tenant_id = ?1 AND email = ?2 AND accepted_at IS NULL";
    /// Deletes a closed invitation, unless it was sent again.
    FORGET_CLOSED = "DELETE FROM tenant_invitations WHERE tenant_id = ?1 AND id = ?2 AND token = ?3 AND accepted_at IS NULL";
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
/// What is told whoever sends one again before.
const RESEND_BOUND: RateBound = RateBound { policy: "invitation-mails", of: "mails of one invitation" };

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
    let closed = ClosedInvitation::to(&request, &rows, &email).await?;
    let mut detail = json!({ "email": email, "role": role.name });
    closed.iter().for_each(|closed| closed.note(&mut detail));
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
        .add_all(closed.iter().map(ClosedInvitation::forget))
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
    let rows = request.caller.rows(&request.bindings)?;
    let found = rows.rows::<ViewRow>(&SHOWN, args).await?;
    let mut shown = Shown { request: &request, rows: &rows, judged: HashMap::new() };
    params.answer_with(&request, found, Some(&tenant), async |view| shown.complete(view).await.map(Some)).await
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
    check_own(&request, "", role.permissions)?;
    let now = request.now();
    let elapsed = now.since(Timestamp::from_millis(invitation.sent_at)) / 1000;
    if elapsed < RESEND_SECONDS {
        return Err(problem::rate_limited(RESEND_BOUND, (RESEND_SECONDS - elapsed).unsigned_abs()));
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
    if !invitation.is_closed(&request, &rows).await? {
        check_own(&request, "", role.permissions)?;
    }
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
    let sent = (invitation.invited_by.as_str(), invitation.inviter_stamp.as_str(), invitation.role.as_str());
    let judged = judged(&request.bindings, &rows, sent).await?;
    let (role, inviter_as_seen) = judged.ok_or_else(problem::invitation_not_found)?;
    let user =
        SessionUser { id: fresh_id("usr").map_err(problem::internal)?, email, name, role: invitation.role.clone() };
    let hash = PasswordHashing::in_turn(request).await?.hash(password)?;
    let rules = role.as_seen().into_iter().chain(inviter_as_seen);
    let batch = accept_batch(request, &rows, &invitation, &user, hash, now).add_all(rules);
    rules::commit(batch).await?;
    let context = LoginContext { bindings: &request.bindings, tenant: &tenant, rows: &rows };
    session::open(&context, &user, &request.incoming, carrier, Vec::new()).await?.answer(201, &tenant)
}

/// What an invitation is worth: its role, and the rules that whoever sent it is still what they were found to be.
type Worth = (Role, Vec<(TenantSql, Vec<Arg>)>);

/// What an invitation is worth now, by who sent it, what they rested on and the role; none if they cannot invite to that
/// role any more.
async fn judged(
    bindings: &Bindings,
    rows: &TenantDb,
    (invited_by, stamp, role): (&str, &str, &str),
) -> Result<Option<Worth>, Problem> {
    let inviter = Maker { principal: invited_by.to_owned(), basis: stamp.to_owned(), ..Maker::default() };
    let Some(own) = inviter.judge(bindings, rows, None).await? else { return Ok(None) };
    let Some(role) = Role::find(rows, role).await? else { return Ok(None) };
    let may_invite = own.permissions.has(Permission::InvitationsWrite) && own.permissions.covers(role.permissions);
    Ok(may_invite.then_some((role, own.as_seen)))
}

impl InvitationRow {
    /// Whether it cannot be accepted any more.
    async fn is_closed(&self, request: &Request<Member>, rows: &TenantDb) -> Result<bool, Problem> {
        if request.now().millis() >= self.expires_at {
            return Ok(true);
        }
        let sent = (self.invited_by.as_str(), self.inviter_stamp.as_str(), self.role.as_str());
        Ok(judged(&request.bindings, rows, sent).await?.is_none())
    }
}

/// An invitation that cannot be accepted any more, and makes room for another one or for a user.
pub(super) struct ClosedInvitation {
    id: String,
    token: String,
}

impl ClosedInvitation {
    /// The one to an address, if there is one.
    pub(super) async fn to(request: &Request<Member>, rows: &TenantDb, email: &str) -> Result<Option<Self>, Problem> {
        let Some(row) = rows.row::<InvitationRow>(&BY_EMAIL, args![email]).await? else { return Ok(None) };
        let is_closed = row.is_closed(request, rows).await?;
        Ok(is_closed.then_some(Self { id: row.id, token: row.token }))
    }

    /// Names it in the detail of the entry for what takes its place.
    pub(super) fn note(&self, detail: &mut Value) {
        if let Value::Object(members) = detail {
            members.insert("closed_invitation".to_owned(), self.id.as_str().into());
        }
    }

    /// What deletes it.
    pub(super) fn forget(&self) -> (TenantSql, Vec<Arg>) {
        (FORGET_CLOSED, args![self.id.as_str(), self.token.as_str()])
    }
}

/// Invitations to be shown, and what was found about who sent them.
struct Shown<'a> {
    request: &'a Request<Member>,
    rows: &'a TenantDb,
    /// Whether an invitation is open, by who sent it, what they rested on and the role.
    judged: HashMap<(String, String, String), bool>,
}

impl Shown<'_> {
    /// The JSON of a row, with its status.
    async fn complete(&mut self, mut view: Value) -> Result<Value, Problem> {
        let Value::Object(members) = &mut view else { return Ok(view) };
        let stamp = members.remove("inviter_stamp");
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        if text(members.get("status")) != "open" {
            return Ok(view);
        }
        let sent = (text(members.get("invited_by")), text(stamp.as_ref()), text(members.get("role")));
        let is_open = match self.judged.get(&sent) {
            Some(is_open) => *is_open,
            None => {
                let worth = judged(&self.request.bindings, self.rows, (&sent.0, &sent.1, &sent.2)).await?;
                *self.judged.entry(sent).or_insert(worth.is_some())
            }
        };
        if !is_open {
            members.insert("status".to_owned(), "closed".into());
        }
        Ok(view)
    }
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

/// The invitation that the path names, with its role. Refuses one that was accepted.
async fn find_open(request: &Request<Member>, rows: &TenantDb) -> Result<(InvitationRow, Role), Problem> {
    let id = request.params.get("invitation_id");
    let row = rows.row::<InvitationRow>(&TARGET, args![id]).await?.ok_or_else(problem::not_found)?;
    if row.accepted_at.is_some() {
        return Err(problem::invitation_accepted());
    }
    let role = Role::find(rows, &row.role)
        .await?
        .ok_or_else(|| problem::internal("an invitation names a role that does not exist"))?;
    Ok((row, role))
}

async fn shown(request: &Request<Member>, rows: &TenantDb) -> Result<Response, Problem> {
    let args = args![request.params.get("invitation_id"), request.now().millis()];
    let view: Value = rows.row::<ViewRow>(&FIND, args).await?.ok_or_else(problem::not_found)?.shown()?;
    let view = Shown { request, rows, judged: HashMap::new() }.complete(view).await?;
    Response::json(200, &view, Some(request.caller.tenant.as_str()))
}
