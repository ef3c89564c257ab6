//! Matchers and selectors of every kind: no text breaks them, what they match begins with their literal prefix, and
//! the index finds what asking each finds. libFuzzer ends a case that takes too long.
#![no_main]

use std::rc::Rc;

use domain::matching::index::MatcherIndex;
use domain::matching::matcher::{MatchType, Matcher, Subject};
use domain::matching::topic_url::Base;
use domain::reserved_topics;
use domain::selector::Selector;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: ([(u8, &str); 2], [&str; 2])| {
    let (texts, topics) = input;
    let base = Base::parse("https://hub.example.com/.well-known/mercure").unwrap();
    let topics = topics.map(|topic| Subject::new(topic, &base));
    let mut index = MatcherIndex::default();
    let mut asked = Vec::new();
    for (key, (kind, text)) in texts.into_iter().enumerate() {
        let matcher = match kind % 4 {
            0 => index.share(MatchType::Exact, text, &base),
            1 => index.share(MatchType::UrlPattern, text, &base),
            2 => index.share(MatchType::UriTemplate, text, &base),
            _ => Selector::parse(text).and_then(|selector| selector.matcher(&base)).map(Rc::new),
        };
        let Ok(matcher) = matcher else { continue };
        for topic in topics.iter().filter(|topic| matcher.matches(topic)) {
            match &*matcher {
                Matcher::Template(template) => assert!(topic.text().starts_with(template.literal_prefix())),
                Matcher::Pattern(pattern) => {
                    assert!(topic.url().unwrap().place().starts_with(pattern.literal_prefix()));
                }
                _ => {}
            }
            asked.push(key);
        }
        index.insert(key, &[matcher]);
    }
    let mut found: Vec<usize> = index.candidates(&topics).into_iter().collect();
    found.sort_unstable();
    asked.dedup();
    assert_eq!(found, asked);
    for topic in &topics {
        let _ = reserved_topics::check(topic.text());
    }
});
