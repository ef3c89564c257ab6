//! The form with which a publisher sends an update (Mercure, section "Publication"), read and checked as a whole.

use percent_encoding::percent_decode;

use crate::characters::is_control_or_format;
use crate::error::Invalid;
use crate::reserved_topics;
use crate::topic::Topic;

/// Most bytes of the form: 1 MB of data even if every byte is percent-encoded, and the other fields.
pub const MAX_FORM: usize = 4 * 1024 * 1024;
/// Most topics of an update.
const MAX_TOPICS: usize = 100;
/// Most bytes of all topics of an update: each of them is held against what is asked for.
const MAX_TOPIC_BYTES: usize = 16 * 1024;
/// Most bytes of a topic.
const MAX_TOPIC: usize = 4_096;
/// Most bytes of the id and of the type.
const MAX_NAME: usize = 1_024;
/// Most bytes of the data on the wire, where each line begins with `data: `.
const MAX_DATA: usize = 1_536 * 1024;
/// Bytes before each line on the wire.
const LINE: usize = "data: ".len();

/// Why a form is refused: the field, and what it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormError {
    /// The field is missing or invalid.
    Invalid(String, Invalid),
    /// The field exceeds a limit.
    TooLarge(String, Invalid),
}

impl FormError {
    fn invalid(field: &str, invalid: Invalid) -> Self {
        Self::Invalid(field.to_owned(), invalid)
    }

    fn too_large(field: &str, invalid: Invalid) -> Self {
        Self::TooLarge(field.to_owned(), invalid)
    }
}

/// An update that somebody wants to publish.
#[derive(Debug, PartialEq, Eq)]
pub struct UpdateForm {
    /// Its topics, the canonical one first, each once.
    pub topics: Vec<Topic>,
    /// Its data, as it was sent.
    pub data: String,
    /// Whether only subscribers with a matching right receive it.
    pub private: bool,
    /// Its id, if the publisher set one.
    pub id: Option<String>,
    /// Its event type.
    pub kind: Option<String>,
    /// The reconnection time that it sets, in milliseconds.
    pub retry: Option<u64>,
}

impl UpdateForm {
    /// Reads a form. Of a repeated field other than `topic` the first counts; unknown fields are ignored.
    pub fn read(body: &[u8]) -> Result<Self, FormError> {
        let mut topics = Vec::new();
        let (mut data, mut id, mut kind, mut retry, mut private) = (None, None, None, None, false);
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let (name, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
            let name = decoded(name).unwrap_or_default();
            let value = || {
                let invalid = || FormError::invalid(&name, Invalid::new("invalid_encoding", "must be UTF-8"));
                decoded(value).ok_or_else(invalid)
            };
            match name.as_str() {
                "topic" => topics.push(value()?),
                "private" => private = true,
                "data" if data.is_none() => data = Some(value()?),
                "id" if id.is_none() => id = Some(value()?),
                "type" if kind.is_none() => kind = Some(value()?),
                "retry" if retry.is_none() => retry = Some(value()?),
                _ => {}
            }
        }
        let data = data.unwrap_or_default();
        check_data(&data)?;
        Ok(Self {
            topics: read_topics(topics)?,
            data,
            private,
            id: id.filter(|id| !id.is_empty()).map(read_id).transpose()?,
            kind: kind.filter(|kind| !kind.is_empty()).map(read_kind).transpose()?,
            retry: retry.map(read_retry).transpose()?,
        })
    }
}

/// A percent-decoded name or value; none if it is not UTF-8.
fn decoded(bytes: &[u8]) -> Option<String> {
    let spaced: Vec<u8> = bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaced).decode_utf8().ok().map(Into::into)
}

fn check_data(data: &str) -> Result<(), FormError> {
    let breaks = data.bytes().filter(|byte| matches!(byte, b'\r' | b'\n')).count();
    if data.len() + breaks * LINE > MAX_DATA {
        let message = "must be at most 1.5 MB on the wire, where each line counts six bytes more";
        return Err(FormError::too_large("data", Invalid::new("too_long", message)));
    }
    Ok(())
}

fn read_topics(sent: Vec<String>) -> Result<Vec<Topic>, FormError> {
    if sent.is_empty() {
        return Err(FormError::invalid("topic", Invalid::new("required", "is required")));
    }
    if sent.len() > MAX_TOPICS {
        let message = format!("must appear at most {MAX_TOPICS} times");
        return Err(FormError::too_large("topic", Invalid::new("too_many", message)));
    }
    if sent.iter().map(String::len).sum::<usize>() > MAX_TOPIC_BYTES {
        let message = "must take at most 16 KB, all of them together";
        return Err(FormError::too_large("topic", Invalid::new("too_long", message)));
    }
    let mut topics = Vec::with_capacity(sent.len());
    for text in sent {
        if text.len() > MAX_TOPIC {
            let message = format!("must be at most {MAX_TOPIC} bytes long");
            return Err(FormError::too_large("topic", Invalid::new("too_long", message)));
        }
        let topic = read_topic(&text).map_err(|invalid| FormError::invalid("topic", invalid))?;
        if !topics.contains(&topic) {
            topics.push(topic);
        }
    }
    Ok(topics)
}

fn read_topic(text: &str) -> Result<Topic, Invalid> {
    if text.contains(is_control_or_format) {
        return Err(Invalid::new("control_character", "must not contain control or format characters"));
    }
    reserved_topics::check(text)?;
    Topic::parse(text)
}

fn read_id(id: String) -> Result<String, FormError> {
    let invalid = match id.as_str() {
        "earliest" => Some("must not be 'earliest'"),
        id if id.starts_with('#') => Some("must not begin with '#': such ids are the hub's"),
        // A header loses such spaces: what comes back as `Last-Event-ID` would be another id, perhaps one of the hub's.
        id if id.trim() != id => Some("must not begin or end with white space"),
        _ => None,
    };
    match invalid {
        Some(message) => Err(FormError::invalid("id", Invalid::new("reserved", message))),
        None => read_name("id", id),
    }
}

fn read_kind(kind: String) -> Result<String, FormError> {
    if kind.trim() == "mercure" {
        return Err(FormError::invalid("type", Invalid::new("reserved", "must not be 'mercure'")));
    }
    read_name("type", kind)
}

fn read_name(field: &str, text: String) -> Result<String, FormError> {
    if text.len() > MAX_NAME {
        let message = format!("must be at most {MAX_NAME} bytes long");
        return Err(FormError::too_large(field, Invalid::new("too_long", message)));
    }
    if text.contains(is_control_or_format) {
        let message = "must not contain control or format characters";
        return Err(FormError::invalid(field, Invalid::new("control_character", message)));
    }
    Ok(text)
}

fn read_retry(text: String) -> Result<u64, FormError> {
    let is_number = (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_number.then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| {
        let message = "must be a number of milliseconds, in at most 15 digits";
        FormError::invalid("retry", Invalid::new("invalid_number", message))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(body: &str) -> Result<UpdateForm, (u16, String, &'static str)> {
        UpdateForm::read(body.as_bytes()).map_err(|error| match error {
            FormError::Invalid(field, invalid) => (400, field, invalid.code),
            FormError::TooLarge(field, invalid) => (413, field, invalid.code),
        })
    }

    #[test]
    fn a_whole_form() {
        let form = read(
            "topic=%2Fa&topic=https%3A%2F%2Fexample.com%2F%C3%A9&topic=%2Fa&data=one%0Atwo+x&private=on&id=urn%3Ax&type=add&retry=500&data=second&other=1",
        );
        let form = form.unwrap();
        let topics: Vec<_> = form.topics.iter().map(Topic::as_str).collect();
        assert_eq!(topics, ["/a", "https://example.com/\u{e9}"]);
        assert_eq!((form.data.as_str(), form.private), ("one\ntwo x", true));
        assert_eq!((form.id.as_deref(), form.kind.as_deref(), form.retry), (Some("urn:x"), Some("add"), Some(500)));
        let bare = read("topic=a").unwrap();
        assert_eq!((bare.data.as_str(), bare.private, bare.id, bare.kind, bare.retry), ("", false, None, None, None));
        assert!(read("topic=a&private").unwrap().private && read("topic=a&private=").unwrap().private);
        assert_eq!(read("topic=a&id=&type=").unwrap(), read("topic=a").unwrap());
    }

    #[test]
    fn each_field_is_held_to_its_rule() {
        let long = |field: &str, n: usize| format!("topic=a&{field}={}", "x".repeat(n));
        for (body, status, field, code) in [
            ("data=x".to_owned(), 400, "topic", "required"),
            (String::new(), 400, "topic", "required"),
            ("topic=".into(), 400, "topic", "reserved"),
            ("topic=*".into(), 400, "topic", "invalid_topic"),
            ("topic=a&topic=*".into(), 400, "topic", "invalid_topic"),
            ("topic=a%0Ab".into(), 400, "topic", "control_character"),
            ("topic=a%E2%80%8Bb".into(), 400, "topic", "control_character"),
            ("topic=%ff".into(), 400, "topic", "invalid_encoding"),
            ("topic=/.well-known/mercure".into(), 400, "topic", "reserved"),
            ("topic=https://x.test/a/../.well-known/%6Dercure/subscriptions/a".into(), 400, "topic", "reserved"),
            ("topic=records/leads".into(), 400, "topic", "reserved"),
            ("topic=.%2Frecords%252Fleads".into(), 400, "topic", "reserved"),
            (long("topic", 4_097), 413, "topic", "too_long"),
            ("topic=a&".repeat(101), 413, "topic", "too_many"),
            (format!("topic={}&", "x".repeat(4_000)).repeat(5), 413, "topic", "too_long"),
            ("topic=a&id=%23x".into(), 400, "id", "reserved"),
            ("topic=a&id=earliest".into(), 400, "id", "reserved"),
            ("topic=a&id=+%230000000000000000-1".into(), 400, "id", "reserved"),
            ("topic=a&id=+earliest+".into(), 400, "id", "reserved"),
            ("topic=a&id=+".into(), 400, "id", "reserved"),
            ("topic=a&id=a%C2%A0".into(), 400, "id", "reserved"),
            ("topic=a&id=a%0Db".into(), 400, "id", "control_character"),
            (long("id", 1_025), 413, "id", "too_long"),
            ("topic=a&type=mercure".into(), 400, "type", "reserved"),
            ("topic=a&type=+mercure".into(), 400, "type", "reserved"),
            ("topic=a&type=a%00".into(), 400, "type", "control_character"),
            (long("type", 1_025), 413, "type", "too_long"),
            ("topic=a&retry=".into(), 400, "retry", "invalid_number"),
            ("topic=a&retry=-1".into(), 400, "retry", "invalid_number"),
            ("topic=a&retry=1.5".into(), 400, "retry", "invalid_number"),
            ("topic=a&retry=%D9%A1".into(), 400, "retry", "invalid_number"),
            ("topic=a&data=%ff".into(), 400, "data", "invalid_encoding"),
            (long("data", 1_536 * 1024 + 1), 413, "data", "too_long"),
            (format!("topic=a&data={}", "%0A".repeat(300_000)), 413, "data", "too_long"),
        ] {
            let told = (status, field.to_owned(), code);
            assert_eq!(read(&body).unwrap_err(), told, "{}", body.get(..60).unwrap_or(&body));
        }
        assert!(read(&long("data", 1_048_576)).is_ok(), "1 MB");
        assert!(read("topic=wild*card&topic=no url: at all").is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_reader(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = UpdateForm::read(&body);
        }

        #[test]
        fn what_was_encoded_is_read(topic in "\\PC{1,20}", data in "(\\PC|[\r\n]){0,40}") {
            let mut body = form_urlencoded::Serializer::new(String::new());
            body.append_pair("topic", &topic).append_pair("data", &data);
            if let Ok(form) = UpdateForm::read(body.finish().as_bytes()) {
                prop_assert_eq!(form.topics[0].as_str(), topic);
                prop_assert_eq!(form.data, data);
            }
        }
    }
}
