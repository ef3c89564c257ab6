//! A tenant's Mercure settings, the actions that Mercure tokens allow, and where its hub is.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json;

/// The hub's path on each host of its tenant.
pub const HUB_PATH: &str = "/.well-known/mercure";

/// An action that a token may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Publishing updates.
    Publish,
    /// Receiving private updates.
    Subscribe,
}

impl Action {
    /// Reads its name in tokens and settings; none for an unknown action.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "publish" => Some(Self::Publish),
            "subscribe" => Some(Self::Subscribe),
            _ => None,
        }
    }
}

/// An issuer whose tokens the tenant accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issuer {
    /// Its name, exactly as in the claim `iss`.
    pub issuer: String,
    /// The URL of its public keys (RFC 7517).
    pub jwks_url: String,
    /// What its tokens may allow.
    pub allows: Vec<Action>,
}

/// A tenant's Mercure settings. Members at their default are not serialised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mercure {
    /// Whether clients of the protocol before 1.0 are served too.
    #[serde(skip_serializing_if = "is_on")]
    pub compatibility: bool,
    /// Whether clients without a credential may open streams of public events, here and on `/events`.
    #[serde(skip_serializing_if = "is_on")]
    pub anonymous: bool,
    /// Whether active subscriptions are published. Each beginning and end is an event of the log, so it is off by default.
    #[serde(skip_serializing_if = "is_off")]
    pub subscriptions: bool,
    /// Issuers whose tokens are accepted beside those signed with the tenant's secrets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<Issuer>,
}

impl Default for Mercure {
    fn default() -> Self {
        Self { compatibility: true, anonymous: true, subscriptions: false, issuers: Vec::new() }
    }
}

impl Mercure {
    /// Whether every member has its default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Every member with its effective value, as JSON.
    pub fn to_view(&self) -> Value {
        json!({
            "compatibility": self.compatibility,
            "anonymous": self.anonymous,
            "subscriptions": self.subscriptions,
            "issuers": self.issuers,
        })
    }

    /// Whether tokens of an issuer may allow `action`. An issuer with another URL of keys is another issuer.
    pub fn lends(&self, issuer: &str, jwks_url: &str, action: Action) -> bool {
        let is_it = |known: &Issuer| known.issuer == issuer && known.jwks_url == jwks_url;
        self.issuers.iter().any(|known| is_it(known) && known.allows.contains(&action))
    }

    /// Whether these settings allow `action` to an issuer that `other` does not allow it to. An issuer with another URL of
    /// keys counts as another issuer.
    pub fn lends_beyond(&self, other: &Self, action: Action) -> bool {
        let lends = |ours: &&Issuer| ours.allows.contains(&action);
        self.issuers.iter().filter(lends).any(|ours| !other.lends(&ours.issuer, &ours.jwks_url, action))
    }
}

fn is_on(flag: &bool) -> bool {
    *flag
}

fn is_off(flag: &bool) -> bool {
    !*flag
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn issuer(name: &str, allows: &[Action]) -> Issuer {
        Issuer { issuer: name.into(), jwks_url: format!("{name}/keys"), allows: allows.to_vec() }
    }

    #[test]
    fn what_is_at_its_default_takes_no_room() {
        assert_eq!(serde_json::to_string(&Mercure::default()).unwrap(), "{}");
        assert_eq!(serde_json::from_str::<Mercure>("{}").unwrap(), Mercure::default());
        let set = Mercure { anonymous: false, issuers: vec![issuer("a", &[Action::Publish])], ..Mercure::default() };
        let text = r#"{"anonymous":false,"issuers":[{"issuer":"a","jwks_url":"a/keys","allows":["publish"]}]}"#;
        assert_eq!(serde_json::to_string(&set).unwrap(), text);
        assert_eq!(serde_json::from_str::<Mercure>(text).unwrap(), set);
        assert_eq!(set.to_view()["compatibility"], json!(true));
    }

    #[test]
    fn more_is_lent_by_another_issuer_action_or_place_of_keys() {
        let of = |issuers: Vec<Issuer>| Mercure { issuers, ..Mercure::default() };
        let one = of(vec![issuer("a", &[Action::Subscribe])]);
        for (ours, action, more) in [
            (of(vec![]), Action::Subscribe, false),
            (one.clone(), Action::Subscribe, false),
            (one.clone(), Action::Publish, false),
            (of(vec![issuer("a", &[Action::Publish, Action::Subscribe])]), Action::Publish, true),
            (of(vec![issuer("a", &[Action::Publish, Action::Subscribe])]), Action::Subscribe, false),
            (of(vec![issuer("b", &[Action::Subscribe])]), Action::Subscribe, true),
            (of(vec![Issuer { jwks_url: "b".into(), ..one.issuers[0].clone() }]), Action::Subscribe, true),
        ] {
            assert_eq!(ours.lends_beyond(&one, action), more, "{ours:?} {action:?}");
        }
    }
}
