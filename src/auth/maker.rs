//! A principal as what it made remembers it, and what it may do by now.
//!
//! Invitations, and URLs that take or show a file, are used later than they were made, and by somebody else. They are worth
//! what their maker may do when they are used, and nothing once the maker is gone, disabled, signed out (where it was a
//! session that made them) or no longer admitted to the tenant. A maker who comes back is another one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};

use super::authenticate_member::{NOT_IMPERSONATED, entered, key_as_seen, key_permissions, key_row, user_row};
use super::authenticate_operator::{platform_key_permissions, platform_key_row, tenant_access};
use super::key_row::{ApiKeyRow, Backing};
use crate::http::problem::Problem;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::control_db::ControlDb;
use crate::storage::sql::{Arg, TenantSql};
use crate::storage::tenant_db::TenantDb;
use domain::clock::{Clock, Timestamp};
use domain::json;
use domain::permission::{Permissions, PlatformPermission};

/// A principal by name. Its text stands in URLs and rows: members that later versions add have a default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Maker {
    /// `user:…`, `key:…`, `operator:…`, `platform_key` or `platform_key:…`.
    #[serde(rename = "p")]
    pub principal: String,
    /// A user's standing, what an operator's access rests on, or who answers for a key.
    #[serde(rename = "b", default)]
    pub basis: String,
    /// The session; none for keys.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The user whom an operator acts as, with their standing.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub acts_as: Option<(String, String)>,
    /// The end of what an impersonator makes, in milliseconds since 1970.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
}

impl Maker {
    /// A user.
    pub fn user(id: &str, standing: &str, session: Option<&str>) -> Self {
        let session = session.map(str::to_owned);
        Self { principal: format!("user:{id}"), basis: standing.to_owned(), session, ..Self::default() }
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
    pub fn acting_as(self, user: &str, standing: &str, until: Timestamp) -> Self {
        Self { acts_as: Some((user.to_owned(), standing.to_owned())), until: Some(until.millis()), ..self }
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

    /// What the maker may do in the tenant now; none if it may do nothing any more. `made_at` is when it made what is
    /// judged, where that is void when the maker's tokens are.
    pub async fn judge(
        &self,
        bindings: &Bindings,
        rows: &TenantDb,
        made_at: Option<Timestamp>,
    ) -> Result<Option<Judged>, Problem> {
        if self.until.is_some_and(|until| SystemClock.now().millis() >= until) {
            return Ok(None);
        }
        match self.principal.split_once(':') {
            None if self.principal == "platform_key" => Ok(Some(Judged::unruled(Permissions::ALL))),
            None => Ok(None),
            Some(("user", id)) => self.judge_user(rows, (id, &self.basis), made_at).await,
            Some(("key", id)) => self.judge_key(rows, id).await,
            Some(("operator", _)) => self.judge_operator(bindings, rows, made_at).await,
            Some(("platform_key", id)) => self.judge_platform_key(bindings, id).await,
            Some(_) => Ok(None),
        }
    }

    async fn judge_user(
        &self,
        rows: &TenantDb,
        (id, standing): (&str, &str),
        made_at: Option<Timestamp>,
    ) -> Result<Option<Judged>, Problem> {
        // The session is an operator's where the user is acted as.
        let session = self.session.as_deref().filter(|_| self.acts_as.is_none());
        let row = user_row(rows, id, session.unwrap_or_default()).await?;
        let row = row.filter(|row| {
            row.standing() == standing
                && (session.is_none() || row.session_is_open(SystemClock.now()))
                && made_at.is_none_or(|at| row.accepts_issued_at(at.millis()))
        });
        Ok(row.map(|row| Judged { permissions: row.permissions(), as_seen: row.as_seen() }))
    }

    async fn judge_key(&self, rows: &TenantDb, id: &str) -> Result<Option<Judged>, Problem> {
        let row = key_row(rows, id).await?.filter(|row| self.is_key(row, id));
        Ok(row.map(|row| Judged { permissions: key_permissions(&row), as_seen: key_as_seen(&row, id) }))
    }

    async fn judge_platform_key(&self, bindings: &Bindings, id: &str) -> Result<Option<Judged>, Problem> {
        let db = ControlDb::open(bindings, "judge what a platform key made")?;
        let row = platform_key_row(&db, id).await?.filter(|row| self.is_key(row, id));
        let enters = row.is_some_and(|row| platform_key_permissions(&row).has(PlatformPermission::TenantsEnter));
        Ok(enters.then(|| Judged::unruled(Permissions::ALL)))
    }

    /// Whether a key is in force and still answered for as it was.
    fn is_key(&self, row: &ApiKeyRow, id: &str) -> bool {
        // Invitations of an older version do not say it.
        let is_same = self.basis.is_empty() || row.backing(id).basis() == self.basis;
        is_same && row.in_force(SystemClock.now()).is_ok()
    }

    async fn judge_operator(
        &self,
        bindings: &Bindings,
        rows: &TenantDb,
        made_at: Option<Timestamp>,
    ) -> Result<Option<Judged>, Problem> {
        let session = self.session.as_deref().unwrap_or_default();
        let access = tenant_access(bindings, rows.tenant(), &self.principal, session).await?;
        let access =
            access.filter(|access| access.basis == self.basis && (self.session.is_none() || access.session_ends.is_some()));
        let Some(access) = access else { return Ok(None) };
        let Some(own) = entered(rows, &access, made_at).await? else { return Ok(None) };
        let Some((user, standing)) = &self.acts_as else { return Ok(Some(Judged::unruled(own))) };
        let user = self.judge_user(rows, (user, standing), made_at).await?;
        Ok(user.map(|user| Judged { permissions: user.permissions.without(NOT_IMPERSONATED).within(own), ..user }))
    }
}

/// What a maker may do.
pub struct Judged {
    /// The permissions.
    pub permissions: Permissions,
    /// The rules that the maker is still what was read, for a batch that rests on it. An operator and the platform are
    /// read from another database: there are none.
    pub as_seen: Vec<(TenantSql, Vec<Arg>)>,
}

impl Judged {
    fn unruled(permissions: Permissions) -> Self {
        Self { permissions, as_seen: Vec::new() }
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
