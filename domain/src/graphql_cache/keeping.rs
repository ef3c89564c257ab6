//! Which answers are kept. What makes an answer somebody's, or tells how it was asked, passes both ways and is never kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::cached_response::{KeptAnswer, ShownResponse};
use super::lifetime::SentLifetime;
use super::settings::CacheSettings;
use super::tags::{AnsweredDocument, answer_tags};
use crate::clock::Timestamp;
use crate::graphql::OperationType;
use crate::log_position::Cursor;

/// Why a question passes by what is kept, or its answer is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PassReason {
    /// The tenant keeps nothing.
    Off,
    /// Several requests at once.
    Batch,
    /// A form with files.
    Upload,
    /// It changes something.
    Mutation,
    /// It subscribes.
    Subscription,
    /// It asks for the schema.
    Introspection,
    /// It says who asks: a user or a key of the tenant, `Authorization`, a shop's session.
    Credential,
    /// It has a cookie.
    Cookie,
    /// It has a nonce of WordPress.
    Nonce,
    /// It asks for what is not published.
    Preview,
    /// It has extensions, which the site may take for anything.
    Extensions,
    /// A header that splits answers is too long.
    Scope,
    /// It has a header that may be a credential, or make another answer.
    Header,
    /// The position in the tenant's log is not known.
    NoLog,
    /// The site did not answer with 200.
    Status,
    /// The answer lists errors, or is no object with `data`.
    Errors,
    /// The answer is no JSON.
    NoJson,
    /// The answer sets a cookie.
    SetCookie,
    /// The site does not allow it.
    NoStore,
    /// It depends on more than was asked (`Vary: *`).
    Vary,
    /// The site sends no keys.
    NoKeys,
    /// The answer has more tags than may be kept.
    TooManyKeys,
    /// The answer is too large.
    TooLarge,
}

impl PassReason {
    /// As the header and `explain` tell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Batch => "batch",
            Self::Upload => "upload",
            Self::Mutation => "mutation",
            Self::Subscription => "subscription",
            Self::Introspection => "introspection",
            Self::Credential => "credential",
            Self::Cookie => "cookie",
            Self::Nonce => "nonce",
            Self::Preview => "preview",
            Self::Extensions => "extensions",
            Self::Scope => "scope",
            Self::Header => "header",
            Self::NoLog => "no-log",
            Self::Status => "status",
            Self::Errors => "errors",
            Self::NoJson => "no-json",
            Self::SetCookie => "set-cookie",
            Self::NoStore => "no-store",
            Self::Vary => "vary",
            Self::NoKeys => "no-keys",
            Self::TooManyKeys => "too-many-keys",
            Self::TooLarge => "too-large",
        }
    }
}

/// Headers that browsers, clients of GraphQL and proxies send, which make no other answer.
const SAY_NOTHING: [&str; 18] = [
    "baggage",
    "cache-control",
    "cdn-loop",
    "content-type",
    "dnt",
    "origin",
    "pragma",
    "priority",
    "purpose",
    "referer",
    "save-data",
    "sentry-trace",
    "traceparent",
    "tracestate",
    "upgrade-insecure-requests",
    "user-agent",
    "via",
    "x-requested-with",
];
/// Beginnings of such names.
const SAY_NOTHING_FROM: [&str; 9] = [
    "accept",
    "access-control-",
    "apollo-",
    "apollographql-",
    "device-memory",
    "if-",
    "sec-",
    "x-apollo-",
    "x-forwarded-",
];

fn says_nothing(name: &str) -> bool {
    SAY_NOTHING.contains(&name) || SAY_NOTHING_FROM.iter().any(|beginning| name.starts_with(beginning))
}

/// What is known of a question before the site is asked.
#[derive(Debug, Clone, Copy)]
pub struct AskedOperation {
    /// What it is.
    pub kind: OperationType,
    /// Whether it asks for the schema.
    pub introspects: bool,
    /// Whether the document asks for a preview.
    pub previews: bool,
    /// Whether it has extensions.
    pub has_extensions: bool,
    /// Whether somebody of the tenant asks.
    pub is_members: bool,
    /// Whether its `Authorization` is a token that splits answers, and was verified here.
    pub has_verified_token: bool,
}

impl PassReason {
    /// Why a question passes; none if it may be answered with what is kept. `headers` are those that the site would be sent,
    /// in lower case, `parameters` the names of those of the query.
    pub fn of_request<'a>(
        settings: &CacheSettings,
        asked: &AskedOperation,
        headers: impl Iterator<Item = (&'a str, &'a str)>,
        mut parameters: impl Iterator<Item = &'a str>,
    ) -> Option<Self> {
        if !settings.enabled {
            return Some(Self::Off);
        }
        match asked.kind {
            OperationType::Query => {}
            OperationType::Mutation => return Some(Self::Mutation),
            OperationType::Subscription => return Some(Self::Subscription),
        }
        if asked.introspects {
            return Some(Self::Introspection);
        }
        if asked.is_members {
            return Some(Self::Credential);
        }
        for (name, value) in headers {
            let is_scope = settings.scope_headers.iter().any(|scope| scope.as_str() == name);
            match name {
                "cookie" => return Some(Self::Cookie),
                "authorization" if asked.has_verified_token => {}
                "authorization" | "proxy-authorization" | "woocommerce-session" => return Some(Self::Credential),
                "x-wp-nonce" => return Some(Self::Nonce),
                "x-graphql-preview" => return Some(Self::Preview),
                _ if is_scope && value.len() > super::settings::HeaderScope::MAX_VALUE => return Some(Self::Scope),
                _ if !is_scope && !says_nothing(name) => return Some(Self::Header),
                _ => {}
            }
        }
        if parameters.any(|name| name.eq_ignore_ascii_case("_wpnonce")) {
            return Some(Self::Nonce);
        }
        if asked.previews {
            return Some(Self::Preview);
        }
        asked.has_extensions.then_some(Self::Extensions)
    }
}

/// A site's answer, as far as it decides whether it is kept.
#[derive(Debug)]
pub struct SentAnswer<'a> {
    /// The status.
    pub status: u16,
    /// The headers, in lower case.
    pub headers: &'a [(String, String)],
    /// The body.
    pub body: &'a str,
}

impl SentAnswer<'_> {
    /// Whether it makes whoever asked somebody: by a cookie, or by a header of a shop or of a plugin that signs people in.
    pub fn begins_a_session(&self) -> bool {
        self.headers
            .iter()
            .any(|(name, _)| matches!(&**name, "set-cookie" | "woocommerce-session") || name.starts_with("x-jwt"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(sent, _)| sent == name).map(|(_, value)| value.as_str())
    }
}

impl KeptAnswer {
    /// The answer as it is kept, or why it is not. `asked_at` is when the question was sent, `began` how far the log was known
    /// then.
    pub fn of_answer(
        settings: &CacheSettings,
        document: AnsweredDocument<'_>,
        (asked_at, began): (Timestamp, &Cursor),
        sent: &SentAnswer<'_>,
    ) -> Result<Self, PassReason> {
        if sent.status != 200 {
            return Err(PassReason::Status);
        }
        if sent.begins_a_session() {
            return Err(PassReason::SetCookie);
        }
        if sent.header("vary").is_some_and(|vary| vary.contains('*')) {
            return Err(PassReason::Vary);
        }
        serde_json::from_str::<&RawValue>(sent.body).map_err(|_| PassReason::NoJson)?;
        let read = ReadBody::of(sent.body).ok_or(PassReason::Errors)?;
        let lifetime = settings.lifetime(document.operation).allowed(&SentLifetime {
            cache_control: sent.header("cache-control"),
            has_expires: sent.header("expires").is_some(),
        });
        let lifetime = lifetime.filter(|lifetime| lifetime.whole() > 0).ok_or(PassReason::NoStore)?;
        // A cache in front of the site has kept it for so long already.
        let age = sent.header("age").and_then(|age| age.trim().parse::<u32>().ok()).unwrap_or(0);
        let asked_at = asked_at.plus_seconds(-i64::from(age));
        let keys = sent.header("x-graphql-keys").filter(|keys| !keys.trim().is_empty());
        if keys.is_none() && !settings.untagged {
            return Err(PassReason::NoKeys);
        }
        let tags = answer_tags(keys, document, read.found_nothing).ok_or(PassReason::TooManyKeys)?;
        let shown = |name: &&str| sent.header(name).map(|value| ((*name).to_owned(), value.to_owned()));
        Ok(Self {
            began: began.clone(),
            asked_at,
            lifetime,
            tags,
            answer: ShownResponse {
                headers: ShownResponse::SHOWN.iter().filter_map(shown).collect(),
                body: sent.body.into(),
            },
        })
    }
}

/// What is read of a body.
struct ReadBody {
    found_nothing: bool,
}

impl ReadBody {
    /// None for a body with `errors`, or without `data`.
    fn of(body: &str) -> Option<Self> {
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(body).ok()?;
        if members.contains_key("errors") {
            return None;
        }
        let data: BTreeMap<String, &RawValue> = serde_json::from_str(members.get("data")?.get()).ok()?;
        Some(Self { found_nothing: data.values().any(|value| value.get() == "null") })
    }
}
