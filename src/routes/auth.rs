//! Who acts in a tenant: keys, tokens, what a site needs to connect.

use super::entry::{delete, get, handler, patch, post};
use super::route::Endpoint::{Anyone, Member, Visitor};
use super::route::{Route, TokenRule};
use crate::api;
use domain::permission::Permission;

pub const ROUTES: &[Route] = &[
    get("auth.jwks", "/.well-known/jwks.json", Anyone(handler!(api::members::jwks::show)))
        .summary("The public keys that this platform's tokens verify with.")
        .answers("200 raw Jwks <a JWK set (RFC 7517) of Ed25519 keys, with `Cache-Control: max-age=300`>"),
    get(
        "auth.tenant_jwks",
        "/.well-known/jwks.json",
        Visitor(TokenRule::Ignored, handler!(api::members::jwks::show_on_tenant)),
    )
    .judged_now()
    .summary("The same keys, for whoever knows the tenant's host only.")
    .answers("200 raw Jwks <as on the platform's host>"),
    post("api_keys.create", "/api/v1/api-keys", Member(Permission::ApiKeysWrite, handler!(api::members::keys::create)))
        .summary("Makes a key for automation. Its text is shown in this answer only.")
        .params("Idempotency-Key")
        .body(
            "{name: text(1..100), scopes: Permission[](1..50) <permissions that the caller has>, \
             expires_at??: time, ip_allowlist??: Addresses[](..100) <addresses and ranges>}",
        )
        .answers(
            "201 {...ApiKey, key: string} +Location; 403 beyond_own_permissions <a scope that the caller \
             does not have>; 409 too_many",
        ),
    get("api_keys.list", "/api/v1/api-keys", Member(Permission::ApiKeysRead, handler!(api::members::keys::list)))
        .summary("Lists the tenant's keys, newest first, revoked ones too.")
        .params("limit, cursor")
        .answers("200 list ApiKey"),
    get(
        "api_keys.get",
        "/api/v1/api-keys/{key_id}",
        Member(Permission::ApiKeysRead, handler!(api::members::keys::get)),
    )
    .summary("Shows a key, without its text.")
    .answers("200 ApiKey"),
    patch(
        "api_keys.patch",
        "/api/v1/api-keys/{key_id}",
        Member(Permission::ApiKeysWrite, handler!(api::members::keys::patch)),
    )
    .summary(
        "Changes a key's name, scopes, end or addresses. With fewer of \
         `subscriber-tokens:write`, `events:read` and `records:read` among its scopes, or another end, its streams \
         and those of the tokens it minted end; with other addresses, its own.",
    )
    .body(
        "{name??: text(1..100), scopes??: Permission[](1..50) <permissions that the caller has>, \
         expires_at??: time <`null` takes the end away>, ip_allowlist??: Addresses[](..100) <addresses and \
         ranges>} <what is left out stays>",
    )
    .answers("200 ApiKey; 403 beyond_own_permissions; 409 revoked changed_meanwhile"),
    post(
        "api_keys.reroll",
        "/api/v1/api-keys/{key_id}/reroll",
        Member(Permission::ApiKeysWrite, handler!(api::members::keys::reroll)),
    )
    .summary(
        "Gives a key another text, shown in this answer only; the one before stays good for its grace. Its streams end; \
         without a grace, those of the tokens it minted too. The key is the caller's from now on; if somebody else held it, \
         the text before ends at once.",
    )
    .optional_body("{grace_seconds??: int(0..604800) <by default 86400; 0 where the key changes hands>}")
    .answers("200 {...ApiKey, key: string}; 403 beyond_own_permissions; 409 revoked changed_meanwhile"),
    delete(
        "api_keys.revoke",
        "/api/v1/api-keys/{key_id}",
        Member(Permission::ApiKeysWrite, handler!(api::members::keys::revoke)),
    )
    .summary("Revokes a key at once, and ends its streams and those of the tokens it minted.")
    .answers("200 ApiKey"),
    post(
        "tenant.configure",
        "/api/v1/tenant/config",
        Member(Permission::TenantConfigure, handler!(api::members::configure::configure)),
    )
    .summary(
        "Tells a WordPress site what it needs to connect, secrets included. It changes one thing of the tenant: \
         `wpgraphql_endpoint`, where the body names another one, as `tenants.patch` would, with the tenant's next `revision`. \
         No secret, domain or setting changes, and `domain` is kept in the audit entry of the disclosure alone.",
    )
    .body(
        "{wpgraphql_endpoint??: string(8..500)/^https?://[^ ]+$/ <the site's GraphQL endpoint: an \
         https URL of a public host; it becomes the tenant's>, domain??: text(1..2000) <the site as it sees itself: kept in \
         the audit, it changes nothing>}",
    )
    .answers("200 raw {success: true, data: Site, ...Site}"),
    post(
        "subscriber_tokens.mint",
        "/api/v1/subscriber-tokens",
        Member(Permission::SubscriberTokensWrite, handler!(api::members::subscriber_tokens::mint)),
    )
    .summary("Mints a token that opens private events, for sites that do not mint their own.")
    .body(
        "{topics: Selector[](1..100) <`name`, `prefix*` or `*`>, ttl??: int(60..3600) <seconds, \
         by default 900>}",
    )
    .answers(
        "201 {token: string, expires_at: time, topics: string[]}; 403 forbidden <also for a topic that the caller may not \
         hear: `records/…` takes `records:read`, every other one `events:read`>",
    ),
];
