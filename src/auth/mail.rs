//! Mail: we write none ourselves. A signed webhook asks whoever can.
//!
//! Invariants
//! - Mail goes out behind the answer: how long it takes tells the caller nothing.
//! - Without `MAIL_HOOK_URL` nobody gets mail, and the log says so. Only `MAIL_LOG`, for development, puts a
//!   token there. Addresses are never logged.

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

/// How often a delivery is tried.
const ATTEMPTS: u32 = 3;

/// A mail to be sent.
#[derive(Debug, Clone)]
pub struct Mail {
    /// What it is about: `email_verification`, `password_reset`, `already_registered`, `invitation`.
    pub kind: &'static str,
    /// The tenant it is from.
    pub tenant: String,
    /// The address.
    pub to: String,
    /// What the receiver is called; empty if nobody said.
    pub name: String,
    /// The token that the mail's link carries, good once.
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

/// Sends a mail behind the answer.
pub fn send(bindings: &Bindings, background: &Background, mail: Mail) {
    let bindings = bindings.clone();
    background.spawn(async move { deliver(&bindings, &mail).await });
}

/// Sends a mail now, for what is behind the answer already.
pub async fn deliver(bindings: &Bindings, mail: &Mail) {
    let settings = &bindings.settings;
    match &settings.mail_hook {
        Some(hook) => {
            if let Err(cause) = ask(hook, mail).await {
                log::fault("mail", &format!("{} of tenant {}: {cause}", mail.kind, mail.tenant));
            }
        }
        None if settings.logs_mail => log::undelivered_mail(mail.kind, &mail.tenant, &mail.token),
        None => log::fault("mail_not_configured", "MAIL_HOOK_URL is not set: nobody gets mail"),
    }
}

/// Asks the hook, again if it does not take it. Each attempt carries the same id.
async fn ask(hook: &MailHook, mail: &Mail) -> Result<(), String> {
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
    let call = OutboundRequest { method: "POST", url: &hook.url, headers, body: Some(body.to_owned()), most: 0 };
    match outbound::send(call).await.map(|answer| answer.status) {
        None => Err("the mail hook cannot be reached".to_owned()),
        Some(200..=299) => Ok(()),
        Some(status) => Err(format!("the mail hook answered {status}")),
    }
}
