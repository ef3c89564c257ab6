//! The site behind a tenant's endpoint: where it is, and how the tenant wants it to be asked.
//!
//! Invariants
//! - A site is remembered by the tenant's revision, so a changed endpoint or setting is honoured as soon as the request is
//!   judged by the change.
//! - The endpoint was judged when it was stored, and is again each time it is called.

use std::cell::RefCell;
use std::rc::Rc;

use super::settings::{STORED, TenantSettings};
use crate::http::problem::{self, Problem};
use crate::isolate_cache::{CacheKey, IsolateCache, KeyIdentity};
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::control_db::ControlDb;
use crate::storage::row::row_types;
use crate::storage::sql::{args, statements};
use crate::tenant_id::TenantId;
use domain::clock::Clock;
use domain::graphql_settings::{self, GraphqlSettings};
use domain::outbound::OutboundUrl;

statements! { ControlSql;
    /// The endpoint and the settings of a tenant.
    SITE = "SELECT revision, site_revision, wpgraphql_endpoint, settings FROM tenants WHERE id = ?1 AND status = 'active'";
}

/// Most sites that an isolate remembers, and how long, in milliseconds.
const MAX_SITES: usize = 2_000;
const REMEMBERED_MILLIS: i64 = 600_000;

row_types! {
    struct SiteRow {
        revision: i64,
        site_revision: i64,
        wpgraphql_endpoint: Option<String>,
        settings: String,
    }
}

/// A tenant at one of its revisions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct TenantAt {
    tenant: TenantId,
    revision: i64,
}

impl CacheKey for TenantAt {
    const IDENTITY: KeyIdentity =
        KeyIdentity::NeverRecurs("a tenant's id is retired with it, and each change gives it a higher revision");
}

thread_local! {
    static SITES: RefCell<IsolateCache<TenantAt, Rc<Site>>> = RefCell::new(IsolateCache::new(MAX_SITES, REMEMBERED_MILLIS));
}

/// A tenant's site.
pub struct Site {
    endpoint: Option<String>,
    /// How often endpoint or settings have changed: what was kept under another number is of another site.
    pub identity: i64,
    /// How it is to be asked.
    pub settings: GraphqlSettings,
}

impl Site {
    /// The site of a tenant that a request was judged at this revision of, or at a later one.
    pub async fn of(bindings: &Bindings, tenant: &TenantId, revision: i64) -> Result<Rc<Self>, Problem> {
        let (key, now) = (TenantAt { tenant: tenant.clone(), revision }, SystemClock.now());
        if let Some(site) = SITES.with_borrow_mut(|sites| sites.get(&key, now).cloned()) {
            return Ok(site);
        }
        let db = ControlDb::open(bindings, "find a tenant's site")?;
        let row = db.row::<SiteRow>(&SITE, args![tenant.as_str()]).await?.ok_or_else(problem::tenant_not_found)?;
        let settings = serde_json::from_str(&row.settings).map_err(problem::internal)?;
        let settings = TenantSettings::read(&settings, STORED).0.graphql;
        let site = Rc::new(Self { endpoint: row.wpgraphql_endpoint, identity: row.site_revision, settings });
        let key = TenantAt { revision: row.revision, ..key };
        SITES.with_borrow_mut(|sites| sites.insert(key, Rc::clone(&site), now));
        Ok(site)
    }

    /// Whether this may be what the site calls its endpoint in `X-GraphQL-URL`. Of a tenant without one nothing is kept, and
    /// any name will do.
    pub fn is_called(&self, name: &str) -> bool {
        self.endpoint.as_deref().is_none_or(|endpoint| graphql_settings::is_endpoint(endpoint, name))
    }

    /// Where it is. 404 if the tenant has none; 503 for one that was stored before it would have been refused.
    pub fn endpoint(&self, bindings: &Bindings) -> Result<OutboundUrl, Problem> {
        let endpoint = self.endpoint.as_deref().ok_or_else(problem::no_endpoint)?;
        let refused = |invalid| problem::site_unavailable(format!("The tenant's wpgraphql_endpoint {invalid}."));
        bindings.settings.outbound(endpoint).map_err(refused)
    }
}
