//! What decides of answers that are kept at the edge: which may be kept, what they are tagged with, which purges end them, and
//! how long they count. Pure: the Worker calls these functions, and so do the tests that hold them to their promises.
//!
//! - [`PassReason::of_request`] and [`KeptAnswer::of_answer`] decide what is kept.
//! - [`KnownPurges`] is what an isolate knows of a tenant's purges. A purge deletes nothing: an answer carries its tags and the
//!   position in the log that was known when its question was sent, and counts as long as no later purge names one of them.
//!   So an answer that was stored late, or read from a store that lags, is judged like any other.
//! - [`KeptAnswer::judge`] puts both together with the time.
//! - [`AnswerMemory`] holds answers within a bound of bytes that tenants share, and says which of them are wanted most of those
//!   that a purge has ended.

mod cached_response;
mod flights;
mod keeping;
mod lifetime;
mod mutation;
mod purges;
mod response_memory;
#[cfg(test)]
mod schedule;
mod settings;
mod tags;
mod tally;

pub use cached_response::{AnswerFreshness, KeptAnswer, ShownResponse, StaleReason};
pub use flights::{Boarding, Flights};
pub use keeping::{AskedOperation, PassReason, SentAnswer};
pub use lifetime::Lifetime;
pub use mutation::ID_FIELDS;
pub use purges::{KnownPurges, PurgeEntry, PurgeNews, PurgeVerdict};
pub use response_memory::{AnswerMemory, Weighed};
pub use settings::{
    CacheSettings, FRESH, HeaderScope, MAX_OPERATIONS, MAX_SCOPES, OperationLifetime, STALE_IF_ERROR,
    STALE_WHILE_REVALIDATE, STALENESS, TokenScope, WARM_UP,
};
pub use tags::{AnsweredDocument, ContentChange, MAX_TAGS, PurgeTags, Tag, answer_tags};
pub use tally::{AnswerCounts, AnswerTally, OTHERS};
