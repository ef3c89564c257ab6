//! Forms of publishers: no bytes break the reader, and what it takes obeys every rule and is bounded.
#![no_main]

use std::borrow::Cow;

use domain::characters::is_control_or_format;
use domain::mercure_form::{FormError, UpdateForm};
use domain::reserved_topics;
use libfuzzer_sys::fuzz_target;

fn is_clean(text: &str) -> bool {
    !text.contains(is_control_or_format)
}

/// The values of a field, as the URL standard reads forms.
fn values<'a>(body: &'a [u8], field: &str) -> Vec<Cow<'a, str>> {
    form_urlencoded::parse(body).filter(|(name, _)| name == field).map(|(_, value)| value).collect()
}

/// How a pair begins; the last two leave that to the bytes.
const PAIRS: [&[u8]; 8] = [b"topic=", b"data=", b"private", b"id=", b"type=", b"retry=", b"", b""];

fuzz_target!(|pairs: Vec<(u8, &[u8])>| {
    let pairs: Vec<_> =
        pairs.into_iter().map(|(n, bytes)| [PAIRS[usize::from(n) % PAIRS.len()], bytes].concat()).collect();
    let body = &pairs.join(&b'&')[..];
    let form = match UpdateForm::read(body) {
        Ok(form) => form,
        Err(FormError::Invalid(field, invalid) | FormError::TooLarge(field, invalid)) => {
            assert!(["topic", "data", "id", "type", "retry"].contains(&field.as_str()), "{field}: {invalid:?}");
            return;
        }
    };
    // A form that is taken is UTF-8 wherever it counts: what a lenient reader finds is what was sent.
    let first = |field: &str| values(body, field).into_iter().next().unwrap_or_default();
    let given = |field: &str| Some(first(field)).filter(|value| !value.is_empty());

    let mut topics = values(body, "topic");
    let mut seen = std::collections::HashSet::new();
    topics.retain(|topic| seen.insert(topic.clone()));
    assert!(form.topics.iter().map(|topic| topic.as_str()).eq(topics.iter().map(|topic| &**topic)));
    assert!((1..=100).contains(&form.topics.len()));
    for topic in &form.topics {
        let topic = topic.as_str();
        assert!(!topic.is_empty() && topic.len() <= 4_096 && topic != "*" && is_clean(topic));
        assert!(reserved_topics::check(topic).is_ok());
    }
    assert_eq!(form.data, first("data"));
    assert!(form.data.len() <= 1_536 * 1_024);
    assert_eq!(form.private, !values(body, "private").is_empty());
    assert_eq!(form.id.as_deref(), given("id").as_deref());
    assert_eq!(form.kind.as_deref(), given("type").as_deref());
    for name in form.id.iter().chain(&form.kind) {
        assert!(name.len() <= 1_024 && is_clean(name));
    }
    assert!(form.id.is_none_or(|id| !id.starts_with('#') && id != "earliest"));
    assert_ne!(form.kind.as_deref(), Some("mercure"));
    assert_eq!(form.retry.map(|retry| retry.to_string()), retry_of(&first("retry")), "{}", first("retry"));
});

/// A number of milliseconds without the zeros before it.
fn retry_of(text: &str) -> Option<String> {
    let digits = text.trim_start_matches('0');
    (!text.is_empty()).then(|| if digits.is_empty() { "0".into() } else { digits.into() })
}
