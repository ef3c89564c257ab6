//! The hub while it is awake: log, limits, index, and the streams with their sockets.
//!
//! Invariants
//! - Everything here can be built again from SQLite, the sockets' attachments and the watermark, at
//!   any moment: an instance may end after every turn.
//! - The watermark is the text the runtime answers pings with: the place up to which every live
//!   stream has been sent everything. It moves only after a spread, so a cursor never runs ahead of its events.
//! - What a turn writes and what it answers leave together: the runtime holds answers and messages
//!   back until the writes are durable.

use std::collections::HashMap;

use super::event_log::{Draft, Entry, EventLog, Page, Receipt, Verdict, read_state, write_state};
use super::fanout::{self, Live, Sending, Surge};
use super::lease::{self, Class, Save, Window};
use super::logins;
use super::looks::{self, Looks};
use super::presence::{self, Departure};
use super::protocol::{
    Ask, Caller, Condition, CountLogin, CountLooks, Grant, Lease, Publish, Published, Refusal, RequestClass,
    TenantConfig, accepts,
};
use super::reach::Reached;
use super::revocation;
use super::sieve::Sieve;
use super::sockets::{Ending, Socket, Sockets, send_to};
use super::sqlite::{ObjectSqlite, Sqlite, SqliteError};
use super::subscriber::{Attachment, message};
use super::ticket;
use domain::event::Cursor;
use domain::plan::Limit;

/// Bytes of the log one replay page holds at most.
const PAGE_BYTES: u64 = 256 * 1024;

/// Milliseconds between two deletions of what the retention put out.
const TRIM_MILLIS: i64 = 3_600_000;

/// Why a turn of the hub did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// It was refused, and nothing changed.
    Refused(Refusal),
    /// The storage failed.
    Storage(SqliteError),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<SqliteError> for Failure {
    fn from(error: SqliteError) -> Self {
        Self::Storage(error)
    }
}

/// The hub's memory.
pub struct Awake {
    name: String,
    pub(super) sql: ObjectSqlite,
    pub(super) sockets: Sockets,
    pub(super) log: EventLog,
    pub(super) config: Option<TenantConfig>,
    pub(super) streams: HashMap<u64, Live>,
    pub(super) handles: HashMap<u64, Socket>,
    windows: HashMap<Class, Window>,
    pub(super) index: Reached,
    by_address: HashMap<String, u64>,
    pending: Vec<Entry>,
    surge: Surge,
    watermark: Option<u64>,
    spread_began: i64,
    window: i64,
    waiting_since: i64,
    published_at: i64,
    alarm_at: Option<i64>,
    untidy: bool,
    restored: u64,
    pub(super) departed: Vec<Departure>,
    /// When the next of those whose socket is gone has ended.
    pub(super) ends_next: Option<i64>,
}

impl Awake {
    /// Builds the memory from what survived, and sends what a lost instance had acknowledged but not spread.
    pub fn wake(
        name: String,
        sql: ObjectSqlite,
        sockets: Sockets,
        random: [u8; 8],
        now: i64,
    ) -> Result<Self, SqliteError> {
        let log = EventLog::open(&sql, random)?;
        ticket::open(&sql)?;
        revocation::open(&sql)?;
        logins::open(&sql)?;
        sql.execute("CREATE TABLE IF NOT EXISTS windows (class TEXT PRIMARY KEY, start INTEGER NOT NULL, count INTEGER NOT NULL) WITHOUT ROWID", &[])?;
        let config = read_state(&sql, "config")?.and_then(|json| serde_json::from_str(&json).ok());
        let alarm_at: Option<i64> = read_state(&sql, "alarm_at")?.and_then(|text| text.parse().ok());
        let mut awake = Self {
            name,
            untidy: alarm_at.is_some(),
            windows: read_windows(&sql)?,
            watermark: sockets.answer().as_deref().and_then(Cursor::parse).map(|cursor| cursor.seq),
            sql,
            sockets,
            log,
            config,
            streams: HashMap::new(),
            handles: HashMap::new(),
            index: Reached::default(),
            by_address: HashMap::new(),
            pending: Vec::new(),
            surge: Surge::default(),
            spread_began: 0,
            window: 0,
            waiting_since: 0,
            published_at: 0,
            alarm_at,
            restored: 0,
            departed: Vec::new(),
            ends_next: None,
        };
        awake.restore_streams();
        awake.ends_next = presence::open(&awake.sql, |id| awake.streams.contains_key(&id), now)?;
        awake.catch_up(now)?;
        Ok(awake)
    }

    fn restore_streams(&mut self) {
        let through = self.watermark.unwrap_or_else(|| self.log.last());
        for socket in self.sockets.all() {
            let attachment = socket.attachment().and_then(|json| serde_json::from_str::<Attachment>(&json).ok());
            match attachment.and_then(|attachment| Live::new(attachment, through, &mut self.index)) {
                Some(live) => {
                    self.insert(socket, live);
                    self.restored += 1;
                }
                // Written by another version of the hub: its bridge attaches again.
                None => socket.close_back(),
            }
        }
    }

    /// Spreads what the log holds beyond the watermark, event by event: a bridge that had some of it
    /// already drops those by their number.
    fn catch_up(&mut self, now: i64) -> Result<(), SqliteError> {
        let Some(mut at) = self.watermark.filter(|_| !self.streams.is_empty()) else { return Ok(()) };
        while at < self.log.last() {
            let page = self.log.page(&self.sql, at, PAGE_BYTES)?;
            for entry in page.entries {
                self.send_batch(&[entry], Sending::Live, now);
            }
            at = page.through;
        }
        self.move_watermark();
        Ok(())
    }

    /// The tenant's configuration, if the caller may act on it now.
    pub fn admit(&self, caller: &Caller, now: i64) -> Result<&TenantConfig, Refusal> {
        if caller.tenant != self.name {
            return Err(Refusal::WrongTenant);
        }
        let config = self.config.as_ref().filter(|c| c.revision >= caller.revision).ok_or(Refusal::Behind)?;
        if caller.host.as_ref().is_some_and(|host| !config.hosts.contains(host)) {
            return Err(Refusal::WrongHost);
        }
        if !config.is_served(now) {
            return Err(Refusal::Stopped);
        }
        Ok(config)
    }

    /// Puts a configuration in place unless the hub has a later one; ends the streams it forbids.
    pub fn configure(&mut self, config: TenantConfig, now: i64) -> Result<i64, Failure> {
        if let Some(current) = self.config.as_ref().filter(|current| current.revision > config.revision) {
            return Ok(current.revision);
        }
        let json = serde_json::to_string(&config).map_err(|_| Refusal::Malformed)?;
        write_state(&self.sql, "config", &json)?;
        let revision = config.revision;
        self.config = Some(config);
        self.end_forbidden(now);
        Ok(revision)
    }

    /// The configuration, and permits of a class.
    pub fn grant(&mut self, ask: &Ask, now: i64) -> Result<Grant, Failure> {
        let config = self.admit(&ask.caller, now)?.clone();
        let lease = ask.class.map(|class| self.draw(class, &config, now)).transpose()?;
        Ok(Grant { config, lease })
    }

    fn draw(&mut self, class: RequestClass, config: &TenantConfig, now: i64) -> Result<Lease, Failure> {
        let limits = &config.limits;
        let bounds: &[(Class, Limit)] = match class {
            RequestClass::Api => {
                &[(Class::ApiMinute, limits.api_requests_per_minute), (Class::ApiDay, limits.api_requests_per_day)]
            }
            RequestClass::Anonymous => &[(Class::AnonymousMinute, limits.anonymous_requests_per_minute)],
        };
        let mut windows: Vec<_> = bounds.iter().map(|(class, limit)| (self.window(*class), *limit)).collect();
        let mut drawn: Vec<_> = windows.iter_mut().map(|(window, limit)| (window, *limit)).collect();
        let (lease, saves) = lease::draw(&mut drawn, now).map_err(Refusal::RateLimited)?;
        for ((class, _), (window, _)) in bounds.iter().zip(windows) {
            self.windows.insert(*class, window);
        }
        self.save_windows(&saves)?;
        Ok(lease)
    }

    /// Counts a try to sign in, or refuses it.
    pub fn count_login(&mut self, message: &CountLogin, now: i64) -> Result<(), Failure> {
        self.admit(&message.caller, now)?;
        self.untidy = true;
        match logins::count(&self.sql, &message.address, &message.account, now)? {
            None => Ok(()),
            Some(rate) => Err(Refusal::RateLimited(rate).into()),
        }
    }

    /// Adds how often kept answers were found.
    pub fn count_looks(&mut self, message: &CountLooks) -> Result<(), Failure> {
        if message.tenant != self.name {
            return Err(Refusal::WrongTenant.into());
        }
        let more = Looks { hits: message.hits, misses: message.misses };
        Ok(looks::add(&self.sql, more)?)
    }

    /// Appends an event, or finds the one its webhook id became. Nothing is awaited in here.
    pub fn publish(&mut self, message: Publish, now: i64) -> Result<Published, Failure> {
        let config = self.admit(&message.caller, now)?;
        let retired = |version| !accepts(&config.webhook_versions, version, now);
        if message.secret_version.map_or(message.update.is_none(), retired) {
            return Err(Refusal::SecretRetired.into());
        }
        if message.receipt.is_none() && message.update.is_none() && config.require_standard_webhooks {
            return Err(Refusal::SignatureForm.into());
        }
        let limit = config.limits.webhooks_per_minute;
        let mut window = self.window(Class::WebhookMinute);
        if let Some(key) = &message.receipt {
            match self.log.receipt(&self.sql, key, now)? {
                Receipt::New => {}
                Receipt::Duplicate(id) => {
                    return Ok(Published { id, duplicate: true, rate: window.rate(limit, now) });
                }
                Receipt::Reused => return Err(Refusal::WebhookIdReused.into()),
            }
        }
        if window.remaining(limit, now) == 0 {
            return Err(Refusal::RateLimited(window.rate(limit, now)).into());
        }
        let saves: Vec<_> = window.count(limit, 1, now).into_iter().collect();
        let rate = window.rate(limit, now);
        self.windows.insert(Class::WebhookMinute, window);
        self.save_windows(&saves)?;
        let Publish { topics, private, name, tail, update, receipt, .. } = message;
        let entry = self.log.append(&self.sql, now, Draft { topics, private, name, tail, update })?;
        let id = self.log.cursor(entry.seq);
        self.untidy = true;
        if let Some(key) = &receipt {
            self.log.remember(&self.sql, key, &id, now)?;
        }
        self.enqueue(entry, now);
        Ok(Published { id, duplicate: false, rate })
    }

    /// Lets an event that the log has wait for the next spread.
    pub(super) fn enqueue(&mut self, entry: Entry, now: i64) {
        if self.streams.is_empty() {
            return;
        }
        if self.pending.is_empty() {
            self.waiting_since = now;
        }
        self.pending.push(entry);
        self.published_at = now;
    }

    /// When the next spread is due, if events wait: in how many milliseconds.
    pub fn spread_due(&self, now: i64) -> Option<i64> {
        (!self.pending.is_empty()).then(|| (self.spread_began + self.window - now).max(0))
    }

    /// How many milliseconds a spread that is due waits for a lull among the publishes, if it does.
    pub fn spread_holds(&self, now: i64) -> Option<i64> {
        let free = self.spread_began + self.window;
        let leads = self.waiting_since >= free;
        let lull = if leads { fanout::lead_lull_millis(self.window) } else { fanout::LULL_MILLIS };
        fanout::holds(lull, self.window, free.max(self.waiting_since), self.published_at, now).then_some(lull)
    }

    /// Sends what waits to everyone it is for.
    pub fn spread(&mut self, now: i64) {
        let batch = std::mem::take(&mut self.pending);
        if batch.is_empty() {
            return;
        }
        for part in fanout::parts(&batch) {
            let sending = self.surge.sending(part, now);
            self.send_batch(part, sending, now);
        }
        self.move_watermark();
        self.spread_began = now;
    }

    /// Notes that the runtime has worked off the last spread; the next one waits as long again.
    pub fn spread_done(&mut self, now: i64) {
        self.window = fanout::window_millis(now - self.spread_began);
    }

    fn send_batch(&mut self, batch: &[Entry], sending: Sending, now: i64) {
        let chunks = fanout::chunks(&self.log, batch, &self.index, &mut self.streams, sending, now);
        for chunk in &chunks {
            if sending == Sending::Paged {
                chunk.streams.iter().for_each(|id| self.save(*id));
            }
            send_to(chunk.streams.iter().filter_map(|id| self.handles.get(id)), &chunk.bytes);
        }
    }

    /// Puts into a stream's socket what it needs after waking.
    fn save(&self, id: u64) {
        let json = self.streams.get(&id).and_then(|live| serde_json::to_string(&live.attachment).ok());
        if let (Some(socket), Some(json)) = (self.handles.get(&id), json) {
            socket.set_attachment(&json);
        }
    }

    fn move_watermark(&mut self) {
        if self.pending.is_empty() && self.watermark != Some(self.log.last()) {
            self.watermark = Some(self.log.last());
            self.sockets.set_answer(&self.log.cursor(self.log.last()).to_string());
        }
    }

    /// Adds a stream, which the index has.
    pub(super) fn insert(&mut self, socket: Socket, live: Live) {
        let Attachment { id, address, .. } = &live.attachment;
        *self.by_address.entry(address.clone()).or_default() += 1;
        self.handles.insert(*id, socket);
        self.streams.insert(*id, live);
        self.move_watermark();
    }

    /// Takes a stream out; its slot is free. One that did not end by its own will or ours may come back.
    pub fn remove(&mut self, id: u64, ended: bool) {
        self.handles.remove(&id);
        if let Some(live) = self.streams.remove(&id) {
            let departure = |subscriber: &String| Departure { subscriber: subscriber.clone(), stream: id, ended };
            self.departed.extend(live.attachment.subscriber.as_ref().map(departure));
            self.index.remove(id, &live.attachment.interest);
            if let Some(count) = self.by_address.get_mut(&live.attachment.address) {
                *count -= 1;
                if *count == 0 {
                    self.by_address.remove(&live.attachment.address);
                }
            }
        }
        if self.streams.is_empty() {
            self.pending.clear();
            self.move_watermark();
        }
    }

    /// Open streams of an address.
    pub(super) fn streams_of(&self, address: &str) -> u64 {
        self.by_address.get(address).copied().unwrap_or(0)
    }

    /// Ends a stream from here.
    pub(super) fn end(&mut self, id: u64, ending: Ending) {
        if let Some(socket) = self.handles.get(&id) {
            socket.close(ending);
        }
        self.remove(id, true);
    }

    /// Ends every stream: the tenant is no more.
    pub fn close_all(&mut self) {
        for id in self.streams.keys().copied().collect::<Vec<_>>() {
            self.end(id, Ending::TenantUnavailable);
        }
    }

    /// Ends the streams that the configuration or the time forbids.
    pub fn end_forbidden(&mut self, now: i64) {
        let Some(config) = &self.config else { return };
        let served = config.is_served(now);
        let judge = |attachment: &Attachment| {
            let retired = |version| !accepts(&config.subscription_versions, version, now);
            let over =
                attachment.expires_at.is_some_and(|at| at <= now) || attachment.secret_version.is_some_and(retired);
            match (served, over) {
                (false, _) => Some(Ending::TenantUnavailable),
                (true, true) => Some(Ending::TokenExpired),
                (true, false) => None,
            }
        };
        let over: Vec<_> = self.streams.iter().filter_map(|(id, live)| Some((*id, judge(&live.attachment)?))).collect();
        for (id, ending) in over {
            self.end(id, ending);
        }
    }

    /// The next page of a replay, and whether the stream is live behind it.
    pub fn next_page(&mut self, id: u64, now: i64) -> Result<(), SqliteError> {
        let Some(live) = self.streams.get_mut(&id) else { return Ok(()) };
        let Some(at) = live.attachment.replaying else { return Ok(()) };
        let Page { entries, through, more } = self.log.page(&self.sql, at, PAGE_BYTES)?;
        live.attachment.replaying = more.then_some(through);
        live.through = through;
        let mut sieve = Sieve::default();
        let wanted = entries.iter().filter(|entry| live.wants(entry, now) && sieve.passes(entry, live.filter.as_ref()));
        let frames = fanout::frames(&self.log, wanted, live.attachment.wire);
        let bytes = message(if more { b'P' } else { b'L' }, through, &frames);
        self.save(id);
        if let Some(socket) = self.handles.get(&id) {
            socket.send(&bytes);
        }
        Ok(())
    }

    /// The place behind which everything is kept.
    pub(super) fn floor(&self, now: i64) -> Result<u64, SqliteError> {
        match &self.config {
            Some(config) => self.log.floor(&self.sql, &config.limits, now),
            None => Ok(0),
        }
    }

    /// Judges the cursor a client sent.
    pub(super) fn judge(&self, sent: &str, now: i64) -> Result<(Verdict, Cursor), SqliteError> {
        let floor = self.floor(now)?;
        Ok((self.log.judge(sent, floor), self.log.cursor(floor)))
    }

    /// How the hub is.
    pub fn condition(&self, started_at: i64, now: i64) -> Result<Condition, SqliteError> {
        let looks = looks::read(&self.sql)?;
        Ok(Condition {
            revision: self.config.as_ref().map_or(0, |config| config.revision),
            started_at,
            latest: self.log.cursor(self.log.last()),
            earliest: self.log.cursor(self.floor(now)?),
            streams: self.streams.len() as u64,
            pending: self.pending.len() as u64,
            restored: self.restored,
            cache_hits: looks.hits,
            cache_misses: looks.misses,
        })
    }

    /// What the hourly alarm does: deletes what is out of date and ends what is over.
    pub fn tidy(&mut self, now: i64) -> Result<(), SqliteError> {
        self.end_forbidden(now);
        let tickets = ticket::trim(&self.sql, now)?;
        let revocations = revocation::trim(&self.sql, now)?;
        let tries = logins::trim(&self.sql, now)?;
        let kept = match &self.config {
            Some(config) => self.log.trim(&self.sql, &config.limits, now)?,
            None => false,
        };
        self.untidy = kept || tickets || revocations || tries;
        self.alarm_at = None;
        write_state(&self.sql, "alarm_at", "")?;
        Ok(())
    }

    /// The tenant's id.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Notes that there will be something to delete.
    pub(super) fn mark_untidy(&mut self) {
        self.untidy = true;
    }

    /// The alarm to set now, in milliseconds since 1970, if the one that stands is not early enough.
    pub fn alarm_due(&mut self, now: i64) -> Result<Option<i64>, SqliteError> {
        let trim = self.untidy.then(|| self.alarm_at.filter(|at| *at > now).unwrap_or(now + TRIM_MILLIS));
        let ends = self.config.iter().flat_map(|config| {
            let graces = config.subscription_versions.iter().filter_map(|version| version.until);
            graces.chain(config.expires_at)
        });
        let next = ends.chain(self.ends_next).filter(|at| *at > now).chain(trim).min();
        if next.is_none() || next == self.alarm_at {
            return Ok(None);
        }
        self.alarm_at = next;
        write_state(&self.sql, "alarm_at", &next.map(|at| at.to_string()).unwrap_or_default())?;
        Ok(next)
    }

    fn window(&self, class: Class) -> Window {
        self.windows.get(&class).copied().unwrap_or_else(|| Window::new(class))
    }

    fn save_windows(&self, saves: &[Save]) -> Result<(), SqliteError> {
        for save in saves {
            let name = Class::ALL.iter().find(|(class, _)| *class == save.class).map_or("", |(_, name)| name);
            self.sql.execute(
                "INSERT OR REPLACE INTO windows (class, start, count) VALUES (?, ?, ?)",
                &[name.into(), save.start.into(), save.count.into()],
            )?;
        }
        Ok(())
    }
}

fn read_windows(sql: &impl Sqlite) -> Result<HashMap<Class, Window>, SqliteError> {
    let rows = sql.query("SELECT class, start, count FROM windows", &[])?;
    let read = rows.into_iter().filter_map(|row| {
        let [name, start, count] = super::event_log::cells(row);
        let name = name.into_text()?;
        let (class, _) = Class::ALL.into_iter().find(|(_, known)| *known == name)?;
        Some((class, Window::restore(Save { class, start: start.integer(), count: count.count() })))
    });
    Ok(read.collect())
}
