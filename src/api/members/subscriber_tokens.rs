//! `POST /api/v1/subscriber-tokens`: tokens that open private events, for sites that do not sign their own.
//!
//! Nobody hands on more than they hold: whoever mints a token may read all that it opens.

use super::audit_entry;
use crate::api::operators::PlatformAuditEntry;
use crate::auth::principal::{Actor, Member};
use crate::auth::signing_keys;
use crate::credentials::platform_token::{Claims, TokenKind};
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::control_db::ControlDb;
use domain::error::Invalid;
use domain::hearing::HearingRights;
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
    check_may_hear(&request.caller, &bounds.granted)?;
    let terms = request.caller.terms();
    let left = terms.mints_until.map_or(ttl, |until| until.since(terms.proven_at) / 1000);
    let tenant = request.caller.tenant.as_str();
    let claims = Claims {
        sub: request.caller.actor(),
        tenant_id: tenant.to_owned(),
        client_id: tenant.to_owned(),
        topics: topics.clone(),
        iat_ms: terms.proven_at.millis(),
        rests_on: terms.rests_on.clone(),
        ..Claims::default()
    };
    record_platform_key(&request).await?;
    // A token of a key ends with the key, and with those it was made by, at the latest.
    let ttl = ttl.min(left);
    let (token, expires_at) = signing_keys::mint(&request.bindings, TokenKind::Subscriber, claims, ttl).await?;
    let entry = audit_entry(&request, "subscriber_token.mint", None, Some(json!({ "topics": topics })));
    request.caller.rows(&request.bindings)?.write().audit(entry).commit().await?;
    let data = json!({ "token": token, "expires_at": expires_at, "topics": topics });
    Response::json(201, &data, Some(tenant))
}

/// Refuses topics whose private events the caller may not hear; says which, and what permission it takes.
fn check_may_hear(member: &Member, topics: &[Selector]) -> Result<(), Problem> {
    let rights = HearingRights::of(member.permissions());
    let lacking = topics.iter().enumerate().find_map(|(at, topic)| Some((at, rights.missing_for(topic)?)));
    match lacking {
        None => Ok(()),
        Some((at, permission)) => {
            let message = format!("takes the permission {}, which the caller does not have", permission.as_str());
            let invalid = Invalid::new("beyond_own_permissions", message);
            Err(problem::forbidden(permission.as_str()).field(format!("/topics/{at}"), invalid))
        }
    }
}

/// What a platform key mints ends with the key, in every tenant: so the platform's audit says where it minted.
async fn record_platform_key(request: &Request<Member>) -> Result<(), Problem> {
    let Actor::Operator { operator, .. } = request.caller.who() else { return Ok(()) };
    if !operator.starts_with("platform_key") {
        return Ok(());
    }
    let db = ControlDb::open(&request.bindings, "record where a platform key mints a token")?;
    let entry = PlatformAuditEntry {
        at: request.now(),
        actor: operator.clone(),
        operation: "subscriber_token.mint",
        tenant: Some(request.caller.tenant.as_str()),
        request_id: &request.incoming.id,
        detail: json!({}),
    };
    db.batch(vec![entry.statement()]).await?;
    Ok(())
}
