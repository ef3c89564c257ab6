//! The state machine under random turns, held against a simple model.
//!
//! [`steps`] says what can happen, [`reference`] what must come of it, [`client`] what a client and its bridge make of what
//! they are sent. [`world`] runs the turns over the [`fakes`] and checks after each of them:
//!
//! - nothing that was acknowledged is lost: an open stream gets every event for it behind its cursor, or is told that
//!   events are gone;
//! - events come in order, and none comes twice;
//! - nobody gets what it did not ask for or may not see, and a stream whose rights have ended is closed, for that reason;
//! - nobody hears of a collection that stands no more, and of one that is private now only who may hear private events;
//! - the watermark is never ahead of what was sent;
//! - rate limits hold.
//!
//! Streams are carried in both ways, and change from one to the other at any time.
//!
//! The hub's memory, its connections and its storage may fail between any two turns, the storage also in the middle of one.

mod acts;
mod client;
mod collections;
mod fakes;
mod opening;
mod reference;
mod steps;
mod world;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::json;

use crate::hub::model::reference::{
    ANONYMOUS_REQUESTS, API_REQUESTS, RETENTION_COUNT, RETENTION_MILLIS, Rules, STREAMS_PER_ADDRESS, Settings, WEBHOOKS,
};
use crate::hub::model::steps::Step;
use crate::hub::model::world::World;
use crate::hub::protocol::TenantConfig;
use crate::storage::outbox::OutboxRow;

pub(super) use crate::hub::model::fakes::{FakeSockets, FakeSql, Received};

/// The tenant's issuer, and where its keys are.
const ISSUER: &str = "https://issuer.test/";
/// Places for clients.
const SLOTS: usize = 4;

fn config(settings: Settings) -> TenantConfig {
    let rules = settings.rules;
    let lending = json!({ "issuer": ISSUER, "jwks_url": ISSUER, "allows": ["subscribe"] });
    let issuers = if rules.issuer { vec![lending] } else { Vec::new() };
    let ip_allowlist = if rules.lists_last { vec![opening::address(SLOTS - 1)] } else { Vec::new() };
    let version_1_until = settings.version_1_until.map(|until| until.millis());
    serde_json::from_value(json!({
        "revision": settings.revision,
        "standing": if settings.served { "active" } else { "stopped" },
        "expires_at": null,
        "hosts": ["acme.test"],
        "limits": {
            "api_requests_per_minute": API_REQUESTS, "api_requests_per_day": -1,
            "anonymous_requests_per_minute": ANONYMOUS_REQUESTS, "webhooks_per_minute": WEBHOOKS,
            "concurrent_subscriptions": rules.streams(), "connections_per_address": STREAMS_PER_ADDRESS,
            "event_retention_seconds": RETENTION_MILLIS / 1000, "event_retention_count": RETENTION_COUNT,
            "event_log_bytes": -1, "direct_streams": -1,
        },
        "webhook_versions": [{ "version": 1, "until": null }],
        "subscription_versions": [{ "version": 1, "until": version_1_until }, { "version": 2, "until": null }],
        "require_standard_webhooks": false,
        "cors_origins": [],
        "placement": { "shard": "SHARD_00", "epoch": 1 },
        "ip_allowlist": ip_allowlist,
        "live": { "mode": if rules.direct { "direct" } else { "auto" } },
        "mercure": { "anonymous": rules.anonymous, "issuers": issuers },
    }))
    .unwrap()
}

/// The configuration of a tenant that is served.
pub(crate) fn served() -> TenantConfig {
    config(Settings { revision: 1, served: true, version_1_until: None, rules: Rules::OPEN })
}

/// The creation id of the collection of this number.
fn creation_id(number: u64) -> String {
    format!("creation-{number}")
}

/// A row of the outbox: a record of `leads`, the collection of this number, was created or updated.
fn record(seq: u64, marker: u64, (was, score): (Option<u64>, u64), collection: u64, private: bool) -> OutboxRow {
    let data = format!(r#"{{"marker":{marker},"score":{score}}}"#);
    let action = if was.is_some() { "update" } else { "create" };
    let before = was.map(|was| {
        let data = format!(r#"{{"marker":{marker},"score":{was}}}"#);
        format!(r#"{{"version":1,"status":null,"updated_at":0,"updated_by":"user:ada","data":{data}}}"#)
    });
    let record_id = format!("r{marker}");
    OutboxRow { record_id, action: action.into(), data, before, ..announced(seq, collection, private) }
}

/// A row of the outbox: a collection was hidden, shown or deleted.
fn announced(seq: u64, collection: u64, private: bool) -> OutboxRow {
    OutboxRow {
        seq,
        at: 0,
        collection: "leads".into(),
        record_id: String::new(),
        action: "update".into(),
        private: i64::from(private),
        version: 1,
        status: None,
        data: "null".into(),
        alias: None,
        created_at: 0,
        updated_at: 0,
        created_by: "user:ada".into(),
        updated_by: "user:ada".into(),
        creation_id: Some(creation_id(collection)),
        before: None,
    }
}

/// Does the steps, then lets everything come to rest. A fault comes with what happened until then.
fn run(steps: &[Step]) -> Result<(), String> {
    let mut world = World::new();
    let mut story = String::new();
    let mut tell = |line: String| story.push_str(&line);
    for step in steps {
        let at = world.now.millis();
        match world.step(step) {
            Ok(outcome) => tell(format!("\n  {at} {step:?} {outcome}{}", std::mem::take(&mut world.notes))),
            Err(fault) => return Err(format!("{fault}\nbehind:{story}\n  {at} {step:?}")),
        }
    }
    world.settle().map_err(|fault| format!("{fault}\nwhen everything has come to rest, behind:{story}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, max_shrink_iters: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_hub_keeps_its_promises_whatever_happens(steps in steps::steps()) {
        run(&steps).map_err(TestCaseError::fail)?;
    }
}
