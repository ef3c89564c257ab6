//! `/api/v1/auth/password`: a new password, for who knows the current one or was sent a mail.
//!
//! A new password ends every session, token and stream from before it.

use std::time::Duration;

use worker::Delay;

use super::sign_in::{
    LoginAttempt, check_tenant, mail, read_known_email, read_new_password, read_password, read_secret, store_and_send,
};
use super::{account_holder, audit_entry, audit_entry_by};
use crate::auth::account::{self, Account};
use crate::auth::authenticate_member::Credential;
use crate::auth::email_token::{self, EmailTokenPurpose};
use crate::auth::failed_logins;
use crate::auth::password_hashing::PasswordHashing;
use crate::auth::principal::{Member, User, Visitor};
use crate::auth::revocation::{MintedBy, revoking};
use crate::auth::session::{self, Carrier, LoginContext};
use crate::credentials::password::PasswordCheck;
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::log;
use crate::storage::audit_log::AuditEntry;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::sql::args;
use crate::storage::tenant_db::{Placement, TenantDb};
use crate::tenant_id::TenantId;
use domain::clock::{Clock, Timestamp};
use domain::json;
use domain::password::Password;

/// `POST /api/v1/auth/password`
pub async fn change(mut request: Request<Member>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    let user = account_holder(&request.caller)?.clone();
    let current = read_password(&mut fields, "current_password");
    let policy = &request.caller.config.passwords;
    let new = read_new_password(&mut fields, "new_password", policy, Some(&user.email));
    let (current, new) = fields.finish_with(current.zip(new))?;
    failed_logins::check(&request)?;
    let hashing = PasswordHashing::in_turn(&request).await?;
    let attempt = LoginAttempt::of_member(&request).count(&request, &user.email).await?;
    let outcome = exchange(&request, &hashing, &user, (&current, &new)).await;
    attempt.end(&outcome);
    outcome
}

/// Sets the new password of a user who knows the current one.
async fn exchange(
    request: &Request<Member>,
    hashing: &PasswordHashing,
    user: &User,
    (current, new): (&Password, &Password),
) -> Result<Response, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    let account = rows.row::<Account>(&account::BY_ID, args![user.id.as_str()]).await?;
    let account = account.filter(|a| hashing.verify(current, a.password_hash.as_deref()) != PasswordCheck::Wrong);
    let account = account.ok_or_else(problem::invalid_credentials)?;
    let hash = hashing.hash(new)?;
    let voids = revoking(&request.bindings, &request.caller.tenant, MintedBy::user(&user.id), async {
        let now = request.now();
        let still = (account::STILL_CURRENT, args![user.id.as_str(), account.password_hash.as_deref()]);
        let batch = rows.write().add_all([still]).add_all(account::set_password(&user.id, &hash, now));
        batch.audit(audit_entry(request, "user.change_password", Some(&user.id), None)).commit().await?;
        Ok(account::void_until(now))
    })
    .await?;

    // The caller gets a new session, which must not begin while what is issued is still void.
    while SystemClock.now() < voids {
        Delay::from(Duration::from_millis(1)).await;
    }
    let by_cookie = matches!(Credential::of(&request.incoming), Some(Credential::Cookie(_)));
    let carrier = if by_cookie { Carrier::Cookie } else { Carrier::Tokens };
    let context = LoginContext { bindings: &request.bindings, tenant: &request.caller.tenant, rows: &rows };
    let opened = session::open(&context, &account.into_session_user(), &request.incoming, carrier, Vec::new()).await?;
    opened.answer(200, &request.caller.tenant)
}

/// `POST /api/v1/auth/password/forgot`. Everything that depends on the account happens after the response, which is
/// the same for every address.
pub async fn forgot(mut request: Request<Visitor>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    check_tenant(&mut fields, &request.caller.tenant)?;
    let email = read_known_email(&mut fields);
    fields.finish()?;
    LoginAttempt::of(&request).count_mail(request.incoming.network(), &email).await?;
    let mail = PasswordResetMail {
        bindings: request.bindings.clone(),
        tenant: request.caller.tenant.clone(),
        placement: request.caller.config.placement.clone(),
        email,
        address: request.incoming.address(),
        request_id: request.incoming.id.clone(),
        at: request.now(),
    };
    request.background.spawn(async move {
        if let Err(problem) = mail.send().await {
            log::fault("mail", problem.cause.as_deref().unwrap_or(problem.code));
        }
    });
    let data = json!({ "message": "If an account with this address exists, a mail is on its way." });
    Response::json(202, &data, Some(request.caller.tenant.as_str()))
}

/// A request to mail a token with which a new password can be set.
struct PasswordResetMail {
    bindings: Bindings,
    tenant: TenantId,
    placement: Placement,
    email: String,
    address: String,
    request_id: String,
    at: Timestamp,
}

impl PasswordResetMail {
    /// Mails the token, if an active account has the address.
    async fn send(self) -> Result<(), Problem> {
        let rows = TenantDb::open(&self.bindings, &self.tenant, &self.placement)?;
        let account = rows.row::<Account>(&account::BY_EMAIL, args![self.email]).await?;
        let Some(account) = account.filter(Account::is_active) else { return Ok(()) };
        let token = email_token::fresh(EmailTokenPurpose::PasswordReset, &account.id, &account.email, self.at)?;
        let entry = AuditEntry {
            at: self.at,
            actor: "anybody".to_owned(),
            operation: "user.mail_password_reset",
            subject: Some(&account.id),
            detail: None,
            address: self.address,
            request_id: &self.request_id,
        };
        let mail = mail("password_reset", &self.tenant, (&account.email, account.name()), &token);
        store_and_send(self.bindings, rows, token, entry.statement(), mail).await;
        Ok(())
    }
}

/// `POST /api/v1/auth/password/reset`
pub async fn reset(mut request: Request<Visitor>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    let (token, password) = (read_secret(&mut fields, "token"), read_password(&mut fields, "password"));
    let password = fields.finish_with(password)?;
    let (rows, now) = (request.caller.rows(&request.bindings)?, request.now());
    let attempt = failed_logins::begin(&request)?;
    let holder = email_token::holder(&rows, EmailTokenPurpose::PasswordReset, &token, now).await;
    attempt.end(&holder);
    let holder = holder?;
    let policy = &request.caller.config.passwords;
    policy.check(&password, &holder.email).map_err(|invalid| problem::invalid_field("/password", invalid))?;
    let hash = PasswordHashing::in_turn(&request).await?.hash(&password)?;
    email_token::spend(&rows, EmailTokenPurpose::PasswordReset, &token, now).await?;

    let tenant = &request.caller.tenant;
    revoking(&request.bindings, tenant, MintedBy::user(&holder.id), async {
        let (id, now) = (holder.id.as_str(), request.now());
        let batch = rows
            .write()
            .add_all(account::set_password(id, &hash, now))
            .add(account::VERIFY, args![id, holder.email.as_str(), now.millis()])
            .add(email_token::FORGET_OF_USER, args![id])
            .audit(audit_entry_by(&request, format!("user:{id}"), "user.reset_password", Some(id), None));
        batch.commit().await.map_err(Problem::from)
    })
    .await?;
    Response::json(200, &json!({ "email": holder.email, "email_verified": true }), Some(tenant.as_str()))
}
