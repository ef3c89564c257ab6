//! Tenants, for operators: their records, domains, secrets, health.

use super::entry::{delete, get, handler, patch, post, put};
use super::route::Endpoint::Operator;
use super::route::Route;
use crate::api;
use domain::permission::PlatformPermission;

pub const ROUTES: &[Route] = &[
    post(
        "tenants.create",
        "/api/v1/tenants",
        Operator(PlatformPermission::TenantsWrite, handler!(api::tenants::tenant::create)),
    )
    .summary("Creates a tenant. Its secrets are shown in this answer only.")
    .params("Idempotency-Key")
    .body("NewTenant")
    .answers(
        "201 {...Tenant, webhook_secret: string, subscription_secret: string} +Location +ETag; \
         202 {...Tenant, webhook_secret: string, subscription_secret: string} +Location +ETag <`pending: true`; the change \
         arrives by itself>; 404 tenant_not_found; 409 conflict <a name is taken>",
    ),
    get("tenants.list", "/api/v1/tenants", Operator(PlatformPermission::TenantsRead, handler!(api::tenants::list::list)))
        .summary("Lists tenants, newest first.")
        .params(
            "status?: 'active'|'expired'|'suspended'|'deleted'|'', plan?: string, q?: string(..200) <text in id, \
             slug or name>, limit, cursor, page?: int(1..10000) <with `per_page`, \
             in place of `limit` with `cursor`>, per_page?: int(1..200), count?: Flag",
        )
        .answers("200 list Tenant"),
    get(
        "tenants.get",
        "/api/v1/tenants/{tenant_id}",
        Operator(PlatformPermission::TenantsRead, handler!(api::tenants::tenant::get)),
    )
    .summary("Shows a tenant.")
    .params("If-None-Match, If-Match")
    .answers("200 Tenant +ETag; 304"),
    put(
        "tenants.replace",
        "/api/v1/tenants/{tenant_id}",
        Operator(PlatformPermission::TenantsWrite, handler!(api::tenants::tenant::replace)),
    )
    .summary("Replaces what an operator sets; what is left out gets its default.")
    .params("If-Match, If-None-Match")
    .body("TenantUpdate <what is left out gets its default>")
    .answers(
        "200 Tenant +ETag <once shard and hub have the change>; \
         202 Tenant +ETag <`pending: true`; the change arrives by itself>; \
         409 conflict changed_meanwhile",
    ),
    patch(
        "tenants.patch",
        "/api/v1/tenants/{tenant_id}",
        Operator(PlatformPermission::TenantsWrite, handler!(api::tenants::tenant::patch)),
    )
    .summary("Changes a tenant (JSON Merge Patch, RFC 7396). Suspending ends its streams at once.")
    .params("If-Match, If-None-Match")
    .body("TenantUpdate <what is left out stays; `null` takes a field away>")
    .answers(
        "200 Tenant +ETag <once shard and hub have the change>; \
         202 Tenant +ETag <`pending: true`; the change arrives by itself>; \
         409 conflict changed_meanwhile",
    ),
    delete(
        "tenants.delete",
        "/api/v1/tenants/{tenant_id}",
        Operator(PlatformPermission::TenantsWrite, handler!(api::tenants::tenant::delete)),
    )
    .summary(
        "Stops a tenant; with `?purge=true`, once it is deleted, removes it for ever. \
         Id and slug of a purged tenant are never given again.",
    )
    .params("purge?: Flag, If-Match, If-None-Match")
    .answers(
        "200 Tenant|{tenant_id: string, status: 'purged', pending: bool} +ETag <unless it is purged>; \
         202 Tenant|{tenant_id: string, status: 'purged', pending: bool} +ETag; \
         409 not_deleted changed_meanwhile",
    ),
    get(
        "tenants.health",
        "/api/v1/tenants/{tenant_id}/health",
        Operator(PlatformPermission::TenantsRead, handler!(api::tenants::health::health)),
    )
    .summary("Asks the tenant's rows, hub, KV and WordPress endpoint.")
    .answers(
        "200 {status: 'ok'|'degraded', revision: int, pending: bool, \
         checks: {*: Check}, isolate: {memory_bytes: int(0..) <of Wasm, in the isolate that answered; it never \
         shrinks>}} <whatever the parts say>",
    ),
    get(
        "domains.list",
        "/api/v1/tenants/{tenant_id}/domains",
        Operator(PlatformPermission::TenantsRead, handler!(api::tenants::domains::list)),
    )
    .summary("Lists a tenant's custom domains, the primary one first.")
    .answers("200 list Domain"),
    post(
        "domains.attach",
        "/api/v1/tenants/{tenant_id}/domains",
        Operator(PlatformPermission::TenantsWrite, handler!(api::tenants::domains::attach)),
    )
    .summary(
        "Claims a custom domain, which is served once it is proven; an international name is kept as punycode. \
         `record` says which TXT record proves it.",
    )
    .params("If-Match, If-None-Match")
    .body("{domain: string(3..255), is_primary??: bool}")
    .answers(
        "201 Domain +Location; 202 Domain +Location; 409 conflict <while it is another tenant's, \
         and for ten minutes after another one let it go> changed_meanwhile",
    ),
    patch(
        "domains.patch",
        "/api/v1/tenants/{tenant_id}/domains/{domain}",
        Operator(PlatformPermission::TenantsWrite, handler!(api::tenants::domains::patch)),
    )
    .summary("Makes a custom domain the tenant's primary one.")
    .params("If-Match, If-None-Match")
    .body("{is_primary: true}")
    .answers("200 Domain; 202 Domain; 409 domain_not_proven changed_meanwhile"),
    post(
        "domains.verify",
        "/api/v1/tenants/{tenant_id}/domains/{domain}/verify",
        Operator(PlatformPermission::TenantsWrite, handler!(api::tenants::domains::verify)),
    )
    .summary(
        "Looks up the domain's TXT record, and serves the domain once it is there. Of tenants that claim one domain, \
         the first one that proves it has it.",
    )
    .params("If-Match, If-None-Match")
    .answers(
        "200 Domain; 202 Domain; 409 domain_not_proven <says which record to set where> conflict <another tenant \
         was faster> changed_meanwhile",
    ),
    post(
        "domains.vouch",
        "/api/v1/tenants/{tenant_id}/domains/{domain}/vouch",
        Operator(PlatformPermission::DomainsVouch, handler!(api::tenants::domains::vouch)),
    )
    .summary("Says, in place of its DNS record, that a custom domain is the tenant's. Stands in the audit with its reason.")
    .params("If-Match, If-None-Match")
    .body("{reason: text(10..500)}")
    .answers("200 Domain; 202 Domain; 409 conflict changed_meanwhile"),
    delete(
        "domains.detach",
        "/api/v1/tenants/{tenant_id}/domains/{domain}",
        Operator(PlatformPermission::TenantsWrite, handler!(api::tenants::domains::detach)),
    )
    .summary("Lets a custom domain go.")
    .params("If-Match, If-None-Match")
    .answers("200 {domain: string}; 202 {domain: string}; 409 changed_meanwhile"),
    post(
        "secrets.rotate",
        "/api/v1/tenants/{tenant_id}/secrets/{kind}/rotate",
        Operator(PlatformPermission::TenantsWrite, handler!(api::tenants::secrets::rotate)),
    )
    .summary(
        "Makes a new `webhook` or `subscription` secret and shows it once; \
         the one before stays good for its grace.",
    )
    .params("If-Match, If-None-Match")
    .optional_body("{grace_seconds??: int(0..2592000) <by default 86400>, secret??: Secret}")
    .answers(
        "200 {kind: 'webhook'|'subscription', secret: string, version: int, \
         previous_valid_until: time?, pending: bool}; 202 {kind: 'webhook'|'subscription', \
         secret: string, version: int, previous_valid_until: time?, pending: bool}; \
         409 changed_meanwhile",
    ),
];
