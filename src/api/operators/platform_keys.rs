//! `/api/v1/platform-keys`: the keys of the platform's automation.
//!
//! A key's text is shown when it is made and when it is re-rolled, and never again. Nobody makes, changes or re-rolls
//! a key with permissions that they do not have; whoever may write keys may revoke any.

use serde_json::Value;

use super::{ControlStatement, audit, check_own, ending_everywhere, subject};
use crate::api::key_draft::{KeyDraft, PermissionList, check_not_revoked, read_grace, with_text};
use crate::auth::idempotency::CreateOrReplay;
use crate::auth::idempotency::platform::{PlatformCreate, PlatformResource};
use crate::auth::principal::Operator;
use crate::credentials::key::{FreshKey, KeyKind};
use crate::credentials::signature::digest;
use crate::http::fields::Fields;
use crate::http::incoming::{JSON, MERGE_PATCH};
use crate::http::listing::{ListParams, ViewRow};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::control_db::ControlDb;
use crate::storage::row::CountRow;
use crate::storage::sql::Arg;
use crate::storage::sql::{args, statements};
use domain::clock::Timestamp;
use domain::json;
use domain::permission::{PlatformPermission, PlatformPermissions};

statements! { ControlSql;
    /// Keys, newest first.
    SHOWN = "SELECT id, created_at, json_object('id', id, 'name', name, 'permissions', json(permissions), 'ip_allowlist', json(ip_allowlist), 'created_by', created_by, 'created_at', created_at, 'expires_at', expires_at, 'last_used_at', last_used_at, 'revoked_at', revoked_at, 'previous_until', previous_until) AS view FROM platform_keys WHERE (created_at, id) < (?1, ?2) ORDER BY created_at DESC, id DESC LIMIT ?3";
    /// One key.
    FIND = "SELECT id, created_at, json_object('id', id, 'name', name, 'permissions', json(permissions), 'ip_allowlist', json(ip_allowlist), 'created_by', created_by, 'created_at', created_at, 'expires_at', expires_at, 'last_used_at', last_used_at, 'revoked_at', revoked_at, 'previous_until', previous_until) AS view FROM platform_keys WHERE id = ?1";
    /// How many keys are in use.
    COUNT = "SELECT count(*) AS total FROM platform_keys WHERE revoked_at IS NULL";
    /// A new key.
    INSERT = "INSERT INTO platform_keys (id, name, digest, permissions, ip_allowlist, created_by, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    /// Changes what is not NULL; ?5 says whether the end changes.
    UPDATE = "UPDATE platform_keys SET name = COALESCE(?2, name), permissions = COALESCE(?3, permissions), ip_allowlist = COALESCE(?4, ip_allowlist), expires_at = CASE WHEN ?5 THEN ?6 ELSE expires_at END WHERE id = ?1 AND revoked_at IS NULL";
    /// A new text; the previous one stays good until ?3.
    REROLL = "UPDATE platform_keys SET previous_digest = digest, previous_until = ?3, digest = ?2 WHERE id = ?1 AND revoked_at IS NULL";
    /// Revokes a key.
    REVOKE = "UPDATE platform_keys SET revoked_at = ?2, previous_digest = NULL, previous_until = NULL WHERE id = ?1 AND revoked_at IS NULL";
}

const COLLECTION: &str = "/api/v1/platform-keys";
/// Most keys in use at a time.
const MAX_KEYS: i64 = 200;

/// `POST /api/v1/platform-keys`
pub async fn create(mut request: Request<Operator>) -> Result<Response, Problem> {
    let body = request.incoming.json_object(JSON).await?;
    let db = ControlDb::open(&request.bindings, "make a platform key")?;
    let create = match PlatformCreate::begin(&request, &db, "platform_keys.create", COLLECTION, &body).await? {
        CreateOrReplay::New(create) => create,
        CreateOrReplay::Done(response) => return Ok(response),
    };
    let mut fields = Fields::new(body);
    let now = request.now();
    for name in ["name", "permissions"] {
        fields.require(name);
    }
    let draft = KeyDraft::<PlatformPermissions>::read(&mut fields, "permissions", now);
    let (name, permissions) = fields.finish_with(draft.name.zip(draft.permissions))?;
    check_own(&request, "/permissions", permissions.set)?;
    if db.row::<CountRow>(&COUNT, Vec::new()).await?.is_some_and(|row| row.total >= MAX_KEYS) {
        return Err(problem::too_many("platform_keys", MAX_KEYS));
    }
    let key = FreshKey::new(KeyKind::Platform).map_err(problem::internal)?;
    let (ranges, actor) = (draft.ranges.unwrap_or_else(|| json!([])), request.caller.actor());
    let (id, ends_at) = (key.id.as_str(), draft.expires_at.map(Timestamp::millis));
    let stored = permissions.names.to_string();
    let digest = digest(key.text.as_bytes());
    let insert = args![id, name.as_str(), digest, stored, ranges.to_string(), actor.as_str(), now.millis(), ends_at];
    let detail = json!({ "subject": id, "permissions": permissions.set.names() });
    let batch = vec![(INSERT, insert), audit(&request, "platform_key.create", detail)];
    let data = json!({
        "id": id,
        "name": name,
        "permissions": permissions.names,
        "ip_allowlist": ranges,
        "created_by": actor,
        "created_at": now,
        "expires_at": draft.expires_at,
        "last_used_at": null,
        "revoked_at": null,
        "previous_until": null,
        "key": key.text,
    });
    create.commit(batch, PlatformResource { data, etag: String::new() }, problem::changed_meanwhile).await
}

/// `GET /api/v1/platform-keys`
pub async fn list(request: Request<Operator>) -> Result<Response, Problem> {
    let params = ListParams::read(&request, "platform_keys.list", "")?;
    let db = ControlDb::open(&request.bindings, "list platform keys")?;
    let rows = db.rows::<ViewRow>(&SHOWN, params.args()).await?;
    params.answer(&request, rows, None)
}

/// `GET /api/v1/platform-keys/{key_id}`
pub async fn get(request: Request<Operator>) -> Result<Response, Problem> {
    let db = ControlDb::open(&request.bindings, "show a platform key")?;
    shown(&db, request.params.get("key_id"), None).await
}

/// `PATCH /api/v1/platform-keys/{key_id}`
pub async fn patch(mut request: Request<Operator>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(MERGE_PATCH).await?);
    let draft = KeyDraft::<PlatformPermissions>::read(&mut fields, "permissions", request.now());
    fields.finish()?;
    let id = request.params.get("key_id");
    let db = ControlDb::open(&request.bindings, "change a platform key")?;
    check_may_change(&request, &db, id).await?;
    if let Some(permissions) = &draft.permissions {
        check_own(&request, "/permissions", permissions.set)?;
    }
    // Whoever enters tenants may do everything there; without that permission, nothing.
    let may_enter = |listed: &PermissionList<PlatformPermissions>| listed.set.has(PlatformPermission::TenantsEnter);
    let keeps = draft.permissions.as_ref().is_none_or(may_enter) && !draft.sets_end();
    let args = std::iter::once(Arg::from(id)).chain(draft.update_args()).collect();
    let commit = write(&request, &db, (UPDATE, args), "platform_key.update");
    if keeps {
        commit.await?;
    } else {
        ending_minted(&request, &db, id, commit).await?;
    }
    shown(&db, id, None).await
}

/// `POST /api/v1/platform-keys/{key_id}/reroll`
pub async fn reroll(mut request: Request<Operator>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.optional_json_object().await?);
    let grace = read_grace(&mut fields);
    fields.finish()?;
    let id = request.params.get("key_id");
    let db = ControlDb::open(&request.bindings, "re-roll a platform key")?;
    check_may_change(&request, &db, id).await?;
    let key = FreshKey::again(KeyKind::Platform, id.to_owned()).map_err(problem::internal)?;
    let until = request.now().plus_seconds(grace).millis();
    let args = args![id, digest(key.text.as_bytes()), until];
    let commit = write(&request, &db, (REROLL, args), "platform_key.reroll");
    // Without a grace the text before may have leaked, and with it the right to mint.
    if grace > 0 {
        commit.await?;
    } else {
        ending_minted(&request, &db, id, commit).await?;
    }
    shown(&db, id, Some(&key.text)).await
}

/// `DELETE /api/v1/platform-keys/{key_id}`
pub async fn revoke(request: Request<Operator>) -> Result<Response, Problem> {
    let id = request.params.get("key_id");
    let db = ControlDb::open(&request.bindings, "revoke a platform key")?;
    find(&db, id).await?;
    let commit = write(&request, &db, (REVOKE, args![id, request.now().millis()]), "platform_key.revoke");
    ending_minted(&request, &db, id, commit).await?;
    shown(&db, id, None).await
}

/// Commits a change that takes rights from a key, and ends the streams of the tokens that it minted in tenants.
async fn ending_minted(
    request: &Request<Operator>,
    db: &ControlDb,
    id: &str,
    commit: impl Future<Output = Result<(), Problem>>,
) -> Result<(), Problem> {
    let key = format!("platform_key:{id}");
    ending_everywhere(request, db, (&key, &key), commit).await
}

async fn write(
    request: &Request<Operator>,
    db: &ControlDb,
    change: ControlStatement,
    operation: &'static str,
) -> Result<(), Problem> {
    let audit = audit(request, operation, subject(request.params.get("key_id")));
    db.batch(vec![change, audit]).await?;
    Ok(())
}

/// A key's JSON; 404 if there is none.
async fn find(db: &ControlDb, id: &str) -> Result<Value, Problem> {
    db.row::<ViewRow>(&FIND, args![id]).await?.ok_or_else(problem::not_found)?.shown()
}

/// Refuses to change a key that was revoked, or that has permissions which the caller does not have.
async fn check_may_change(request: &Request<Operator>, db: &ControlDb, id: &str) -> Result<(), Problem> {
    let view = find(db, id).await?;
    check_not_revoked(&view)?;
    let permissions = view.get("permissions").map(Value::to_string).unwrap_or_default();
    check_own(request, "", PlatformPermissions::stored(&permissions))
}

async fn shown(db: &ControlDb, id: &str, text: Option<&str>) -> Result<Response, Problem> {
    Response::json(200, &with_text(find(db, id).await?, text), None)
}
