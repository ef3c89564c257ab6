//! How streams end.

use super::attachment::Attachment;
use super::presence::{Departure, Leaving};
use super::protocol::{EndMinted, Refusal, accepts};
use super::revocation;
use super::sockets::{CloseReason, Sockets};
use super::sqlite::Sqlite;
use super::state::HubState;
use super::state_error::StateError;
use super::streams::Stream;
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
        if let Some(stream) = self.streams.get(id) {
            // The runtime lists the socket until the other end has closed it too. Without an attachment, no hub that wakes
            // until then takes it for a stream.
            self.net.set_attachment(&stream.socket, "");
            self.net.close(&stream.socket, reason.code());
        }
        self.remove(id, Leaving::ForGood);
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
        let is_served = config.is_served(now);
        let has_ended = |attachment: &Attachment| {
            let is_retired = |version| !accepts(&config.subscription_versions, version, now);
            attachment.expires_at.is_some_and(|at| at <= now) || attachment.secret_version.is_some_and(is_retired)
        };
        self.close_where(|stream| match (is_served, has_ended(&stream.attachment)) {
            (false, _) => Some(CloseReason::TenantUnavailable),
            (true, true) => Some(CloseReason::TokenExpired),
            (true, false) => None,
        });
    }

    /// Closes the streams of tokens that a principal minted, and refuses those tokens from now on.
    pub fn end_minted(&mut self, message: &EndMinted, now: Timestamp) -> Result<(), StateError> {
        if !self.tenant.is_named_by(&message.tenant) {
            return Err(Refusal::WrongTenant.into());
        }
        revocation::record(&self.sql, message.by.as_deref(), message.at, now)?;
        self.mark_for_clean_up();
        let is_meant =
            |minted: &Minted| minted.at <= message.at && message.by.as_ref().is_none_or(|by| *by == minted.by);
        self.close_where(|stream| {
            stream.attachment.minted.as_ref().is_some_and(is_meant).then_some(CloseReason::TokenRevoked)
        });
        Ok(())
    }
}
