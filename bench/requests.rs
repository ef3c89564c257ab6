//! What single requests cost beside a plain JavaScript Worker with the same reads
//! and writes: both servers at once, one connection each, call by call in turn.

use std::net::SocketAddr;
use std::time::Instant;

use crate::Result;
use crate::mark::Mark;
use crate::options::Options;
use crate::peers::{PLATFORM_KEY, Peer};
use crate::publisher::webhook;
use crate::table::Table;
use crate::tally::histogram;
use crate::wire::{self, Caller, HttpResponse};

/// Calls before those that count.
pub const WARM: usize = 300;

pub async fn measure(options: &Options) -> (Table, bool) {
    let mut table = Table::new(
        format!("Requests: {} of each, in turn", options.calls),
        &["request", "Carillon p50, µs", "p99, µs", "plain JavaScript p50, µs", "p99, µs", "ratio of p50"],
    );
    let names = ["GET one tenant", "POST a webhook"];
    if let Some(reason) = Peer::Carillon.absent().or_else(|| Peer::PlainApi.absent()) {
        for name in names {
            table.absent(&[name.to_owned()]);
        }
        table.note(reason);
        return (table, true);
    }
    let rows = rows(options.calls).await;
    let worked = match rows {
        Ok(rows) => {
            for (name, cells) in names.into_iter().zip(rows) {
                table.measured(&[name.to_owned()], Ok(cells));
            }
            true
        }
        Err(error) => table.measured(&[names.join(", ")], Err(error)),
    };
    (table, worked)
}

async fn rows(calls: usize) -> Result<[Vec<String>; 2]> {
    let (ours, plain) = (Peer::Carillon.start().await?, Peer::PlainApi.start().await?);
    let (servers, targets) = ([&ours, &plain], [&ours, &plain].map(|server| Target { address: server.address }));
    let get = in_turn(targets, calls, |_, call| Ok(tenant(call))).await?;
    let mark = |call: usize| Ok::<_, crate::Error>(Mark { number: u32::try_from(call)?, sent: 0 });
    let post = in_turn(targets, calls, |nth, call| webhook(servers[nth], mark(call)?)).await?;
    Ok([get, post])
}

fn tenant(call: usize) -> Vec<u8> {
    let authorization = format!("Bearer {PLATFORM_KEY}");
    let (name, address) = wire::client_address(call);
    let headers = [("Authorization", &*authorization), (name, &*address)];
    wire::request("GET", "/api/v1/tenants/bench", "localhost", &headers, &[])
}

/// A server that is asked.
#[derive(Clone, Copy)]
pub struct Target {
    pub address: SocketAddr,
}

/// How long the calls of two servers take, in turn: p50 and p99 of each, and the ratio of p50. A request is made for the nth
/// server and the number of the call.
pub async fn in_turn(
    targets: [Target; 2],
    calls: usize,
    request: impl Fn(usize, usize) -> Result<Vec<u8>>,
) -> Result<Vec<String>> {
    in_turn_checked(targets, calls, request, |_, _| Ok(())).await
}

/// The same, where an answer of the nth server that `check` refuses fails the run.
pub async fn in_turn_checked(
    targets: [Target; 2],
    calls: usize,
    request: impl Fn(usize, usize) -> Result<Vec<u8>>,
    check: impl Fn(usize, &HttpResponse) -> Result<()>,
) -> Result<Vec<String>> {
    let [ours, plain] = targets;
    let mut callers =
        [(Caller::connect(ours.address).await?, histogram()?), (Caller::connect(plain.address).await?, histogram()?)];
    for call in 0..WARM + calls {
        for (nth, (caller, times)) in callers.iter_mut().enumerate() {
            let request = request(nth, call)?;
            let begun = Instant::now();
            let answer = caller.call(&request).await?.succeeded()?;
            let took = u64::try_from(begun.elapsed().as_micros())?;
            check(nth, &answer)?;
            if call >= WARM {
                times.saturating_record(took);
            }
        }
    }
    let [ours, plain] = callers.map(|(_, times)| [times.value_at_quantile(0.5), times.value_at_quantile(0.99)]);
    let mut cells: Vec<_> = [ours, plain].as_flattened().iter().map(u64::to_string).collect();
    cells.push(format!("{:.2}", ours[0] as f64 / plain[0] as f64));
    Ok(cells)
}
