//! The subscribers: raw TCP connections that read Server-Sent Events.
//!
//! A stream that the server ends is resumed with its last id, as a browser would.
//!
//! A subscriber costs one task and the few bytes of its parsers. All that a
//! thread reads goes through one buffer of that thread, marks are noted in
//! groups that share a lock, and nothing is allocated for an event, so that the
//! generator takes little of the machine that the server is measured on.

use std::cell::RefCell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::Result;
use crate::last_id::LastId;
use crate::mark::Finder;
use crate::peers::Server;
use crate::tally::{Outcome, Round, Tally};
use crate::wire::{self, Body, Head};

/// Streams that are being opened at one time.
const OPENING: usize = 50;
const OPEN_LIMIT: Duration = Duration::from_secs(30);
/// Between a stream's end and its resumption, so and up to twice so long.
const RETRY: Duration = Duration::from_millis(500);
const GROUPS: usize = 8;
const READ_BUFFER: usize = 256 * 1024;

/// What the subscribers' tasks share with the one who watches them.
struct Hall {
    clock: Instant,
    groups: Vec<Mutex<Tally>>,
    delivered: AtomicU64,
    last_arrival: AtomicU64,
    cut: AtomicU64,
}

impl Hall {
    fn now(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn group(&self, index: usize) -> MutexGuard<'_, Tally> {
        lock(&self.groups[index % GROUPS])
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Connected subscribers of one server, all of one topic. Dropping it hangs up.
pub struct Audience {
    hall: Arc<Hall>,
    streams: JoinSet<()>,
    round: Round,
    /// How long opening all streams took.
    pub opening: Duration,
}

impl Audience {
    /// Opens `size` streams, 50 at a time; one counts as open at its response's first byte of body.
    pub async fn gather(server: &Server, size: usize) -> Result<Self> {
        let hall = Arc::new(Hall {
            clock: Instant::now(),
            groups: (0..GROUPS)
                .map(|group| Tally::new((size + GROUPS - 1 - group) / GROUPS).map(Mutex::new))
                .collect::<Result<_>>()?,
            delivered: AtomicU64::new(0),
            last_arrival: AtomicU64::new(0),
            cut: AtomicU64::new(0),
        });
        let door = Arc::new(StreamTarget {
            address: server.address,
            host: server.host.clone(),
            path: server.subscribe.clone(),
            places: Semaphore::new(OPENING),
        });
        let begun = Instant::now();
        let mut opening = JoinSet::new();
        for index in 0..size {
            let door = door.clone();
            opening.spawn(async move { door.open(index, LastId::default()).await.map(|stream| (index, stream)) });
        }
        let mut streams = JoinSet::new();
        while let Some(opened) = opening.join_next().await {
            let (index, stream) = opened??;
            streams.spawn(attend(index, stream, door.clone(), hall.clone()));
        }
        Ok(Self { hall, streams, round: Round::default(), opening: begun.elapsed() })
    }

    /// Subscribers that were connected at the start.
    pub fn size(&self) -> usize {
        self.streams.len()
    }

    /// The clock that marks are stamped by.
    pub fn clock(&self) -> Instant {
        self.hall.clock
    }

    /// Expects `count` further events and returns them as a round.
    pub fn expect(&mut self, count: u32) -> Round {
        self.round = Round { first: self.round.first + self.round.count, count };
        for group in &self.hall.groups {
            lock(group).expect(self.round);
        }
        self.hall.delivered.store(0, Relaxed);
        self.hall.last_arrival.store(self.hall.now(), Relaxed);
        self.round
    }

    /// Waits until everybody has everything, or nothing has come for `quiet`, or `limit` has passed.
    pub async fn settle(&self, quiet: Duration, limit: Duration) {
        let begun = Instant::now();
        let expected = self.size() as u64 * u64::from(self.round.count);
        while self.hall.delivered.load(Relaxed) < expected && begun.elapsed() < limit {
            let silence = self.hall.now().saturating_sub(self.hall.last_arrival.load(Relaxed));
            if u128::from(silence) > quiet.as_nanos() && begun.elapsed() > quiet {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// When the last event of the round arrived, by the audience's clock.
    pub fn last_arrival(&self) -> Duration {
        Duration::from_nanos(self.hall.last_arrival.load(Relaxed))
    }

    /// How often the server has ended a stream so far.
    pub fn cut(&self) -> u64 {
        self.hall.cut.load(Relaxed)
    }

    /// The round so far.
    pub fn outcome(&self) -> Result<Outcome> {
        let groups: Vec<_> = self.hall.groups.iter().map(lock).collect();
        Outcome::of(groups.iter().map(|group| &**group))
    }
}

/// Where streams are opened.
struct StreamTarget {
    address: SocketAddr,
    host: String,
    path: String,
    places: Semaphore,
}

impl StreamTarget {
    async fn open(&self, index: usize, last_id: LastId) -> Result<Stream> {
        let _place = self.places.acquire().await?;
        let (name, address) = wire::client_address(index);
        let mut headers = vec![("Accept", "text/event-stream"), ("Cache-Control", "no-cache"), (name, &*address)];
        headers.extend(last_id.text().map(|id| ("Last-Event-ID", id)));
        let request = wire::request("GET", &self.path, &self.host, &headers, &[]);
        tokio::time::timeout(OPEN_LIMIT, Stream::open(self.address, &request, last_id))
            .await
            .map_err(|_| format!("a stream did not open within {OPEN_LIMIT:?}"))?
    }
}

/// A subscriber's life: reads its stream, and resumes it when it ends.
async fn attend(index: usize, mut stream: Stream, door: Arc<StreamTarget>, hall: Arc<Hall>) {
    loop {
        while stream.read(index, &hall).await > 0 {}
        hall.cut.fetch_add(1, Relaxed);
        let mut pause = RETRY.mul_f64(1.0 + index as f64 % 64.0 / 64.0);
        stream = loop {
            tokio::time::sleep(pause).await;
            match door.open(index, stream.last_id).await {
                Ok(resumed) => break resumed,
                Err(_) => pause *= 2,
            }
        };
    }
}

/// An open stream.
struct Stream {
    tcp: TcpStream,
    body: Body,
    finder: Finder,
    last_id: LastId,
    /// Body that came with the head; it is noted with the first read.
    early: Vec<u8>,
}

impl Stream {
    async fn open(address: SocketAddr, request: &[u8], last_id: LastId) -> Result<Self> {
        let mut tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        tcp.write_all(request).await?;
        let mut bytes = Vec::with_capacity(1024);
        let head = loop {
            match Head::parse(&bytes)? {
                Some(head) if head.status != 200 => {
                    let said = String::from_utf8_lossy(bytes.get(head.length..).unwrap_or_default()).into_owned();
                    return Err(format!("a stream was answered {}: {}", head.status, said.trim()).into());
                }
                Some(head) if bytes.len() > head.length => break head,
                _ => {}
            }
            if tcp.read_buf(&mut bytes).await? == 0 {
                return Err("the server closed a stream before it began".into());
            }
        };
        let early = bytes.split_off(head.length);
        Ok(Self { tcp, body: Body::new(head.framing), finder: Finder::default(), last_id, early })
    }

    /// Reads once, notes what came, and returns how many bytes that was.
    async fn read(&mut self, index: usize, hall: &Hall) -> usize {
        let early = std::mem::take(&mut self.early);
        if !early.is_empty() {
            self.note(&early, index, hall);
            return early.len();
        }
        thread_local! {
            static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BUFFER]);
        }
        poll_fn(|context| {
            BUFFER.with_borrow_mut(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                match Pin::new(&mut self.tcp).poll_read(context, &mut buffer) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(Err(_)) => Poll::Ready(0),
                    Poll::Ready(Ok(())) => {
                        self.note(buffer.filled(), index, hall);
                        Poll::Ready(if self.body.done() { 0 } else { buffer.filled().len() })
                    }
                }
            })
        })
        .await
    }

    fn note(&mut self, bytes: &[u8], index: usize, hall: &Hall) {
        let now = hall.now();
        let mut fresh = 0;
        let mut group = None;
        self.body.feed(bytes, |piece| {
            self.finder.scan(piece, |mark| {
                let tally = group.get_or_insert_with(|| hall.group(index));
                fresh += u64::from(tally.note(index / GROUPS, mark, now));
            });
            self.last_id.note(piece);
        });
        drop(group);
        if fresh > 0 {
            hall.last_arrival.fetch_max(now, Relaxed);
            hall.delivered.fetch_add(fresh, Relaxed);
        }
    }
}
