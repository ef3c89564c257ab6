//! Sessions of users: opening one, and the tokens or the cookie that its client gets.
//!
//! Invariants
//! - A session and its first refresh token are written in one batch, with the audit entry of the sign-in.
//! - A session that makes room for a newer one ends as any other does: with its streams.
//! - A client gets tokens or a cookie, never both.
//! - Of tokens and cookies only digests are stored.

use serde_json::Value;

use super::authenticate_member::SESSION_COOKIE;
use super::revocation::{MintedBy, revoking};
use super::rules;
use super::signing_keys;
use crate::credentials::key::{FreshKey, KeyKind};
use crate::credentials::platform_token::{Claims, TokenKind};
use crate::credentials::signature::digest;
use crate::http::incoming::Incoming;
use crate::http::problem::{self, Problem};
use crate::http::response::Response;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::row::row_types;
use crate::storage::sql::{Arg, TenantSql};
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::TenantDb;
use crate::tenant_id::TenantId;
use domain::clock::{Clock, Timestamp};
use domain::json;

statements! { TenantSql;
    /// A new session.
    INSERT_SESSION = "INSERT INTO sessions (tenant_id, id, user_id, cookie_digest, address, user_agent, created_at, last_used_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)";
    /// The next refresh token of a session.
    INSERT_REFRESH = "INSERT INTO refresh_tokens (tenant_id, digest, session_id, created_at) VALUES (?1, ?2, ?3, ?4)";
    /// The sessions of a user that have to make room for another one.
    IN_THE_WAY = "SELECT id FROM sessions WHERE tenant_id = ?1 AND user_id = ?2 ORDER BY created_at DESC LIMIT 1000 OFFSET 49";
    /// Makes room: only a user's newest sessions stay.
    KEEP_NEWEST = "DELETE FROM sessions WHERE tenant_id = ?1 AND user_id = ?2 AND id NOT IN (SELECT n.id FROM sessions n WHERE n.tenant_id = ?1 AND n.user_id = ?2 ORDER BY n.created_at DESC LIMIT 49)";
    /// Deletes expired sessions.
    FORGET_EXPIRED = "DELETE FROM sessions WHERE tenant_id = ?1 AND expires_at <= ?2";
    /// Notes when a user last signed in.
    NOTE_LOGIN = "UPDATE users SET last_login_at = ?3 WHERE tenant_id = ?1 AND id = ?2";
}

row_types! {
    struct SessionIdRow {
        id: String,
    }
}

/// How long a session lasts, in seconds: 30 days; refreshing does not extend it.
pub const SESSION_SECONDS: i64 = 30 * 24 * 3600;
/// How long an access token lasts, in seconds.
pub const ACCESS_SECONDS: i64 = 15 * 60;
/// The longest part of `User-Agent` that is stored, in characters.
const MAX_USER_AGENT: usize = 200;

/// What a client holds its session by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// An access token and a refresh token.
    Tokens,
    /// A cookie that scripts cannot read.
    Cookie,
}

/// The user that a session is opened for.
#[derive(Debug, Clone)]
pub struct SessionUser {
    /// The user's id.
    pub id: String,
    /// The address.
    pub email: String,
    /// The name.
    pub name: String,
    /// The role.
    pub role: String,
}

impl SessionUser {
    /// The user in responses.
    pub fn to_view(&self) -> Value {
        json!({ "id": self.id, "email": self.email, "name": self.name, "role": self.role })
    }
}

/// The tenant that somebody signs in to.
pub struct LoginContext<'a> {
    /// The deployment.
    pub bindings: &'a Bindings,
    /// The tenant.
    pub tenant: &'a TenantId,
    /// Its rows.
    pub rows: &'a TenantDb,
}

/// A session that was opened.
pub struct OpenedSession {
    /// The response's data.
    pub data: Value,
    /// The cookie to set.
    pub cookie: Option<String>,
}

impl OpenedSession {
    /// The response with data and cookie.
    pub fn answer(&self, status: u16, tenant: &TenantId) -> Result<Response, Problem> {
        let answer = Response::json(status, &self.data, Some(tenant.as_str()))?;
        Ok(match &self.cookie {
            Some(cookie) => answer.header("Set-Cookie", cookie),
            None => answer,
        })
    }
}

/// Opens a session for a user who was authenticated; `statements` are written with it.
pub async fn open(
    context: &LoginContext<'_>,
    user: &SessionUser,
    request: &Incoming,
    carrier: Carrier,
    statements: Vec<(TenantSql, Vec<Arg>)>,
) -> Result<OpenedSession, Problem> {
    let now = SystemClock.now();
    let key = FreshKey::new(KeyKind::UserSession).map_err(problem::internal)?;
    let until = now.plus_seconds(SESSION_SECONDS);
    let cookie_digest = (carrier == Carrier::Cookie).then(|| digest(key.text.as_bytes()));
    let agent: String = request.header("User-Agent").unwrap_or_default().chars().take(MAX_USER_AGENT).collect();
    let (session, id) = (key.id.as_str(), user.id.as_str());
    let in_the_way = context.rows.rows::<SessionIdRow>(&IN_THE_WAY, args![id]).await?;
    let ending = MintedBy::Sessions(in_the_way.into_iter().map(|row| row.id).collect());
    let commit = async |batch| revoking(context.bindings, context.tenant, ending, rules::commit(batch)).await;
    let insert = args![session, id, cookie_digest, request.address(), agent, now.millis(), until.millis()];
    let batch = context
        .rows
        .write()
        .add(FORGET_EXPIRED, args![now.millis()])
        .add(KEEP_NEWEST, args![id])
        .add(INSERT_SESSION, insert)
        .add(NOTE_LOGIN, args![id, now.millis()])
        .add_all(statements);
    if carrier == Carrier::Cookie {
        commit(batch).await?;
        let data = json!({ "session_id": session, "expires_at": until, "user": user.to_view() });
        return Ok(OpenedSession { data, cookie: Some(cookie(&key.text, SESSION_SECONDS)) });
    }
    let refresh = FreshKey::new(KeyKind::Refresh).map_err(problem::internal)?;
    let token = args![digest(refresh.text.as_bytes()), session, now.millis()];
    commit(batch.add(INSERT_REFRESH, token)).await?;
    let data = tokens(context, user, session, until, &refresh.text).await?;
    Ok(OpenedSession { data, cookie: None })
}

/// The response's data for a session that is held by tokens: a new access token, and this refresh token.
pub async fn tokens(
    context: &LoginContext<'_>,
    user: &SessionUser,
    session: &str,
    session_until: Timestamp,
    refresh: &str,
) -> Result<Value, Problem> {
    let claims = Claims {
        sub: format!("user:{}", user.id),
        tenant_id: context.tenant.to_string(),
        client_id: context.tenant.to_string(),
        user_id: Some(user.id.clone()),
        role: Some(user.role.clone()),
        sid: Some(session.to_owned()),
        ..Claims::default()
    };
    let (token, expires_at) = signing_keys::mint(context.bindings, TokenKind::Access, claims, ACCESS_SECONDS).await?;
    Ok(json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": ACCESS_SECONDS,
        "expires_at": expires_at,
        "refresh_token": refresh,
        "refresh_expires_at": session_until,
        "session_id": session,
        "user": user.to_view(),
    }))
}

/// The session's cookie; with a `max_age` of 0 browsers delete it.
pub fn cookie(text: &str, max_age: i64) -> String {
    format!("{SESSION_COOKIE}={text}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={max_age}")
}
