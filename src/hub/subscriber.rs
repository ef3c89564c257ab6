//! A stream as the hub knows it. Everything it needs after waking is in its socket's attachment.

use serde::{Deserialize, Serialize};

use super::protocol::Wire;
use domain::minted::Minted;
use domain::selector::Interest;

/// What a socket carries through hibernation: at most 16 KB, of which selectors and grants take 8.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    /// The stream's number within this hub; never 0.
    pub id: u64,
    /// What it asks for and may see.
    #[serde(flatten)]
    pub interest: Interest,
    /// The end of its rights, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// When it was opened, in milliseconds since 1970.
    pub since: i64,
    /// Where the client connects from.
    pub address: String,
    /// Digest of its ticket, if it came with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// The version of the subscription secret its rights rest on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_version: Option<u32>,
    /// Who had its token minted, if the platform signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minted: Option<Minted>,
    /// Who it is to those who are told of subscriptions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscriber: Option<String>,
    /// How it wants its events.
    #[serde(default)]
    pub wire: Wire,
    /// The place its replay stands at; none once it is live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaying: Option<u64>,
}

/// The message a bridge gets: a kind, the place behind it, then frames.
///
/// `E` live events, `P` a page with more to come, `L` the last page: live from here on.
pub fn message(kind: u8, through: u64, frames: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(9 + frames.len());
    bytes.push(kind);
    bytes.extend(through.to_be_bytes());
    bytes.extend(frames.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::selector::Selector;

    fn attachment(expires_at: Option<i64>) -> Attachment {
        let all = vec![Selector::parse("*").unwrap()];
        Attachment {
            id: 1,
            interest: Interest { selected: all.clone(), granted: all, ..Interest::default() },
            expires_at,
            since: 0,
            address: "::1".into(),
            ticket: None,
            secret_version: Some(1),
            minted: None,
            subscriber: None,
            wire: Wire::Plain,
            replaying: None,
        }
    }

    #[test]
    fn the_greatest_attachment_fits() {
        let selectors = |n: usize| (0..n).map(|i| Selector::parse(&format!("{i:040}")).unwrap()).collect::<Vec<_>>();
        let mut stream = attachment(Some(i64::MAX));
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
        stream.minted = Some(Minted { by: "z".repeat(40), at: i64::MAX });
        assert!(serde_json::to_string(&stream).unwrap().len() < 16_384 - 100);
    }
}
