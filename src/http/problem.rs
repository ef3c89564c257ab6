//! Problems (RFC 9457): one form for everything that is not a success.
//!
//! Constructors name the situation; none takes tenant data, and a foreign object's problem is
//! built by the same call as a missing one's.

use std::borrow::Cow;

use serde::Serialize;

use domain::error::Invalid;

use crate::storage::sql::StorageError;

/// One thing wrong with a body or a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// JSON pointer into the body (RFC 6901), or `?name` for a query parameter.
    pub pointer: String,
    /// Stable, snake case.
    pub code: &'static str,
    /// One sentence.
    pub message: Cow<'static, str>,
}

impl FieldError {
    /// What is wrong with the value at `pointer`.
    pub fn new(pointer: impl Into<String>, invalid: Invalid) -> Self {
        Self { pointer: pointer.into(), code: invalid.code, message: invalid.message }
    }
}

/// Why a request was not done. Becomes `application/problem+json`. Boxed: every handler's result carries
/// room for one, and most never make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(Box<Details>);

/// What a problem says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// HTTP status.
    pub status: u16,
    /// Stable, snake case; also the end of the problem's type URI.
    pub code: &'static str,
    /// Constant for the code.
    pub title: &'static str,
    /// What is particular about this occurrence; never tenant data.
    pub detail: Option<Cow<'static, str>>,
    /// The fields that are wrong.
    pub errors: Vec<FieldError>,
    /// Further headers: `Retry-After`, `Allow`, `WWW-Authenticate`.
    pub headers: Vec<(&'static str, String)>,
    /// For the log only, never sent: what really happened.
    pub cause: Option<String>,
    /// Whether the request named a tenant together with another one: to be logged and audited.
    pub crosses_tenants: bool,
}

impl std::ops::Deref for Problem {
    type Target = Details;

    fn deref(&self) -> &Details {
        &self.0
    }
}

impl std::ops::DerefMut for Problem {
    fn deref_mut(&mut self) -> &mut Details {
        &mut self.0
    }
}

impl Problem {
    #[inline(never)]
    fn new(status: u16, code: &'static str, title: &'static str) -> Self {
        let (errors, headers) = (Vec::new(), Vec::new());
        Self(Box::new(Details {
            status,
            code,
            title,
            detail: None,
            errors,
            headers,
            cause: None,
            crosses_tenants: false,
        }))
    }

    /// The same problem with a sentence on this occurrence.
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same problem with a field that is wrong.
    pub fn field(mut self, pointer: impl Into<String>, invalid: Invalid) -> Self {
        self.errors.push(FieldError::new(pointer, invalid));
        self
    }

    /// The same problem with a header.
    pub fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// The same problem with what the log should know.
    pub fn cause(mut self, cause: impl ToString) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// The same problem, of a request that named two tenants. It looks the same from outside.
    pub fn crossing_tenants(mut self) -> Self {
        self.crosses_tenants = true;
        self
    }

    /// The body: members of RFC 9457 and ours (`success`, `error`, `code`, `request_id`, `errors`).
    pub fn to_json(&self, request_id: &str) -> String {
        #[derive(Serialize)]
        struct Body<'a> {
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
        let body = Body {
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
            StorageError::TooComplex => too_complex(),
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

/// 401: a credential is missing or is none of ours; it never says which.
pub fn unauthorized() -> Problem {
    Problem::new(401, "unauthorized", "A valid credential is required").header("WWW-Authenticate", "Bearer")
}

/// 401: a subscriber's token or ticket is not valid (any more).
pub fn invalid_token() -> Problem {
    Problem::new(401, "invalid_token", "The token or ticket is not valid")
        .header("WWW-Authenticate", "Bearer error=\"invalid_token\"")
}

/// 400: what carries a token, carries none by its letters, or two.
pub fn malformed_credential() -> Problem {
    Problem::new(400, "malformed_credential", "The credential cannot be read")
}

/// 403: the token is valid, and does not allow this.
pub fn insufficient_scope() -> Problem {
    Problem::new(403, "insufficient_scope", "The token does not allow this")
}

/// 400: no sign-in that began in this browser comes back so.
pub fn sso_state_invalid() -> Problem {
    Problem::new(400, "sso_state_invalid", "This sign-in did not begin in this browser, or is over")
        .detail("Begin it again.")
}

/// 401: the provider sent the user back without a sign-in. Its words are not repeated.
pub fn sso_refused() -> Problem {
    Problem::new(401, "sso_refused", "The provider did not sign the user in")
}

/// 401: the provider's ID token cannot be believed; `wrong` is for the log.
pub fn sso_token_invalid(wrong: &'static str) -> Problem {
    Problem::new(401, "sso_token_invalid", "The provider's ID token is not valid").cause(wrong)
}

/// 403: somebody new, whose address the provider did not verify.
pub fn sso_email_unverified() -> Problem {
    Problem::new(403, "sso_email_unverified", "The provider has not verified this user's e-mail address")
}

/// 403: somebody whom the tenant does not let in by this way.
pub fn sso_not_admitted() -> Problem {
    Problem::new(403, "sso_not_admitted", "This user may not sign in here")
}

/// 502: what the provider tells of itself cannot be used; `wrong` is for the log.
pub fn provider_unusable(wrong: &'static str) -> Problem {
    Problem::new(502, "provider_unusable", "What the provider tells of itself cannot be used").cause(wrong)
}

/// 401: nobody signs in with these; it never says what is wrong with them, nor whether the account is there.
pub fn invalid_credentials() -> Problem {
    Problem::new(401, "invalid_credentials", "Invalid credentials")
}

/// 401: the refresh token is none of ours, was used, or its session is over.
pub fn invalid_refresh_token() -> Problem {
    Problem::new(401, "invalid_refresh_token", "The refresh token is not valid")
}

/// 401: a webhook's signature does not verify, whatever the reason.
pub fn invalid_signature() -> Problem {
    Problem::new(401, "invalid_signature", "The webhook's signature is not valid")
}

/// 403: a browser's origin may not use a cookie here.
pub fn origin_not_allowed() -> Problem {
    Problem::new(403, "origin_not_allowed", "This origin is not on the tenant's list")
}

/// 403: a principal that is known may not do this; `permission` is what it lacks.
pub fn forbidden(permission: &'static str) -> Problem {
    Problem::new(403, "forbidden", "This takes another permission").detail(format!("It takes {permission}."))
}

/// 403: the operation is a person's; a key has no account.
pub fn not_a_user() -> Problem {
    Problem::new(403, "not_a_user", "Only a user who is signed in can do this")
}

/// 403: the tenant invites its users.
pub fn registration_closed() -> Problem {
    Problem::new(403, "registration_closed", "Registration is closed")
}

/// 403: what an operator who acts as a user may not do to the user's account.
pub fn impersonating() -> Problem {
    Problem::new(403, "impersonating", "Only the user themselves can do this")
}

/// 403: nobody gives what they do not have.
pub fn beyond_own_permissions(pointer: &str) -> Problem {
    Problem::new(403, "beyond_own_permissions", "Only permissions of one's own can be given")
        .field(pointer, Invalid::new("beyond_own_permissions", "is more than the caller may do"))
}

/// 403: the tenant lets in certain addresses only.
pub fn address_not_allowed() -> Problem {
    Problem::new(403, "address_not_allowed", "This address is not on the tenant's list")
}

/// 400: the token of a mail is unknown, was used, or is too old.
pub fn invalid_mailed_token() -> Problem {
    Problem::new(400, "invalid_mailed_token", "The link is not valid any more")
        .field("/token", Invalid::new("invalid", "is unknown, used or expired"))
}

/// 400: a platform key on the platform's host must say which tenant it means.
pub fn no_tenant_selected() -> Problem {
    let invalid = Invalid::new("required", "must name the tenant this is about");
    Problem::new(400, "no_tenant_selected", "No tenant is selected").field("X-Tenant-ID", invalid)
}

/// 403: a signed URL that we did not give out, or that is over; it never says which, nor what is behind it.
pub fn invalid_link() -> Problem {
    Problem::new(403, "invalid_link", "The link is not valid (any more)").detail("Ask for another one.")
}

/// 404: no tenant, or none that this caller may know of.
pub fn tenant_not_found() -> Problem {
    Problem::new(404, "tenant_not_found", "Tenant not found")
}

/// 404: no such thing here.
pub fn not_found() -> Problem {
    Problem::new(404, "not_found", "Not found")
}

/// 404: no invitation that this token and this address open (any more); it never says why.
pub fn invitation_not_found() -> Problem {
    Problem::new(404, "invitation_not_found", "The invitation is not valid")
}

/// 405: the path is known, the method is not; `allow` lists those that are.
pub fn method_not_allowed(allow: &str) -> Problem {
    Problem::new(405, "method_not_allowed", "The method is not allowed here").header("Allow", allow)
}

/// 406: the stream was asked for in a form it does not have.
pub fn not_acceptable() -> Problem {
    Problem::new(406, "not_acceptable", "This resource is an event stream (text/event-stream)")
}

/// 409: something of that name is there, or was.
pub fn conflict(pointer: &str, invalid: Invalid) -> Problem {
    Problem::new(409, "conflict", "The name is taken").field(pointer, invalid)
}

/// 409: a tenant is purged in two steps.
pub fn not_deleted() -> Problem {
    Problem::new(409, "not_deleted", "Only a deleted tenant can be purged")
        .detail("DELETE the tenant first; DELETE it again with ?purge=true to remove its data for ever.")
}

/// 409: the webhook id came before with another body.
pub fn webhook_id_reused() -> Problem {
    Problem::new(409, "webhook_id_reused", "The webhook id was used for another body")
}

/// 409: what was revoked stays so.
pub fn revoked() -> Problem {
    Problem::new(409, "revoked", "It was revoked")
}

/// 409: a tenant keeps somebody who may do everything in it.
pub fn last_owner() -> Problem {
    Problem::new(409, "last_owner", "The tenant's last active owner or admin stays one")
}

/// 409: the tenant's plan has no room for another user.
pub fn user_limit_reached() -> Problem {
    Problem::new(409, "user_limit_reached", "The tenant has as many users as its plan allows")
}

/// 409: every tenant has these roles, and they are the same everywhere.
pub fn built_in_role() -> Problem {
    Problem::new(409, "built_in_role", "A built-in role cannot be changed")
}

/// 409: users, invitations or single sign-on still give this role.
pub fn role_in_use() -> Problem {
    Problem::new(409, "role_in_use", "The role is in use")
        .detail("Give its users another role, and revoke the invitations that name it.")
}

/// 409: the invitation was accepted.
pub fn invitation_accepted() -> Problem {
    Problem::new(409, "invitation_accepted", "The invitation was accepted")
}

/// 409: there are as many of these as there may be.
pub fn too_many(what: &'static str, limit: i64) -> Problem {
    Problem::new(409, "too_many", "There are as many as there may be").detail(format!("At most {limit} {what}."))
}

/// 409: two changes at the same moment; the other one was first.
pub fn changed_meanwhile() -> Problem {
    Problem::new(409, "changed_meanwhile", "The object changed at the same moment").detail("Read it and try again.")
}

/// 409: what is asked of is still being built.
pub fn index_building(name: &str) -> Problem {
    Problem::new(409, "index_building", "The index of this field is still being built")
        .field(format!("?{name}"), Invalid::new("index_building", "names a field whose index is being built"))
        .header("Retry-After", 5)
}

/// 409: another record still names this one.
pub fn still_referenced() -> Problem {
    Problem::new(409, "still_referenced", "Another record refers to this one")
}

/// 409: the status cannot follow the one that the record has.
pub fn transition_not_allowed(allowed: &[&str]) -> Problem {
    let message = match allowed {
        [] => "is the end: no status follows the present one".to_owned(),
        _ => format!("must be one of: {}", allowed.join(", ")),
    };
    Problem::new(409, "transition_not_allowed", "The record's status does not allow this")
        .field("/status", Invalid::new("transition_not_allowed", message))
}

/// 409: the collection's records hold no files.
pub fn no_files() -> Problem {
    Problem::new(409, "no_files", "Records of this collection hold no files")
}

/// 409: a plan's bound of bytes.
pub fn storage_limit_reached() -> Problem {
    Problem::new(409, "storage_limit_reached", "The plan's storage is full")
        .detail("Storage limit exceeded for your plan")
}

/// 411: a body that comes without its length.
pub fn length_required() -> Problem {
    Problem::new(411, "length_required", "The body's length must be announced").detail("Send Content-Length.")
}

/// 412: the object changed since.
pub fn precondition_failed() -> Problem {
    Problem::new(412, "precondition_failed", "The object has another version than If-Match names")
}

/// 413: the body is larger than this route takes.
pub fn body_too_large(limit: usize) -> Problem {
    Problem::new(413, "body_too_large", "The body is too large").detail(format!("At most {limit} bytes."))
}

/// 413: a field of a form, or the number of them, is larger than this route takes.
pub fn form_too_large(name: &str, invalid: Invalid) -> Problem {
    Problem::new(413, "form_too_large", "A part of the form is too large").field(name, invalid)
}

/// 400: a query asks for more than one statement or one answer can hold.
pub fn too_complex() -> Problem {
    Problem::new(400, "too_complex", "The query asks for too much at once")
        .detail("Ask for fewer conditions, sort keys or references.")
}

/// 409: a value that must be one record's only is another's.
pub fn not_unique() -> Problem {
    Problem::new(409, "not_unique", "A value that must be unique is another record's")
}

/// 409: a plan's bound of records.
pub fn record_limit_reached(what: &str) -> Problem {
    Problem::new(409, "record_limit_reached", "The plan's limit is reached")
        .detail(format!("{what} limit exceeded for your plan"))
}

/// 415: the body's type is another one.
pub fn unsupported_media_type(wanted: &'static str) -> Problem {
    Problem::new(415, "unsupported_media_type", "The body's media type is not supported")
        .detail(format!("Send {wanted}."))
}

/// 416: the range lies behind the end of what has so many bytes.
pub fn range_not_satisfiable(size: u64) -> Problem {
    Problem::new(416, "range_not_satisfiable", "The range lies behind the end")
        .header("Content-Range", format!("bytes */{size}"))
}

/// 422: the JSON is fine, its content is not.
pub fn validation_failed(errors: Vec<FieldError>) -> Problem {
    let mut problem = Problem::new(422, "validation_failed", "The body is not valid");
    problem.errors = errors;
    problem
}

/// 422: one field of the body is wrong.
pub fn invalid_field(pointer: &str, invalid: Invalid) -> Problem {
    validation_failed(vec![FieldError::new(pointer, invalid)])
}

/// 422: the key was used with another body.
pub fn idempotency_key_reused() -> Problem {
    Problem::new(422, "idempotency_key_reused", "The Idempotency-Key was used for another request")
}

/// 429: over a rate; `seconds` until the window ends.
pub fn rate_limited(seconds: u64) -> Problem {
    Problem::new(429, "rate_limited", "Too many requests").header("Retry-After", seconds.max(1))
}

/// 429: the tenant's streams are all taken.
pub fn too_many_streams(retry_after: u64) -> Problem {
    Problem::new(429, "too_many_streams", "The tenant's streams are all taken").header("Retry-After", retry_after)
}

/// 429: this address holds as many streams as one may.
pub fn too_many_connections(retry_after: u64) -> Problem {
    Problem::new(429, "too_many_connections", "This address holds as many streams as one may")
        .header("Retry-After", retry_after)
}

/// 500: our fault; the cause goes to the log, not to the caller.
pub fn internal(cause: impl ToString) -> Problem {
    Problem::new(500, "internal", "Something went wrong").cause(cause)
}

/// 503: a part of the platform does not answer; trying again is right.
pub fn unavailable(cause: impl ToString) -> Problem {
    Problem::new(503, "unavailable", "Temporarily unavailable").header("Retry-After", 1).cause(cause)
}
