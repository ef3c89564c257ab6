//! `POST /api/v1/auth/register`: whoever proves an e-mail address becomes a user, where the tenant is open.
//!
//! Invariants
//! - The answer is the same whether the address is free or taken, after the same work: one hash, one
//!   look-up, one batch. Only the mail tells, and that goes to whoever holds the address.
//! - Nobody signs in with a password before the address is proven; so trying the password tells nothing either.
//! - Who registers an address that somebody else registered and did not prove does not inherit their password,
//!   nor they theirs: whoever holds the address sets a new one.

use super::deed_of;
use super::sign_in::{Door, check_tenant, mail, read_email, read_secret};
use crate::auth::account::{self, Account};
use crate::auth::email_token::{self, Purpose};
use crate::auth::password_hashing::Work;
use crate::auth::principal::Visitor;
use crate::auth::rules;
use crate::credentials::key::fresh_id;
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::sql::StorageError;
use crate::storage::sql::args;
use domain::json;
use domain::sign_in::Registration;

/// `POST /api/v1/auth/register`
pub async fn register(mut request: Request<Visitor>) -> Result<Response, Problem> {
    if request.caller.config.registration == Registration::Closed {
        return Err(problem::registration_closed());
    }
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    check_tenant(&mut fields, &request.caller.tenant)?;
    let (email, password) = (read_email(&mut fields), read_secret(&mut fields, "password"));
    let name = fields.text("name", 200).unwrap_or_default();
    if !email.is_empty()
        && !password.is_empty()
        && let Err(invalid) = request.caller.config.passwords.check(&password, &email)
    {
        fields.wrong::<()>("password", invalid);
    }
    fields.finish()?;
    Door::of(&request).count_try(&request.incoming.address(), &email).await?;

    let hash = Work::of(&request).hash(&password)?;
    let rows = request.caller.rows(&request.bindings)?;
    let now = request.now();
    let taken = rows.row::<Account>(&account::BY_EMAIL, args![email.as_str()]).await?;
    let fresh_user = fresh_id("usr").map_err(problem::internal)?;
    let (user, name, purpose, kind, first) = match &taken {
        None => {
            let row = args![fresh_user.as_str(), email.as_str(), name.as_str(), hash, now.millis()];
            let first = (account::REGISTER, row);
            (fresh_user.as_str(), name.as_str(), Purpose::EmailVerification, "email_verification", first)
        }
        Some(taken) => {
            let first = (account::DOUBT, args![taken.id.as_str(), now.millis()]);
            (taken.id.as_str(), taken.name(), Purpose::PasswordReset, "already_registered", first)
        }
    };
    let fresh = email_token::fresh(purpose, user, &email, now)?;
    let mail = mail(kind, &request.caller.tenant, (&email, name), &fresh);
    let deed = deed_of(&request, "anybody".to_owned(), "user.register", Some(user), None).statement();
    let has_room = (rules::HAS_ROOM, args![rules::room(&request.caller.config)]);
    let statements = [has_room, first].into_iter().chain(fresh.statements).chain([deed]);
    let batch = statements.fold(rows.write(), |batch, (sql, args)| batch.add(sql, args));
    match batch.commit().await {
        Ok(_) => crate::auth::mail::send(&request.bindings, &request.background, mail),
        // Free address or taken: a tenant that is full tells no more.
        Err(error) if rules::is_full(&error) => return Err(rules::meaning(error)),
        // Somebody else registered the address at this moment; they get the mail.
        Err(StorageError::Constraint(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Response::json(202, &json!({ "message": "Check your mail." }), Some(request.caller.tenant.as_str()))
}
