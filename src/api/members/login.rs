//! `POST /api/v1/auth/login`: a session for who knows a password.
//!
//! Unknown address, wrong password, no password, disabled user and unproven address get one answer for one
//! amount of work. A cookie that comes along is not looked at: every sign-in is a session of its own.

use super::deed_of;
use super::sign_in::{Door, check_tenant, lobby, mail, post, read_email, read_secret};
use crate::auth::account::{self, Account};
use crate::auth::email_token::{self, Purpose};
use crate::auth::password_hashing::Work;
use crate::auth::principal::Visitor;
use crate::auth::session::{self, Carrier};
use crate::credentials::password::Verdict;
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::sql::args;
use domain::json;

/// `POST /api/v1/auth/login`
pub async fn login(mut request: Request<Visitor>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    check_tenant(&mut fields, &request.caller.tenant)?;
    let (email, password) = (read_email(&mut fields), read_secret(&mut fields, "password"));
    let in_cookie = fields.flag("cookie").unwrap_or(false);
    fields.finish()?;
    Door::of(&request).count_try(&request.incoming.address(), &email).await?;

    let work = Work::of(&request);
    let rows = request.caller.rows(&request.bindings)?;
    let account = rows.row::<Account>(&account::BY_EMAIL, args![email]).await?;
    let verdict = work.verify(&password, account.as_ref().and_then(|account| account.password_hash.as_deref()));
    let Some(account) = account.filter(|account| verdict != Verdict::Wrong && account.is_active()) else {
        return Err(problem::invalid_credentials());
    };
    if !account.is_verified() {
        remind(&request, &account)?;
        return Err(problem::invalid_credentials());
    }
    let mut statements = vec![(account::STILL, args![account.id.as_str(), account.password_hash.as_deref()])];
    if verdict == Verdict::RightButStale {
        statements.push((account::REHASH, args![account.id.as_str(), work.hash(&password)?]));
    }
    let carrier = if in_cookie { Carrier::Cookie } else { Carrier::Tokens };
    let detail = json!({ "cookie": in_cookie });
    let actor = format!("user:{}", account.id);
    statements.push(deed_of(&request, actor, "session.open", None, Some(detail)).statement());
    let (lobby, user) = (lobby(&request, &rows), account.signing_in());
    session::open(&lobby, &user, &request.incoming, carrier, statements).await?.answer(200, &request.caller.tenant)
}

/// Behind the answer, another mail for somebody who knows the password but has not proven the address.
fn remind(request: &Request<Visitor>, account: &Account) -> Result<(), Problem> {
    let fresh = email_token::fresh(Purpose::EmailVerification, &account.id, &account.email, request.now())?;
    let actor = format!("user:{}", account.id);
    let deed = deed_of(request, actor, "user.mail_verification", Some(&account.id), None).statement();
    let mail = mail("email_verification", &request.caller.tenant, (&account.email, account.name()), &fresh);
    let posting = post(request.bindings.clone(), request.caller.rows(&request.bindings)?, fresh, deed, mail);
    request.background.spawn(posting);
    Ok(())
}
