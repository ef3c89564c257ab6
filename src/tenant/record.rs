//! A tenant's row in the registry, and its JSON in the API.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::storage::row::FromColumn;
use crate::storage::row::row_types;
use crate::storage::sql::Arg;
use crate::storage::sql::args;
use domain::clock::Timestamp;
use domain::plan::{Limit, Limits, Overrides};

/// The stage of a tenant's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Served.
    Active,
    /// Stopped by an operator; all data is kept.
    Suspended,
    /// Deleted; all data is kept until it is purged.
    Deleted,
    /// Its data is deleted for ever; its id and slug stay reserved.
    Purged,
}

impl Status {
    /// As the column spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
            Self::Purged => "purged",
        }
    }
}

impl FromColumn for Status {
    fn read(value: Value) -> Option<Self> {
        let known = [Self::Active, Self::Suspended, Self::Deleted, Self::Purged];
        known.into_iter().find(|status| value == status.as_str())
    }
}

row_types! {
    /// A row of `tenants`, joined with its plan's limits and its placement.
    #[derive(Debug, Clone)]
    pub struct TenantRow {
        pub(crate) id: String,
        pub(crate) slug: String,
        pub(crate) display_name: String,
        pub(crate) admin_email: Option<String>,
        pub(crate) plan: String,
        pub(crate) status: Status,
        pub(crate) revision: i64,
        pub(crate) wpgraphql_endpoint: Option<String>,
        features: String,
        resources: String,
        cors_origins: String,
        ip_allowlist: String,
        rate_limits: String,
        settings: String,
        branding: String,
        require_standard_webhooks: i64,
        pub(crate) data_key: Option<String>,
        created_at: i64,
        updated_at: i64,
        expires_at: Option<i64>,
        plan_limits: String,
        plan_features: String,
        pub(crate) shard: String,
        pub(crate) epoch: u32,
    }
}

/// What an operator sets of a tenant: the body of POST and PUT, what PATCH merges into.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// The name for people.
    pub display_name: String,
    /// The e-mail address of the tenant's administrator.
    pub admin_email: Option<String>,
    /// The plan's id.
    pub plan: String,
    /// Flags that override the plan's.
    pub features: Map<String, Value>,
    /// Stored as given.
    pub resources: Map<String, Value>,
    /// The site's GraphQL endpoint.
    pub wpgraphql_endpoint: Option<String>,
    /// Origins whose pages may read responses.
    pub cors_origins: Vec<String>,
    /// IP addresses and ranges that principals may come from; empty allows all.
    pub ip_allowlist: Vec<String>,
    /// Limits that override the plan's.
    pub rate_limits: Overrides,
    /// What was set of its settings.
    pub settings: Map<String, Value>,
    /// What was set of its branding.
    pub branding: Map<String, Value>,
    /// Whether webhooks must use Standard Webhooks.
    pub require_standard_webhooks: bool,
    /// When the tenant expires; from then on it is not served.
    pub expires_at: Option<Timestamp>,
}

/// A tenant in the API.
#[derive(Debug, Serialize)]
pub struct TenantView<'a> {
    tenant_id: &'a str,
    id: &'a str,
    slug: &'a str,
    subdomain: &'a str,
    host: String,
    domain: Option<&'a str>,
    display_name: &'a str,
    name: &'a str,
    admin_email: Option<&'a str>,
    plan: &'a str,
    status: &'static str,
    active: bool,
    features: Map<String, Value>,
    resources: &'a Map<String, Value>,
    custom_domains: &'a [String],
    pending_domains: &'a [String],
    wpgraphql_endpoint: Option<&'a str>,
    cors_origins: &'a [String],
    ip_allowlist: &'a [String],
    rate_limits: &'a Overrides,
    limits: Overrides,
    storage_quota: Limit,
    user_limit: Limit,
    settings: &'a Map<String, Value>,
    branding: &'a Map<String, Value>,
    require_standard_webhooks: bool,
    expires_at: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
    revision: i64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pending: bool,
}

row_types! {
    /// A plan's limits and flags, as its row holds them.
    #[derive(Debug)]
    pub struct PlanRow {
        limits: String,
        features: String,
    }
}

impl TenantRow {
    /// The row of a new tenant, at its first revision.
    pub fn new(
        id: &str,
        slug: &str,
        (profile, status): (&Profile, Status),
        plan: &PlanRow,
        data_key: String,
        now: i64,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self {
            id: id.to_owned(),
            slug: slug.to_owned(),
            display_name: profile.display_name.clone(),
            admin_email: profile.admin_email.clone(),
            plan: profile.plan.clone(),
            status,
            revision: 1,
            wpgraphql_endpoint: profile.wpgraphql_endpoint.clone(),
            features: serde_json::to_string(&profile.features)?,
            resources: serde_json::to_string(&profile.resources)?,
            cors_origins: serde_json::to_string(&profile.cors_origins)?,
            ip_allowlist: serde_json::to_string(&profile.ip_allowlist)?,
            rate_limits: serde_json::to_string(&profile.rate_limits)?,
            settings: serde_json::to_string(&profile.settings)?,
            branding: serde_json::to_string(&profile.branding)?,
            require_standard_webhooks: i64::from(profile.require_standard_webhooks),
            data_key: Some(data_key),
            created_at: now,
            updated_at: now,
            expires_at: profile.expires_at.map(Timestamp::millis),
            plan_limits: plan.limits.clone(),
            plan_features: plan.features.clone(),
            shard: String::new(),
            epoch: 1,
        })
    }

    /// The arguments of `INSERT_TENANT`, in its order.
    pub fn insert_args(&self) -> Vec<Arg> {
        args![
            self.id.as_str(),
            self.slug.as_str(),
            self.display_name.as_str(),
            self.admin_email.clone(),
            self.plan.as_str(),
            self.wpgraphql_endpoint.clone(),
            self.features.as_str(),
            self.resources.as_str(),
            self.cors_origins.as_str(),
            self.rate_limits.as_str(),
            self.settings.as_str(),
            self.branding.as_str(),
            self.require_standard_webhooks,
            self.data_key.clone(),
            self.created_at,
            self.expires_at,
            self.ip_allowlist.as_str(),
            self.status.as_str(),
        ]
    }

    /// The arguments of `UPDATE_TENANT`, in its order.
    pub fn update_args(&self, profile: &Profile, slug: &str, status: Status) -> Result<Vec<Arg>, serde_json::Error> {
        Ok(args![
            self.id.as_str(),
            profile.display_name.as_str(),
            profile.admin_email.clone(),
            profile.plan.as_str(),
            profile.wpgraphql_endpoint.clone(),
            serde_json::to_string(&profile.features)?,
            serde_json::to_string(&profile.resources)?,
            serde_json::to_string(&profile.cors_origins)?,
            serde_json::to_string(&profile.rate_limits)?,
            serde_json::to_string(&profile.settings)?,
            serde_json::to_string(&profile.branding)?,
            profile.require_standard_webhooks,
            profile.expires_at.map(Timestamp::millis),
            status.as_str(),
            slug,
            serde_json::to_string(&profile.ip_allowlist)?,
        ])
    }

    /// What an operator set.
    pub fn profile(&self) -> Profile {
        Profile {
            display_name: self.display_name.clone(),
            admin_email: self.admin_email.clone(),
            plan: self.plan.clone(),
            features: read(&self.features),
            resources: read(&self.resources),
            wpgraphql_endpoint: self.wpgraphql_endpoint.clone(),
            cors_origins: read(&self.cors_origins),
            ip_allowlist: read(&self.ip_allowlist),
            rate_limits: read(&self.rate_limits),
            settings: read(&self.settings),
            branding: read(&self.branding),
            require_standard_webhooks: self.require_standard_webhooks != 0,
            expires_at: self.expires_at.map(Timestamp::from_millis),
        }
    }

    /// The effective limits: the plan's, overridden by the tenant's.
    pub fn limits(&self) -> Result<Limits, serde_json::Error> {
        let plan: Limits = serde_json::from_str(&self.plan_limits)?;
        Ok(plan.overridden(&read(&self.rate_limits)))
    }

    /// The effective flags: the plan's, overridden by the tenant's.
    pub fn features(&self) -> Map<String, Value> {
        let mut features: Map<String, Value> = read(&self.plan_features);
        features.extend(read::<Map<String, Value>>(&self.features));
        features
    }

    /// Its status as it is shown: an active tenant whose end has come has expired, which nobody sets.
    fn shown_status(&self, now: Timestamp) -> &'static str {
        let is_over = self.expires_at.is_some_and(|at| at <= now.millis());
        if self.status == Status::Active && is_over { "expired" } else { self.status.as_str() }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The entity tag of this revision.
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.revision)
    }

    /// The tenant as JSON for the API.
    pub fn to_view(
        &self,
        domains: &[String],
        claims: &[String],
        root_domain: &str,
        pending: bool,
        now: Timestamp,
    ) -> Result<Value, serde_json::Error> {
        let (profile, limits, status) = (self.profile(), self.limits()?, self.shown_status(now));
        serde_json::to_value(TenantView {
            tenant_id: &self.id,
            id: &self.id,
            slug: &self.slug,
            subdomain: &self.slug,
            domain: domains.first().map(String::as_str),
            name: &profile.display_name,
            host: format!("{}.{root_domain}", self.slug),
            display_name: &profile.display_name,
            admin_email: profile.admin_email.as_deref(),
            plan: &profile.plan,
            status,
            active: status == Status::Active.as_str(),
            features: self.features(),
            resources: &profile.resources,
            custom_domains: domains,
            pending_domains: claims,
            wpgraphql_endpoint: profile.wpgraphql_endpoint.as_deref(),
            cors_origins: &profile.cors_origins,
            ip_allowlist: &profile.ip_allowlist,
            rate_limits: &profile.rate_limits,
            limits: limits.named(),
            storage_quota: limits.storage_bytes,
            user_limit: limits.users,
            settings: &profile.settings,
            branding: &profile.branding,
            require_standard_webhooks: profile.require_standard_webhooks,
            expires_at: profile.expires_at,
            created_at: Timestamp::from_millis(self.created_at),
            updated_at: Timestamp::from_millis(self.updated_at),
            revision: self.revision,
            pending,
        })
    }

    /// When it was created, for cursors.
    pub(crate) fn created_at(&self) -> i64 {
        self.created_at
    }
}

/// Reads a JSON column; a shape that is not known any more reads as empty.
fn read<T: Default + for<'de> Deserialize<'de>>(json: &str) -> T {
    serde_json::from_str(json).unwrap_or_default()
}
