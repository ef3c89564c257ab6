//! An answer that is kept, and what it is still good for.

use std::rc::Rc;

use super::lifetime::Lifetime;
use super::purges::{KnownPurges, PurgeVerdict};
use super::tags::Tag;
use crate::clock::Timestamp;
use crate::log_position::Cursor;

/// What a client is shown of a kept answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownResponse {
    /// The headers of [`ShownResponse::SHOWN`] that the site sent, in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Rc<str>,
}

impl ShownResponse {
    /// The headers that are kept with an answer: those that say what it is of. All others spoke to whoever asked first.
    pub const SHOWN: [&str; 4] = ["x-graphql-url", "x-graphql-query-id", "x-graphql-keys", "content-language"];
}

/// An answer that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// How far the log was known when its question was sent.
    pub began: Cursor,
    /// When its question was sent.
    pub asked_at: Timestamp,
    /// How long it counts.
    pub lifetime: Lifetime,
    /// What it is of.
    pub tags: Vec<Tag>,
    /// What is shown.
    pub answer: ShownResponse,
}

/// Why a stale answer is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StaleReason {
    /// It has expired.
    Expired,
    /// A soft purge named it.
    Purged,
}

/// What an answer is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerFreshness {
    /// To be shown.
    Fresh,
    /// To be shown while a new one is fetched.
    Stale(StaleReason),
    /// To be shown only where the site fails.
    IfSiteFails,
    /// Nothing: it is too old.
    Expired,
    /// Nothing: a purge named it, or may have.
    Purged,
}

impl KeptAnswer {
    /// What it is good for now. `after_event` says that whoever asks has heard of the tenant's events, and must not be shown
    /// what a purge has named, softly or not.
    pub fn judge(&self, known: &KnownPurges, after_event: bool, now: Timestamp) -> AnswerFreshness {
        let is_purged = match known.judge(&self.began, &self.tags) {
            PurgeVerdict::Gone => return AnswerFreshness::Purged,
            PurgeVerdict::Soft if after_event => return AnswerFreshness::Purged,
            PurgeVerdict::Soft => true,
            PurgeVerdict::Good => false,
        };
        let Lifetime { fresh, stale_while_revalidate, stale_if_error } = self.lifetime;
        // A clock that stepped back makes nothing younger than new.
        let age = self.age(now);
        if age < fresh && !is_purged {
            return AnswerFreshness::Fresh;
        }
        if stale_while_revalidate > 0 && age < fresh.saturating_add(stale_while_revalidate) {
            return AnswerFreshness::Stale(if is_purged { StaleReason::Purged } else { StaleReason::Expired });
        }
        if stale_if_error > 0 && age < fresh.saturating_add(stale_if_error) {
            return AnswerFreshness::IfSiteFails;
        }
        if is_purged { AnswerFreshness::Purged } else { AnswerFreshness::Expired }
    }

    /// Its age in milliseconds.
    pub fn age(&self, now: Timestamp) -> i64 {
        now.since(self.asked_at).max(0)
    }

    /// What it counts for in memory, in bytes.
    pub fn bytes(&self) -> usize {
        let headers: usize = self.answer.headers.iter().map(|(name, value)| name.len() + value.len() + 48).sum();
        let tags: usize = self.tags.iter().map(|tag| tag.as_str().len() + 16).sum();
        self.answer.body.len() + headers + tags + 512
    }
}
