//! The registry: tenants in the control database.

use super::record::{PlanRow, Status, TenantRow};
use super::settings::{STORED, TenantSettings};
use crate::http::problem::{self, Problem};
use crate::hub::protocol::{AcceptedVersion, TenantConfig, TenantState};
use crate::storage::bindings::Bindings;
use crate::storage::control_db::ControlDb;
use crate::storage::row::row_types;
use crate::storage::row::{FromRow, Row, Rows};
use crate::storage::sql::ControlSql;
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::Placement;
use crate::tenant_id::TenantId;
use domain::clock::Timestamp;
use domain::domain_proof::Checks;

statements! { ControlSql;
    /// A tenant with its plan and its placement; a purged one is not found.
    TENANT = "SELECT t.*, p.limits AS plan_limits, p.features AS plan_features, l.shard, l.epoch FROM tenants t JOIN plans p ON p.id = t.plan JOIN placements l ON l.tenant_id = t.id WHERE t.id = ?1 AND t.status <> 'purged'";
    /// The same, including purged ones, because a purge must reach shard and hub.
    TENANT_TO_APPLY = "SELECT t.*, p.limits AS plan_limits, p.features AS plan_features, l.shard, l.epoch FROM tenants t JOIN plans p ON p.id = t.plan JOIN placements l ON l.tenant_id = t.id WHERE t.id = ?1";
    /// A tenant as the API shows it, in one row.
    SHOWN = "SELECT t.*, p.limits AS plan_limits, p.features AS plan_features, l.shard, l.epoch, (SELECT json_group_array(d.domain) FROM (SELECT domain FROM tenant_domains WHERE tenant_id = t.id ORDER BY is_primary DESC, created_at, domain) d) AS domains, (SELECT json_group_array(d.domain) FROM (SELECT domain FROM domain_claims WHERE tenant_id = t.id ORDER BY created_at, domain) d) AS claims, EXISTS (SELECT 1 FROM pending_changes c WHERE c.tenant_id = t.id) AS pending FROM tenants t JOIN plans p ON p.id = t.plan JOIN placements l ON l.tenant_id = t.id WHERE t.id = ?1 AND t.status <> 'purged'";
    /// A tenant's domains, the primary one first.
    DOMAINS = "SELECT domain, is_primary, ssl_enabled, https_status, created_at, token, proof, proven_at, checked_at, next_check_at, failures, failing_since FROM tenant_domains WHERE tenant_id = ?1 ORDER BY is_primary DESC, created_at, domain";
    /// A tenant's claims of domains.
    CLAIMS = "SELECT domain, token, wants_primary, lost_at, created_at, expires_at FROM domain_claims WHERE tenant_id = ?1 ORDER BY created_at, domain";
    /// The versions of a tenant's secrets, without the secrets.
    SECRET_VERSIONS = "SELECT kind, version, expires_at FROM tenant_secrets WHERE tenant_id = ?1 ORDER BY kind, version";
    /// What people call a tenant.
    DISPLAY_NAME = "SELECT display_name FROM tenants WHERE id = ?1 AND status <> 'purged'";
    /// A plan's limits and flags.
    PLAN = "SELECT limits, features FROM plans WHERE id = ?1";
    /// A row if the tenant has pending changes.
    IS_PENDING = "SELECT revision FROM pending_changes WHERE tenant_id = ?1 LIMIT 1";
}

row_types! {
    /// A row of `tenant_domains`.
    #[derive(Debug)]
    pub struct DomainRow {
        /// The domain.
        pub domain: String,
        /// 1 for the primary one.
        pub is_primary: i64,
        /// 1 if HTTPS to it answered when it was asked last.
        pub ssl_enabled: i64,
        /// The status of that answer; none if there was none.
        pub https_status: Option<i64>,
        /// When it was attached.
        pub created_at: i64,
        /// The random part of its TXT record; empty if it has none yet.
        pub token: String,
        /// How it was proven ([`domain::domain_proof::ProofMethod`]).
        pub proof: String,
        /// When it was proven.
        pub proven_at: Option<i64>,
        /// When its proof was looked at last.
        pub checked_at: Option<i64>,
        /// When it is looked at again.
        pub next_check_at: i64,
        /// How often in a row the record was missing.
        pub failures: u32,
        /// Since when it is missing.
        pub failing_since: Option<i64>,
    }

    /// A row of `domain_claims`.
    #[derive(Debug)]
    pub struct ClaimRow {
        /// The domain.
        pub domain: String,
        /// The random part of its TXT record.
        pub token: String,
        /// 1 if it becomes the primary domain once it is proven.
        pub wants_primary: i64,
        /// When a proof that the domain had was lost.
        pub lost_at: Option<i64>,
        /// When it was claimed.
        pub created_at: i64,
        /// When the claim ends.
        pub expires_at: i64,
    }

    #[derive(Debug)]
    struct DisplayNameRow {
        display_name: String,
    }

    #[derive(Debug)]
    struct SecretVersionRow {
        kind: String,
        version: u32,
        expires_at: Option<i64>,
    }
}

impl DomainRow {
    /// How its checks went.
    pub fn checks(&self) -> Checks {
        Checks {
            failures: self.failures,
            failing_since: self.failing_since.map(Timestamp::from_millis),
            next: Timestamp::from_millis(self.next_check_at),
        }
    }
}

/// A tenant as the API shows it.
#[derive(Debug)]
pub struct TenantDetails {
    /// The row.
    pub row: TenantRow,
    domains: String,
    claims: String,
    pending: i64,
}

impl FromRow for TenantDetails {
    fn from_row(row: &mut Row) -> Option<Self> {
        Some(Self {
            row: TenantRow::from_row(row)?,
            domains: row.take("domains")?,
            claims: row.take("claims")?,
            pending: row.take("pending")?,
        })
    }
}

impl TenantDetails {
    /// A tenant; 404 if it does not exist.
    pub async fn get(db: &ControlDb, id: &str) -> Result<Self, Problem> {
        db.row::<Self>(&SHOWN, args![id]).await?.ok_or_else(problem::tenant_not_found)
    }

    /// As JSON for the API.
    pub fn to_view(&self, root_domain: &str, now: Timestamp) -> Result<serde_json::Value, serde_json::Error> {
        let domains: Vec<String> = serde_json::from_str(&self.domains)?;
        let claims: Vec<String> = serde_json::from_str(&self.claims)?;
        self.row.to_view(&domains, &claims, root_domain, self.pending != 0, now)
    }
}

/// The plan of that name, if the platform has one.
pub async fn find_plan(db: &ControlDb, plan: &str) -> Result<Option<PlanRow>, Problem> {
    Ok(db.row::<PlanRow>(&PLAN, args![plan]).await?)
}

/// A tenant with what belongs to it, read in one transaction.
#[derive(Debug)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// The row.
    pub row: TenantRow,
    /// Its custom domains: those that are served.
    pub domains: Vec<DomainRow>,
    /// Domains that it claims and has not proven.
    pub claims: Vec<ClaimRow>,
    /// Whether it has pending changes.
    pub pending: bool,
    versions: Vec<SecretVersionRow>,
}

impl Tenant {
    /// A tenant by an id that somebody sent; none if it does not exist or was purged.
    pub async fn find(db: &ControlDb, id: &str) -> Result<Option<Self>, Problem> {
        Self::read(db, id, TENANT).await
    }

    /// A tenant whose change must be applied; finds purged ones too.
    pub async fn find_to_apply(db: &ControlDb, id: &str) -> Result<Option<Self>, Problem> {
        Self::read(db, id, TENANT_TO_APPLY).await
    }

    /// A tenant; 404 if it does not exist.
    pub async fn get(db: &ControlDb, id: &str) -> Result<Self, Problem> {
        Self::find(db, id).await?.ok_or_else(problem::tenant_not_found)
    }

    async fn read(db: &ControlDb, id: &str, tenant: ControlSql) -> Result<Option<Self>, Problem> {
        let statements = [tenant, DOMAINS, CLAIMS, SECRET_VERSIONS, IS_PENDING];
        let results = db.batch(statements.into_iter().map(|sql| (sql, args![id])).collect()).await?;
        let Ok([rows, domains, claims, versions, pending]) = <[Rows; 5]>::try_from(results) else {
            return Err(problem::internal("a batch of five gave another number of results"));
        };
        let Some(row) = rows.first::<TenantRow>()? else { return Ok(None) };
        Ok(Some(Self {
            id: TenantId::proven(&row.id),
            row,
            domains: domains.read()?,
            claims: claims.read()?,
            versions: versions.read()?,
            pending: !pending.is_empty(),
        }))
    }

    /// As JSON for the API.
    pub fn to_view(&self, root_domain: &str, now: Timestamp) -> Result<serde_json::Value, serde_json::Error> {
        let claims: Vec<String> = self.claims.iter().map(|row| row.domain.clone()).collect();
        self.row.to_view(&self.domain_names(), &claims, root_domain, self.pending, now)
    }

    /// Whether it is served now: it is active and has not expired.
    pub fn is_served(&self, now: Timestamp) -> bool {
        self.row.status == Status::Active && self.row.profile().expires_at.is_none_or(|at| now < at)
    }

    /// One of its custom domains, by its name.
    pub fn domain(&self, name: &str) -> Option<&DomainRow> {
        self.domains.iter().find(|row| row.domain == name)
    }

    /// One of its claims, by the domain's name, unless it has ended.
    pub fn claim(&self, name: &str, now: Timestamp) -> Option<&ClaimRow> {
        self.claims.iter().find(|row| row.domain == name && now.millis() < row.expires_at)
    }

    /// The names of its custom domains.
    pub fn domain_names(&self) -> Vec<String> {
        self.domains.iter().map(|row| row.domain.clone()).collect()
    }

    /// Its hosts: the slug's and the custom domains.
    pub fn hosts(&self, bindings: &Bindings) -> Vec<String> {
        let mut hosts = vec![format!("{}.{}", self.row.slug, bindings.settings.root_domain.as_str())];
        hosts.extend(self.domain_names());
        hosts
    }

    /// Where its rows are.
    pub fn placement(&self) -> Placement {
        Placement { shard: self.row.shard.clone(), epoch: self.row.epoch }
    }

    /// The highest version of a kind of secret; 0 if there is none.
    pub fn latest_version(&self, kind: &str) -> u32 {
        self.versions.iter().filter(|row| row.kind == kind).map(|row| row.version).max().unwrap_or(0)
    }

    /// The configuration that its hub gets.
    pub fn config(&self, bindings: &Bindings) -> Result<TenantConfig, Problem> {
        let accepted = |kind: &str| {
            let rows = self.versions.iter().filter(|row| row.kind == kind);
            rows.map(|row| AcceptedVersion { version: row.version, until: row.expires_at.map(Timestamp::from_millis) })
                .collect()
        };
        let profile = self.row.profile();
        let TenantSettings { sign_in, mercure, live, .. } = TenantSettings::read(&profile.settings, STORED).0;
        let is_active = self.row.status == Status::Active;
        Ok(TenantConfig {
            revision: self.row.revision,
            state: if is_active { TenantState::Active } else { TenantState::Stopped },
            expires_at: profile.expires_at,
            hosts: self.hosts(bindings),
            limits: self.row.limits().map_err(problem::internal)?,
            webhook_versions: accepted("webhook"),
            subscription_versions: accepted("subscription"),
            require_standard_webhooks: profile.require_standard_webhooks,
            cors_origins: profile.cors_origins,
            placement: self.placement(),
            ip_allowlist: profile.ip_allowlist,
            registration: sign_in.registration,
            passwords: sign_in.passwords,
            mercure,
            live,
        })
    }
}

/// What people call a tenant.
pub async fn display_name(bindings: &Bindings, tenant: &TenantId) -> Result<String, Problem> {
    let db = ControlDb::open(bindings, "find what a tenant is called")?;
    let row = db.row::<DisplayNameRow>(&DISPLAY_NAME, args![tenant.as_str()]).await?;
    row.map(|row| row.display_name).ok_or_else(problem::tenant_not_found)
}

/// Where a tenant's rows are; none if it does not exist any more.
pub async fn placement_of(bindings: &Bindings, tenant: &TenantId) -> Result<Option<Placement>, Problem> {
    let db = ControlDb::open(bindings, "find where a tenant's rows are")?;
    Ok(Tenant::find(&db, tenant.as_str()).await?.map(|tenant| tenant.placement()))
}
