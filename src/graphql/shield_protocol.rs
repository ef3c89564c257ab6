//! What the Worker and a tenant's shield say to each other.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::exchange::SiteResponse;
use super::question::AskedDocument;
use super::stored_answer::StoredHead;
use crate::http::outbound::{GatheredBody, NoResponse};
use crate::tenant_id::TenantId;
use domain::graphql_cache::{CacheSettings, KeptAnswer, PassReason};
use domain::ids::ClaimedTenant;
use domain::log_position::Cursor;

/// A question, as the site is to be asked it.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShieldQuestion {
    pub tenant: ClaimedTenant,
    pub key: String,
    pub document: AskedDocument,
    pub endpoint: String,
    pub parameters: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub timeout_ms: u32,
    pub settings: CacheSettings,
    /// Whether the site is sent somebody's token: what is not kept is told to whoever asked alone.
    #[serde(default)]
    pub has_token: bool,
    /// How far the log is known to whoever asks.
    pub began: Cursor,
    /// What will do.
    pub wants: Wants,
}

/// What will do as an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wants {
    /// One that is held, from whenever it is; else the site's.
    Any,
    /// The site's, to a question that was sent when the log was known as far.
    Current,
    /// One that is held; the site is not asked.
    Held,
    /// As `Current`, where nobody waits: the site is asked only while half of the places are free.
    WarmUp,
}

/// What a shield replies.
pub enum ShieldReply {
    /// An answer that may be kept; whether it was held.
    Kept(Rc<KeptAnswer>, bool),
    /// One that may not.
    NotKept(SiteResponse, PassReason),
    NoAnswer(NoResponse),
    /// An answer that is too large to be told here, or no text: the Worker asks by itself, now and for a while.
    TooLarge,
    /// Nothing that may be shared: the Worker asks by itself.
    Nothing,
}

impl ShieldReply {
    /// What those get who joined the question of somebody else. What makes whoever asks somebody, or must not be stored, is
    /// the one's who asked.
    pub fn shared(self) -> Self {
        match self {
            Self::NotKept(response, reason) if response.begins_a_session() || !is_shareable(reason) => Self::Nothing,
            other => other,
        }
    }
}

fn is_shareable(reason: PassReason) -> bool {
    matches!(reason, PassReason::Errors | PassReason::Status | PassReason::NoKeys | PassReason::TooManyKeys)
}

/// The line before the body.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReplyHead {
    Kept { head: StoredHead, is_held: bool },
    NotKept { status: u16, headers: Vec<(String, String)>, reason: PassReason, has_body: bool },
    TimedOut,
    Failed,
    TooLarge,
    Nothing,
}

impl ShieldReply {
    /// As text.
    pub fn to_text(&self, tenant: &TenantId) -> serde_json::Result<String> {
        let (head, body) = match self {
            Self::Kept(kept, is_held) => {
                (ReplyHead::Kept { head: StoredHead::of(tenant, kept), is_held: *is_held }, &*kept.answer.body)
            }
            Self::NotKept(response, reason) => {
                let body = match &response.body {
                    Some(GatheredBody::Text(body)) => Some(body.as_str()),
                    Some(GatheredBody::Stream(_)) | None => None,
                };
                let (status, headers) = (response.status, response.headers.clone());
                let head = ReplyHead::NotKept { status, headers, reason: *reason, has_body: body.is_some() };
                (head, body.unwrap_or_default())
            }
            Self::NoAnswer(NoResponse::TimedOut) => (ReplyHead::TimedOut, ""),
            Self::NoAnswer(NoResponse::Failed) => (ReplyHead::Failed, ""),
            Self::TooLarge => (ReplyHead::TooLarge, ""),
            Self::Nothing => (ReplyHead::Nothing, ""),
        };
        Ok([&*serde_json::to_string(&head)?, "\n", body].concat())
    }

    /// Reads what [`Self::to_text`] wrote.
    pub fn parse(tenant: &TenantId, text: &str) -> Option<Self> {
        let (head, body) = text.split_once('\n')?;
        Some(match serde_json::from_str(head).ok()? {
            ReplyHead::Kept { head, is_held } => Self::Kept(Rc::new(head.with(tenant, body)?), is_held),
            ReplyHead::NotKept { status, headers, reason, has_body } => {
                let body = has_body.then(|| GatheredBody::Text(body.to_owned()));
                Self::NotKept(SiteResponse { status, headers, body }, reason)
            }
            ReplyHead::TimedOut => Self::NoAnswer(NoResponse::TimedOut),
            ReplyHead::Failed => Self::NoAnswer(NoResponse::Failed),
            ReplyHead::TooLarge => Self::TooLarge,
            ReplyHead::Nothing => Self::Nothing,
        })
    }
}
