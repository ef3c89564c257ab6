//! `GET /events`: a stream whose filter is read as a list reads it.
//!
//! A stream is of topics. Which fields a filter may name, and what their values are, say the collections that the topics
//! lead to.
//!
//! Invariants
//! - A stream takes the filters that the lists of its collections take, with the same literals. Without a filter, nothing
//!   is read.
//! - A collection that is not public looks like a missing one to whoever may hear nothing private of it.

use std::collections::BTreeSet;

use super::read_price;
use crate::auth::principal::Visitor;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::hub::protocol::{Attach, TicketRights};
use crate::live::{events, ticket};
use crate::records::collection::Collection;
use crate::records::record_query;
use domain::error::Invalid;
use domain::filter::Filter;
use domain::hearing::HearingRights;
use domain::selector::Selector;

/// `GET /events?topic=…`. Its HEAD checks the request and opens no stream.
pub async fn stream(request: Request<Visitor>) -> Result<Response, Problem> {
    let mut attach = events::read(&request)?;
    if let Some(filter) = record_query::read_filter(&request.incoming.query)? {
        attach.interest.filter = Some(canonical(&request, &attach, &filter).await?);
        attach.interest.check().map_err(|invalid| problem::invalid_query("topic", invalid))?;
    }
    events::open(&request, &attach).await
}

/// The text of a filter as the hub evaluates it: with literals as the collections store them.
async fn canonical(request: &Request<Visitor>, attach: &Attach, filter: &Filter) -> Result<Box<str>, Problem> {
    if !attach.interest.is_of_records() {
        let message = "applies to records only: every topic must begin with records/, as in topic=records/{collection}";
        return Err(problem::invalid_query("filter", Invalid::new("not_of_records", message)));
    }
    let rights = rights(request, attach).await?;
    let mut known = collections(request, attach).await?;
    known.retain(|collection| may_know(&rights, collection));
    let named = attach.interest.selected.iter().filter_map(Selector::collection).collect();
    let text = agreed(&named, &known, filter)?.to_string();
    if text.len() > Filter::MAX_BYTES {
        let message = "takes at most 2000 bytes, with times and addresses as they are stored";
        return Err(problem::invalid_query("filter", Invalid::new("too_long", message)));
    }
    Ok(text.into())
}

/// The collections that the topics lead to. To read all of them is paid for, where a stranger asks.
async fn collections(request: &Request<Visitor>, attach: &Attach) -> Result<Vec<Collection>, Problem> {
    let selected = &attach.interest.selected;
    let rows = request.caller.rows(&request.bindings)?;
    let named: Option<BTreeSet<&str>> = selected.iter().map(Selector::collection).collect();
    if let Some([only]) = named.map(Vec::from_iter).as_deref() {
        return Ok(Collection::find(&rows, only).await?.into_iter().collect());
    }
    let Visitor { token, member, .. } = &*request.caller;
    let is_stranger = token.is_none() && member.is_none() && attach.ticket.is_none();
    let priced = match is_stranger {
        true => read_price::admit(request.incoming.network(), &request.incoming.query)?,
        false => None,
    };
    let rows = if priced.is_some() { rows.counting() } else { rows };
    let found = Collection::all(&rows).await;
    if let Some(priced) = priced {
        priced.settle(rows.work(), 0, 0);
    }
    let mut found = found?;
    found.retain(|collection| selected.iter().any(|selector| selector.leads_to(&collection.slug)));
    Ok(found)
}

/// Which private events the caller hears.
async fn rights(request: &Request<Visitor>, attach: &Attach) -> Result<TicketRights, Problem> {
    if let Some(digest) = &attach.ticket {
        return ticket::rights(request, digest).await;
    }
    let member = request.caller.member.as_ref();
    let rights = member.map(|member| HearingRights::of(member.permissions())).unwrap_or_default();
    Ok(TicketRights { granted: attach.interest.granted.clone(), rights })
}

fn may_know(rights: &TicketRights, collection: &Collection) -> bool {
    let is_granted = || rights.granted.iter().any(|selector| selector.leads_to(&collection.slug));
    collection.public_read || rights.rights.records || is_granted()
}

/// The filter as all these collections store its literals. Those that a topic names must be there and take it; of those
/// that only patterns lead to, one must.
fn agreed(named: &BTreeSet<&str>, known: &[Collection], filter: &Filter) -> Result<Filter, Problem> {
    let is_missing = |name: &&str| known.iter().all(|collection| collection.slug != *name);
    if named.iter().any(is_missing) {
        return Err(problem::not_found());
    }
    let (mut agreed, mut refused) = (None::<(&str, Filter)>, None);
    for collection in known {
        let slug = collection.slug.as_str();
        match (record_query::canonical_filter(collection, filter.clone()), &agreed) {
            (Err(problem), _) if named.contains(slug) => return Err(problem),
            (Err(problem), _) => refused = refused.or(Some(problem)),
            (Ok(stored), Some((other, agreed))) if stored != *agreed => {
                let message = format!(
                    "compares with other values in `{slug}` than in `{other}`, where the fields differ: open a stream for each"
                );
                return Err(problem::invalid_query("filter", Invalid::new("ambiguous", message)));
            }
            (Ok(_), Some(_)) => {}
            (Ok(stored), None) => agreed = Some((slug, stored)),
        }
    }
    match agreed {
        Some((_, filter)) => Ok(filter),
        None => Err(refused.unwrap_or_else(problem::not_found)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::definition::Definition;
    use domain::json;

    fn collection(slug: &str, field: serde_json::Value) -> Collection {
        let body = json!({ "slug": slug, "schema": { "type": "object", "properties": { "at": field } } });
        let body = body.as_object().unwrap().clone();
        Collection::fresh(Definition::read(body).unwrap(), None, 0).unwrap()
    }

    fn read(named: &[&str], known: &[Collection], filter: &str) -> Result<String, String> {
        let agreed = agreed(&named.iter().copied().collect(), known, &Filter::parse(filter).unwrap());
        let code = |problem: Problem| problem.errors.first().map_or(problem.code, |error| error.code).to_owned();
        agreed.map(|filter| filter.to_string()).map_err(code)
    }

    #[test]
    fn collections_agree_on_a_filter_or_a_stream_is_refused() {
        let formatted = |format: &str| json!({ "type": "string", "format": format });
        let known = || {
            vec![
                collection("days", formatted("date")),
                collection("numbers", json!({ "type": "number" })),
                collection("times", formatted("date-time")),
            ]
        };
        let stored = |text: &str| Ok(format!("at>\"{text}\""));
        let at = "at > '2027-01-01'";
        for (named, slugs, filter, expected) in [
            (vec!["times"], vec!["times"], at, stored("2027-01-01T00:00:00.000Z")),
            (vec!["days"], vec!["days"], at, stored("2027-01-01")),
            (vec![], vec!["days", "numbers"], at, stored("2027-01-01")),
            (vec!["days"], vec!["days", "numbers"], at, stored("2027-01-01")),
            (vec!["numbers"], vec!["days", "numbers"], at, Err("wrong_type")),
            (vec![], vec!["numbers"], at, Err("wrong_type")),
            (vec![], vec!["days", "times"], at, Err("ambiguous")),
            (vec!["days", "times"], vec!["days", "times"], at, Err("ambiguous")),
            (vec!["days", "times"], vec!["days", "times"], "at = null", Ok("at=null".to_owned())),
            (vec!["days", "gone"], vec!["days"], at, Err("not_found")),
            (vec![], vec![], at, Err("not_found")),
            (vec!["gone"], vec![], "nothing = 1", Err("not_found")),
        ] {
            let mut known = known();
            known.retain(|collection| slugs.contains(&collection.slug.as_str()));
            let expected = expected.map_err(str::to_owned);
            assert_eq!(read(&named, &known, filter), expected, "{named:?} {slugs:?} {filter}");
        }
    }

    #[test]
    fn a_private_collection_is_known_to_whom_hears_of_it() {
        let mut leads = collection("leads", json!({ "type": "string" }));
        let granted = |topics: &[&str]| TicketRights {
            granted: topics.iter().map(|topic| Selector::parse(topic).unwrap()).collect(),
            ..TicketRights::default()
        };
        let of =
            |events, records| TicketRights { rights: HearingRights { events, records }, ..TicketRights::default() };
        assert!(may_know(&granted(&["records/leads/7"]), &leads) && may_know(&of(false, true), &leads));
        assert!(!may_know(&granted(&["records/lead", "posts*"]), &leads) && !may_know(&of(true, false), &leads));
        leads.public_read = true;
        assert!(may_know(&TicketRights::default(), &leads));
    }
}
