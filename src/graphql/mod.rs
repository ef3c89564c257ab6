//! A tenant's GraphQL endpoint: requests are judged, passed on to the tenant's site, and answered with what it says. May not
//! touch: records, the hub's state.
//!
//! Invariants
//! - What the site is sent carries no credential of this platform, and what a client is sent no cookie that it would take for
//!   one, and no header that would speak for the tenant's whole host.
//! - A document is judged before the site sees it, and what the site sees is what was judged: the request is written anew from
//!   what was read.
//! - What is not a GraphQL response is not passed on.
//! - A hash names one text, an alias what the tenant's registry says: a client's request gives no text another name.

mod answer_store;
mod asking;
pub mod documents;
pub mod endpoint;
mod errors;
mod exchange;
pub mod explain;
mod fetching;
mod headers;
mod judged;
mod judged_request;
mod mutation;
mod naming;
pub mod purging;
pub mod query_page;
mod question;
mod question_of;
mod request;
mod revalidating;
mod serve;
pub mod shield;
mod shield_protocol;
mod shielding;
pub mod stats;
mod stored_answer;
pub mod tally;
mod token_scope;
mod told;
mod verdict;
pub mod warming;

pub use judged::check_document;
pub use naming::hash_of;
