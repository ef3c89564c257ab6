//! `/api/v1/auth/password`: another password, by the one before or by a mail.
//!
//! Another password ends every session, token and stream that there was under the one before.

use std::time::Duration;

use worker::Delay;

use super::sign_in::{Door, check_tenant, mail, post, read_email, read_secret};
use super::{account_holder, deed, deed_of, end_minted, end_minted_of};
use crate::auth::account::{self, Account};
use crate::auth::authenticate_member::Credential;
use crate::auth::email_token::{self, Purpose};
use crate::auth::password_hashing::Work;
use crate::auth::principal::{Member, Visitor};
use crate::auth::session::{self, Carrier, LoginContext};
use crate::credentials::password::Verdict;
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::log;
use crate::storage::audit_log::Deed;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::sql::args;
use crate::storage::tenant_db::{Placement, TenantDb};
use crate::tenant_id::TenantId;
use domain::clock::{Clock, Timestamp};
use domain::json;

/// `POST /api/v1/auth/password`
pub async fn change(mut request: Request<Member>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    let user = account_holder(&request.caller)?.clone();
    let current = read_secret(&mut fields, "current_password");
    let new = read_secret(&mut fields, "new_password");
    if !new.is_empty()
        && let Err(invalid) = request.caller.config.passwords.check(&new, &user.email)
    {
        fields.wrong::<()>("new_password", invalid);
    }
    fields.finish()?;
    Door::of_member(&request).count_try(&request.incoming.address(), &user.email).await?;

    let work = Work::of(&request);
    let rows = request.caller.rows(&request.bindings)?;
    let account = rows.row::<Account>(&account::BY_ID, args![user.id.as_str()]).await?;
    let account = account.filter(|a| work.verify(&current, a.password_hash.as_deref()) != Verdict::Wrong);
    let account = account.ok_or_else(problem::invalid_credentials)?;
    let hash = work.hash(&new)?;
    let minted_by = Some(format!("user:{}", user.id));
    end_minted(&request, minted_by.clone()).await?;
    let now = request.now();
    let deed = deed(&request, "user.change_password", Some(&user.id), None).statement();
    let still = (account::STILL, args![user.id.as_str(), account.password_hash.as_deref()]);
    let statements = std::iter::once(still).chain(account::set_password(&user.id, &hash, now)).chain([deed]);
    statements.fold(rows.write(), |batch, (sql, args)| batch.add(sql, args)).commit().await?;
    end_minted(&request, minted_by).await?;

    // The caller goes on in a session of its own, which begins when things count again.
    while SystemClock.now() < account::void_until(now) {
        Delay::from(Duration::from_millis(1)).await;
    }
    let by_cookie = matches!(Credential::of(&request.incoming), Some(Credential::Cookie(_)));
    let carrier = if by_cookie { Carrier::Cookie } else { Carrier::Tokens };
    let lobby = LoginContext { bindings: &request.bindings, tenant: &request.caller.tenant, rows: &rows };
    let opened = session::open(&lobby, &account.signing_in(), &request.incoming, carrier, Vec::new()).await?;
    opened.answer(200, &request.caller.tenant)
}

/// `POST /api/v1/auth/password/forgot`. Everything that depends on the account happens behind the answer.
pub async fn forgot(mut request: Request<Visitor>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    check_tenant(&mut fields, &request.caller.tenant)?;
    let email = read_email(&mut fields);
    fields.finish()?;
    Door::of(&request).count_try(&request.incoming.address(), &email).await?;
    let forgetful = Forgetful {
        bindings: request.bindings.clone(),
        tenant: request.caller.tenant.clone(),
        placement: request.caller.config.placement.clone(),
        email,
        address: request.incoming.address(),
        request_id: request.incoming.id.clone(),
        at: request.now(),
    };
    request.background.spawn(async move {
        if let Err(problem) = forgetful.help().await {
            log::fault("mail", problem.cause.as_deref().unwrap_or(problem.code));
        }
    });
    let data = json!({ "message": "If there is such an account, it gets a mail." });
    Response::json(202, &data, Some(request.caller.tenant.as_str()))
}

/// Somebody who says that an account is theirs, and that they forgot its password.
struct Forgetful {
    bindings: Bindings,
    tenant: TenantId,
    placement: Placement,
    email: String,
    address: String,
    request_id: String,
    at: Timestamp,
}

impl Forgetful {
    /// Mails a token to the account's address, if there is an account in use.
    async fn help(self) -> Result<(), Problem> {
        let rows = TenantDb::open(&self.bindings, &self.tenant, &self.placement)?;
        let account = rows.row::<Account>(&account::BY_EMAIL, args![self.email]).await?;
        let Some(account) = account.filter(Account::is_active) else { return Ok(()) };
        let fresh = email_token::fresh(Purpose::PasswordReset, &account.id, &account.email, self.at)?;
        let deed = Deed {
            at: self.at,
            actor: "anybody".to_owned(),
            operation: "user.mail_password_reset",
            subject: Some(&account.id),
            detail: None,
            address: self.address,
            request_id: &self.request_id,
        };
        let mail = mail("password_reset", &self.tenant, (&account.email, account.name()), &fresh);
        post(self.bindings, rows, fresh, deed.statement(), mail).await;
        Ok(())
    }
}

/// `POST /api/v1/auth/password/reset`
pub async fn reset(mut request: Request<Visitor>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    let (token, password) = (read_secret(&mut fields, "token"), read_secret(&mut fields, "password"));
    fields.finish()?;
    let (rows, now) = (request.caller.rows(&request.bindings)?, request.now());
    let holder = email_token::holder(&rows, Purpose::PasswordReset, &token, now).await?;
    let policy = &request.caller.config.passwords;
    policy.check(&password, &holder.email).map_err(|invalid| problem::invalid_field("/password", invalid))?;
    let hash = Work::of(&request).hash(&password)?;
    email_token::spend(&rows, Purpose::PasswordReset, &token, now).await?;

    let actor = format!("user:{}", holder.id);
    let (bindings, tenant) = (&request.bindings, &request.caller.tenant);
    end_minted_of(bindings, tenant, Some(actor.clone())).await?;
    let now = request.now();
    let deed = deed_of(&request, actor.clone(), "user.reset_password", Some(&holder.id), None).statement();
    let verify = (account::VERIFY, args![holder.id.as_str(), holder.email.as_str(), now.millis()]);
    let forget = (email_token::FORGET_OF_USER, args![holder.id.as_str()]);
    let statements = account::set_password(&holder.id, &hash, now).into_iter().chain([verify, forget, deed]);
    statements.fold(rows.write(), |batch, (sql, args)| batch.add(sql, args)).commit().await?;
    end_minted_of(bindings, tenant, Some(actor)).await?;
    Response::json(200, &json!({ "email": holder.email, "email_verified": true }), Some(tenant.as_str()))
}
