//! `/api/v1/api-keys`: the keys of a tenant's automation.
//!
//! A key's text is shown when it is made and when it is re-rolled, and never again. Nobody makes,
//! changes or re-rolls a key that may do more than themselves.

use serde_json::Value;

use super::{
    check_in_use, check_own, deed, end_minted, read_end, read_grace, read_permissions, read_ranges, with_text,
};
use crate::auth::idempotency::tenant::{Creation, Made};
use crate::auth::principal::Member;
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
    /// Another text; the one before gets its grace.
    REROLL = "UPDATE api_keys SET previous_digest = digest, previous_until = ?4, digest = ?3 WHERE tenant_id = ?1 AND id = ?2 AND revoked_at IS NULL";
    /// The end of a key.
    REVOKE = "UPDATE api_keys SET revoked_at = ?3, previous_digest = NULL, previous_until = NULL WHERE tenant_id = ?1 AND id = ?2 AND revoked_at IS NULL";
}

/// Most keys in use at a time.
const MAX_KEYS: i64 = 500;

/// What a body sets of a key.
struct Setting {
    name: Option<String>,
    scopes: Option<super::Listed>,
    ranges: Option<String>,
    expires_at: Option<Timestamp>,
}

impl Setting {
    fn read(fields: &mut Fields, now: Timestamp) -> Self {
        Self {
            name: fields.text("name", 100),
            scopes: read_permissions(fields, "scopes"),
            ranges: read_ranges(fields, "ip_allowlist"),
            expires_at: read_end(fields, "expires_at", now),
        }
    }
}

/// `POST /api/v1/api-keys`
pub async fn create(mut request: Request<Member>) -> Result<Response, Problem> {
    let body = request.incoming.json_object(JSON).await?;
    let rows = request.caller.rows(&request.bindings)?;
    let pending = match Creation::begin(&request, &rows, "api_keys.create", &body).await? {
        Creation::New(pending) => pending,
        Creation::Done(answer) => return Ok(answer),
    };
    let mut fields = Fields::new(body);
    let now = request.now();
    for name in ["name", "scopes"] {
        fields.require(name);
    }
    let setting = Setting::read(&mut fields, now);
    fields.finish()?;
    let (Some(name), Some(scopes)) = (setting.name, setting.scopes) else {
        return Err(problem::internal("a body without its fields"));
    };
    check_own(&request, "/scopes", scopes.set)?;
    if rows.row::<CountRow>(&COUNT, Vec::new()).await?.is_some_and(|row| row.total >= MAX_KEYS) {
        return Err(problem::too_many("api_keys", MAX_KEYS));
    }
    let tenant = request.caller.tenant.as_str();
    let key = FreshKey::of_tenant(tenant, None).map_err(problem::internal)?;
    let (ranges, actor) = (setting.ranges.unwrap_or_else(|| "[]".to_owned()), request.caller.actor());
    let insert = args![
        key.id.as_str(),
        name.as_str(),
        digest(key.text.as_bytes()),
        scopes.json.as_str(),
        ranges.as_str(),
        actor.as_str(),
        now.millis(),
        setting.expires_at.map(Timestamp::millis),
    ];
    let detail = json!({ "scopes": scopes.set.names() });
    let deed = deed(&request, "api_key.create", Some(&key.id), Some(detail)).statement();
    let batch = rows.write().add(INSERT, insert).add(deed.0, deed.1);
    let listed = |json: &str| serde_json::from_str::<Value>(json).map_err(problem::internal);
    let data = json!({
        "id": key.id, "name": name, "scopes": listed(&scopes.json)?, "ip_allowlist": listed(&ranges)?,
        "created_by": actor, "created_at": now, "expires_at": setting.expires_at, "last_used_at": null,
        "revoked_at": null, "previous_until": null, "key": key.text,
    });
    let location = format!("/api/v1/api-keys/{}", key.id);
    Ok(pending.commit(&rows, batch, Made { data, location }).await?.answer)
}

/// `GET /api/v1/api-keys`
pub async fn list(request: Request<Member>) -> Result<Response, Problem> {
    let tenant = request.caller.tenant.to_string();
    let asked = ListParams::read(&request, "api_keys.list", &tenant)?;
    let rows = request.caller.rows(&request.bindings)?.rows::<ViewRow>(&SHOWN, asked.args()).await?;
    asked.answer(&request, rows, Some(&tenant))
}

/// `GET /api/v1/api-keys/{key_id}`
pub async fn get(request: Request<Member>) -> Result<Response, Problem> {
    shown(&request, request.params.get("key_id"), None).await
}

/// `PATCH /api/v1/api-keys/{key_id}`
pub async fn patch(mut request: Request<Member>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(MERGE_PATCH).await?);
    let sets_end = fields.has("expires_at");
    let setting = Setting::read(&mut fields, request.now());
    fields.finish()?;
    let id = request.params.get("key_id").to_owned();
    check_reach(&request, &id).await?;
    if let Some(scopes) = &setting.scopes {
        check_own(&request, "/scopes", scopes.set)?;
    }
    let mints_no_more =
        setting.scopes.as_ref().is_some_and(|scopes| !scopes.set.has(Permission::SubscriberTokensWrite));
    let args = args![
        id.as_str(),
        setting.name,
        setting.scopes.map(|scopes| scopes.json),
        setting.ranges,
        sets_end,
        setting.expires_at.map(Timestamp::millis),
    ];
    if mints_no_more {
        end_minted(&request, minted_by(&id)).await?;
    }
    write(&request, (UPDATE, args), "api_key.update", &id).await?;
    if mints_no_more {
        end_minted(&request, minted_by(&id)).await?;
    }
    shown(&request, &id, None).await
}

/// `POST /api/v1/api-keys/{key_id}/reroll`
pub async fn reroll(mut request: Request<Member>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.optional_json_object().await?);
    let grace = read_grace(&mut fields);
    fields.finish()?;
    let id = request.params.get("key_id").to_owned();
    check_reach(&request, &id).await?;
    let key = FreshKey::of_tenant(request.caller.tenant.as_str(), Some(id)).map_err(problem::internal)?;
    let until = request.now().plus_seconds(grace).millis();
    let args = args![key.id.as_str(), digest(key.text.as_bytes()), until];
    write(&request, (REROLL, args), "api_key.reroll", &key.id).await?;
    shown(&request, &key.id, Some(&key.text)).await
}

/// `DELETE /api/v1/api-keys/{key_id}`
pub async fn revoke(request: Request<Member>) -> Result<Response, Problem> {
    let id = request.params.get("key_id").to_owned();
    find(&request, &id).await?;
    end_minted(&request, minted_by(&id)).await?;
    let args = args![id.as_str(), request.now().millis()];
    write(&request, (REVOKE, args), "api_key.revoke", &id).await?;
    end_minted(&request, minted_by(&id)).await?;
    shown(&request, &id, None).await
}

/// The key, as the tokens that it minted name it.
fn minted_by(id: &str) -> Option<String> {
    Some(format!("key:{id}"))
}

async fn write(
    request: &Request<Member>,
    change: (TenantSql, Vec<Arg>),
    operation: &'static str,
    id: &str,
) -> Result<(), Problem> {
    let deed = deed(request, operation, Some(id), None).statement();
    let rows = request.caller.rows(&request.bindings)?;
    rows.write().add(change.0, change.1).add(deed.0, deed.1).commit().await?;
    Ok(())
}

/// A key as it is shown; 404 if there is none.
async fn find(request: &Request<Member>, id: &str) -> Result<Value, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    let row = rows.row::<ViewRow>(&FIND, args![id]).await?.ok_or_else(problem::not_found)?;
    row.shown()
}

/// A key that the caller may change: it is in use, and may do no more than the caller.
async fn check_reach(request: &Request<Member>, id: &str) -> Result<(), Problem> {
    let view = find(request, id).await?;
    check_in_use(&view)?;
    let scopes = view.get("scopes").map(Value::to_string).unwrap_or_default();
    check_own(request, "", Permissions::stored(&scopes))
}

async fn shown(request: &Request<Member>, id: &str, text: Option<&str>) -> Result<Response, Problem> {
    Response::json(200, &with_text(find(request, id).await?, text), Some(request.caller.tenant.as_str()))
}
