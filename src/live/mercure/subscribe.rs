//! `GET /.well-known/mercure`: a stream of updates on Mercure's wire.

use super::Hearer;
use crate::auth::mercure::challenge;
use crate::auth::mercure::grants::Granted;
use crate::auth::mercure::proof::MercureToken;
use crate::auth::principal::Visitor;
use crate::auth::work_budget;
use crate::http::incoming::{Incoming, Query};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::hub::protocol::{Attach, Presence, WireFormat};
use crate::live::bridge;
use crate::live::events::check_accept;
use crate::storage::sealed::random;
use crate::tenant::tenant_state;
use domain::error::Invalid;
use domain::log_position::ReadPosition;
use domain::matching::matcher::{MatchType, Matcher, Subject};
use domain::matching::steps::Steps;
use domain::matching::topic_url::Base;
use domain::selector::{Interest, Selector};

/// The longest event id that is looked up; no update has a longer one.
const MAX_ID: usize = 1_024;
/// Steps to compile patterns that are a unit of a network's work: the most that a stream may take are a hundred.
const STEPS: usize = 1_310;

/// Opens a stream. Its HEAD checks the request and opens none.
pub async fn stream(request: Request<Visitor>) -> Result<Response, Problem> {
    check_accept(&request.incoming)?;
    let origin = super::origin(&request);
    let hearer = super::hearer(&request).await?;
    if hearer.is_nobody() && !request.caller.config.mercure.anonymous {
        return Err(challenge::unauthorized(&origin));
    }
    if !hearer.is_nobody() {
        request.proof.succeeded();
    }
    let attach = read(&request, &hearer, &origin)?;
    if request.is_head() {
        return Ok(Response::events(None));
    }
    let Visitor { tenant, host, config, .. } = &*request.caller;
    let opened = tenant_state::call_hub_judged_at(
        &request.bindings,
        tenant,
        Some(host),
        config.revision,
        async |hub, caller| bridge::open(hub, &caller, &attach).await,
    );
    let attached = opened.await.map_err(|error| error.of_stream(&config.limits))?;
    let last_event_id = attached.last_event_id();
    let keep_alive = request.bindings.settings.keep_alive_seconds;
    let stream = attached.pump(keep_alive, false, &request.incoming.signal()).map_err(problem::internal)?;
    let mut answer = Response::events(Some(stream));
    if let Some(last_event_id) = last_event_id {
        if config.mercure.compatibility {
            answer = answer.header("Last-Event-ID", &last_event_id);
        }
        answer = answer.header("Mercure-Last-Event-ID", last_event_id);
    }
    Ok(answer)
}

fn read(request: &Request<Visitor>, hearer: &Hearer<'_>, origin: &str) -> Result<Attach, Problem> {
    let older = request.caller.config.mercure.compatibility;
    let hub = super::hub_url(request)?;
    let token = hearer.token();
    let selected = match hearer {
        Hearer::Nobody => selectors_of_a_stranger(&request.incoming, &hub, older)?,
        Hearer::Token(_) | Hearer::Member(_) => selectors(&request.incoming.query, &hub, older, &mut Steps::default())?,
    };
    let granted = token.map(|token| token.grants.subscribe.iter().map(granted).collect()).unwrap_or_default();
    let rights = Interest { granted, ..Interest::default() };
    rights.check().map_err(|_| challenge::invalid_token(origin, "too many topics"))?;
    let interest = Interest { selected, hub: Some(hub.as_str().into()), ..rights };
    interest.check().map_err(|invalid| problem::invalid_query("match", invalid))?;
    let presence = match request.caller.config.mercure.subscriptions && !request.is_head() {
        true => Some(presence(&interest.selected, token, &hub)?),
        false => None,
    };
    let cursor = last_event_id(&request.incoming, older);
    // An id that a publisher chose may look like anything; one of the hub's own begins with a hash.
    let (cursor, seen) = match cursor.as_deref().map(ReadPosition::split) {
        Some((log, seen)) if log.starts_with('#') => (Some(log.to_owned()), seen),
        _ => (cursor, None),
    };
    let asks_older = |selector: &Selector| matches!(selector, Selector::Typed(MatchType::UriTemplate, _));
    let mut basis = hearer.basis(request.now());
    basis.is_older |= interest.selected.iter().any(asks_older);
    Ok(Attach {
        interest,
        basis,
        ticket: None,
        address: request.incoming.address(),
        wire: WireFormat::Mercure,
        cursor,
        seen,
        reattach: false,
        presence,
        may_be_direct: true,
        heartbeats: false,
    })
}

/// What the subscription API tells of this stream: a unique subscriber id, and the token's payload for each subscription.
fn presence(selected: &[Selector], token: Option<&MercureToken>, hub: &Base) -> Result<Presence, Problem> {
    let text = |selector: &Selector| match selector {
        Selector::Typed(_, text) | Selector::Exact(text) | Selector::Prefix(text) => text.clone(),
    };
    let mut payloads = Vec::new();
    let mut payload_of = Vec::with_capacity(selected.len());
    for selector in selected {
        let text = text(selector);
        let payload = token.and_then(|token| token.grants.payload(&Subject::new(&text, hub)));
        payload_of.push(payload.map(|payload| {
            payloads.iter().position(|known| known == payload).unwrap_or_else(|| {
                payloads.push(payload.clone());
                payloads.len() - 1
            })
        }));
    }
    Ok(Presence { subscriber: uuid()?, payloads, payload_of })
}

/// A random URN (RFC 9562, version 4).
fn uuid() -> Result<String, Problem> {
    let mut bytes = random::<16>().map_err(problem::internal)?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = domain::hex::hex(&bytes);
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    Ok(format!("urn:uuid:{}-{}-{}-{}-{}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)))
}

/// The matchers that somebody without a credential asks for. To compile them is paid for by their network.
fn selectors_of_a_stranger(incoming: &Incoming, hub: &Base, older: bool) -> Result<Vec<Selector>, Problem> {
    let is_compiled = |(name, _): (&str, &str)| matches!(name, "match_urlpattern" | "topic");
    let admitted = match incoming.query.pairs().any(is_compiled) {
        true => work_budget::admit(incoming.network())?,
        false => None,
    };
    let mut steps = Steps::default();
    let selected = selectors(&incoming.query, hub, older, &mut steps);
    if let Some(admitted) = admitted {
        let refused = selected.as_ref().err().map_or(0, steps_refused);
        admitted.settle(units(steps.taken().max(refused)));
    }
    selected
}

/// What a refusal counts as: to see that it is too much takes as many steps as there may be.
fn steps_refused(problem: &Problem) -> usize {
    if problem.errors.iter().any(|error| error.code == Steps::EXCEEDED) { Steps::MAX } else { 0 }
}

fn units(steps: usize) -> u32 {
    u32::try_from(steps / STEPS).unwrap_or(u32::MAX)
}

/// The matchers in the query: `match`, `match_exact`, `match_urlpattern`, and `topic` of clients before 1.0.
fn selectors(query: &Query, hub: &Base, older: bool, steps: &mut Steps) -> Result<Vec<Selector>, Problem> {
    let mut selected: Vec<Selector> = Vec::new();
    for (name, value) in query.pairs() {
        let kind = match name {
            "match" | "match_exact" => MatchType::Exact,
            "match_urlpattern" => MatchType::UrlPattern,
            "topic" if older => MatchType::UriTemplate,
            "topic" => {
                let message = "belongs to Mercure before 1.0, which this tenant has switched off: use match, match_exact or match_urlpattern";
                return Err(problem::invalid_query("topic", Invalid::new("not_supported", message)));
            }
            other if other.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("match")) => {
                let message = "is not a matcher: use match, match_exact or match_urlpattern";
                return Err(problem::invalid_query(other, Invalid::new("unknown_matcher", message)));
            }
            _ => continue,
        };
        let selector = Selector::Typed(kind, value.into());
        if selected.contains(&selector) {
            continue;
        }
        let taken = Matcher::parse(kind, value, hub).and_then(|matcher| steps.take(matcher.steps()));
        taken.map_err(|invalid| problem::invalid_query(name, invalid))?;
        selected.push(selector);
        if selected.len() > Interest::MAX_SELECTORS {
            let invalid = Invalid::new("too_many_topics", "must list at most 100 matchers");
            return Err(problem::invalid_query(name, invalid));
        }
    }
    if selected.is_empty() {
        let invalid = Invalid::new("required", "must name at least one topic: match=…, match_urlpattern=… or match=*");
        return Err(problem::invalid_query("match", invalid));
    }
    Ok(selected)
}

fn granted(granted: &Granted) -> Selector {
    Selector::Typed(granted.match_type, granted.text.as_str().into())
}

/// The last event id that the client has, from the header or else the query. An empty one asks for the current id.
fn last_event_id(request: &Incoming, older: bool) -> Option<String> {
    let names: &[&str] = if older { &["last_event_id", "lastEventID", "Last-Event-ID"] } else { &["last_event_id"] };
    let in_query = || names.iter().find_map(|name| request.query.get(name)).map(str::to_owned);
    let id = request.header_as_sent("Last-Event-ID").map(|id| as_utf8(&id)).or_else(in_query)?;
    Some(if id.len() > MAX_ID { "#unknown".to_owned() } else { id })
}

/// A header's value as UTF-8, also if the runtime decoded it as Latin-1.
fn as_utf8(value: &str) -> String {
    let bytes: Option<Vec<u8>> = value.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_or_compiled(query: &str, older: bool) -> (Result<Vec<Selector>, Problem>, Steps) {
        let hub = Base::parse("https://acme.test/.well-known/mercure").unwrap();
        let mut steps = Steps::default();
        (selectors(&Query::parse(query), &hub, older, &mut steps), steps)
    }

    fn read(query: &str, older: bool) -> Result<Vec<Selector>, (String, &'static str)> {
        refused_or_compiled(query, older).0.map_err(|problem| {
            assert_eq!(problem.status, 400);
            (problem.errors[0].pointer.clone(), problem.errors[0].code)
        })
    }

    #[test]
    fn patterns_are_worth_the_steps_that_they_take() {
        let price = |query: &str| {
            let (selected, steps) = refused_or_compiled(query, true);
            units(steps.taken().max(selected.as_ref().err().map_or(0, steps_refused)))
        };
        assert_eq!(
            ["match=a", "match_urlpattern=/books/:id", "topic=/books/{id}", "match_urlpattern=("].map(price),
            [0; 4]
        );
        assert_eq!(price("match_urlpattern=/((?:(?:a{9}){99}){99})"), 100, "refused, and as dear as can be");
        let dear = price("match_urlpattern=/((?:[a-z]{9}){40})");
        assert!((5..20).contains(&dear), "{dear}");
    }

    #[test]
    fn each_parameter_is_a_matcher_of_its_type() {
        let typed = |kind, text: &str| Selector::Typed(kind, text.into());
        let found =
            read("match=a&match_exact=%2Fb&match_urlpattern=%2Fc%2F%3Aid&topic=%2Fd%2F{id}&match=a&other=1", true);
        let wanted = [
            typed(MatchType::Exact, "a"),
            typed(MatchType::Exact, "/b"),
            typed(MatchType::UrlPattern, "/c/:id"),
            typed(MatchType::UriTemplate, "/d/{id}"),
        ];
        assert_eq!(found.unwrap(), wanted);
    }

    #[test]
    fn what_is_no_matcher_is_refused() {
        for (query, name, code) in [
            ("", "?match", "required"),
            ("Match=a", "?Match", "unknown_matcher"),
            ("match_Exact=a", "?match_Exact", "unknown_matcher"),
            ("matches=a", "?matches", "unknown_matcher"),
            ("match_regexp=a", "?match_regexp", "unknown_matcher"),
            ("match=a%0A", "?match", "control_character"),
            ("match_urlpattern=(", "?match_urlpattern", "invalid_url_pattern"),
            ("topic=a", "?topic", "not_supported"),
        ] {
            assert_eq!(read(query, false).unwrap_err(), (name.to_owned(), code), "{query}");
        }
        for vast in ["(?:a{100}){100}", "(?:(?:(?:a{9}){9}){9}){9}", "a{129}", "(?:a?){5000}"] {
            assert_eq!(read(&format!("match_urlpattern=/({vast})"), true).unwrap_err().1, "too_complex", "{vast}");
        }
        let each: String = (0..90).map(|n| format!("match_urlpattern=/{n}-((?:[a-z]{{9}}){{9}})&")).collect();
        assert_eq!(read(&each, true).unwrap_err(), ("?match_urlpattern".to_owned(), "too_complex"), "all together");
        let template = format!("topic={}", "{a:128}".repeat(9));
        assert_eq!(read(&template, true).unwrap_err(), ("?topic".to_owned(), "too_complex"));
        let many: String = (0..101).map(|n| format!("match={n}&")).collect();
        assert_eq!(read(&many, true).unwrap_err().1, "too_many_topics");
        assert_eq!(read(&"match=a&".repeat(200), true).unwrap().len(), 1, "the same one again is no further one");
    }

    #[test]
    fn an_id_in_a_header_is_utf8() {
        let bytes: String = "urn:\u{e9}\u{20ac}".bytes().map(char::from).collect();
        assert_eq!(as_utf8(&bytes), "urn:\u{e9}\u{20ac}");
        assert_eq!(as_utf8("urn:\u{e9}\u{20ac}"), "urn:\u{e9}\u{20ac}");
        assert_eq!(as_utf8("plain"), "plain");
        assert_eq!(as_utf8("\u{e9}"), "\u{e9}", "which is not UTF-8");
    }
}
