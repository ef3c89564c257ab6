//! `/api/v1/auth/sso`: a browser is sent to the user's provider, and comes back with a session.

use form_urlencoded::Serializer;

use crate::auth::principal::Visitor;
use crate::auth::revocation::{MintedBy, revoking};
use crate::auth::rules;
use crate::auth::session::{self, Carrier, LoginContext};
use crate::auth::sso::account::UserProvisioning;
use crate::auth::sso::attempt::{self, ATTEMPT_SECONDS, Attempt, AuthorizationParams, NewAttempt};
use crate::auth::sso::discovery::{Metadata, ProviderClient};
use crate::auth::sso::exchange::redeem;
use crate::auth::sso::provider::Provider;
use crate::credentials::key::fresh_secret;
use crate::http::listing::ViewRow;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::{Pagination, Response};
use crate::storage::sealed::SealKey;
use crate::storage::sql::statements;
use crate::storage::tenant_db::TenantDb;
use crate::tenant::secrets;
use domain::error::Invalid;

statements! { TenantSql;
    /// The providers that a login page offers.
    ENABLED = "SELECT id, created_at, json_object('id', id, 'name', name) AS view FROM sso_providers WHERE tenant_id = ?1 AND enabled = 1 ORDER BY name, id";
}

/// The cookie that binds a sign-in to the browser that began it.
const BROWSER_COOKIE: &str = "__Host-carillon_sso";
/// The length of its value: 256 bits in base64url.
const SECRET_LENGTH: usize = 43;
/// The longest `return_to`.
const MAX_PATH: usize = 1000;

/// `GET /api/v1/auth/sso`
pub async fn list(request: Request<Visitor>) -> Result<Response, Problem> {
    let rows = rows(&request)?.rows::<ViewRow>(&ENABLED, Vec::new()).await?;
    let shown = rows.iter().map(ViewRow::shown).collect::<Result<Vec<_>, Problem>>()?;
    let per_page = u32::try_from(super::providers::MAX_PROVIDERS).unwrap_or(0);
    Response::list(&shown, Pagination { per_page, ..Pagination::default() }, Some(request.caller.tenant.as_str()))
}

/// `GET /api/v1/auth/sso/{provider_id}`
pub async fn begin(request: Request<Visitor>) -> Result<Response, Problem> {
    check(&request)?;
    let return_to = request.incoming.query.get("return_to").unwrap_or("/");
    check_path(return_to).map_err(|invalid| problem::invalid_query("return_to", invalid))?;
    let rows = rows(&request)?;
    let provider = Provider::find(&rows, request.params.get("provider_id")).await?.ok_or_else(problem::not_found)?;
    let context = LoginContext { bindings: &request.bindings, tenant: &request.caller.tenant, rows: &rows };
    let secrets = secrets::load(&request.bindings, request.caller.tenant.as_str()).await?;
    let key = secrets.data_key()?;
    let metadata = ProviderClient { context: &context, key, provider: &provider }.metadata().await?;
    // A browser with two sign-ins at a time keeps one secret, so that both can come back.
    let present = request.incoming.cookie(BROWSER_COOKIE).filter(|secret| is_secret(secret));
    let browser = present.map_or_else(|| fresh_secret("").map_err(problem::internal), Ok)?;
    let authority = request.incoming.authority.to_ascii_lowercase();
    let redirect_uri = format!("{}://{authority}/api/v1/auth/sso/callback", request.incoming.scheme);
    let network = request.incoming.network();
    let back = redirect_uri.clone();
    let new = NewAttempt { provider: &provider, browser: &browser, redirect_uri: back, return_to, network };
    let params = attempt::begin(&context, key, new, request.now()).await?;
    let location = authorization_url(&metadata, &provider, &params, &redirect_uri);
    Ok(redirect(302, location).header("Set-Cookie", browser_cookie(&browser, ATTEMPT_SECONDS)))
}

/// `GET /api/v1/auth/sso/callback`
pub async fn finish(request: Request<Visitor>) -> Result<Response, Problem> {
    check(&request)?;
    let rows = rows(&request)?;
    let context = LoginContext { bindings: &request.bindings, tenant: &request.caller.tenant, rows: &rows };
    let secrets = secrets::load(&request.bindings, request.caller.tenant.as_str()).await?;
    let key = secrets.data_key()?;
    let attempt = take_attempt(&request, &context, key).await?;
    let provider = Provider::find(&rows, &attempt.provider).await?.ok_or_else(problem::not_found)?;
    if !attempt.came_from(&provider) {
        return Err(problem::sso_state_invalid().cause("the provider has another issuer or client by now"));
    }
    let client = ProviderClient { context: &context, key, provider: &provider };
    let metadata = client.metadata().await?;
    let query = &request.incoming.query;
    match query.get("iss") {
        Some(named) if named != provider.issuer => {
            return Err(problem::sso_refused().cause("iss is another provider's"));
        }
        None if metadata.sends_iss => return Err(problem::sso_refused().cause("iss is missing")),
        _ => {}
    }
    let code = query.get("code").filter(|_| query.get("error").is_none());
    let code = code.ok_or_else(|| problem::sso_refused().cause("the provider sends an error"))?;
    let identity = redeem(&client, &metadata, &attempt, code).await?;
    let max_users = rules::room(&request.caller.config);
    let provisioning = UserProvisioning {
        context: &context,
        provider: &provider,
        identity: &identity,
        max_users,
        request: &request.incoming,
    };
    let provisioned = provisioning.provision().await?;
    let ending = if provisioned.changes_role { MintedBy::user(&provisioned.user.id) } else { MintedBy::Nobody };
    let open = session::open(&context, &provisioned.user, &request.incoming, Carrier::Cookie, provisioned.statements);
    let opened = revoking(&request.bindings, &request.caller.tenant, ending, open).await?;
    let cookie = opened.cookie.ok_or_else(|| problem::internal("a session without a cookie"))?;
    Ok(redirect(303, attempt.return_to).header("Set-Cookie", cookie).header("Set-Cookie", browser_cookie("", 0)))
}

/// Takes the attempt that this browser began and now comes back from.
async fn take_attempt(
    request: &Request<Visitor>,
    context: &LoginContext<'_>,
    key: &SealKey,
) -> Result<Attempt, Problem> {
    let state = request.incoming.query.get("state").unwrap_or_default();
    let browser = request.incoming.cookie(BROWSER_COOKIE).unwrap_or_default();
    let found = attempt::consume(context, key, (state, &browser), request.now()).await?;
    found.filter(|_| is_secret(&browser)).ok_or_else(problem::sso_state_invalid)
}

/// Refuses HEAD, and a query that names another tenant.
fn check(request: &Request<Visitor>) -> Result<(), Problem> {
    if request.is_head() {
        return Err(problem::method_not_allowed("GET"));
    }
    let agree = request.incoming.query.all("tenant").all(|named| named == request.caller.tenant.as_str());
    if agree { Ok(()) } else { Err(problem::tenant_not_found().crossing_tenants()) }
}

fn rows(request: &Request<Visitor>) -> Result<TenantDb, Problem> {
    Ok(TenantDb::open(&request.bindings, &request.caller.tenant, &request.caller.config.placement)?)
}

fn redirect(status: u16, location: String) -> Response {
    Response::empty(status).header("Location", location).header("Referrer-Policy", "no-referrer")
}

/// The authorization request of RFC 6749, 4.1.1 with RFC 7636, 4.3, as a URL.
fn authorization_url(
    metadata: &Metadata,
    provider: &Provider,
    params: &AuthorizationParams,
    redirect_uri: &str,
) -> String {
    let mut query = Serializer::new(String::new());
    query.extend_pairs([
        ("response_type", "code"),
        ("client_id", &provider.client_id),
        ("redirect_uri", redirect_uri),
        ("scope", &provider.scopes),
        ("state", &params.state),
        ("nonce", &params.nonce),
        ("code_challenge", &params.challenge),
        ("code_challenge_method", "S256"),
    ]);
    let address = metadata.authorization.as_str();
    let sign = if address.contains('?') { '&' } else { '?' };
    format!("{address}{sign}{}", query.finish())
}

fn browser_cookie(text: &str, max_age: i64) -> String {
    format!("{BROWSER_COOKIE}={text}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={max_age}")
}

fn is_secret(text: &str) -> bool {
    text.len() == SECRET_LENGTH && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Refuses what a browser could read as anything but a path on this host.
fn check_path(path: &str) -> Result<(), Invalid> {
    let clean = path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if path.starts_with('/') && !path.starts_with("//") && clean && path.len() <= MAX_PATH {
        return Ok(());
    }
    Err(Invalid::new("invalid_path", "must be a path on this host, such as /console"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_paths_on_this_host_are_returned_to() {
        for good in ["/", "/console?tab=1#top", "/a//b", "/%2F%2Fevil.test"] {
            assert!(check_path(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            "//evil.test",
            "/\\evil.test",
            "\\/evil.test",
            "https://evil.test",
            "javascript:alert(1)",
            "/\t/evil.test",
            "/\n/evil.test",
            "/a b",
            "/\u{e4}",
            " /",
            ".//evil.test",
        ] {
            assert!(check_path(bad).is_err(), "{bad}");
        }
        assert!(check_path(&format!("/{}", "x".repeat(MAX_PATH))).is_err());
    }

    proptest! {
        #[test]
        fn what_is_returned_to_cannot_leave_the_host(path in "[/\\\\a.:@%?# \\t]{0,12}") {
            if check_path(&path).is_ok() {
                let second = path.as_bytes().get(1);
                prop_assert!(path.starts_with('/') && second != Some(&b'/') && second != Some(&b'\\'));
            }
        }
    }
}
