//! `POST /api/v1/auth/register`: everybody who verifies an e-mail address becomes a user, if registration is open.
//!
//! Invariants
//! - The response is alike whether the address is free or taken, after the same work: one hash, one query, one batch.
//!   Only the mail differs, and that goes to whoever owns the address.
//! - A registration makes no user (`auth/registration.rs`), so trying its password reveals nothing either.
//! - The client gets a token, in the response and as a cookie. Its password counts only together with that token, so
//!   whoever registers somebody else's address has no password there once its owner proves it.

use super::audit_entry_by;
use super::sign_in::{LoginAttempt, check_tenant, mail, mail_of, read_new_email, read_new_password};
use crate::auth::account::{self, Account};
use crate::auth::email_token::{self, EmailTokenPurpose};
use crate::auth::password_hashing::PasswordHashing;
use crate::auth::principal::Visitor;
use crate::auth::registration::{self, REGISTRATION_SECONDS};
use crate::auth::rules;
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::sql::args;
use domain::json;
use domain::sign_in::Registration;

/// The cookie that holds the client's token.
pub const REGISTRATION_COOKIE: &str = "__Host-carillon_registration";

/// `POST /api/v1/auth/register`
pub async fn register(mut request: Request<Visitor>) -> Result<Response, Problem> {
    if request.caller.config.registration == Registration::Closed {
        return Err(problem::registration_closed());
    }
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    check_tenant(&mut fields, &request.caller.tenant)?;
    let email = read_new_email(&mut fields);
    let of = Some(email.as_str()).filter(|email| !email.is_empty());
    let password = read_new_password(&mut fields, "password", &request.caller.config.passwords, of);
    let name = fields.text("name", 200).unwrap_or_default();
    let password = fields.finish_with(password)?;
    LoginAttempt::of(&request).count_mail(request.incoming.network(), &email).await?;

    let hash = PasswordHashing::in_turn(&request).await?.hash(&password)?;
    let rows = request.caller.rows(&request.bindings)?;
    let (tenant, now) = (&request.caller.tenant, request.now());
    let client_token = registration::client_token()?;
    let taken = rows.row::<Account>(&account::BY_EMAIL, args![email.as_str()]).await?;
    let (subject, mail, statements) = match &taken {
        None => {
            let new = registration::fresh((&email, &name, &hash), &client_token, now)?;
            let token = (new.mailed_token.as_str(), new.expires_at);
            (new.id, mail_of("email_verification", tenant, (&email, &name), token), new.statements)
        }
        Some(taken) => {
            let token = email_token::fresh(EmailTokenPurpose::PasswordReset, &taken.id, &email, now)?;
            let mail = mail("already_registered", tenant, (&email, taken.name()), &token);
            (taken.id.clone(), mail, token.statements)
        }
    };
    let entry = audit_entry_by(&request, "anybody".to_owned(), "user.register", Some(&subject), None);
    let has_room = (rules::HAS_ROOM, args![rules::room(&request.caller.config)]);
    match rows.write().add_all([has_room]).add_all(statements).audit(entry).commit().await {
        Ok(_) => crate::auth::mail::send(&request.bindings, &request.background, mail),
        // A full tenant says so, whether the address is free or taken.
        Err(error) => return Err(rules::meaning(error)),
    }
    let data = json!({ "message": "Check your mail.", "registration": client_token });
    let answer = Response::json(202, &data, Some(tenant.as_str()))?;
    Ok(answer.header("Set-Cookie", cookie(&client_token, REGISTRATION_SECONDS)))
}

/// The cookie with the client's token; with a `max_age` of 0 browsers delete it.
pub fn cookie(token: &str, max_age: i64) -> String {
    format!("{REGISTRATION_COOKIE}={token}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={max_age}")
}
