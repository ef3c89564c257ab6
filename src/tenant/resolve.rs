//! Host → tenant: isolate memory, then KV, then the control database.
//!
//! What memory and KV say is a hint. Every call to a hub names the host, and the hub knows its
//! hosts: a stale hint is refused there, and the host is resolved anew.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::http::problem::Problem;
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
    /// Whether a tenant of that id is there.
    TENANT_OF_ID = "SELECT id FROM tenants WHERE id = ?1 AND status <> 'purged'";
}

/// How long an isolate remembers a host, in milliseconds.
const HIT_MILLIS: i64 = 30_000;
/// How long it remembers that a host is nobody's.
const MISS_MILLIS: i64 = 2_000;
/// Most hosts an isolate remembers.
const MAX_REMEMBERED: usize = 10_000;

thread_local! {
    static HOSTS: RefCell<HashMap<Host, Remembered>> = RefCell::new(HashMap::new());
}

struct Remembered {
    tenant: Option<TenantId>,
    until: Timestamp,
}

row_types! {
    struct IdRow {
        id: String,
    }
}

/// Whose host it is, as far as hints say; none for nobody's.
pub async fn resolve(bindings: &Bindings, host: &Host) -> Result<Option<TenantId>, Problem> {
    let now = SystemClock.now();
    let remembered = HOSTS.with(|hosts| hosts.borrow().get(host).filter(|r| now < r.until).map(|r| r.tenant.clone()));
    if let Some(tenant) = remembered {
        return Ok(tenant);
    }
    if let Some(id) = kv::tenant_of_host(bindings, host).await {
        let tenant = TenantId::proven(&id);
        remember(host, Some(&tenant), now);
        return Ok(Some(tenant));
    }
    resolve_anew(bindings, host).await
}

/// Whose host it is, by the registry itself; leaves fresh hints.
pub async fn resolve_anew(bindings: &Bindings, host: &Host) -> Result<Option<TenantId>, Problem> {
    let db = ControlDb::open(bindings, "resolve a host")?;
    let root = bindings.settings.root_domain.as_str();
    let slug = host.as_str().strip_suffix(root).and_then(|label| label.strip_suffix('.'));
    let row = db.row::<IdRow>(&TENANT_OF_HOST, args![slug.unwrap_or_default(), host.as_str()]).await?;
    let tenant = row.map(|row| TenantId::proven(&row.id));
    remember(host, tenant.as_ref(), SystemClock.now());
    if let Some(tenant) = &tenant {
        kv::remember_host(bindings, host, tenant.as_str()).await;
    }
    Ok(tenant)
}

/// The tenant that a credential names by its id, if it is there.
pub async fn by_id(bindings: &Bindings, named: &ClaimedTenant) -> Result<Option<TenantId>, Problem> {
    let db = ControlDb::open(bindings, "resolve a tenant by its id")?;
    let row = db.row::<IdRow>(&TENANT_OF_ID, args![named.as_str()]).await?;
    Ok(row.map(|row| TenantId::proven(&row.id)))
}

/// Forgets a host in this isolate; others forget by time, or when the hub refuses.
pub fn forget(host: &Host) {
    HOSTS.with(|hosts| hosts.borrow_mut().remove(host));
}

fn remember(host: &Host, tenant: Option<&TenantId>, now: Timestamp) {
    let until = now.plus_millis(if tenant.is_some() { HIT_MILLIS } else { MISS_MILLIS });
    HOSTS.with(|hosts| {
        let mut hosts = hosts.borrow_mut();
        if hosts.len() >= MAX_REMEMBERED {
            hosts.retain(|_, r| now < r.until);
        }
        if hosts.len() < MAX_REMEMBERED {
            hosts.insert(host.clone(), Remembered { tenant: tenant.cloned(), until });
        }
    });
}
