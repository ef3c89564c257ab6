//! The body that makes or changes a key, and the life of keys. Keys of tenants and of the platform differ in their
//! permissions alone.

use serde_json::Value;

use crate::auth::key_row::{ApiKeyRow, KeyBounds};
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

/// Takes out of a body what is shown of a key and set by nobody; `effective` is the name of what it may do in effect. When
/// it was last used is of no moment.
pub(super) fn read_only(fields: &mut Fields, shown: &Value, effective: &str) {
    const NAMES: [&str; 8] = [
        "id",
        "created_by",
        "created_at",
        "revoked_at",
        "previous_until",
        "held_by",
        "in_force",
        "not_in_force_because",
    ];
    fields.take("last_used_at");
    fields.read_only(shown, &NAMES);
    fields.read_only(shown, &[effective]);
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
            expires_at: fields.parsed("expires_at", |text| Timestamp::parse_future(text, now)),
        }
    }

    /// Whether the body names an end, `null` included.
    pub fn sets_end(&self) -> bool {
        self.sets_end
    }

    /// Refuses to make a key more than the caller is, where the caller is a key with an end or a list of addresses: what
    /// becomes of the key must not be good for longer or from elsewhere.
    pub fn check_bounds(&self, key: &ApiKeyRow, caller: &KeyBounds) -> Result<(), Problem> {
        let (ranges, expires_at) = key.own_bounds();
        let expires_at = if self.sets_end { self.expires_at.map(Timestamp::millis) } else { expires_at };
        let ranges = match &self.ranges {
            Some(listed) => serde_json::from_value(listed.clone()).unwrap_or_default(),
            None => ranges,
        };
        let widens = self.permissions.is_some();
        if (self.sets_end || widens) && !caller.cover_end(expires_at) {
            return Err(problem::beyond_own_permissions("/expires_at"));
        }
        if (self.ranges.is_some() || widens) && !caller.cover_ranges(&ranges) {
            return Err(problem::beyond_own_permissions("/ip_allowlist"));
        }
        Ok(())
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

/// The address ranges, as a JSON array, and the end of a key that nothing but its own row bounds once it is made: what the
/// body does not name is its maker's, and what it names is no more than that.
pub(super) fn bounds_of_its_own(
    ranges: Option<Value>,
    expires_at: Option<Timestamp>,
    maker: &KeyBounds,
) -> Result<(Value, Option<Timestamp>), Problem> {
    check_end(expires_at, maker)?;
    let beyond = || problem::beyond_own_permissions("/ip_allowlist");
    let listed = ranges.map(|listed| serde_json::from_value(listed).unwrap_or_default());
    let listed: Vec<String> =
        listed.filter(|ranges: &Vec<String>| !ranges.is_empty()).or_else(|| maker.narrowest()).ok_or_else(beyond)?;
    if !maker.cover_ranges(&listed) {
        return Err(beyond());
    }
    Ok((Value::from(listed), expires_at.or(maker.until())))
}

/// Refuses an end that is later than the caller's own, where the caller is a key.
pub(super) fn check_end(expires_at: Option<Timestamp>, caller: &KeyBounds) -> Result<(), Problem> {
    let exceeds = expires_at.is_some_and(|at| !caller.cover_end(Some(at.millis())));
    if exceeds { Err(problem::beyond_own_permissions("/expires_at")) } else { Ok(()) }
}

/// For how long the previous text of a re-rolled key stays good.
pub(super) struct Grace {
    /// In seconds; none if the body does not say.
    seconds: Option<i64>,
}

impl Grace {
    /// Reads the field `grace_seconds`.
    pub fn read(fields: &mut Fields) -> Self {
        Self { seconds: fields.number("grace_seconds", 0..=MAX_GRACE_SECONDS) }
    }

    /// The end of the previous text; none if it ends at once, as it does where the key passes to somebody else (`keeps` is
    /// false): whoever holds that text no longer answers for the key.
    pub fn until(&self, keeps: bool, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
        if !keeps && self.seconds.is_some_and(|seconds| seconds > 0) {
            let message = "must be 0: the key passes to you, and the text before is known to who held it";
            return Err(problem::invalid_field("/grace_seconds", Invalid::new("passes", message)));
        }
        Ok(keeps.then(|| now.plus_seconds(self.seconds.unwrap_or(GRACE_SECONDS))))
    }
}
