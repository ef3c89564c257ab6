//! A question on its way to a tenant's site: what is known of purges, what the site answers, and whether that is kept.

use std::rc::Rc;

use super::exchange::{self, SiteResponse};
use super::kept;
use super::question::Question;
use super::revalidating::Revalidation;
use super::told;
use crate::http::etag;
use crate::http::outbound::{self, GatheredBody, NoResponse};
use crate::http::request::Background;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::tenant::known_purges;
use crate::tenant::site::Site;
use crate::tenant::tenant_state;
use crate::tenant_id::TenantId;
use domain::clock::{Clock, Timestamp};
use domain::graphql_cache::{KeptAnswer, PassReason, SentAnswer, Standing};
use domain::host::Host;
use domain::log_position::Cursor;
use domain::outbound::OutboundUrl;

/// The longest body that is kept, in bytes; one that is longer streams through.
const MAX_BODY: u32 = 2 * 1024 * 1024;
/// The header of a kept answer that holds its entity tag.
pub const ETAG: &str = "etag";

/// A question on its way to a tenant's site.
#[derive(Clone)]
pub struct Asking {
    pub bindings: Bindings,
    pub tenant: TenantId,
    pub site: Rc<Site>,
    pub endpoint: OutboundUrl,
    pub question: Rc<Question>,
}

/// What became of a question to the site.
pub enum Fetched {
    /// An answer that is kept.
    Kept(Rc<KeptAnswer>),
    /// One that is not.
    NotKept(SiteResponse, PassReason),
    NoAnswer(NoResponse),
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
        }
        known_purges::known_through(&self.tenant)
    }

    /// What a kept answer is good for, by what this isolate knows.
    pub fn judge(&self, kept: &KeptAnswer, after_event: bool, now: Timestamp) -> Standing {
        let standing = known_purges::look(&self.tenant, |known| kept.judge(known, after_event, now));
        standing.unwrap_or(Standing::Purged)
    }

    /// Asks the site.
    pub async fn ask(&self) -> Result<SiteResponse, NoResponse> {
        let mut headers = self.question.headers.clone();
        let told = told::to_site(&self.bindings, &self.tenant, &self.site).await;
        headers.extend(told.map_err(|_| NoResponse::Failed)?);
        let timeout = self.site.settings.timeout_ms;
        let sent = exchange::send(&self.endpoint, &self.question.request, &headers, timeout).await?;
        let body = match &sent.body {
            Some(stream) => Some(outbound::read_text(stream, MAX_BODY).await?),
            None => None,
        };
        Ok(SiteResponse { status: sent.status, headers: sent.headers, body })
    }

    /// The answer as it is kept, or why it is not. `began` is how far the log was known when it was asked for.
    pub fn decide(
        &self,
        response: &SiteResponse,
        asked_at: Timestamp,
        began: &Cursor,
    ) -> Result<KeptAnswer, PassReason> {
        let body = match &response.body {
            Some(GatheredBody::Text(body)) if response.media_type().is_some() => body,
            Some(GatheredBody::Text(_)) | None => return Err(PassReason::Status),
            Some(GatheredBody::Stream(_)) => return Err(PassReason::TooLarge),
        };
        let sent = SentAnswer { status: response.status, headers: &response.headers, body };
        let named = (self.question.operation.as_deref(), &*self.question.document);
        let mut kept = KeptAnswer::of_answer(&self.site.settings.cache, named, (asked_at, began), &sent)?;
        let tag = etag::of_content(&kept.answer.body);
        kept.answer.headers.push((ETAG.to_owned(), tag));
        Ok(kept)
    }

    /// Asks the site, and keeps the answer if it may be kept.
    pub async fn fetch(&self, began: Cursor, background: &Background) -> Fetched {
        let asked_at = SystemClock.now();
        let response = match self.ask().await {
            Ok(response) => response,
            Err(reason) => return Fetched::NoAnswer(reason),
        };
        match self.decide(&response, asked_at, &began) {
            Ok(kept) => {
                let kept = Rc::new(kept);
                self.keep(&kept, background);
                Fetched::Kept(kept)
            }
            Err(reason) => Fetched::NotKept(response, reason),
        }
    }

    /// Keeps an answer, unless a purge has named it while it was on its way.
    fn keep(&self, kept: &Rc<KeptAnswer>, background: &Background) {
        if matches!(self.judge(kept, false, SystemClock.now()), Standing::Purged | Standing::Expired) {
            return;
        }
        kept::hold(&self.tenant, &self.question.key, kept);
        let (asking, kept) = (self.clone(), Rc::clone(kept));
        background.spawn(async move {
            kept::write(&asking.bindings, &asking.tenant, &asking.question.key, &kept).await;
        });
    }

    /// Fetches a new answer behind a stale one, once at a time in an isolate.
    pub fn revalidate(self, background: &Background, began: Cursor) {
        let Some(revalidation) = Revalidation::begin(&self.tenant, &self.question.key) else { return };
        let inner = background.clone();
        background.spawn(async move {
            drop(self.fetch(began, &inner).await);
            revalidation.end();
        });
    }
}
