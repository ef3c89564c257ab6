//! What a stream's socket carries through hibernation: everything the hub needs to restore the stream.

use serde::{Deserialize, Serialize};

use super::protocol::WireFormat;
use domain::address::Network;
use domain::clock::Timestamp;
use domain::minted::Minted;
use domain::selector::Interest;
use domain::unix_time::{millis, optional_millis};

/// At most 16 KB of JSON, of which selectors, grants and filter may take 8 ([`Interest::MAX_BYTES`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    /// The stream's number within this hub; never 0.
    pub id: u64,
    /// What it asks for and may see.
    #[serde(flatten)]
    pub interest: Interest,
    /// When its rights end.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_millis")]
    pub expires_at: Option<Timestamp>,
    /// When it was opened.
    #[serde(with = "millis")]
    pub since: Timestamp,
    /// The client's network. Hubs before wrote the address itself, which is read as its network.
    #[serde(rename = "address")]
    pub network: Network,
    /// Digest of its ticket, if it came with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// The version of the subscription secret that verified its token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_version: Option<u32>,
    /// Who minted its token, if the platform signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minted: Option<Minted>,
    /// Its name in subscription events, where the tenant announces them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscriber: Option<String>,
    #[serde(default)]
    pub wire: WireFormat,
    /// The sequence number that its next page begins behind; none once it is live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaying: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::selector::Selector;

    fn attachment(expires_at: Option<Timestamp>) -> Attachment {
        let all = vec![Selector::parse("*").unwrap()];
        Attachment {
            id: 1,
            interest: Interest { selected: all.clone(), granted: all, ..Interest::default() },
            expires_at,
            since: Timestamp::default(),
            network: Network::of("2001:db8::1"),
            ticket: None,
            secret_version: Some(1),
            minted: None,
            subscriber: None,
            wire: WireFormat::Plain,
            replaying: None,
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
        stream.network = Network::of("2001:db8:ffff:ffff::");
        stream.ticket = Some("y".repeat(64));
        stream.subscriber = Some("s".repeat(45));
        stream.minted = Some(Minted { by: "z".repeat(40), at: Timestamp::from_millis(i64::MAX) });
        assert!(serde_json::to_string(&stream).unwrap().len() < 16_384 - 100);
    }

    #[test]
    fn times_are_numbers_and_what_is_missing_is_left_out() {
        let all = r#"{"id":1,"selected":["*"],"granted":["*"],"expires_at":7,"since":0,"address":"2001:db8::/64","secret_version":1,"wire":"plain"}"#;
        let stream = attachment(Some(Timestamp::from_millis(7)));
        assert_eq!(serde_json::to_string(&stream).unwrap(), all);
        assert_eq!(serde_json::from_str::<Attachment>(all).unwrap(), stream);
        let few = r#"{"id":1,"selected":["*"],"since":0,"address":""}"#;
        assert_eq!(serde_json::from_str::<Attachment>(few).unwrap().expires_at, None);
        let older = all.replace("2001:db8::/64", "2001:db8::7");
        assert_eq!(serde_json::from_str::<Attachment>(&older).unwrap().network, stream.network);
    }
}
