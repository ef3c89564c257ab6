//! What an answer costs beside a plain JavaScript Worker, one connection each, call by call in turn: out of memory, where the plain
//! one has a `Map`; out of KV; and from the site, which answers at once. And how long it takes from a webhook to the first
//! answer from after it.

use std::time::Instant;

use super::{HOST, Servers, question, verdict};
use crate::mark::Mark;
use crate::options::Options;
use crate::publisher::Site;
use crate::requests::{Target, WARM, in_turn_checked};
use crate::table::Table;
use crate::tally::histogram;
use crate::wire::{Caller, HttpResponse};
use crate::{Result, api};

/// Bytes of content in an answer.
const SIZES: [(&str, usize); 2] = [("1 KB", 1_000), ("50 KB", 50_000)];
/// Most questions of which each is a new one.
const NEW: usize = 1_000;
/// Webhooks that an answer is asked for after.
const PURGES: usize = 300;

pub fn table(options: &Options) -> Table {
    Table::new(
        format!(
            "GraphQL answers: {} of each out of memory, {} of the others, in turn; {PURGES} webhooks",
            options.calls,
            options.calls.min(NEW)
        ),
        &["request", "Carillon p50, µs", "p99, µs", "plain JavaScript p50, µs", "p99, µs", "ratio of p50"],
    )
}

/// Adds the rows; whether all could be measured.
pub async fn measure(table: &mut Table, servers: &Servers, options: &Options) -> bool {
    let (calls, new) = (options.calls, options.calls.min(NEW));
    let mut worked = true;
    for (name, bytes) in SIZES {
        let cells = from_memory(servers, bytes, calls).await;
        worked &= table.measured(&[format!("{name} out of memory")], cells);
    }
    for (name, bytes) in SIZES {
        let cells = from_kv(servers, bytes, new).await;
        worked &= table.measured(&[format!("{name} out of KV")], cells);
    }
    let cells = from_site(servers, SIZES[0].1, new).await;
    worked &= table.measured(&["1 KB that nobody has asked for".to_owned()], cells);
    let cells = after_webhooks(servers).await;
    worked & table.measured(&["a webhook, and the answer from after it".to_owned()], cells)
}

/// Fails unless both answers are whole, and ours comes from there.
fn comes_from(place: &str, bytes: usize) -> impl Fn(usize, &HttpResponse) -> Result<()> {
    move |nth, answer| match answer.status == 200 && answer.body.len() > bytes {
        true if nth == 0 && verdict(answer)? != place => {
            Err(format!("{} where {place} was to be", verdict(answer)?).into())
        }
        true => Ok(()),
        false => Err(format!("{} with {} bytes", answer.status, answer.body.len()).into()),
    }
}

async fn from_memory(servers: &Servers, bytes: usize, calls: usize) -> Result<Vec<String>> {
    let document = format!("{{posts(bytes:{bytes}){{nodes{{id content}}}}}}");
    let asked = |nth, call| match nth {
        0 => servers.ours(&document, call),
        _ => servers.plain("/memory", &document, call),
    };
    let targets = [servers.isolate(0), servers.peer.address];
    for (nth, address) in targets.into_iter().enumerate() {
        Caller::connect(address).await?.call(&asked(nth, 0)).await?.succeeded()?;
    }
    let check = comes_from("HIT; reason=memory", bytes);
    in_turn_checked(targets.map(|address| Target { address }), calls, |nth, call| Ok(asked(nth, call)), check).await
}

/// Each question is asked twice at one isolate, which brings its answer to KV, and then for the first time at the other one.
async fn from_kv(servers: &Servers, bytes: usize, calls: usize) -> Result<Vec<String>> {
    let document = |call: usize| format!("{{posts(bytes:{bytes},kv:{call}){{nodes{{id content}}}}}}");
    let (mut first, mut plain) =
        (Caller::connect(servers.isolate(0)).await?, Caller::connect(servers.peer.address).await?);
    for call in 0..WARM + calls {
        for _ in 0..2 {
            first.call(&servers.ours(&document(call), call)).await?.succeeded()?;
        }
        plain.call(&servers.plain("/kv", &document(call), call)).await?.succeeded()?;
    }
    let targets = [servers.isolate(1), servers.peer.address].map(|address| Target { address });
    let asked = |nth, call| match nth {
        0 => servers.ours(&document(call), call),
        _ => servers.plain("/kv", &document(call), call),
    };
    in_turn_checked(targets, calls, |nth, call| Ok(asked(nth, call)), comes_from("HIT; reason=kv", bytes)).await
}

async fn from_site(servers: &Servers, bytes: usize, calls: usize) -> Result<Vec<String>> {
    let document = |call: usize| format!("{{posts(bytes:{bytes},new:{call}){{nodes{{id content}}}}}}");
    let targets = [servers.isolate(0), servers.peer.address].map(|address| Target { address });
    let asked = |nth, call| match nth {
        0 => servers.ours(&document(call), call),
        _ => servers.plain("/site", &document(call), call),
    };
    in_turn_checked(targets, calls, |nth, call| Ok(asked(nth, call)), comes_from("MISS; reason=new", bytes)).await
}

/// From the moment that a webhook is sent to the answer that shows its effect.
async fn after_webhooks(servers: &Servers) -> Result<Vec<String>> {
    let sender = Site::of_tenant("bench", &servers.secret)?;
    let (mut caller, mut times) = (Caller::connect(servers.isolate(0)).await?, histogram()?);
    let document = "{posts(bytes:1000){nodes{id content}}}";
    for call in 0..PURGES {
        verdict(&caller.call(&servers.ours(document, call)).await?)?;
        let begun = Instant::now();
        let accepted =
            caller.call(&sender.webhook(Mark { number: u32::try_from(call)?, sent: 0 })).await?.succeeded()?;
        let id = api::text(&serde_json::from_slice(&accepted.body)?, "/data/id")?;
        let answer = caller.call(&question("/graphql", document, call, &[("X-Carillon-After", &id)])).await?;
        times.saturating_record(u64::try_from(begun.elapsed().as_micros())?);
        if !verdict(&answer)?.starts_with("MISS") {
            return Err(format!("{} behind a webhook to {HOST}", verdict(&answer)?).into());
        }
    }
    let quantile = |quantile| times.value_at_quantile(quantile).to_string();
    Ok(vec![quantile(0.5), quantile(0.99), "–".to_owned(), "–".to_owned(), "–".to_owned()])
}
