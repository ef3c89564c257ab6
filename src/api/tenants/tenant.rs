//! The tenant API, for operators: create, read, replace, patch, delete.

use crate::records::provision::provision;
use serde_json::{Map, Value};

use super::input::{self, NewTenant, TenantBodyContext, TenantUpdate};
use super::other_names;
use super::subject::{change_of, check_match, find, show, shown_after};
use crate::auth::idempotency::CreateOrReplay;
use crate::auth::idempotency::platform::{PlatformCreate, PlatformResource};
use crate::auth::principal::Operator;
use crate::http::incoming::{JSON, MERGE_PATCH};
use crate::http::precondition::Validators;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::control_db::ControlDb;
use crate::storage::row::row_types;
use crate::storage::sealed::{SealKey, random};
use crate::storage::sql::{args, statements};
use crate::tenant::change::TenantChange;
use crate::tenant::domains::{self, Wanted};
use crate::tenant::record::{Status, TenantRow};
use crate::tenant::registry::{Tenant, TenantDetails, find_plan};
use crate::tenant::secrets::{self, SecretKind};
use domain::error::Invalid;
use domain::host::RootDomain;
use domain::ids::{ClaimedTenant, Slug};
use domain::json;
use domain::merge_patch;

statements! { ControlSql;
    /// A new tenant; fails if its id or slug is taken, or its plan unknown.
    INSERT_TENANT = "INSERT INTO tenants (id, slug, display_name, admin_email, plan, status, revision, wpgraphql_endpoint, features, resources, cors_origins, rate_limits, settings, branding, require_standard_webhooks, data_key, created_at, updated_at, expires_at, ip_allowlist) VALUES (?1, ?2, ?3, ?4, ?5, ?18, 1, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?15, ?16, ?17)";
    /// Places its rows on the open shard with the fewest tenants.
    PLACE_TENANT = "INSERT INTO placements (tenant_id, shard, epoch, moved_at) SELECT ?1, s.name, 1, ?2 FROM shards s WHERE s.status = 'open' ORDER BY (SELECT count(*) FROM placements p WHERE p.shard = s.name), s.name LIMIT 1";
    /// Everything an operator sets.
    UPDATE_TENANT = "UPDATE tenants SET display_name = ?2, admin_email = ?3, plan = ?4, wpgraphql_endpoint = ?5, features = ?6, resources = ?7, cors_origins = ?8, rate_limits = ?9, settings = ?10, branding = ?11, require_standard_webhooks = ?12, expires_at = ?13, status = ?14, slug = ?15, ip_allowlist = ?16 WHERE id = ?1";
    /// Changes the status.
    SET_STATUS = "UPDATE tenants SET status = ?2 WHERE id = ?1";
    /// Reserves a purged tenant's name for ever.
    RETIRE_NAME = "INSERT OR IGNORE INTO retired_names (kind, name) VALUES (?1, ?2)";
    /// Which of an id and a slug are taken: by another tenant, by a purged one, or because the slug's host was released just
    /// now.
    TAKEN_NAMES = "SELECT 'tenant_id' AS kind, id AS name FROM tenants WHERE id = ?1 AND id <> ?3 UNION ALL SELECT 'slug', slug FROM tenants WHERE slug = ?2 AND id <> ?3 UNION ALL SELECT CASE kind WHEN 'id' THEN 'tenant_id' ELSE 'slug' END, name FROM retired_names WHERE kind = 'id' AND name = ?1 OR kind = 'slug' AND name = ?2 UNION ALL SELECT 'slug', domain FROM released_domains WHERE domain = ?4 AND released_at > ?5 AND COALESCE(tenant_id, '') <> ?3";
}

/// The path that tenants are created in.
const COLLECTION: &str = "/api/v1/tenants";

row_types! {
    struct TakenNameRow {
        kind: String,
    }
}

/// `POST /api/v1/tenants`
pub async fn create(mut request: Request<Operator>) -> Result<Response, Problem> {
    let mut object = request.incoming.json_object(JSON).await?;
    let db = ControlDb::open(&request.bindings, "create a tenant")?;
    let create = match PlatformCreate::begin(&request, &db, "tenants.create", COLLECTION, &object).await? {
        CreateOrReplay::New(create) => create,
        CreateOrReplay::Done(response) => return Ok(response),
    };
    let at = request.now();
    let now = at.millis();
    let plan = find_plan(&db, input::named_plan(&object)).await?;
    let root = &request.bindings.settings.root_domain;
    let context = TenantBodyContext {
        root,
        to_ascii: &super::domains::to_ascii,
        plan_is_known: plan.is_some(),
        may_call: &|text| request.bindings.settings.outbound(text).map(drop),
        slug: "",
        stored: None,
        now: at,
    };
    let names = other_names::resolve(&mut object, &Map::new())?;
    let new = NewTenant::read(object, &context).map_err(|problem| names.of(problem))?;
    let plan = plan.ok_or_else(|| problem::internal("the default plan is missing"))?;
    let id = match &new.id {
        Some(id) => id.as_str().to_owned(),
        None => generated_id()?,
    };
    request.check_named(&id)?;
    let slug = slug_of(&new, &id)?;
    check_names(&db, &id, &slug, root, "", now).await.map_err(|problem| names.of(problem))?;
    let rule = request.bindings.settings.domain_proof;
    let wanted = domains::wanted(&db, rule, &id, &new.domains, "/custom_domains", at).await;
    let wanted = wanted.map_err(|problem| names.of(problem))?;

    let key = SealKey::random().map_err(problem::internal)?;
    let webhook_secret = new.webhook_secret.clone().map_or_else(|| SecretKind::Webhook.generate(), Ok)?;
    let subscription_secret =
        new.subscription_secret.clone().map_or_else(|| SecretKind::Subscription.generate(), Ok)?;
    let wrapped = request.bindings.settings.keys.wrap(&id, &key).map_err(problem::internal)?;
    let row = TenantRow::new(&id, slug.as_str(), (&new.profile, new.status), &plan, wrapped, now)
        .map_err(problem::internal)?;
    let mut statements = vec![(INSERT_TENANT, row.insert_args()), (PLACE_TENANT, args![id.as_str(), now])];
    for (kind, secret) in [(SecretKind::Webhook, &webhook_secret), (SecretKind::Subscription, &subscription_secret)] {
        let sealed = secrets::seal(&key, &id, kind, 1, secret)?;
        statements.push((secrets::INSERT_SECRET, args![id.as_str(), kind.as_str(), 1i64, sealed, now]));
    }
    for (i, one) in wanted.iter().enumerate() {
        statements.extend(one.statements(&id, i == 0, at)?);
    }
    let names = |wanted: Vec<&Wanted>| wanted.into_iter().map(|one| one.domain.as_str().to_owned()).collect::<Vec<_>>();
    let (served, claimed) = wanted.iter().partition(|one| one.proof.is_some());
    let (served, claimed) = (names(served), names(claimed));
    let mut data = row.to_view(&served, &claimed, root.as_str(), false, at).map_err(problem::internal)?;
    if let Value::Object(data) = &mut data {
        data.insert("webhook_secret".into(), webhook_secret.into());
        data.insert("subscription_secret".into(), subscription_secret.into());
    }
    let mut created = PlatformResource { data, etag: row.etag() };
    statements.extend(create.store(&created)?);

    let hosts = std::iter::once(root.host_of(&slug).as_str().to_owned()).chain(served).collect();
    let (bindings, request_id) = (&request.bindings, request.incoming.id.as_str());
    let change = TenantChange {
        bindings,
        tenant: &id,
        revision: 0,
        operation: "tenant.create",
        actor: request.caller.actor(),
        request_id,
        is_conditional: false,
        hosts,
        templates: new.templates,
        detail: None,
    };
    if let Err(problem) = change.write(&db, statements, conflict).await {
        // Another request with the same key may have been faster.
        return create.replay().await?.ok_or(problem);
    }
    if change.carry(&db, provision).await? {
        return create.respond(&created);
    }
    if let Value::Object(data) = &mut created.data {
        data.insert("pending".into(), true.into());
    }
    let mut response = create.respond(&created)?;
    response.status = 202;
    Ok(response)
}

/// `GET /api/v1/tenants/{tenant_id}`
pub async fn get(request: Request<Operator>) -> Result<Response, Problem> {
    let id = request.path_tenant()?;
    let shown = TenantDetails::get(&ControlDb::open(&request.bindings, "read a tenant")?, id.as_str()).await?;
    let etag = shown.row.etag();
    if request.preconditions().is_known(Validators::tag(&etag))? {
        return Ok(Response::empty(304).header("ETag", etag));
    }
    show(&request, &shown, 200)
}

/// `PUT /api/v1/tenants/{tenant_id}`: fields that the body leaves out get their defaults, and what was read may be sent as
/// it is.
pub async fn replace(mut request: Request<Operator>) -> Result<Response, Problem> {
    let mut object = request.incoming.json_object(JSON).await?;
    let (db, tenant) = find(&request, "replace a tenant").await?;
    let shown = shown_members(&request, &tenant)?;
    let names = other_names::resolve(&mut object, &shown)?;
    other_names::keep_unset(&mut object, &shown, &tenant.row.profile().features);
    update(&request, &db, tenant, object, "tenant.replace").await.map_err(|problem| names.of(problem))
}

/// `PATCH /api/v1/tenants/{tenant_id}`: JSON Merge Patch.
pub async fn patch(mut request: Request<Operator>) -> Result<Response, Problem> {
    let mut patch = request.incoming.json_object(MERGE_PATCH).await?;
    let (db, tenant) = find(&request, "patch a tenant").await?;
    let shown = shown_members(&request, &tenant)?;
    let names = other_names::resolve(&mut patch, &shown)?;
    other_names::keep_unchanged(&mut patch, &shown);
    let mut object = input::writable(&tenant.row.profile());
    if patch.contains_key("tier") && !patch.contains_key("plan") {
        object.remove("plan");
    }
    merge_patch::merge(&mut object, patch);
    update(&request, &db, tenant, object, "tenant.patch").await.map_err(|problem| names.of(problem))
}

/// The tenant's members as they are shown before a change.
fn shown_members(request: &Request<Operator>, tenant: &Tenant) -> Result<Map<String, Value>, Problem> {
    let root = request.bindings.settings.root_domain.as_str();
    match tenant.to_view(root, request.now()).map_err(problem::internal)? {
        Value::Object(members) => Ok(members),
        _ => Ok(Map::new()),
    }
}

/// `DELETE /api/v1/tenants/{tenant_id}`: stops the tenant. With `?purge=true`, deletes the data of a tenant that was stopped
/// so, for ever.
pub async fn delete(request: Request<Operator>) -> Result<Response, Problem> {
    let purge = request.incoming.query.flag("purge")?;
    let (db, tenant) = find(&request, "delete a tenant").await?;
    check_match(&request, &tenant)?;
    let id = tenant.id.as_str();
    let (statements, operation) = if purge {
        if tenant.row.status != Status::Deleted {
            return Err(problem::not_deleted());
        }
        let mut statements = vec![
            (SET_STATUS, args![id, Status::Purged.as_str()]),
            (RETIRE_NAME, args!["id", id]),
            (RETIRE_NAME, args!["slug", tenant.row.slug.as_str()]),
        ];
        statements.extend(domains::release_all(id, request.now()));
        (statements, "tenant.purge")
    } else {
        if tenant.row.status == Status::Deleted && !tenant.pending {
            return shown_after(&request, &db, id, true).await;
        }
        (vec![(SET_STATUS, args![id, Status::Deleted.as_str()])], "tenant.delete")
    };
    let change = change_of(&request, &tenant, operation);
    change.write(&db, statements, |text| problem::internal(text)).await?;
    let is_applied = change.carry(&db, provision).await?;
    if purge {
        let status = if is_applied { 200 } else { 202 };
        return Response::json(
            status,
            &json!({ "tenant_id": id, "status": Status::Purged, "pending": !is_applied }),
            Some(id),
        );
    }
    shown_after(&request, &db, id, is_applied).await
}

async fn update(
    request: &Request<Operator>,
    db: &ControlDb,
    tenant: Tenant,
    object: Map<String, Value>,
    operation: &'static str,
) -> Result<Response, Problem> {
    check_match(request, &tenant)?;
    let id = tenant.id.as_str();
    let plan_is_known = find_plan(db, input::named_plan(&object)).await?.is_some();
    let root = &request.bindings.settings.root_domain;
    let stored = tenant.row.profile();
    let context = TenantBodyContext {
        root,
        to_ascii: &super::domains::to_ascii,
        plan_is_known,
        may_call: &|text| request.bindings.settings.outbound(text).map(drop),
        slug: &tenant.row.slug,
        stored: Some(&stored),
        now: request.now(),
    };
    let update = TenantUpdate::read(object, id, &context)?;
    let slug = update.slug.as_ref().filter(|slug| slug.as_str() != tenant.row.slug);
    let now = request.now();
    if let Some(slug) = slug {
        check_names(db, id, slug, root, id, now.millis()).await?;
    }
    let status = update.status.unwrap_or(tenant.row.status);
    let slug_text = slug.map_or(tenant.row.slug.as_str(), Slug::as_str);
    let args = tenant.row.update_args(&update.profile, slug_text, status).map_err(problem::internal)?;
    let mut statements = vec![(UPDATE_TENANT, args)];
    let mut change = change_of(request, &tenant, operation);
    if let Some(slug) = slug {
        let released = format!("{}.{}", tenant.row.slug, root.as_str());
        statements.push(domains::release_slug_host(id, released, now));
        change.hosts.push(root.host_of(slug).as_str().to_owned());
    }
    if let Some(wanted) = &update.domains {
        let new = super::domains::new_of(request, db, &tenant, wanted).await?;
        statements.extend(domains::replace(&tenant, wanted, &new, now)?);
        change.hosts.extend(wanted.iter().map(|domain| domain.as_str().to_owned()));
    }
    change.write(db, statements, conflict).await?;
    let is_applied = change.carry(db, provision).await?;
    shown_after(request, db, id, is_applied).await
}

/// Refuses an id or a slug that is reserved, or taken by another tenant than `own`.
async fn check_names(
    db: &ControlDb,
    id: &str,
    slug: &Slug,
    root: &RootDomain,
    own: &str,
    now: i64,
) -> Result<(), Problem> {
    let released_after = now - domains::RELEASED_SECONDS * 1000;
    let args = args![id, slug.as_str(), own, root.host_of(slug).as_str(), released_after];
    let rows = db.rows::<TakenNameRow>(&TAKEN_NAMES, args).await?;
    let mut taken = ["tenant_id", "slug"].into_iter().filter(|kind| rows.iter().any(|row| row.kind == *kind));
    let Some(first) = taken.next() else { return Ok(()) };
    let invalid = Invalid::new("taken", "is already taken, or reserved");
    let problem = problem::conflict(&format!("/{first}"), invalid.clone());
    Err(taken.fold(problem, |problem, name| problem.field(format!("/{name}"), invalid.clone())))
}

/// The problem of a name that another request took at the same time; the constraint names the column.
fn conflict(text: &str) -> Problem {
    let pointer = match text {
        t if t.contains("tenants.slug") => "/slug",
        t if t.contains("tenants.id") => "/tenant_id",
        t if t.contains("tenant_domains.domain") => "/custom_domains",
        other => return problem::internal(other),
    };
    problem::conflict(pointer, Invalid::new("taken", "is already taken"))
}

fn slug_of(new: &NewTenant, id: &str) -> Result<Slug, Problem> {
    if let Some(slug) = &new.slug {
        return Ok(slug.clone());
    }
    let id = ClaimedTenant::parse(id).map_err(|e| problem::invalid_field("/tenant_id", e))?;
    Slug::from_id(&id).map_err(|e| {
        problem::invalid_field(
            "/tenant_id",
            Invalid::new(e.code, "cannot be turned into a slug; send one in the field slug"),
        )
    })
}

fn generated_id() -> Result<String, Problem> {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let bytes = random::<16>().map_err(problem::internal)?;
    let letters = bytes.iter().filter_map(|b| ALPHABET.get(usize::from(b % 32)));
    Ok(format!("t_{}", letters.map(|b| char::from(*b)).collect::<String>()))
}
