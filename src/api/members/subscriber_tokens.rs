//! `POST /api/v1/subscriber-tokens`: tokens that open private events, for sites that do not sign their own.

use super::audit_entry;
use crate::auth::principal::Member;
use crate::auth::signing_keys;
use crate::credentials::platform_token::{Claims, TokenKind};
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use domain::error::Invalid;
use domain::json;
use domain::selector::{Interest, Selector};

/// How long a token lives, in seconds, where the body does not say.
const TTL_SECONDS: i64 = 900;

/// Mints a token. It ends early if whoever minted it loses their rights.
pub async fn mint(mut request: Request<Member>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    fields.require("topics");
    let read = |text: &str| Selector::parse(text).map(|selector| (text.to_owned(), selector));
    let listed = fields.list("topics", Interest::MAX_SELECTORS, read).unwrap_or_default();
    let ttl = fields.number("ttl", 60..=TokenKind::Subscriber.max_seconds()).unwrap_or(TTL_SECONDS);
    fields.finish()?;
    if listed.is_empty() {
        return Err(problem::invalid_field("/topics", Invalid::new("required", "must name at least one topic")));
    }
    let (topics, granted): (Vec<String>, Vec<Selector>) = listed.into_iter().unzip();
    let bounds = Interest { granted, ..Interest::default() };
    bounds.check().map_err(|invalid| problem::invalid_field("/topics", invalid))?;
    let tenant = request.caller.tenant.as_str();
    let claims = Claims {
        sub: request.caller.actor(),
        tenant_id: tenant.to_owned(),
        client_id: tenant.to_owned(),
        topics: topics.clone(),
        ..Claims::default()
    };
    // A token of a key ends with the key at the latest.
    let ttl = request.caller.bounds().seconds_within(ttl, request.now());
    let (token, expires_at) = signing_keys::mint(&request.bindings, TokenKind::Subscriber, claims, ttl).await?;
    let entry = audit_entry(&request, "subscriber_token.mint", None, Some(json!({ "topics": topics })));
    request.caller.rows(&request.bindings)?.write().audit(entry).commit().await?;
    let data = json!({ "token": token, "expires_at": expires_at, "topics": topics });
    Response::json(201, &data, Some(tenant))
}
