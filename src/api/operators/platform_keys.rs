//! `/api/v1/platform-keys`: the keys of the platform's automation.
//!
//! A key's text is shown when it is made and when it is re-rolled, and never again. Nobody makes, changes or re-rolls
//! a key with permissions that they do not have, nor, being a key themselves, one that is good for longer or from elsewhere;
//! whoever may write keys may revoke any. Whoever makes or re-rolls a key answers for it (`auth/key_row.rs`). A change
//! counts only if the key is still what it was seen to be.

use serde_json::Value;

use super::rules;
use super::{ControlStatement, audit, check_own, ending_everywhere, subject};
use crate::api::key_draft::{Grace, KeyDraft, PermissionList, check_end, read_only};
use crate::auth::authenticate_operator::platform_key_permissions;
use crate::auth::idempotency::CreateOrReplay;
use crate::auth::idempotency::platform::{PlatformCreate, PlatformResource};
use crate::auth::key_row::{ApiKeyRow, Backing};
use crate::auth::principal::{Operator, OperatorKind};
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
    /// Keys, newest first, with what they depend on.
    SHOWN = "SELECT k.id, k.created_at, json_object('id', k.id, 'name', k.name, 'permissions', json(k.permissions), 'ip_allowlist', json(k.ip_allowlist), 'created_by', k.created_by, 'created_at', k.created_at, 'expires_at', k.expires_at, 'last_used_at', k.last_used_at, 'revoked_at', k.revoked_at, 'previous_until', k.previous_until) AS view, k.digest, k.previous_digest, k.previous_until, k.permissions AS scopes, k.ip_allowlist, k.expires_at, k.revoked_at, k.last_used_at, k.held_by, k.holder_id, k.holder_stamp, CASE WHEN o.status = 'active' THEN o.security_stamp END AS holder_now, o.role AS holder_role, NULL AS own_role, k.made_through, (SELECT json_group_array(json_object('scopes', m.permissions, 'ip_allowlist', m.ip_allowlist, 'expires_at', m.expires_at, 'revoked_at', m.revoked_at, 'holder_id', m.holder_id, 'holder_stamp', m.holder_stamp, 'holder_now', CASE WHEN h.status = 'active' THEN h.security_stamp END, 'holder_role', h.role, 'rests_elsewhere', EXISTS (SELECT 1 FROM json_each(m.made_through) n WHERE n.value <> k.id AND n.value NOT IN (SELECT e.value FROM json_each(k.made_through) e)))) FROM json_each(k.made_through) j JOIN platform_keys m ON m.id = j.value LEFT JOIN operators h ON h.id = m.holder_id) AS makers FROM platform_keys k LEFT JOIN operators o ON o.id = k.holder_id WHERE (k.created_at, k.id) < (?1, ?2) ORDER BY k.created_at DESC, k.id DESC LIMIT ?3";
    /// One key, with what it depends on.
    FIND = "SELECT k.id, k.created_at, json_object('id', k.id, 'name', k.name, 'permissions', json(k.permissions), 'ip_allowlist', json(k.ip_allowlist), 'created_by', k.created_by, 'created_at', k.created_at, 'expires_at', k.expires_at, 'last_used_at', k.last_used_at, 'revoked_at', k.revoked_at, 'previous_until', k.previous_until) AS view, k.digest, k.previous_digest, k.previous_until, k.permissions AS scopes, k.ip_allowlist, k.expires_at, k.revoked_at, k.last_used_at, k.held_by, k.holder_id, k.holder_stamp, CASE WHEN o.status = 'active' THEN o.security_stamp END AS holder_now, o.role AS holder_role, NULL AS own_role, k.made_through, (SELECT json_group_array(json_object('scopes', m.permissions, 'ip_allowlist', m.ip_allowlist, 'expires_at', m.expires_at, 'revoked_at', m.revoked_at, 'holder_id', m.holder_id, 'holder_stamp', m.holder_stamp, 'holder_now', CASE WHEN h.status = 'active' THEN h.security_stamp END, 'holder_role', h.role, 'rests_elsewhere', EXISTS (SELECT 1 FROM json_each(m.made_through) n WHERE n.value <> k.id AND n.value NOT IN (SELECT e.value FROM json_each(k.made_through) e)))) FROM json_each(k.made_through) j JOIN platform_keys m ON m.id = j.value LEFT JOIN operators h ON h.id = m.holder_id) AS makers FROM platform_keys k LEFT JOIN operators o ON o.id = k.holder_id WHERE k.id = ?1";
    /// How many keys are in use.
    COUNT = "SELECT count(*) AS total FROM platform_keys WHERE revoked_at IS NULL";
    /// A new key.
    INSERT = "INSERT INTO platform_keys (id, name, digest, permissions, ip_allowlist, created_by, created_at, expires_at, held_by, holder_id, holder_stamp, made_through) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?6, ?9, ?10, ?11)";
    /// Changes what is not NULL; ?5 says whether the end changes.
    UPDATE = "UPDATE platform_keys SET name = COALESCE(?2, name), permissions = COALESCE(?3, permissions), ip_allowlist = COALESCE(?4, ip_allowlist), expires_at = CASE WHEN ?5 THEN ?6 ELSE expires_at END WHERE id = ?1 AND revoked_at IS NULL";
    /// A new text; the previous one stays good until ?3, none if that is NULL. ?4 to ?7 answer for the key from now on.
    REROLL = "UPDATE platform_keys SET previous_digest = CASE WHEN ?3 IS NULL THEN NULL ELSE digest END, previous_until = ?3, digest = ?2, held_by = ?4, holder_id = ?5, holder_stamp = ?6, made_through = ?7 WHERE id = ?1 AND revoked_at IS NULL";
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
    check_end(draft.expires_at, request.caller.bounds())?;
    if db.row::<CountRow>(&COUNT, Vec::new()).await?.is_some_and(|row| row.total >= MAX_KEYS) {
        return Err(problem::too_many("platform_keys", MAX_KEYS));
    }
    let key = FreshKey::new(KeyKind::Platform).map_err(problem::internal)?;
    let (ranges, actor) = (draft.ranges.unwrap_or_else(|| json!([])), request.caller.actor());
    let (id, ends_at) = (key.id.as_str(), draft.expires_at.map(Timestamp::millis));
    let stored = permissions.names.to_string();
    let digest = digest(key.text.as_bytes());
    let backing = request.caller.backing();
    let insert = args![
        id,
        name.as_str(),
        digest,
        stored,
        ranges.to_string(),
        actor.as_str(),
        now.millis(),
        ends_at,
        backing.holder.as_deref(),
        backing.stamp.as_str(),
        backing.made_through()?,
    ];
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
        "held_by": actor,
        "in_force": true,
        "not_in_force_because": null,
        "effective_permissions": effective_names(permissions.set),
        "key": key.text,
    });
    create.commit(batch, PlatformResource { data, etag: String::new() }, problem::changed_meanwhile).await
}

/// `GET /api/v1/platform-keys`
pub async fn list(request: Request<Operator>) -> Result<Response, Problem> {
    let params = ListParams::read(&request, "platform_keys.list", "")?;
    let db = ControlDb::open(&request.bindings, "list platform keys")?;
    let rows = db.rows::<(ViewRow, ApiKeyRow)>(&SHOWN, params.args()).await?;
    let shown = rows.iter().map(|(view, key)| {
        let whole = shown_key(view, key, request.now())?.to_string();
        Ok(ViewRow { created_at: view.created_at, id: view.id.clone(), view: whole })
    });
    params.answer(&request, shown.collect::<Result<_, Problem>>()?, None)
}

/// `GET /api/v1/platform-keys/{key_id}`
pub async fn get(request: Request<Operator>) -> Result<Response, Problem> {
    let db = ControlDb::open(&request.bindings, "show a platform key")?;
    shown(&request, &db, None).await
}

/// `PATCH /api/v1/platform-keys/{key_id}`
pub async fn patch(mut request: Request<Operator>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(MERGE_PATCH).await?);
    let id = request.params.get("key_id");
    let db = ControlDb::open(&request.bindings, "change a platform key")?;
    let (view, key) = find(&db, id).await?;
    read_only(&mut fields, &shown_key(&view, &key, request.now())?, "effective_permissions");
    let draft = KeyDraft::<PlatformPermissions>::read(&mut fields, "permissions", request.now());
    fields.finish()?;
    let row = changeable(&request, &db).await?;
    if let Some(permissions) = &draft.permissions {
        check_own(&request, "/permissions", permissions.set)?;
    }
    draft.check_bounds(&row, request.caller.bounds())?;
    // Whoever enters tenants may do everything there; without that permission, nothing.
    let may_enter = |listed: &PermissionList<PlatformPermissions>| listed.set.has(PlatformPermission::TenantsEnter);
    let keeps_permissions = draft.permissions.as_ref().is_none_or(may_enter);
    // Streams do not tell from which address of the old list they came.
    let keeps = keeps_permissions && !draft.sets_end() && draft.ranges.is_none();
    let args = std::iter::once(Arg::from(id)).chain(draft.update_args()).collect();
    let commit = write(&request, &db, &row, (UPDATE, args), "platform_key.update");
    if keeps {
        commit.await?;
    } else {
        ending_minted(&request, &db, commit).await?;
    }
    shown(&request, &db, None).await
}

/// `POST /api/v1/platform-keys/{key_id}/reroll`. The key is the caller's from now on, unless it re-rolls itself.
pub async fn reroll(mut request: Request<Operator>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.optional_json_object().await?);
    let grace = Grace::read(&mut fields);
    fields.finish()?;
    let id = request.params.get("key_id");
    let db = ControlDb::open(&request.bindings, "re-roll a platform key")?;
    let row = changeable(&request, &db).await?;
    let (held_by, backing): (String, Backing) = match request.caller.who() {
        OperatorKind::Key { id: own } if own == id => row.present_holder(),
        _ => (request.caller.actor(), request.caller.backing().clone()),
    };
    let until = grace.until(row.keeps_text_under(&backing), request.now())?.map(Timestamp::millis);
    let key = FreshKey::again(KeyKind::Platform, id.to_owned()).map_err(problem::internal)?;
    let (text, through) = (digest(key.text.as_bytes()), backing.made_through()?);
    let has_grace = until.is_some_and(|until| request.now().millis() < until);
    let args = args![id, text, until, held_by, backing.holder.as_deref(), backing.stamp.as_str(), through];
    let commit = write(&request, &db, &row, (REROLL, args), "platform_key.reroll");
    // Without a grace the text before may have leaked, and with it the right to mint. What was minted before the key passes
    // to somebody else does not rest on them.
    if has_grace && row.is_backed_by(&backing) {
        commit.await?;
    } else {
        ending_minted(&request, &db, commit).await?;
    }
    shown(&request, &db, Some(&key.text)).await
}

/// `DELETE /api/v1/platform-keys/{key_id}`
pub async fn revoke(request: Request<Operator>) -> Result<Response, Problem> {
    let id = request.params.get("key_id");
    let db = ControlDb::open(&request.bindings, "revoke a platform key")?;
    find(&db, id).await?;
    let revoke = (REVOKE, args![id, request.now().millis()]);
    let batch = vec![revoke, audit(&request, "platform_key.revoke", subject(id))];
    ending_minted(&request, &db, async { db.batch(batch).await.map(drop).map_err(Problem::from) }).await?;
    shown(&request, &db, None).await
}

/// Commits a change that takes rights from a key, and ends the streams of the tokens that it, or a key made by it, minted
/// in tenants.
async fn ending_minted(
    request: &Request<Operator>,
    db: &ControlDb,
    commit: impl Future<Output = Result<(), Problem>>,
) -> Result<(), Problem> {
    let key = format!("platform_key:{}", request.params.get("key_id"));
    ending_everywhere(request, db, (&key, &key), commit).await
}

/// Changes a key, if it is still what was read.
async fn write(
    request: &Request<Operator>,
    db: &ControlDb,
    row: &ApiKeyRow,
    change: ControlStatement,
    operation: &'static str,
) -> Result<(), Problem> {
    let id = request.params.get("key_id");
    let (text, permissions, ranges, expires_at, held_by) = row.seen();
    let seen = (rules::KEY_AS_SEEN, args![id, text, permissions, ranges, expires_at, held_by]);
    rules::commit(db, vec![seen, change, audit(request, operation, subject(id))]).await
}

/// A key's row and JSON; 404 if there is none.
async fn find(db: &ControlDb, id: &str) -> Result<(ViewRow, ApiKeyRow), Problem> {
    db.row(&FIND, args![id]).await?.ok_or_else(problem::not_found)
}

/// The key that the path names. Refuses one that was revoked, or that has permissions which the caller does not have.
async fn changeable(request: &Request<Operator>, db: &ControlDb) -> Result<ApiKeyRow, Problem> {
    let (_, row) = find(db, request.params.get("key_id")).await?;
    row.check_not_revoked()?;
    check_own(request, "", PlatformPermissions::stored(&row.scopes))?;
    Ok(row)
}

async fn shown(request: &Request<Operator>, db: &ControlDb, text: Option<&str>) -> Result<Response, Problem> {
    let (view, row) = find(db, request.params.get("key_id")).await?;
    let mut key = shown_key(&view, &row, request.now())?;
    if let (Value::Object(members), Some(text)) = (&mut key, text) {
        members.insert("key".to_owned(), text.into());
    }
    Response::json(200, &key, None)
}

fn shown_key(view: &ViewRow, row: &ApiKeyRow, now: Timestamp) -> Result<Value, Problem> {
    let effective = effective_names(platform_key_permissions(row));
    row.shown(view, now, ("effective_permissions", effective)).map(Value::Object)
}

/// The names of what a key may do; `*` stands for everything, what later versions add included.
fn effective_names(set: PlatformPermissions) -> Value {
    if set == PlatformPermissions::ALL { Value::from(vec!["*"]) } else { Value::from(set.names()) }
}
