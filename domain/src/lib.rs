//! The domain's types, pure: no platform type, no I/O, no clock.
//!
//! A crate of its own, so that no platform type can be named here. May not touch: any platform type, the clock,
//! randomness.
//!
//! Every value from outside is parsed here once; a parsed value cannot be invalid. What a rule
//! needs of the world (the time, randomness) is handed in.

pub mod address;
pub mod bounded_number;
pub mod characters;
pub mod clock;
pub mod css;
pub mod decimal;
pub mod difference;
pub mod dns_json;
pub mod document_name;
pub mod domain_proof;
pub mod email;
pub mod error;
pub mod event;
pub mod event_name;
pub mod file;
pub mod filter;
pub mod frame;
pub mod graphql;
pub mod graphql_cache;
pub mod graphql_settings;
pub mod hearing;
pub mod hex;
pub mod host;
pub mod http_date;
pub mod ids;
pub mod json;
pub mod keep_alive;
pub mod live_settings;
pub mod log_position;
pub mod matching;
pub mod mercure;
pub mod mercure_form;
pub mod merge_patch;
pub mod minted;
pub mod network_share;
pub mod outbound;
pub mod pace;
pub mod password;
pub mod pattern;
pub mod permission;
pub mod plan;
pub mod pointer;
pub mod rate;
pub mod record;
pub mod record_change;
pub mod refresh;
pub mod reserved_topics;
pub mod script;
pub mod selector;
pub mod sign_in;
pub mod text;
pub mod topic;
pub mod turns;
pub mod unix_time;
pub mod uri;
pub mod window;
pub mod words;
