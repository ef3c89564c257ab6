//! Signing in: a session, and what its client carries away.
//!
//! Invariants
//! - A session and its first refresh token are written in one batch, with whatever deed led to it.
//! - A client carries tokens or a cookie, never both.
//! - Every text is stored by its digest alone.

use serde_json::Value;

use super::authenticate_member::SESSION_COOKIE;
use super::signing_keys;
use crate::credentials::key::{FreshKey, KeyKind};
use crate::credentials::platform_token::{Claims, Kind};
use crate::credentials::signature::digest;
use crate::http::incoming::Incoming;
use crate::http::problem::{self, Problem};
use crate::http::response::Response;
use crate::storage::bindings::{Bindings, SystemClock};
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
    /// Makes room: of a user's sessions only the newest stay.
    KEEP_NEWEST = "DELETE FROM sessions WHERE tenant_id = ?1 AND user_id = ?2 AND id NOT IN (SELECT n.id FROM sessions n WHERE n.tenant_id = ?1 AND n.user_id = ?2 ORDER BY n.created_at DESC LIMIT 49)";
    /// Forgets sessions that are over.
    FORGET_OVER = "DELETE FROM sessions WHERE tenant_id = ?1 AND expires_at <= ?2";
    /// When a user was last here.
    NOTE_LOGIN = "UPDATE users SET last_login_at = ?3 WHERE tenant_id = ?1 AND id = ?2";
}

/// How long a session lasts, in seconds: 30 days, whatever is refreshed.
pub const SESSION_SECONDS: i64 = 30 * 24 * 3600;
/// How long an access token lasts, in seconds.
pub const ACCESS_SECONDS: i64 = 15 * 60;
/// The longest part of a client's name that is kept.
const MAX_USER_AGENT: usize = 200;

/// What a client carries its session in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// An access token and a refresh token.
    Tokens,
    /// A cookie that scripts cannot read.
    Cookie,
}

/// Who signs in.
#[derive(Debug, Clone)]
pub struct SigningIn {
    /// The user's id.
    pub id: String,
    /// The address.
    pub email: String,
    /// The name.
    pub name: String,
    /// The role.
    pub role: String,
}

impl SigningIn {
    /// As answers show the user.
    pub fn shown(&self) -> Value {
        json!({ "id": self.id, "email": self.email, "name": self.name, "role": self.role })
    }
}

/// The tenant somebody signs in to, and its rows.
pub struct LoginContext<'a> {
    /// The deployment.
    pub bindings: &'a Bindings,
    /// The tenant.
    pub tenant: &'a TenantId,
    /// Its rows.
    pub rows: &'a TenantDb,
}

/// What the client gets.
pub struct Opened {
    /// The answer's data.
    pub data: Value,
    /// The cookie to set.
    pub cookie: Option<String>,
}

impl Opened {
    /// As an answer.
    pub fn answer(&self, status: u16, tenant: &TenantId) -> Result<Response, Problem> {
        let answer = Response::json(status, &self.data, Some(tenant.as_str()))?;
        Ok(match &self.cookie {
            Some(cookie) => answer.header("Set-Cookie", cookie),
            None => answer,
        })
    }
}

/// Opens a session for a user whose proof was seen; `deeds` are written with it.
pub async fn open(
    lobby: &LoginContext<'_>,
    user: &SigningIn,
    request: &Incoming,
    carrier: Carrier,
    deeds: Vec<(TenantSql, Vec<Arg>)>,
) -> Result<Opened, Problem> {
    let now = SystemClock.now();
    let key = FreshKey::new(KeyKind::UserSession).map_err(problem::internal)?;
    let until = now.plus_seconds(SESSION_SECONDS);
    let cookie_digest = (carrier == Carrier::Cookie).then(|| digest(key.text.as_bytes()));
    let agent: String = request.header("User-Agent").unwrap_or_default().chars().take(MAX_USER_AGENT).collect();
    let (session, id) = (key.id.as_str(), user.id.as_str());
    let insert = args![session, id, cookie_digest, request.address(), agent, now.millis(), until.millis()];
    let mut batch = lobby
        .rows
        .write()
        .add(FORGET_OVER, args![now.millis()])
        .add(KEEP_NEWEST, args![id])
        .add(INSERT_SESSION, insert)
        .add(NOTE_LOGIN, args![id, now.millis()]);
    for (sql, args) in deeds {
        batch = batch.add(sql, args);
    }
    if carrier == Carrier::Cookie {
        batch.commit().await?;
        let data = json!({ "session_id": session, "expires_at": until, "user": user.shown() });
        return Ok(Opened { data, cookie: Some(cookie(&key.text, SESSION_SECONDS)) });
    }
    let refresh = FreshKey::new(KeyKind::Refresh).map_err(problem::internal)?;
    batch.add(INSERT_REFRESH, args![digest(refresh.text.as_bytes()), session, now.millis()]).commit().await?;
    let data = tokens(lobby, user, session, until, &refresh.text).await?;
    Ok(Opened { data, cookie: None })
}

/// A fresh access token beside a refresh token, as clients get them.
pub async fn tokens(
    lobby: &LoginContext<'_>,
    user: &SigningIn,
    session: &str,
    session_until: Timestamp,
    refresh: &str,
) -> Result<Value, Problem> {
    let claims = Claims {
        sub: format!("user:{}", user.id),
        tenant_id: lobby.tenant.to_string(),
        client_id: lobby.tenant.to_string(),
        user_id: Some(user.id.clone()),
        role: Some(user.role.clone()),
        sid: Some(session.to_owned()),
        ..Claims::default()
    };
    let (token, expires_at) = signing_keys::mint(lobby.bindings, Kind::Access, claims, ACCESS_SECONDS).await?;
    Ok(json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": ACCESS_SECONDS,
        "expires_at": expires_at,
        "refresh_token": refresh,
        "refresh_expires_at": session_until,
        "session_id": session,
        "user": user.shown(),
    }))
}

/// The session cookie; with an age of 0 the browser forgets it.
pub fn cookie(text: &str, max_age: i64) -> String {
    format!("{SESSION_COOKIE}={text}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={max_age}")
}
