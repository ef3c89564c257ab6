//! Limits of a tenant: its plan's, and its own that override them.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::Timestamp;
use crate::json::without_fraction;

/// A limit. `-1` and `"unlimited"` both mean none; it is stored and shown as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// At most this many.
    AtMost(u64),
    /// No limit.
    Unlimited,
}

impl Limit {
    /// The limit as a number, if there is one.
    pub fn bound(self) -> Option<u64> {
        match self {
            Self::AtMost(limit) => Some(limit),
            Self::Unlimited => None,
        }
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::AtMost(limit) => serializer.serialize_u64(*limit),
            Self::Unlimited => serializer.serialize_i64(-1),
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LimitVisitor;

        impl Visitor<'_> for LimitVisitor {
            type Value = Limit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number from 0 to 1000000000000, -1 or \"unlimited\"")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Limit, E> {
                if value <= 1_000_000_000_000 {
                    Ok(Limit::AtMost(value))
                } else {
                    Err(E::invalid_value(de::Unexpected::Unsigned(value), &self))
                }
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Limit, E> {
                match u64::try_from(value) {
                    Ok(value) => self.visit_u64(value),
                    Err(_) if value == -1 => Ok(Limit::Unlimited),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Signed(value), &self)),
                }
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Limit, E> {
                match without_fraction(value) {
                    Some(value) => self.visit_i64(value),
                    None => Err(E::invalid_value(de::Unexpected::Float(value), &self)),
                }
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Limit, E> {
                if value == "unlimited" {
                    Ok(Limit::Unlimited)
                } else {
                    Err(E::invalid_value(de::Unexpected::Other("this text"), &self))
                }
            }
        }

        deserializer.deserialize_any(LimitVisitor)
    }
}

/// All limits of a tenant: its plan's with its own overrides applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Requests with a credential, per UTC minute.
    pub api_requests_per_minute: Limit,
    /// Requests with a credential, per UTC day.
    pub api_requests_per_day: Limit,
    /// Requests without a credential, per UTC minute. They count separately, so that strangers cannot use up the tenant's.
    pub anonymous_requests_per_minute: Limit,
    /// Accepted webhooks, per UTC minute.
    pub webhooks_per_minute: Limit,
    /// Open streams.
    pub concurrent_subscriptions: Limit,
    /// Open streams that the hub carries itself; none with 0.
    #[serde(default = "none")]
    pub direct_streams: Limit,
    /// Open streams of one client network; without it, the limit of all streams.
    #[serde(default)]
    pub connections_per_address: Option<Limit>,
    /// The same while more than half of the tenant's streams are taken; without it, a tenth of the tenant's streams.
    #[serde(default)]
    pub connections_per_network_when_busy: Option<Limit>,
    /// Seconds after which events leave the log.
    pub event_retention_seconds: Limit,
    /// Most events in the log.
    pub event_retention_count: Limit,
    /// Most bytes of the log.
    pub event_log_bytes: Limit,
    /// Users, disabled ones included.
    #[serde(default = "unlimited")]
    pub users: Limit,
    /// Records, by collection; `*` for all others.
    #[serde(default)]
    pub records: PerCollection,
    /// Records created in a UTC hour, by collection.
    #[serde(default)]
    pub records_per_hour: PerCollection,
    /// Records created in a UTC month, by collection.
    #[serde(default)]
    pub records_per_month: PerCollection,
    /// Bytes of files.
    #[serde(default = "unlimited")]
    pub storage_bytes: Limit,
}

/// Bytes of a megabyte, in which the event log is bounded by tenants.
const BYTES_PER_MB: u64 = 1_000_000;

/// A limit for each collection, by its slug; `*` for all others.
pub type PerCollection = BTreeMap<String, Limit>;

/// The window in which created records are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// A UTC hour.
    Hour,
    /// A UTC month.
    Month,
}

impl Period {
    /// Its stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Month => "month",
        }
    }

    /// The beginning of the window that contains `now`.
    pub fn start(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Hour => Timestamp::from_millis(now.millis() - now.millis().rem_euclid(3_600_000)),
            Self::Month => now.month_start(),
        }
    }

    /// The end of the window that contains `now`.
    pub fn end(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Hour => self.start(now).plus_seconds(3600),
            Self::Month => self.start(now).plus_seconds(32 * 86_400).month_start(),
        }
    }
}

fn of_collection(bounds: &PerCollection, collection: &str) -> Limit {
    bounds.get(collection).or_else(|| bounds.get("*")).copied().unwrap_or(Limit::Unlimited)
}

/// The default of limits that older stored plans do not have.
fn unlimited() -> Limit {
    Limit::Unlimited
}

/// The same of what a plan has to allow.
fn none() -> Limit {
    Limit::AtMost(0)
}

impl Limits {
    /// Most streams of a hub, whatever the plan allows: the runtime allows 32,768 sockets.
    pub const MAX_STREAMS: u64 = 30_000;

    /// The limit of open streams, at most [`Self::MAX_STREAMS`].
    pub fn streams(&self) -> u64 {
        self.concurrent_subscriptions.bound().unwrap_or(Self::MAX_STREAMS).min(Self::MAX_STREAMS)
    }

    /// Most direct streams of a hub, whatever the plan allows: each holds memory in an isolate that others share.
    pub const MAX_DIRECT_STREAMS: u64 = 8_000;

    /// The limit of direct streams, at most [`Self::MAX_DIRECT_STREAMS`].
    pub fn direct(&self) -> u64 {
        self.direct_streams.bound().unwrap_or(Self::MAX_DIRECT_STREAMS).min(Self::MAX_DIRECT_STREAMS)
    }

    /// How many streams of a tenant one network may hold at least while most of them are taken, where its plan says
    /// nothing: an office is one network too.
    const OFFICE_STREAMS: u64 = 50;

    /// The limit of open streams of one client network, while the tenant has `open` streams. While more than half of the
    /// tenant's streams are taken, one network may hold a tenth of them, so that it cannot hold them all; but never fewer
    /// than 50, or than the plan's own number.
    pub fn streams_per_network(&self, open: u64) -> u64 {
        let all = self.streams();
        let or_all = |limit: Limit| limit.bound().unwrap_or(all).min(all);
        let own = self.connections_per_address.map(or_all);
        let limit = own.unwrap_or(all);
        if open.saturating_mul(2) <= all {
            return limit;
        }
        let share = self.connections_per_network_when_busy.map(or_all);
        share.unwrap_or_else(|| (all / 10).max(own.unwrap_or(Self::OFFICE_STREAMS))).min(limit)
    }

    /// The limit of a collection's records.
    pub fn records_of(&self, collection: &str) -> Limit {
        of_collection(&self.records, collection)
    }

    /// The limit of records created in a collection in a period.
    pub fn record_rate(&self, collection: &str, period: Period) -> Limit {
        match period {
            Period::Hour => of_collection(&self.records_per_hour, collection),
            Period::Month => of_collection(&self.records_per_month, collection),
        }
    }

    /// These limits under the names by which a tenant overrides them, every one of them with what it comes to.
    pub fn named(&self) -> Overrides {
        Overrides {
            max_concurrent_subscriptions: Some(self.concurrent_subscriptions),
            max_direct_streams: Some(self.direct_streams),
            max_webhooks_per_minute: Some(self.webhooks_per_minute),
            max_connections_per_ip: Some(Limit::AtMost(self.streams_per_network(0))),
            max_connections_per_ip_when_busy: Some(Limit::AtMost(self.streams_per_network(u64::MAX))),
            max_api_requests_per_minute: Some(self.api_requests_per_minute),
            max_api_requests_per_day: Some(self.api_requests_per_day),
            max_anonymous_requests_per_minute: Some(self.anonymous_requests_per_minute),
            max_redis_memory_mb: Some(match self.event_log_bytes {
                Limit::AtMost(bytes) => Limit::AtMost(bytes / BYTES_PER_MB),
                Limit::Unlimited => Limit::Unlimited,
            }),
            event_retention_seconds: Some(self.event_retention_seconds),
            event_retention_count: Some(self.event_retention_count),
            max_users: Some(self.users),
            max_records: self.records.clone(),
            max_records_per_hour: self.records_per_hour.clone(),
            max_records_per_month: self.records_per_month.clone(),
            max_storage_bytes: Some(self.storage_bytes),
        }
    }

    /// These limits with a tenant's overrides applied.
    pub fn overridden(mut self, own: &Overrides) -> Self {
        let put = |slot: &mut Limit, own: Option<Limit>| *slot = own.unwrap_or(*slot);
        put(&mut self.api_requests_per_minute, own.max_api_requests_per_minute);
        put(&mut self.api_requests_per_day, own.max_api_requests_per_day);
        put(&mut self.anonymous_requests_per_minute, own.max_anonymous_requests_per_minute);
        put(&mut self.webhooks_per_minute, own.max_webhooks_per_minute);
        put(&mut self.concurrent_subscriptions, own.max_concurrent_subscriptions);
        put(&mut self.direct_streams, own.max_direct_streams);
        put(&mut self.event_retention_seconds, own.event_retention_seconds);
        put(&mut self.event_retention_count, own.event_retention_count);
        put(&mut self.users, own.max_users);
        put(&mut self.storage_bytes, own.max_storage_bytes);
        for (bounds, own) in [
            (&mut self.records, &own.max_records),
            (&mut self.records_per_hour, &own.max_records_per_hour),
            (&mut self.records_per_month, &own.max_records_per_month),
        ] {
            bounds.extend(own.iter().map(|(collection, limit)| (collection.clone(), *limit)));
        }
        self.connections_per_address = own.max_connections_per_ip.or(self.connections_per_address);
        self.connections_per_network_when_busy =
            own.max_connections_per_ip_when_busy.or(self.connections_per_network_when_busy);
        if let Some(own) = own.max_redis_memory_mb {
            self.event_log_bytes = match own {
                Limit::AtMost(megabytes) => Limit::AtMost(megabytes.saturating_mul(BYTES_PER_MB)),
                Limit::Unlimited => Limit::Unlimited,
            };
        }
        self
    }
}

/// A tenant's overrides, with the names of `rate_limits`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overrides {
    /// Open streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent_subscriptions: Option<Limit>,
    /// Open streams that the hub carries itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_direct_streams: Option<Limit>,
    /// Webhooks per minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_webhooks_per_minute: Option<Limit>,
    /// Open streams of one client network: an IPv4 address, the /64 of an IPv6 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections_per_ip: Option<Limit>,
    /// The same while more than half of the tenant's streams are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections_per_ip_when_busy: Option<Limit>,
    /// Requests with a credential per minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_api_requests_per_minute: Option<Limit>,
    /// Requests with a credential per day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_api_requests_per_day: Option<Limit>,
    /// Requests without a credential per minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_anonymous_requests_per_minute: Option<Limit>,
    /// Megabytes of the event log. The name is the one that existing clients send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_redis_memory_mb: Option<Limit>,
    /// Seconds after which events leave the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_retention_seconds: Option<Limit>,
    /// Most events in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_retention_count: Option<Limit>,
    /// Users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_users: Option<Limit>,
    /// Records, by collection; `*` for all others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub max_records: PerCollection,
    /// Records created in a UTC hour, by collection.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub max_records_per_hour: PerCollection,
    /// Records created in a UTC month, by collection.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub max_records_per_month: PerCollection,
    /// Bytes of files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_storage_bytes: Option<Limit>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(json: &str) -> Result<Limit, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn both_spellings_of_unlimited() {
        assert_eq!(limit("-1").unwrap(), Limit::Unlimited);
        assert_eq!(limit("\"unlimited\"").unwrap(), Limit::Unlimited);
        assert_eq!(limit("0").unwrap(), Limit::AtMost(0));
        for bad in ["-2", "1.5", "\"many\"", "null", "1e30"] {
            assert!(limit(bad).is_err(), "{bad}");
        }
        assert_eq!(serde_json::to_string(&Limit::Unlimited).unwrap(), "-1");
    }

    #[test]
    fn own_limits_go_over_the_plan() {
        let plan: Limits = serde_json::from_str(
            r#"{"api_requests_per_minute":1000,"api_requests_per_day":-1,
            "anonymous_requests_per_minute":100,"webhooks_per_minute":1000,"concurrent_subscriptions":100,
            "event_retention_seconds":86400,"event_retention_count":10000,"event_log_bytes":50000000}"#,
        )
        .unwrap();
        let own: Overrides = serde_json::from_str(
            r#"{"max_concurrent_subscriptions":-1,"max_connections_per_ip":20,
            "max_redis_memory_mb":7,"max_users":3,"max_records":{"leads":2,"*":9}}"#,
        )
        .unwrap();
        assert_eq!(plan.users, Limit::Unlimited, "stored before there was this bound");
        let limits = plan.overridden(&own);
        assert_eq!(limits.users, Limit::AtMost(3));
        assert_eq!((limits.records_of("leads"), limits.records_of("other")), (Limit::AtMost(2), Limit::AtMost(9)));
        assert_eq!(limits.record_rate("leads", Period::Hour), Limit::Unlimited);
        assert_eq!(limits.streams(), Limits::MAX_STREAMS);
        assert_eq!(limits.streams_per_network(0), 20);
        assert_eq!(limits.event_log_bytes, Limit::AtMost(7_000_000));
        assert_eq!(limits.webhooks_per_minute, Limit::AtMost(1000));
        assert!(serde_json::from_str::<Overrides>(r#"{"max_webhooks":1}"#).is_err());
        // What is shown has the names of what is set, and means the same.
        let shown = serde_json::to_value(limits.named()).unwrap();
        assert_eq!(
            (&shown["max_redis_memory_mb"], &shown["max_users"], &shown["max_connections_per_ip"]),
            (&7.into(), &3.into(), &20.into())
        );
        assert_eq!((&shown["max_records"]["leads"], &shown["max_concurrent_subscriptions"]), (&2.into(), &(-1).into()));
        let again = limits.clone().overridden(&limits.named());
        assert_eq!(again.named(), limits.named());
    }

    #[test]
    fn a_network_may_hold_a_share_of_the_streams_while_most_are_taken() {
        let share = |streams: i64, own: &str, open: u64| {
            let plan: Limits = serde_json::from_str(&format!(
                r#"{{"api_requests_per_minute":1,"api_requests_per_day":1,"anonymous_requests_per_minute":1,
                "webhooks_per_minute":1,"concurrent_subscriptions":{streams},"event_retention_seconds":1,
                "event_retention_count":1,"event_log_bytes":1}}"#,
            ))
            .unwrap();
            plan.overridden(&serde_json::from_str(own).unwrap()).streams_per_network(open)
        };
        assert_eq!(share(2000, "{}", 1000), 2000, "half of them are free");
        assert_eq!(share(2000, "{}", 1001), 200, "a tenth");
        assert_eq!(share(100, "{}", 51), 50, "an office");
        assert_eq!(share(20, "{}", 19), 20, "never more than all");
        assert_eq!(share(2000, r#"{"max_connections_per_ip":500}"#, 1001), 500, "never below the plan's own number");
        assert_eq!(share(2000, r#"{"max_connections_per_ip":7}"#, 1), 7);
        assert_eq!(share(2000, r#"{"max_connections_per_ip":7}"#, 1001), 7);
        assert_eq!(share(2000, r#"{"max_connections_per_ip":-1}"#, 1999), 2000);
        assert_eq!(share(2000, r#"{"max_connections_per_ip_when_busy":3}"#, 1000), 2000);
        assert_eq!(share(2000, r#"{"max_connections_per_ip_when_busy":3}"#, 1001), 3);
        assert_eq!(share(2000, r#"{"max_connections_per_ip_when_busy":-1}"#, 1001), 2000);
        assert_eq!(share(-1, "{}", 15_001), 3_000);
    }
}
