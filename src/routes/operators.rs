//! The platform's own people and keys: signing in, entering tenants, rotating what everything else rests on.

use super::entry::{delete, get, handler, patch, post, put, versioned_only};
use super::route::Endpoint::{Anyone, Operator, SignedInOperator};
use super::route::Route;
use crate::api::operators::{
    accounts, grants, impersonation, master_keys, platform_keys, sessions, signing_keys, switching,
};
use domain::permission::PlatformPermission;

pub const ROUTES: &[Route] = &versioned_only([
    post("operators.login", "/api/v1/operators/login", Anyone(handler!(sessions::login)))
        .summary("Signs a person of the platform in, for 12 hours.")
        .body("{email: text(1..254), password: Password}")
        .answers(
            "200 {token: string, token_type: 'Bearer', expires_at: time, operator: Person}; \
             401 invalid_credentials <whatever does not fit>; 429 rate_limited <a network failed \
             10 times at an account, or 20 times, within a minute>",
        ),
    post("operators.logout", "/api/v1/operators/logout", SignedInOperator(handler!(sessions::logout)))
        .summary("Ends the session, and with it the tokens that were taken with it.")
        .answers("204"),
    get("operators.me", "/api/v1/operators/me", SignedInOperator(handler!(sessions::me)))
        .summary("Shows who is signed in.")
        .answers(
            "200 {...Person, permissions: string[], created_at: time, last_login_at: time?, \
             session_id: string, session_expires_at: time}",
        ),
    get("operators.my_tenants", "/api/v1/operators/me/tenants", SignedInOperator(handler!(sessions::my_tenants)))
        .summary(
            "Lists the tenants that the caller may enter, newest first: admins all that are served, \
             support those it was granted.",
        )
        .params("q?: string(..200) <text in id, slug or name>, limit, cursor")
        .answers("200 list {tenant_id: string, slug: string, display_name: string, hosts: string[] <the custom domains, the primary one first; then the slug's host>, role: string}"),
    post(
        "operators.create",
        "/api/v1/operators",
        Operator(PlatformPermission::OperatorsWrite, handler!(accounts::create)),
    )
    .summary("Makes an operator: an admin may do everything, support enters the tenants it is granted.")
    .params("Idempotency-Key")
    .body(
        "{email: Email, name: text(1..100), password: string(12..256), role: 'admin'|'support', \
         status??: 'active'}",
    )
    .answers(
        "201 Operator +Location; 403 beyond_own_permissions <an operator who may do more than the \
         caller>; 409 conflict <the address is taken> too_many",
    ),
    get("operators.list", "/api/v1/operators", Operator(PlatformPermission::OperatorsRead, handler!(accounts::list)))
        .summary("Lists operators, newest first.")
        .params("limit, cursor")
        .answers(
            "200 list {id: string, email: string, name: string, role: 'admin'|'support', \
             status: 'active'|'disabled', created_at: time, updated_at: time, last_login_at: time?, \
             grant_count: int}",
        ),
    get(
        "operators.get",
        "/api/v1/operators/{operator_id}",
        Operator(PlatformPermission::OperatorsRead, handler!(accounts::get)),
    )
    .summary("Shows an operator with its grants.")
    .answers("200 Operator"),
    patch(
        "operators.patch",
        "/api/v1/operators/{operator_id}",
        Operator(PlatformPermission::OperatorsWrite, handler!(accounts::patch)),
    )
    .summary("Changes an operator. Another password and `disabled` sign it out everywhere at once.")
    .body("OperatorSetting <what is left out stays>")
    .answers("200 Operator; 403 beyond_own_permissions; 409 conflict <the address is taken> changed_meanwhile"),
    delete(
        "operators.delete",
        "/api/v1/operators/{operator_id}",
        Operator(PlatformPermission::OperatorsWrite, handler!(accounts::delete)),
    )
    .summary(
        "Removes an operator, its sessions and its grants. The last admin may go too: the deployment's \
         first key stays.",
    )
    .answers("200 Id; 403 beyond_own_permissions; 409 changed_meanwhile"),
    put(
        "operators.grant",
        "/api/v1/operators/{operator_id}/grants/{tenant_id}",
        Operator(PlatformPermission::OperatorsWrite, handler!(grants::put)),
    )
    .summary("Lets an operator enter a tenant with a role: a built-in one, or one that the tenant made.")
    .body("{role: text(1..64)}")
    .answers("200 Operator; 403 beyond_own_permissions; 404 tenant_not_found; 409 too_many changed_meanwhile"),
    delete(
        "operators.take_grant",
        "/api/v1/operators/{operator_id}/grants/{tenant_id}",
        Operator(PlatformPermission::OperatorsWrite, handler!(grants::delete)),
    )
    .summary("Takes a tenant from an operator; the tokens it holds for it end on their next request.")
    .answers("200 Operator; 403 beyond_own_permissions; 404 tenant_not_found; 409 changed_meanwhile"),
    post("auth.switch", "/api/v1/auth/switch", SignedInOperator(handler!(switching::switch)))
        .summary(
            "Gives the caller a token to act in one tenant as itself, for 15 minutes. Takes `tenants:enter`. \
             Written into the platform's audit and the tenant's.",
        )
        .body("{tenant_id: text(1..200)}")
        .answers(
            "200 {token: string, token_type: 'Bearer', expires_at: time, role: string, host: string?}; \
             404 tenant_not_found <it is unknown, not served or not granted>",
        ),
    post("auth.impersonate", "/api/v1/auth/impersonate", SignedInOperator(handler!(impersonation::impersonate)))
        .summary(
            "Gives the caller a token to act as a user of a tenant. Takes `users:impersonate`. \
             It cannot be refreshed, makes and reads no secrets, and its answers carry `X-Impersonated-By`.",
        )
        .body(
            "{tenant_id: text(1..200), user_id: text(1..200), reason: text(10..500) <kept in both audits>, \
             minutes??: int(1..60) <by default 15>}",
        )
        .answers(
            "200 {token: string, token_type: 'Bearer', expires_at: time, host: string?, \
             impersonation: {operator: string, user: Person, reason: string, banner: true}}; 404 not_found",
        ),
    post(
        "platform_keys.create",
        "/api/v1/platform-keys",
        Operator(PlatformPermission::PlatformKeysWrite, handler!(platform_keys::create)),
    )
    .summary("Makes a key for the platform's automation. Its text is shown in this answer only.")
    .params("Idempotency-Key")
    .body(
        "{name: text(1..100), permissions: PlatformPermission[](1..50) <the caller's own>, \
         expires_at??: time, ip_allowlist??: Addresses[](..100) <addresses and ranges>}",
    )
    .answers(
        "201 {...PlatformKey, key: string} +Location; 403 beyond_own_permissions; \
         409 too_many changed_meanwhile",
    ),
    get(
        "platform_keys.list",
        "/api/v1/platform-keys",
        Operator(PlatformPermission::PlatformKeysRead, handler!(platform_keys::list)),
    )
    .summary("Lists platform keys, newest first, revoked ones too.")
    .params("limit, cursor")
    .answers("200 list PlatformKey"),
    get(
        "platform_keys.get",
        "/api/v1/platform-keys/{key_id}",
        Operator(PlatformPermission::PlatformKeysRead, handler!(platform_keys::get)),
    )
    .summary("Shows a platform key, without its text.")
    .answers("200 PlatformKey"),
    patch(
        "platform_keys.patch",
        "/api/v1/platform-keys/{key_id}",
        Operator(PlatformPermission::PlatformKeysWrite, handler!(platform_keys::patch)),
    )
    .summary("Changes a platform key's name, permissions, end or addresses.")
    .body(
        "{name??: text(1..100), permissions??: PlatformPermission[](1..50) <the caller's own>, \
         expires_at??: time <`null` takes the end away>, ip_allowlist??: Addresses[](..100) <addresses and \
         ranges>} <what is left out stays>",
    )
    .answers("200 PlatformKey; 403 beyond_own_permissions; 409 revoked changed_meanwhile"),
    post(
        "platform_keys.reroll",
        "/api/v1/platform-keys/{key_id}/reroll",
        Operator(PlatformPermission::PlatformKeysWrite, handler!(platform_keys::reroll)),
    )
    .summary(
        "Gives a platform key another text, shown in this answer only; \
         the one before stays good for its grace. The key is the caller's from now on; \
         if somebody else held it, the text before ends at once.",
    )
    .optional_body("{grace_seconds??: int(0..604800) <by default 86400; 0 where the key changes hands>}")
    .answers("200 {...PlatformKey, key: string}; 403 beyond_own_permissions; 409 revoked changed_meanwhile"),
    delete(
        "platform_keys.revoke",
        "/api/v1/platform-keys/{key_id}",
        Operator(PlatformPermission::PlatformKeysWrite, handler!(platform_keys::revoke)),
    )
    .summary("Revokes a platform key at once.")
    .answers("200 PlatformKey"),
    get(
        "signing_keys.list",
        "/api/v1/signing-keys",
        Operator(PlatformPermission::KeysRotate, handler!(signing_keys::list)),
    )
    .summary("Lists the keys that tokens verify with; the one without `retires_at` signs.")
    .answers("200 SigningKey[]"),
    post(
        "signing_keys.rotate",
        "/api/v1/signing-keys/rotate",
        Operator(PlatformPermission::KeysRotate, handler!(signing_keys::rotate)),
    )
    .summary("Puts a new signing key in place; the one before verifies until its last token has ended.")
    .answers("201 SigningKey[]; 409 too_many"),
    get("keys.show", "/api/v1/keys", Operator(PlatformPermission::KeysRotate, handler!(master_keys::show)))
        .summary("Counts what each version of the master key seals. A version that counts nothing may be removed.")
        .answers(
            "200 {current_version: int, data_keys: {*: int}, signing_keys: {*: int}, \
             kept_answers: {*: int}} <each a count by version>",
        ),
    post("keys.rewrap", "/api/v1/keys/rewrap", Operator(PlatformPermission::KeysRotate, handler!(master_keys::rewrap)))
        .summary(
            "Seals a page of keys under the current version of the master key; cron does one each minute. \
             May be repeated and interrupted.",
        )
        .optional_body("{limit??: int(1..200) <of each kind, by default 200>}")
        .answers("200 {rewrapped: int, remaining: int}"),
]);
