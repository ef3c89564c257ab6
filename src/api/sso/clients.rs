//! `/api/v1/sso/clients`: the tenant's own applications at an identity provider, as they are registered there.
//!
//! A client's id is a name without `-`, then `-` and the tenant's id: so no two tenants can have the same one, whatever
//! their ids are.

use serde_json::Value;

use crate::api::members::audit_entry;
use crate::auth::principal::Member;
use crate::http::fields::Fields;
use crate::http::listing::{ListParams, ViewRow};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::row::CountRow;
use crate::storage::sql::{Arg, TenantSql};
use crate::storage::sql::{args, statements};
use domain::error::Invalid;
use domain::host::Host;
use domain::json;

statements! { TenantSql;
    /// Clients, newest first.
    SHOWN = "SELECT client_id AS id, created_at, json_object('client_id', client_id, 'redirect_uris', json(redirect_uris), 'created_at', created_at, 'updated_at', updated_at) AS view FROM sso_clients WHERE tenant_id = ?1 AND (created_at, client_id) < (?2, ?3) ORDER BY created_at DESC, client_id DESC LIMIT ?4";
    /// One client.
    FIND = "SELECT client_id AS id, created_at, json_object('client_id', client_id, 'redirect_uris', json(redirect_uris), 'created_at', created_at, 'updated_at', updated_at) AS view FROM sso_clients WHERE tenant_id = ?1 AND client_id = ?2";
    /// How many other clients there are.
    COUNT_OTHERS = "SELECT count(*) AS total FROM sso_clients WHERE tenant_id = ?1 AND client_id <> ?2";
    /// Registers a client, or replaces its redirect URIs.
    PUT = "INSERT INTO sso_clients (tenant_id, client_id, redirect_uris, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?4) ON CONFLICT (tenant_id, client_id) DO UPDATE SET redirect_uris = excluded.redirect_uris, updated_at = excluded.updated_at";
    /// Deletes a client.
    DELETE = "DELETE FROM sso_clients WHERE tenant_id = ?1 AND client_id = ?2";
}

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
    params.answer(&request, rows, Some(&tenant))
}

/// `PUT /api/v1/sso/clients/{client_id}`
pub async fn put(mut request: Request<Member>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.optional_json_object().await?);
    let given = fields.list("redirect_uris", MAX_URIS, parse_redirect_uri);
    fields.finish()?;
    let id = request.params.get("client_id").to_owned();
    let name = name_of(&id, request.caller.tenant.as_str()).map_err(|e| problem::invalid_field("/client_id", e))?;
    let uris = given.or_else(|| default_uris(name, &request)).filter(|uris| !uris.is_empty()).ok_or_else(|| {
        problem::invalid_field("/redirect_uris", Invalid::new("required", "must contain at least one URL"))
    })?;
    let rows = request.caller.rows(&request.bindings)?;
    if rows.row::<CountRow>(&COUNT_OTHERS, args![id.as_str()]).await?.is_some_and(|row| row.total >= MAX_CLIENTS) {
        return Err(problem::too_many("sso_clients", MAX_CLIENTS));
    }
    let args = args![id.as_str(), Value::from(uris).to_string(), request.now().millis()];
    write(&request, (PUT, args), "sso_client.put", &id).await?;
    let row = rows.row::<ViewRow>(&FIND, args![id.as_str()]).await?.ok_or_else(problem::not_found)?;
    Response::json(200, &row.shown()?, Some(request.caller.tenant.as_str()))
}

/// `DELETE /api/v1/sso/clients/{client_id}`
pub async fn delete(request: Request<Member>) -> Result<Response, Problem> {
    let id = request.params.get("client_id").to_owned();
    let rows = request.caller.rows(&request.bindings)?;
    rows.row::<ViewRow>(&FIND, args![id.as_str()]).await?.ok_or_else(problem::not_found)?;
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
    if clean && fits && text.len() <= MAX_URI { Ok(text.to_owned()) } else { Err(invalid()) }
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
