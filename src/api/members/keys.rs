//! `/api/v1/api-keys`: the keys of a tenant's automation.
//!
//! A key's text is shown when it is made and when it is re-rolled, and never again. Nobody makes, changes or re-rolls
//! a key with permissions that they do not have, nor, being a key themselves, of the tenant or of the platform, one that
//! is good for longer or from elsewhere. Whoever makes or re-rolls a key answers for it (`auth/key_row.rs`). A change counts only if the key is still
//! what it was seen to be.

use serde_json::Value;

use super::{audit_entry, check_own};
use crate::api::key_draft::{Grace, KeyDraft, PermissionList, bounds_of_its_own, check_end, read_only};
use crate::auth::authenticate_member::key_permissions;
use crate::auth::idempotency::tenant::{CreatedResource, Creation};
use crate::auth::key_row::{ApiKeyRow, Backing};
use crate::auth::principal::{Actor, Member};
use crate::auth::revocation::{self, MintedBy, revoking};
use crate::auth::rules;
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
use crate::storage::tenant_db::TenantDb;
use domain::clock::Timestamp;
use domain::json;
use domain::permission::{Permission, Permissions};

statements! { TenantSql;
    /// Keys, newest first, with what they depend on.
    SHOWN = "SELECT k.id, k.created_at, json_object('id', k.id, 'name', k.name, 'scopes', json(k.scopes), 'ip_allowlist', json(k.ip_allowlist), 'created_by', k.created_by, 'created_at', k.created_at, 'expires_at', k.expires_at, 'last_used_at', k.last_used_at, 'revoked_at', k.revoked_at, 'previous_until', k.previous_until) AS view, k.digest, k.previous_digest, k.previous_until, k.scopes, k.ip_allowlist, k.expires_at, k.revoked_at, k.last_used_at, k.held_by, k.holder_id, k.holder_stamp, CASE WHEN u.status = 'active' THEN u.security_stamp END AS holder_now, u.role AS holder_role, r.permissions AS own_role, k.made_through, (SELECT json_group_array(json_object('scopes', m.scopes, 'ip_allowlist', m.ip_allowlist, 'expires_at', m.expires_at, 'revoked_at', m.revoked_at, 'holder_id', m.holder_id, 'holder_stamp', m.holder_stamp, 'holder_now', CASE WHEN h.status = 'active' THEN h.security_stamp END, 'holder_role', h.role, 'own_role', hr.permissions, 'rests_elsewhere', EXISTS (SELECT 1 FROM json_each(m.made_through) n WHERE n.value <> k.id AND n.value NOT IN (SELECT e.value FROM json_each(k.made_through) e)))) FROM json_each(k.made_through) j CROSS JOIN api_keys m LEFT JOIN users h ON h.tenant_id = ?1 AND h.id = m.holder_id LEFT JOIN roles hr ON hr.tenant_id = ?1 AND hr.name = h.role WHERE m.tenant_id = ?1 AND m.id = j.value) AS makers FROM api_keys k LEFT JOIN users u ON u.tenant_id = ?1 AND u.id = k.holder_id LEFT JOIN roles r ON r.tenant_id = ?1 AND r.name = u.role WHERE k.tenant_id = ?1 AND (k.created_at, k.id) < (?2, ?3) ORDER BY k.created_at DESC, k.id DESC LIMIT ?4";
    /// One key, with what it depends on.
    FIND = "SELECT k.id, k.created_at, json_object('id', k.id, 'name', k.name, 'scopes', json(k.scopes), 'ip_allowlist', json(k.ip_allowlist), 'created_by', k.created_by, 'created_at', k.created_at, 'expires_at', k.expires_at, 'last_used_at', k.last_used_at, 'revoked_at', k.revoked_at, 'previous_until', k.previous_until) AS view, k.digest, k.previous_digest, k.previous_until, k.scopes, k.ip_allowlist, k.expires_at, k.revoked_at, k.last_used_at, k.held_by, k.holder_id, k.holder_stamp, CASE WHEN u.status = 'active' THEN u.security_stamp END AS holder_now, u.role AS holder_role, r.permissions AS own_role, k.made_through, (SELECT json_group_array(json_object('scopes', m.scopes, 'ip_allowlist', m.ip_allowlist, 'expires_at', m.expires_at, 'revoked_at', m.revoked_at, 'holder_id', m.holder_id, 'holder_stamp', m.holder_stamp, 'holder_now', CASE WHEN h.status = 'active' THEN h.security_stamp END, 'holder_role', h.role, 'own_role', hr.permissions, 'rests_elsewhere', EXISTS (SELECT 1 FROM json_each(m.made_through) n WHERE n.value <> k.id AND n.value NOT IN (SELECT e.value FROM json_each(k.made_through) e)))) FROM json_each(k.made_through) j CROSS JOIN api_keys m LEFT JOIN users h ON h.tenant_id = ?1 AND h.id = m.holder_id LEFT JOIN roles hr ON hr.tenant_id = ?1 AND hr.name = h.role WHERE m.tenant_id = ?1 AND m.id = j.value) AS makers FROM api_keys k LEFT JOIN users u ON u.tenant_id = ?1 AND u.id = k.holder_id LEFT JOIN roles r ON r.tenant_id = ?1 AND r.name = u.role WHERE k.tenant_id = ?1 AND k.id = ?2";
    /// How many keys are in use.
    COUNT = "SELECT count(*) AS total FROM api_keys WHERE tenant_id = ?1 AND revoked_at IS NULL";
    /// A new key.
    INSERT = "INSERT INTO api_keys (tenant_id, id, name, digest, scopes, ip_allowlist, created_by, created_at, expires_at, held_by, holder_id, holder_stamp, made_through) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?7, ?10, ?11, ?12)";
    /// Changes what is not NULL; ?6 says whether the end changes.
    UPDATE = "UPDATE api_keys SET name = COALESCE(?3, name), scopes = COALESCE(?4, scopes), ip_allowlist = COALESCE(?5, ip_allowlist), expires_at = CASE WHEN ?6 THEN ?7 ELSE expires_at END WHERE tenant_id = ?1 AND id = ?2 AND revoked_at IS NULL";
    /// A new text; the previous one stays good until ?4, none if that is NULL. ?5 to ?8 answer for the key from now on.
    REROLL = "UPDATE api_keys SET previous_digest = CASE WHEN ?4 IS NULL THEN NULL ELSE digest END, previous_until = ?4, digest = ?3, held_by = ?5, holder_id = ?6, holder_stamp = ?7, made_through = ?8 WHERE tenant_id = ?1 AND id = ?2 AND revoked_at IS NULL";
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
    let bounds = request.caller.bounds();
    // What a key of the tenant makes stays bound to that key.
    let (ranges, expires_at) = if let Actor::Key { .. } = request.caller.who() {
        check_end(draft.expires_at, bounds)?;
        (draft.ranges.unwrap_or_else(|| json!([])), draft.expires_at)
    } else {
        bounds_of_its_own(draft.ranges, draft.expires_at, bounds)?
    };
    let ends_at = expires_at.map(Timestamp::millis);
    if rows.row::<CountRow>(&COUNT, Vec::new()).await?.is_some_and(|row| row.total >= MAX_KEYS) {
        return Err(problem::too_many("api_keys", MAX_KEYS));
    }
    let tenant = request.caller.tenant.as_str();
    let key = FreshKey::of_tenant(tenant, None).map_err(problem::internal)?;
    let actor = request.caller.actor();
    let backing = request.caller.backing();
    let insert = args![
        key.id.as_str(),
        name.as_str(),
        digest(key.text.as_bytes()),
        scopes.names.to_string(),
        ranges.to_string(),
        actor.as_str(),
        now.millis(),
        ends_at,
        backing.holder.as_deref(),
        backing.stamp.as_str(),
        backing.made_through()?,
    ];
    let detail = json!({ "scopes": scopes.set.names() });
    let entry = audit_entry(&request, "api_key.create", Some(&key.id), Some(detail));
    let batch = rows.write().add(INSERT, insert).audit(entry);
    let data = json!({
        "id": key.id, "name": name, "scopes": scopes.names, "ip_allowlist": ranges,
        "created_by": actor, "created_at": now, "expires_at": expires_at, "last_used_at": null,
        "revoked_at": null, "previous_until": null, "held_by": actor, "in_force": true,
        "not_in_force_because": null, "effective_scopes": effective_names(scopes.set), "key": key.text,
    });
    let location = format!("/api/v1/api-keys/{}", key.id);
    Ok(create.commit(&rows, batch, CreatedResource { data, location, etag: None }).await?.response)
}

/// `GET /api/v1/api-keys`
pub async fn list(request: Request<Member>) -> Result<Response, Problem> {
    let tenant = request.caller.tenant.to_string();
    let params = ListParams::read(&request, "api_keys.list", &tenant)?;
    let rows = request.caller.rows(&request.bindings)?.rows::<(ViewRow, ApiKeyRow)>(&SHOWN, params.args()).await?;
    let shown = rows.iter().map(|(view, key)| {
        let whole = shown_key(view, key, request.now())?.to_string();
        Ok(ViewRow { created_at: view.created_at, id: view.id.clone(), view: whole })
    });
    params.answer(&request, shown.collect::<Result<_, Problem>>()?, Some(&tenant))
}

/// `GET /api/v1/api-keys/{key_id}`
pub async fn get(request: Request<Member>) -> Result<Response, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    shown(&request, &rows, request.params.get("key_id"), None).await
}

/// `PATCH /api/v1/api-keys/{key_id}`
pub async fn patch(mut request: Request<Member>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(MERGE_PATCH).await?);
    let rows = request.caller.rows(&request.bindings)?;
    let (view, row) = find(&rows, request.params.get("key_id")).await?;
    read_only(&mut fields, &shown_key(&view, &row, request.now())?, "effective_scopes");
    let draft = KeyDraft::<Permissions>::read(&mut fields, "scopes", request.now());
    fields.finish()?;
    let target = TargetKey::find(&request, &rows).await?;
    if let Some(scopes) = &draft.permissions {
        check_own(&request, "/scopes", scopes.set)?;
    }
    draft.check_bounds(&target.row, request.caller.bounds())?;
    let before = Permissions::stored(&target.row.scopes);
    let keeps = |scopes: &PermissionList<Permissions>| scopes.set.covers(before.within(HEARING));
    let minted_by = match draft.permissions.as_ref().is_none_or(keeps) && !draft.sets_end() {
        false => MintedBy::key(&target.id),
        true if draft.ranges.is_some() => MintedBy::Principal(revocation::key_text(&target.id)),
        true => MintedBy::Nobody,
    };
    let args = std::iter::once(Arg::from(target.id.as_str())).chain(draft.update_args()).collect();
    let commit = target.write(&request, &rows, (UPDATE, args), "api_key.update");
    revoking(&request.bindings, &request.caller.tenant, minted_by, commit).await?;
    shown(&request, &rows, &target.id, None).await
}

/// `POST /api/v1/api-keys/{key_id}/reroll`. The key is the caller's from now on, unless it re-rolls itself.
pub async fn reroll(mut request: Request<Member>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.optional_json_object().await?);
    let grace = Grace::read(&mut fields);
    fields.finish()?;
    let rows = request.caller.rows(&request.bindings)?;
    let target = TargetKey::find(&request, &rows).await?;
    let (held_by, backing) = target.next_holder(&request);
    target.check_bounds(&request)?;
    let keeps = target.row.keeps_text_under(&backing);
    let until = grace.until(keeps, request.now())?;
    let id = target.id.clone();
    let key = FreshKey::of_tenant(request.caller.tenant.as_str(), Some(id)).map_err(problem::internal)?;
    let args = args![
        key.id.as_str(),
        digest(key.text.as_bytes()),
        until.map(Timestamp::millis),
        held_by,
        backing.holder.as_deref(),
        backing.stamp.as_str(),
        backing.made_through()?,
    ];
    // Without a grace the text before may have leaked, and with it the right to mint. What was minted before the key passes
    // to somebody else does not rest on them.
    let has_grace = until.is_some_and(|until| request.now() < until);
    let text = revocation::key_text(&target.id);
    let minted_by = if has_grace && target.row.is_backed_by(&backing) {
        MintedBy::Principal(text)
    } else {
        MintedBy::key(&target.id)
    };
    let commit = target.write(&request, &rows, (REROLL, args), "api_key.reroll");
    revoking(&request.bindings, &request.caller.tenant, minted_by, commit).await?;
    shown(&request, &rows, &key.id, Some(&key.text)).await
}

/// `DELETE /api/v1/api-keys/{key_id}`
pub async fn revoke(request: Request<Member>) -> Result<Response, Problem> {
    let id = request.params.get("key_id").to_owned();
    let rows = request.caller.rows(&request.bindings)?;
    find(&rows, &id).await?;
    let entry = audit_entry(&request, "api_key.revoke", Some(&id), None);
    let batch = rows.write().add(REVOKE, args![id.as_str(), request.now().millis()]).audit(entry);
    let commit = async { batch.commit().await.map(drop).map_err(Problem::from) };
    revoking(&request.bindings, &request.caller.tenant, MintedBy::key(&id), commit).await?;
    shown(&request, &rows, &id, None).await
}

/// A key that the caller may change.
struct TargetKey {
    id: String,
    row: ApiKeyRow,
}

impl TargetKey {
    /// The key that the path names; 404 if there is none. Refuses one that was revoked, or that has permissions which the
    /// caller does not have.
    async fn find(request: &Request<Member>, rows: &TenantDb) -> Result<Self, Problem> {
        let id = request.params.get("key_id").to_owned();
        let (_, row) = find(rows, &id).await?;
        row.check_not_revoked()?;
        check_own(request, "", Permissions::stored(&row.scopes))?;
        Ok(Self { id, row })
    }

    /// Refuses to hand the key's text to a caller who is bound in where and for how long, where nothing binds the key to
    /// the caller: what a key of the tenant re-rolls stays bound to that key.
    fn check_bounds(&self, request: &Request<Member>) -> Result<(), Problem> {
        let is_bound = matches!(request.caller.who(), Actor::Key { .. });
        if is_bound || request.caller.bounds().cover(&self.row.own_bounds()) {
            return Ok(());
        }
        Err(problem::beyond_own_permissions(""))
    }

    /// Who answers for the key once the caller has re-rolled it.
    fn next_holder(&self, request: &Request<Member>) -> (String, Backing) {
        match request.caller.who() {
            Actor::Key { id } if *id == self.id => self.row.present_holder(),
            _ => (request.caller.actor(), request.caller.backing().clone()),
        }
    }

    /// Changes the key, if it is still what was read.
    async fn write(
        &self,
        request: &Request<Member>,
        rows: &TenantDb,
        change: (TenantSql, Vec<Arg>),
        operation: &'static str,
    ) -> Result<(), Problem> {
        let (text, scopes, ranges, expires_at, held_by) = self.row.seen();
        let seen = args![self.id.as_str(), text, scopes, ranges, expires_at, held_by];
        let entry = audit_entry(request, operation, Some(&self.id), None);
        rules::commit(rows.write().add(rules::KEY_AS_SEEN, seen).add(change.0, change.1).audit(entry)).await
    }
}

/// A key's row and JSON; 404 if there is none.
async fn find(rows: &TenantDb, id: &str) -> Result<(ViewRow, ApiKeyRow), Problem> {
    rows.row(&FIND, args![id]).await?.ok_or_else(problem::not_found)
}

async fn shown(request: &Request<Member>, rows: &TenantDb, id: &str, text: Option<&str>) -> Result<Response, Problem> {
    let (view, row) = find(rows, id).await?;
    let mut key = shown_key(&view, &row, request.now())?;
    if let (Value::Object(members), Some(text)) = (&mut key, text) {
        members.insert("key".to_owned(), text.into());
    }
    Response::json(200, &key, Some(request.caller.tenant.as_str()))
}

fn shown_key(view: &ViewRow, row: &ApiKeyRow, now: Timestamp) -> Result<Value, Problem> {
    row.shown(view, now, ("effective_scopes", effective_names(key_permissions(row)))).map(Value::Object)
}

/// The names of what a key may do; `*` stands for everything, what later versions add included.
fn effective_names(set: Permissions) -> Value {
    if set == Permissions::ALL { Value::from(vec!["*"]) } else { Value::from(set.names()) }
}
