//! `/api/v1/sso/providers`: the OpenID providers that a tenant signs its users in with.
//!
//! A client's secret is never shown. It is for one issuer: with another issuer it must be sent again, so that nobody has
//! it sent to a provider of their own. Nobody assigns roles with permissions that they do not have, nor changes a provider
//! that was configured with such permissions.

use serde_json::{Map, Value};

use crate::api::members::{audit_entry, check_own};
use crate::auth::principal::Member;
use crate::auth::rules;
use crate::auth::sso::provider::{own_roles, permissions_of, secret_place};
use crate::http::fields::Fields;
use crate::http::incoming::{JSON, MERGE_PATCH};
use crate::http::listing::{ListParams, ViewRow};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::bindings::Bindings;
use crate::storage::row::CountRow;
use crate::storage::sql::{Arg, StorageError, TenantSql};
use crate::storage::sql::{args, statements};
use crate::tenant::secrets;
use domain::error::Invalid;
use domain::json;
use domain::permission::Permissions;
use domain::pointer::escape;
use domain::text::bounded;

statements! { TenantSql;
    /// Providers, newest first.
    SHOWN = "SELECT id, created_at, json_object('id', id, 'name', name, 'issuer', issuer, 'client_id', client_id, 'has_client_secret', json(CASE WHEN client_secret IS NULL THEN 'false' ELSE 'true' END), 'scopes', scopes, 'role_claim', role_claim, 'role_map', json(role_map), 'default_role', default_role, 'enabled', json(CASE WHEN enabled THEN 'true' ELSE 'false' END), 'reach', json(reach), 'created_at', created_at, 'updated_at', updated_at) AS view FROM sso_providers WHERE tenant_id = ?1 AND (created_at, id) < (?2, ?3) ORDER BY created_at DESC, id DESC LIMIT ?4";
    /// One provider.
    FIND = "SELECT id, created_at, json_object('id', id, 'name', name, 'issuer', issuer, 'client_id', client_id, 'has_client_secret', json(CASE WHEN client_secret IS NULL THEN 'false' ELSE 'true' END), 'scopes', scopes, 'role_claim', role_claim, 'role_map', json(role_map), 'default_role', default_role, 'enabled', json(CASE WHEN enabled THEN 'true' ELSE 'false' END), 'reach', json(reach), 'created_at', created_at, 'updated_at', updated_at) AS view FROM sso_providers WHERE tenant_id = ?1 AND id = ?2";
    /// How many providers there are.
    COUNT = "SELECT count(*) AS total FROM sso_providers WHERE tenant_id = ?1";
    /// A new provider.
    INSERT = "INSERT INTO sso_providers (tenant_id, id, name, issuer, client_id, client_secret, scopes, role_claim, role_map, default_role, enabled, reach, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13)";
    /// Changes what is not NULL; ?6, ?9 and ?12 say whether what may be NULL changes.
    UPDATE = "UPDATE sso_providers SET name = COALESCE(?3, name), issuer = COALESCE(?4, issuer), client_id = COALESCE(?5, client_id), client_secret = CASE WHEN ?6 THEN ?7 ELSE client_secret END, scopes = COALESCE(?8, scopes), role_claim = CASE WHEN ?9 THEN ?10 ELSE role_claim END, role_map = COALESCE(?11, role_map), default_role = CASE WHEN ?12 THEN ?13 ELSE default_role END, enabled = COALESCE(?14, enabled), reach = COALESCE(?15, reach), updated_at = ?16 WHERE tenant_id = ?1 AND id = ?2";
    /// The provider ?2 still has the issuer ?3 and the reach ?4, and has a client secret if ?5 says so.
    AS_SEEN = "INSERT OR REPLACE INTO write_rules (tenant_id, is_as_seen) VALUES (?1, EXISTS (SELECT 1 FROM sso_providers WHERE tenant_id = ?1 AND id = ?2 AND issuer = ?3 AND json(reach) = json(?4) AND (client_secret IS NOT NULL) = ?5))";
    /// Deletes identities: another issuer's subject of the same name is somebody else.
    FORGET_IDENTITIES = "DELETE FROM sso_identities WHERE tenant_id = ?1 AND provider_id = ?2";
    /// Deletes sign-ins that began before the provider changed.
    FORGET_ATTEMPTS = "DELETE FROM sso_attempts WHERE tenant_id = ?1 AND provider_id = ?2";
    /// Deletes a provider, and by reference its sign-ins under way and its identities.
    DELETE = "DELETE FROM sso_providers WHERE tenant_id = ?1 AND id = ?2";
}

/// Most providers of a tenant.
pub const MAX_PROVIDERS: i64 = 20;
/// The scopes where the body names none.
const SCOPES: &str = "openid email profile";
/// Most entries of a role map, and its greatest size in JSON.
const MAX_ROLES: usize = 100;
const MAX_ROLE_MAP: usize = 16 * 1024;

/// What a body sets of a provider.
struct ProviderDraft {
    name: Option<String>,
    issuer: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    scopes: Option<String>,
    role_claim: Option<String>,
    role_map: Option<Map<String, Value>>,
    default_role: Option<String>,
    enabled: Option<bool>,
}

impl ProviderDraft {
    fn read(fields: &mut Fields, bindings: &Bindings) -> Self {
        Self {
            name: fields.text("name", 100),
            issuer: fields.parsed("issuer", |text| parse_issuer(text, bindings)),
            client_id: fields.text("client_id", 200),
            client_secret: fields.text("client_secret", 500),
            scopes: fields.parsed("scopes", parse_scopes),
            role_claim: fields.text("role_claim", 100),
            role_map: read_role_map(fields),
            default_role: fields.text("default_role", 64),
            enabled: fields.flag("enabled"),
        }
    }

    /// Checks every role that is assigned: it must exist, and have no permission that the caller does not have.
    async fn check_roles(&self, request: &Request<Member>) -> Result<(), Problem> {
        let own = own_roles(&request.caller.rows(&request.bindings)?).await?;
        let mapped = self.role_map.iter().flatten().filter_map(|(value, role)| Some((value, role.as_str()?)));
        let mapped = mapped.map(|(value, role)| (format!("/role_map/{}", escape(value)), role));
        let default = self.default_role.as_deref().map(|role| ("/default_role".to_owned(), role));
        for (pointer, role) in mapped.chain(default) {
            let unknown =
                || problem::invalid_field(&pointer, Invalid::new("unknown_role", "is not a role of this tenant"));
            check_own(request, &pointer, permissions_of(role, &own).ok_or_else(unknown)?)?;
        }
        Ok(())
    }

    fn role_map_json(&self) -> Option<String> {
        self.role_map.as_ref().map(|map| Value::Object(map.clone()).to_string())
    }
}

/// `POST /api/v1/sso/providers`
pub async fn create(mut request: Request<Member>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    for name in ["id", "name", "issuer", "client_id"] {
        fields.require(name);
    }
    let id = fields.parsed("id", parse_id);
    let draft = ProviderDraft::read(&mut fields, &request.bindings);
    let id = fields.finish_with(id)?;
    draft.check_roles(&request).await?;
    let rows = request.caller.rows(&request.bindings)?;
    if rows.row::<CountRow>(&COUNT, Vec::new()).await?.is_some_and(|row| row.total >= MAX_PROVIDERS) {
        return Err(problem::too_many("sso_providers", MAX_PROVIDERS));
    }
    let sealed = seal(&request, &id, draft.client_secret.as_deref()).await?;
    let role_map = draft.role_map_json().unwrap_or_else(|| "{}".to_owned());
    let detail = json!({ "issuer": draft.issuer });
    let insert = args![
        id.as_str(),
        draft.name,
        draft.issuer,
        draft.client_id,
        sealed,
        draft.scopes.unwrap_or_else(|| SCOPES.to_owned()),
        draft.role_claim,
        role_map,
        draft.default_role,
        draft.enabled.unwrap_or(true),
        reach(&request),
        request.now().millis(),
    ];
    let entry = audit_entry(&request, "sso_provider.create", Some(&id), Some(detail));
    match rows.write().add(INSERT, insert).audit(entry).commit().await {
        Err(StorageError::Constraint(_)) => {
            Err(problem::conflict("/id", Invalid::new("taken", "is already the id of a provider")))
        }
        Err(error) => Err(error.into()),
        Ok(_) => Ok(shown(&request, &id, 201).await?.header("Location", format!("/api/v1/sso/providers/{id}"))),
    }
}

/// `GET /api/v1/sso/providers`
pub async fn list(request: Request<Member>) -> Result<Response, Problem> {
    let tenant = request.caller.tenant.to_string();
    let params = ListParams::read(&request, "sso_providers.list", &tenant)?;
    let rows = request.caller.rows(&request.bindings)?.rows::<ViewRow>(&SHOWN, params.args()).await?;
    params.answer(&request, rows, Some(&tenant))
}

/// `GET /api/v1/sso/providers/{provider_id}`
pub async fn get(request: Request<Member>) -> Result<Response, Problem> {
    shown(&request, request.params.get("provider_id"), 200).await
}

/// What is shown of a provider and set by nobody.
const READ_ONLY: [&str; 5] = ["id", "has_client_secret", "reach", "created_at", "updated_at"];

/// `PATCH /api/v1/sso/providers/{provider_id}`
pub async fn patch(mut request: Request<Member>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(MERGE_PATCH).await?);
    let id = request.params.get("provider_id").to_owned();
    let before = find(&request, &id).await?;
    fields.read_only(&before, &READ_ONLY);
    let sets = ["client_secret", "role_claim", "default_role", "role_map"].map(|name| fields.has(name));
    let [sets_secret, sets_claim, sets_default, sets_map] = sets;
    let mut draft = ProviderDraft::read(&mut fields, &request.bindings);
    fields.finish()?;
    if sets_map && draft.role_map.is_none() {
        draft.role_map = Some(Map::new());
    }
    let before_reach = before.get("reach").map(Value::to_string).unwrap_or_default();
    check_own(&request, "", Permissions::stored(&before_reach))?;
    draft.check_roles(&request).await?;
    let changes_issuer =
        draft.issuer.as_deref().is_some_and(|issuer| before.get("issuer").is_none_or(|now| now != issuer));
    if changes_issuer && !sets_secret && before.get("has_client_secret") == Some(&Value::Bool(true)) {
        let invalid = Invalid::new("required", "must be sent again (or null) when the issuer changes");
        return Err(problem::invalid_field("/client_secret", invalid));
    }
    let update = args![
        id.as_str(),
        draft.name.as_deref(),
        draft.issuer.as_deref(),
        draft.client_id.as_deref(),
        sets_secret,
        seal(&request, &id, draft.client_secret.as_deref()).await?,
        draft.scopes.as_deref(),
        sets_claim,
        draft.role_claim.as_deref(),
        draft.role_map_json(),
        sets_default,
        draft.default_role.as_deref(),
        draft.enabled,
        (sets_map || sets_default).then(|| reach(&request)),
        request.now().millis(),
    ];
    let seen = args![
        id.as_str(),
        before.get("issuer").and_then(Value::as_str).unwrap_or_default(),
        before_reach,
        before.get("has_client_secret") == Some(&Value::Bool(true)),
    ];
    let mut changes = vec![(AS_SEEN, seen), (UPDATE, update)];
    if changes_issuer {
        changes.extend([(FORGET_IDENTITIES, args![id.as_str()]), (FORGET_ATTEMPTS, args![id.as_str()])]);
    }
    write(&request, changes, "sso_provider.update", &id).await?;
    shown(&request, &id, 200).await
}

/// `DELETE /api/v1/sso/providers/{provider_id}`
pub async fn delete(request: Request<Member>) -> Result<Response, Problem> {
    let id = request.params.get("provider_id").to_owned();
    find(&request, &id).await?;
    write(&request, vec![(DELETE, args![id.as_str()])], "sso_provider.delete", &id).await?;
    Response::json(200, &json!({ "id": id }), Some(request.caller.tenant.as_str()))
}

async fn write(
    request: &Request<Member>,
    changes: Vec<(TenantSql, Vec<Arg>)>,
    operation: &'static str,
    id: &str,
) -> Result<(), Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    let mut batch = rows.write();
    for (sql, args) in changes {
        batch = batch.add(sql, args);
    }
    let entry = audit_entry(request, operation, Some(id), None);
    rules::commit(batch.audit(entry)).await
}

async fn find(request: &Request<Member>, id: &str) -> Result<Value, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    rows.row::<ViewRow>(&FIND, args![id]).await?.ok_or_else(problem::not_found)?.shown()
}

async fn shown(request: &Request<Member>, id: &str, status: u16) -> Result<Response, Problem> {
    Response::json(status, &find(request, id).await?, Some(request.caller.tenant.as_str()))
}

/// Seals a client's secret for its row.
async fn seal(request: &Request<Member>, id: &str, secret: Option<&str>) -> Result<Option<String>, Problem> {
    let Some(secret) = secret else { return Ok(None) };
    let tenant = &request.caller.tenant;
    let secrets = secrets::load(&request.bindings, tenant.as_str()).await?;
    let sealed = secrets.data_key()?.seal(&secret_place(tenant, id), secret.as_bytes());
    sealed.map(Some).map_err(problem::internal)
}

/// The caller's permissions, as the column `reach` holds them.
fn reach(request: &Request<Member>) -> String {
    let own = request.caller.permissions();
    let names = if own == Permissions::ALL { vec!["*"] } else { own.names() };
    Value::from(names).to_string()
}

fn parse_id(text: &str) -> Result<String, Invalid> {
    let shape = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !shape
        || text.starts_with('-')
        || text.starts_with(|c: char| c.is_ascii_digit())
        || !(1..=40).contains(&text.len())
    {
        let message = "must be 1 to 40 characters of a-z, 0-9 and '-', and start with a letter";
        return Err(Invalid::new("invalid_id", message));
    }
    if text == "callback" {
        return Err(Invalid::new("reserved", "is a reserved name"));
    }
    Ok(text.to_owned())
}

fn parse_issuer(text: &str, bindings: &Bindings) -> Result<String, Invalid> {
    if text.contains('?') {
        return Err(Invalid::new("invalid_url", "must be an https URL without query or fragment"));
    }
    bindings.settings.outbound(text).map(|url| url.as_str().to_owned())
}

/// Scopes of RFC 6749, 3.3, `openid` among them.
fn parse_scopes(text: &str) -> Result<String, Invalid> {
    let token = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\'));
    let fits = text.split(' ').all(|scope| !scope.is_empty() && token(scope)) && text.len() <= 500;
    if fits && text.split(' ').any(|scope| scope == "openid") {
        return Ok(text.to_owned());
    }
    Err(Invalid::new("invalid_scopes", "must be scopes, separated by one space each, with openid among them"))
}

fn read_role_map(fields: &mut Fields) -> Option<Map<String, Value>> {
    let map = fields.object("role_map", MAX_ROLE_MAP)?;
    if map.len() > MAX_ROLES {
        return fields.wrong("role_map", Invalid::new("too_many", format!("must have at most {MAX_ROLES} entries")));
    }
    for (value, role) in &map {
        if role.as_str().is_none_or(|role| bounded(role, 64).is_err()) {
            let pointer = format!("role_map/{}", escape(value));
            return fields.wrong(&pointer, Invalid::new("not_a_role", "must be the name of a role"));
        }
    }
    Some(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_labels() {
        for good in ["a", "corp-2", &"x".repeat(40)] {
            assert!(parse_id(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "2a", "A", "a_b", "a.b", "callback", &"x".repeat(41)] {
            assert!(parse_id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn scopes_ask_for_an_id_token() {
        assert!(parse_scopes("openid").is_ok() && parse_scopes("groups openid email").is_ok());
        for bad in ["", "email", "openid  email", " openid", "openid\temail", "openid \"x\"", "OPENID"] {
            assert!(parse_scopes(bad).is_err(), "{bad}");
        }
    }
}
