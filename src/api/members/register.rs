//! `POST /api/v1/auth/register`: everybody who verifies an e-mail address becomes a user, if registration is open.
//!
//! Invariants
//! - The response is the same whether the address is free or taken, after the same work: one hash, one query, one batch.
//!   Only the mail differs, and that goes to whoever owns the address.
//! - Nobody signs in with a password before the address is verified, so trying the password reveals nothing either.
//! - If two people register the same address and neither has verified it, neither password counts: whoever owns the
//!   address sets a new one.

use super::audit_entry_by;
use super::sign_in::{LoginAttempt, check_tenant, mail, read_email, read_secret};
use crate::auth::account::{self, Account};
use crate::auth::email_token::{self, EmailTokenPurpose};
use crate::auth::password_hashing::PasswordHashing;
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
    LoginAttempt::of(&request).count_mail(request.incoming.network(), &email).await?;

    let hash = PasswordHashing::of(&request).hash(&password)?;
    let rows = request.caller.rows(&request.bindings)?;
    let now = request.now();
    let taken = rows.row::<Account>(&account::BY_EMAIL, args![email.as_str()]).await?;
    let new_id = fresh_id("usr").map_err(problem::internal)?;
    let (user, name, purpose, kind, write) = match &taken {
        None => {
            let row = args![new_id.as_str(), email.as_str(), name.as_str(), hash, now.millis()];
            let write = (account::REGISTER, row);
            (new_id.as_str(), name.as_str(), EmailTokenPurpose::EmailVerification, "email_verification", write)
        }
        Some(taken) => {
            let write = (account::DROP_UNVERIFIED_PASSWORD, args![taken.id.as_str(), now.millis()]);
            (taken.id.as_str(), taken.name(), EmailTokenPurpose::PasswordReset, "already_registered", write)
        }
    };
    let token = email_token::fresh(purpose, user, &email, now)?;
    let mail = mail(kind, &request.caller.tenant, (&email, name), &token);
    let entry = audit_entry_by(&request, "anybody".to_owned(), "user.register", Some(user), None);
    let has_room = (rules::HAS_ROOM, args![rules::room(&request.caller.config)]);
    let batch = rows.write().add_all([has_room, write]).add_all(token.statements).audit(entry);
    match batch.commit().await {
        Ok(_) => crate::auth::mail::send(&request.bindings, &request.background, mail),
        // A full tenant says so, whether the address is free or taken.
        Err(error) if rules::is_full(&error) => return Err(rules::meaning(error)),
        // Another request registered the address at the same moment; that one sends the mail.
        Err(StorageError::Constraint(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Response::json(202, &json!({ "message": "Check your mail." }), Some(request.caller.tenant.as_str()))
}
