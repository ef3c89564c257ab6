//! Accepting events and sending them.

use super::broadcast::Delivery;
use super::event_log::{Entry, NewEntry};
use super::fan_out::parts;
use super::protocol::{Caller, Publish, Published, PurgeAnswers, PurgedAnswers, Refusal, accepts};
use super::receipts::{self, Receipt};
use super::sockets::Sockets;
use super::sqlite::Sqlite;
use super::state::HubState;
use super::state_error::StateError;
use domain::clock::Timestamp;
use domain::graphql_cache::{PurgeEntry, PurgeNews};
use domain::log_position::Cursor;

impl<Sql: Sqlite, Net: Sockets> HubState<Sql, Net> {
    /// Appends an event to the log, or finds the one that its webhook id became before.
    pub fn publish(&mut self, caller: &Caller, message: Publish, now: Timestamp) -> Result<Published, StateError> {
        let config = self.admit(caller, now)?;
        let is_retired = |version| !accepts(&config.webhook_versions, version, now);
        if message.secret_version.map_or(message.update.is_none(), is_retired) {
            return Err(Refusal::SecretRetired.into());
        }
        let is_dropped = message.issuer.as_ref().is_some_and(|issuer| !issuer.is_trusted(&config));
        if is_dropped || (message.older && !config.mercure.compatibility) {
            return Err(Refusal::TokenRevoked.into());
        }
        if message.receipt.is_none() && message.update.is_none() && config.require_standard_webhooks {
            return Err(Refusal::SignatureForm.into());
        }
        if let Some(key) = &message.receipt {
            match receipts::find(&self.sql, key, now)? {
                Receipt::New => {}
                Receipt::Duplicate(id) => {
                    let rate = self.rates.of_webhooks(&config.limits, now);
                    let purges = self.news_of(&message.purge)?;
                    return Ok(Published { id, duplicate: true, rate, purges });
                }
                Receipt::Reused => return Err(Refusal::WebhookIdReused.into()),
            }
        }
        let rate = self.rates.count_webhook(&self.sql, &config.limits, now)?;
        let Publish { topics, private, name, tail, update, receipt, purge, .. } = message;
        let entry = self.log.append(
            &self.sql,
            now,
            NewEntry { topics, private, name, tail, update, creation_id: None, before: None, change: None },
        )?;
        let id = self.log.cursor(entry.seq);
        self.mark_for_clean_up();
        // Before the receipt: a sender that repeats what failed here is heard again.
        if let Some(purge) = &purge {
            self.add_purge(entry.seq, purge)?;
        }
        let purges = self.news_of(&purge)?;
        if let Some(key) = &receipt {
            receipts::record(&self.sql, key, &id, now)?;
        }
        self.enqueue(entry, now);
        Ok(Published { id, duplicate: false, rate, purges })
    }

    /// Ends kept answers by an entry of the log that no stream sees.
    pub fn purge_answers(
        &mut self,
        caller: &Caller,
        message: &PurgeAnswers,
        now: Timestamp,
    ) -> Result<PurgedAnswers, StateError> {
        self.admit(caller, now)?;
        let entry = self.log.append_unseen(&self.sql, now)?;
        let id = self.log.cursor(entry.seq);
        self.mark_for_clean_up();
        self.add_purge(entry.seq, message)?;
        self.enqueue(entry, now);
        Ok(PurgedAnswers { id, purges: self.purge_news(message.after.as_ref())? })
    }

    fn add_purge(&mut self, seq: u64, purge: &PurgeAnswers) -> Result<(), StateError> {
        let entry = PurgeEntry { seq, soft: purge.soft, tags: purge.tags.clone() };
        Ok(self.purges.add(&self.sql, &entry)?)
    }

    fn news_of(&self, purge: &Option<PurgeAnswers>) -> Result<Option<PurgeNews>, StateError> {
        purge.as_ref().map(|purge| self.purge_news(purge.after.as_ref())).transpose()
    }

    /// The purges that somebody does not know yet.
    pub(super) fn purge_news(&self, after: Option<&Cursor>) -> Result<PurgeNews, StateError> {
        Ok(self.purges.news(&self.sql, after, self.log.cursor(self.log.last()))?)
    }

    /// Queues an event that is in the log for the next fan-out.
    pub(super) fn enqueue(&mut self, entry: Entry, now: Timestamp) {
        if !self.streams.is_empty() {
            self.fan_out.enqueue(entry, now);
        }
    }

    /// In how many milliseconds the next fan-out is due, if events wait.
    pub fn fan_out_due_in(&self, now: Timestamp) -> Option<i64> {
        self.fan_out.due_in(now)
    }

    /// How many milliseconds a fan-out that is due should wait for a pause between publishes, if it should.
    pub fn fan_out_debounce(&self, now: Timestamp) -> Option<i64> {
        self.fan_out.debounce(now)
    }

    /// Sends all waiting events that reach anybody now.
    pub fn fan_out(&mut self, now: Timestamp) {
        let mut batch = self.fan_out.begin(now);
        if batch.is_empty() {
            return;
        }
        batch.retain_mut(|entry| self.collections.judge(entry));
        for part in parts(&batch) {
            let delivery = self.fan_out.delivery(part, now);
            self.send(part, delivery, now);
        }
        self.advance_watermark();
    }

    /// Notes that the runtime has carried out the last fan-out.
    pub fn fan_out_finished(&mut self, now: Timestamp) {
        let cost_millis = self.fan_out.finish(now);
        self.load.fanned_out(cost_millis, now);
    }

    /// Sends a batch of events, which were judged, to the live streams that it is for.
    pub(super) fn send(&mut self, batch: &[Entry], delivery: Delivery, now: Timestamp) {
        for broadcast in self.streams.broadcasts(&self.log, batch, delivery, now) {
            if delivery == Delivery::Paged {
                broadcast.streams.iter().for_each(|id| self.store_attachment(*id));
            }
            self.load.delivered(broadcast.streams.len() as u64, now);
            self.net.send(self.streams.sockets(&broadcast.streams), &broadcast.bytes);
        }
    }

    /// Stores a stream's attachment in its socket.
    pub(super) fn store_attachment(&self, id: u64) {
        let Some(stream) = self.streams.get(id) else { return };
        if let Ok(json) = serde_json::to_string(&stream.attachment) {
            self.net.set_attachment(&stream.socket, &json);
        }
    }
}
