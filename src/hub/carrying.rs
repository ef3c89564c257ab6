//! How streams are carried to their clients, and how they change from one way to the other.
//!
//! Bridged streams cost a message each for every fan-out, and nothing while the hub sleeps; direct ones cost a part of it
//! and keep the hub awake. So a busy hub carries its streams directly, and a quiet one does not (docs/architecture.md).
//!
//! A stream changes by its client's coming back: it is closed with the time to come back at, and is opened the other way.
//!
//! Invariants
//! - Who is on the way keeps the place among the streams, and their subscriptions go on.
//! - A hub without direct streams has no timer of theirs.

use super::attachment::Attachment;
use super::load::LoadLevel;
use super::moved_streams::{LEAST_STEP, Moved};
use super::presence::Leaving;
use super::protocol::Attach;
use super::sockets::{Carriage, CloseReason, Sockets};
use super::sqlite::Sqlite;
use super::state::HubState;
use domain::address::Network;
use domain::clock::Timestamp;
use domain::live_settings::LiveMode;

/// The time between two steps of a change.
pub const STEP_MILLIS: i64 = 1_000;
/// Steps in which all streams change.
const STEPS: u64 = 60;

impl<Sql: Sqlite, Net: Sockets> HubState<Sql, Net> {
    /// How a stream is carried that is opened now.
    pub(super) fn carriage_for(&mut self, attach: &Attach, now: Timestamp) -> Carriage {
        self.choose_carriage(now);
        // A bridge that comes back carries on a response that it has begun.
        let may_be = attach.may_be_direct
            && !attach.reattach
            && self.streams.direct() < self.most_direct()
            && self.net.has_room();
        if may_be { self.carrying.chosen } else { Carriage::Bridged }
    }

    fn most_direct(&self) -> u64 {
        self.config.as_ref().map_or(0, |config| config.limits.direct())
    }

    /// Chooses by the tenant's settings, or by the load.
    fn choose_carriage(&mut self, now: Timestamp) {
        let mode = match &self.config {
            Some(config) if self.most_direct() > 0 => config.live.mode,
            Some(_) | None => LiveMode::Bridged,
        };
        let before = self.carrying.chosen;
        self.carrying.chosen = match (mode, self.load.level(now)) {
            (LiveMode::Direct, _) | (LiveMode::Auto, LoadLevel::Busy) => Carriage::Direct,
            (LiveMode::Bridged, _) | (LiveMode::Auto, LoadLevel::Quiet) => Carriage::Bridged,
            (LiveMode::Auto, LoadLevel::Between) => before,
        };
        if before != self.carrying.chosen {
            self.carrying.step = self.streams.len().div_ceil(STEPS).max(LEAST_STEP);
        }
    }

    /// A step of the change that is under way, if one is. Returns in how many milliseconds the next one is due; none once all
    /// streams are carried as they shall be, and bridged.
    pub fn carry(&mut self, now: Timestamp) -> Option<i64> {
        self.choose_carriage(now);
        self.carrying.forget_late(now);
        let has_bridged = match self.carrying.chosen {
            Carriage::Direct => self.move_bridged(now),
            Carriage::Bridged => {
                self.move_direct(now);
                false
            }
        };
        (has_bridged || self.streams.direct() > 0).then_some(STEP_MILLIS)
    }

    /// Moves some bridged streams whose Workers carry direct ones too. Returns whether there were any.
    fn move_bridged(&mut self, now: Timestamp) -> bool {
        let room = self.most_direct().saturating_sub(self.streams.direct() + self.carrying.moved.len() as u64);
        let some = room.min(self.carrying.step);
        if some == 0 || !self.net.has_room() {
            return false;
        }
        let is_meant = |attachment: &Attachment| attachment.may_be_direct && attachment.replaying.is_none();
        let bridged = self
            .streams
            .choose(|stream| (stream.carriage == Carriage::Bridged && is_meant(&stream.attachment)).then_some(()));
        let moving = bridged.iter().take(usize::try_from(some).unwrap_or(0));
        moving.for_each(|(id, ())| self.move_stream(*id, now));
        !bridged.is_empty()
    }

    /// Moves some direct streams. One whose client takes nothing for long is cut: it would keep the hub awake.
    fn move_direct(&mut self, now: Timestamp) {
        if self.streams.direct() == 0 {
            return;
        }
        let direct = self.streams.choose(|stream| {
            let Attachment { since, replaying, .. } = stream.attachment;
            (stream.carriage == Carriage::Direct).then(|| (stream.socket.clone(), since, replaying.is_none()))
        });
        let mut left = self.carrying.step;
        for (id, (socket, since, is_settled)) in direct {
            if self.net.is_stalled(&socket) {
                let last_sign = self.net.last_sign_at(&socket).max(since);
                if now.since(last_sign) > self.silence_millis {
                    self.close(id, CloseReason::Unresponsive);
                }
            } else if is_settled && left > 0 {
                self.move_stream(id, now);
                left -= 1;
            }
        }
    }

    /// Has a stream's client come back, and keeps its place until then.
    fn move_stream(&mut self, id: u64, now: Timestamp) {
        let Some(stream) = self.streams.get(id) else { return };
        let Attachment { interest, basis, subscriber, .. } = stream.attachment.clone();
        let network = stream.attachment.network();
        self.carrying.moved.push(Moved { network, interest, basis, subscriber, at: now });
        self.close_as(id, CloseReason::Moved, Leaving::MayReturn);
    }

    /// The stream that was moved and comes back with this one, as far as can be told; its place is free for it.
    pub(super) fn returning(&mut self, attach: &Attach, now: Timestamp) -> Option<Moved> {
        self.carrying.forget_late(now);
        // A bridge that carries on has a stream of its own.
        attach.cursor.as_ref().filter(|_| !attach.reattach)?;
        self.carrying.take(Network::of(&attach.address), &attach.interest)
    }
}
