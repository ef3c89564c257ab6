//! The site that publishes: signed webhooks over keep-alive connections.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use tokio::task::JoinSet;

use crate::Result;
use crate::audience::Audience;
use crate::mark::Mark;
use crate::peers::Server;
use crate::tally::{Round, histogram};
use crate::wire::{self, Caller};

/// How fast events are published.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// Each connection sends its next event when the last one is answered.
    Burst,
    /// Events fall due at this many per second, whether or not answers come back in time.
    PerSecond(u32),
}

/// What came of publishing a round.
pub struct Published {
    /// When the first event was sent, by the audience's clock.
    pub first_sent: Duration,
    /// From the first event sent to the last answer.
    pub took: Duration,
    /// Events answered with 2xx.
    pub accepted: u32,
    /// Events answered otherwise, by status.
    pub refused: BTreeMap<u16, u32>,
    /// Time to the answers, in microseconds.
    pub answers: Histogram<u64>,
}

/// Publishes one round over `connections` connections.
pub async fn publish(
    server: &Server,
    audience: &Audience,
    round: Round,
    pace: Pace,
    connections: usize,
) -> Result<Published> {
    let site = Arc::new(Site::of(server)?);
    let mut callers = Vec::with_capacity(connections);
    for _ in 0..connections {
        callers.push(Caller::connect(server.address).await?);
    }
    let clock = audience.clock();
    let begun = Instant::now();
    let next = Arc::new(AtomicU32::new(0));
    let mut desks = JoinSet::new();
    for caller in callers {
        let task = PublisherTask { site: site.clone(), caller, next: next.clone(), clock, begun, round, pace };
        desks.spawn(task.work());
    }
    let mut published = Published {
        first_sent: begun.duration_since(clock),
        took: Duration::ZERO,
        accepted: 0,
        refused: BTreeMap::new(),
        answers: histogram()?,
    };
    while let Some(done) = desks.join_next().await {
        let log = done??;
        published.accepted += log.accepted;
        for (status, count) in log.refused {
            *published.refused.entry(status).or_default() += count;
        }
        published.answers.add(log.answers)?;
    }
    published.took = begun.elapsed();
    Ok(published)
}

/// One signed webhook, as a request's bytes.
pub fn webhook(server: &Server, mark: Mark) -> Result<Vec<u8>> {
    Ok(Site::of(server)?.webhook(mark))
}

/// What all connections of a site share.
pub struct Site {
    host: String,
    path: String,
    tenant: String,
    topic: String,
    key: Option<Hmac<Sha256>>,
}

impl Site {
    /// The site of a tenant that is reached by its name.
    pub fn of_tenant(tenant: &str, secret: &str) -> Result<Self> {
        Ok(Self {
            host: format!("{tenant}.localhost"),
            path: "/webhook".to_owned(),
            tenant: tenant.to_owned(),
            topic: "post".to_owned(),
            key: Some(Hmac::new_from_slice(secret.as_bytes())?),
        })
    }

    fn of(server: &Server) -> Result<Self> {
        let key = match &server.webhook_secret {
            Some(secret) => Some(Hmac::new_from_slice(secret.as_bytes())?),
            None => None,
        };
        Ok(Self {
            host: server.host.clone(),
            path: server.publish.clone(),
            tenant: server.tenant.clone(),
            topic: server.topic.clone(),
            key,
        })
    }

    /// An event of about 200 bytes.
    pub fn webhook(&self, mark: Mark) -> Vec<u8> {
        let body = format!(
            concat!(
                r#"{{"tenant_id":"{}","node_type":"Post","action":"UPDATE","channels":["{}"],"#,
                r#""data":{{"mark":"{}","title":"The bell of the old tower rings again","status":"publish"}}}}"#
            ),
            self.tenant,
            self.topic,
            mark.text(),
        );
        self.signed(&body, mark.number as usize)
    }

    /// A webhook with this body, from the client of this number.
    pub fn signed(&self, body: &str, client: usize) -> Vec<u8> {
        let signature = self.key.clone().map(|mut key| {
            key.update(body.as_bytes());
            format!("sha256={:x}", key.finalize().into_bytes())
        });
        let (name, address) = wire::client_address(client);
        let mut headers = vec![("Content-Type", "application/json"), (name, &*address)];
        headers.extend(signature.as_deref().map(|signature| ("X-Webhook-Signature", signature)));
        wire::request("POST", &self.path, &self.host, &headers, body.as_bytes())
    }
}

/// One connection's work.
struct PublisherTask {
    site: Arc<Site>,
    caller: Caller,
    next: Arc<AtomicU32>,
    clock: Instant,
    begun: Instant,
    round: Round,
    pace: Pace,
}

struct Log {
    accepted: u32,
    refused: BTreeMap<u16, u32>,
    answers: Histogram<u64>,
}

impl PublisherTask {
    async fn work(mut self) -> Result<Log> {
        let mut log = Log { accepted: 0, refused: BTreeMap::new(), answers: histogram()? };
        loop {
            let index = self.next.fetch_add(1, Relaxed);
            if index >= self.round.count {
                return Ok(log);
            }
            let due = self.due(index).await;
            let mark = Mark {
                number: self.round.first + index,
                sent: u64::try_from(due.duration_since(self.clock).as_nanos())?,
            };
            let answer = self.caller.call(&self.site.webhook(mark)).await?;
            log.answers.saturating_record(u64::try_from(due.elapsed().as_micros())?);
            match answer.status {
                200..=299 => log.accepted += 1,
                status => *log.refused.entry(status).or_default() += 1,
            }
        }
    }

    /// Waits for an event's time. An event that waited for a free connection keeps
    /// the time it fell due, so that a slow server cannot hide the wait.
    async fn due(&self, index: u32) -> Instant {
        let Pace::PerSecond(rate) = self.pace else {
            return Instant::now();
        };
        let due = self.begun + Duration::from_secs(1) * index / rate;
        if due <= Instant::now() {
            return due;
        }
        tokio::time::sleep_until(due.into()).await;
        Instant::now()
    }
}
