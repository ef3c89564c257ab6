//! Matchers: what a subscriber asks for and what a token grants, in every form that is spoken here.
//!
//! `*` takes in every topic, whatever its type. Two matchers are equal if they are of one form, text and base.

use std::cell::OnceCell;
use std::hash::{Hash, Hasher};

use super::budget::PatternBudget;
use super::steps::Steps;
use super::topic_url::{Base, TopicUrl};
use super::uri_template::UriTemplate;
use super::url_pattern::UrlPattern;
use crate::characters::is_control_or_format;
use crate::error::Invalid;

/// The types of matchers (Mercure, "Matcher Types"), and the selectors of Mercure 0.x.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchType {
    /// The topic itself, byte for byte.
    Exact,
    /// A pattern of the URL Pattern standard.
    UrlPattern,
    /// What Mercure 0.x calls a topic selector: the topic itself, or a URI Template (RFC 6570).
    UriTemplate,
}

impl MatchType {
    /// The type of this name, in its canonical case.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Exact, Self::UrlPattern, Self::UriTemplate].into_iter().find(|known| known.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::UrlPattern => "urlpattern",
            Self::UriTemplate => "uritemplate",
        }
    }
}

/// A topic as matchers look at it. It is resolved as a URL once, and only if one of them asks.
#[derive(Debug)]
pub struct Subject<'a> {
    text: &'a str,
    base: &'a Base,
    url: OnceCell<Option<TopicUrl>>,
}

impl<'a> Subject<'a> {
    /// A topic, relative to the hub's URL.
    pub fn new(text: &'a str, base: &'a Base) -> Self {
        Self { text, base, url: OnceCell::new() }
    }

    /// The topic as it was published.
    pub fn text(&self) -> &str {
        self.text
    }

    /// The topic as a URL; none if it is no URL reference.
    pub fn url(&self) -> Option<&TopicUrl> {
        self.url.get_or_init(|| TopicUrl::parse(self.text, self.base)).as_ref()
    }
}

/// What takes in topics.
#[derive(Debug)]
pub enum Matcher {
    /// Every topic.
    All,
    /// This topic.
    Exact(Box<str>),
    /// Every topic that begins so: `name*` of `/events`.
    Prefix(Box<str>),
    /// The template's own text, and every topic that it can expand to.
    Template(UriTemplate),
    /// Every topic whose URL the pattern matches.
    Pattern(Box<UrlPattern>),
}

impl Matcher {
    /// Most bytes of a matcher's text.
    pub const MAX_BYTES: usize = 4_096;

    /// Parses a matcher. Relative patterns start from the hub's URL. A selector of Mercure 0.x that is no URI Template
    /// is looked at as a topic. A pattern or template that takes more than `Steps::MAX` to compile is refused.
    pub fn parse(kind: MatchType, text: &str, base: &Base) -> Result<Self, Invalid> {
        if text.len() > Self::MAX_BYTES {
            return Err(Invalid::new("too_long", "must be at most 4,096 bytes long"));
        }
        if text.contains(is_control_or_format) {
            return Err(Invalid::new("control_character", "must not contain control or format characters"));
        }
        match kind {
            _ if text == "*" => Ok(Self::All),
            MatchType::Exact => Ok(Self::Exact(text.into())),
            MatchType::UrlPattern => UrlPattern::parse(text, base).map(|pattern| Self::Pattern(Box::new(pattern))),
            MatchType::UriTemplate if !text.contains('{') => Ok(Self::Exact(text.into())),
            MatchType::UriTemplate => match UriTemplate::parse(text) {
                Ok(template) => Ok(Self::Template(template)),
                Err(invalid) if invalid.code == Steps::EXCEEDED => Err(invalid),
                Err(_) => Ok(Self::Exact(text.into())),
            },
        }
    }

    /// The steps that it took to compile; none for what is compared as text.
    pub fn steps(&self) -> usize {
        match self {
            Self::All | Self::Exact(_) | Self::Prefix(_) => 0,
            Self::Template(template) => template.steps().taken(),
            Self::Pattern(pattern) => pattern.steps().taken(),
        }
    }

    /// Whether it is compiled, and not compared as text.
    pub fn is_compiled(&self) -> bool {
        matches!(self, Self::Template(_) | Self::Pattern(_))
    }

    /// What it counts for among all that are held; nothing if it is compared as text.
    pub fn price(&self) -> usize {
        if self.is_compiled() { PatternBudget::OF_PATTERN + self.steps() } else { 0 }
    }

    /// Whether it takes in this topic.
    pub fn matches(&self, topic: &Subject<'_>) -> bool {
        match self {
            Self::All => true,
            Self::Exact(text) => **text == *topic.text(),
            Self::Prefix(prefix) => topic.text().starts_with(&**prefix),
            Self::Template(template) => template.text() == topic.text() || template.matches(topic.text()),
            Self::Pattern(pattern) => topic.url().is_some_and(|url| pattern.matches(url)),
        }
    }

    /// What tells it from others: its form, its text, and the base of a pattern.
    fn identity(&self) -> (u8, &str, &str) {
        match self {
            Self::All => (0, "", ""),
            Self::Exact(text) => (1, text, ""),
            Self::Prefix(prefix) => (2, prefix, ""),
            Self::Template(template) => (3, template.text(), ""),
            Self::Pattern(pattern) => (4, pattern.text(), pattern.base()),
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Matcher {}

impl Hash for Matcher {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::Selector;
    use proptest::prelude::*;

    fn base() -> Base {
        Base::parse("https://hub.example.com/.well-known/mercure").unwrap()
    }

    fn matches(kind: MatchType, text: &str, topic: &str) -> bool {
        let base = base();
        Matcher::parse(kind, text, &base).unwrap().matches(&Subject::new(topic, &base))
    }

    use MatchType::{Exact, UriTemplate, UrlPattern};

    #[test]
    fn a_star_takes_in_everything_whatever_its_type() {
        for kind in [Exact, UrlPattern, UriTemplate] {
            for topic in ["https://example.com/a", "no url: at all", "http://[", "é", "{"] {
                assert!(matches(kind, "*", topic), "{kind:?} {topic}");
            }
        }
        assert!(!matches(Exact, "**", "a") && !matches(Exact, "a*", "ab"));
    }

    #[test]
    fn exact_is_byte_for_byte() {
        assert!(matches(Exact, "https://example.com/a", "https://example.com/a"));
        for other in ["https://EXAMPLE.com/a", "https://example.com/./a", "https://example.com/%61", "a", "/a"] {
            assert!(!matches(Exact, "https://example.com/a", other), "{other}");
        }
        assert!(!matches(Exact, "\u{e9}", "e\u{301}"), "normal forms are the clients' duty");
        assert!(!matches(Exact, "https://example.com/{id}", "https://example.com/1"));
        assert!(matches(Exact, "", ""));
    }

    #[test]
    fn a_selector_of_the_older_wire_is_a_topic_or_a_template() {
        assert!(matches(UriTemplate, "https://example.com/{id}", "https://example.com/1"));
        assert!(matches(UriTemplate, "https://example.com/{id}", "https://example.com/{id}"));
        assert!(matches(UriTemplate, "plain text", "plain text") && !matches(UriTemplate, "plain text", "plain"));
        assert!(matches(UriTemplate, "broken {", "broken {"), "no template, so only itself");
        assert!(!matches(UriTemplate, "a b/{id}", "a b/1"), "no template, so only itself");
    }

    #[test]
    fn a_template_that_is_too_much_is_refused_and_not_a_topic() {
        let parse = |text: &str| Matcher::parse(UriTemplate, text, &base());
        assert_eq!(parse(&"{a:128}".repeat(9)).unwrap_err().code, Steps::EXCEEDED);
        for text in ["{a:128}", "https://example.com/{a:30}{?b*,c,d,e}", "{+a}{#b}{.c}{/d}{;e}{?f}{&g}"] {
            assert!(parse(text).unwrap().steps() > 0, "{text}");
        }
        assert_eq!(parse("plain").unwrap().steps() + Matcher::parse(Exact, "{a}", &base()).unwrap().steps(), 0);
    }

    /// Bytes that a matcher takes in memory.
    fn bytes(matcher: &Matcher) -> usize {
        size_of::<Matcher>()
            + match matcher {
                Matcher::All => 0,
                Matcher::Exact(text) | Matcher::Prefix(text) => text.len(),
                Matcher::Template(template) => template.bytes(),
                Matcher::Pattern(pattern) => size_of_val(&**pattern) + pattern.bytes(),
            }
    }

    #[test]
    fn the_dearest_patterns_of_a_stream_take_little_memory() {
        let base = base();
        let parts = ["(?:[a-z]{9}){9}", "(?:a?b?c?){12}", ".*a[ab]{6}", "(?:[a-z\\d]+-){60}", "(?:(?:x{3}|y){3}|z){9}"];
        for part in parts {
            let (mut steps, mut held) = (Steps::default(), Vec::new());
            for n in 0..100 {
                let matcher = Matcher::parse(UrlPattern, &format!("/{n}-({part})"), &base).unwrap();
                if steps.take(matcher.steps()).is_err() {
                    break;
                }
                held.push(bytes(&matcher));
            }
            let all: usize = held.iter().sum();
            assert!(!held.is_empty() && all < 64 * 1024, "{part}: {} of {all} bytes", held.len());
        }
    }

    proptest! {
        /// What a pattern takes in memory is bounded by its text and by what it counts for.
        #[test]
        fn a_matcher_is_no_larger_than_its_price_says(
            parts in prop::collection::vec("[a-z/]{0,6}|:[a-z]{1,3}|\\(\\.\\*\\)|\\([a-z]\\{[1-9][0-9]?\\}\\)|\\(\\(\\?:[a-z]\\{9\\}\\)\\{[1-9][0-9]\\}\\)|\\{[+#./?&]?[a-z](\\*|:[1-9][0-9]?)?\\}", 0..8),
            older in any::<bool>(),
        ) {
            let (kind, text) = (if older { UriTemplate } else { UrlPattern }, format!("/{}", parts.concat()));
            if let Ok(matcher) = Matcher::parse(kind, &text, &base()) {
                prop_assert!(matcher.steps() <= Steps::MAX);
                prop_assert!(bytes(&matcher) <= 2_048 + 8 * text.len() + matcher.price() / 2, "{}: {}", text, bytes(&matcher));
            }
        }
    }

    #[test]
    fn patterns_look_at_the_topic_as_a_url() {
        assert!(matches(UrlPattern, "/books/:id", "https://hub.example.com/books/1"));
        assert!(matches(UrlPattern, "/books/:id", "/books/1"));
        assert!(matches(UrlPattern, "books/:id", "books/1"), "both are relative to the hub's URL");
        assert!(!matches(UrlPattern, "/books/:id", "https://example.com/books/1"));
        assert!(!matches(UrlPattern, "*://*/*", "http://["), "no URL reference");
        assert!(matches(UrlPattern, "https://example.com/*", "HTTPS://Example.COM:443/a/../b"));
    }

    #[test]
    fn types_have_one_name_in_one_case() {
        for kind in [Exact, UrlPattern, UriTemplate] {
            assert_eq!(MatchType::parse(kind.name()), Some(kind));
        }
        for other in ["", "Exact", "URLPattern", "regexp"] {
            assert_eq!(MatchType::parse(other), None);
        }
    }

    #[test]
    fn values_that_no_matcher_may_have() {
        for kind in [Exact, UrlPattern, UriTemplate] {
            let refused = |text: &str| Matcher::parse(kind, text, &base()).unwrap_err().code;
            for text in ["a\nb", "\0", "a\u{7f}", "\u{85}", "a\u{200b}", "\u{202e}a", "\u{ad}"] {
                assert_eq!(refused(text), "control_character", "{text:?}");
            }
            assert_eq!(refused(&"x".repeat(4_097)), "too_long");
            assert!(Matcher::parse(kind, &"x".repeat(4_096), &base()).is_ok());
        }
        assert_eq!(Matcher::parse(UrlPattern, "/a(", &base()).unwrap_err().code, "invalid_url_pattern");
    }

    #[test]
    fn the_selectors_of_events() {
        let base = base();
        let matches = |selector: &str, topic: &str| {
            Selector::parse(selector).unwrap().matcher(&base).unwrap().matches(&Subject::new(topic, &base))
        };
        assert!(matches("*", "a") && matches("po*", "post") && matches("post", "post"));
        assert!(!matches("po*", "p") && !matches("post", "posts"));
    }

    #[test]
    fn equal_matchers_are_of_one_form_text_and_base() {
        let parse = |kind, text| Matcher::parse(kind, text, &base()).unwrap();
        assert_eq!(parse(UrlPattern, "/a"), parse(UrlPattern, "/a"));
        assert_ne!(parse(UrlPattern, "/a"), parse(Exact, "/a"));
        assert_eq!(parse(UrlPattern, "*"), parse(Exact, "*"));
        let elsewhere = Base::parse("https://other.example.com/.well-known/mercure").unwrap();
        assert_ne!(parse(UrlPattern, "/a"), Matcher::parse(UrlPattern, "/a", &elsewhere).unwrap());
    }
}
