//! `/api/v1/auth/verify-email`: proof that an address is one's own.

use super::deed_of;
use super::sign_in::{Door, mail, post, read_secret};
use crate::auth::account;
use crate::auth::email_token::{self, Purpose};
use crate::auth::principal::{Member, Visitor};
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::problem::Answered;
use crate::http::request::Call;
use crate::http::response::Answer;
use crate::storage::sql::args;
use domain::json;

/// `POST /api/v1/auth/verify-email`
pub async fn verify(mut call: Call<Visitor>) -> Answered<Answer> {
    let mut fields = Fields::new(call.request.json_object(JSON).await?);
    let token = read_secret(&mut fields, "token");
    fields.finish()?;
    let (rows, now) = (call.who.rows(&call.bindings)?, call.now());
    let holder = email_token::holder(&rows, Purpose::EmailVerification, &token, now).await?;
    email_token::spend(&rows, Purpose::EmailVerification, &token, now).await?;
    let verify = args![holder.id.as_str(), holder.email.as_str(), now.millis()];
    let deed = deed_of(&call, format!("user:{}", holder.id), "user.verify_email", Some(&holder.id), None).statement();
    rows.write().add(account::VERIFY, verify).add(deed.0, deed.1).commit().await?;
    Answer::json(200, &json!({ "email": holder.email, "email_verified": true }), Some(call.who.tenant.as_str()))
}

/// `POST /api/v1/auth/verify-email/resend`
pub async fn resend(call: Call<Member>) -> Answered<Answer> {
    let user = super::account_holder(&call.who)?;
    let tenant = &call.who.tenant;
    if !user.email_verified {
        Door::of_member(&call).count_try(&call.request.address(), &user.email).await?;
        let fresh = email_token::fresh(Purpose::EmailVerification, &user.id, &user.email, call.now())?;
        let deed = super::deed(&call, "user.mail_verification", Some(&user.id), None).statement();
        let mail = mail("email_verification", tenant, (&user.email, &user.name), &fresh);
        let rows = call.who.rows(&call.bindings)?;
        call.later.run(post(call.bindings.clone(), rows, fresh, deed, mail));
    }
    Answer::json(202, &json!({ "email_verified": user.email_verified }), Some(tenant.as_str()))
}
