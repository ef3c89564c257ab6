//! Host → tenant: the isolate's cache, then KV, then the control database.
//!
//! A host can change hands, so what cache and KV say is a hint. Every call to a hub names the host, and the hub knows its
//! hosts: it refuses a stale hint, and the host is resolved again.

use std::cell::RefCell;

use crate::http::problem::{self, Problem};
use crate::isolate_cache::{CacheKey, IsolateCache, KeyIdentity};
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::control_db::ControlDb;
use crate::storage::kv;
use crate::storage::row::row_types;
use crate::storage::sql::{args, statements};
use crate::tenant_id::TenantId;
use domain::clock::{Clock, Timestamp};
use domain::host::Host;
use domain::ids::ClaimedTenant;

statements! { ControlSql;
    /// The tenant of a host: by slug under the root domain, else by custom domain.
    TENANT_OF_HOST = "SELECT id FROM tenants WHERE slug = ?1 AND status <> 'purged' UNION ALL SELECT tenant_id FROM tenant_domains WHERE domain = ?2 LIMIT 1";
    /// The id and the slug of a tenant that exists.
    TENANT_OF_ID = "SELECT id, slug FROM tenants WHERE id = ?1 AND status <> 'purged'";
}

/// How long an isolate caches a host's tenant, in milliseconds.
const HIT_MILLIS: i64 = 30_000;
/// How long it caches that a host has no tenant, in milliseconds.
const MISS_MILLIS: i64 = 2_000;
/// Most hosts of tenants an isolate caches.
const MAX_HOSTS: usize = 10_000;
/// Most hosts of no tenant it caches.
const MAX_UNKNOWN: usize = 2_000;

impl CacheKey for Host {
    const IDENTITY: KeyIdentity =
        KeyIdentity::CheckedAgainst("the hosts that the tenant's hub knows: it refuses any other");
}

thread_local! {
    static HOSTS: RefCell<IsolateCache<Host, TenantId>> = RefCell::new(IsolateCache::new(MAX_HOSTS, HIT_MILLIS));
    // Hosts of no tenant are cached apart, so that a flood of them crowds none out.
    static UNKNOWN: RefCell<IsolateCache<Host, ()>> = RefCell::new(IsolateCache::new(MAX_UNKNOWN, MISS_MILLIS));
}

row_types! {
    struct TenantIdRow {
        id: String,
    }
    struct TenantSlugRow {
        id: String,
        slug: String,
    }
}

/// Whether this isolate knows of which tenant a host is, or that it is nobody's.
pub fn is_known(host: &Host) -> bool {
    let now = SystemClock.now();
    HOSTS.with_borrow_mut(|hosts| hosts.get(host, now).is_some())
        || UNKNOWN.with_borrow_mut(|hosts| hosts.get(host, now).is_some())
}

/// The tenant of a host, by hints where there are any; none if it has none.
pub async fn resolve(bindings: &Bindings, host: &Host) -> Result<Option<TenantId>, Problem> {
    let now = SystemClock.now();
    if let Some(tenant) = HOSTS.with_borrow_mut(|hosts| hosts.get(host, now).cloned()) {
        return Ok(Some(tenant));
    }
    if UNKNOWN.with_borrow_mut(|hosts| hosts.get(host, now).is_some()) {
        return Ok(None);
    }
    if let Some(id) = kv::tenant_of_host(bindings, host).await {
        let tenant = TenantId::proven(&id);
        remember(host, Some(&tenant), now);
        return Ok(Some(tenant));
    }
    resolve_uncached(bindings, host).await
}

/// The tenant of a host, by the registry itself; leaves fresh hints.
pub async fn resolve_uncached(bindings: &Bindings, host: &Host) -> Result<Option<TenantId>, Problem> {
    let db = ControlDb::open(bindings, "resolve a host")?;
    let now = SystemClock.now();
    let root = bindings.settings.root_domain.as_str();
    let slug = host.as_str().strip_suffix(root).and_then(|label| label.strip_suffix('.'));
    let row = db.row::<TenantIdRow>(&TENANT_OF_HOST, args![slug.unwrap_or_default(), host.as_str()]).await?;
    let tenant = row.map(|row| TenantId::proven(&row.id));
    remember(host, tenant.as_ref(), now);
    if let Some(tenant) = &tenant {
        kv::remember_host(bindings, host, tenant.as_str()).await;
    }
    Ok(tenant)
}

/// The tenant of an id that a credential names, if it exists.
pub async fn by_id(bindings: &Bindings, named: &ClaimedTenant) -> Result<Option<TenantId>, Problem> {
    Ok(existing(bindings, named).await?.map(|(tenant, _)| tenant))
}

/// The tenant of an id that a path names, with the host that its slug gives it; none if it does not exist.
pub async fn by_path(bindings: &Bindings, named: &ClaimedTenant) -> Result<Option<(TenantId, Host)>, Problem> {
    let Some((tenant, slug)) = existing(bindings, named).await? else { return Ok(None) };
    let host = Host::parse(&format!("{slug}.{}", bindings.settings.root_domain.as_str()));
    Ok(Some((tenant, host.map_err(problem::internal)?)))
}

async fn existing(bindings: &Bindings, named: &ClaimedTenant) -> Result<Option<(TenantId, String)>, Problem> {
    let db = ControlDb::open(bindings, "resolve a tenant by its id")?;
    let row = db.row::<TenantSlugRow>(&TENANT_OF_ID, args![named.as_str()]).await?;
    Ok(row.map(|row| (TenantId::proven(&row.id), row.slug)))
}

/// Drops a host from this isolate's cache. In others its entry expires, or the hub refuses it.
pub fn forget(host: &Host) {
    let now = SystemClock.now();
    HOSTS.with_borrow_mut(|hosts| hosts.forget(host, now));
    UNKNOWN.with_borrow_mut(|hosts| hosts.forget(host, now));
}

fn remember(host: &Host, tenant: Option<&TenantId>, read_at: Timestamp) {
    match tenant {
        Some(tenant) => {
            UNKNOWN.with_borrow_mut(|hosts| hosts.take(host));
            HOSTS.with_borrow_mut(|hosts| hosts.insert(host.clone(), tenant.clone(), read_at));
        }
        None => {
            HOSTS.with_borrow_mut(|hosts| hosts.take(host));
            UNKNOWN.with_borrow_mut(|hosts| hosts.insert(host.clone(), (), read_at));
        }
    }
}
