//! `POST /api/v1/auth/refresh`: the next tokens of a session.
//!
//! Invariants
//! - A refresh token is good once: one conditional statement takes it, and puts its successor in place. So of a session's
//!   tokens exactly one is not spent.
//! - If a spent one is presented again within the grace, it gets the newest of the chain: the response was lost, or
//!   several tabs asked at once. If it is presented later, two hold it: the session ends (`domain::refresh`).
//! - Token, session and the newest token are read by one statement, however long the chain is.
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
use domain::refresh::{RefreshVerdict, judge};

statements! { TenantSql;
    /// A refresh token with its session and user, and the token behind which the newest one of the session stands.
    FIND = "SELECT r.session_id, r.used_at, p.digest AS last_digest, p.successor AS last_successor, r.successor, s.created_at, s.expires_at, u.id, u.email, u.name, u.role, u.status, u.not_before, (SELECT a.not_before FROM tenant_auth a WHERE a.tenant_id = ?1) AS tenant_not_before FROM refresh_tokens r JOIN sessions s ON s.tenant_id = ?1 AND s.id = r.session_id JOIN users u ON u.tenant_id = ?1 AND u.id = s.user_id LEFT JOIN refresh_tokens n ON n.tenant_id = ?1 AND n.session_id = r.session_id AND n.used_at IS NULL LEFT JOIN refresh_tokens p ON p.tenant_id = ?1 AND p.successor_digest = n.digest WHERE r.tenant_id = ?1 AND r.digest = ?2";
    /// Spends a token, unless it was spent.
    CONSUME = "UPDATE refresh_tokens SET used_at = ?3, successor = ?4, successor_digest = ?5 WHERE tenant_id = ?1 AND digest = ?2 AND used_at IS NULL";
    /// Inserts the successor, if this request is the one that spent the token.
    SUCCEED = "INSERT INTO refresh_tokens (tenant_id, digest, session_id, created_at) SELECT ?1, ?3, r.session_id, ?5 FROM refresh_tokens r WHERE r.tenant_id = ?1 AND r.digest = ?2 AND r.successor = ?4";
    /// When a session was last used.
    NOTE_USE = "UPDATE sessions SET last_used_at = ?3 WHERE tenant_id = ?1 AND id = ?2";
    /// The end of a session, and with it of its refresh tokens.
    END = "DELETE FROM sessions WHERE tenant_id = ?1 AND id = ?2";
}

row_types! {
    struct RefreshTokenRow {
        session_id: String,
        used_at: Option<i64>,
        last_digest: Option<String>,
        last_successor: Option<String>,
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

    fn verdict(&self) -> RefreshVerdict {
        judge(self.used_at.map(Timestamp::from_millis), SystemClock.now())
    }

    /// The newest token of the session, sealed, and the digest of the token that it is sealed behind. A token that an
    /// older version spent does not say what followed it, but for itself.
    fn newest<'a>(&'a self, presented: &'a str) -> (&'a str, &'a str) {
        match (&self.last_digest, &self.last_successor) {
            (Some(digest), Some(sealed)) => (digest, sealed),
            _ => (presented, self.successor.as_deref().unwrap_or_default()),
        }
    }
}

/// `POST /api/v1/auth/refresh`
pub async fn refresh(mut request: Request<Visitor>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    let text = read_secret(&mut fields, "refresh_token");
    fields.finish()?;
    let attempt = failed_logins::begin(&request)?;
    let outcome = renew(request, &text).await;
    attempt.end(&outcome);
    outcome
}

/// The next tokens of the session that a refresh token belongs to.
async fn renew(request: Request<Visitor>, text: &str) -> Result<Response, Problem> {
    PresentedKey::parse(text).filter(|key| key.kind == KeyKind::Refresh).ok_or_else(problem::invalid_refresh_token)?;
    let presented = digest(text.as_bytes());
    let rows = request.caller.rows(&request.bindings)?;
    let mut row = find(&rows, &presented).await?;
    if row.verdict() == RefreshVerdict::Spend {
        consume(&request, &rows, &presented, &row.session_id).await?;
        row = find(&rows, &presented).await?;
    }
    match row.verdict() {
        // It is spent by now, by this request or by another.
        RefreshVerdict::Spend => return Err(problem::unavailable("a refresh token was not spent")),
        RefreshVerdict::Reused => return Err(end_reused(&request, &rows, &row).await?),
        RefreshVerdict::Newest => {}
    }
    let (behind, sealed) = row.newest(&presented);
    let secrets = secrets::load(&request.bindings, request.caller.tenant.as_str()).await?;
    let newest = secrets.data_key()?.open(&place(&request, behind), sealed).map_err(problem::internal)?;
    let newest = String::from_utf8(newest).map_err(problem::internal)?;
    let user = SessionUser { id: row.id, email: row.email, name: row.name, role: row.role };
    let until = Timestamp::from_millis(row.expires_at);
    let data = session::tokens(&login_context(&request, &rows), &user, &row.session_id, until, &newest).await?;
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
    let next = digest(next.text.as_bytes());
    let successor = args![presented, next.as_str(), sealed.as_str(), now];
    let spend = args![presented, now, sealed.as_str(), next.as_str()];
    let batch = rows.write().add(CONSUME, spend).add(SUCCEED, successor);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The token behind which the newest one stands, as `FIND` gives it.
    fn last(db: &rusqlite::Connection, presented: &str) -> (Option<String>, Option<String>) {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get("last_digest")?, row.get("last_successor")?));
        db.query_row(FIND.text(), ("acme", presented), read).unwrap()
    }

    #[test]
    fn one_statement_finds_the_newest_token_however_long_the_chain_is() {
        let db = rusqlite::Connection::open_in_memory().unwrap();
        for migration in [
            include_str!("../../../migrations/tenant/0001_fence.sql"),
            include_str!("../../../migrations/tenant/0002_principals.sql"),
            include_str!("../../../migrations/tenant/0007_makers.sql"),
        ] {
            db.execute_batch(migration).unwrap();
        }
        db.execute_batch(
            "INSERT INTO users (tenant_id, id, email, role, created_at, updated_at) VALUES ('acme', 'u', 'u@x.test', 'viewer', 1, 1);
             INSERT INTO sessions (tenant_id, id, user_id, address, user_agent, created_at, last_used_at, expires_at) VALUES ('acme', 's', 'u', '', '', 1, 1, 9), ('acme', 'z', 'u', '', '', 1, 1, 9);
             INSERT INTO refresh_tokens (tenant_id, digest, session_id, created_at) VALUES ('acme', 'd0', 's', 1), ('acme', 'z0', 'z', 1);",
        )
        .unwrap();
        assert_eq!(last(&db, "d0"), (None, None), "nothing stands behind the first one");
        for n in 0..60 {
            let (spent, next, sealed) = (format!("d{n}"), format!("d{}", n + 1), format!("sealed{n}"));
            for _ in 0..2 {
                // The second one who spends it changes nothing.
                db.execute(CONSUME.text(), ("acme", &spent, n, &sealed, &next)).unwrap();
            }
            db.execute(SUCCEED.text(), ("acme", &spent, &next, &sealed, n)).unwrap();
            for presented in ["d0", &spent, &next] {
                assert_eq!(last(&db, presented), (Some(spent.clone()), Some(sealed.clone())), "{presented} after {n}");
            }
            assert_eq!(last(&db, "z0"), (None, None), "another session's");
        }
    }
}
