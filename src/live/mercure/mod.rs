//! Mercure's protocol on `/.well-known/mercure` of every tenant's host, over the log and the streams of `/events`
//! (draft-dunglas-mercure-08; if the tenant allows it, also the protocol before 1.0).
//!
//! Invariants
//! - An acknowledged update is in the log; a client that reconnects receives it in order, on either wire.
//! - No text of an update can end its field or its block on the wire.
//! - Only the hub publishes in the hub's own namespace.

pub mod discovery;
pub mod publish;
pub mod subscribe;
pub mod subscriptions;

use super::basis;
use crate::auth::mercure::claims::Generation;
use crate::auth::mercure::proof::{HubAccess, MercureToken, SecretVersions, TokenSigner};
use crate::auth::principal::{Member, Visitor};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::hub::protocol::{Basis, Grantor};
use domain::clock::Timestamp;
use domain::matching::topic_url::Base;
use domain::mercure::{Action, HUB_PATH};

/// The requested origin, as the client wrote it.
fn origin(request: &Request<Visitor>) -> String {
    request.incoming.origin_of(request.caller.host.as_str())
}

/// The hub's URL, as the client wrote it.
fn hub_url(request: &Request<Visitor>) -> Result<Base, Problem> {
    Base::parse(&[&origin(request), HUB_PATH].concat()).map_err(problem::internal)
}

/// Who asks to hear.
enum Hearer<'a> {
    /// Somebody without a credential.
    Nobody,
    /// The holder of a token.
    Token(Box<MercureToken>),
    /// Somebody who acts in the tenant.
    Member(&'a Member),
}

impl Hearer<'_> {
    fn is_nobody(&self) -> bool {
        matches!(self, Self::Nobody)
    }

    fn token(&self) -> Option<&MercureToken> {
        match self {
            Self::Token(token) => Some(token),
            Self::Nobody | Self::Member(_) => None,
        }
    }

    /// What a stream of theirs rests on.
    fn basis(&self, now: Timestamp) -> Basis {
        let token = match self {
            Self::Nobody => return Basis::default(),
            Self::Member(member) => return basis::of_member(member),
            Self::Token(token) => token,
        };
        let grantor = match &token.signer {
            TokenSigner::Issuer(issuer) => Grantor::Issuer(issuer.clone()),
            TokenSigner::Secrets(SecretVersions { subscription: Some(version), .. }) => {
                Grantor::SubscriptionSecret(*version)
            }
            TokenSigner::Secrets(SecretVersions { webhook: Some(version), .. }) => Grantor::WebhookSecret(*version),
            TokenSigner::Secrets(_) => Grantor::Nobody,
        };
        let expires_at = token.expires_at.unwrap_or(now.plus_millis(basis::LIFE_MILLIS));
        Basis { grantor, expires_at: Some(expires_at), is_older: token.generation == Generation::Older }
    }
}

/// Who asks to hear: the principal that was proven, else whom a Mercure token names.
async fn hearer(request: &Request<Visitor>) -> Result<Hearer<'_>, Problem> {
    if let Some(member) = &request.caller.member {
        return Ok(Hearer::Member(member));
    }
    let token = hub(request).authenticate(&request.incoming, Action::Subscribe).await?;
    Ok(token.map_or(Hearer::Nobody, |token| Hearer::Token(Box::new(token))))
}

/// The hub that was asked.
fn hub(request: &Request<Visitor>) -> HubAccess<'_> {
    let Visitor { tenant, host, config, .. } = &*request.caller;
    HubAccess { bindings: &request.bindings, tenant, config, host }
}
