//! The hub's state machine: what the Durable Object does, without the Durable Object.
//!
//! It is generic over its SQLite and its sockets, and takes the time as an argument, so that tests on the host run the
//! very functions that ship (`model/`). Its methods are turns: each runs to its end without an `await`.
//!
//! Invariants
//! - The memory can be rebuilt from SQLite, the sockets' attachments and the watermark at any moment, because an instance
//!   may end after any turn. Whoever gets [`StateError::Storage`] drops the memory.
//! - The watermark is the text that the runtime answers pings with: every live stream was sent every event up to it. It
//!   moves only behind a fan-out, so a client's cursor never passes an event that the client has not been sent.
//! - What a turn writes and what it replies leave together: the runtime holds replies and messages back until the writes
//!   are durable.

use std::cell::RefCell;
use std::rc::Rc;

use super::attachment::Attachment;
use super::broadcast::Delivery;
use super::current_collections::CurrentCollections;
use super::event_log::{EventLog, Page};
use super::fan_out::FanOut;
use super::load::Load;
use super::moved_streams::Carrying;
use super::presence::{self, Departures};
use super::protocol::{
    Caller, Configured, CountLogin, CountMail, Drawn, Grant, GrantRequest, HubStatus, ListAnswerCounts,
    ListedAnswerCounts, LoginSucceeded, RecordAnswerCounts, RecordCacheStats, Refusal, RequestClass, TenantConfig,
};
use super::purges::Purges;
use super::rates::Rates;
use super::replay_budget::ReplayBudget;
use super::signs_of_life::SignsOfLife;
use super::sockets::{NORMAL_CLOSURE, Sockets};
use super::sqlite::{Sqlite, SqliteError};
use super::state_error::StateError;
use super::streams::Streams;
use super::subscription_index::Adding;
use super::{answer_counts, cache_stats, logins, mails, receipts, revocation, stored_state, ticket};
use crate::tenant_id::TenantId;
use domain::clock::Timestamp;
use domain::log_position::Cursor;

/// Most bytes of events that are read from the log at once: a page of a replay.
const PAGE_BYTES: u64 = 256 * 1024;

/// The time between two runs of the clean-up.
const CLEAN_UP_MILLIS: i64 = 3_600_000;

/// Keys of the stored state.
const CONFIG: &str = "config";
const ALARM_AT: &str = "alarm_at";

/// The state of a tenant's hub while it is awake.
pub struct HubState<Sql, Net: Sockets> {
    pub(super) tenant: TenantId,
    pub(super) sql: Sql,
    pub(super) net: Net,
    pub(super) log: EventLog,
    pub(super) purges: Purges,
    pub(super) collections: CurrentCollections,
    pub(super) config: Option<Rc<TenantConfig>>,
    pub(super) rates: Rates,
    pub(super) streams: Streams<Net::Socket>,
    pub(super) fan_out: FanOut,
    pub(super) load: Load,
    pub(super) carrying: Carrying,
    pub(super) departures: Departures,
    pub(super) signs_of_life: SignsOfLife,
    pub(super) replay_budget: ReplayBudget,
    /// Milliseconds without a ping after which a client counts as gone, where its place is needed.
    pub(super) silence_millis: i64,
    alarm_at: Option<Timestamp>,
    needs_clean_up: bool,
    restored: u64,
}

impl<Sql: Sqlite, Net: Sockets> HubState<Sql, Net> {
    /// Rebuilds the memory from what survived, and sends the events that the last instance accepted but did not send.
    ///
    /// `random` names the log's epoch if this hub is new.
    pub fn wake(
        tenant: TenantId,
        sql: Sql,
        net: Net,
        random: [u8; 8],
        silence_millis: i64,
        now: Timestamp,
    ) -> Result<Self, SqliteError> {
        create_tables(&sql)?;
        let config: Option<TenantConfig> =
            stored_state::read(&sql, CONFIG)?.and_then(|json| serde_json::from_str(&json).ok());
        let alarm_at: Option<i64> = stored_state::read(&sql, ALARM_AT)?.and_then(|text| text.parse().ok());
        // What a later hub may append to it stands behind a semicolon.
        let watermark = net.ping_reply();
        let watermark = watermark
            .as_deref()
            .and_then(|reply| reply.split(';').next())
            .and_then(Cursor::parse)
            .map(|cursor| cursor.seq);
        let log = EventLog::open(&sql, random)?;
        let mut collections = CurrentCollections::open(&sql)?;
        if log.was_unnamed() {
            collections.distrust(&sql)?;
        }
        let purges = Purges::open(&sql, log.last())?;
        let mut state = Self {
            tenant,
            log,
            purges,
            collections,
            config: config.map(Rc::new),
            rates: Rates::open(&sql)?,
            streams: Streams::default(),
            fan_out: FanOut::new(watermark),
            load: Load::default(),
            carrying: Carrying::default(),
            departures: Departures::default(),
            signs_of_life: SignsOfLife::default(),
            replay_budget: ReplayBudget::default(),
            silence_millis,
            alarm_at: alarm_at.map(Timestamp::from_millis),
            needs_clean_up: alarm_at.is_some(),
            restored: 0,
            sql,
            net,
        };
        state.restore_streams();
        let Self { sql, streams, .. } = &state;
        let next_end = presence::mark_gone(sql, |id| streams.get(id).is_some(), now)?;
        state.departures.next_end = next_end;
        if !state.streams.is_empty() {
            state.close_unauthorized(now);
            state.close_revoked()?;
            state.send_unsent(now)?;
            state.advance_watermark();
        }
        Ok(state)
    }

    fn restore_streams(&mut self) {
        let through = self.fan_out.watermark().unwrap_or_else(|| self.log.last());
        for socket in self.net.all() {
            let json = self.net.attachment(&socket);
            let attachment = json.and_then(|json| serde_json::from_str::<Attachment>(&json).ok());
            let compiled = attachment.and_then(|attachment| {
                let compiled = self.streams.compile(&attachment, Adding::Restored).ok()?;
                Some((compiled, attachment))
            });
            match compiled {
                Some((compiled, attachment)) => {
                    let carriage = self.net.carriage(&socket);
                    self.streams.insert((socket, carriage), attachment, compiled, through);
                    self.restored += 1;
                }
                // Another version of the hub wrote it, or let more patterns in. Its bridge attaches again.
                None => self.net.close(&socket, NORMAL_CLOSURE),
            }
        }
    }

    /// Sends what the log holds behind the watermark. Each event in a message of its own: a bridge that has seen some of
    /// them drops those by their sequence number.
    fn send_unsent(&mut self, now: Timestamp) -> Result<(), SqliteError> {
        let Some(mut at) = self.fan_out.watermark() else { return Ok(()) };
        while at < self.log.last() {
            let page = self.page(at)?;
            for entry in page.entries {
                self.send(&[entry], Delivery::Live, now);
            }
            at = page.through;
        }
        Ok(())
    }

    /// The page of the log that begins behind `after`, judged as of now: without what reaches nobody.
    pub(super) fn page(&self, after: u64) -> Result<Page, SqliteError> {
        let mut page = self.log.page(&self.sql, after, PAGE_BYTES)?;
        page.entries.retain_mut(|entry| self.collections.judge(entry));
        Ok(page)
    }

    /// Tells the runtime the new watermark, if it has moved.
    pub(super) fn advance_watermark(&mut self) {
        if self.fan_out.advance_watermark(self.log.last()) {
            self.net.set_ping_reply(&self.log.cursor(self.log.last()).to_string());
        }
    }

    /// The tenant's configuration, if the caller may act on it now.
    pub(super) fn admit(&self, caller: &Caller, now: Timestamp) -> Result<Rc<TenantConfig>, Refusal> {
        if !self.tenant.is_named_by(&caller.tenant) {
            return Err(Refusal::WrongTenant);
        }
        let config = self.config.as_ref().filter(|c| c.revision >= caller.revision).ok_or(Refusal::Behind)?;
        if caller.host.as_ref().is_some_and(|host| !config.hosts.contains(host)) {
            return Err(Refusal::WrongHost);
        }
        if !config.is_served(now) {
            return Err(Refusal::Stopped);
        }
        if caller.judged_at.is_some_and(|judged_at| judged_at < config.revision) {
            return Err(Refusal::Outdated(config.revision));
        }
        Ok(Rc::clone(config))
    }

    /// Stores a configuration, unless the hub has a later one, and closes the streams that it does not allow.
    pub fn configure(&mut self, config: TenantConfig, now: Timestamp) -> Result<Configured, StateError> {
        if let Some(current) = self.config.as_ref().filter(|current| current.revision > config.revision) {
            return Ok(Configured { revision: current.revision });
        }
        let json = serde_json::to_string(&config).map_err(|_| Refusal::Malformed)?;
        stored_state::write(&self.sql, CONFIG, &json)?;
        let revision = config.revision;
        self.config = Some(Rc::new(config));
        self.close_unauthorized(now);
        self.close_beyond_limits();
        Ok(Configured { revision })
    }

    /// The configuration, and leases of permits of the classes that were asked for. A message with more classes than there
    /// are is malformed.
    pub fn grant(&mut self, caller: &Caller, message: &GrantRequest, now: Timestamp) -> Result<Grant, StateError> {
        let config = self.admit(caller, now)?;
        if message.classes.len() > RequestClass::ALL.len() {
            return Err(Refusal::Malformed.into());
        }
        let log = Some(self.log.cursor(self.log.last()));
        let purges = message.purges.as_ref().map(|purges| self.purge_news(purges.after.as_ref())).transpose()?;
        let mut grant = Grant { config: TenantConfig::clone(&config), lease: None, drawn: Vec::new(), log, purges };
        if let Some(class) = message.class.filter(|_| message.classes.is_empty()) {
            grant.lease = Some(self.rates.lease(&self.sql, class, &config.limits, now)?);
        }
        for class in &message.classes {
            grant.drawn.push(match self.rates.lease(&self.sql, *class, &config.limits, now) {
                Ok(lease) => Drawn::Permits(*class, lease),
                Err(StateError::Refused(Refusal::RateLimited(rate))) => Drawn::UsedUp(*class, rate),
                Err(other) => return Err(other),
            });
        }
        Ok(grant)
    }

    /// Counts an attempt to sign in, or refuses it.
    pub fn count_login(&mut self, caller: &Caller, message: &CountLogin, now: Timestamp) -> Result<(), StateError> {
        self.admit(caller, now)?;
        self.needs_clean_up = true;
        match logins::count(&self.sql, &message.address, &message.account, now)? {
            None => Ok(()),
            Some(rate) => Err(Refusal::RateLimited(rate).into()),
        }
    }

    /// Takes an attempt back that has succeeded.
    pub fn login_succeeded(
        &mut self,
        caller: &Caller,
        message: &LoginSucceeded,
        now: Timestamp,
    ) -> Result<(), StateError> {
        self.admit(caller, now)?;
        self.needs_clean_up = true;
        Ok(logins::succeeded(&self.sql, &message.address, &message.account, now)?)
    }

    /// Counts a mail, or refuses it.
    pub fn count_mail(&mut self, caller: &Caller, message: &CountMail, now: Timestamp) -> Result<(), StateError> {
        self.admit(caller, now)?;
        self.needs_clean_up = true;
        match mails::count(&self.sql, message.network.as_deref(), &message.person, now)? {
            None => Ok(()),
            Some(rate) => Err(Refusal::RateLimited(rate).into()),
        }
    }

    /// Adds to the cache's counts.
    pub fn record_cache_stats(&mut self, message: &RecordCacheStats) -> Result<(), StateError> {
        if !self.tenant.is_named_by(&message.tenant) {
            return Err(Refusal::WrongTenant.into());
        }
        let more = cache_stats::CacheStats { hits: message.hits, misses: message.misses };
        Ok(cache_stats::add(&self.sql, more)?)
    }

    /// Adds to the counts of kept answers.
    pub fn record_answer_counts(&mut self, message: &RecordAnswerCounts, now: Timestamp) -> Result<(), StateError> {
        if !self.tenant.is_named_by(&message.tenant) {
            return Err(Refusal::WrongTenant.into());
        }
        Ok(answer_counts::add(&self.sql, &message.counts, now)?)
    }

    /// The counts of kept answers.
    pub fn answer_counts(&self, message: &ListAnswerCounts, now: Timestamp) -> Result<ListedAnswerCounts, StateError> {
        if !self.tenant.is_named_by(&message.tenant) {
            return Err(Refusal::WrongTenant.into());
        }
        let listed = answer_counts::list(&self.sql, i64::from(message.days), now)?;
        let counts = listed.into_iter().map(|one| (one.day, one.operation, one.counts)).collect();
        Ok(ListedAnswerCounts { counts })
    }

    /// The retention's floor: every event behind it can be read.
    pub(super) fn floor(&self, now: Timestamp) -> Result<u64, SqliteError> {
        match &self.config {
            Some(config) => self.log.floor(&self.sql, &config.limits, now),
            None => Ok(0),
        }
    }

    pub fn status(&self, started_at: Timestamp, now: Timestamp) -> Result<HubStatus, StateError> {
        let cache = cache_stats::read(&self.sql)?;
        Ok(HubStatus {
            revision: self.config.as_ref().map_or(0, |config| config.revision),
            started_at,
            latest: self.log.cursor(self.log.last()),
            earliest: self.log.cursor(self.floor(now)?),
            streams: self.streams.len(),
            carried: self.streams.carried(),
            pending: self.fan_out.waiting(),
            restored: self.restored,
            cache_hits: cache.hits,
            cache_misses: cache.misses,
        })
    }

    /// Notes that there will be expired rows to delete.
    pub(super) fn mark_for_clean_up(&mut self) {
        self.needs_clean_up = true;
    }

    /// The alarm: closes streams whose rights have ended and deletes expired rows.
    pub fn on_alarm(&mut self, now: Timestamp) -> Result<(), StateError> {
        self.close_unauthorized(now);
        let tickets = ticket::trim(&self.sql, now)?;
        let revocations = revocation::trim(&self.sql, now)?;
        let logins = logins::trim(&self.sql, now)?;
        let mails = mails::trim(&self.sql, now)?;
        let receipts = receipts::trim(&self.sql, now)?;
        let events = match &self.config {
            Some(config) => self.log.trim(&self.sql, &config.limits, now)?,
            None => false,
        };
        self.needs_clean_up = events || receipts || tickets || revocations || logins || mails;
        self.alarm_at = None;
        stored_state::write(&self.sql, ALARM_AT, "")?;
        Ok(())
    }

    /// When to set the alarm, unless it is set to that moment already. Called after each turn.
    pub fn alarm_due(&mut self, now: Timestamp) -> Result<Option<Timestamp>, StateError> {
        let clean_up = self
            .needs_clean_up
            .then(|| self.alarm_at.filter(|at| *at > now).unwrap_or(now.plus_millis(CLEAN_UP_MILLIS)));
        let ends = self.config.iter().flat_map(|config| {
            let grace_periods = config.subscription_versions.iter().filter_map(|version| version.until);
            grace_periods.chain(config.expires_at)
        });
        let next = ends.chain(self.departures.next_end).filter(|at| *at > now).chain(clean_up).min();
        if next.is_none() || next == self.alarm_at {
            return Ok(None);
        }
        self.alarm_at = next;
        let stored = next.map(|at| at.millis().to_string()).unwrap_or_default();
        stored_state::write(&self.sql, ALARM_AT, &stored)?;
        Ok(next)
    }
}

/// The hub's state while it is in memory.
pub struct LoadedState<State>(RefCell<Option<State>>);

impl<State> Default for LoadedState<State> {
    fn default() -> Self {
        Self(RefCell::new(None))
    }
}

impl<State> LoadedState<State> {
    /// Runs one turn. Wakes the hub first if it has no memory; drops the memory if the storage fails.
    pub fn turn<T>(
        &self,
        wake: impl FnOnce() -> Result<State, SqliteError>,
        act: impl FnOnce(&mut State) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        let mut memory = self.0.try_borrow_mut().map_err(|_| Refusal::Failed)?;
        let state = match &mut *memory {
            Some(state) => state,
            empty => empty.insert(wake()?),
        };
        let outcome = act(state);
        if matches!(outcome, Err(StateError::Storage(_))) {
            *memory = None;
        }
        outcome
    }

    pub fn forget(&self) {
        *self.0.borrow_mut() = None;
    }
}

fn create_tables(sql: &impl Sqlite) -> Result<(), SqliteError> {
    stored_state::create_table(sql)?;
    receipts::create_table(sql)?;
    ticket::create_table(sql)?;
    revocation::create_table(sql)?;
    logins::create_tables(sql)?;
    mails::create_table(sql)?;
    answer_counts::create_table(sql)?;
    presence::create_table(sql)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::model::{FakeSockets, FakeSql, served};

    const NOW: Timestamp = Timestamp::from_millis(0);

    fn hub_at(revision: i64) -> HubState<FakeSql, FakeSockets> {
        let (sql, net) = (FakeSql::new(), FakeSockets::default());
        let mut state = HubState::wake(TenantId::proven("acme"), sql, net, [1; 8], 60_000, NOW).unwrap();
        state.configure(TenantConfig { revision, ..served() }, NOW).unwrap();
        state
    }

    fn caller(revision: i64, judged_at: Option<i64>) -> Caller {
        Caller { tenant: (&TenantId::proven("acme")).into(), revision, host: None, judged_at }
    }

    #[test]
    fn a_request_that_an_older_configuration_judged_is_to_be_judged_again() {
        let hub = hub_at(7);
        let admitted = |revision, judged_at| hub.admit(&caller(revision, judged_at), NOW).map(|_| ());
        assert_eq!(admitted(6, Some(6)), Err(Refusal::Outdated(7)));
        assert_eq!(admitted(7, Some(7)), Ok(()));
        assert_eq!(admitted(8, Some(8)), Err(Refusal::Behind), "the hub is the older one");
        assert_eq!(admitted(6, None), Ok(()), "nothing hangs on the configuration");
    }
}
