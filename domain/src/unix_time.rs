//! How a [`Timestamp`](crate::clock::Timestamp) is written as a number in JSON, for messages between parts of the
//! platform: `#[serde(with = "unix_time::millis")]`. Outside, a timestamp is RFC 3339 text.

/// Milliseconds since 1970.
pub mod millis {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::clock::Timestamp;

    /// As a number.
    pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(at.millis())
    }

    /// From a number.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(deserializer).map(Timestamp::from_millis)
    }
}

/// Milliseconds since 1970, or `null`.
pub mod optional_millis {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::clock::Timestamp;

    /// As a number, or `null`.
    pub fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        at.map(Timestamp::millis).serialize(serializer)
    }

    /// From a number or `null`. A member that may be missing needs `#[serde(default)]` beside it.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<i64>::deserialize(deserializer)?.map(Timestamp::from_millis))
    }
}

/// Whole seconds since 1970.
pub mod seconds {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::clock::Timestamp;

    /// As a number, rounded down.
    pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(at.seconds())
    }

    /// From a number.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(deserializer).map(|seconds| Timestamp::from_millis(0).plus_seconds(seconds))
    }
}
