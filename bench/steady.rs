//! Events at a fixed rate: first one that can be kept up with, then one that cannot easily be.

use std::time::Duration;

use crate::Result;
use crate::audience::Audience;
use crate::options::Options;
use crate::peers::Server;
use crate::publisher::{Pace, Published, publish};
use crate::stage::Stage;
use crate::table::{Table, millis, share, whole};
use crate::tally::Outcome;

const CONNECTIONS: usize = 20;
const WARM_SECONDS: u32 = 2;
const QUIET: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(120);

/// Rates that a server should keep up with.
pub async fn measure(options: &Options, stage: &mut Stage) -> Table {
    let mut table = Table::new(
        format!("Steady: a fixed rate for {} s", options.length.as_secs()),
        &["server", "load", "delivered", "p50, ms", "p99, ms", "p50 of first quarter", "p50 of last quarter"],
    );
    for &(size, rate) in &options.steady {
        let load = load(size, rate);
        stage
            .rows(&mut table, &[load], async |server| {
                let run = run(server, size, rate, options.length).await?;
                let (first, last) = run.outcome.drift();
                Ok(vec![
                    share(run.outcome.delivered, run.outcome.expected),
                    millis(run.outcome.latency(0.5)),
                    millis(run.outcome.latency(0.99)),
                    millis(first),
                    millis(last),
                ])
            })
            .await;
    }
    table
}

/// A rate beyond what one write per event and subscriber can carry.
pub async fn overload(options: &Options, stage: &mut Stage) -> Table {
    let length = options.length / 3;
    let mut table = Table::new(
        format!("Overload: a fixed rate for {} s", length.as_secs()),
        &[
            "server",
            "load",
            "delivered",
            "p50, ms",
            "p99, ms",
            "longest, ms",
            "last delivery after, s",
            "deliveries/s",
            "webhooks accepted/s",
            "streams cut",
        ],
    );
    let (size, rate) = options.overload;
    stage
        .rows(&mut table, &[load(size, rate)], async |server| {
            let run = run(server, size, rate, length).await?;
            Ok(vec![
                share(run.outcome.delivered, run.outcome.expected),
                millis(run.outcome.latency(0.5)),
                millis(run.outcome.latency(0.99)),
                millis(run.outcome.longest()),
                format!("{:.1}", run.until_last.as_secs_f64()),
                whole(run.outcome.delivered as f64 / run.until_last.as_secs_f64()),
                whole(f64::from(run.published.accepted) / run.published.took.as_secs_f64()),
                whole(run.cut as f64),
            ])
        })
        .await;
    table
}

fn load(size: usize, rate: u32) -> String {
    format!("{} × {}/s", whole(size as f64), whole(f64::from(rate)))
}

struct Run {
    outcome: Outcome,
    published: Published,
    /// From the first event sent to the last delivery.
    until_last: Duration,
    cut: u64,
}

async fn run(server: &Server, size: usize, rate: u32, length: Duration) -> Result<Run> {
    let mut audience = Audience::gather(server, size).await?;
    let pace = Pace::PerSecond(rate);
    let round = audience.expect(WARM_SECONDS * rate.min(100));
    publish(server, &audience, round, Pace::PerSecond(rate.min(100)), CONNECTIONS).await?;
    audience.settle(QUIET, LIMIT).await;

    let round = audience.expect(u32::try_from(length.as_secs())? * rate);
    let published = tokio::time::timeout(length + LIMIT, publish(server, &audience, round, pace, CONNECTIONS))
        .await
        .map_err(|_| format!("the webhooks were not answered within {LIMIT:?} after the last was due"))??;
    audience.settle(QUIET, LIMIT).await;
    let until_last = audience.last_arrival().saturating_sub(published.first_sent);
    Ok(Run { outcome: audience.outcome()?, published, until_last, cut: audience.cut() })
}
