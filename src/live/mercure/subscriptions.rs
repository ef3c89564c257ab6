//! `/.well-known/mercure/subscriptions…`: active subscriptions, for clients with a right to them (Mercure, Subscription API).

use std::cmp::Ordering;

use serde_json::Value;

use super::Hearer;
use crate::auth::mercure::challenge;
use crate::auth::mercure::proof::MercureToken;
use crate::auth::principal::Visitor;
use crate::http::accept::Accept;
use crate::http::etag;
use crate::http::precondition::Validators;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::hub::protocol::{Basis, ListSubscriptions, Subscriptions};
use crate::tenant::tenant_state;
use domain::hearing::HearingRights;
use domain::json;
use domain::matching::matcher::{MatchType, Subject};
use domain::selector::Selector;

/// The media type of responses.
const PLAIN: &str = "application/json";
/// That of responses before 1.0.
const LINKED: &str = "application/ld+json";

/// The parts of a path after `subscriptions`.
#[derive(Debug, PartialEq, Eq)]
struct SubscriptionsPath {
    older: bool,
    selector: Option<Selector>,
    subscriber: Option<String>,
}

/// The subscriptions of all topics or of one topic, or one subscription.
pub async fn show(request: Request<Visitor>) -> Result<Response, Problem> {
    let settings = &request.caller.config.mercure;
    if !settings.subscriptions {
        return Err(problem::not_found());
    }
    let origin = super::origin(&request);
    let hearer = super::hearer(&request).await?;
    let hub_url = super::hub_url(&request)?;
    let may_read = match &hearer {
        Hearer::Nobody => return Err(challenge::unauthorized(&origin)),
        Hearer::Token(token) => token.grants.may_read(&Subject::new(&request.incoming.path, &hub_url)),
        // Subscriptions are told by private events.
        Hearer::Member(member) => HearingRights::of(member.permissions()).events,
    };
    if !may_read {
        return Err(challenge::insufficient_scope(&origin));
    }
    let older = speaks_older(&Accept::of(&request.incoming), hearer.token(), settings.compatibility)?;
    let names = ["first", "second", "third"].map(|name| request.params.get(name));
    let segments = read(names, older, settings.compatibility).ok_or_else(problem::not_found)?;
    let basis = hearer.basis(request.now());
    let Subscriptions { mut documents, last_event_id } = list(&request, &segments, basis).await?;
    if let Hearer::Member(member) = &hearer {
        let rights = HearingRights::of(member.permissions());
        documents.retain(|document| rights.may_know_of(text_of(document)));
    }
    let path = request.incoming.path.as_str();
    let document = match segments.subscriber {
        Some(_) => documents.into_iter().next().ok_or_else(problem::not_found)?,
        None => collection(path, documents, &segments),
    };
    let document = if segments.older { linked(document, &last_event_id) } else { document };
    let media_type = if segments.older { LINKED } else { PLAIN };
    let id = last_event_id.replace('\\', "\\\\").replace('"', "\\\"");
    let link = format!(
        "<{}>; rel=\"mercure\"; last-event-id=\"{id}\"; type=\"mercure\"; content-type=\"{media_type}\"",
        hub_url.as_str()
    );
    let text = document.to_string();
    let tag = etag::of_content(&text);
    let answer = match request.preconditions().is_known(Validators::tag(&tag))? {
        true => Response::empty(304),
        false if segments.older => Response::linked_json(text),
        false => Response::plain_json(200, text),
    };
    Ok(answer
        .header("Link", link)
        .header("ETag", tag)
        .header("Cache-Control", "private, must-revalidate")
        .header("Vary", "Accept, Origin"))
}

/// By what the subscription of a document subscribes.
fn text_of(document: &Value) -> &str {
    document.get("match").or_else(|| document.get("topic")).and_then(Value::as_str).unwrap_or_default()
}

/// Whether the client uses the protocol before 1.0, by its token or by what it accepts. 406 for one that takes neither form.
/// Where only one is spoken, there is nothing to choose from (RFC 9110, 12.5.1).
fn speaks_older(accept: &Accept, token: Option<&MercureToken>, may_be_older: bool) -> Result<bool, Problem> {
    if !may_be_older {
        return Ok(false);
    }
    let granted = token.into_iter().flat_map(|token| &token.grants.subscribe);
    let by_token = granted.into_iter().any(|granted| granted.match_type == MatchType::UriTemplate);
    match form(accept) {
        Some(by_type) => Ok(by_type == LINKED || by_token && accept.takes(LINKED)),
        None => Err(problem::not_acceptable("application/json or application/ld+json")),
    }
}

/// The media type that a client takes most gladly; of two that it takes alike, JSON-LD only if it names it.
fn form(accept: &Accept) -> Option<&'static str> {
    let (plain, linked) = (accept.quality(PLAIN), accept.quality(LINKED));
    match linked.cmp(&plain) {
        Ordering::Less => Some(PLAIN),
        Ordering::Greater => Some(LINKED),
        Ordering::Equal if plain == 0 => None,
        Ordering::Equal if accept.names(LINKED) => Some(LINKED),
        Ordering::Equal => Some(PLAIN),
    }
}

/// Reads the segments after `subscriptions`; none for an unknown path. Paths before 1.0 have no match type.
fn read(segments: [&str; 3], older: bool, may_be_older: bool) -> Option<SubscriptionsPath> {
    let typed = |kind: &str, text: &str| {
        let kind = MatchType::parse(kind).filter(|kind| *kind != MatchType::UriTemplate)?;
        Some(Selector::Typed(kind, text.into()))
    };
    let topic = |text: &str| Some(Selector::Typed(MatchType::UriTemplate, text.into()));
    let subscriber = |text: &str| Some(text.to_owned());
    match segments {
        ["", "", ""] => Some(SubscriptionsPath { older, selector: None, subscriber: None }),
        [first, "", ""] if may_be_older => {
            Some(SubscriptionsPath { older: true, selector: topic(first), subscriber: None })
        }
        [first, second, ""] => match typed(first, second) {
            Some(selector) => Some(SubscriptionsPath { older: false, selector: Some(selector), subscriber: None }),
            None if may_be_older => {
                Some(SubscriptionsPath { older: true, selector: topic(first), subscriber: subscriber(second) })
            }
            None => None,
        },
        [first, second, third] => {
            let selector = Some(typed(first, second)?);
            Some(SubscriptionsPath { older: false, selector, subscriber: subscriber(third) })
        }
    }
}

async fn list(
    request: &Request<Visitor>,
    segments: &SubscriptionsPath,
    basis: Basis,
) -> Result<Subscriptions, Problem> {
    let Visitor { tenant, host, config, .. } = &*request.caller;
    let SubscriptionsPath { older, selector, subscriber } = segments;
    let basis = Some((basis, request.incoming.address()));
    let message =
        ListSubscriptions { older: *older, selector: selector.clone(), subscriber: subscriber.clone(), basis };
    let listed = tenant_state::call_hub_judged_at(
        &request.bindings,
        tenant,
        Some(host),
        config.revision,
        async |hub, caller| hub.call_for(&caller, &message).await,
    );
    Ok(listed.await?)
}

fn collection(path: &str, documents: Vec<Value>, segments: &SubscriptionsPath) -> Value {
    match segments.older {
        true => json!({ "id": path, "type": "Subscriptions", "subscriptions": documents }),
        false => json!({ "id": path, "type": "subscriptions", "subscriptions": documents }),
    }
}

/// A document as before 1.0: JSON-LD, with the last event's id in it.
fn linked(mut document: Value, last_event_id: &str) -> Value {
    if let Value::Object(members) = &mut document {
        members.insert("@context".into(), "https://mercure.rocks/".into());
        members.insert("lastEventID".into(), last_event_id.into());
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_what_the_client_takes_most_gladly() {
        for (header, wanted) in [
            (None, Some(PLAIN)),
            (Some("*/*"), Some(PLAIN)),
            (Some("application/*"), Some(PLAIN)),
            (Some("application/json"), Some(PLAIN)),
            (Some("application/ld+json"), Some(LINKED)),
            (Some("Application/LD+JSON;q=0.5"), Some(LINKED)),
            (Some("application/ld+json, application/json"), Some(LINKED)),
            (Some("application/ld+json, */*"), Some(LINKED)),
            (Some("application/ld+json;q=0.9, application/json"), Some(PLAIN)),
            (Some("application/ld+json;q=0, */*"), Some(PLAIN)),
            (Some("application/ld+json;q=0"), None),
            (Some("application/json;q=0, */*"), Some(LINKED)),
            (Some("text/html, */*;q=0.8"), Some(PLAIN)),
            (Some("text/html"), None),
            (Some("*/*;q=0"), None),
        ] {
            assert_eq!(form(&Accept::parse(header)), wanted, "{header:?}");
        }
    }

    #[test]
    fn a_path_names_a_type_a_matcher_and_a_subscriber_or_only_a_topic() {
        let typed = |kind, text: &str| Some(Selector::Typed(kind, text.into()));
        let segments = |older, selector, subscriber: Option<&str>| {
            Some(SubscriptionsPath { older, selector, subscriber: subscriber.map(str::to_owned) })
        };
        use MatchType::{Exact, UriTemplate, UrlPattern};
        for (path, wanted) in [
            (["", "", ""], segments(false, None, None)),
            (["exact", "a", ""], segments(false, typed(Exact, "a"), None)),
            (["urlpattern", "/:a", "s"], segments(false, typed(UrlPattern, "/:a"), Some("s"))),
            (["a", "", ""], segments(true, typed(UriTemplate, "a"), None)),
            (["a", "s", ""], segments(true, typed(UriTemplate, "a"), Some("s"))),
            (["a", "b", "s"], None),
        ] {
            assert_eq!(read(path, false, true), wanted, "{path:?}");
        }
        for path in [["a", "", ""], ["a", "s", ""], ["uritemplate", "a", ""], ["Exact", "a", ""]] {
            assert_eq!(read(path, false, false), None, "{path:?}");
        }
        assert_eq!(read(["", "", ""], true, true), segments(true, None, None));
    }
}
