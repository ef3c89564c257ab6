//! Messages about the hub itself.

use serde::{Deserialize, Serialize};

use super::stream::WireFormat;
use domain::clock::Timestamp;
use domain::graphql_cache::AnswerCounts;
use domain::ids::ClaimedTenant;
use domain::log_position::Cursor;
use domain::unix_time::millis;

/// Asks for the hub's status.
#[derive(Debug, Serialize, Deserialize)]
pub struct Inspect {}

#[derive(Debug, Serialize, Deserialize)]
pub struct HubStatus {
    /// The configuration's revision; 0 without one.
    pub revision: i64,
    /// When this instance was constructed: later after each hibernation.
    #[serde(with = "millis")]
    pub started_at: Timestamp,
    /// The newest event.
    pub latest: Cursor,
    /// The place behind which no event has been deleted or has expired.
    pub earliest: Cursor,
    /// Open streams.
    pub streams: u64,
    /// How they are carried.
    #[serde(default)]
    pub carried: CarriedStreams,
    /// Events that are in the log and wait for the next fan-out.
    pub pending: u64,
    /// Streams that this instance restored when it woke.
    pub restored: u64,
    /// How often the tenant's records were answered from a cache.
    #[serde(default)]
    pub cache_hits: u64,
    #[serde(default)]
    pub cache_misses: u64,
}

/// Streams by the way that they are carried.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedStreams {
    pub bridged: StreamsByWire,
    pub direct: StreamsByWire,
}

/// Streams by the format of their events.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamsByWire {
    pub plain: u64,
    pub named: u64,
    pub mercure: u64,
}

impl StreamsByWire {
    pub fn count(&mut self, wire: WireFormat) {
        match wire {
            WireFormat::Plain => self.plain += 1,
            WireFormat::Named => self.named += 1,
            WireFormat::Mercure => self.mercure += 1,
        }
    }
}

/// Adds to the counts of how often the tenant's records were answered from a cache.
#[derive(Debug, Serialize, Deserialize)]
pub struct RecordCacheStats {
    pub tenant: ClaimedTenant,
    pub hits: u64,
    pub misses: u64,
}

/// Adds to the counts of how often the tenant's GraphQL answers were kept ones, by operation.
#[derive(Debug, Serialize, Deserialize)]
pub struct RecordAnswerCounts {
    pub tenant: ClaimedTenant,
    pub counts: Vec<(String, AnswerCounts)>,
}

/// Asks for these counts.
#[derive(Debug, Serialize, Deserialize)]
pub struct ListAnswerCounts {
    pub tenant: ClaimedTenant,
    /// Of so many days, the present one included.
    pub days: u32,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct ListedAnswerCounts {
    /// The day's beginning, the operation, its counts; the latest day first.
    pub counts: Vec<(Timestamp, String, AnswerCounts)>,
}

/// Closes all streams and deletes everything the hub has stored.
#[derive(Debug, Serialize, Deserialize)]
pub struct Purge {}
