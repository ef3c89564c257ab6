//! Events as subscribers read them.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::clock::Timestamp;
use crate::topic::Topic;

/// A webhook's event as subscribers read it, without its id, which the log assigns.
#[derive(Debug, Serialize)]
pub struct Content<'a, Tenant> {
    /// The tenant's id.
    pub tenant_id: &'a Tenant,
    /// The topics it is published on, as one event.
    pub topics: &'a [Topic],
    /// `post`, `comment`, …, as the site names it.
    pub node_type: &'a str,
    /// `CREATE`, `UPDATE`, `DELETE` or another name that the site uses.
    pub action: &'a str,
    /// The site's payload, byte for byte; `null` if it sent none.
    pub data: Option<&'a RawValue>,
    /// When it was accepted.
    pub occurred_at: Timestamp,
}

impl<Tenant: Serialize> Content<'_, Tenant> {
    /// The event's JSON without its opening brace and id, to be written after `{"id":"…",`. It is one line: line breaks in
    /// `data` can only be white space between tokens, and become spaces.
    pub fn to_tail(&self) -> Result<String, serde_json::Error> {
        let json = serde_json::to_string(self)?;
        let tail = json.strip_prefix('{').unwrap_or(&json);
        Ok(tail.replace(['\r', '\n'], " "))
    }
}

/// A Mercure update as subscribers of `/events` read it, without its id and data.
#[derive(Debug, Serialize)]
pub struct UpdateHead<'a, Tenant> {
    /// The tenant's id.
    pub tenant_id: &'a Tenant,
    /// Its topics.
    pub topics: &'a [Topic],
    /// Its event type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<&'a str>,
    /// The id that its publisher gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_id: Option<&'a str>,
    /// When it was accepted.
    pub occurred_at: Timestamp,
}

impl<Tenant: Serialize> UpdateHead<'_, Tenant> {
    /// The members, to be written between `{"id":"…",` and `"data":"…"}`.
    pub fn to_members(&self) -> Result<String, serde_json::Error> {
        let json = serde_json::to_string(self)?;
        let members = json.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
        Ok([members, ","].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_carried_untouched_but_on_one_line() {
        let tenant = "acme";
        let data = RawValue::from_string("{\"n\": 12345678901234567890.10,\r\n \"s\":\"a\\nb\"}".into()).unwrap();
        let content = Content {
            tenant_id: &tenant,
            topics: &[Topic::parse("t").unwrap()],
            node_type: "post",
            action: "UPDATE",
            data: Some(&data),
            occurred_at: Timestamp::from_millis(0),
        };
        assert_eq!(
            content.to_tail().unwrap(),
            concat!(
                r#""tenant_id":"acme","topics":["t"],"node_type":"post","action":"UPDATE","#,
                r#""data":{"n": 12345678901234567890.10,   "s":"a\nb"},"occurred_at":"1970-01-01T00:00:00.000Z"}"#
            )
        );
    }
}
