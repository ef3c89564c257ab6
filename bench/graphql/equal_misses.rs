//! Many who ask the same at once, which nobody has asked before: how often the site is asked for it, and when the last one has an
//! answer. Half of them ask one isolate, half another one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::Servers;
use crate::Result;
use crate::options::Options;
use crate::table::{Table, median, millis};
use crate::wire::Caller;

/// How many ask, each over a connection of its own.
const CLIENTS: usize = 100;
/// Milliseconds that the site takes: all have asked before it answers.
const WAIT: usize = 200;

pub fn table(options: &Options) -> Table {
    Table::new(
        format!("{CLIENTS} equal questions at once; the site takes {WAIT} ms; median of {} rounds", options.rounds),
        &["server", "questions to the site", "last answer, ms"],
    )
}

/// Adds the rows; whether all could be measured.
pub async fn measure(table: &mut Table, servers: &Servers, options: &Options) -> bool {
    let ours =
        rounds(servers, options.rounds, &servers.carillon.isolates, |document, client| servers.ours(document, client));
    let ours = ours.await.and_then(|(most, last)| match most {
        1 => Ok(cells(most, last)),
        _ => Err(format!("the site was asked {most} times, where once is promised").into()),
    });
    let worked = table.measured(&["Carillon, two isolates".to_owned()], ours);
    let plain = |document: &str, client| servers.plain("/site", document, client);
    let plain = rounds(servers, options.rounds, &[servers.peer.address], plain).await;
    worked & table.measured(&["plain JavaScript Worker".to_owned()], plain.map(|(most, last)| cells(most, last)))
}

fn cells(most: usize, last: f64) -> Vec<String> {
    vec![most.to_string(), millis(last)]
}

/// The most questions that the site got in a round, and the median of when the last answer came.
async fn rounds(
    servers: &Servers,
    rounds: usize,
    targets: &[SocketAddr],
    question: impl Fn(&str, usize) -> Vec<u8>,
) -> Result<(usize, f64)> {
    let (mut most, mut last) = (0, Vec::new());
    for round in 0..rounds {
        let document = format!("{{posts(bytes:1000,wait:{WAIT},round:{round}){{nodes{{id content}}}}}}");
        let (before, start, mut clients) = (servers.site.asked(), Arc::new(Barrier::new(CLIENTS + 1)), JoinSet::new());
        for client in 0..CLIENTS {
            let caller = Caller::connect(targets[client % targets.len()]).await?;
            clients.spawn(ask(caller, question(&document, client), Arc::clone(&start)));
        }
        start.wait().await;
        let begun = Instant::now();
        while let Some(answered) = clients.join_next().await {
            answered??;
        }
        last.push(begun.elapsed().as_secs_f64() * 1_000.0);
        most = most.max(servers.site.asked() - before);
    }
    Ok((most, median(last)))
}

async fn ask(mut caller: Caller, question: Vec<u8>, start: Arc<Barrier>) -> Result<()> {
    start.wait().await;
    let answer = caller.call(&question).await?;
    match answer.status == 200 && answer.body.len() > 1_000 {
        true => Ok(()),
        false => Err(format!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body)).into()),
    }
}
