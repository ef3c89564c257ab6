//! `/api/v1/auth/verify-email`: proof that an address is one's own.

use super::deed_of;
use super::sign_in::{Door, mail, post, read_secret};
use crate::auth::account;
use crate::auth::email_token::{self, Purpose};
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
    let holder = email_token::holder(&rows, Purpose::EmailVerification, &token, now).await?;
    email_token::spend(&rows, Purpose::EmailVerification, &token, now).await?;
    let verify = args![holder.id.as_str(), holder.email.as_str(), now.millis()];
    let deed =
        deed_of(&request, format!("user:{}", holder.id), "user.verify_email", Some(&holder.id), None).statement();
    rows.write().add(account::VERIFY, verify).add(deed.0, deed.1).commit().await?;
    Response::json(200, &json!({ "email": holder.email, "email_verified": true }), Some(request.caller.tenant.as_str()))
}

/// `POST /api/v1/auth/verify-email/resend`
pub async fn resend(request: Request<Member>) -> Result<Response, Problem> {
    let user = super::account_holder(&request.caller)?;
    let tenant = &request.caller.tenant;
    if !user.email_verified {
        Door::of_member(&request).count_try(&request.incoming.address(), &user.email).await?;
        let fresh = email_token::fresh(Purpose::EmailVerification, &user.id, &user.email, request.now())?;
        let deed = super::deed(&request, "user.mail_verification", Some(&user.id), None).statement();
        let mail = mail("email_verification", tenant, (&user.email, &user.name), &fresh);
        let rows = request.caller.rows(&request.bindings)?;
        request.background.spawn(post(request.bindings.clone(), rows, fresh, deed, mail));
    }
    Response::json(202, &json!({ "email_verified": user.email_verified }), Some(tenant.as_str()))
}
