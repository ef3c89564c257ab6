//! The tenant's hub: one Durable Object per tenant that orders, stores and sends its events, counts its rate limits, and
//! hibernates while nothing happens.
//!
//! Owns: the object and its SQLite, the messages it understands, how the Worker calls it. It alone empties the tenant's
//! outbox of changed records. May not touch: any other row of D1, KV, tenants' secrets (it knows only which versions are
//! accepted).
//!
//! - The state machine, without a platform type: [`state`], with the turns in [`publish`], [`attach`], [`closing`],
//!   [`subscriptions`], [`record_changes`] and [`carrying`]. Its memory is [`rates`], [`streams`], [`fan_out`],
//!   [`moved_streams`] and [`load`].
//! - What it stores: [`event_log`], [`current_collections`], [`receipts`], [`ticket`], [`revocation`], [`presence`],
//!   [`logins`], [`mails`], [`cache_stats`], [`answer_counts`],
//!   [`purges`], [`stored_state`], over the [`sqlite`] trait; and the [`attachment`] of each
//!   socket, over the [`sockets`] trait.
//! - The platform: [`object`], [`object_sqlite`], [`object_sockets`].
//! - For the Worker: [`protocol`], [`client`].
//! - `model/` tests the state machine with random turns against a simple model of what it must do.

mod answer_counts;
mod attach;
mod attachment;
mod broadcast;
mod cache_stats;
mod carrying;
mod change_judge;
pub(crate) mod client;
mod closing;
mod current_collections;
mod drain;
mod event_log;
mod fan_out;
mod filter_budget;
mod load;
mod logins;
mod mails;
#[cfg(test)]
mod model;
mod moved_streams;
pub mod object;
mod object_sockets;
mod object_sqlite;
mod presence;
pub(crate) mod protocol;
mod publish;
mod purges;
mod rate_window;
mod rates;
mod receipts;
mod record_changes;
mod record_event;
mod replay_budget;
mod revocation;
mod signs_of_life;
mod sockets;
mod sqlite;
mod state;
mod state_error;
mod stored_state;
mod streams;
mod subscription_index;
mod subscriptions;
mod ticket;

#[cfg(test)]
pub(crate) use self::model::served as testing_config;
