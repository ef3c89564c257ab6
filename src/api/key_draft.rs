//! The body that makes or changes a key, and the life of keys. Keys of tenants and of the platform differ in their
//! permissions alone.

use serde_json::Value;

use crate::http::fields::Fields;
use crate::http::problem::{self, Problem};
use crate::storage::sql::Arg;
use domain::address::{MAX_RANGES, parse_range};
use domain::clock::Timestamp;
use domain::error::Invalid;
use domain::permission::{Permissions, PlatformPermissions};

/// Most permissions that a body lists.
const MAX_PERMISSIONS: usize = 50;
/// Seconds for which the previous text of a re-rolled key stays good, where the body does not say.
const GRACE_SECONDS: i64 = 24 * 3600;
/// The longest grace: a week.
const MAX_GRACE_SECONDS: i64 = 7 * 24 * 3600;

/// A set of permissions that a list of texts stands for.
pub(super) trait PermissionSet: Copy + Default {
    /// What one text stands for.
    fn parse_one(text: &str) -> Result<Self, Invalid>;
    /// What both stand for.
    fn union(self, other: Self) -> Self;
}

impl PermissionSet for Permissions {
    fn parse_one(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }

    fn union(self, other: Self) -> Self {
        self.with(other)
    }
}

impl PermissionSet for PlatformPermissions {
    fn parse_one(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }

    fn union(self, other: Self) -> Self {
        self.with(other)
    }
}

/// A list of permissions: its texts as they were sent, and what they stand for.
pub(super) struct PermissionList<P> {
    /// A JSON array of the texts.
    pub names: Value,
    /// What they stand for.
    pub set: P,
}

impl<P: PermissionSet> PermissionList<P> {
    /// Reads a list of at least one permission.
    pub fn read(fields: &mut Fields, name: &str) -> Option<Self> {
        let parse = |text: &str| P::parse_one(text).map(|set| (text.to_owned(), set));
        let (names, sets): (Vec<String>, Vec<P>) = fields.list(name, MAX_PERMISSIONS, parse)?.into_iter().unzip();
        if names.is_empty() {
            return fields.wrong(name, Invalid::new("required", "must name at least one permission"));
        }
        Some(Self { names: Value::from(names), set: sets.into_iter().fold(P::default(), P::union) })
    }
}

/// What a body sets of a key.
pub(super) struct KeyDraft<P> {
    /// What people call it.
    pub name: Option<String>,
    /// What it may do.
    pub permissions: Option<PermissionList<P>>,
    /// A JSON array of the address ranges that it may be used from.
    pub ranges: Option<Value>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// Whether the body names an end, `null` included.
    sets_end: bool,
}

impl<P: PermissionSet> KeyDraft<P> {
    /// Reads the fields of a key; `permissions` is the name of the field that lists what it may do.
    pub fn read(fields: &mut Fields, permissions: &str, now: Timestamp) -> Self {
        Self {
            sets_end: fields.has("expires_at"),
            name: fields.text("name", 100),
            permissions: PermissionList::read(fields, permissions),
            ranges: fields.list("ip_allowlist", MAX_RANGES, parse_range).map(Value::from),
            expires_at: fields.parsed("expires_at", |text| parse_future(text, now)),
        }
    }

    /// Whether the body names an end, `null` included.
    pub fn sets_end(&self) -> bool {
        self.sets_end
    }

    /// The arguments of a statement that changes what the body sets: name, permissions, address ranges, whether the
    /// end changes, the end.
    pub fn update_args(self) -> [Arg; 5] {
        [
            self.name.into(),
            self.permissions.map(|listed| listed.names.to_string()).into(),
            self.ranges.map(|ranges| ranges.to_string()).into(),
            self.sets_end.into(),
            self.expires_at.map(Timestamp::millis).into(),
        ]
    }
}

fn parse_future(text: &str, now: Timestamp) -> Result<Timestamp, Invalid> {
    let at = Timestamp::parse_rfc3339(text)?;
    if at > now { Ok(at) } else { Err(Invalid::new("past", "must be a time in the future")) }
}

/// Reads for how many seconds the previous text of a re-rolled key stays good.
pub(super) fn read_grace(fields: &mut Fields) -> i64 {
    fields.number("grace_seconds", 0..=MAX_GRACE_SECONDS).unwrap_or(GRACE_SECONDS)
}

/// Refuses to change a revoked key; `key` is its JSON.
pub(super) fn check_not_revoked(key: &Value) -> Result<(), Problem> {
    let is_revoked = key.get("revoked_at").is_some_and(|at| !at.is_null());
    if is_revoked { Err(problem::revoked()) } else { Ok(()) }
}

/// A key's JSON, with its text where it just got one.
pub(super) fn with_text(mut key: Value, text: Option<&str>) -> Value {
    if let (Value::Object(members), Some(text)) = (&mut key, text) {
        members.insert("key".to_owned(), text.into());
    }
    key
}
