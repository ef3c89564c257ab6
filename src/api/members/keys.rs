//! `/api/v1/api-keys`: the keys of a tenant's automation.
//!
//! A key's text is shown when it is made and when it is re-rolled, and never again. Nobody makes, changes or re-rolls
//! a key with permissions that they do not have.

use serde_json::Value;

use super::{audit_entry, check_own};
use crate::api::key_draft::{KeyDraft, PermissionList, check_not_revoked, read_grace, with_text};
use crate::auth::idempotency::tenant::{CreatedResource, Creation};
use crate::auth::principal::Member;
use crate::auth::revocation::{self, MintedBy, revoking};
use crate::credentials::key::FreshKey;
use crate::credentials::signature::digest;
use crate::http::fields::Fields;
use crate::http::incoming::{JSON, MERGE_PATCH};
use crate::http::listing::{ListParams, ViewRow};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::row::CountRow;
use crate::storage::sql::{Arg, TenantSql};
use crate::storage::sql::{args, statements};
use domain::clock::Timestamp;
use domain::json;
use domain::permission::{Permission, Permissions};

statements! { TenantSql;
    /// Keys, newest first.
    SHOWN = "SELECT id, created_at, json_object('id', id, 'name', name, 'scopes', json(scopes), 'ip_allowlist', json(ip_allowlist), 'created_by', created_by, 'created_at', created_at, 'expires_at', expires_at, 'last_used_at', last_used_at, 'revoked_at', revoked_at, 'previous_until', previous_until) AS view FROM api_keys WHERE tenant_id = ?1 AND (created_at, id) < (?2, ?3) ORDER BY created_at DESC, id DESC LIMIT ?4";
    /// One key.
    FIND = "SELECT id, created_at, json_object('id', id, 'name', name, 'scopes', json(scopes), 'ip_allowlist', json(ip_allowlist), 'created_by', created_by, 'created_at', created_at, 'expires_at', expires_at, 'last_used_at', last_used_at, 'revoked_at', revoked_at, 'previous_until', previous_until) AS view FROM api_keys WHERE tenant_id = ?1 AND id = ?2";
    /// How many keys are in use.
    COUNT = "SELECT count(*) AS total FROM api_keys WHERE tenant_id = ?1 AND revoked_at IS NULL";
    /// A new key.
    INSERT = "INSERT INTO api_keys (tenant_id, id, name, digest, scopes, ip_allowlist, created_by, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    /// Changes what is not NULL; ?6 says whether the end changes.
    UPDATE = "UPDATE api_keys SET name = COALESCE(?3, name), scopes = COALESCE(?4, scopes), ip_allowlist = COALESCE(?5, ip_allowlist), expires_at = CASE WHEN ?6 THEN ?7 ELSE expires_at END WHERE tenant_id = ?1 AND id = ?2 AND revoked_at IS NULL";
    /// A new text; the previous one stays good until ?4.
    REROLL = "UPDATE api_keys SET previous_digest = digest, previous_until = ?4, digest = ?3 WHERE tenant_id = ?1 AND id = ?2 AND revoked_at IS NULL";
    /// Revokes a key.
    REVOKE = "UPDATE api_keys SET revoked_at = ?3, previous_digest = NULL, previous_until = NULL WHERE tenant_id = ?1 AND id = ?2 AND revoked_at IS NULL";
}

/// What streams of a key and of its tokens rest on.
const HEARING: Permissions =
    Permissions::of(&[Permission::SubscriberTokensWrite, Permission::EventsRead, Permission::RecordsRead]);
/// Most keys in use at a time.
const MAX_KEYS: i64 = 500;

/// `POST /api/v1/api-keys`
pub async fn create(mut request: Request<Member>) -> Result<Response, Problem> {
    let body = request.incoming.json_object(JSON).await?;
    let rows = request.caller.rows(&request.bindings)?;
    let create = match Creation::begin(&request, &rows, "api_keys.create", &body).await? {
        Creation::New(create) => create,
        Creation::Done(response) => return Ok(response),
    };
    let mut fields = Fields::new(body);
    let now = request.now();
    for name in ["name", "scopes"] {
        fields.require(name);
    }
    let draft = KeyDraft::<Permissions>::read(&mut fields, "scopes", now);
    let (name, scopes) = fields.finish_with(draft.name.zip(draft.permissions))?;
    check_own(&request, "/scopes", scopes.set)?;
    if rows.row::<CountRow>(&COUNT, Vec::new()).await?.is_some_and(|row| row.total >= MAX_KEYS) {
        return Err(problem::too_many("api_keys", MAX_KEYS));
    }
    let tenant = request.caller.tenant.as_str();
    let key = FreshKey::of_tenant(tenant, None).map_err(problem::internal)?;
    let (ranges, actor) = (draft.ranges.unwrap_or_else(|| json!([])), request.caller.actor());
    let insert = args![
        key.id.as_str(),
        name.as_str(),
        digest(key.text.as_bytes()),
        scopes.names.to_string(),
        ranges.to_string(),
        actor.as_str(),
        now.millis(),
        draft.expires_at.map(Timestamp::millis),
    ];
    let detail = json!({ "scopes": scopes.set.names() });
    let entry = audit_entry(&request, "api_key.create", Some(&key.id), Some(detail));
    let batch = rows.write().add(INSERT, insert).audit(entry);
    let data = json!({
        "id": key.id, "name": name, "scopes": scopes.names, "ip_allowlist": ranges,
        "created_by": actor, "created_at": now, "expires_at": draft.expires_at, "last_used_at": null,
        "revoked_at": null, "previous_until": null, "key": key.text,
    });
    let location = format!("/api/v1/api-keys/{}", key.id);
    Ok(create.commit(&rows, batch, CreatedResource { data, location, etag: None }).await?.response)
}

/// `GET /api/v1/api-keys`
pub async fn list(request: Request<Member>) -> Result<Response, Problem> {
    let tenant = request.caller.tenant.to_string();
    let params = ListParams::read(&request, "api_keys.list", &tenant)?;
    let rows = request.caller.rows(&request.bindings)?.rows::<ViewRow>(&SHOWN, params.args()).await?;
    params.answer(&request, rows, Some(&tenant))
}

/// `GET /api/v1/api-keys/{key_id}`
pub async fn get(request: Request<Member>) -> Result<Response, Problem> {
    shown(&request, request.params.get("key_id"), None).await
}

/// `PATCH /api/v1/api-keys/{key_id}`
pub async fn patch(mut request: Request<Member>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(MERGE_PATCH).await?);
    let draft = KeyDraft::<Permissions>::read(&mut fields, "scopes", request.now());
    fields.finish()?;
    let id = request.params.get("key_id").to_owned();
    let before = check_may_change(&request, &id).await?;
    if let Some(scopes) = &draft.permissions {
        check_own(&request, "/scopes", scopes.set)?;
    }
    let keeps = |scopes: &PermissionList<Permissions>| scopes.set.covers(before.within(HEARING));
    let minted_by = match draft.permissions.as_ref().is_none_or(keeps) && !draft.sets_end() {
        false => minted_by(&id),
        true if draft.ranges.is_some() => MintedBy::Principal(revocation::key_text(&id)),
        true => MintedBy::Nobody,
    };
    let args = std::iter::once(Arg::from(id.as_str())).chain(draft.update_args()).collect();
    let commit = write(&request, (UPDATE, args), "api_key.update", &id);
    revoking(&request.bindings, &request.caller.tenant, minted_by, commit).await?;
    shown(&request, &id, None).await
}

/// `POST /api/v1/api-keys/{key_id}/reroll`
pub async fn reroll(mut request: Request<Member>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.optional_json_object().await?);
    let grace = read_grace(&mut fields);
    fields.finish()?;
    let id = request.params.get("key_id").to_owned();
    check_may_change(&request, &id).await?;
    let key = FreshKey::of_tenant(request.caller.tenant.as_str(), Some(id)).map_err(problem::internal)?;
    let until = request.now().plus_seconds(grace).millis();
    let args = args![key.id.as_str(), digest(key.text.as_bytes()), until];
    // Without a grace the text before may have leaked, and with it the right to mint.
    let text = revocation::key_text(&key.id);
    let ending = if grace == 0 { minted_by(&key.id) } else { MintedBy::Principal(text) };
    let commit = write(&request, (REROLL, args), "api_key.reroll", &key.id);
    revoking(&request.bindings, &request.caller.tenant, ending, commit).await?;
    shown(&request, &key.id, Some(&key.text)).await
}

/// `DELETE /api/v1/api-keys/{key_id}`
pub async fn revoke(request: Request<Member>) -> Result<Response, Problem> {
    let id = request.params.get("key_id").to_owned();
    find(&request, &id).await?;
    let args = args![id.as_str(), request.now().millis()];
    let commit = write(&request, (REVOKE, args), "api_key.revoke", &id);
    revoking(&request.bindings, &request.caller.tenant, minted_by(&id), commit).await?;
    shown(&request, &id, None).await
}

fn minted_by(id: &str) -> MintedBy<'static> {
    MintedBy::Principal(format!("key:{id}"))
}

async fn write(
    request: &Request<Member>,
    change: (TenantSql, Vec<Arg>),
    operation: &'static str,
    id: &str,
) -> Result<(), Problem> {
    let entry = audit_entry(request, operation, Some(id), None);
    let rows = request.caller.rows(&request.bindings)?;
    rows.write().add(change.0, change.1).audit(entry).commit().await?;
    Ok(())
}

/// A key's JSON; 404 if there is none.
async fn find(request: &Request<Member>, id: &str) -> Result<Value, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    let row = rows.row::<ViewRow>(&FIND, args![id]).await?.ok_or_else(problem::not_found)?;
    row.shown()
}

/// Refuses to change a key that was revoked, or that has permissions which the caller does not have; gives those that it has.
async fn check_may_change(request: &Request<Member>, id: &str) -> Result<Permissions, Problem> {
    let view = find(request, id).await?;
    check_not_revoked(&view)?;
    let scopes = view.get("scopes").map(Value::to_string).unwrap_or_default();
    let scopes = Permissions::stored(&scopes);
    check_own(request, "", scopes).map(|()| scopes)
}

async fn shown(request: &Request<Member>, id: &str, text: Option<&str>) -> Result<Response, Problem> {
    Response::json(200, &with_text(find(request, id).await?, text), Some(request.caller.tenant.as_str()))
}
