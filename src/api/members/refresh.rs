//! `POST /api/v1/auth/refresh`: the next tokens of a session.
//!
//! Invariants
//! - A refresh token is good once: one conditional statement takes it, and puts its successor in place.
//! - Whoever presents it again within the grace gets the same successor: the answer was lost, or two tabs
//!   asked at once. Whoever presents it later is not alone in holding it: the session ends (RFC 9700, 4.14).
//! - User, role and `not_before` are read anew each time. The session's end does not move.
//! - A renewal is no deed: it gives nobody anything new.

use super::sign_in::{lobby, read_secret};
use super::{deed_of, end_minted_of};
use crate::auth::principal::Visitor;
use crate::auth::session::{self, SigningIn};
use crate::credentials::key::{FreshKey, KeyKind, PresentedKey};
use crate::credentials::signature::digest;
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::bindings::SystemClock;
use crate::storage::row::row_types;
use crate::storage::sealed::Place;
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::TenantDb;
use crate::tenant::secrets;
use domain::clock::{Clock, Timestamp};
use domain::json;

statements! { TenantSql;
    /// A refresh token with its session and user.
    FIND = "SELECT r.session_id, r.used_at, r.successor, s.created_at, s.expires_at, u.id, u.email, u.name, u.role, u.status, u.not_before, (SELECT a.not_before FROM tenant_auth a WHERE a.tenant_id = ?1) AS tenant_not_before FROM refresh_tokens r JOIN sessions s ON s.tenant_id = ?1 AND s.id = r.session_id JOIN users u ON u.tenant_id = ?1 AND u.id = s.user_id WHERE r.tenant_id = ?1 AND r.digest = ?2";
    /// Takes a token, if nobody has.
    CONSUME = "UPDATE refresh_tokens SET used_at = ?3, successor = ?4 WHERE tenant_id = ?1 AND digest = ?2 AND used_at IS NULL";
    /// Puts the successor in place, if this is the request that took the token.
    SUCCEED = "INSERT INTO refresh_tokens (tenant_id, digest, session_id, created_at) SELECT ?1, ?3, r.session_id, ?5 FROM refresh_tokens r WHERE r.tenant_id = ?1 AND r.digest = ?2 AND r.successor = ?4";
    /// When a session was last used.
    NOTE_USE = "UPDATE sessions SET last_used_at = ?3 WHERE tenant_id = ?1 AND id = ?2";
    /// The end of a session, and with it of its refresh tokens.
    END = "DELETE FROM sessions WHERE tenant_id = ?1 AND id = ?2";
}

/// How long a spent token still gets its successor, in milliseconds.
const GRACE_MILLIS: i64 = 10_000;

row_types! {
    struct Row {
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

impl Row {
    /// Whether session and user still stand.
    fn stands(&self, now: Timestamp) -> bool {
        let from = self.not_before.max(self.tenant_not_before.unwrap_or(0));
        self.status == "active" && now.millis() < self.expires_at && self.created_at >= from
    }
}

/// `POST /api/v1/auth/refresh`
pub async fn refresh(mut request: Request<Visitor>) -> Result<Response, Problem> {
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
    // By now it is spent, by this request or by another: whoever comes in time gets what followed.
    let used_at = row.used_at.ok_or_else(|| problem::unavailable("a refresh token was not spent"))?;
    if SystemClock.now().millis() - used_at > GRACE_MILLIS {
        return Err(reused(&request, &rows, &row).await?);
    }
    let sealed = row.successor.as_deref().unwrap_or_default();
    let key = secrets::load(&request.bindings, request.caller.tenant.as_str()).await?;
    let successor = key.data_key()?.open(&place(&request, &presented), sealed).map_err(problem::internal)?;
    let successor = String::from_utf8(successor).map_err(problem::internal)?;
    let user = SigningIn { id: row.id, email: row.email, name: row.name, role: row.role };
    let until = Timestamp::from_millis(row.expires_at);
    let data = session::tokens(&lobby(&request, &rows), &user, &row.session_id, until, &successor).await?;
    Response::json(200, &data, Some(request.caller.tenant.as_str()))
}

async fn find(rows: &TenantDb, digest: &str) -> Result<Row, Problem> {
    let row = rows.row::<Row>(&FIND, args![digest]).await?;
    row.filter(|row| row.stands(SystemClock.now())).ok_or_else(problem::invalid_refresh_token)
}

/// Takes the token and puts its successor in place; where another request was first, changes nothing.
async fn consume(request: &Request<Visitor>, rows: &TenantDb, presented: &str, session: &str) -> Result<(), Problem> {
    let next = FreshKey::new(KeyKind::Refresh).map_err(problem::internal)?;
    let key = secrets::load(&request.bindings, request.caller.tenant.as_str()).await?;
    let sealed = key.data_key()?.seal(&place(request, presented), next.text.as_bytes()).map_err(problem::internal)?;
    let now = SystemClock.now().millis();
    let successor = args![presented, digest(next.text.as_bytes()), sealed.as_str(), now];
    let batch = rows.write().add(CONSUME, args![presented, now, sealed.as_str()]).add(SUCCEED, successor);
    batch.add(NOTE_USE, args![session, now]).commit().await?;
    Ok(())
}

/// Two hold the same token: one of them stole it. Everything that the session gave ends.
async fn reused(request: &Request<Visitor>, rows: &TenantDb, row: &Row) -> Result<problem::Problem, Problem> {
    let user = format!("user:{}", row.id);
    end_minted_of(&request.bindings, &request.caller.tenant, Some(user.clone())).await?;
    let detail = json!({ "user": row.id });
    let deed = deed_of(request, "anybody".to_owned(), "session.refresh_reused", Some(&row.session_id), Some(detail));
    let deed = deed.statement();
    rows.write().add(END, args![row.session_id.as_str()]).add(deed.0, deed.1).commit().await?;
    end_minted_of(&request.bindings, &request.caller.tenant, Some(user)).await?;
    Ok(problem::invalid_refresh_token())
}

/// Where a successor is sealed to.
fn place<'a>(request: &'a Request<Visitor>, digest: &'a str) -> Place<'a> {
    Place { owner: request.caller.tenant.as_str(), table: "refresh_tokens", column: "successor", row: digest }
}
