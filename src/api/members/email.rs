//! `/api/v1/auth/verify-email`: users prove that they own their e-mail address.

use super::audit_entry_by;
use super::sign_in::{LoginAttempt, mail, read_secret, store_and_send};
use crate::auth::account;
use crate::auth::email_token::{self, EmailTokenPurpose};
use crate::auth::failed_logins;
use crate::auth::principal::{Member, Visitor};
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::sql::args;
use domain::json;

/// `POST /api/v1/auth/verify-email`
pub async fn verify(mut request: Request<Visitor>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    let token = read_secret(&mut fields, "token");
    fields.finish()?;
    let (rows, now) = (request.caller.rows(&request.bindings)?, request.now());
    let attempt = failed_logins::begin(&request)?;
    let holder = email_token::holder(&rows, EmailTokenPurpose::EmailVerification, &token, now).await;
    attempt.end(&holder);
    let holder = holder?;
    email_token::spend(&rows, EmailTokenPurpose::EmailVerification, &token, now).await?;
    let verify = args![holder.id.as_str(), holder.email.as_str(), now.millis()];
    let entry = audit_entry_by(&request, format!("user:{}", holder.id), "user.verify_email", Some(&holder.id), None);
    rows.write().add(account::VERIFY, verify).audit(entry).commit().await?;
    Response::json(200, &json!({ "email": holder.email, "email_verified": true }), Some(request.caller.tenant.as_str()))
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
