//! What a publish costs where many ask for other topics: one update for one subscriber, among more and more whose
//! matchers it does not match; and what the hub needs to index them all again when it wakes.

use std::net::SocketAddr;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, Mac};
use serde_json::json;
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Result;
use crate::limits;
use crate::options::Options;
use crate::peers::{PLATFORM_KEY, Peer, Server};
use crate::table::Table;
use crate::tally::histogram;
use crate::wire::{self, Caller};

pub const HUB: &str = "/.well-known/mercure";
/// Streams that are being opened at one time.
const OPENING: usize = 50;
/// Files that the server opens for a stream: the runtime holds two ends of it.
const FILES: u64 = 2;
/// Streams that are not opened, so that there are files for all else.
const SPARE: usize = 250;
/// Publishes before those that count.
const WARM: usize = 50;

/// How subscribers ask for their topic, which is `/{number}/x`.
#[derive(Clone, Copy)]
enum Kind {
    Exact,
    Template,
    Pattern,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Exact => "the topic itself",
            Self::Template => "a URI Template each",
            Self::Pattern => "a URL Pattern each",
        }
    }

    fn path(self, number: usize) -> String {
        match self {
            Self::Exact => format!("{HUB}?match=/{number}/x"),
            Self::Template => format!("{HUB}?topic=/{number}/%7Bid%7D"),
            Self::Pattern => format!("{HUB}?match_urlpattern=/{number}/:id"),
        }
    }
}

pub async fn measure(options: &Options) -> (Table, bool) {
    let mut table = Table::new(
        format!("Matching: {} updates for one subscriber of many", options.calls / 4),
        &[
            "subscribers ask by",
            "subscribers",
            "answered, p50 µs",
            "arrived, p50 µs",
            "p99 µs",
            "beside one",
            "waking, ms",
        ],
    );
    if let Some(reason) = Peer::Carillon.absent() {
        table.absent(&["all".to_owned(), String::new()]);
        table.note(reason);
        return (table, true);
    }
    let mut worked = true;
    let most =
        limits::open_files().map_or(usize::MAX, |files| usize::try_from(files / FILES).unwrap_or(usize::MAX) - SPARE);
    for kind in [Kind::Exact, Kind::Template, Kind::Pattern] {
        let mut alone = None;
        for size in options.matching.iter().map(|size| (*size).min(most)) {
            let names = [kind.name().to_owned(), size.to_string()];
            let measured = row(kind, size, options.calls / 4).await;
            worked &= table.measured(&names, measured.map(|row| row.cells(&mut alone)));
        }
    }
    (table, worked)
}

/// What was measured, in microseconds; waking in milliseconds.
struct Row {
    answered: u64,
    arrived: u64,
    late: u64,
    waking: u128,
}

impl Row {
    fn cells(&self, alone: &mut Option<u64>) -> Vec<String> {
        let first = *alone.get_or_insert(self.arrived.max(1));
        let beside = format!("{:.2}", self.arrived as f64 / first as f64);
        vec![
            self.answered.to_string(),
            self.arrived.to_string(),
            self.late.to_string(),
            beside,
            self.waking.to_string(),
        ]
    }
}

async fn row(kind: Kind, size: usize, calls: usize) -> Result<Row> {
    let server = Peer::Carillon.start().await?;
    let mut streams = open_all(&server, kind, size).await?;
    let mut listener = streams.pop().ok_or("no stream")?;
    let topic = format!("%2F{}%2Fx", listener.number);
    let token = publisher(server.webhook_secret.as_deref().ok_or("no secret")?)?;
    let mut publisher = Caller::connect(server.address).await?;
    let (mut answered, mut arrived) = (histogram()?, histogram()?);
    for call in 0..WARM + calls {
        let body = format!("topic={topic}&data=mark-{call}.");
        let headers = [("Authorization", &*token), ("Content-Type", "application/x-www-form-urlencoded")];
        let request = wire::request("POST", HUB, &server.host, &headers, body.as_bytes());
        let begun = Instant::now();
        let mark = format!("mark-{call}.");
        let (answer, seen) =
            tokio::join!(timed(publisher.call(&request), begun), timed(listener.wait_for(&mark), begun));
        let ((answer, answered_at), (seen, arrived_at)) = (answer, seen);
        answer?.succeeded()?;
        seen?;
        if call >= WARM {
            answered.saturating_record(answered_at);
            arrived.saturating_record(arrived_at);
        }
    }
    let waking = waking(&server).await?;
    drop(streams);
    Ok(Row {
        answered: answered.value_at_quantile(0.5),
        arrived: arrived.value_at_quantile(0.5),
        late: arrived.value_at_quantile(0.99),
        waking,
    })
}

/// What comes of something, and how many microseconds after `begun`.
async fn timed<T>(work: impl Future<Output = T>, begun: Instant) -> (T, u64) {
    let came = work.await;
    (came, u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX))
}

/// A subscriber's stream; what arrives is looked at by the one who waits for it.
struct Listener {
    number: usize,
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Listener {
    async fn open(address: SocketAddr, host: String, path: String, number: usize) -> Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (name, client) = wire::client_address(number);
        let request = wire::request("GET", &path, &host, &[("Accept", "text/event-stream"), (name, &client)], &[]);
        stream.write_all(&request).await?;
        let mut listener = Self { number, stream, rest: Vec::new() };
        listener.wait_for("retry: ").await?;
        Ok(listener)
    }

    async fn wait_for(&mut self, mark: &str) -> Result<()> {
        loop {
            if let Some(at) = self.rest.windows(mark.len()).position(|bytes| bytes == mark.as_bytes()) {
                self.rest.drain(..at + mark.len());
                return Ok(());
            }
            if self.rest.starts_with(b"HTTP/1.1 ") && !self.rest.starts_with(b"HTTP/1.1 200") {
                return Err(String::from_utf8_lossy(&self.rest).into_owned().into());
            }
            if self.stream.read_buf(&mut self.rest).await? == 0 {
                return Err("a stream ended".into());
            }
        }
    }
}

async fn open_all(server: &Server, kind: Kind, size: usize) -> Result<Vec<Listener>> {
    let (mut opening, mut streams) = (JoinSet::new(), Vec::with_capacity(size));
    for number in 0..size {
        if opening.len() == OPENING
            && let Some(opened) = opening.join_next().await
        {
            streams.push(opened??);
        }
        opening.spawn(Listener::open(server.address, server.host.clone(), kind.path(number), number));
    }
    while let Some(opened) = opening.join_next().await {
        streams.push(opened??);
    }
    Ok(streams)
}

/// How long the hub, just evicted with its sockets kept, takes to answer; in milliseconds, the best of three.
async fn waking(server: &Server) -> Result<u128> {
    let control = server.control.ok_or("no place to evict from")?;
    let mut best = u128::MAX;
    for _ in 0..3 {
        let evict = json!({"tenant": server.tenant, "webSockets": "hibernate"}).to_string();
        let evict =
            wire::request("POST", "/evict", "control", &[("Content-Type", "application/json")], evict.as_bytes());
        Caller::connect(control).await?.call(&evict).await?.succeeded()?;
        let path = format!("/api/v1/tenants/{}/health", server.tenant);
        let authorization = format!("Bearer {PLATFORM_KEY}");
        let health = wire::request("GET", &path, "localhost", &[("Authorization", &*authorization)], &[]);
        let mut caller = Caller::connect(server.address).await?;
        let begun = Instant::now();
        caller.call(&health).await?.succeeded()?;
        best = best.min(begun.elapsed().as_millis());
    }
    Ok(best)
}

/// `Authorization` of somebody who may publish anything.
pub fn publisher(secret: &str) -> Result<String> {
    let part = |value: serde_json::Value| BASE64.encode(value.to_string());
    let claims = json!({"mercure": {"publish": ["*"]}, "exp": 9_000_000_000_u64});
    let signed = format!("{}.{}", part(json!({"alg": "HS256", "typ": "JWT"})), part(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    mac.update(signed.as_bytes());
    Ok(format!("Bearer {signed}.{}", BASE64.encode(mac.finalize().into_bytes())))
}
