//! Who belongs to a tenant: users, roles, invitations, and the audit of what they did.

use super::entry::{delete, get, handler, patch, post};
use super::route::Endpoint::{Member, SignIn};
use super::route::Route;
use crate::api;
use domain::permission::Permission;

pub const ROUTES: &[Route] = &[
    post("users.create", "/api/v1/users", Member(Permission::UsersWrite, handler!(api::members::users::create)))
        .summary("Makes a user without a password, who then signs in by password reset or single sign-on.")
        .params("Idempotency-Key")
        .body("{email: Email, name??: text(..200), role??: text(1..40) <within the caller's permissions, by default `viewer`>}")
        .answers(
            "201 User +Location; 403 beyond_own_permissions; 409 conflict <the address is a user's, \
             or invited> user_limit_reached changed_meanwhile",
        ),
    get("users.list", "/api/v1/users", Member(Permission::UsersRead, handler!(api::members::users::list)))
        .summary("Lists the tenant's users, newest first.")
        .params(
            "status?: 'active'|'disabled', role?: string, q?: string(..100) <text in address or name>, \
             limit, cursor",
        )
        .answers("200 list User"),
    get("users.get", "/api/v1/users/{user_id}", Member(Permission::UsersRead, handler!(api::members::users::get)))
        .summary("Shows a user.")
        .answers("200 User"),
    patch(
        "users.patch",
        "/api/v1/users/{user_id}",
        Member(Permission::UsersWrite, handler!(api::members::users::patch)),
    )
    .summary(
        "Changes a user's name, role or status. Another role and disabling count at once and end the \
             streams of the tokens the user minted.",
    )
    .body(
        "{name??: text(..200), role??: text(1..40) <within the caller's permissions>, \
             status??: 'active'|'disabled'} <what is left out stays>",
    )
    .answers("200 User; 403 beyond_own_permissions; 409 last_owner changed_meanwhile"),
    delete(
        "users.remove",
        "/api/v1/users/{user_id}",
        Member(Permission::UsersWrite, handler!(api::members::users::remove)),
    )
    .summary("Removes a user with everything that lets them in.")
    .answers("200 Id; 403 beyond_own_permissions; 409 last_owner changed_meanwhile"),
    post(
        "users.revoke_sessions",
        "/api/v1/users/{user_id}/sessions/revoke",
        Member(Permission::UsersWrite, handler!(api::members::users::revoke_sessions)),
    )
    .summary(
        "Ends a user's sessions, tokens, streams, mailed tokens, and the invitations they sent; with `api_keys` the \
         keys they hold too.",
    )
    .optional_body("{api_keys??: bool <takes `api-keys:write`>}")
    .answers("200 Id; 403 beyond_own_permissions; 409 changed_meanwhile"),
    post(
        "auth.revoke_all",
        "/api/v1/auth/revoke-all",
        Member(Permission::UsersWrite, handler!(api::members::users::revoke_all)),
    )
    .summary(
        "Ends every session and token of the tenant's users, what operators hold in it, mailed tokens, registrations, \
         sign-ins under way and open invitations, and the streams of users, operators and keys and of the tokens they \
         minted. API keys stay, unless `api_keys` says so. Whoever calls it must have every permission, as owners have.",
    )
    .optional_body("{api_keys??: bool <true revokes every API key too>}")
    .answers("200 {revoked_at: time}; 403 beyond_own_permissions"),
    post("roles.create", "/api/v1/roles", Member(Permission::RolesWrite, handler!(api::members::roles::create)))
        .summary("Makes a role; at most 50.")
        .params("Idempotency-Key")
        .body(
            "{name: string(1..40)/^[a-z][a-z0-9_-]*$/, description??: text(..500), \
             permissions: Permission[](1..50) <within the caller's own>}",
        )
        .answers("201 Role +Location; 403 beyond_own_permissions; 409 conflict too_many"),
    get("roles.list", "/api/v1/roles", Member(Permission::RolesRead, handler!(api::members::roles::list)))
        .summary("Lists the built-in roles, then the tenant's own by name.")
        .answers("200 list Role"),
    get("roles.get", "/api/v1/roles/{role}", Member(Permission::RolesRead, handler!(api::members::roles::get)))
        .summary("Shows a role.")
        .answers("200 Role"),
    patch("roles.patch", "/api/v1/roles/{role}", Member(Permission::RolesWrite, handler!(api::members::roles::patch)))
        .summary("Changes a role; other permissions count at once. If it loses some, the streams of its users and their tokens end.")
        .body(
            "{description??: text(..500), permissions??: Permission[](1..50) <within the caller's own>} <what \
             is left out stays>",
        )
        .answers("200 Role; 403 beyond_own_permissions; 409 built_in_role changed_meanwhile"),
    delete(
        "roles.delete",
        "/api/v1/roles/{role}",
        Member(Permission::RolesWrite, handler!(api::members::roles::delete)),
    )
    .summary("Deletes a role that nobody has or is to get.")
    .answers(
        "200 {name: string}; 403 beyond_own_permissions; 409 built_in_role role_in_use \
             changed_meanwhile",
    ),
    get(
        "permissions.list",
        "/api/v1/permissions",
        Member(Permission::RolesRead, handler!(api::members::roles::permissions)),
    )
    .summary("Lists every permission that a role or a key can have.")
    .answers("200 list {name: string, description: string}"),
    post(
        "invitations.create",
        "/api/v1/invitations",
        Member(Permission::InvitationsWrite, handler!(api::members::invitations::create)),
    )
    .summary("Invites an address. The token goes there by mail and is shown nowhere.")
    .params("Idempotency-Key")
    .body(
        "{email: Email, role??: text(1..40) <within the caller's permissions, by default `viewer`>, \
         expires_in_days??: int(1..30) <by default 7>}",
    )
    .answers(
        "201 Invitation +Location; 403 beyond_own_permissions; 409 conflict <the address is invited, \
         or a user's> too_many changed_meanwhile",
    ),
    post("invitations.accept", "/api/v1/invitations/accept", SignIn(handler!(api::members::invitations::accept)))
        .summary("Makes whoever was invited a user, and signs them in.")
        .body(
            "{token: text(1..200), email: Email <the invited one>, password: Password, name??: text(1..200), \
             cookie??: bool <a session cookie in place of tokens>}",
        )
        .answers(
            "201 SignedIn; 404 invitation_not_found <whatever is wrong, also that who sent it can no longer give the \
             role>; 409 conflict user_limit_reached changed_meanwhile",
        ),
    get(
        "invitations.list",
        "/api/v1/invitations",
        Member(Permission::InvitationsRead, handler!(api::members::invitations::list)),
    )
    .summary(
        "Lists invitations, newest first, accepted and expired ones too. One is `closed` whose sender is gone, was \
         disabled since or can no longer give the role; somebody else may send it again, or invite the address anew.",
    )
    .params("limit, cursor")
    .answers("200 list Invitation"),
    get(
        "invitations.get",
        "/api/v1/invitations/{invitation_id}",
        Member(Permission::InvitationsRead, handler!(api::members::invitations::get)),
    )
    .summary("Shows an invitation.")
    .answers("200 Invitation"),
    post(
        "invitations.resend",
        "/api/v1/invitations/{invitation_id}/resend",
        Member(Permission::InvitationsWrite, handler!(api::members::invitations::resend)),
    )
    .summary(
        "Sends another token, once a minute; the one before opens nothing any more. The invitation is the caller's.",
    )
    .optional_body("{expires_in_days??: int(1..30) <by default 7>}")
    .answers("200 Invitation; 403 beyond_own_permissions; 409 invitation_accepted conflict changed_meanwhile"),
    delete(
        "invitations.revoke",
        "/api/v1/invitations/{invitation_id}",
        Member(Permission::InvitationsWrite, handler!(api::members::invitations::revoke)),
    )
    .summary("Takes an invitation back. Who may invite may take back any that is expired or closed.")
    .answers("200 Id; 403 beyond_own_permissions; 409 invitation_accepted changed_meanwhile"),
    get("audit.list", "/api/v1/audit", Member(Permission::AuditRead, handler!(api::members::audit::list)))
        .summary("Lists what was done in the tenant, newest first.")
        .params(
            "actor?: string, operation?: string <how it begins>, subject?: string, since?: time|'', \
             until?: time|'', limit, cursor",
        )
        .answers("200 list AuditEntry"),
];
