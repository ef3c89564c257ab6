//! Signing in to a tenant, on the tenant's own host.

use super::entry::{delete, get, handler, post};
use super::route::Endpoint::{SignIn, User};
use super::route::Route;
use crate::api::members;

pub const ROUTES: &[Route] = &[
    post("auth.register", "/api/v1/auth/register", SignIn(handler!(members::register::register)))
        .summary(
            "Registers a user with the role viewer, where the tenant's `settings.registration` is `open`. \
             Nobody is a user before the address is proven, for 24 hours at most. The client gets a token, in the \
             answer and as the cookie `__Host-carillon_registration`, with which alone its password counts.",
        )
        .body(
            "{email: Email, password: Password, name??: text(1..200), \
             tenant_id??: string <must be the host's>}",
        )
        .answers(
            "202 {message: string, registration: string} <alike for a free address and a taken one: the mail tells \
             which>; \
             403 registration_closed; 409 user_limit_reached; 422 validation_failed <also a password that \
             the tenant's policy refuses>; 429 rate_limited <too many mails to the person, \
             or asked for by the network>",
        ),
    post("auth.verify_email", "/api/v1/auth/verify-email", SignIn(handler!(members::email::verify)))
        .summary(
            "Proves an address with the token of a mail, which is good once and for 24 hours. The password that was \
             registered counts for the client that registered; anybody else sets one.",
        )
        .body(
            "{token: Password, registration??: text(1..200) <what `auth.register` answered; by default the cookie>, \
             password??: Password <in place of the registered one>, name??: text(1..200)}",
        )
        .answers(
            "200 {email: string, email_verified: true}; 400 invalid_mailed_token; 409 user_limit_reached; \
             422 validation_failed <a password is required>; 429 rate_limited",
        ),
    post("auth.resend_verification", "/api/v1/auth/verify-email/resend", User(handler!(members::email::resend)))
        .summary("Mails another token to a user whose address is not proven.")
        .answers("202 {email_verified: bool}; 403 impersonating"),
    post("auth.login", "/api/v1/auth/login", SignIn(handler!(members::login::login)))
        .summary("Signs a user in. Every sign-in is a session of its own, for 30 days.")
        .body(
            "{email: Email, password: Password, cookie??: bool <`true` for a browser: a cookie in place of \
             tokens>, tenant_id??: string <must be the host's>}",
        )
        .answers(
            "200 SignedIn <tokens; or the session alone, with the cookie `__Host-carillon_session`>; \
             401 invalid_credentials <whatever is wrong>; 429 rate_limited <a network failed \
             10 times at an account, or 20 times, within a minute>",
        ),
    post("auth.refresh", "/api/v1/auth/refresh", SignIn(handler!(members::refresh::refresh)))
        .summary(
            "Gives the next tokens of a session. A refresh token is good once; \
             presented again within 10 seconds it gets the newest one of its session, later it ends the session.",
        )
        .body("{refresh_token: Password}")
        .answers("200 Tokens; 401 invalid_refresh_token"),
    post("auth.logout", "/api/v1/auth/logout", User(handler!(members::sessions::logout)))
        .summary("Ends the session that asks.")
        .answers("204 <with an empty cookie>; 403 impersonating"),
    get("auth.me", "/api/v1/auth/me", User(handler!(members::me::show)))
        .summary("Shows who is signed in, and the operator who acts as the user, if one does.")
        .answers(
            "200 {user: {...Person, email_verified: bool}, permissions: string[], session_id: string?, \
             impersonation: {operator: string, until: time, banner: true}?}",
        ),
    get("auth.sessions.list", "/api/v1/auth/sessions", User(handler!(members::sessions::list)))
        .summary("Lists the user's open sessions, newest first.")
        .params("limit, cursor")
        .answers(
            "200 list {id: string, address: string?, user_agent: string?, created_at: time, \
             last_used_at: time?, expires_at: time, current: bool}",
        ),
    delete("auth.sessions.end_others", "/api/v1/auth/sessions", User(handler!(members::sessions::end_others)))
        .summary(
            "Ends all of the user's sessions but the one that asks, \
             and the streams of tokens that the user minted.",
        )
        .answers("200 {ended: int}; 403 impersonating"),
    delete("auth.sessions.end", "/api/v1/auth/sessions/{session_id}", User(handler!(members::sessions::end)))
        .summary("Ends one of the user's sessions.")
        .answers("204; 403 impersonating"),
    post("auth.password.change", "/api/v1/auth/password", User(handler!(members::passwords::change)))
        .summary(
            "Sets another password. Every session, token and stream of the user ends; \
             the caller goes on in a fresh session.",
        )
        .body("{current_password: Password, new_password: Password}")
        .answers("200 SignedIn <by cookie for who came by cookie>; 401 invalid_credentials; 403 impersonating"),
    post("auth.password.forgot", "/api/v1/auth/password/forgot", SignIn(handler!(members::passwords::forgot)))
        .summary("Mails a token for another password, good once and for an hour.")
        .body("{email: Email, tenant_id??: string <must be the host's>}")
        .answers("202 {message: string} <the same whether or not there is such an account>"),
    post("auth.password.reset", "/api/v1/auth/password/reset", SignIn(handler!(members::passwords::reset)))
        .summary(
            "Sets another password with the token of a mail. Every session, \
             token and stream of the user ends; the address is proven.",
        )
        .body("{token: Password, password: Password}")
        .answers("200 {email: string, email_verified: true}; 400 invalid_mailed_token"),
];
