//! `POST /api/v1/auth/refresh`: the next tokens of a session.
//!
//! Invariants
//! - A refresh token is good once: one conditional statement takes it, and puts its successor in place.
//! - If it is presented again within the grace, it gets the same successor: the response was lost, or two tabs asked at
//!   once. If it is presented later, two hold it: the session ends (RFC 9700, 4.14).
//! - User, role and `not_before` are read each time. The session's end does not move.
//! - A renewal is not audited: it gives nobody anything new.

use super::audit_entry_by;
use super::sign_in::{login_context, read_secret};
use crate::auth::failed_logins;
use crate::auth::principal::Visitor;
use crate::auth::revocation::{MintedBy, revoking};
use crate::auth::session::{self, SessionUser};
use crate::credentials::key::{FreshKey, KeyKind, PresentedKey};
use crate::credentials::signature::digest;
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::bindings::SystemClock;
use crate::storage::row::row_types;
use crate::storage::sealed::SealContext;
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::TenantDb;
use crate::tenant::secrets;
use domain::clock::{Clock, Timestamp};
use domain::json;

statements! { TenantSql;
    /// A refresh token with its session and user.
    FIND = "SELECT r.session_id, r.used_at, r.successor, s.created_at, s.expires_at, u.id, u.email, u.name, u.role, u.status, u.not_before, (SELECT a.not_before FROM tenant_auth a WHERE a.tenant_id = ?1) AS tenant_not_before FROM refresh_tokens r JOIN sessions s ON s.tenant_id = ?1 AND s.id = r.session_id JOIN users u ON u.tenant_id = ?1 AND u.id = s.user_id WHERE r.tenant_id = ?1 AND r.digest = ?2";
    /// Spends a token, unless it was spent.
    CONSUME = "UPDATE refresh_tokens SET used_at = ?3, successor = ?4 WHERE tenant_id = ?1 AND digest = ?2 AND used_at IS NULL";
    /// Inserts the successor, if this request is the one that spent the token.
    SUCCEED = "INSERT INTO refresh_tokens (tenant_id, digest, session_id, created_at) SELECT ?1, ?3, r.session_id, ?5 FROM refresh_tokens r WHERE r.tenant_id = ?1 AND r.digest = ?2 AND r.successor = ?4";
    /// When a session was last used.
    NOTE_USE = "UPDATE sessions SET last_used_at = ?3 WHERE tenant_id = ?1 AND id = ?2";
    /// The end of a session, and with it of its refresh tokens.
    END = "DELETE FROM sessions WHERE tenant_id = ?1 AND id = ?2";
}

/// How long a spent token still gets its successor, in milliseconds.
const GRACE_MILLIS: i64 = 10_000;

row_types! {
    struct RefreshTokenRow {
        session_id: String,
        used_at: Option<i64>,
        successor: Option<String>,
        created_at: i64,
        expires_at: i64,
        id: String,
        email: String,
        name: String,
        role: String,
        status: String,
        not_before: i64,
        tenant_not_before: Option<i64>,
    }
}

impl RefreshTokenRow {
    /// Whether session and user are still good.
    fn is_good(&self, now: Timestamp) -> bool {
        let from = self.not_before.max(self.tenant_not_before.unwrap_or(0));
        self.status == "active" && now.millis() < self.expires_at && self.created_at >= from
    }
}

/// `POST /api/v1/auth/refresh`
pub async fn refresh(request: Request<Visitor>) -> Result<Response, Problem> {
    let attempt = failed_logins::begin(&request)?;
    let outcome = renew(request).await;
    attempt.end(&outcome);
    outcome
}

/// The next tokens of the session that a refresh token belongs to.
async fn renew(mut request: Request<Visitor>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    let text = read_secret(&mut fields, "refresh_token");
    fields.finish()?;
    PresentedKey::parse(&text).filter(|key| key.kind == KeyKind::Refresh).ok_or_else(problem::invalid_refresh_token)?;
    let presented = digest(text.as_bytes());
    let rows = request.caller.rows(&request.bindings)?;
    let mut row = find(&rows, &presented).await?;
    if row.used_at.is_none() {
        consume(&request, &rows, &presented, &row.session_id).await?;
        row = find(&rows, &presented).await?;
    }
    // By now it is spent, by this request or by another; within the grace both get its successor.
    let used_at = row.used_at.ok_or_else(|| problem::unavailable("a refresh token was not spent"))?;
    if SystemClock.now().millis() - used_at > GRACE_MILLIS {
        return Err(end_reused(&request, &rows, &row).await?);
    }
    let sealed = row.successor.as_deref().unwrap_or_default();
    let secrets = secrets::load(&request.bindings, request.caller.tenant.as_str()).await?;
    let successor = secrets.data_key()?.open(&place(&request, &presented), sealed).map_err(problem::internal)?;
    let successor = String::from_utf8(successor).map_err(problem::internal)?;
    let user = SessionUser { id: row.id, email: row.email, name: row.name, role: row.role };
    let until = Timestamp::from_millis(row.expires_at);
    let data = session::tokens(&login_context(&request, &rows), &user, &row.session_id, until, &successor).await?;
    Response::json(200, &data, Some(request.caller.tenant.as_str()))
}

async fn find(rows: &TenantDb, digest: &str) -> Result<RefreshTokenRow, Problem> {
    let row = rows.row::<RefreshTokenRow>(&FIND, args![digest]).await?;
    row.filter(|row| row.is_good(SystemClock.now())).ok_or_else(problem::invalid_refresh_token)
}

/// Spends the token and inserts its successor; changes nothing if another request was first.
async fn consume(request: &Request<Visitor>, rows: &TenantDb, presented: &str, session: &str) -> Result<(), Problem> {
    let next = FreshKey::new(KeyKind::Refresh).map_err(problem::internal)?;
    let secrets = secrets::load(&request.bindings, request.caller.tenant.as_str()).await?;
    let sealed =
        secrets.data_key()?.seal(&place(request, presented), next.text.as_bytes()).map_err(problem::internal)?;
    let now = SystemClock.now().millis();
    let successor = args![presented, digest(next.text.as_bytes()), sealed.as_str(), now];
    let batch = rows.write().add(CONSUME, args![presented, now, sealed.as_str()]).add(SUCCEED, successor);
    batch.add(NOTE_USE, args![session, now]).commit().await?;
    Ok(())
}

/// Ends a session whose refresh token two hold, for one of them stole it; gives the problem to answer with.
async fn end_reused(request: &Request<Visitor>, rows: &TenantDb, row: &RefreshTokenRow) -> Result<Problem, Problem> {
    let (session, detail) = (row.session_id.as_str(), json!({ "user": row.id }));
    let anybody = "anybody".to_owned();
    let entry = audit_entry_by(request, anybody, "session.refresh_reused", Some(session), Some(detail));
    let batch = rows.write().add(END, args![session]).audit(entry);
    let commit = async { batch.commit().await.map_err(Problem::from) };
    revoking(&request.bindings, &request.caller.tenant, MintedBy::user(&row.id), commit).await?;
    Ok(problem::invalid_refresh_token())
}

/// Where a successor is sealed to.
fn place<'a>(request: &'a Request<Visitor>, digest: &'a str) -> SealContext<'a> {
    SealContext { owner: request.caller.tenant.as_str(), table: "refresh_tokens", column: "successor", row: digest }
}
