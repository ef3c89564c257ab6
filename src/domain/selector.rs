//! Selectors: which topics a subscriber asks for, and which a token grants.

use serde::{Deserialize, Serialize};

use super::error::Invalid;
use super::topic::{self, Topic};

/// How the topics of records begin: `records/{collection}` and `records/{collection}/{id}`.
pub const RECORDS: &str = "records/";

/// `name` selects one topic, `name*` all that begin so, `*` all.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Selector {
    /// Exactly this topic.
    Exact(Box<str>),
    /// Every topic that begins with this; empty for `*`.
    Prefix(Box<str>),
}

impl Selector {
    /// Parses a selector: a topic, optionally with one `*` at its end.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        topic::check(text)?;
        let (name, is_prefix) = text.strip_suffix('*').map_or((text, false), |prefix| (prefix, true));
        if name.contains('*') {
            return Err(Invalid::new("invalid_selector", "may hold '*' only as its last character"));
        }
        Ok(if is_prefix { Self::Prefix(name.into()) } else { Self::Exact(name.into()) })
    }

    /// Whether this selector takes in the topic.
    pub fn selects(&self, topic: &str) -> bool {
        match self {
            Self::Exact(name) => **name == *topic,
            Self::Prefix(prefix) => topic.starts_with(&**prefix),
        }
    }

    /// Bytes it counts for.
    pub fn size(&self) -> usize {
        match self {
            Self::Exact(text) | Self::Prefix(text) => text.len() + 1,
        }
    }
}

impl TryFrom<String> for Selector {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> Self {
        match selector {
            Selector::Exact(name) => name.into(),
            Selector::Prefix(prefix) => format!("{prefix}*"),
        }
    }
}

/// What one stream asks for and what its token grants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interest {
    /// Topics asked for; a public event needs no more.
    pub selected: Vec<Selector>,
    /// Topics whose private events the token opens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub granted: Vec<Selector>,
    /// Which records it asks for, where it asks for records alone: a filter's canonical text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Box<str>>,
}

impl Interest {
    /// Most selectors of a stream.
    pub const MAX_SELECTORS: usize = 100;
    /// Most bytes of selectors, grants and filter together: they live in the socket's attachment.
    pub const MAX_BYTES: usize = 8 * 1024;

    /// Checks the bounds of a stream.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.selected.len() > Self::MAX_SELECTORS || self.granted.len() > Self::MAX_SELECTORS {
            return Err(Invalid::new("too_many_topics", "a stream takes at most 100 topics"));
        }
        let bytes: usize = self.selected.iter().chain(&self.granted).map(Selector::size).sum();
        if bytes + self.filter.as_ref().map_or(0, |filter| filter.len()) > Self::MAX_BYTES {
            return Err(Invalid::new("topics_too_long", "a stream's topics, rights and filter take at most 8 KB"));
        }
        Ok(())
    }

    /// Whether every topic asked for is one of records.
    pub fn is_of_records(&self) -> bool {
        self.selected.iter().all(|selector| match selector {
            Selector::Exact(text) | Selector::Prefix(text) => text.starts_with(RECORDS),
        })
    }

    /// Whether an event on these topics is for the stream, but for its filter. A private one needs one topic that is
    /// both selected and granted.
    pub fn admits(&self, topics: &[Topic], private: bool) -> bool {
        topics.iter().any(|topic| {
            let topic = topic.as_str();
            any(&self.selected, topic) && (!private || any(&self.granted, topic))
        })
    }
}

fn any(selectors: &[Selector], topic: &str) -> bool {
    selectors.iter().any(|selector| selector.selects(topic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn interest(selected: &[&str], granted: &[&str]) -> Interest {
        let parse = |list: &[&str]| list.iter().map(|s| Selector::parse(s).unwrap()).collect();
        Interest { selected: parse(selected), granted: parse(granted), filter: None }
    }

    fn topics(list: &[&str]) -> Vec<Topic> {
        list.iter().map(|t| Topic::parse(t).unwrap()).collect()
    }

    #[test]
    fn exact_prefix_and_all() {
        assert!(Selector::parse("post_1").unwrap().selects("post_1"));
        assert!(!Selector::parse("post_1").unwrap().selects("post_12"));
        assert!(Selector::parse("post_1*").unwrap().selects("post_12"));
        assert!(Selector::parse("*").unwrap().selects("anything"));
        for bad in ["", "a*b", "**", "*a", "a\nb", &"x".repeat(257)] {
            assert!(Selector::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_private_event_needs_one_topic_both_selected_and_granted() {
        let stream = interest(&["a", "b"], &["b", "c"]);
        assert!(stream.admits(&topics(&["a"]), false));
        assert!(!stream.admits(&topics(&["a"]), true));
        assert!(!stream.admits(&topics(&["c"]), true), "granted, not selected");
        assert!(!stream.admits(&topics(&["a", "c"]), true), "two topics do not add up");
        assert!(stream.admits(&topics(&["x", "b"]), true));
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

    proptest! {
        #[test]
        fn selectors_survive_their_text(text in "[a-z/]{1,20}\\*?") {
            let selector = Selector::parse(&text).unwrap();
            prop_assert_eq!(String::from(selector), text);
        }
    }
}
