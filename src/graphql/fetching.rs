//! How a question is answered by a tenant's site: what is known of purges, what the site says, and whether that is kept.

use std::rc::Rc;

use super::answer_store;
use super::asking::Asking;
use super::exchange::{self, SiteResponse};
use super::revalidating::Revalidation;
use super::shield_protocol::{ShieldReply, Wants};
use super::shielding;
use super::told;
use crate::http::etag;
use crate::http::outbound::{self, ForwardedResponse, GatheredBody, NoResponse};
use crate::http::request::Background;
use crate::storage::bindings::SystemClock;
use crate::tenant::known_purges;
use crate::tenant::tenant_state;
use domain::clock::{Clock, Timestamp};
use domain::graphql_cache::{AnswerFreshness, AnsweredDocument, CacheSettings, KeptAnswer, PassReason, SentAnswer};
use domain::host::Host;
use domain::log_position::Cursor;

/// The longest body that is kept, in bytes; one that is longer streams through.
const MAX_BODY: u32 = 2 * 1024 * 1024;
/// The header of a kept answer that holds its entity tag.
pub const ETAG: &str = "etag";

/// What became of a question to the site.
pub enum Fetched {
    /// An answer that is kept; whether the shield held it.
    Kept(Rc<KeptAnswer>, bool),
    /// One that is not.
    NotKept(SiteResponse, PassReason),
    NoAnswer(NoResponse),
}

impl Fetched {
    /// Whether the site has failed.
    pub fn has_failed(&self) -> bool {
        match self {
            Self::Kept(..) => false,
            Self::NotKept(_, PassReason::NoJson) => true,
            Self::NotKept(response, _) => response.has_failed(),
            Self::NoAnswer(_) => true,
        }
    }
}

/// A site's response with its body, as far as it is kept at all.
pub async fn gathered(sent: Result<ForwardedResponse, NoResponse>) -> Result<SiteResponse, NoResponse> {
    let ForwardedResponse { status, headers, body, deadline } = sent?;
    let body = match &body {
        Some(stream) => Some(outbound::read_text(stream, MAX_BODY).await?),
        None => None,
    };
    if !matches!(body, Some(GatheredBody::Stream(_))) {
        deadline.met();
    }
    Ok(SiteResponse { status, headers, body })
}

/// An answer as it is kept, or why it is not. `asked_at` is when it was asked for, and `began` how far the log was known then.
pub fn decide(
    settings: &CacheSettings,
    (document, has_token): (AnsweredDocument<'_>, bool),
    response: &SiteResponse,
    (asked_at, began): (Timestamp, &Cursor),
) -> Result<KeptAnswer, PassReason> {
    let body = match &response.body {
        Some(GatheredBody::Text(body)) if response.media_type().is_some() => body,
        Some(GatheredBody::Text(_)) => return Err(PassReason::Status),
        None if response.status < 400 => return Err(PassReason::NoJson),
        None => return Err(PassReason::Status),
        Some(GatheredBody::Stream(_)) => return Err(PassReason::TooLarge),
    };
    // The site is sent the whole token, and says that more of it counts than its claims.
    if has_token && response.varies_by("authorization") {
        return Err(PassReason::Vary);
    }
    let sent = SentAnswer { status: response.status, headers: &response.headers, body };
    let mut kept = KeptAnswer::of_answer(settings, document, (asked_at, began), &sent)?;
    let tag = etag::of_content(&kept.answer.body);
    kept.answer.headers.push((ETAG.to_owned(), tag));
    Ok(kept)
}

impl Asking {
    /// Sees to it that this isolate's knowledge of purges is as young as the tenant wants it, and knows of an event that was
    /// heard. How far the log is known then; none if nothing is known of it.
    pub async fn renew(&self, host: Option<&Host>, after: Option<&Cursor>) -> Option<Cursor> {
        let (now, staleness) = (SystemClock.now(), i64::from(self.site.settings.cache.staleness_seconds) * 1_000);
        let is_good = known_purges::look(&self.tenant, |known| {
            now.since(known.asked_at()) < staleness && after.is_none_or(|event| known.has_heard(event))
        });
        if is_good != Some(true) {
            let asked = known_purges::to_ask_anew(&self.tenant);
            tenant_state::ask_for_purges(&self.bindings, &self.tenant, host, asked).await.ok()?;
            // A hub of before says nothing of purges.
            known_purges::look(&self.tenant, |known| known.asked_at() >= now).filter(|was_told| *was_told)?;
        }
        known_purges::known_through(&self.tenant)
    }

    /// What a kept answer is good for, by what this isolate knows.
    pub fn judge(&self, kept: &KeptAnswer, after_event: bool, now: Timestamp) -> AnswerFreshness {
        let freshness = known_purges::look(&self.tenant, |known| kept.judge(known, after_event, now));
        freshness.unwrap_or(AnswerFreshness::Purged)
    }

    /// The headers that the site is sent.
    async fn headers(&self) -> Result<Vec<(String, String)>, NoResponse> {
        let told = told::to_site(&self.bindings, &self.tenant, &self.site).await.map_err(|_| NoResponse::Failed)?;
        Ok(self.question.headers.iter().cloned().chain(told).collect())
    }

    /// Asks the site itself.
    pub async fn ask(&self) -> Result<SiteResponse, NoResponse> {
        let headers = self.headers().await?;
        let timeout = self.site.settings.timeout_ms;
        gathered(exchange::send(&self.endpoint, &self.question.request, &headers, timeout).await).await
    }

    /// Asks the site itself, and decides whether the answer is kept.
    pub async fn ask_and_decide(&self, began: &Cursor) -> Fetched {
        let asked_at = SystemClock.now();
        let response = match self.ask().await {
            Ok(response) => response,
            Err(reason) => return Fetched::NoAnswer(reason),
        };
        let document = (self.question.document.tagged(), self.question.has_token);
        match decide(&self.site.settings.cache, document, &response, (asked_at, began)) {
            Ok(kept) => Fetched::Kept(Rc::new(kept), false),
            Err(reason) => Fetched::NotKept(response, reason),
        }
    }

    /// What the shield holds, if it is good for whoever asks.
    pub async fn held_by_shield(&self, after_event: bool, began: &Cursor) -> Option<Rc<KeptAnswer>> {
        match shielding::ask(self, &[], began, Wants::Held).await? {
            ShieldReply::Kept(held, _) => Some(held).filter(|held| self.is_fresh(held, after_event)),
            _ => None,
        }
    }

    fn is_fresh(&self, kept: &KeptAnswer, after_event: bool) -> bool {
        self.judge(kept, after_event, SystemClock.now()) == AnswerFreshness::Fresh
    }

    /// Asks through the shield, so that equal questions are one; by itself, if the shield fails.
    async fn ask_shield(&self, after_event: bool, began: &Cursor) -> Fetched {
        let headers = match self.headers().await {
            Ok(headers) => headers,
            Err(reason) => return Fetched::NoAnswer(reason),
        };
        // What it holds may be from before a purge that is known here: then the site is asked.
        for wants in [Wants::Any, Wants::Current] {
            match shielding::ask(self, &headers, began, wants).await {
                Some(ShieldReply::Kept(kept, true)) if !self.is_fresh(&kept, after_event) => {}
                Some(ShieldReply::Kept(kept, is_held)) => return Fetched::Kept(kept, is_held),
                Some(ShieldReply::NotKept(response, reason)) => return Fetched::NotKept(response, reason),
                Some(ShieldReply::NoAnswer(reason)) => return Fetched::NoAnswer(reason),
                Some(ShieldReply::TooLarge | ShieldReply::Nothing) | None => break,
            }
        }
        self.ask_and_decide(began).await
    }

    /// Fetches an answer, and keeps it if it may be kept. `began` is how far the log is known, `is_in_demand` whether one was
    /// kept before.
    pub async fn fetch(
        &self,
        after_event: bool,
        began: Cursor,
        is_in_demand: bool,
        background: &Background,
    ) -> Fetched {
        let fetched = self.ask_shield(after_event, &began).await;
        if let Fetched::Kept(kept, is_held) = &fetched {
            self.keep(kept, is_in_demand || *is_held, background);
        }
        fetched
    }

    /// Fetches an answer that nobody waits for, and keeps it: through the shield, if it has room. Whether the site may be asked
    /// for more: not if it fails.
    pub async fn warm(&self, began: Cursor, background: &Background) -> bool {
        let Ok(headers) = self.headers().await else { return false };
        // What is held, and not from before a purge that is known here, is as good.
        for wants in [Wants::Held, Wants::WarmUp] {
            match shielding::ask(self, &headers, &began, wants).await {
                Some(ShieldReply::Kept(kept, _)) if self.is_fresh(&kept, true) => {
                    self.keep(&kept, true, background);
                    return true;
                }
                Some(ShieldReply::NoAnswer(_)) => return false,
                Some(ShieldReply::NotKept(response, _)) if response.has_failed() => return false,
                _ => {}
            }
        }
        true
    }

    /// Keeps an answer, unless a purge has named it while it was on its way. What was never kept before comes to KV when it is
    /// asked for again: a stranger who asks for ever new answers writes nothing there.
    fn keep(&self, kept: &Rc<KeptAnswer>, is_in_demand: bool, background: &Background) {
        if matches!(self.judge(kept, false, SystemClock.now()), AnswerFreshness::Purged | AnswerFreshness::Expired) {
            return;
        }
        answer_store::hold(&self.tenant, &self.question, kept);
        if is_in_demand {
            self.write_once(kept, background);
        }
    }

    /// Writes an answer for other isolates, once.
    pub fn write_once(&self, kept: &Rc<KeptAnswer>, background: &Background) {
        if !answer_store::comes_into_demand(&self.tenant, &self.question.key) {
            return;
        }
        let (asking, kept) = (self.clone(), Rc::clone(kept));
        background.spawn(async move {
            answer_store::write(&asking.bindings, &asking.tenant, &asking.question.key, &kept).await;
        });
    }

    /// Fetches a new answer behind a stale one, once at a time in an isolate.
    pub fn revalidate(self, background: &Background, began: Cursor) {
        let Some(revalidation) = Revalidation::begin(&self.tenant, &self.question.key) else { return };
        let inner = background.clone();
        background.spawn(async move {
            drop(self.fetch(true, began, true, &inner).await);
            revalidation.end();
        });
    }
}
