//! What all ways of signing in share: attempts are counted, secrets are read, tokens are mailed.

use serde_json::Value;

use crate::auth::email_token::NewEmailToken;
use crate::auth::failed_logins::{self, CountedAttempt};
use crate::auth::mail::{Mail, deliver};
use crate::auth::principal::{Member, Visitor};
use crate::auth::session::LoginContext;
use crate::credentials::signature::digest;
use crate::http::fields::Fields;
use crate::http::letters::{lower_case, normalize};
use crate::http::problem::{self, Problem};
use crate::http::request::{Background, Request};
use crate::http::response::Response;
use crate::hub::protocol::{CountLogin, CountMail, LoginSucceeded};
use crate::log;
use crate::storage::bindings::Bindings;
use crate::storage::sql::{Arg, TenantSql};
use crate::storage::tenant_db::TenantDb;
use crate::tenant::tenant_state::{self, HubError};
use crate::tenant_id::TenantId;
use domain::address::Network;
use domain::clock::Timestamp;
use domain::email::{parse_email, parse_known_email};
use domain::error::Invalid;
use domain::host::Host;
use domain::password::Password;
use domain::sign_in::PasswordPolicy;

/// The longest token that somebody presents, in bytes.
const MAX_SECRET: usize = 256;

/// An attempt to sign in to a tenant.
pub struct LoginAttempt<'a> {
    /// The deployment.
    pub bindings: &'a Bindings,
    /// The tenant.
    pub tenant: &'a TenantId,
    /// Its host, if the request came to it.
    pub host: Option<&'a Host>,
    /// The tenant's revision that this request was admitted with.
    pub revision: i64,
}

impl<'a> LoginAttempt<'a> {
    /// By a visitor.
    pub fn of(request: &'a Request<Visitor>) -> Self {
        let Visitor { tenant, host, config, .. } = &*request.caller;
        Self { bindings: &request.bindings, tenant, host: Some(host), revision: config.revision }
    }

    /// By somebody who is signed in.
    pub fn of_member(request: &'a Request<Member>) -> Self {
        let Member { tenant, host, config, .. } = &*request.caller;
        Self { bindings: &request.bindings, tenant, host: host.as_ref(), revision: config.revision }
    }

    /// Counts an attempt at an account as a failure, before anything is hashed or looked up. 429 if too many failed: of the
    /// network, of the network at the account, or of strange networks at the account.
    pub async fn count<Who>(&self, request: &Request<Who>, email: &str) -> Result<CountedLogin, Problem> {
        let in_all_tenants = failed_logins::begin(request)?;
        let (address, account) = (digest_of(request.incoming.network()), digest(email.as_bytes()));
        let message = CountLogin { address, account };
        let counted =
            tenant_state::call_hub(self.bindings, self.tenant, self.host, self.revision, async |hub, caller| {
                hub.call_for(&caller, &message).await
            });
        counted.await?;
        Ok(CountedLogin {
            in_all_tenants,
            bindings: self.bindings.clone(),
            background: request.background.clone(),
            tenant: self.tenant.clone(),
            host: self.host.cloned(),
            revision: self.revision,
            message: LoginSucceeded { address: message.address, account: message.account },
        })
    }

    /// Counts a mail that a network asks for. 429 if there were too many: to the person, or of the network.
    pub async fn count_mail(&self, network: Network, email: &str) -> Result<(), Problem> {
        self.count_mail_by(Some(digest_of(network)), email).await
    }

    /// Counts a mail by somebody who may write to whom they like. 429 if the person got too many.
    pub async fn count_members_mail(&self, email: &str) -> Result<(), Problem> {
        self.count_mail_by(None, email).await
    }

    async fn count_mail_by(&self, network: Option<String>, email: &str) -> Result<(), Problem> {
        let message = CountMail { network, person: digest(lower_case(email).as_bytes()) };
        let counted =
            tenant_state::call_hub(self.bindings, self.tenant, self.host, self.revision, async |hub, caller| {
                hub.call_for(&caller, &message).await
            });
        counted.await?;
        Ok(())
    }
}

fn digest_of(network: Network) -> String {
    digest(network.to_string().as_bytes())
}

/// An attempt at an account that was counted.
#[must_use]
pub struct CountedLogin {
    in_all_tenants: CountedAttempt,
    bindings: Bindings,
    background: Background,
    tenant: TenantId,
    host: Option<Host>,
    revision: i64,
    message: LoginSucceeded,
}

impl CountedLogin {
    /// Notes how it ended. One that succeeded is taken back, after the response.
    pub fn end(self, outcome: &Result<Response, Problem>) {
        let Self { in_all_tenants, bindings, background, tenant, host, revision, message } = self;
        in_all_tenants.end(outcome);
        if outcome.is_err() {
            return;
        }
        background.spawn(async move {
            let noted = tenant_state::call_hub(&bindings, &tenant, host.as_ref(), revision, async |hub, caller| {
                hub.call_for(&caller, &message).await
            });
            if let Err(HubError::Failed(problem)) = noted.await {
                log::fault("logins", problem.cause.as_deref().unwrap_or(problem.code));
            }
        });
    }
}

/// Where a visitor's session is opened.
pub fn login_context<'a>(request: &'a Request<Visitor>, rows: &'a TenantDb) -> LoginContext<'a> {
    LoginContext { bindings: &request.bindings, tenant: &request.caller.tenant, rows }
}

/// A mail that carries a new token.
pub fn mail(kind: &'static str, tenant: &TenantId, to: (&str, &str), token: &NewEmailToken) -> Mail {
    mail_of(kind, tenant, to, (&token.text, token.expires_at))
}

/// A mail that carries a token with its end.
pub fn mail_of(
    kind: &'static str,
    tenant: &TenantId,
    (to, name): (&str, &str),
    (token, expires_at): (&str, Timestamp),
) -> Mail {
    let (tenant, to, name, token) = (tenant.to_string(), to.to_owned(), name.to_owned(), token.to_owned());
    Mail { kind, tenant, to, name, token, expires_at }
}

/// Stores a new token together with the audit entry of its request, and mails it. To be run after the response.
pub async fn store_and_send(
    bindings: Bindings,
    rows: TenantDb,
    token: NewEmailToken,
    entry: (TenantSql, Vec<Arg>),
    mail: Mail,
) {
    match rows.write().add_all(token.statements).add_all([entry]).commit().await {
        Ok(_) => deliver(&bindings, &mail).await,
        Err(error) => log::fault("mail", &error.to_string()),
    }
}

/// A body may name the tenant. 404 if it names another one than the host's.
pub fn check_tenant(fields: &mut Fields, tenant: &TenantId) -> Result<(), Problem> {
    let agrees = fields.take("tenant_id").is_none_or(|named| named.as_str() == Some(tenant.as_str()));
    if agrees { Ok(()) } else { Err(problem::tenant_not_found().crossing_tenants()) }
}

/// Reads the address of somebody new from the field `email`, in lower case; empty if it is wrong, which `Fields` reports.
pub fn read_new_email(fields: &mut Fields) -> String {
    read_email(fields, parse_email)
}

/// Reads the address that somebody may be known by, as `read_new_email` does.
pub fn read_known_email(fields: &mut Fields) -> String {
    read_email(fields, parse_known_email)
}

fn read_email(fields: &mut Fields, parse: fn(&str) -> Result<String, Invalid>) -> String {
    fields.require("email");
    lower_case(&fields.parsed("email", parse).unwrap_or_default())
}

/// Reads a password as it was typed; none if it is missing or wrong, which `Fields` reports.
pub fn read_password(fields: &mut Fields, name: &str) -> Option<Password> {
    fields.required(name, |fields| fields.parsed(name, |text| Password::parse(text, &normalize)))
}

/// Reads a new password of the user with this e-mail address, and checks it against the tenant's policy.
pub fn read_new_password(
    fields: &mut Fields,
    name: &str,
    policy: &PasswordPolicy,
    email: Option<&str>,
) -> Option<Password> {
    let password = read_password(fields, name)?;
    match email.map_or(Ok(()), |email| policy.check(&password, email)) {
        Ok(()) => Some(password),
        Err(invalid) => fields.wrong(name, invalid),
    }
}

/// Reads a token that somebody presents, of any content; empty if it is wrong, which `Fields` reports.
pub fn read_secret(fields: &mut Fields, name: &str) -> String {
    fields.require(name);
    match fields.take(name) {
        Some(Value::String(text)) if (1..=MAX_SECRET).contains(&text.len()) => return text,
        None => {}
        Some(_) => {
            let message = format!("must be a string of 1 to {MAX_SECRET} bytes");
            fields.wrong::<()>(name, Invalid::new("invalid_length", message));
        }
    }
    String::new()
}
