//! A key's row: whether a presented text is the key's, whether the key is in force, and what it may do now.
//!
//! Invariants
//! - Somebody answers for a key: its holder, who made it or re-rolled it last. It may do at most what its holder may do
//!   now, and nothing once the holder is gone, or was disabled: it does not come back when the holder does.
//! - A key that was made by another key may do at most what that one may do now, from where and for as long: with whoever
//!   holds that one by now. Once that one rests on a further key, because such a key re-rolled it, what it had made ends.
//! - All of it is read with the key, by one statement.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::credentials::constant_time::constant_time_eq;
use crate::http::listing::ViewRow;
use crate::http::problem::{self, Problem};
use crate::storage::row::row_types;

use crate::credentials::signature::digest;
use domain::address::{is_let_in, is_narrower};
use domain::clock::Timestamp;
use domain::json::set;

/// The least time between two notes of a key's last use, in milliseconds.
const NOTE_MILLIS: i64 = 60_000;
/// How many keys may stand between a key and the person or the platform that answers for it.
pub const MAX_MAKERS: usize = 8;

row_types! {
    /// A row of `api_keys` or `platform_keys`, with what it depends on.
    pub struct ApiKeyRow {
        digest: String,
        previous_digest: Option<String>,
        previous_until: Option<i64>,
        /// A JSON array of its permissions.
        pub scopes: String,
        ip_allowlist: String,
        expires_at: Option<i64>,
        revoked_at: Option<i64>,
        last_used_at: Option<i64>,
        /// Who answers for it, by name; empty for a row of an older version.
        pub held_by: String,
        holder_id: Option<String>,
        holder_stamp: String,
        /// The present security stamp of that person, if they exist and are not disabled.
        holder_now: Option<String>,
        /// The person's role, if they exist.
        pub holder_role: Option<String>,
        /// The permissions of that role, where it is the tenant's own.
        pub own_role: Option<String>,
        made_through: String,
        makers: String,
    }
}

/// A key by which another one was made, as it is now.
#[derive(Deserialize)]
struct MakerKey {
    scopes: String,
    ip_allowlist: String,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
    holder_id: Option<String>,
    holder_stamp: String,
    holder_now: Option<String>,
    holder_role: Option<String>,
    own_role: Option<String>,
    /// Not 0 if it rests on a key, by now, that is neither the key it made nor among those that one was made by.
    rests_elsewhere: i64,
}

impl MakerKey {
    fn in_force(&self, now: Timestamp) -> bool {
        let has_ended = self.expires_at.is_some_and(|at| now.millis() >= at);
        self.revoked_at.is_none() && !has_ended && self.rests_elsewhere == 0 && self.holder().stands().is_ok()
    }

    fn holder(&self) -> Holder<'_> {
        Holder {
            id: self.holder_id.as_deref(),
            stamp: &self.holder_stamp,
            now: self.holder_now.as_deref(),
            role: self.holder_role.as_deref(),
            own_role: self.own_role.as_deref(),
        }
    }
}

/// The person who answers for a key, if one does.
struct Holder<'a> {
    id: Option<&'a str>,
    stamp: &'a str,
    now: Option<&'a str>,
    role: Option<&'a str>,
    own_role: Option<&'a str>,
}

impl Holder<'_> {
    /// Whether nobody is gone who answers for the key.
    fn stands(&self) -> Result<(), NotInForce> {
        match (self.id, self.role) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(NotInForce::HolderRemoved),
            (Some(_), Some(_)) if self.now != Some(self.stamp) => Err(NotInForce::HolderDisabled),
            (Some(_), Some(_)) => Ok(()),
        }
    }
}

/// Who answers for what a principal makes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Backing {
    /// The person at the root of it: a user in a tenant, an operator on the platform. None if no person is.
    pub holder: Option<String>,
    /// The security stamp that this person has.
    pub stamp: String,
    /// The keys by which it is made, the first one first.
    pub through: Vec<String>,
}

impl Backing {
    /// That of a person.
    pub fn person(id: &str, stamp: &str) -> Self {
        Self { holder: Some(id.to_owned()), stamp: stamp.to_owned(), through: Vec::new() }
    }

    /// The person and the keys, by the names that revocations use (`auth/revocation.rs`): what begins with `person` and
    /// `key`.
    pub fn names(&self, person: &str, key: &str) -> Vec<String> {
        let holder = self.holder.iter().map(|id| format!("{person}{id}"));
        holder.chain(self.through.iter().map(|id| format!("{key}{id}"))).collect()
    }

    /// A text that is another one once somebody else answers.
    pub fn basis(&self) -> String {
        let holder = self.holder.as_deref().unwrap_or_default();
        std::iter::once(holder)
            .chain([self.stamp.as_str()])
            .chain(self.through.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(".")
    }

    /// `through` as its column holds it; a problem if there would be too many keys.
    pub fn made_through(&self) -> Result<String, Problem> {
        if self.through.len() > MAX_MAKERS {
            return Err(problem::too_many(
                "keys that a key was made by",
                i64::try_from(MAX_MAKERS).unwrap_or(i64::MAX),
            ));
        }
        Ok(Value::from(self.through.clone()).to_string())
    }
}

/// From where and until when somebody may act. A person and the platform are not bounded so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyBounds {
    /// Lists of address ranges; each must let the client in.
    ranges: Vec<Vec<String>>,
    /// The end, in milliseconds since 1970.
    until: Option<i64>,
}

impl KeyBounds {
    /// So many seconds, or those that are left until the end.
    pub fn seconds_within(&self, seconds: i64, now: Timestamp) -> i64 {
        self.until.map_or(seconds, |until| seconds.min((until - now.millis()) / 1000))
    }

    /// The end, if there is one.
    pub fn until(&self) -> Option<Timestamp> {
        self.until.map(Timestamp::from_millis)
    }

    /// Lists of address ranges; each must let the client in.
    pub fn ranges(&self) -> &[Vec<String>] {
        &self.ranges
    }

    /// Whether a key with this end lasts no longer.
    pub fn cover_end(&self, expires_at: Option<i64>) -> bool {
        self.until.is_none_or(|until| expires_at.is_some_and(|at| at <= until))
    }

    /// Whether a key with these address ranges is good from nowhere else.
    pub fn cover_ranges(&self, ranges: &[String]) -> bool {
        self.ranges.iter().all(|bound| is_narrower(ranges, bound))
    }

    /// Whether a key with these address ranges and this end is good from nowhere else and for no longer.
    pub fn cover(&self, (ranges, expires_at): &(Vec<String>, Option<i64>)) -> bool {
        self.cover_ranges(ranges) && self.cover_end(*expires_at)
    }

    /// The one list that is as narrow as all of them; none if there is no such list.
    pub fn narrowest(&self) -> Option<Vec<String>> {
        let everywhere = Vec::new();
        self.ranges.iter().chain([&everywhere]).find(|ranges| self.cover_ranges(ranges)).cloned()
    }
}

/// Why a key is not in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotInForce {
    /// It was revoked.
    Revoked,
    /// It has ended.
    Expired,
    /// Whoever answers for it was removed.
    HolderRemoved,
    /// Whoever answers for it is disabled, or was since.
    HolderDisabled,
    /// A key that it was made by is not in force.
    MakerEnded,
}

impl NotInForce {
    /// As a key's JSON says it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::HolderRemoved => "holder_removed",
            Self::HolderDisabled => "holder_disabled",
            Self::MakerEnded => "maker_ended",
        }
    }
}

impl ApiKeyRow {
    /// Whether the key may be used with this text, from this IP address, now.
    pub fn admits(&self, text: &str, address: &str, now: Timestamp) -> bool {
        let millis = now.millis();
        let given = digest(text.as_bytes());
        let current = constant_time_eq(&given, &self.digest);
        let previous = self.previous_until.is_some_and(|until| millis < until)
            & constant_time_eq(&given, self.previous_digest.as_deref().unwrap_or_default());
        (current | previous)
            && self.in_force(now).is_ok()
            && self.bounds().ranges.iter().all(|ranges| is_let_in(ranges, address))
    }

    /// When the text that was presented ends: with the key and those that it was made by, or before, if it is the previous
    /// one.
    pub fn ends_at(&self, text: &str) -> Option<Timestamp> {
        let is_current = constant_time_eq(&digest(text.as_bytes()), &self.digest);
        let previous = self.previous_until.filter(|_| !is_current);
        self.bounds().until().into_iter().chain(previous.map(Timestamp::from_millis)).min()
    }

    /// Whether the key is in force, or why not.
    pub fn in_force(&self, now: Timestamp) -> Result<(), NotInForce> {
        let has_ended = |at: Option<i64>| at.is_some_and(|at| now.millis() >= at);
        if self.revoked_at.is_some() {
            return Err(NotInForce::Revoked);
        }
        if has_ended(self.expires_at) {
            return Err(NotInForce::Expired);
        }
        self.holder().stands()?;
        let makers = self.makers();
        let stand = makers.len() == self.through().len() && makers.iter().all(|maker| maker.in_force(now));
        if stand { Ok(()) } else { Err(NotInForce::MakerEnded) }
    }

    /// What it may do: its own permissions, within those of the keys it was made by, and within those of whoever holds it
    /// and them by now, where a person does. `held` is what a person may do, by role and the permissions of a tenant's own role.
    pub fn effective<P>(
        &self,
        held: impl Fn(&str, Option<&str>) -> P,
        read: impl Fn(&str) -> P,
        within: impl Fn(P, P) -> P,
    ) -> P {
        let of = |scopes: &str, holder: Holder<'_>| match holder.id {
            Some(_) => within(read(scopes), held(holder.role.unwrap_or_default(), holder.own_role)),
            None => read(scopes),
        };
        let own = of(&self.scopes, self.holder());
        self.makers().iter().fold(own, |own, maker| within(own, of(&maker.scopes, maker.holder())))
    }

    /// Who holds the keys that it was made by, with their roles, by now.
    pub fn holders_of_makers(&self) -> Vec<(String, String)> {
        self.makers().into_iter().filter_map(|maker| maker.holder_id.zip(maker.holder_role)).collect()
    }

    /// Whether its use was noted less than a minute ago.
    pub fn was_noted(&self, now: Timestamp) -> bool {
        self.last_used_at.is_some_and(|at| now.millis() - at < NOTE_MILLIS)
    }

    /// Who answers for what the key makes; `id` is its own.
    pub fn backing(&self, id: &str) -> Backing {
        let through = self.through().into_iter().chain([id.to_owned()]).collect();
        Backing { holder: self.holder_id.clone(), stamp: self.holder_stamp.clone(), through }
    }

    /// Refuses a key that was revoked.
    pub fn check_not_revoked(&self) -> Result<(), Problem> {
        if self.revoked_at.is_some() { Err(problem::revoked()) } else { Ok(()) }
    }

    /// Who answers for the key now.
    pub fn present_holder(&self) -> (String, Backing) {
        let (holder, stamp) = (self.holder_id.clone(), self.holder_stamp.clone());
        (self.held_by.clone(), Backing { holder, stamp, through: self.through() })
    }

    /// Whether the key is answered for like this already, or by no person and no key: then its present text may stay
    /// good for a while when it is re-rolled. Else whoever holds that text no longer answers for the key.
    pub fn keeps_text_under(&self, backing: &Backing) -> bool {
        let through = self.through();
        let same = self.holder_id == backing.holder && through == backing.through;
        same && self.holder_stamp == backing.stamp || self.holder_id.is_none() && through.is_empty()
    }

    /// Whether exactly these answer for the key by now.
    pub fn is_backed_by(&self, backing: &Backing) -> bool {
        self.present_holder().1 == *backing
    }

    /// From where and until when it is good.
    pub fn bounds(&self) -> KeyBounds {
        let makers = self.makers();
        let lists = std::iter::once(&self.ip_allowlist).chain(makers.iter().map(|maker| &maker.ip_allowlist));
        let ends = std::iter::once(self.expires_at).chain(makers.iter().map(|maker| maker.expires_at));
        KeyBounds { ranges: lists.map(|list| read_list(list)).collect(), until: ends.flatten().min() }
    }

    /// Its own address ranges and end.
    pub fn own_bounds(&self) -> (Vec<String>, Option<i64>) {
        (read_list(&self.ip_allowlist), self.expires_at)
    }

    /// What `KEY_AS_SEEN` compares: text, permissions, address ranges, end, holder.
    pub fn seen(&self) -> (&str, &str, &str, Option<i64>, &str) {
        (&self.digest, &self.scopes, &self.ip_allowlist, self.expires_at, &self.held_by)
    }

    /// The row's JSON with who answers for the key and whether it is in force. `effective` is the member that lists what
    /// it may do now, and its value.
    pub fn shown(
        &self,
        view: &ViewRow,
        now: Timestamp,
        effective: (&str, Value),
    ) -> Result<Map<String, Value>, Problem> {
        let Value::Object(mut members) = view.shown()? else {
            return Err(problem::internal("a key that is no object"));
        };
        let refusal = self.in_force(now).err();
        set(&mut members, "held_by", &self.held_by);
        set(&mut members, "in_force", &refusal.is_none());
        set(&mut members, "not_in_force_because", &refusal.map(NotInForce::as_str));
        members.insert(
            effective.0.to_owned(),
            if refusal.is_none() { effective.1 } else { Value::from(Vec::<Value>::new()) },
        );
        Ok(members)
    }

    fn holder(&self) -> Holder<'_> {
        Holder {
            id: self.holder_id.as_deref(),
            stamp: &self.holder_stamp,
            now: self.holder_now.as_deref(),
            role: self.holder_role.as_deref(),
            own_role: self.own_role.as_deref(),
        }
    }

    fn through(&self) -> Vec<String> {
        read_list(&self.made_through)
    }

    fn makers(&self) -> Vec<MakerKey> {
        serde_json::from_str(&self.makers).unwrap_or_default()
    }
}

fn read_list(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::permission::Permissions;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn key() -> ApiKeyRow {
        ApiKeyRow {
            digest: digest(b"text"),
            previous_digest: None,
            previous_until: None,
            scopes: r#"["users:read","roles:read"]"#.to_owned(),
            ip_allowlist: "[]".to_owned(),
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
            held_by: "platform_key".to_owned(),
            holder_id: None,
            holder_stamp: String::new(),
            holder_now: None,
            holder_role: None,
            own_role: None,
            made_through: "[]".to_owned(),
            makers: "[]".to_owned(),
        }
    }

    fn held(stamp: &str, now: Option<&str>, role: Option<&str>) -> ApiKeyRow {
        ApiKeyRow {
            holder_id: Some("u".to_owned()),
            holder_stamp: stamp.to_owned(),
            holder_now: now.map(str::to_owned),
            holder_role: role.map(str::to_owned),
            ..key()
        }
    }

    fn made(makers: &str) -> ApiKeyRow {
        ApiKeyRow { made_through: r#"["m"]"#.to_owned(), makers: makers.to_owned(), ..key() }
    }

    fn maker(ranges: &str, expires_at: &str, revoked_at: &str) -> ApiKeyRow {
        let scopes = r#""[\"users:read\"]""#;
        made(&format!(
            r#"[{{"scopes":{scopes},"ip_allowlist":"{ranges}","expires_at":{expires_at},"revoked_at":{revoked_at},"holder_stamp":"","rests_elsewhere":0}}]"#
        ))
    }

    fn made_by_held(now: &str, role: &str, rests_elsewhere: i64) -> ApiKeyRow {
        made(&format!(
            r#"[{{"scopes":"[\"*\"]","ip_allowlist":"[]","expires_at":null,"revoked_at":null,"holder_id":"u","holder_stamp":"s","holder_now":{now},"holder_role":{role},"own_role":null,"rests_elsewhere":{rests_elsewhere}}}]"#
        ))
    }

    #[test]
    fn a_key_is_bounded_by_who_holds_its_maker_by_now() {
        let good = made_by_held(r#""s""#, r#""press""#, 0);
        assert_eq!(good.in_force(NOW), Ok(()));
        let roles =
            |role: &str, _: Option<&str>| Permissions::stored(if role == "press" { r#"["roles:read"]"# } else { "[]" });
        assert_eq!(good.effective(roles, Permissions::stored, Permissions::within).names(), ["roles:read"]);
        assert_eq!(good.holders_of_makers(), [("u".to_owned(), "press".to_owned())]);
        for ended in [
            made_by_held("null", r#""press""#, 0),
            made_by_held(r#""t""#, r#""press""#, 0),
            made_by_held("null", "null", 0),
            made_by_held(r#""s""#, r#""press""#, 1),
        ] {
            assert_eq!(ended.in_force(NOW), Err(NotInForce::MakerEnded));
        }
    }

    #[test]
    fn a_key_stands_while_its_holder_has_the_stamp_of_before() {
        assert_eq!(key().in_force(NOW), Ok(()));
        assert_eq!(held("s", Some("s"), Some("owner")).in_force(NOW), Ok(()));
        assert_eq!(held("s", None, Some("owner")).in_force(NOW), Err(NotInForce::HolderDisabled));
        assert_eq!(held("s", Some("t"), Some("owner")).in_force(NOW), Err(NotInForce::HolderDisabled), "enabled again");
        assert_eq!(held("s", None, None).in_force(NOW), Err(NotInForce::HolderRemoved));
        assert!(held("s", Some("s"), Some("owner")).admits("text", "10.0.0.1", NOW));
        assert!(!held("s", Some("t"), Some("owner")).admits("text", "10.0.0.1", NOW));
        assert_eq!(ApiKeyRow { revoked_at: Some(1), ..key() }.in_force(NOW), Err(NotInForce::Revoked));
        assert_eq!(ApiKeyRow { expires_at: Some(1_000), ..key() }.in_force(NOW), Err(NotInForce::Expired));
    }

    #[test]
    fn a_key_is_bounded_by_the_keys_that_made_it() {
        let good = maker(r#"[\"10.0.0.0/8\"]"#, "2000", "null");
        assert_eq!(good.in_force(NOW), Ok(()));
        assert!(good.admits("text", "10.0.0.1", NOW) && !good.admits("text", "11.0.0.1", NOW));
        assert_eq!(
            good.effective(|_, _| Permissions::ALL, Permissions::stored, Permissions::within).names(),
            ["users:read"]
        );
        for ended in [maker("[]", "1000", "null"), maker("[]", "null", "5"), made("[]"), made("no json")] {
            assert_eq!(ended.in_force(NOW), Err(NotInForce::MakerEnded));
        }
        let bounds = good.bounds();
        let list = |range: &str| vec![range.to_owned()];
        assert!(bounds.cover_end(Some(2000)) && !bounds.cover_end(Some(2001)) && !bounds.cover_end(None));
        assert!(
            bounds.cover_ranges(&list("10.1.0.0/16"))
                && !bounds.cover_ranges(&[])
                && !bounds.cover_ranges(&list("::1"))
        );
    }

    #[test]
    fn what_stands_on_its_own_is_bounded_by_one_list() {
        let of = |lists: &[&[&str]]| {
            let ranges = lists.iter().map(|list| list.iter().map(|range| (*range).to_owned()).collect()).collect();
            KeyBounds { ranges, until: Some(5) }
        };
        let list = |range: &str| vec![range.to_owned()];
        assert_eq!(of(&[]).narrowest(), Some(Vec::new()));
        assert_eq!(of(&[&[], &[]]).narrowest(), Some(Vec::new()));
        assert_eq!(of(&[&[], &["10.0.0.0/8"], &["10.1.0.0/16"]]).narrowest(), Some(list("10.1.0.0/16")));
        assert_eq!(of(&[&["10.0.0.0/8"], &["11.0.0.0/8"]]).narrowest(), None);
        let bounds = of(&[&["10.0.0.0/8"]]);
        assert!(bounds.cover(&(list("10.0.0.1"), Some(5))));
        for beyond in [(list("10.0.0.1"), None), (list("10.0.0.1"), Some(6)), (Vec::new(), Some(5))] {
            assert!(!bounds.cover(&beyond));
        }
    }

    #[test]
    fn what_a_holder_may_not_do_a_key_may_not_do() {
        let holders = Permissions::stored(r#"["roles:read","audit:read"]"#);
        let of = |row: &ApiKeyRow| row.effective(|_, _| holders, Permissions::stored, Permissions::within).names();
        assert_eq!(of(&held("s", Some("s"), Some("press"))), ["roles:read"]);
        assert_eq!(of(&key()), ["users:read", "roles:read"], "nobody's but the tenant's");
    }

    #[test]
    fn a_text_is_kept_by_who_held_the_key_before() {
        let backing = Backing::person("u", "s");
        assert!(held("s", Some("s"), Some("owner")).keeps_text_under(&backing));
        assert!(!held("r", Some("s"), Some("owner")).keeps_text_under(&backing), "it was disabled meanwhile");
        assert!(!held("s", Some("s"), Some("owner")).keeps_text_under(&Backing::person("v", "s")));
        assert!(!held("s", Some("s"), Some("owner")).keeps_text_under(&Backing::default()));
        assert!(key().keeps_text_under(&backing) && key().keeps_text_under(&Backing::default()));
        assert!(!made("[]").keeps_text_under(&backing));
    }

    #[test]
    fn keys_do_not_make_keys_without_end() {
        let backing = |count: usize| Backing { through: vec!["k".to_owned(); count], ..Backing::default() };
        assert!(backing(MAX_MAKERS).made_through().is_ok() && backing(MAX_MAKERS + 1).made_through().is_err());
        assert_eq!(made("[]").backing("own").through, ["m", "own"]);
    }

    #[test]
    fn a_key_that_passes_to_somebody_else_rests_on_something_else() {
        let of = |row: &ApiKeyRow| row.backing("k").basis();
        let held = [key(), held("s", None, None), held("t", None, None), made("[]")].map(|row| of(&row));
        assert!((1..held.len()).all(|i| !held[..i].contains(&held[i])), "{held:?}");
    }
}
