//! Many documents, of which some are read far more often than others, and webhooks meanwhile: how many answers are cached ones. No
//! answer may be older than is promised: where the webhook came in, from its answer on; in the other isolate, within the
//! seconds of `staleness_seconds`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::Value;
use tokio::task::JoinSet;

use super::content::Content;
use super::{Servers, verdict};
use crate::Result;
use crate::options::Options;
use crate::publisher::Site;
use crate::table::{Table, share, whole};
use crate::tally::histogram;
use crate::wire::Caller;

const MOST_DOCUMENTS: usize = 10_000;
/// Connections, by turns to one isolate and the other.
const CONNECTIONS: usize = 10;
/// Requests for one webhook.
const WEBHOOK_EVERY: usize = 100;
/// How old an isolate's knowledge may be, by its place: webhooks come in at the first. A little more, for clocks in milliseconds.
const STALENESS: [Duration; 2] = [Duration::ZERO, Duration::from_millis(5_010)];

/// How many documents are read.
pub fn documents(options: &Options) -> usize {
    (options.calls * 5).min(MOST_DOCUMENTS)
}

fn requests(options: &Options) -> usize {
    options.calls * 10
}

pub fn table(options: &Options) -> Table {
    Table::new(
        format!(
            "{} documents by Zipf (s = 1), each asked for twice before; {CONNECTIONS} connections to two isolates, a webhook every {WEBHOOK_EVERY} requests",
            whole(documents(options) as f64)
        ),
        &["requests", "webhooks", "hits (target: over 90 %)", "questions to the site", "p50, µs", "p99, µs"],
    )
}

/// Adds the row; whether it could be measured.
pub async fn measure(table: &mut Table, servers: &Arc<Servers>, options: &Options) -> bool {
    let requests = requests(options);
    let cells = run(servers, documents(options), requests).await;
    table.measured(&[whole(requests as f64)], cells)
}

async fn run(servers: &Arc<Servers>, documents: usize, requests: usize) -> Result<Vec<String>> {
    warm(servers, documents).await?;
    let before = servers.site.asked();
    let (zipf, sender) = (Arc::new(Zipf::of(documents)), Arc::new(Site::of_tenant("bench", &servers.secret)?));
    let (next, mut readers) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    for connection in 0..CONNECTIONS {
        let isolate = connection % STALENESS.len();
        let reader = Reader {
            servers: Arc::clone(servers),
            zipf: Arc::clone(&zipf),
            sender: Arc::clone(&sender),
            isolate,
            caller: Caller::connect(servers.isolate(isolate)).await?,
            publisher: Caller::connect(servers.isolate(0)).await?,
            hits: 0,
            times: histogram()?,
        };
        readers.spawn(reader.work(Arc::clone(&next), requests));
    }
    let (mut hits, mut times) = (0, histogram()?);
    while let Some(done) = readers.join_next().await {
        let (more, taken) = done??;
        hits += more;
        times.add(taken)?;
    }
    Ok(vec![
        whole((requests / WEBHOOK_EVERY) as f64),
        share(hits, u64::try_from(requests)?),
        whole((servers.site.asked() - before) as f64),
        times.value_at_quantile(0.5).to_string(),
        times.value_at_quantile(0.99).to_string(),
    ])
}

/// Asks for each document twice at the first isolate, so that it comes to KV; for those that are read most at last.
async fn warm(servers: &Arc<Servers>, documents: usize) -> Result<()> {
    let mut callers = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let (servers, mut caller) = (Arc::clone(servers), Caller::connect(servers.isolate(0)).await?);
        callers.spawn(async move {
            for document in (1..=documents).rev().skip(connection).step_by(CONNECTIONS) {
                for _ in 0..2 {
                    verdict(&caller.call(&servers.ours(&Content::question(document), document)).await?)?;
                }
            }
            Ok::<_, crate::Error>(())
        });
    }
    while let Some(done) = callers.join_next().await {
        done??;
    }
    Ok(())
}

/// A connection that reads, and sends webhooks when it is their turn.
struct Reader {
    servers: Arc<Servers>,
    zipf: Arc<Zipf>,
    sender: Arc<Site>,
    isolate: usize,
    caller: Caller,
    publisher: Caller,
    hits: u64,
    times: Histogram<u64>,
}

impl Reader {
    async fn work(mut self, next: Arc<AtomicUsize>, requests: usize) -> Result<(u64, Histogram<u64>)> {
        loop {
            let number = next.fetch_add(1, Relaxed);
            if number >= requests {
                return Ok((self.hits, self.times));
            }
            if (number + 1).is_multiple_of(WEBHOOK_EVERY) {
                self.publish(number).await?;
            }
            self.read(number).await?;
        }
    }

    /// Changes something that is read as often as it is changed, and tells of it.
    async fn publish(&mut self, number: usize) -> Result<()> {
        let content = &self.servers.site.content;
        let change = content.change(number / WEBHOOK_EVERY, self.zipf.draw(!(number as u64)));
        let webhook = self.sender.signed(&change.webhook.to_string(), number);
        self.publisher.call(&webhook).await?.succeeded()?;
        change.told();
        Ok(())
    }

    async fn read(&mut self, number: usize) -> Result<()> {
        let document = self.zipf.draw(number as u64);
        let question = self.servers.ours(&Content::question(document), number);
        let begun = Instant::now();
        let known_until = begun.checked_sub(STALENESS[self.isolate]);
        let promised = known_until.map_or(0, |until| self.servers.site.content.promised(document, until));
        let answer = self.caller.call(&question).await?;
        self.times.saturating_record(u64::try_from(begun.elapsed().as_micros())?);
        let verdict = verdict(&answer)?;
        match verdict.split(';').next() {
            Some("HIT") => self.hits += 1,
            Some("MISS") => {}
            _ => return Err(format!("{verdict}, where nothing expires and all is cached").into()),
        }
        let body: Value = serde_json::from_slice(&answer.body)?;
        let revision = body["data"]["found"]["revision"].as_u64().ok_or("an answer without a revision")?;
        match revision >= promised {
            true => Ok(()),
            false => Err(format!(
                "isolate {} showed revision {revision} of document {document} ({verdict}), where {promised} is promised",
                self.isolate
            )
            .into()),
        }
    }
}

/// Numbers from 1, of which n comes 1/n as often as 1.
struct Zipf {
    /// How likely each number is, with all below it.
    upto: Vec<f64>,
}

impl Zipf {
    fn of(numbers: usize) -> Self {
        let mut sum = 0.0;
        let upto = (1..=numbers).map(|number| {
            sum += 1.0 / number as f64;
            sum
        });
        Self { upto: upto.collect() }
    }

    /// The draw of this number: the same in each run.
    fn draw(&self, number: u64) -> usize {
        let all = self.upto.last().copied().unwrap_or_default();
        let place = (mixed(number) >> 11) as f64 / (1_u64 << 53) as f64 * all;
        (self.upto.partition_point(|upto| *upto <= place) + 1).min(self.upto.len())
    }
}

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
fn mixed(number: u64) -> u64 {
    let z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
