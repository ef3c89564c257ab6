//! `/api/v1/auth/verify-email`: people prove that they own their e-mail address.

use super::register::{REGISTRATION_COOKIE, cookie};
use super::sign_in::{LoginAttempt, mail, read_password, read_secret, store_and_send};
use super::{MAX_NAME, audit_entry_by};
use crate::auth::account;
use crate::auth::email_token::{self, EmailTokenPurpose};
use crate::auth::failed_logins;
use crate::auth::password_hashing::PasswordHashing;
use crate::auth::principal::{Member, Visitor};
use crate::auth::registration::{self, RegistrationRow};
use crate::auth::rules;
use crate::credentials::key::fresh_id;
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::sql::{StorageError, args};
use crate::storage::tenant_db::TenantDb;
use domain::error::Invalid;
use domain::json;
use domain::password::Password;

/// What comes with the token of a mail.
struct AddressProof {
    /// The token that the client got when it registered, by the body or by its cookie.
    registration: Option<String>,
    password: Option<Password>,
    name: Option<String>,
}

/// `POST /api/v1/auth/verify-email`
pub async fn verify(mut request: Request<Visitor>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    let token = read_secret(&mut fields, "token");
    let registration = fields.text("registration", 200);
    let password = fields.has("password").then(|| read_password(&mut fields, "password")).flatten();
    let name = fields.text("name", MAX_NAME);
    fields.finish()?;
    let (rows, now) = (request.caller.rows(&request.bindings)?, request.now());
    let attempt = failed_logins::begin(&request)?;
    if let Some(found) = registration::find(&rows, &token, now).await? {
        let registration = registration.or_else(|| request.incoming.cookie(REGISTRATION_COOKIE));
        attempt.end(&Ok::<_, Problem>(()));
        let attempt = LoginAttempt::of(&request).count(&request, &found.email).await?;
        let outcome = prove(&request, &rows, &found, AddressProof { registration, password, name }).await;
        attempt.end(&outcome);
        return outcome;
    }
    let holder = email_token::holder(&rows, EmailTokenPurpose::EmailVerification, &token, now).await;
    attempt.end(&holder);
    let holder = holder?;
    if password.is_some() {
        let invalid = Invalid::new("not_allowed", "must be left out: the token is that of a user, who has one");
        return Err(problem::invalid_field("/password", invalid));
    }
    email_token::spend(&rows, EmailTokenPurpose::EmailVerification, &token, now).await?;
    let verify = args![holder.id.as_str(), holder.email.as_str(), now.millis()];
    let entry = audit_entry_by(&request, format!("user:{}", holder.id), "user.verify_email", Some(&holder.id), None);
    rows.write().add(account::VERIFY, verify).audit(entry).commit().await?;
    Response::json(200, &json!({ "email": holder.email, "email_verified": true }), Some(request.caller.tenant.as_str()))
}

/// Makes the user of a registration whose address is proven. What was registered with it, password and name, counts only
/// for the client that registered; anybody else sets a password.
async fn prove(
    request: &Request<Visitor>,
    rows: &TenantDb,
    found: &RegistrationRow,
    proof: AddressProof,
) -> Result<Response, Problem> {
    let is_client = proof.registration.is_some_and(|token| found.is_clients(&token));
    let hash = match &proof.password {
        Some(password) => {
            let policy = &request.caller.config.passwords;
            policy.check(password, &found.email).map_err(|invalid| problem::invalid_field("/password", invalid))?;
            PasswordHashing::in_turn(request).await?.hash(password)?
        }
        None if is_client => found.password_hash.clone(),
        None => return Err(problem::invalid_field("/password", password_required())),
    };
    let name = proof.name.or_else(|| is_client.then(|| found.name.clone())).unwrap_or_default();
    let (id, now) = (fresh_id("usr").map_err(problem::internal)?, request.now());
    let entry = audit_entry_by(request, format!("user:{id}"), "user.verify_email", Some(&id), None);
    let batch = rows.write().add_all(found.prove(&id, &name, &hash, rules::room(&request.caller.config), now));
    match batch.audit(entry).commit().await {
        Ok(_) => {}
        Err(error) if rules::is_full(&error) => return Err(rules::meaning(error)),
        // Another request proved it, or the address became a user's in another way.
        Err(StorageError::Constraint(_)) => return Err(problem::invalid_mailed_token()),
        Err(error) => return Err(error.into()),
    }
    let tenant = Some(request.caller.tenant.as_str());
    let answer = Response::json(200, &json!({ "email": found.email, "email_verified": true }), tenant)?;
    Ok(answer.header("Set-Cookie", cookie("", 0)))
}

fn password_required() -> Invalid {
    let message = "must be set: the password of the registration counts only for the client that registered, \
                   with the token `registration` that it was given";
    Invalid::new("required", message)
}

/// `POST /api/v1/auth/verify-email/resend`
pub async fn resend(request: Request<Member>) -> Result<Response, Problem> {
    let user = super::account_holder(&request.caller)?;
    let tenant = &request.caller.tenant;
    if !user.email_verified {
        LoginAttempt::of_member(&request).count_mail(request.incoming.network(), &user.email).await?;
        let token = email_token::fresh(EmailTokenPurpose::EmailVerification, &user.id, &user.email, request.now())?;
        let mail = mail("email_verification", tenant, (&user.email, &user.name), &token);
        let entry = super::audit_entry(&request, "user.mail_verification", Some(&user.id), None).statement();
        let rows = request.caller.rows(&request.bindings)?;
        request.background.spawn(store_and_send(request.bindings.clone(), rows, token, entry, mail));
    }
    Response::json(202, &json!({ "email_verified": user.email_verified }), Some(tenant.as_str()))
}
