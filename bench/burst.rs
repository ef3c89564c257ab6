//! A burst: 100 webhooks over 20 connections, from the first one sent to the last delivery.

use std::time::Duration;

use crate::Result;
use crate::audience::Audience;
use crate::options::Options;
use crate::peers::Server;
use crate::publisher::{Pace, publish};
use crate::stage::Stage;
use crate::table::{Table, median, millis, share, whole};

const EVENTS: u32 = 100;
const CONNECTIONS: usize = 20;
const QUIET: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);

pub async fn measure(options: &Options, stage: &mut Stage) -> Table {
    let mut table = Table::new(
        format!(
            "Burst: {EVENTS} webhooks over {CONNECTIONS} connections, median of {} after one to warm up",
            options.rounds
        ),
        &["server", "subscribers", "deliveries/s", "lowest", "highest", "delivered", "in one order", "answers p50, ms"],
    );
    for &size in &options.sizes {
        let rounds = options.rounds;
        stage.rows(&mut table, &[whole(size as f64)], async |server| row(server, size, rounds).await).await;
    }
    table
}

async fn row(server: &Server, size: usize, rounds: usize) -> Result<Vec<String>> {
    let mut audience = Audience::gather(server, size).await?;
    one(server, &mut audience).await?;

    let mut rates = Vec::with_capacity(rounds);
    let mut answers = Vec::with_capacity(rounds);
    let (mut delivered, mut expected, mut one_order) = (0, 0, true);
    for _ in 0..rounds {
        let burst = one(server, &mut audience).await?;
        rates.push(burst.rate);
        answers.push(burst.answer);
        delivered += burst.delivered;
        expected += burst.expected;
        one_order &= burst.one_order;
    }
    Ok(vec![
        whole(median(rates.clone())),
        whole(rates.iter().copied().fold(f64::INFINITY, f64::min)),
        whole(rates.iter().copied().fold(0.0, f64::max)),
        share(delivered, expected),
        if one_order { "yes" } else { "no" }.to_owned(),
        millis(median(answers)),
    ])
}

struct Burst {
    /// Deliveries per second.
    rate: f64,
    /// Median time to an answer, in milliseconds.
    answer: f64,
    delivered: u64,
    expected: u64,
    one_order: bool,
}

async fn one(server: &Server, audience: &mut Audience) -> Result<Burst> {
    tokio::time::sleep(PAUSE).await;
    let round = audience.expect(EVENTS);
    let published = publish(server, audience, round, Pace::Burst, CONNECTIONS).await?;
    audience.settle(QUIET, LIMIT).await;
    if let Some((status, count)) = published.refused.iter().next() {
        return Err(format!("{count} webhooks were answered {status}").into());
    }
    let outcome = audience.outcome()?;
    let took = audience.last_arrival().saturating_sub(published.first_sent);
    Ok(Burst {
        rate: outcome.delivered as f64 / took.as_secs_f64(),
        answer: published.answers.value_at_quantile(0.5) as f64 / 1_000.0,
        delivered: outcome.delivered,
        expected: outcome.expected,
        one_order: outcome.one_order && outcome.repeated == 0,
    })
}
