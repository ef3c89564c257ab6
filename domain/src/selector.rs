//! Selectors: which topics a subscriber asks for, and which a token grants.

use serde::{Deserialize, Serialize};

use crate::error::Invalid;
use crate::matching::matcher::{MatchType, Matcher};
use crate::matching::topic_url::Base;
use crate::topic;

/// The prefix of records' topics: `records/{collection}` and `records/{collection}/{id}`.
pub const RECORDS: &str = "records/";

/// Topics, as they are asked for and stored. On `/events` `name` selects one topic, `name*` all that begin so, `*` all;
/// Mercure's are of a type.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "SelectorJson", into = "SelectorJson")]
pub enum Selector {
    /// Exactly this topic.
    Exact(Box<str>),
    /// Every topic that begins with this; empty for `*`.
    Prefix(Box<str>),
    /// The topics that a Mercure matcher of this type matches.
    Typed(MatchType, Box<str>),
}

/// A selector in JSON.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum SelectorJson {
    Plain(String),
    Typed { r#type: String, r#match: Box<str> },
}

impl Selector {
    /// Parses a selector of `/events`: a topic, optionally with one `*` at its end.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        topic::check(text)?;
        let (name, is_prefix) = text.strip_suffix('*').map_or((text, false), |prefix| (prefix, true));
        if name.contains('*') {
            return Err(Invalid::new("invalid_selector", "may hold '*' only as its last character"));
        }
        Ok(if is_prefix { Self::Prefix(name.into()) } else { Self::Exact(name.into()) })
    }

    /// The compiled matcher; `hub` is the base of relative topics.
    pub fn matcher(&self, hub: &Base) -> Result<Matcher, Invalid> {
        Ok(match self {
            Self::Exact(topic) => Matcher::Exact(topic.clone()),
            Self::Prefix(prefix) if prefix.is_empty() => Matcher::All,
            Self::Prefix(prefix) => Matcher::Prefix(prefix.clone()),
            Self::Typed(kind, text) => Matcher::parse(*kind, text, hub)?,
        })
    }

    /// The one collection whose topics it selects; none if there may be several, and on Mercure's wire.
    pub fn collection(&self) -> Option<&str> {
        match self {
            Self::Exact(topic) => {
                let place = topic.strip_prefix(RECORDS)?;
                Some(place.split_once('/').map_or(place, |(slug, _)| slug))
            }
            Self::Prefix(prefix) => prefix.strip_prefix(RECORDS)?.split_once('/').map(|(slug, _)| slug),
            Self::Typed(..) => None,
        }
    }

    /// Whether it selects a topic of a collection or of one of its records; never on Mercure's wire.
    pub fn leads_to(&self, slug: &str) -> bool {
        let topic = format!("{RECORDS}{slug}");
        let is_below = |text: &str| text.strip_prefix(&topic).is_some_and(|rest| rest.starts_with('/'));
        match self {
            Self::Exact(text) => **text == *topic || is_below(text),
            Self::Prefix(prefix) => topic.starts_with(&**prefix) || is_below(prefix),
            Self::Typed(..) => false,
        }
    }

    /// Bytes it counts for in a stream's limit.
    pub fn size(&self) -> usize {
        match self {
            Self::Exact(text) | Self::Prefix(text) => text.len() + 1,
            Self::Typed(_, text) => text.len() + 32,
        }
    }
}

impl TryFrom<SelectorJson> for Selector {
    type Error = Invalid;

    fn try_from(written: SelectorJson) -> Result<Self, Invalid> {
        match written {
            SelectorJson::Plain(text) => Self::parse(&text),
            SelectorJson::Typed { r#type, r#match } => {
                let kind = MatchType::parse(&r#type)
                    .ok_or_else(|| Invalid::new("unknown_type", "must be a match type that this hub knows"))?;
                Ok(Self::Typed(kind, r#match))
            }
        }
    }
}

impl From<Selector> for SelectorJson {
    fn from(selector: Selector) -> Self {
        match selector {
            Selector::Exact(name) => Self::Plain(name.into()),
            Selector::Prefix(prefix) => Self::Plain(format!("{prefix}*")),
            Selector::Typed(kind, text) => Self::Typed { r#type: kind.name().to_owned(), r#match: text },
        }
    }
}

/// The topics that one stream asks for, and the rights of its token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interest {
    /// Topics asked for: enough for public events.
    pub selected: Vec<Selector>,
    /// Topics whose private events the token grants.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub granted: Vec<Selector>,
    /// A filter on records, in canonical text; only with topics of records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Box<str>>,
    /// On Mercure's wire, the hub's URL as the client sees it: the base of relative topics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<Box<str>>,
}

impl Interest {
    /// Most selectors of a stream.
    pub const MAX_SELECTORS: usize = 100;
    /// Most bytes of selectors, grants and filter together: they are stored in the socket's attachment.
    pub const MAX_BYTES: usize = 8 * 1024;

    /// Checks a stream's limits.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.selected.len() > Self::MAX_SELECTORS || self.granted.len() > Self::MAX_SELECTORS {
            return Err(Invalid::new("too_many_topics", "must list at most 100 topics"));
        }
        let bytes: usize = self.selected.iter().chain(&self.granted).map(Selector::size).sum();
        if bytes + self.filter.as_ref().map_or(0, |filter| filter.len()) > Self::MAX_BYTES {
            return Err(Invalid::new("topics_too_long", "must take at most 8 KB, together with rights and filter"));
        }
        Ok(())
    }

    /// Whether only topics of records are asked for.
    pub fn is_of_records(&self) -> bool {
        self.selected.iter().all(|selector| match selector {
            Selector::Exact(text) | Selector::Prefix(text) => text.starts_with(RECORDS),
            Selector::Typed(..) => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::matcher::Subject;
    use proptest::prelude::*;

    fn selects(selector: &str, topic: &str) -> bool {
        let hub = Base::parse("https://h/").unwrap();
        Selector::parse(selector).unwrap().matcher(&hub).unwrap().matches(&Subject::new(topic, &hub))
    }

    #[test]
    fn exact_prefix_and_all() {
        assert!(selects("post_1", "post_1"));
        assert!(!selects("post_1", "post_12"));
        assert!(selects("post_1*", "post_12"));
        assert!(selects("*", "anything"));
        for bad in ["", "a*b", "**", "*a", "a\nb", &"x".repeat(257)] {
            assert!(Selector::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn which_collections_a_selector_leads_to() {
        for (selector, only, to, not_to) in [
            ("records/leads", Some("leads"), vec!["leads"], vec!["lead", "leads2"]),
            ("records/leads/7", Some("leads"), vec!["leads"], vec!["lead"]),
            ("records/leads/*", Some("leads"), vec!["leads"], vec!["leads2"]),
            ("records/leads/7*", Some("leads"), vec!["leads"], vec!["le"]),
            ("records/leads*", None, vec!["leads", "leads2"], vec!["lead"]),
            ("records/*", None, vec!["leads", "posts"], vec![]),
            ("rec*", None, vec!["leads"], vec![]),
            ("*", None, vec!["leads"], vec![]),
            ("records", None, vec![], vec!["leads"]),
            ("posts/leads", None, vec![], vec!["leads"]),
        ] {
            let read = Selector::parse(selector).unwrap();
            assert_eq!(read.collection(), only, "{selector}");
            assert!(to.iter().all(|slug| read.leads_to(slug)), "{selector}");
            assert!(!not_to.iter().any(|slug| read.leads_to(slug)), "{selector}");
        }
    }

    #[test]
    fn bounds() {
        let selector = |n: usize| Selector::parse(&format!("topic-{n:03}")).unwrap();
        let stream = |n: usize| Interest { selected: (0..n).map(selector).collect(), ..Interest::default() };
        assert!(stream(100).check().is_ok());
        assert_eq!(stream(101).check().unwrap_err().code, "too_many_topics");
        let long = Interest { selected: vec![Selector::Exact("x".repeat(250).into()); 32], ..Interest::default() };
        assert!(long.check().is_ok());
        let long = Interest { filter: Some("x".repeat(200).into()), ..long };
        assert_eq!(long.check().unwrap_err().code, "topics_too_long");
    }

    #[test]
    fn typed_selectors_are_told_from_plain_ones() {
        let typed = Selector::Typed(MatchType::Exact, "a*".into());
        let json = serde_json::to_string(&typed).unwrap();
        assert_eq!(json, r#"{"type":"exact","match":"a*"}"#);
        assert_eq!(serde_json::from_str::<Selector>(&json).unwrap(), typed);
        let hub = Base::parse("https://h/").unwrap();
        assert!(!typed.matcher(&hub).unwrap().matches(&Subject::new("ab", &hub)), "a star of the topic's own");
        assert!(serde_json::from_str::<Selector>(r#"{"type":"regexp","match":"a"}"#).is_err());
    }

    proptest! {
        #[test]
        fn selectors_survive_their_text(text in "[a-z/]{1,20}\\*?") {
            let json = serde_json::to_string(&Selector::parse(&text).unwrap()).unwrap();
            prop_assert_eq!(&json, &format!("\"{text}\""));
            prop_assert_eq!(serde_json::from_str::<Selector>(&json).unwrap(), Selector::parse(&text).unwrap());
        }
    }
}
