//! Settings and branding of a tenant, for its members; the branding for its visitors too.
//!
//! A change of a document is a change of the tenant ([`TenantChange`]), although the hub gets only how people sign in and
//! the Mercure settings, and nothing of the branding. An operator's change writes the whole row as it was read, and must
//! not undo this one; so every change takes the tenant's next revision.
//!
//! Invariants
//! - Of two changes at the same time both take effect: the second one is made again from the result of the first.
//! - The entry is in the tenant's audit log before the change is made. They are in two databases, so after a crash in
//!   between, or if another change overtakes an `If-Match`, there may be an entry without its change, but never a change
//!   without its entry. The platform's audit log, written in the change's own batch, tells by the request's id which
//!   changes were made.

use crate::records::provision::provision;
use serde_json::{Map, Value};

use crate::auth::principal::{Member, Visitor};
use crate::http::etag;
use crate::http::incoming::MERGE_PATCH;
use crate::http::precondition::{Preconditions, Validators};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::hub::protocol::TenantConfig;
use crate::storage::audit_log::AuditEntry;
use crate::storage::bindings::Bindings;
use crate::storage::control_db::ControlDb;
use crate::storage::row::row_types;
use crate::storage::sql::{args, statements};
use crate::tenant::branding::Branding;
use crate::tenant::change::TenantChange;
use crate::tenant::document::Document;
use crate::tenant::settings::{STORED, TenantSettings};
use domain::error::Invalid;
use domain::json;
use domain::live_settings::LiveMode;
use domain::mercure::Action;
use domain::permission::{DEFAULT_ROLE, Permission, Permissions, permissions_of};
use domain::sign_in::Registration;

statements! { ControlSql;
    /// A tenant's documents, and the revision they stand at.
    DOCUMENTS = "SELECT settings, branding, revision FROM tenants WHERE id = ?1 AND status <> 'purged'";
    /// Other settings.
    SET_SETTINGS = "UPDATE tenants SET settings = ?2 WHERE id = ?1";
    /// Another branding.
    SET_BRANDING = "UPDATE tenants SET branding = ?2 WHERE id = ?1";
}

/// What an issuer's tokens may do that may publish: what the webhook secret can.
const PUBLISHING: Permissions = Permissions::of(&[Permission::TenantConfigure]);
/// What an issuer's tokens may do that may subscribe: hear every private event.
const HEARING: Permissions =
    Permissions::of(&[Permission::SubscriberTokensWrite, Permission::EventsRead, Permission::RecordsRead]);
/// How often a change is made again after another one came first.
const ATTEMPTS: usize = 10;
/// How long caches may keep a tenant's branding.
const CACHE_CONTROL: &str = "public, max-age=60";

row_types! {
    struct DocumentsRow {
        settings: String,
        branding: String,
        revision: i64,
    }
}

/// `GET /api/v1/settings`
pub async fn get_settings(request: Request<Member>) -> Result<Response, Problem> {
    let tenant = request.caller.tenant.as_str();
    show(&request.preconditions(), &request.bindings, tenant, Document::Settings, None).await
}

/// `PATCH /api/v1/settings`
pub async fn patch_settings(request: Request<Member>) -> Result<Response, Problem> {
    patch(request, Document::Settings).await
}

/// `GET /api/v1/branding`
pub async fn get_branding(request: Request<Visitor>) -> Result<Response, Problem> {
    let Visitor { tenant, config, .. } = &*request.caller;
    let known = request.preconditions();
    let answer = show(&known, &request.bindings, tenant.as_str(), Document::Branding, Some(config)).await?;
    Ok(answer.header("Cache-Control", CACHE_CONTROL))
}

/// `PATCH /api/v1/branding`
pub async fn patch_branding(request: Request<Member>) -> Result<Response, Problem> {
    patch(request, Document::Branding).await
}

/// `GET /branding.css`
pub async fn style_sheet(request: Request<Visitor>) -> Result<Response, Problem> {
    let db = ControlDb::open(&request.bindings, "read a tenant's style sheet")?;
    let Visitor { tenant, config, .. } = &*request.caller;
    let (object, revision) = stored(&db, tenant.as_str(), Document::Branding).await?;
    check_judged(config, revision)?;
    let sheet = Branding::read(&object).0.to_css();
    let tag = etag::of_content(&sheet);
    Ok(unless_known(&request.preconditions(), tag, Response::css(sheet))?.header("Cache-Control", CACHE_CONTROL))
}

/// A stored document, without defaults, and the tenant's revision.
async fn stored(db: &ControlDb, tenant: &str, document: Document) -> Result<(Map<String, Value>, i64), Problem> {
    let row = db.row::<DocumentsRow>(&DOCUMENTS, args![tenant]).await?.ok_or_else(problem::tenant_not_found)?;
    let text = match document {
        Document::Settings => &row.settings,
        Document::Branding => &row.branding,
    };
    Ok((serde_json::from_str(text).unwrap_or_default(), row.revision))
}

/// A visitor, whom no look-up on the shard proved, is judged again if the tenant has changed since.
fn check_judged(config: &TenantConfig, revision: i64) -> Result<(), Problem> {
    if config.revision < revision { Err(problem::outdated(revision)) } else { Ok(()) }
}

/// Responds with a document with every default, under the tag of that. `judged_by` is the configuration that a visitor
/// was let in by.
async fn show(
    known: &Preconditions,
    bindings: &Bindings,
    tenant: &str,
    document: Document,
    judged_by: Option<&TenantConfig>,
) -> Result<Response, Problem> {
    let db = ControlDb::open(bindings, "read a tenant's settings or branding")?;
    let (object, revision) = stored(&db, tenant, document).await?;
    judged_by.map_or(Ok(()), |config| check_judged(config, revision))?;
    let view = document.view(&object);
    let tag = etag::of_content(&view.to_string());
    unless_known(known, tag, Response::json(200, &view, Some(tenant))?)
}

/// A response under its tag; 304 if the caller has it already.
fn unless_known(known: &Preconditions, tag: String, response: Response) -> Result<Response, Problem> {
    let response = if known.is_known(Validators::tag(&tag))? { Response::empty(304) } else { response };
    Ok(response.header("ETag", tag))
}

/// Changes a document of the caller's tenant by JSON Merge Patch (RFC 7396) of the stored one.
async fn patch(mut request: Request<Member>, document: Document) -> Result<Response, Problem> {
    let patch = request.incoming.json_object(MERGE_PATCH).await?;
    let tenant = request.caller.tenant.as_str();
    let db = ControlDb::open(&request.bindings, "change a tenant's settings or branding")?;
    let mut is_recorded = false;
    for _ in 0..ATTEMPTS {
        let (before, revision) = stored(&db, tenant, document).await?;
        let tag = etag::of_content(&document.view(&before).to_string());
        request.preconditions().check(Some(Validators::tag(&tag)))?;
        let wanted = document.merged(&before, &patch, &|text| request.bindings.settings.outbound(text).map(drop))?;
        if wanted == before {
            return changed(tenant, document, &wanted, true);
        }
        if document == Document::Settings {
            check_rights(&request.caller, &before, &wanted)?;
        }
        if !is_recorded {
            let entry = audit_entry(&request, document, &patch);
            request.caller.rows(&request.bindings)?.write().audit(entry).commit().await?;
            is_recorded = true;
        }
        match write(&request, &db, document, &wanted, revision).await {
            Ok(is_applied) => return changed(tenant, document, &wanted, is_applied),
            Err(problem) if problem.code == problem::changed_meanwhile().code => {}
            Err(problem) => return Err(problem),
        }
    }
    Err(problem::changed_meanwhile())
}

/// Writes a document as the tenant's next revision; true if the change has reached every store.
async fn write(
    request: &Request<Member>,
    db: &ControlDb,
    document: Document,
    wanted: &Map<String, Value>,
    revision: i64,
) -> Result<bool, Problem> {
    let tenant = request.caller.tenant.as_str();
    let change = TenantChange {
        bindings: &request.bindings,
        tenant,
        revision,
        actor: request.caller.actor(),
        operation: operation(document),
        request_id: &request.incoming.id,
        // `If-Match` names the document's tag, not the tenant's revision.
        is_conditional: false,
        hosts: Vec::new(),
        templates: Vec::new(),
        detail: None,
    };
    let text = serde_json::to_string(wanted).map_err(problem::internal)?;
    let set = match document {
        Document::Settings => SET_SETTINGS,
        Document::Branding => SET_BRANDING,
    };
    change.write(db, vec![(set, args![tenant, text])], |text| problem::internal(text)).await?;
    change.carry(db, provision).await
}

/// Responds with a document after its change: 200 if the change has reached every store, else 202.
fn changed(
    tenant: &str,
    document: Document,
    wanted: &Map<String, Value>,
    is_applied: bool,
) -> Result<Response, Problem> {
    let mut view = document.view(wanted);
    let tag = etag::of_content(&view.to_string());
    if let Value::Object(view) = &mut view
        && !is_applied
    {
        view.insert("pending".into(), true.into());
    }
    Ok(Response::json(if is_applied { 200 } else { 202 }, &view, Some(tenant))?.header("ETag", tag))
}

/// Nobody has what the plan does not, and nobody grants permissions that they do not have. Who opens registration grants everybody the default role; who adds an
/// issuer lets its tokens do what the tenant's secrets can.
fn check_rights(member: &Member, before: &Map<String, Value>, wanted: &Map<String, Value>) -> Result<(), Problem> {
    let [before, wanted] = [before, wanted].map(|settings| TenantSettings::read(settings, STORED).0);
    let has_direct = member.config.limits.direct() > 0;
    if !has_direct && wanted.live.mode == LiveMode::Direct && before.live.mode != LiveMode::Direct {
        let told = "must be auto or bridged: the tenant's plan has no direct streams (max_direct_streams is 0)";
        return Err(problem::invalid_field("/live/mode", Invalid::new("not_in_plan", told)));
    }
    let is_open = |settings: &TenantSettings| settings.sign_in.registration == Registration::Open;
    for (action, needed) in [(Action::Publish, PUBLISHING), (Action::Subscribe, HEARING)] {
        if wanted.mercure.lends_beyond(&before.mercure, action) && !member.permissions().covers(needed) {
            return Err(problem::beyond_own_permissions("/mercure/issuers"));
        }
    }
    let opens = is_open(&wanted) && !is_open(&before);
    if opens && !member.permissions().covers(permissions_of(DEFAULT_ROLE, None)) {
        return Err(problem::beyond_own_permissions("/registration"));
    }
    Ok(())
}

fn operation(document: Document) -> &'static str {
    match document {
        Document::Settings => "settings.update",
        Document::Branding => "branding.update",
    }
}

/// The entry for the tenant's audit log: which members the patch names, not their values.
fn audit_entry<'a>(request: &'a Request<Member>, document: Document, patch: &Map<String, Value>) -> AuditEntry<'a> {
    let named: Vec<&str> = patch.keys().map(String::as_str).collect();
    AuditEntry {
        at: request.now(),
        actor: request.caller.actor(),
        operation: operation(document),
        subject: None,
        detail: Some(json!({ "changed": named })),
        address: request.incoming.address(),
        request_id: &request.incoming.id,
    }
}
