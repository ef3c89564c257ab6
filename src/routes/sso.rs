//! Single sign-on: a tenant's providers, its clients, and a browser's way through.

use super::entry::{delete, get, handler, patch, post, put, versioned_only};
use super::route::Endpoint::{Member, SignIn};
use super::route::Route;
use crate::api;
use domain::permission::Permission;

pub const ROUTES: &[Route] = &versioned_only([
    post(
        "sso_providers.create",
        "/api/v1/sso/providers",
        Member(Permission::SsoWrite, handler!(api::sso::providers::create)),
    )
    .summary("Adds an OpenID provider. The client secret is taken and never shown.")
    .body(
        "{...SsoProviderSetting, id: string/^[a-z][a-z0-9-]{0,39}$/, name: text(1..100), \
         issuer: string(9..500)/^https://[^ ?#]+$/ <a public host>, client_id: text(1..200)}",
    )
    .answers(
        "201 SsoProvider +Location; 403 beyond_own_permissions <a role that may do more than the \
         caller>; 409 conflict too_many <beyond 20>",
    ),
    get(
        "sso_providers.list",
        "/api/v1/sso/providers",
        Member(Permission::SsoRead, handler!(api::sso::providers::list)),
    )
    .summary("Lists the providers, newest first.")
    .params("limit, cursor")
    .answers("200 list SsoProvider"),
    get(
        "sso_providers.get",
        "/api/v1/sso/providers/{provider_id}",
        Member(Permission::SsoRead, handler!(api::sso::providers::get)),
    )
    .summary("Shows a provider.")
    .answers("200 SsoProvider"),
    patch(
        "sso_providers.patch",
        "/api/v1/sso/providers/{provider_id}",
        Member(Permission::SsoWrite, handler!(api::sso::providers::patch)),
    )
    .summary(
        "Changes a provider (JSON Merge Patch). With another issuer the client secret must be sent \
         again, and everybody is linked anew.",
    )
    .body(
        "SsoProviderSetting <what is left out stays; `null` takes away `client_secret`, `role_claim`, \
         `role_map` or `default_role`>",
    )
    .answers(
        "200 SsoProvider; 403 beyond_own_permissions <the provider reaches further than the caller>; \
         409 changed_meanwhile",
    ),
    delete(
        "sso_providers.delete",
        "/api/v1/sso/providers/{provider_id}",
        Member(Permission::SsoWrite, handler!(api::sso::providers::delete)),
    )
    .summary("Removes a provider, and who its users are there. The users stay, and so do their sessions.")
    .answers("200 Id"),
    get("sso_clients.list", "/api/v1/sso/clients", Member(Permission::SsoRead, handler!(api::sso::clients::list)))
        .summary(
            "Lists the tenant's own applications as they are registered at an identity provider, \
             newest first.",
        )
        .params("limit, cursor")
        .answers("200 list SsoClient"),
    get(
        "sso_clients.get",
        "/api/v1/sso/clients/{client_id}",
        Member(Permission::SsoRead, handler!(api::sso::clients::get)),
    )
    .summary("Shows an application. Its secret is never shown again.")
    .answers("200 SsoClient"),
    put(
        "sso_clients.put",
        "/api/v1/sso/clients/{client_id}",
        Member(Permission::SsoWrite, handler!(api::sso::clients::put)),
    )
    .summary(
        "Records an application: `{name}-{tenant_id}`. `wordpress` and `openwebui` have redirect URIs of \
         their own, from the tenant's id and primary domain. An application that is new gets a secret, which this answer \
         alone shows. What was read may be sent as it is.",
    )
    .optional_body(
        "{...SsoClientShown, name??: text(1..250) <for people; by default `WordPress`, `OpenWebUI` or the id's name, and \
         the tenant's name>, redirect_uris??: string(..500)/^(https|http)://[^ *#]+$/[](1..20) <exact; https, \
         or http on .local hosts; optional for `wordpress` and `openwebui`>}",
    )
    .answers("200 {...SsoClient, client_secret?: string} <with the secret of an application that is new>; 409 too_many"),
    post(
        "sso_clients.rotate",
        "/api/v1/sso/clients/{client_id}/rotate",
        Member(Permission::SsoWrite, handler!(api::sso::clients::rotate)),
    )
    .summary("Makes another secret and shows it once; the one before stays good for its grace.")
    .optional_body("{grace_seconds??: int(0..2592000) <by default 86400>}")
    .answers("200 {...SsoClient, client_secret: string}"),
    post(
        "sso_clients.verify",
        "/api/v1/sso/clients/{client_id}/verify",
        Member(Permission::SsoRead, handler!(api::sso::clients::verify)),
    )
    .summary("Tells whether a secret is the application's: the present one, or the one before within its grace.")
    .body("{client_secret: text(1..500)}")
    .answers("200 {valid: bool, until: time? <when the grace of the one before ends>}"),
    delete(
        "sso_clients.delete",
        "/api/v1/sso/clients/{client_id}",
        Member(Permission::SsoWrite, handler!(api::sso::clients::delete)),
    )
    .summary("Removes the record of an application.")
    .answers("200 {client_id: string}"),
    get("sso.list", "/api/v1/auth/sso", SignIn(handler!(api::sso::sign_in::list)))
        .summary("Lists the providers that a login page offers.")
        .answers("200 list {id: string, name: string}"),
    get("sso.callback", "/api/v1/auth/sso/callback", SignIn(handler!(api::sso::sign_in::finish)))
        .summary(
            "Where a provider sends the browser back to. Opens a session. \
             Reads the cookie that `sso.begin` set.",
        )
        .params("code?: string, state?: string, iss?: string, tenant?: string")
        .answers(
            "303 +Location <to `return_to`, with the session cookie>; 400 sso_state_invalid; \
             401 sso_refused sso_token_invalid; 403 sso_email_unverified sso_not_admitted; \
             409 user_limit_reached changed_meanwhile; 502 provider_unusable",
        ),
    get("sso.begin", "/api/v1/auth/sso/{provider_id}", SignIn(handler!(api::sso::sign_in::begin)))
        .summary("Sends a browser to a provider (code flow with PKCE). It has ten minutes to come back.")
        .params(
            "return_to?: string(..1000) <a path on this host, by default `/`>, tenant?: string <redundant; \
             must be the host's>",
        )
        .answers(
            "302 +Location <to the provider, with a cookie>; 400 invalid_query <another `return_to`>; \
             502 provider_unusable",
        ),
]);
