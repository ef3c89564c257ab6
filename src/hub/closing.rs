//! How streams end.

use std::collections::HashMap;

use super::presence::{Departure, Leaving};
use super::protocol::{EndMinted, Refusal};
use super::revocation;
use super::sockets::{CloseReason, Sockets};
use super::sqlite::{Sqlite, SqliteError};
use super::state::HubState;
use super::state_error::StateError;
use super::streams::Stream;
use domain::address::Network;
use domain::clock::Timestamp;
use domain::minted::Minted;

/// The number of the stream that a socket belongs to.
fn stream_id(attachment: &str) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct OnlyId {
        id: u64,
    }
    serde_json::from_str(attachment).ok().map(|OnlyId { id }| id)
}

impl<Sql: Sqlite, Net: Sockets> HubState<Sql, Net> {
    /// The stream of a socket.
    pub(super) fn stream_of(&self, socket: &Net::Socket) -> Option<u64> {
        self.net.attachment(socket).as_deref().and_then(stream_id)
    }

    /// A socket was closed by its client, or failed.
    pub fn socket_closed(&mut self, socket: &Net::Socket, leaving: Leaving) {
        if let Some(id) = self.stream_of(socket) {
            self.remove(id, leaving);
        }
    }

    /// Removes a stream, which frees its place.
    fn remove(&mut self, id: u64, leaving: Leaving) {
        if let Some(Stream { attachment, .. }) = self.streams.remove(id) {
            let departure = |subscriber| Departure { subscriber, stream: id, leaving };
            self.departures.new.extend(attachment.subscriber.map(departure));
        }
        if self.streams.is_empty() {
            self.fan_out.clear();
            self.advance_watermark();
        }
    }

    pub(super) fn close(&mut self, id: u64, reason: CloseReason) {
        self.close_as(id, reason, Leaving::ForGood);
    }

    pub(super) fn close_as(&mut self, id: u64, reason: CloseReason, leaving: Leaving) {
        if let Some(stream) = self.streams.get(id) {
            // The runtime lists the socket until the other end has closed it too. Without an attachment, no hub that wakes
            // until then takes it for a stream.
            self.net.set_attachment(&stream.socket, "");
            self.net.close(&stream.socket, reason.code());
        }
        self.remove(id, leaving);
    }

    /// Closes those streams that `judge` gives a reason for.
    pub(super) fn close_where(&mut self, judge: impl Fn(&Stream<Net::Socket>) -> Option<CloseReason>) {
        for (id, reason) in self.streams.choose(judge) {
            self.close(id, reason);
        }
    }

    /// Closes every stream: the tenant is purged.
    pub fn close_all(&mut self) {
        self.close_where(|_| Some(CloseReason::TenantUnavailable));
    }

    /// Closes the streams that the configuration does not allow (any more), and those whose rights have ended.
    pub(super) fn close_unauthorized(&mut self, now: Timestamp) {
        let Some(config) = self.config.clone() else { return };
        self.close_where(|stream| stream.attachment.end(&config, now));
    }

    /// Closes the newest streams beyond the limits: of the tenant, and of each network. The share that a network has while
    /// most streams are taken bounds newcomers alone.
    pub(super) fn close_beyond_limits(&mut self) {
        let Some(config) = self.config.clone() else { return };
        let mut by_age = self.streams.choose(|stream| Some((stream.attachment.since, stream.attachment.network())));
        by_age.sort_unstable_by_key(|(id, (since, _))| (*since, *id));
        let (limit, per_network) = (config.limits.streams(), config.limits.streams_per_network(0));
        let mut staying: HashMap<Network, u64> = HashMap::new();
        let mut total = 0;
        for (id, (_, network)) in by_age {
            let here = staying.entry(network).or_default();
            if total >= limit || *here >= per_network {
                self.close(id, CloseReason::TooManyStreams);
            } else {
                (total, *here) = (total + 1, *here + 1);
            }
        }
    }

    /// Closes the streams that a revocation makes void, after the hub's memory was lost.
    pub(super) fn close_revoked(&mut self) -> Result<(), SqliteError> {
        let revocations = revocation::all(&self.sql)?;
        if !revocations.is_empty() {
            let is_void =
                |minted: &Minted| revocations.iter().any(|(name, at)| minted.is_voided_by(name.as_deref(), *at));
            self.close_where(|stream| {
                stream.attachment.basis.minted().is_some_and(is_void).then_some(CloseReason::TokenRevoked)
            });
        }
        Ok(())
    }

    /// Closes the streams that a principal opened or minted the tokens of, and refuses those tokens from now on.
    pub fn end_minted(&mut self, message: &EndMinted, now: Timestamp) -> Result<(), StateError> {
        if !self.tenant.is_named_by(&message.tenant) {
            return Err(Refusal::WrongTenant.into());
        }
        let names =
            || std::iter::once(message.by.as_deref()).chain(message.others.iter().map(|name| Some(name.as_str())));
        for name in names() {
            revocation::record(&self.sql, name, message.at, now)?;
        }
        self.mark_for_clean_up();
        let is_meant = |minted: &Minted| names().any(|name| minted.is_voided_by(name, message.at));
        self.close_where(|stream| {
            stream.attachment.basis.minted().is_some_and(is_meant).then_some(CloseReason::TokenRevoked)
        });
        Ok(())
    }
}
