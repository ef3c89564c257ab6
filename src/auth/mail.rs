//! Mail: a signed webhook (`MAIL_HOOK_URL`) asks another service to write and send it.
//!
//! Invariants
//! - Mail is sent after the response, so that the time it takes reveals nothing to the caller.
//! - Without `MAIL_HOOK_URL` no mail is sent, and the log says so. Only `MAIL_LOG`, for development, logs a token.
//!   Addresses are never logged.

use std::time::Duration;

use serde_json::Value;
use worker::Delay;

use crate::credentials::key::fresh_id;
use crate::credentials::signature;
use crate::http::outbound::{self, OutboundRequest};
use crate::http::request::Background;
use crate::log;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::settings::MailHook;
use domain::clock::{Clock, Timestamp};
use domain::json;

/// How often the hook is called until it accepts a mail.
const ATTEMPTS: u32 = 3;

/// A mail to be sent.
#[derive(Debug, Clone)]
pub struct Mail {
    /// What it is for: `email_verification`, `password_reset`, `already_registered`, `invitation`.
    pub kind: &'static str,
    /// The tenant that it is sent for.
    pub tenant: String,
    /// The address.
    pub to: String,
    /// The receiver's name; may be empty.
    pub name: String,
    /// The token in the mail's link.
    pub token: String,
    /// The token's end.
    pub expires_at: Timestamp,
}

impl Mail {
    fn body(&self) -> Value {
        json!({
            "type": self.kind,
            "tenant_id": self.tenant,
            "to": self.to,
            "name": self.name,
            "token": self.token,
            "expires_at": self.expires_at,
        })
    }
}

/// Sends a mail after the response.
pub fn send(bindings: &Bindings, background: &Background, mail: Mail) {
    let bindings = bindings.clone();
    background.spawn(async move { deliver(&bindings, &mail).await });
}

/// Sends a mail now; to be run after the response.
pub async fn deliver(bindings: &Bindings, mail: &Mail) {
    let settings = &bindings.settings;
    match &settings.mail_hook {
        Some(hook) => {
            if let Err(cause) = call_hook(hook, mail).await {
                log::fault("mail", &format!("{} of tenant {}: {cause}", mail.kind, mail.tenant));
            }
        }
        None if settings.logs_mail => log::undelivered_mail(mail.kind, &mail.tenant, &mail.token),
        None => log::fault("mail_not_configured", "MAIL_HOOK_URL is not set: no mail is sent"),
    }
}

/// Calls the hook until it accepts the mail. Each attempt has the same id.
async fn call_hook(hook: &MailHook, mail: &Mail) -> Result<(), String> {
    let id = fresh_id("msg").map_err(|e| e.to_string())?;
    let body = mail.body().to_string();
    let mut outcome = Ok(());
    for attempt in 0..ATTEMPTS {
        Delay::from(Duration::from_secs(u64::from(attempt))).await;
        outcome = post(hook, &id, &body).await;
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

async fn post(hook: &MailHook, id: &str, body: &str) -> Result<(), String> {
    let at = SystemClock.now().seconds();
    let signature = signature::sign(&hook.secret, id, at, body.as_bytes()).ok_or("cannot sign")?;
    let headers = json!({
        "content-type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": at.to_string(),
        "webhook-signature": signature,
    });
    let request = OutboundRequest { method: "POST", url: &hook.url, headers, body: Some(body.to_owned()), most: 0 };
    match outbound::send(request).await.map(|response| response.status) {
        Err(_) => Err("the mail hook cannot be reached".to_owned()),
        Ok(200..=299) => Ok(()),
        Ok(status) => Err(format!("the mail hook responded with status {status}")),
    }
}
