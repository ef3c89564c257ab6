//! What a stream's socket carries through hibernation: everything the hub needs to restore the stream.

use serde::{Deserialize, Serialize};

use super::protocol::{Basis, Grantor, NotAllowed, TenantConfig, WireFormat};
use super::sockets::CloseReason;
use super::subscription_index::Subscriber;
use domain::address::Network;
use domain::clock::Timestamp;
use domain::selector::Interest;
use domain::unix_time::millis;

/// At most 16 KB of JSON, of which selectors, grants and filter may take 8 ([`Interest::MAX_BYTES`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    /// The stream's number within this hub; never 0.
    pub id: u64,
    /// What it asks for and may see.
    #[serde(flatten)]
    pub interest: Interest,
    /// What its rights rest on.
    #[serde(flatten)]
    pub basis: Basis,
    /// When it was opened.
    #[serde(with = "millis")]
    pub since: Timestamp,
    /// The client's address.
    pub address: String,
    /// The tenant's host that it was opened on; an older version did not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Box<str>>,
    /// Digest of its ticket, if it came with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Its name in subscription events, where the tenant announces them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscriber: Option<String>,
    #[serde(default)]
    pub wire: WireFormat,
    /// The sequence number that its next page begins behind; none once it is live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaying: Option<u64>,
    /// The log's newest number when it began to replay: its pages up to there are history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<u64>,
    /// The outbox's number of the last change that its client has seen in a list. Changes up to it are not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<u64>,
    /// Whether its Worker lets a direct stream through.
    #[serde(default, skip_serializing_if = "is_not")]
    pub may_be_direct: bool,
}

fn is_not(flag: &bool) -> bool {
    !*flag
}

impl Attachment {
    /// The client's network, by which its streams are counted.
    pub fn network(&self) -> Network {
        Network::of(&self.address)
    }

    /// The stream as the index of subscriptions sees it.
    pub fn indexed(&self) -> Subscriber<'_> {
        Subscriber { id: self.id, interest: &self.interest, network: self.network(), is_stranger: self.is_strangers() }
    }

    /// Whether it was opened without a credential.
    pub fn is_strangers(&self) -> bool {
        self.basis.grantor == Grantor::Nobody && self.interest.granted.is_empty()
    }

    /// Whether its next page is history.
    pub fn is_in_history(&self) -> bool {
        self.replaying.is_some_and(|at| self.history.is_some_and(|history| at < history))
    }

    /// Why the tenant's configuration does not let the stream stand at this moment; none if it does.
    pub fn end(&self, config: &TenantConfig, now: Timestamp) -> Option<CloseReason> {
        let is_hosts = |host: &str| config.hosts.iter().any(|known| known == host);
        if !config.is_served(now) || self.host.as_deref().is_some_and(|host| !is_hosts(host)) {
            return Some(CloseReason::TenantUnavailable);
        }
        self.basis.check(config, &self.address, now).err().map(NotAllowed::close_reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::model::served;
    use crate::hub::protocol::{Grantor, TokenIssuer};
    use domain::hearing::HearingRights;
    use domain::mercure::Action;
    use domain::minted::Minted;
    use domain::selector::Selector;

    fn attachment(expires_at: Option<Timestamp>) -> Attachment {
        let all = vec![Selector::parse("*").unwrap()];
        Attachment {
            id: 1,
            interest: Interest { selected: all.clone(), granted: all, ..Interest::default() },
            basis: Basis { grantor: Grantor::SubscriptionSecret(1), expires_at, is_older: false },
            since: Timestamp::default(),
            address: "2001:db8::1".into(),
            host: None,
            ticket: None,
            subscriber: None,
            wire: WireFormat::Plain,
            replaying: None,
            history: None,
            seen: None,
            may_be_direct: false,
        }
    }

    #[test]
    fn the_largest_attachment_fits() {
        let selectors = |n: usize| (0..n).map(|i| Selector::parse(&format!("{i:040}")).unwrap()).collect::<Vec<_>>();
        let mut stream = attachment(Some(Timestamp::from_millis(i64::MAX)));
        stream.interest = Interest {
            selected: selectors(100),
            granted: selectors(50),
            filter: Some("\"".repeat(2000).into()),
            hub: Some(format!("https://{}/.well-known/mercure", "h".repeat(253)).into()),
        };
        stream.interest.check().unwrap();
        stream.address = "x".repeat(45);
        stream.ticket = Some("y".repeat(64));
        stream.subscriber = Some("s".repeat(45));
        stream.host = Some("h".repeat(253).into());
        // A key rests on its holder, the holder's role and its text, and on the same and the id of each of the 8 keys
        // (`MAX_MAKERS` in `auth/key_row.rs`) that it was made by.
        let also = vec!["n".repeat(60); 3 + 4 * 8];
        let minted = Minted { by: "z".repeat(40), at: Timestamp::from_millis(i64::MAX), also };
        let issuer = TokenIssuer { name: "i".repeat(500), jwks_url: "u".repeat(500), action: Action::Subscribe };
        for grantor in [Grantor::Principal(minted, HearingRights::default()), Grantor::Issuer(issuer)] {
            stream.basis.grantor = grantor;
            assert!(serde_json::to_string(&stream).unwrap().len() < 16_384 - 100);
        }
    }

    #[test]
    fn a_stream_ends_with_the_host_that_it_was_opened_on() {
        let (config, now) = (served(), Timestamp::from_millis(1));
        let mut stream = attachment(None);
        stream.basis = Basis::default();
        for (host, ends) in [(None, false), (Some("acme.test"), false), (Some("gone.test"), true)] {
            stream.host = host.map(Into::into);
            assert_eq!(stream.end(&config, now).is_some(), ends, "{host:?}");
        }
    }

    #[test]
    fn times_are_numbers_and_what_is_missing_is_left_out() {
        let all = r#"{"id":1,"selected":["*"],"granted":["*"],"expires_at":7,"secret_version":1,"since":0,"address":"2001:db8::1","wire":"plain"}"#;
        let stream = attachment(Some(Timestamp::from_millis(7)));
        assert_eq!(serde_json::to_string(&stream).unwrap(), all);
        assert_eq!(serde_json::from_str::<Attachment>(all).unwrap(), stream);
        let few = r#"{"id":1,"selected":["*"],"since":0,"address":""}"#;
        assert_eq!(serde_json::from_str::<Attachment>(few).unwrap().basis, Basis::default());
    }
}
