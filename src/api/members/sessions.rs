//! `/api/v1/auth/sessions`: where a user is signed in, and signing out.

use super::{account_holder, audit_entry};
use crate::auth::principal::Member;
use crate::auth::revocation::{self, MintedBy, revoking};
use crate::auth::session;
use crate::http::listing::{ListParams, ViewRow};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::row::Rows;
use crate::storage::row::row_types;
use crate::storage::sql::Arg;
use crate::storage::sql::{args, statements};
use domain::json;

statements! { TenantSql;
    /// A user's open sessions, newest first; ?7 is the caller's own.
    SHOWN = "SELECT id, created_at, json_object('id', id, 'address', address, 'user_agent', user_agent, 'created_at', created_at, 'last_used_at', last_used_at, 'expires_at', expires_at, 'current', json(CASE WHEN id = ?7 THEN 'true' ELSE 'false' END)) AS view FROM sessions WHERE tenant_id = ?1 AND user_id = ?5 AND expires_at > ?6 AND (created_at, id) < (?2, ?3) ORDER BY created_at DESC, id DESC LIMIT ?4";
    /// One session of a user.
    FIND = "SELECT id, created_at, '{}' AS view FROM sessions WHERE tenant_id = ?1 AND id = ?2 AND user_id = ?3";
    /// The end of a session, and with it of its refresh tokens.
    END = "DELETE FROM sessions WHERE tenant_id = ?1 AND id = ?2 AND user_id = ?3";
    /// The end of all of a user's sessions but one.
    END_OTHERS = "DELETE FROM sessions WHERE tenant_id = ?1 AND user_id = ?2 AND id <> ?3 RETURNING id";
}

row_types! {
    struct EndedRow {
        #[allow(dead_code, reason = "they are only counted")]
        id: String,
    }
}

/// `GET /api/v1/auth/sessions`
pub async fn list(request: Request<Member>) -> Result<Response, Problem> {
    let user = request.caller.user().ok_or_else(problem::not_a_user)?;
    let tenant = request.caller.tenant.to_string();
    let filters = format!("{tenant} {}", user.id);
    let params = ListParams::read(&request, "auth.sessions.list", &filters)?;
    let mut args = params.args();
    let current = user.session.as_deref().unwrap_or_default();
    args.extend([Arg::from(user.id.as_str()), Arg::from(request.now().millis()), Arg::from(current)]);
    let rows = request.caller.rows(&request.bindings)?.rows::<ViewRow>(&SHOWN, args).await?;
    params.answer(&request, rows, Some(&tenant))
}

/// `DELETE /api/v1/auth/sessions/{session_id}`
pub async fn end(request: Request<Member>) -> Result<Response, Problem> {
    let user = account_holder(&request.caller)?;
    let (id, rows) = (request.params.get("session_id"), request.caller.rows(&request.bindings)?);
    let found = rows.row::<ViewRow>(&FIND, args![id, user.id.as_str()]).await?;
    found.ok_or_else(problem::not_found)?;
    end_session(&request, id, &user.id).await?;
    let is_own = user.session.as_deref() == Some(id);
    Ok(if is_own { signed_out() } else { Response::empty(204) })
}

/// `DELETE /api/v1/auth/sessions`. Somebody else may have had these sessions, so the streams of tokens minted with
/// them end too.
pub async fn end_others(request: Request<Member>) -> Result<Response, Problem> {
    let user = account_holder(&request.caller)?;
    let entry = audit_entry(&request, "session.end_others", Some(&user.id), None);
    let others = args![user.id.as_str(), user.session.as_deref().unwrap_or_default()];
    let rows = request.caller.rows(&request.bindings)?;
    let batch = rows.write().audit(entry).add(END_OTHERS, others);
    let commit = async { batch.commit().await.map_err(Problem::from) };
    let results = revoking(&request.bindings, &request.caller.tenant, MintedBy::user(&user.id), commit).await?;
    let ended = results.into_iter().next_back().map(Rows::read::<EndedRow>).transpose()?;
    let data = json!({ "ended": ended.map_or(0, |rows| rows.len()) });
    Response::json(200, &data, Some(request.caller.tenant.as_str()))
}

/// `POST /api/v1/auth/logout`
pub async fn logout(request: Request<Member>) -> Result<Response, Problem> {
    let user = account_holder(&request.caller)?;
    end_session(&request, user.session.as_deref().unwrap_or_default(), &user.id).await?;
    Ok(signed_out())
}

async fn end_session(request: &Request<Member>, session: &str, user: &str) -> Result<(), Problem> {
    let entry = audit_entry(request, "session.end", Some(session), None);
    let rows = request.caller.rows(&request.bindings)?;
    let batch = rows.write().add(END, args![session, user]).audit(entry);
    let commit = async { batch.commit().await.map(drop).map_err(Problem::from) };
    let ending = MintedBy::Principal(revocation::session(session));
    revoking(&request.bindings, &request.caller.tenant, ending, commit).await
}

/// 204 that deletes the session cookie.
fn signed_out() -> Response {
    Response::empty(204).header("Set-Cookie", session::cookie("", 0))
}
