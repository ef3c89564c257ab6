//! Failed attempts of operators to sign in, in minutes of UTC, counted in CONTROL: per network, per account and network, per
//! account.
//!
//! The rules are those of users (`hub/logins.rs`): an attempt is counted as a failure before a password is hashed, and taken
//! back once it has succeeded. Nobody locks somebody else out: what all networks fail together only slows those that never
//! signed in to the account.

use crate::credentials::signature::digest;
use crate::http::problem::{self, Problem, RateBound};
use crate::storage::control_db::ControlDb;
use crate::storage::row::row_types;
use crate::storage::sql::{Arg, ControlSql, args, statements};
use domain::address::Network;
use domain::clock::Timestamp;

statements! { ControlSql;
    /// Counts a failure of a network, and of the network at the account; neither if one of them has as many as it may.
    COUNT = "INSERT INTO operator_login_failures (minute, who, tries) SELECT ?1, w.value, 1 FROM json_each(json_array(?2, ?3)) w WHERE NOT EXISTS (SELECT 1 FROM operator_login_failures f WHERE f.minute = ?1 AND (f.who = ?2 AND f.tries >= ?4 OR f.who = ?3 AND f.tries >= ?5)) ON CONFLICT (minute, who) DO UPDATE SET tries = tries + 1 RETURNING who, tries";
    /// Counts a failure at the account, by a network that never signed in to it.
    COUNT_AT_ACCOUNT = "INSERT INTO operator_login_failures (minute, who, tries) SELECT ?1, ?2, 1 WHERE NOT EXISTS (SELECT 1 FROM operator_login_networks WHERE account = ?3 AND network = ?4) ON CONFLICT (minute, who) DO UPDATE SET tries = tries + 1 RETURNING who, tries";
    /// Takes a failure back.
    TAKE_BACK = "UPDATE operator_login_failures SET tries = tries - 1 WHERE minute = ?1 AND who IN (?2, ?3, ?4) AND tries > 0";
    /// Remembers a network of an account.
    REMEMBER = "INSERT INTO operator_login_networks (account, network, at) VALUES (?1, ?2, ?3) ON CONFLICT (account, network) DO UPDATE SET at = excluded.at";
    /// Deletes the counts of past minutes.
    FORGET_FAILURES = "DELETE FROM operator_login_failures WHERE minute < ?1";
    /// Deletes networks that nobody signed in from for long.
    FORGET_NETWORKS = "DELETE FROM operator_login_networks WHERE at < ?1";
    /// Deletes what Workers of before counted.
    FORGET_OLDER = "DELETE FROM operator_logins WHERE minute < ?1";
}

/// Failures per minute of one network.
const PER_NETWORK: i64 = 20;
/// Failures per minute of one network at one account.
const PER_PAIR: i64 = 10;
/// Failures per minute at one account from which on a network that never signed in to it has one attempt.
const SLOWED: i64 = 100;
/// Failures per minute at one account from which on such a network has none.
const PER_ACCOUNT: i64 = 1_000;
/// How long a network of an account is remembered, in milliseconds.
const KNOWN_MILLIS: i64 = 30 * 86_400_000;
/// What is told where too many failed.
const BOUND: RateBound = RateBound { policy: "operator-logins", of: "failed sign-ins of operators" };

row_types! {
    struct FailuresRow {
        who: String,
        tries: i64,
    }
}

/// An attempt that was counted as a failure.
pub struct FailedLogin {
    minute: i64,
    account: String,
    network: String,
}

impl FailedLogin {
    /// Counts an attempt; 429 if too many failed in this minute. What its network is refused counts nowhere.
    pub async fn count(db: &ControlDb, network: Network, email: &str, now: Timestamp) -> Result<Self, Problem> {
        let attempt = Self {
            minute: now.seconds() / 60,
            account: digest(email.as_bytes()),
            network: digest(network.to_string().as_bytes()),
        };
        let [of_network, of_pair, at_account] = attempt.counted();
        let counting = args![attempt.minute, of_network, of_pair.as_str(), PER_NETWORK, PER_PAIR];
        let rows = db.rows::<FailuresRow>(&COUNT, counting).await?;
        if let Some(pair) = rows.iter().find(|row| row.who == of_pair).map(|row| row.tries) {
            let args = args![attempt.minute, at_account, attempt.account.as_str(), attempt.network.as_str()];
            let strange = db.rows::<FailuresRow>(&COUNT_AT_ACCOUNT, args).await?;
            if is_allowed(pair, strange.first().map_or(0, |row| row.tries)) {
                return Ok(attempt);
            }
        }
        Err(problem::rate_limited(BOUND, (60 - now.seconds() % 60).unsigned_abs()))
    }

    /// The statements that take it back, and remember its network for the account.
    pub fn has_succeeded(&self, now: Timestamp) -> Vec<(ControlSql, Vec<Arg>)> {
        let [of_network, of_pair, at_account] = self.counted();
        vec![
            (TAKE_BACK, args![self.minute, of_network, of_pair, at_account]),
            (REMEMBER, args![self.account.as_str(), self.network.as_str(), now.millis()]),
        ]
    }

    /// What it is counted under: its network, its network at the account, the account.
    fn counted(&self) -> [String; 3] {
        let Self { account, network, .. } = self;
        [format!("network:{network}"), format!("pair:{account}:{network}"), format!("account:{account}")]
    }
}

/// Whether a network may go on with its `of_pair`th failure at an account, which strange networks failed at so often.
fn is_allowed(of_pair: i64, at_account: i64) -> bool {
    at_account <= SLOWED || (at_account <= PER_ACCOUNT && of_pair <= 1)
}

/// The statements that delete what is past.
pub fn forget_past(now: Timestamp) -> Vec<(ControlSql, Vec<Arg>)> {
    let minute = now.seconds() / 60 - 1;
    vec![
        (FORGET_FAILURES, args![minute]),
        (FORGET_NETWORKS, args![now.millis() - KNOWN_MILLIS]),
        (FORGET_OLDER, args![minute]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strange_networks_are_slowed_before_they_are_stopped() {
        assert!(is_allowed(10, 100) && is_allowed(1, 101) && is_allowed(1, 1000));
        assert!(!is_allowed(2, 101) && !is_allowed(1, 1001));
        assert!(is_allowed(10, 0), "the account's own network");
    }
}
