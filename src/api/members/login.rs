//! `POST /api/v1/auth/login`: a session for who knows a password.
//!
//! Unknown address, wrong password, account without a password, disabled user and unverified address get the same
//! response after the same work. A cookie in the request is ignored: every sign-in opens a new session.

use super::audit_entry_by;
use super::sign_in::{LoginAttempt, check_tenant, login_context, read_known_email, read_password};
use crate::auth::account::{self, Account};
use crate::auth::failed_logins;
use crate::auth::password_hashing::PasswordHashing;
use crate::auth::principal::Visitor;
use crate::auth::session::{self, Carrier};
use crate::credentials::password::PasswordCheck;
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::sql::args;
use domain::json;
use domain::password::Password;

/// `POST /api/v1/auth/login`
pub async fn login(mut request: Request<Visitor>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    check_tenant(&mut fields, &request.caller.tenant)?;
    let (email, password) = (read_known_email(&mut fields), read_password(&mut fields, "password"));
    let in_cookie = fields.flag("cookie").unwrap_or(false);
    let password = fields.finish_with(password)?;
    failed_logins::check(&request)?;
    let hashing = PasswordHashing::in_turn(&request).await?;
    let attempt = LoginAttempt::of(&request).count(&request, &email).await?;
    let carrier = if in_cookie { Carrier::Cookie } else { Carrier::Tokens };
    let outcome = sign_in(&request, &hashing, (&email, &password), carrier).await;
    attempt.end(&outcome);
    outcome
}

/// A session for who knows the password.
async fn sign_in(
    request: &Request<Visitor>,
    hashing: &PasswordHashing,
    (email, password): (&str, &Password),
    carrier: Carrier,
) -> Result<Response, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    let account = rows.row::<Account>(&account::BY_EMAIL, args![email]).await?;
    let check = hashing.verify(password, account.as_ref().and_then(|account| account.password_hash.as_deref()));
    let account =
        account.filter(|account| check != PasswordCheck::Wrong && account.is_active() && account.is_verified());
    let account = account.ok_or_else(problem::invalid_credentials)?;
    let mut statements = vec![(account::STILL_CURRENT, args![account.id.as_str(), account.password_hash.as_deref()])];
    if check == PasswordCheck::RightButStale {
        statements.push((account::REHASH, args![account.id.as_str(), hashing.hash(password)?]));
    }
    let detail = json!({ "cookie": carrier == Carrier::Cookie });
    let actor = format!("user:{}", account.id);
    statements.push(audit_entry_by(request, actor, "session.open", None, Some(detail)).statement());
    let (context, user) = (login_context(request, &rows), account.into_session_user());
    session::open(&context, &user, &request.incoming, carrier, statements).await?.answer(200, &request.caller.tenant)
}
