//! Problems (RFC 9457): one form for everything that is not a success.
//!
//! A constructor for each situation. None takes a tenant's data, and a request for another tenant's object gets the
//! problem of a missing one, by the same call.

use std::borrow::Cow;

use serde::Serialize;

use domain::clock::Timestamp;
use domain::error::Invalid;
use domain::rate::Rate;

use super::rate_fields::{rate_headers, rate_left};
use crate::storage::sql::StorageError;

/// When to ask again for what a tenant's site did not answer, in seconds.
const SITE_SECONDS: u32 = 5;

/// One thing wrong with a body or a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// JSON pointer into the body (RFC 6901), or `?name` for a query parameter.
    pub pointer: String,
    /// Stable, snake case.
    pub code: &'static str,
    /// What is wrong, or what would be right, as the end of a sentence that begins with the field's name.
    pub message: Cow<'static, str>,
}

impl FieldError {
    /// What is wrong with the value at `pointer`.
    pub fn new(pointer: impl Into<String>, invalid: Invalid) -> Self {
        Self { pointer: pointer.into(), code: invalid.code, message: invalid.message }
    }
}

/// Why a request failed; sent as `application/problem+json`. Boxed, because every handler's result has room for one, and
/// few make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(Box<ProblemDetails>);

/// The contents of a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProblemDetails {
    /// HTTP status.
    pub status: u16,
    /// Stable, in snake case; also the end of the problem's type URI.
    pub code: &'static str,
    /// One constant title for each code.
    pub title: &'static str,
    /// One sentence about this occurrence; never a tenant's data.
    pub detail: Option<Cow<'static, str>>,
    /// The fields that are wrong.
    pub errors: Vec<FieldError>,
    /// Further headers: `Retry-After`, `Allow`, `WWW-Authenticate`.
    pub headers: Vec<(&'static str, String)>,
    /// What really happened; for the log, never sent.
    pub cause: Option<String>,
    /// Whether the request named two tenants, which is logged and audited.
    pub crosses_tenants: bool,
    /// The tenant's revision, if the request was judged by an older one: it is to be judged again.
    pub outdated: Option<i64>,
}

impl std::ops::Deref for Problem {
    type Target = ProblemDetails;

    fn deref(&self) -> &ProblemDetails {
        &self.0
    }
}

impl std::ops::DerefMut for Problem {
    fn deref_mut(&mut self) -> &mut ProblemDetails {
        &mut self.0
    }
}

impl Problem {
    #[inline(never)]
    fn new(status: u16, code: &'static str, title: &'static str) -> Self {
        let (errors, headers) = (Vec::new(), Vec::new());
        Self(Box::new(ProblemDetails {
            status,
            code,
            title,
            detail: None,
            errors,
            headers,
            cause: None,
            crosses_tenants: false,
            outdated: None,
        }))
    }

    /// Adds one sentence about this occurrence.
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a field that is wrong.
    pub fn field(mut self, pointer: impl Into<String>, invalid: Invalid) -> Self {
        self.errors.push(FieldError::new(pointer, invalid));
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// Adds what really happened, for the log.
    pub fn cause(mut self, cause: impl ToString) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Marks the problem of a request that named two tenants. The response does not show it.
    pub fn crossing_tenants(mut self) -> Self {
        self.crosses_tenants = true;
        self
    }

    /// The body: members of RFC 9457 and ours (`success`, `error`, `code`, `request_id`, `errors`).
    pub fn to_json(&self, request_id: &str) -> String {
        #[derive(Serialize)]
        struct ProblemBody<'a> {
            #[serde(rename = "type")]
            kind: String,
            title: &'a str,
            status: u16,
            #[serde(skip_serializing_if = "Option::is_none")]
            detail: Option<&'a str>,
            success: bool,
            error: &'a str,
            code: &'a str,
            request_id: &'a str,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            errors: &'a [FieldError],
        }
        let body = ProblemBody {
            kind: format!("urn:carillon:problem:{}", self.code),
            title: self.title,
            status: self.status,
            detail: self.detail.as_deref(),
            success: false,
            error: self.title,
            code: self.code,
            request_id,
            errors: &self.errors,
        };
        serde_json::to_string(&body).unwrap_or_default()
    }
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Fenced | StorageError::Unavailable(_) => unavailable(error),
            StorageError::Outdated(revision) => outdated(revision),
            StorageError::TooComplex => too_complex(),
            StorageError::TooLarge => records_too_large(),
            StorageError::Constraint(_) | StorageError::Malformed(_) => internal(error),
        }
    }
}

/// 400: the body is not JSON.
pub fn malformed_json(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(400, "malformed_json", "The body is not valid JSON").detail(detail)
}

/// 400: a query parameter that cannot be used; `name` is the parameter.
pub fn invalid_query(name: &str, invalid: Invalid) -> Problem {
    Problem::new(400, "invalid_query", "A query parameter is not valid").field(format!("?{name}"), invalid)
}

/// 400: a field of a form that cannot be used; `name` is the field.
pub fn invalid_form(name: &str, invalid: Invalid) -> Problem {
    Problem::new(400, "invalid_form", "A form field is not valid").field(name, invalid)
}

/// 400: a header that cannot be used.
pub fn invalid_header(name: &str, invalid: Invalid) -> Problem {
    Problem::new(400, "invalid_header", "A header is not valid").field(name, invalid)
}

/// 401: the credential is missing or not good; it never says which.
pub fn unauthorized() -> Problem {
    Problem::new(401, "unauthorized", "A valid credential is required").header("WWW-Authenticate", "Bearer")
}

/// 401: a subscriber's token or ticket is not valid (any more).
pub fn invalid_token() -> Problem {
    Problem::new(401, "invalid_token", "The token or ticket is not valid")
        .header("WWW-Authenticate", "Bearer error=\"invalid_token\"")
}

/// 400: the request carries two tokens, or something that is not a token.
pub fn malformed_credential() -> Problem {
    Problem::new(400, "malformed_credential", "The credential cannot be read")
}

/// 403: the token is valid, and does not allow this.
pub fn insufficient_scope() -> Problem {
    Problem::new(403, "insufficient_scope", "The token does not allow this")
}

/// 400: the callback belongs to no sign-in that this browser began.
pub fn sso_state_invalid() -> Problem {
    Problem::new(400, "sso_state_invalid", "This sign-in was not started in this browser, or has expired")
        .detail("Start the sign-in again.")
}

/// 401: the provider sent the user back without a code, or did not exchange it. Its error text is not repeated.
pub fn sso_refused() -> Problem {
    Problem::new(401, "sso_refused", "The provider did not sign the user in")
}

/// 401: the provider's ID token is not valid; `wrong` is for the log.
pub fn sso_token_invalid(wrong: &'static str) -> Problem {
    Problem::new(401, "sso_token_invalid", "The provider's ID token is not valid").cause(wrong)
}

/// 403: a new user whose address the provider did not verify.
pub fn sso_email_unverified() -> Problem {
    Problem::new(403, "sso_email_unverified", "The provider has not verified this user's e-mail address")
}

/// 403: somebody who may not sign in with this provider.
pub fn sso_not_admitted() -> Problem {
    Problem::new(403, "sso_not_admitted", "This user may not sign in here")
}

/// 502: the provider's configuration or keys cannot be used; `wrong` is for the log.
pub fn provider_unusable(wrong: &'static str) -> Problem {
    Problem::new(502, "provider_unusable", "The provider's configuration or keys cannot be used").cause(wrong)
}

/// 401: the sign-in failed; it never says what is wrong, nor whether the account exists.
pub fn invalid_credentials() -> Problem {
    Problem::new(401, "invalid_credentials", "Invalid credentials")
}

/// 401: the refresh token is unknown or was used, or its session has ended.
pub fn invalid_refresh_token() -> Problem {
    Problem::new(401, "invalid_refresh_token", "The refresh token is not valid")
}

/// 401: a webhook's signature does not verify, whatever the reason.
pub fn invalid_signature() -> Problem {
    Problem::new(401, "invalid_signature", "The webhook's signature is not valid")
}

/// 403: a browser's origin may not use a cookie here.
pub fn origin_not_allowed() -> Problem {
    Problem::new(403, "origin_not_allowed", "This origin is not in the tenant's cors_origins")
}

/// 403: the caller lacks `permission`.
pub fn forbidden(permission: &'static str) -> Problem {
    Problem::new(403, "forbidden", "Permission denied").detail(format!("The permission `{permission}` is required."))
}

/// 403: the operation is about the caller's own account, and the caller is not a user.
pub fn not_a_user() -> Problem {
    Problem::new(403, "not_a_user", "Only a user who is signed in can do this")
}

/// 403: the operation is about the caller's own account, and the caller is a key of the platform's.
pub fn not_signed_in() -> Problem {
    Problem::new(403, "not_signed_in", "Only an operator who is signed in can do this")
        .detail("A platform key is nobody's account: sign in with POST /api/v1/operators/login, and send the session.")
}

/// 403: the tenant's users are invited.
pub fn registration_closed() -> Problem {
    Problem::new(403, "registration_closed", "Registration is closed")
}

/// 403: an impersonator may not do this to the user's account.
pub fn impersonating() -> Problem {
    Problem::new(403, "impersonating", "An impersonator cannot do this; only the user can")
}

/// 403: nobody grants permissions that they do not have.
pub fn beyond_own_permissions(pointer: &str) -> Problem {
    Problem::new(403, "beyond_own_permissions", "You cannot grant or change permissions that you do not have")
        .field(pointer, Invalid::new("beyond_own_permissions", "includes permissions that the caller does not have"))
}

/// 403: the tenant's `ip_allowlist` does not include the caller's address.
pub fn address_not_allowed() -> Problem {
    Problem::new(403, "address_not_allowed", "This IP address is not in the tenant's ip_allowlist")
}

/// 400: the token of a mail is unknown, was used, or has expired.
pub fn invalid_mailed_token() -> Problem {
    Problem::new(400, "invalid_mailed_token", "This link has expired or was used")
        .field("/token", Invalid::new("invalid", "is unknown, was used, or has expired"))
}

/// 400: a platform key on the platform's host must name the tenant.
pub fn no_tenant_selected() -> Problem {
    let invalid = Invalid::new("required", "must be the id of the tenant that the request is for");
    Problem::new(400, "no_tenant_selected", "No tenant is selected").field("X-Tenant-ID", invalid)
}

/// 403: a signed URL that we did not make, or that has expired; it never says which, nor what it is for.
pub fn invalid_link() -> Problem {
    Problem::new(403, "invalid_link", "This link is not valid, or has expired").detail("Request a new link.")
}

/// 404: the tenant does not exist, or the caller may not know that it does.
pub fn tenant_not_found() -> Problem {
    Problem::new(404, "tenant_not_found", "Tenant not found")
}

/// 404: the resource does not exist.
pub fn not_found() -> Problem {
    Problem::new(404, "not_found", "Not found")
}

/// 404: token and address belong to no open invitation; it never says why.
pub fn invitation_not_found() -> Problem {
    Problem::new(404, "invitation_not_found", "The invitation is not valid")
}

/// 405: the path is known, the method is not; `allow` lists those that are.
pub fn method_not_allowed(allow: &str) -> Problem {
    Problem::new(405, "method_not_allowed", "The method is not allowed here").header("Allow", allow)
}

/// 406: `Accept` takes none of the media types that there are; the detail lists them.
pub fn not_acceptable(available: &'static str) -> Problem {
    Problem::new(406, "not_acceptable", "The resource has no representation that Accept takes")
        .detail(format!("This resource is {available}."))
}

/// 409: the name is used, or was and is reserved.
pub fn conflict(pointer: &str, invalid: Invalid) -> Problem {
    Problem::new(409, "conflict", "The value is already taken").field(pointer, invalid)
}

/// 409: a custom domain is not proven; the message says which record to set.
pub fn domain_not_proven(invalid: Invalid) -> Problem {
    Problem::new(409, "domain_not_proven", "The domain is not proven").field("/domain", invalid)
}

/// 409: a tenant must be deleted before it is purged.
pub fn not_deleted() -> Problem {
    Problem::new(409, "not_deleted", "Only a deleted tenant can be purged")
        .detail("DELETE the tenant first; DELETE it again with ?purge=true to remove its data for ever.")
}

/// 409: the webhook id was used before, with another body.
pub fn webhook_id_reused() -> Problem {
    Problem::new(409, "webhook_id_reused", "This webhook id was used with another body")
}

/// 409: a purge names the endpoint of another site.
pub fn wrong_site() -> Problem {
    Problem::new(
        409,
        "wrong_site",
        "This names another GraphQL endpoint than the tenant's wpgraphql_endpoint: it is another site's",
    )
}

/// 409: a revoked key cannot be changed.
pub fn revoked() -> Problem {
    Problem::new(409, "revoked", "This key was revoked")
}

/// 409: a tenant keeps at least one active owner or admin.
pub fn last_owner() -> Problem {
    Problem::new(409, "last_owner", "A tenant must keep at least one active owner or admin")
}

/// 409: the tenant has as many users as its plan allows.
pub fn user_limit_reached() -> Problem {
    Problem::new(409, "user_limit_reached", "The tenant has as many users as its plan allows")
}

/// 409: built-in roles are the same in every tenant.
pub fn built_in_role() -> Problem {
    Problem::new(409, "built_in_role", "A built-in role cannot be changed")
}

/// 409: users have this role, or invitations or identity providers assign it.
pub fn role_in_use() -> Problem {
    Problem::new(409, "role_in_use", "The role is in use")
        .detail("Assign its users another role, revoke the invitations to it, and remove it from identity providers.")
}

/// 409: the invitation was accepted.
pub fn invitation_accepted() -> Problem {
    Problem::new(409, "invitation_accepted", "The invitation was accepted")
}

/// 409: there are as many of `what` as are allowed.
pub fn too_many(what: &'static str, limit: i64) -> Problem {
    Problem::new(409, "too_many", "Limit reached").detail(format!("Limit reached: at most {limit} {what}."))
}

/// 409: another request changed the resource first.
pub fn changed_meanwhile() -> Problem {
    Problem::new(409, "changed_meanwhile", "Another request changed the resource at the same time")
        .detail("Read it again, and retry.")
}

/// The tenant has changed since the request was judged: it has this revision now. The request is judged again; 409 only
/// where that cannot be done, or the tenant goes on changing.
pub fn outdated(revision: i64) -> Problem {
    let mut problem = changed_meanwhile();
    problem.outdated = Some(revision);
    problem
}

/// 409: a condition needs an index that is still being built.
pub fn index_building(name: &str) -> Problem {
    Problem::new(409, "index_building", "The index of this field is still being built")
        .field(format!("?{name}"), Invalid::new("index_building", "names a field whose index is being built"))
        .header("Retry-After", 5)
}

/// 409: another record refers to this one.
pub fn still_referenced() -> Problem {
    Problem::new(409, "still_referenced", "Another record refers to this one")
}

/// 409: the record's status may only change to one of `allowed`.
pub fn transition_not_allowed(allowed: &[&str]) -> Problem {
    let message = match allowed {
        [] => "cannot be changed: the record's current status is final".to_owned(),
        _ => format!("must be one of: {}", allowed.join(", ")),
    };
    Problem::new(409, "transition_not_allowed", "The record's status cannot change to this one")
        .field("/status", Invalid::new("transition_not_allowed", message))
}

/// 409: the collection's records have no files.
pub fn no_files() -> Problem {
    Problem::new(409, "no_files", "Records of this collection have no files")
}

/// 409: the plan's limit of stored bytes.
pub fn storage_limit_reached() -> Problem {
    Problem::new(409, "storage_limit_reached", "The plan's storage is full")
        .detail("Storage limit exceeded for your plan")
}

/// 411: the body has no `Content-Length`.
pub fn length_required() -> Problem {
    Problem::new(411, "length_required", "The request needs a Content-Length").detail("Send the header Content-Length.")
}

/// 412: the resource is not in the state that the request's conditions ask for.
pub fn precondition_failed() -> Problem {
    Problem::new(412, "precondition_failed", "The resource is not in the state that the request's conditions ask for")
}

/// 413: the body is larger than this route accepts.
pub fn body_too_large(limit: usize) -> Problem {
    Problem::new(413, "body_too_large", "The body is too large").detail(format!("At most {limit} bytes."))
}

/// 413: a form field is too long, or there are too many fields.
pub fn form_too_large(name: &str, invalid: Invalid) -> Problem {
    Problem::new(413, "form_too_large", "A part of the form is too large").field(name, invalid)
}

/// 400: a query asks for more than one statement or one response can hold.
pub fn too_complex() -> Problem {
    Problem::new(400, "too_complex", "The query asks for too much at once")
        .detail("Use fewer conditions, sort keys or references.")
}

/// 413: what one request writes is more than the database takes at once.
pub fn records_too_large() -> Problem {
    Problem::new(413, "records_too_large", "The records are too large to be written at once")
        .detail("One request writes up to 2 MB of records. Nothing was changed: write fewer of them at once.")
}

/// 409: another record has a value that must be unique.
pub fn not_unique() -> Problem {
    Problem::new(409, "not_unique", "Another record has this value, which must be unique")
}

/// 409: the plan's limit of records.
pub fn record_limit_reached(what: &str) -> Problem {
    Problem::new(409, "record_limit_reached", "The plan's limit is reached")
        .detail(format!("{what} limit exceeded for your plan"))
}

/// 415: the body has another media type.
pub fn unsupported_media_type(wanted: &'static str) -> Problem {
    Problem::new(415, "unsupported_media_type", "The body's media type is not supported")
        .detail(format!("Send {wanted}."))
}

/// 415: the body has a content coding; none is decoded. The header says so (RFC 9110, 15.5.16).
pub fn unsupported_content_encoding() -> Problem {
    Problem::new(415, "unsupported_content_encoding", "The body's content encoding is not supported")
        .detail("Send the body as it is, without Content-Encoding.")
        .header("Accept-Encoding", "identity")
}

/// 416: the range begins after the end of a file of `size` bytes.
pub fn range_not_satisfiable(size: u64) -> Problem {
    Problem::new(416, "range_not_satisfiable", "The range begins after the end of the file")
        .header("Content-Range", format!("bytes */{size}"))
}

/// 422: the body is JSON, and some of its fields are wrong.
pub fn validation_failed(errors: Vec<FieldError>) -> Problem {
    let mut problem = Problem::new(422, "validation_failed", "The body is not valid");
    problem.errors = errors;
    problem
}

/// 422: one field of the body is wrong.
pub fn invalid_field(pointer: &str, invalid: Invalid) -> Problem {
    validation_failed(vec![FieldError::new(pointer, invalid)])
}

/// 422: the `Idempotency-Key` was used with another body.
pub fn idempotency_key_reused() -> Problem {
    Problem::new(422, "idempotency_key_reused", "This Idempotency-Key was used with another body")
}

/// A bound on what one network, or one address of a person, may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateBound {
    /// Its name in the `RateLimit` header.
    pub policy: &'static str,
    /// What is bounded, as the end of "The limit of …".
    pub of: &'static str,
}

fn too_many_requests(seconds: u64) -> Problem {
    Problem::new(429, "rate_limited", "Too many requests").header("Retry-After", seconds)
}

/// 429: a bound is met; it ends in `seconds`.
pub fn rate_limited(bound: RateBound, seconds: u64) -> Problem {
    let (seconds, RateBound { policy, of }) = (seconds.max(1), bound);
    too_many_requests(seconds)
        .detail(format!("The limit of {of} is reached. It ends in {seconds} seconds."))
        .header("RateLimit", format!("\"{policy}\";r=0;t={seconds}"))
}

/// 429: a limit does not leave what was asked for.
pub fn limit_used_up(rate: &Rate, now: Timestamp) -> Problem {
    let seconds = (rate.reset.seconds() - now.seconds()).max(1);
    let limit = rate.limit.bound().unwrap_or_default();
    let (policy, window, left, end) = (&rate.policy, rate.window, rate.remaining, rate.reset);
    let detail = format!("The limit `{policy}` allows {limit} in {window} seconds; {left} are left until {end}.");
    let mut problem = too_many_requests(seconds.unsigned_abs()).detail(detail);
    problem.headers.extend(rate_headers(rate));
    problem.headers.extend(rate_left(rate, now.seconds()));
    problem
}

/// 429: the tenant has as many open streams as its plan allows.
pub fn too_many_streams(most: u64, retry_after: u64) -> Problem {
    Problem::new(429, "too_many_streams", "The tenant's limit of open streams is reached")
        .detail(format!("The plan allows {} at once. Close one, or try again in {retry_after} seconds.", streams(most)))
        .header("Retry-After", retry_after)
}

fn streams(count: u64) -> String {
    if count == 1 { "1 stream".to_owned() } else { format!("{count} streams") }
}

/// 429: the network has as many open streams as one network may: so many, and so many while most of the tenant's are taken.
pub fn too_many_connections((most, when_busy): (u64, u64), retry_after: u64) -> Problem {
    let busy = match when_busy < most {
        true => format!(", and {when_busy} while more than half of the tenant's are taken"),
        false => String::new(),
    };
    let detail = format!(
        "The plan allows one network {} at once{busy}. Close one, or try again in {retry_after} seconds.",
        streams(most)
    );
    Problem::new(429, "too_many_connections", "The limit of open streams for this network is reached")
        .detail(detail)
        .header("Retry-After", retry_after)
}

/// 429: streams ask with as many patterns and templates as may be, or the network has its share of them; `pointer` is what
/// asks for too much.
pub fn too_many_patterns(pointer: &str, exceeded: Invalid, retry_after: u64) -> Problem {
    let (name, bound) = (pointer.trim_start_matches('?'), &exceeded.message);
    let detail = format!("`{name}` {bound}. Or close a stream, or try again in {retry_after} seconds.");
    Problem::new(429, "too_many_patterns", "The limit of patterns that streams ask with is reached")
        .detail(detail)
        .field(pointer, exceeded)
        .header("Retry-After", retry_after)
}

/// 500: our fault; `cause` goes to the log, not to the caller.
pub fn internal(cause: impl ToString) -> Problem {
    Problem::new(500, "internal", "Something went wrong").cause(cause)
}

/// 404: the tenant has no site to ask.
pub fn no_endpoint() -> Problem {
    Problem::new(404, "no_endpoint", "This tenant has no GraphQL endpoint")
        .detail("Set the tenant's wpgraphql_endpoint to the address of its site's GraphQL endpoint.")
}

/// 502: the tenant's site answered with something that is not GraphQL.
pub fn site_not_graphql(detail: String) -> Problem {
    Problem::new(502, "site_not_graphql", "The tenant's site did not answer with GraphQL").detail(detail)
}

/// 503: the tenant's site cannot be asked, or fails.
pub fn site_unavailable(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(503, "site_unavailable", "The tenant's site does not answer")
        .detail(detail)
        .header("Retry-After", SITE_SECONDS)
}

/// 504: the tenant's site takes too long.
pub fn site_timed_out() -> Problem {
    Problem::new(504, "site_timed_out", "The tenant's site takes too long to answer")
        .header("Retry-After", SITE_SECONDS)
}

/// 503: a part of the platform does not answer; the client should retry.
pub fn unavailable(cause: impl ToString) -> Problem {
    Problem::new(503, "unavailable", "Temporarily unavailable").header("Retry-After", 1).cause(cause)
}
