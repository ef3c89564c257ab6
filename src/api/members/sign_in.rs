//! What every way of signing in goes through: the count of tries, the work of hashing, the mail.

use serde_json::Value;

use crate::auth::email_token::Fresh;
use crate::auth::mail::{Mail, deliver};
use crate::auth::principal::{Member, Visitor};
use crate::auth::session::LoginContext;
use crate::credentials::signature::digest;
use crate::http::fields::Fields;
use crate::http::letters::lower_case;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::hub::protocol::CountLogin;
use crate::log;
use crate::storage::bindings::Bindings;
use crate::storage::sql::{Arg, TenantSql};
use crate::storage::tenant_db::TenantDb;
use crate::tenant::tenant_state;
use crate::tenant_id::TenantId;
use domain::address::network;
use domain::email::parse_email;
use domain::error::Invalid;
use domain::host::Host;
use domain::sign_in::MAX_PASSWORD;

/// The tenant, as a try to sign in came to it.
pub struct Door<'a> {
    /// The deployment.
    pub bindings: &'a Bindings,
    /// The tenant.
    pub tenant: &'a TenantId,
    /// Its host, if the request came to it.
    pub host: Option<&'a Host>,
    /// The revision that was seen.
    pub revision: i64,
}

impl<'a> Door<'a> {
    /// Of a visitor.
    pub fn of(request: &'a Request<Visitor>) -> Self {
        let Visitor { tenant, host, config, .. } = &*request.caller;
        Self { bindings: &request.bindings, tenant, host: Some(host), revision: config.revision }
    }

    /// Of somebody who acts in the tenant.
    pub fn of_member(request: &'a Request<Member>) -> Self {
        let Member { tenant, host, config, .. } = &*request.caller;
        Self { bindings: &request.bindings, tenant, host: host.as_ref(), revision: config.revision }
    }

    /// Counts a try at an account, and refuses one too many; before anything is hashed or looked up.
    pub async fn count_try(&self, address: &str, email: &str) -> Result<(), Problem> {
        let (address, account) = (digest(network(address).as_bytes()), digest(email.as_bytes()));
        let message = CountLogin { address, account };
        let counted =
            tenant_state::call_hub(self.bindings, self.tenant, self.host, self.revision, async |hub, caller| {
                hub.call_for(&caller, &message).await
            });
        counted.await?;
        Ok(())
    }
}

/// The rows behind a visitor, for a session to be opened in.
pub fn lobby<'a>(request: &'a Request<Visitor>, rows: &'a TenantDb) -> LoginContext<'a> {
    LoginContext { bindings: &request.bindings, tenant: &request.caller.tenant, rows }
}

/// The mail that carries a fresh token.
pub fn mail(kind: &'static str, tenant: &TenantId, (to, name): (&str, &str), fresh: &Fresh) -> Mail {
    Mail {
        kind,
        tenant: tenant.to_string(),
        to: to.to_owned(),
        name: name.to_owned(),
        token: fresh.text.clone(),
        expires_at: fresh.expires_at,
    }
}

/// Keeps a fresh token with the deed that led to it, and mails it; for behind the answer.
pub async fn post(bindings: Bindings, rows: TenantDb, fresh: Fresh, deed: (TenantSql, Vec<Arg>), mail: Mail) {
    let statements = fresh.statements.into_iter().chain([deed]);
    let batch = statements.fold(rows.write(), |batch, (sql, args)| batch.add(sql, args));
    match batch.commit().await {
        Ok(_) => deliver(&bindings, &mail).await,
        Err(error) => log::fault("mail", &error.to_string()),
    }
}

/// A body may name the tenant; it must be the one that was asked.
pub fn check_tenant(fields: &mut Fields, tenant: &TenantId) -> Result<(), Problem> {
    let agrees = fields.take("tenant_id").is_none_or(|named| named.as_str() == Some(tenant.as_str()));
    if agrees { Ok(()) } else { Err(problem::tenant_not_found().crossing_tenants()) }
}

/// Reads an address, in lower case.
pub fn read_email(fields: &mut Fields) -> String {
    fields.require("email");
    lower_case(&fields.parsed("email", parse_email).unwrap_or_default())
}

/// Reads a text that somebody presents: a password, a token. What it holds is not looked at.
pub fn read_secret(fields: &mut Fields, name: &str) -> String {
    fields.require(name);
    match fields.take(name) {
        Some(Value::String(text)) if (1..=MAX_PASSWORD).contains(&text.len()) => return text,
        None => {}
        Some(_) => {
            let message = format!("must be a string of 1 to {MAX_PASSWORD} bytes");
            fields.wrong::<()>(name, Invalid::new("invalid_length", message));
        }
    }
    String::new()
}
