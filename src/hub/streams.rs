//! The open streams with their sockets, and the index of what they ask for.

use std::collections::HashMap;

use super::attachment::Attachment;
use super::change_judge::RecordFilter;
use super::event_log::Entry;
use super::filter_budget::{Bringer, FilterBudget};
use super::protocol::{CarriedStreams, PatternParameter, Refusal, RefusedPattern};
use super::sockets::Carriage;
use super::subscription_index::{Adding, CompiledInterest, NotAdded, Subscriber, SubscriptionIndex};
use domain::address::Network;
use domain::clock::Timestamp;
use domain::matching::budget::PatternBound;
use domain::matching::matcher::Subject;

/// What a stream asks for, ready to be matched.
#[derive(Debug)]
pub struct Compiled {
    interest: CompiledInterest,
    filter: Option<RecordFilter>,
}

/// An open stream.
#[derive(Debug)]
pub struct Stream<S> {
    pub socket: S,
    /// What its socket keeps through hibernation. Whoever changes it stores it in the socket.
    pub attachment: Attachment,
    /// Every event up to this sequence number was sent to it, or is not for it.
    pub through: u64,
    pub carriage: Carriage,
    compiled: Compiled,
}

impl<S> Stream<S> {
    /// Whether an event on these topics is for this stream, leaving its filter aside.
    pub fn admits(&self, entry: &Entry, topics: &[Subject<'_>], now: Timestamp) -> bool {
        let basis = &self.attachment.basis;
        let is_entitled = basis.expires_at.is_none_or(|at| now < at);
        (is_entitled || !entry.private) && self.compiled.interest.admits(topics, entry.private, basis.rights())
    }

    /// The same for an event that was read from the log.
    pub fn wants(&self, entry: &Entry, now: Timestamp) -> bool {
        self.admits(entry, &self.compiled.interest.subjects(&entry.topics), now)
    }

    /// Whether it is about a change that is in the list which the stream goes on from.
    pub fn has_seen(&self, entry: &Entry) -> bool {
        entry.change.is_some_and(|change| self.attachment.seen.is_some_and(|seen| change <= seen))
    }

    pub fn filter(&self) -> Option<&RecordFilter> {
        self.compiled.filter.as_ref()
    }
}

/// All open streams, by number. Generic over their sockets.
#[derive(Debug)]
pub struct Streams<S> {
    pub(super) by_id: HashMap<u64, Stream<S>>,
    pub(super) index: SubscriptionIndex,
    filters: FilterBudget,
    by_network: HashMap<Network, u64>,
    direct: u64,
}

impl<S> Default for Streams<S> {
    fn default() -> Self {
        Self {
            by_id: HashMap::new(),
            index: SubscriptionIndex::default(),
            filters: FilterBudget::default(),
            by_network: HashMap::new(),
            direct: 0,
        }
    }
}

impl<S> Streams<S> {
    /// Compiles what a stream asks for and adds it to the index. Either [`Self::insert`] or [`Self::discard`] follows.
    pub fn compile(&mut self, attachment: &Attachment, adding: Adding) -> Result<Compiled, Refusal> {
        let filter = match &attachment.interest.filter {
            Some(text) => Some(RecordFilter::parse(text).ok_or(Refusal::Malformed)?),
            None => None,
        };
        let subscriber = attachment.indexed();
        let interest = self.index.insert(&subscriber, adding).map_err(|error| match error {
            NotAdded::Invalid(_) => Refusal::Malformed,
            NotAdded::TooMany(pattern) => Refusal::TooManyPatterns(pattern),
        })?;
        if let Some((text, asked)) = filter.as_ref().map(RecordFilter::parts) {
            let Subscriber { network, is_stranger, .. } = subscriber;
            let by = Bringer { network, is_stranger, is_restored: adding == Adding::Restored };
            if !self.filters.take(text, asked, by) {
                self.index.remove(&subscriber, &interest);
                let (parameter, bound) = (PatternParameter::Filter, PatternBound::Comparisons);
                return Err(Refusal::TooManyPatterns(RefusedPattern { parameter, bound }));
            }
        }
        Ok(Compiled { interest, filter })
    }

    /// Takes a stream out of the index that got no socket.
    pub fn discard(&mut self, attachment: &Attachment, compiled: &Compiled) {
        let subscriber = attachment.indexed();
        self.index.remove(&subscriber, &compiled.interest);
        if let Some(filter) = &compiled.filter {
            self.filters.give_back(filter.parts().0, subscriber.is_stranger);
        }
    }

    /// Adds a stream that was compiled and has been sent everything up to `through`.
    pub fn insert(
        &mut self,
        (socket, carriage): (S, Carriage),
        attachment: Attachment,
        compiled: Compiled,
        through: u64,
    ) {
        *self.by_network.entry(attachment.network()).or_default() += 1;
        self.direct += u64::from(carriage == Carriage::Direct);
        self.by_id.insert(attachment.id, Stream { socket, attachment, through, carriage, compiled });
    }

    pub fn remove(&mut self, id: u64) -> Option<Stream<S>> {
        let stream = self.by_id.remove(&id)?;
        let network = stream.attachment.network();
        self.direct -= u64::from(stream.carriage == Carriage::Direct);
        self.discard(&stream.attachment, &stream.compiled);
        if let Some(count) = self.by_network.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                self.by_network.remove(&network);
            }
        }
        Some(stream)
    }

    pub fn get(&self, id: u64) -> Option<&Stream<S>> {
        self.by_id.get(&id)
    }

    pub fn get_mut(&mut self, id: u64) -> Option<&mut Stream<S>> {
        self.by_id.get_mut(&id)
    }

    pub fn len(&self) -> u64 {
        self.by_id.len() as u64
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// How many streams are direct.
    pub fn direct(&self) -> u64 {
        self.direct
    }

    /// How many streams are carried in each way on each wire.
    pub fn carried(&self) -> CarriedStreams {
        let mut carried = CarriedStreams::default();
        for stream in self.by_id.values() {
            let ways = match stream.carriage {
                Carriage::Bridged => &mut carried.bridged,
                Carriage::Direct => &mut carried.direct,
            };
            ways.count(stream.attachment.wire);
        }
        carried
    }

    /// How many streams a network has open.
    pub fn of_network(&self, network: Network) -> u64 {
        self.by_network.get(&network).copied().unwrap_or(0)
    }

    /// What `choose` returns for each stream, where it returns anything.
    pub fn choose<T>(&self, choose: impl Fn(&Stream<S>) -> Option<T>) -> Vec<(u64, T)> {
        self.by_id.iter().filter_map(|(id, stream)| Some((*id, choose(stream)?))).collect()
    }

    /// The sockets of some streams.
    pub fn sockets<'a>(&'a self, ids: &'a [u64]) -> impl Iterator<Item = &'a S> {
        ids.iter().filter_map(|id| self.by_id.get(id)).map(|stream| &stream.socket)
    }

    /// A number that no stream has. Numbers pass through JSON and JavaScript: they are below 2^53, and never 0.
    pub fn free_id(&self, random: u64) -> u64 {
        let mut id = (random >> 11).max(1);
        while self.by_id.contains_key(&id) {
            id = (id % ((1 << 53) - 1)) + 1;
        }
        id
    }
}
