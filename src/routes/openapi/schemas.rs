//! The schemas and parameters that contracts share by name.

use super::notation::{self, Find, quoted};
use crate::records::template::Template;
use domain::file::FileType;
use domain::permission::{Permission, PlatformPermission};

/// What contracts name, in the order of the document.
const SCHEMAS: &[(&str, &str)] = &[
    (
        "Problem",
        "{type: string/^urn:carillon:problem:[a-z_]+$/, title: string, status: int(400..599), detail?: string, success: false, error: string, code: string, request_id: string, errors?: FieldError[]}",
    ),
    ("FieldError", "{pointer: string, code: string, message: string}"),
    (
        "Pagination",
        "{page?: int(1..), per_page: int(0..), total?: int(0..), total_is_lower_bound?: true, total_pages?: int(0..), has_next: bool, has_prev: bool, partial?: true, cut?: {by: 'bytes'|'records', bound: int(0..)}, cursor: string?}",
    ),
    (
        "Storage",
        "{limit_bytes: Limit, used_bytes: int, records_bytes: int, files_bytes: int, waiting_bytes: int <of changes that subscribers have not been told yet>, collections: {collection: string, bytes: int? <null until it is counted for the first time>, recount: {state: 'none'|'running'|'done', at: time?, difference: int? <by how much the bytes were too many when it ended>}}[]}",
    ),
    // Of bodies.
    (
        "Email",
        "string(3..254)/^[^@.,:;<>()\"\\[\\]\\\\\\u0000- \\u007f-\\u00a0]+([.][^@.,:;<>()\"\\[\\]\\\\\\u0000- \\u007f-\\u00a0]+)*@([A-Za-z0-9\\u00a1-\\uffff]([A-Za-z0-9\\u00a1-\\uffff-]{0,61}[A-Za-z0-9\\u00a1-\\uffff])?[.])*[A-Za-z\\u00a1-\\uffff]([A-Za-z0-9\\u00a1-\\uffff-]{0,61}[A-Za-z0-9\\u00a1-\\uffff])?$/ <at most 64 bytes before the `@`>",
    ),
    ("TenantName", "string/^[a-z0-9][a-z0-9_-]{0,62}$/"),
    ("Slug", "string(1..63)/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/"),
    (
        "Secret",
        "text(16..256) <in the form of Standard Webhooks, `whsec_` and the base64 of 24 to 64 bytes; or any other text>",
    ),
    ("Password", "string(1..256)"),
    ("Addresses", "string/^[0-9A-Fa-f:.]+(/[0-9]+)?$/"),
    ("Limit", "int(-1..1000000000000)|'unlimited'"),
    (
        "Limits",
        "{max_concurrent_subscriptions??: Limit, max_direct_streams??: Limit <streams that the hub carries itself>, max_webhooks_per_minute??: Limit, max_connections_per_ip??: Limit, max_connections_per_ip_when_busy??: Limit, max_api_requests_per_minute??: Limit, max_api_requests_per_day??: Limit, max_anonymous_requests_per_minute??: Limit, event_retention_seconds??: Limit, event_retention_count??: Limit, max_redis_memory_mb??: Limit, max_users??: Limit, max_records?: {*: Limit}, max_records_per_hour?: {*: Limit}, max_records_per_month?: {*: Limit}, max_storage_bytes??: Limit}",
    ),
    (
        "Settings",
        "{auto_publish??: bool, content_types??: string(1..63)/^[a-z][a-z0-9_-]*$/[](..20), default_categories??: text(1..100)[](..20), seo_optimization??: bool, custom_templates??: {...}, workflow_approval??: bool, registration??: 'open'|'closed', password_policy??: {min_length??: int(8..128), require_digit??: bool, require_upper??: bool, require_symbol??: bool, forbid_email??: bool}, live??: {mode??: 'auto'|'bridged'|'direct' <how streams are carried; `auto`: as the hub's load has it>}, mercure??: {compatibility??: bool <serve clients of before 1.0; on by default>, anonymous??: bool <let somebody without a credential open streams, here and on `/events`; on by default>, subscriptions??: bool <tell who subscribes; off by default>, issuers??: {issuer: text(1..500), jwks_url: string(9..500)/^https://[^ #]+$/, allows: ('publish'|'subscribe')[](1..2)}[](..5) <whose tokens may publish or subscribe>}, graphql??: {introspection??: 'off'|'members'|'on' <who may ask for the schema; `on`: whoever the site answers>, documents??: 'any'|'registered' <which documents may be asked; `registered`: those of the registry, and any by whoever has `documents:write`>, max_query_bytes??: int(1024..262144), max_depth??: int(1..50), max_aliases??: int(0..1000), max_fields??: int(1..20000), max_batch??: int(0..50), max_upload_bytes??: int(0..104857600), timeout_ms??: int(500..30000), send_site_key??: bool <send the site the header `X-Carillon-Site-Key`>, graphiql??: bool <show GraphiQL to a browser that opens `/graphql`>, pass_parameters??: string(1..40)/^[A-Za-z0-9_-]+$/[](..20) <parameters of the query that the site gets, too>, cache??: {enabled??: bool, fresh_seconds??: int(0..604800), stale_while_revalidate_seconds??: int(0..604800), stale_if_error_seconds??: int(0..604800), staleness_seconds??: int(0..5), warm_up??: int(0..50) <how many answers are fetched again after a purge>, untagged??: bool, purge_by_mutations??: bool <the nodes that a mutation's answer shows are purged>, scope_headers??: string/^[Xx]-[A-Za-z0-9][A-Za-z0-9-]{0,60}$/[](..5), token_scope??: {audience??: text(1..200), claims??: text(1..64)[](1..5)} <JWTs of the tenant's subscription secret whose claims split answers>, operations??: {*: {fresh_seconds??: int(0..604800), stale_while_revalidate_seconds??: int(0..604800), stale_if_error_seconds??: int(0..604800)}} <by name, up to 100>}}}",
    ),
    (
        "TenantProfile",
        "{display_name??: text(1..200), admin_email??: Email, plan??: text(1..63), tier??: text(1..63) <another name of `plan`>, features??: {*: bool}, resources??: {...}, custom_domains??: string(1..255)[](..50), wpgraphql_endpoint??: string(8..500)/^https?://[^ ]+$/ <an https URL of a public host, without credentials or fragment>, cors_origins??: string(..300)/^[Hh][Tt][Tt][Pp][Ss]?://[^*@?#]+$/[](..50) <each an origin; stored as browsers serialise it>, ip_allowlist??: Addresses[](..100), rate_limits??: Limits, settings??: Settings, branding??: Branding, require_standard_webhooks??: bool, expires_at??: time <in the future>, name??: text(1..200) <`display_name`>, domain??: string(1..255) <the first of `custom_domains`>, subdomain??: Slug <`slug`>, id??: TenantName <`tenant_id`>, active??: bool <`status`>, status??: 'active'|'suspended'|'expired'|'deleted' <`expired` and `deleted` as they are shown>, storage_quota??: Limit <bytes: `rate_limits.max_storage_bytes`>, user_limit??: Limit <`rate_limits.max_users`>}",
    ),
    (
        "NewTenant",
        "{...TenantProfile, tenant_id??: TenantName, slug??: Slug, webhook_secret??: Secret, subscription_secret??: Secret, template??: Template|Template[](..12) <templates of its first collections>, templates??: Template|Template[](..12) <likewise>}",
    ),
    (
        "TenantUpdate",
        "{...TenantProfile, tenant_id??: TenantName, slug??: Slug, host??: string, pending_domains??: string[], limits??: Limits, created_at??: time, updated_at??: time, revision??: int, pending??: bool} <`host`, `pending_domains`, `limits`, `created_at`, `updated_at` and `revision` as they are shown, or left out>",
    ),
    (
        "SsoProviderSetting",
        "{name??: text(1..100), issuer??: string(9..500)/^https://[^ ?#]+$/ <a public host>, client_id??: text(1..200), client_secret??: text(1..500), scopes??: string(6..500)/^([!#-[]-~]+ )*openid( [!#-[]-~]+)*$/, role_claim??: text(1..100), role_map??: {*: text(1..64)} <a value of the claim to a role>, default_role??: text(1..64) <of newcomers whom no entry of `role_map` names; without it they are not let in, because an issuer may vouch for everybody>, enabled??: bool}",
    ),
    (
        "OperatorSetting",
        "{email??: Email, name??: text(1..100), password??: string(12..256), role??: 'admin'|'support', status??: 'active'|'disabled'}",
    ),
    (
        "SsoClientShown",
        "{client_id??: string, has_secret??: bool, previous_valid_until??: time, created_at??: time, updated_at??: time} <as they are shown, or left out>",
    ),
    ("Flag", "'true'|'false'|'1'|'0'|''"),
    ("Topic", "string(1..256)/^[^*\\u0000-\\u001f\\u007f-\\u009f]*$/"),
    ("Selector", "string(1..256)/^[^*\\u0000-\\u001f\\u007f-\\u009f]*[*]?$/"),
    (
        "Webhook",
        "{tenant_id: TenantName, node_type: text(1..64), action: text(1..64), channels: Topic[](1..100), data??: any, keys??: CacheKey[](..1000) <the kept GraphQL answers that end with it; without it those of the node, with an empty list none>, graphql_url??: text(1..512) <as in `X-GraphQL-URL`: what the site calls its endpoint>, private??: bool} <at most 256 KB>",
    ),
    ("CacheKey", "string(1..256)/^[!-)+-~][!-~]*$/"),
    (
        "CachePurge",
        "{keys??: CacheKey[](..1000) <as WPGraphQL sends them in `X-GraphQL-Keys`>, ids??: string(1..256)[](..1000) <nodes: `post:7`, `page:7`, `category:5`, `user:1` …, or their Relay ids>, types??: text(1..256)[](..1000) <their lists and all nodes that may be of them>, operations??: text(1..256)[](..1000), documents??: string(1..262144)[](..1000) <documents, or their SHA-256>, all??: bool <all GraphQL answers>, records??: string(1..64)/^([a-z][a-z0-9_-]{0,62}[*]?|[*])$/[](..100) <collections whose kept lists and statistics end: slugs, or how they begin with a `*` behind>, soft??: bool <answers that are named may be shown while a new one is fetched>, graphql_url??: text(1..512)} <one of them at least names something>",
    ),
    (
        "CacheQuestion",
        "{query: string(1..262144), operationName??: text(1..256)?, variables??: {...}, headers??: {*: string} <as a client would send them>, parameters??: {*: string}, ask??: bool <whether the site is asked where nothing is kept; true by default>}",
    ),
    ("StatusName", "string/^[a-z][a-z0-9_-]{0,39}$/"),
    (
        "NewCollection",
        "{...CollectionPatch, slug: string/^[a-z][a-z0-9_-]{0,62}$/, schema: {type: 'object', ...} <JSON Schema of the fields: see docs/records.md>, statuses??: {initial: StatusName, transitions??: {*: StatusName[]}}}",
    ),
    (
        "CollectionPatch",
        "{name??: text(1..100), description??: text(..1000), schema?: {...}, statuses??: {initial??: StatusName, transitions??: {*: StatusName[]?}}, versioned??: bool, soft_delete??: bool, live??: bool, public_read??: bool, files??: bool, alias??: 'client_id'}",
    ),
    (
        "Branding",
        "{name??: text(1..200), logo_url??: string(1..2000) <https, or a path on the tenant's host>, favicon_url??: string(1..2000) <likewise>, variables??: {*: string?} <up to 50 CSS custom properties (`--` and `a` to `z`, `0` to `9`, `-`), each a colour (name, hex, `rgb()`, `hsl()`, `oklch()`), a length, a number or a list of fonts>}",
    ),
    // Of answers.
    (
        "SettingsShown",
        "{auto_publish: bool, content_types: string[], default_categories: string[], seo_optimization: bool, custom_templates: {...}, workflow_approval: bool, registration: 'open'|'closed', password_policy: {min_length: int, require_digit: bool, require_upper: bool, require_symbol: bool, forbid_email: bool}, live: {mode: 'auto'|'bridged'|'direct'}, mercure: {compatibility: bool, anonymous: bool, subscriptions: bool, issuers: {issuer: string, jwks_url: string, allows: ('publish'|'subscribe')[]}[]}, graphql: {introspection: 'off'|'members'|'on', documents: 'any'|'registered', max_query_bytes: int, max_depth: int, max_aliases: int, max_fields: int, max_batch: int, max_upload_bytes: int, timeout_ms: int, send_site_key: bool, graphiql: bool, pass_parameters: string[], cache: {enabled: bool, fresh_seconds: int, stale_while_revalidate_seconds: int, stale_if_error_seconds: int, staleness_seconds: int, warm_up: int, untagged: bool, purge_by_mutations: bool, scope_headers: string[], token_scope: {audience: string, claims: string[]}?, operations: {*: {fresh_seconds?: int, stale_while_revalidate_seconds?: int, stale_if_error_seconds?: int}}}}, pending?: true}",
    ),
    (
        "BrandingShown",
        "{name: string?, logo_url: string?, favicon_url: string?, variables: {*: string}, pending?: true}",
    ),
    (
        "AnswerCounts",
        "{hits: int, stale: int, misses: int, passes: int, hit_rate: number? <the share of `hits` and `stale`>, ...}",
    ),
    (
        "CacheStats",
        "{days: int, since: time?, all: AnswerCounts, operations: {...AnswerCounts, operation: string? <null: without a name, or beyond 200 names a day>}[]}",
    ),
    (
        "CachePurged",
        "{id: string? <the purge's number: that of an event; null where `records` alone were named>, soft: bool, records?: int(0..100) <how many collections matched; where they were named>}",
    ),
    (
        "ToldAnswer",
        "{status: int, keeps: bool, reason: string?, age_seconds: int, fresh_seconds: int, stale_while_revalidate_seconds: int, stale_if_error_seconds: int, tags: string[] <a purge of any of them ends it>, began: string?}",
    ),
    (
        "CacheExplained",
        "{next: string? <what `X-Carillon-Cache` would say>, operation: string?, document: string? <the digest by which it is purged>, known_through: string?, kept: ToldAnswer?, site: ToldAnswer?}",
    ),
    ("Id", "{id: string}"),
    (
        "Tenant",
        "{tenant_id: string, id: string <`tenant_id`>, slug: string, subdomain: string <`slug`>, host: string, domain: string? <the primary one of `custom_domains`>, display_name: string, name: string <`display_name`>, admin_email: string?, plan: string, status: 'active'|'expired'|'suspended'|'deleted' <`expired`: active, and its `expires_at` has passed>, active: bool <whether `status` is `active`>, features: {...}, resources: {...}, custom_domains: string[], pending_domains: string[], wpgraphql_endpoint: string?, cors_origins: string[], ip_allowlist: string[], rate_limits: Limits <what the tenant overrides>, limits: Limits <the plan's, overridden>, storage_quota: Limit <bytes: `limits.max_storage_bytes`>, user_limit: Limit <`limits.max_users`>, settings: {...}, branding: {...}, require_standard_webhooks: bool, expires_at: time?, created_at: time, updated_at: time, revision: int, pending?: true}",
    ),
    (
        "Domain",
        "{domain: string, status: 'active'|'pending' <pending: not served, because it is not proven>, is_primary: bool, ssl_enabled: bool <whether HTTPS to it answered when it was asked last>, https_status: int? <what it answered>, proof: 'dns'|'vouched'|'inherited'|'assumed'|null, proven_at: time?, checked_at: time?, failing_since: time? <since when the record is missing>, expires_at: time? <when the claim ends if it is not proven>, record: {type: 'TXT', name: string, value: string}? <what proves the domain>, created_at: time}",
    ),
    ("Check", "{status: string, ...}"),
    ("Jwks", "{keys: {kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig', kid: string, x: string}[]}"),
    (
        "ApiKey",
        "{id: string, name: string, scopes: string[], ip_allowlist: string[], created_by: string, created_at: time, expires_at: time?, last_used_at: time?, revoked_at: time?, previous_until: time?, held_by: string, in_force: bool, not_in_force_because: 'revoked'|'expired'|'holder_removed'|'holder_disabled'|'maker_ended'|null, effective_scopes: string[]}",
    ),
    (
        "PlatformKey",
        "{id: string, name: string, permissions: string[], ip_allowlist: string[], created_by: string, created_at: time, expires_at: time?, last_used_at: time?, revoked_at: time?, previous_until: time?, held_by: string, in_force: bool, not_in_force_because: 'revoked'|'expired'|'holder_removed'|'holder_disabled'|'maker_ended'|null, effective_permissions: string[]}",
    ),
    ("SigningKey", "{kid: string, retires_at: time?}"),
    (
        "Operator",
        "{id: string, email: string, name: string, role: 'admin'|'support', status: 'active'|'disabled', created_at: time, updated_at: time, last_login_at: time?, grant_count: int(0..), grants: {tenant_id: string, role: string}[]}",
    ),
    ("Person", "{id: string, email: string, name: string, role: string}"),
    (
        "User",
        "{id: string, email: string, name: string, role: string, status: 'active'|'disabled', email_verified_at: time?, last_login_at: time?, created_at: time, updated_at: time}",
    ),
    (
        "Role",
        "{name: string, description: string, permissions: string[], built_in: bool, created_at: time?, updated_at: time?}",
    ),
    (
        "Invitation",
        "{id: string, email: string, role: string, status: 'open'|'accepted'|'expired'|'closed', invited_by: string, sent_at: time, expires_at: time, accepted_at: time?, created_at: time}",
    ),
    (
        "AuditEntry",
        "{id: string, at: time, actor: string, operation: string, subject: string?, detail: any, address: string?, request_id: string?}",
    ),
    (
        "Tokens",
        "{access_token: string, token_type: 'Bearer', expires_in: int, expires_at: time, refresh_token: string, refresh_expires_at: time, session_id: string, user: Person}",
    ),
    (
        "Collection",
        "{slug: string, name: string, description: string, schema: {...}, statuses: {initial: string, transitions?: {*: string[]}?}?, versioned: bool, soft_delete: bool, live: bool, public_read: bool, files: bool, template: string?, alias: string?, unique_together: string[]? <fields of which no two records have the same values together>, revision: int, records: int, index: {state: 'ready'|'building'|'failed', done: int, total: int, failure: any}, created_at: time, updated_at: time}",
    ),
    (
        "Record",
        "{id?: string, tenant_id?: string, client_id?: string, status?: string, version?: int, created_at?: time, updated_at?: time, deleted_at?: time, created_by?: string, updated_by?: string, ...}",
    ),
    ("SignedIn", "Tokens|{session_id: string, expires_at: time, user: Person}"),
    (
        "SsoProvider",
        "{id: string, name: string, issuer: string, client_id: string, has_client_secret: bool, scopes: string, role_claim: string?, role_map: {*: string}, default_role: string?, enabled: bool, reach: string[], created_at: time, updated_at: time}",
    ),
    (
        "SsoClient",
        "{client_id: string, name: string, redirect_uris: string[], has_secret: bool, previous_valid_until: time?, created_at: time, updated_at: time}",
    ),
    ("Document", "{hash: string, alias: string?, bytes: int, created_at: time, created_by: string}"),
    (
        "Site",
        "{tenant_id: string, sse_endpoint: string, webhook_endpoint: string, webhook_secret: string, subscription_secret: string? <null for who may not read all that it opens: `events:read` and `records:read`>}",
    ),
];

/// A parameter that operations share: name, place, schema, what it is.
pub type Parameter = (&'static str, &'static str, &'static str, &'static str);

/// What contracts name without a schema, and parameters of paths that say more than that they are text.
pub const PARAMETERS: &[Parameter] = &[
    ("limit", "query", "int(1..200)", "Most rows of the page, by default 50."),
    ("cursor", "query", "string", "Where the page begins: `pagination.cursor` of the one before."),
    ("Idempotency-Key", "header", "string(..255)/^[!-~]*$/", "The same key gives the first answer again for 24 hours."),
    (
        "If-Match",
        "header",
        "string",
        "The ETag that was read, or several, or `*`; 412 unless the object has one of them. Weak tags match nothing (RFC 9110).",
    ),
    (
        "If-None-Match",
        "header",
        "string",
        "The ETag that is known, or several, or `*`. If the object has one of them, a GET is 304 and anything else 412 (RFC 9110).",
    ),
    ("Last-Event-ID", "header", "string", "The last event that arrived: what followed comes first."),
    (
        "If-Modified-Since",
        "header",
        "string",
        "304 if the object has not changed since; `If-None-Match` goes before it (RFC 9110).",
    ),
    (
        "If-Unmodified-Since",
        "header",
        "string",
        "412 if the object has changed since; `If-Match` goes before it (RFC 9110).",
    ),
    (
        "If-Range",
        "header",
        "string",
        "The ETag or `Last-Modified` for which `Range` counts; of any other file all is sent (RFC 9110).",
    ),
    ("Range", "header", "string", "Which bytes (RFC 9110)."),
    ("Prefer", "header", "string", "`return=minimal` gets the id of what was made, else no body (RFC 7240)."),
    ("X-WP-Nonce", "header", "string", "WordPress's proof that a cookie was meant; passed on to the site."),
    ("woocommerce-session", "header", "string", "The session of a shop; passed on to the site."),
    (
        "X-Carillon-After",
        "header",
        "string/^#?[0-9a-f]{16}-[0-9]{1,15}(~[0-9]{1,15})?$/",
        "The id of an event that was heard: what its purge names is shown from after it.",
    ),
    (
        "X-GraphQL-URL",
        "header",
        "string",
        "What the site calls its endpoint: host, port and path. Another site's purge is refused.",
    ),
    ("X-Tenant-ID", "header", "string", "The tenant that a platform key acts in, or that a webhook is for."),
    ("kind", "path", "'webhook'|'subscription'", "Which secret."),
];

/// The text of a named schema.
pub const FIND: Find = |name| SCHEMAS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);

/// Every named schema, by name, as JSON.
pub fn named() -> Option<Vec<(&'static str, String)>> {
    let mut named = Vec::new();
    for (name, text) in SCHEMAS {
        named.push((*name, notation::schema(text, FIND)?));
    }
    let mut tenants = Entries::new();
    Permission::ALL.iter().for_each(|permission| tenants.add(permission.as_str()));
    named.push(("Permission", tenants.finish()));
    let mut platforms = Entries::new();
    PlatformPermission::ALL.iter().for_each(|permission| platforms.add(permission.as_str()));
    named.push(("PlatformPermission", platforms.finish()));
    let templates = Entries(Template::names().map(quoted).collect());
    named.push(("Template", templates.finish()));
    let types = Entries(FileType::names().map(|name| quoted(&name)).collect());
    named.push(("FileType", types.finish()));
    Some(named)
}

/// The values that a text may have, as JSON.
struct Entries(Vec<String>);

impl Entries {
    /// Of permissions: `*`, and what is added.
    fn new() -> Self {
        Self(vec![quoted("*")])
    }

    /// A permission, and `resource:*`.
    fn add(&mut self, name: &str) {
        let resource = name.split(':').next().unwrap_or_default();
        let all = quoted(&[resource, ":*"].concat());
        if !self.0.contains(&all) {
            self.0.push(all);
        }
        self.0.push(quoted(name));
    }

    fn finish(self) -> String {
        ["{\"type\":\"string\",\"enum\":[", &self.0.join(","), "]}"].concat()
    }
}

/// A shared parameter, as JSON.
pub fn parameter(name: &str) -> Option<String> {
    let (name, place, schema, about) = PARAMETERS.iter().find(|(known, ..)| *known == name)?;
    let is_required = if *place == "path" { "true" } else { "false" };
    let schema = notation::schema(schema, FIND)?;
    let about = quoted(about);
    let parts = [
        "{\"name\":\"",
        name,
        "\",\"in\":\"",
        place,
        "\",\"required\":",
        is_required,
        ",\"description\":",
        &about,
        ",\"schema\":",
        &schema,
        "}",
    ];
    Some(parts.concat())
}

/// Whether a shared parameter is a header.
pub fn is_header(name: &str) -> bool {
    PARAMETERS.iter().any(|(known, place, ..)| *known == name && *place == "header")
}

/// The names of the shared parameters.
pub fn parameters() -> impl Iterator<Item = &'static str> {
    PARAMETERS.iter().map(|(name, ..)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_can_be_read() {
        let texts = SCHEMAS.iter().copied().chain(PARAMETERS.iter().map(|(name, _, schema, _)| (*name, *schema)));
        let faults: Vec<_> = texts.filter(|(_, text)| notation::schema(text, FIND).is_none()).collect();
        assert!(faults.is_empty(), "{faults:#?}");
    }
}
