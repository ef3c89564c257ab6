//! A principal as what it made remembers it: invitations, and URLs that take or show a file.
//!
//! Who comes back after they were disabled, signed out or no longer admitted to the tenant is another maker.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};

use super::key_row::Backing;
use domain::clock::Timestamp;
use domain::json;

/// A principal by name. Its text stands in URLs and rows: members that later versions add have a default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Maker {
    /// `user:…`, `key:…`, `operator:…`, `platform_key` or `platform_key:…`.
    #[serde(rename = "p")]
    pub principal: String,
    /// A user's stamp, what an operator's access rests on, or who answers for a key.
    #[serde(rename = "b", default)]
    pub basis: String,
    /// The session; none for keys.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The user whom an operator acts as, with their stamp.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub acts_as: Option<(String, String)>,
    /// The end of what an impersonator makes, in milliseconds since 1970.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
}

impl Maker {
    /// A user.
    pub fn user(id: &str, stamp: &str, session: Option<&str>) -> Self {
        let session = session.map(str::to_owned);
        Self { principal: format!("user:{id}"), basis: stamp.to_owned(), session, ..Self::default() }
    }

    /// A tenant's key. What it made does not come back when somebody takes it over.
    pub fn key(id: &str, backing: &Backing) -> Self {
        Self { principal: format!("key:{id}"), basis: backing.basis(), ..Self::default() }
    }

    /// A platform key, by the name that audits have for it.
    pub fn platform_key(actor: &str, backing: &Backing) -> Self {
        Self { principal: actor.to_owned(), basis: backing.basis(), ..Self::default() }
    }

    /// An operator (`operator:…`) who entered the tenant.
    pub fn operator(actor: &str, basis: &str, session: &str) -> Self {
        let (principal, basis) = (actor.to_owned(), basis.to_owned());
        Self { principal, basis, session: Some(session.to_owned()), ..Self::default() }
    }

    /// The operator as one of the tenant's users, for a while.
    #[must_use]
    pub fn acting_as(self, user: &str, stamp: &str, until: Timestamp) -> Self {
        Self { acts_as: Some((user.to_owned(), stamp.to_owned())), until: Some(until.millis()), ..self }
    }

    /// The same principal, whichever session it was: for what outlasts sessions.
    #[must_use]
    pub fn without_session(&self) -> Self {
        Self { session: None, ..self.clone() }
    }

    /// As a URL holds it, with when it made what the URL is for.
    pub fn to_text(&self, made_at: Timestamp) -> String {
        BASE64.encode(json!([self, made_at.millis()]).to_string())
    }

    /// Reads what a URL holds; the URL must be signed.
    pub fn from_text(text: &str) -> Option<(Self, Timestamp)> {
        let (maker, at): (Self, i64) = serde_json::from_slice(&BASE64.decode(text).ok()?).ok()?;
        Some((maker, Timestamp::from_millis(at)))
    }

    /// The end of what it makes, which is to end at `until`: what an impersonator makes ends with the impersonation.
    pub fn end(&self, until: Timestamp) -> Timestamp {
        self.until.map_or(until, |own| until.min(Timestamp::from_millis(own)))
    }

    /// Who answers for what it makes; not of keys, whose rows say it.
    pub fn backing(&self) -> Backing {
        self.principal.strip_prefix("user:").map_or_else(Backing::default, |id| Backing::person(id, &self.basis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_maker_is_read_as_it_was_written() {
        let at = Timestamp::from_millis(7);
        for maker in [
            Maker::user("u", "s", Some("session")),
            Maker::user("u", "", None),
            Maker::key("k", &Backing::person("u", "s")),
            Maker::platform_key("platform_key", &Backing::default()),
            Maker::operator("operator:o", "grant.a.b", "session").acting_as("u", "s", Timestamp::from_millis(9)),
        ] {
            assert_eq!(Maker::from_text(&maker.to_text(at)), Some((maker, at)));
        }
        for text in ["", "x", "e30", "!"] {
            assert_eq!(Maker::from_text(text), None, "{text}");
        }
    }

    #[test]
    fn what_an_impersonator_makes_ends_with_the_impersonation() {
        let at = Timestamp::from_millis;
        let operator = Maker::operator("operator:o", "", "s");
        assert_eq!(operator.end(at(9)), at(9));
        assert_eq!(operator.acting_as("u", "", at(5)).end(at(9)), at(5));
    }
}
