//! `/api/v1/sso/clients`: the tenant's own applications at an identity provider, as they are registered there.
//!
//! A client's id is a name without `-`, then `-` and the tenant's id: so no two tenants can have the same one, whatever
//! their ids are.
//!
//! Invariants
//! - A client has a secret from its making on, which is told once: then, and with each rotation. Rows hold digests, which
//!   are compared in constant time; no log line and no audit entry has either.
//! - After a rotation the secret before it stays good until its grace ends; a second rotation ends that of the first.
//! - The platform issues no tokens to these clients: the identity provider does, where the same secret is registered.
//!   `verify` tells whoever deploys an application whether the secret that it holds is the one.

use serde_json::Value;

use crate::api::members::audit_entry;
use crate::auth::principal::Member;
use crate::credentials::constant_time::constant_time_eq;
use crate::credentials::key::fresh_secret;
use crate::credentials::signature::digest;
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::listing::{ListParams, ViewRow};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::row::{CountRow, row_types};
use crate::storage::sql::{Arg, TenantSql};
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::TenantDb;
use crate::tenant::registry::display_name;
use domain::clock::Timestamp;
use domain::error::Invalid;
use domain::host::Host;
use domain::json;
use domain::uri::has_whole_escapes;

statements! { TenantSql;
    /// Clients, newest first.
    SHOWN = "SELECT client_id AS id, created_at, json_object('client_id', client_id, 'name', CASE WHEN name = '' THEN client_id ELSE name END, 'redirect_uris', json(redirect_uris), 'has_secret', json(CASE WHEN secret_digest IS NULL THEN 'false' ELSE 'true' END), 'previous_valid_until', previous_until, 'created_at', created_at, 'updated_at', updated_at) AS view FROM sso_clients WHERE tenant_id = ?1 AND (created_at, client_id) < (?2, ?3) ORDER BY created_at DESC, client_id DESC LIMIT ?4";
    /// One client.
    FIND = "SELECT client_id AS id, created_at, json_object('client_id', client_id, 'name', CASE WHEN name = '' THEN client_id ELSE name END, 'redirect_uris', json(redirect_uris), 'has_secret', json(CASE WHEN secret_digest IS NULL THEN 'false' ELSE 'true' END), 'previous_valid_until', previous_until, 'created_at', created_at, 'updated_at', updated_at) AS view FROM sso_clients WHERE tenant_id = ?1 AND client_id = ?2";
    /// How many other clients there are.
    COUNT_OTHERS = "SELECT count(*) AS total FROM sso_clients WHERE tenant_id = ?1 AND client_id <> ?2";
    /// The secrets of a client: digests.
    SECRETS = "SELECT secret_digest, previous_digest, previous_until FROM sso_clients WHERE tenant_id = ?1 AND client_id = ?2";
    /// Registers a client with its first secret, or replaces its name and redirect URIs.
    PUT = "INSERT INTO sso_clients (tenant_id, client_id, name, redirect_uris, secret_digest, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) ON CONFLICT (tenant_id, client_id) DO UPDATE SET name = excluded.name, redirect_uris = excluded.redirect_uris, updated_at = excluded.updated_at";
    /// Another secret; the one before stays good until ?4, if there is to be a grace.
    ROTATE = "UPDATE sso_clients SET previous_digest = CASE WHEN ?4 IS NULL THEN NULL ELSE secret_digest END, previous_until = CASE WHEN secret_digest IS NULL THEN NULL ELSE ?4 END, secret_digest = ?3, updated_at = ?5 WHERE tenant_id = ?1 AND client_id = ?2";
    /// Deletes a client.
    DELETE = "DELETE FROM sso_clients WHERE tenant_id = ?1 AND client_id = ?2";
}

row_types! {
    struct SsoSecretRow {
        secret_digest: Option<String>,
        previous_digest: Option<String>,
        previous_until: Option<i64>,
    }
}

/// How a client's secret begins.
const SECRET_PREFIX: &str = "car_cs_";
/// Seconds for which the previous secret stays good, where the body does not say; and the longest grace, 30 days.
const GRACE_SECONDS: i64 = 24 * 3600;
const MAX_GRACE_SECONDS: i64 = 30 * 24 * 3600;
/// The longest name for people, and the longest text that is compared with a secret.
const MAX_SHOWN_NAME: usize = 250;
const MAX_SECRET: usize = 500;
/// What is shown of a client and set by nobody.
const READ_ONLY: [&str; 5] = ["client_id", "has_secret", "previous_valid_until", "created_at", "updated_at"];
/// Most clients of a tenant, and most redirect URIs of a client.
const MAX_CLIENTS: i64 = 50;
const MAX_URIS: usize = 20;
/// The longest redirect URI, and the longest name before the tenant's id.
const MAX_URI: usize = 500;
const MAX_NAME: usize = 40;

/// `GET /api/v1/sso/clients`
pub async fn list(request: Request<Member>) -> Result<Response, Problem> {
    let tenant = request.caller.tenant.to_string();
    let params = ListParams::read(&request, "sso_clients.list", &tenant)?;
    let rows = request.caller.rows(&request.bindings)?.rows::<ViewRow>(&SHOWN, params.args()).await?;
    let rows = rows.into_iter().map(|row| as_of(request.now(), row)).collect::<Result<Vec<_>, _>>()?;
    params.answer(&request, rows, Some(&tenant))
}

/// `GET /api/v1/sso/clients/{client_id}`
pub async fn get(request: Request<Member>) -> Result<Response, Problem> {
    let row = found(&request, &request.caller.rows(&request.bindings)?).await?;
    Response::json(200, &row.shown()?, Some(request.caller.tenant.as_str()))
}

/// `PUT /api/v1/sso/clients/{client_id}`: shows the secret of a client that it makes.
pub async fn put(mut request: Request<Member>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.optional_json_object().await?);
    let id = request.params.get("client_id").to_owned();
    let rows = request.caller.rows(&request.bindings)?;
    let before = rows.row::<ViewRow>(&FIND, args![id.as_str()]).await?;
    let before = before.map(|row| as_of(request.now(), row)).transpose()?;
    let shown = before.as_ref().map_or_else(|| Ok(json!({ "client_id": id })), ViewRow::shown)?;
    fields.read_only(&shown, &READ_ONLY);
    let sent_name = fields.text("name", MAX_SHOWN_NAME);
    let given = fields.list("redirect_uris", MAX_URIS, parse_redirect_uri);
    let twice =
        given.iter().flatten().enumerate().find(|(at, uri)| given.iter().flatten().take(*at).any(|u| u == *uri));
    if let Some((at, _)) = twice {
        fields.wrong::<()>(&format!("redirect_uris/{at}"), Invalid::new("duplicate", "must be listed once"));
    }
    fields.finish()?;
    let name = name_of(&id, request.caller.tenant.as_str()).map_err(|e| problem::invalid_field("/client_id", e))?;
    let uris = given.or_else(|| default_uris(name, &request)).filter(|uris| !uris.is_empty()).ok_or_else(|| {
        problem::invalid_field("/redirect_uris", Invalid::new("required", "must contain at least one URL"))
    })?;
    if rows.row::<CountRow>(&COUNT_OTHERS, args![id.as_str()]).await?.is_some_and(|row| row.total >= MAX_CLIENTS) {
        return Err(problem::too_many("sso_clients", MAX_CLIENTS));
    }
    let shown_name = match sent_name {
        Some(name) => name,
        None => customary_name(name, &display_name(&request.bindings, &request.caller.tenant).await?),
    };
    let secret = fresh_secret(SECRET_PREFIX).map_err(problem::internal)?;
    let own = digest(secret.as_bytes());
    let uris = Value::from(uris).to_string();
    let args = args![id.as_str(), shown_name, uris, own.as_str(), request.now().millis()];
    write(&request, (PUT, args), "sso_client.put", &id).await?;
    let mut view = found(&request, &rows).await?.shown()?;
    // Of two requests that make one client the first has made its secret.
    let stored = rows.row::<SsoSecretRow>(&SECRETS, args![id.as_str()]).await?.and_then(|row| row.secret_digest);
    if let Value::Object(members) = &mut view
        && before.is_none()
        && stored.is_some_and(|stored| constant_time_eq(&own, &stored))
    {
        members.insert("client_secret".into(), secret.into());
    }
    Response::json(200, &view, Some(request.caller.tenant.as_str()))
}

/// `POST /api/v1/sso/clients/{client_id}/rotate`: makes another secret, and shows it once.
pub async fn rotate(mut request: Request<Member>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.optional_json_object().await?);
    let grace = fields.number("grace_seconds", 0..=MAX_GRACE_SECONDS).unwrap_or(GRACE_SECONDS);
    fields.finish()?;
    let id = request.params.get("client_id").to_owned();
    let rows = request.caller.rows(&request.bindings)?;
    found(&request, &rows).await?;
    let secret = fresh_secret(SECRET_PREFIX).map_err(problem::internal)?;
    let now = request.now();
    let until = (grace > 0).then(|| now.plus_seconds(grace).millis());
    let args = args![id.as_str(), digest(secret.as_bytes()), until, now.millis()];
    write(&request, (ROTATE, args), "sso_client.rotate", &id).await?;
    let mut view = found(&request, &rows).await?.shown()?;
    if let Value::Object(members) = &mut view {
        members.insert("client_secret".into(), secret.into());
    }
    Response::json(200, &view, Some(request.caller.tenant.as_str()))
}

/// `POST /api/v1/sso/clients/{client_id}/verify`: whether a secret is the client's.
pub async fn verify(mut request: Request<Member>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    fields.require("client_secret");
    let secret = fields.text("client_secret", MAX_SECRET);
    let secret = fields.finish_with(secret)?;
    let rows = request.caller.rows(&request.bindings)?;
    let args = args![request.params.get("client_id")];
    let row = rows.row::<SsoSecretRow>(&SECRETS, args).await?.ok_or_else(problem::not_found)?;
    let good_until = row.good_until(&secret, request.now());
    let data = json!({ "valid": good_until.is_some(), "until": good_until.flatten() });
    Response::json(200, &data, Some(request.caller.tenant.as_str()))
}

impl SsoSecretRow {
    /// Until when a secret is good, if it is: without end for the present one, until the end of its grace for the one
    /// before.
    fn good_until(&self, secret: &str, now: Timestamp) -> Option<Option<Timestamp>> {
        let given = digest(secret.as_bytes());
        let is = |stored: &Option<String>| stored.as_deref().is_some_and(|stored| constant_time_eq(&given, stored));
        let (is_present, is_previous) = (is(&self.secret_digest), is(&self.previous_digest));
        let until = self.previous_until.map(Timestamp::from_millis).filter(|until| now < *until);
        if is_present { Some(None) } else { until.filter(|_| is_previous).map(Some) }
    }
}

/// The client that the path names.
async fn found(request: &Request<Member>, rows: &TenantDb) -> Result<ViewRow, Problem> {
    let args = args![request.params.get("client_id")];
    as_of(request.now(), rows.row::<ViewRow>(&FIND, args).await?.ok_or_else(problem::not_found)?)
}

/// A client as it is shown at a time: the end of a grace that is over is not shown any more.
fn as_of(now: Timestamp, row: ViewRow) -> Result<ViewRow, Problem> {
    let mut view: Value = serde_json::from_str(&row.view).map_err(problem::internal)?;
    let until =
        view.get_mut("previous_valid_until").filter(|until| until.as_i64().is_some_and(|at| at <= now.millis()));
    if let Some(until) = until {
        *until = Value::Null;
    }
    Ok(ViewRow { view: view.to_string(), ..row })
}

/// `DELETE /api/v1/sso/clients/{client_id}`
pub async fn delete(request: Request<Member>) -> Result<Response, Problem> {
    let id = request.params.get("client_id").to_owned();
    found(&request, &request.caller.rows(&request.bindings)?).await?;
    write(&request, (DELETE, args![id.as_str()]), "sso_client.delete", &id).await?;
    Response::json(200, &json!({ "client_id": id }), Some(request.caller.tenant.as_str()))
}

async fn write(
    request: &Request<Member>,
    change: (TenantSql, Vec<Arg>),
    operation: &'static str,
    id: &str,
) -> Result<(), Problem> {
    let entry = audit_entry(request, operation, Some(id), None);
    request.caller.rows(&request.bindings)?.write().add(change.0, change.1).audit(entry).commit().await?;
    Ok(())
}

/// The name in a client's id.
fn name_of<'a>(client_id: &'a str, tenant: &str) -> Result<&'a str, Invalid> {
    let name = client_id.strip_suffix(tenant).and_then(|rest| rest.strip_suffix('-')).unwrap_or_default();
    let shape = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if shape && (1..=MAX_NAME).contains(&name.len()) {
        return Ok(name);
    }
    let message = "must be a name of a-z, 0-9 and '_', followed by '-' and the tenant's id";
    Err(Invalid::new("invalid_client_id", message))
}

/// The name of a client for people, where none is given.
fn customary_name(name: &str, tenant: &str) -> String {
    let kind = match name {
        "wordpress" => "WordPress",
        "openwebui" => "OpenWebUI",
        other => other,
    };
    format!("{kind} {tenant}")
}

/// The redirect URIs of the two customary applications; none for others.
fn default_uris(name: &str, request: &Request<Member>) -> Option<Vec<String>> {
    // The first host is the slug's; then come the tenant's domains, the primary one first.
    let domain = request.caller.config.hosts.get(1).map(String::as_str);
    customary_uris(name, request.caller.tenant.as_str(), domain)
}

fn customary_uris(name: &str, tenant: &str, domain: Option<&str>) -> Option<Vec<String>> {
    let action = "wp-admin/admin-ajax.php?action=openid_connect_generic";
    let (local, public) = match name {
        "wordpress" => (
            format!("http://wordpress-{tenant}.local/{action}"),
            domain.map(|domain| format!("https://{domain}/{action}")),
        ),
        "openwebui" => (
            format!("http://openwebui.local/oauth/oidc/callback?tenant={tenant}"),
            domain.map(|domain| format!("https://openwebui.{domain}/oauth/oidc/callback")),
        ),
        _ => return None,
    };
    Some(std::iter::once(local).chain(public).collect())
}

/// Reads an exact URL: `https`, or `http` on a `.local` host; without wildcard, credentials or fragment.
fn parse_redirect_uri(text: &str) -> Result<String, Invalid> {
    let invalid = || {
        let message = "must be an exact https URL (http on .local hosts) without wildcard, credentials or fragment";
        Invalid::new("invalid_redirect_uri", message)
    };
    let clean = text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'*' | b'#' | b'\\' | b'"' | b'<' | b'>'));
    let (scheme, rest) = text.split_once("://").ok_or_else(invalid)?;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = Host::parse(authority).map_err(|_| invalid())?;
    let fits = match scheme {
        "https" => true,
        "http" => host.as_str().ends_with(".local"),
        _ => false,
    };
    if clean && fits && text.len() <= MAX_URI && has_whole_escapes(text) { Ok(text.to_owned()) } else { Err(invalid()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_tenants_can_have_the_same_client() {
        assert_eq!(name_of("wordpress-acme-corp", "acme-corp"), Ok("wordpress"));
        assert!(name_of("wordpress-acme-corp", "corp").is_err(), "that is acme-corp's");
        for bad in ["", "acme", "-acme", "wordpress", "wordpress-other", "wordpressacme", "Word-acme", "a.b-acme"] {
            assert!(name_of(bad, "acme").is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_is_good_until_it_is_replaced_and_its_grace_has_ended() {
        let row = |previous_until| SsoSecretRow {
            secret_digest: Some(digest(b"new")),
            previous_digest: Some(digest(b"old")),
            previous_until,
        };
        let at = Timestamp::from_millis;
        assert_eq!(row(Some(10)).good_until("new", at(99)), Some(None));
        assert_eq!(row(Some(10)).good_until("old", at(9)), Some(Some(at(10))));
        assert_eq!(row(Some(10)).good_until("old", at(10)), None);
        assert_eq!(row(None).good_until("old", at(0)), None);
        let none = SsoSecretRow { secret_digest: None, previous_digest: None, previous_until: None };
        assert_eq!([none.good_until("", at(0)), row(Some(10)).good_until("other", at(0))], [None, None]);
    }

    #[test]
    fn the_customary_clients_have_customary_addresses() {
        let wordpress = customary_uris("wordpress", "acme", Some("blog.acme.com")).unwrap();
        assert_eq!(
            wordpress,
            [
                "http://wordpress-acme.local/wp-admin/admin-ajax.php?action=openid_connect_generic",
                "https://blog.acme.com/wp-admin/admin-ajax.php?action=openid_connect_generic",
            ]
        );
        let openwebui = customary_uris("openwebui", "acme", Some("blog.acme.com")).unwrap();
        assert_eq!(
            openwebui,
            [
                "http://openwebui.local/oauth/oidc/callback?tenant=acme",
                "https://openwebui.blog.acme.com/oauth/oidc/callback",
            ]
        );
        for uri in wordpress.iter().chain(&openwebui) {
            assert!(parse_redirect_uri(uri).is_ok(), "{uri}");
        }
        assert_eq!(customary_uris("openwebui", "acme", None).unwrap().len(), 1);
        assert_eq!(customary_uris("other", "acme", None), None);
    }

    #[test]
    fn redirect_uris_are_exact() {
        assert!(parse_redirect_uri("https://app.example.org:8443/back?x=1").is_ok());
        for bad in [
            "",
            "https://",
            "http://app.example.org/",
            "http://local/",
            "https://*.example.org/",
            "https://app.example.org/*",
            "https://app.example.org/#top",
            "https://user@app.example.org/",
            "https://app.example.org\\@evil.test/",
            "javascript:alert(1)",
            "custom.app://back",
            "https://app.example.org/a b",
        ] {
            assert!(parse_redirect_uri(bad).is_err(), "{bad}");
        }
    }
}
