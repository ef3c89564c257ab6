//! Where answers are kept: in the isolate's memory, and in KV for all isolates.
//!
//! Invariants
//! - What is found is judged by the purges that the isolate knows, wherever it was found: a store that lags, or that was
//!   written late, brings back nothing.
//! - An entry of KV is signed for its key and its tenant. Losing KV costs questions to the site, and changes no answer.

use std::cell::RefCell;
use std::rc::Rc;

use super::question::Question;
use super::stored_answer::StoredHead;
use crate::credentials::signed_text;
use crate::storage::bindings::Bindings;
use crate::storage::keys::KvKey;
use crate::storage::kv;
use crate::storage::sealed::{KeyRing, SigningPurpose};
use crate::tenant::known_purges;
use crate::tenant_id::TenantId;
use domain::clock::Timestamp;
use domain::graphql_cache::{AnswerFreshness, AnswerMemory, KeptAnswer};

const MEMORY: &str = "memory";
/// Bytes of answers that an isolate holds.
const MEMORY_BYTES: usize = 16 * 1024 * 1024;

thread_local! {
    static ANSWERS: RefCell<AnswerMemory<TenantId, Option<Rc<Question>>>> = RefCell::new(AnswerMemory::new(MEMORY_BYTES));
}

/// What was found, and what it is good for.
pub struct FoundAnswer {
    pub answer: Rc<KeptAnswer>,
    pub freshness: AnswerFreshness,
    /// `memory` or `kv`.
    pub place: &'static str,
}

impl FoundAnswer {
    /// Holds it in memory, if it was found elsewhere.
    pub fn hold(&self, tenant: &TenantId, question: &Rc<Question>) {
        if !self.is_held() {
            hold(tenant, question, &self.answer);
            // It is in KV already.
            comes_into_demand(tenant, &question.key);
        }
    }

    /// Whether it was found in memory.
    pub fn is_held(&self) -> bool {
        self.place == MEMORY
    }
}

/// What is kept under a key, as `judge` sees it. What is held in memory and not fresh may have been renewed elsewhere.
pub async fn find(
    bindings: &Bindings,
    (tenant, key): (&TenantId, &str),
    judge: impl Fn(&KeptAnswer) -> AnswerFreshness,
) -> Option<FoundAnswer> {
    let held = ANSWERS.with_borrow_mut(|answers| answers.get(tenant, key));
    let held = held.map(|answer| FoundAnswer { freshness: judge(&answer), answer, place: MEMORY });
    if held.as_ref().is_some_and(|found| found.freshness == AnswerFreshness::Fresh) {
        return held;
    }
    let Some(stored) = read(bindings, tenant, key).await else { return held };
    if held.as_ref().is_some_and(|held| held.answer.asked_at >= stored.asked_at) {
        return held;
    }
    let answer = Rc::new(stored);
    Some(FoundAnswer { freshness: judge(&answer), answer, place: "kv" })
}

/// Holds an answer in memory.
pub fn hold(tenant: &TenantId, question: &Rc<Question>, answer: &Rc<KeptAnswer>) {
    // Nobody's token is remembered.
    let asked_again = (!question.has_token).then(|| Rc::clone(question));
    ANSWERS.with_borrow_mut(|answers| answers.put(tenant, &question.key, Rc::clone(answer), asked_again));
}

/// Whether answers of a tenant's site are held in memory.
pub fn holds_some(tenant: &TenantId) -> bool {
    ANSWERS.with_borrow(|answers| answers.holds_some(tenant))
}

/// The questions, at most so many, whose answers were wanted most of those that a purge has ended; those that `may_ask` takes.
pub fn to_warm(
    tenant: &TenantId,
    now: Timestamp,
    most: usize,
    may_ask: impl Fn(&Question) -> bool,
) -> Vec<Rc<Question>> {
    let may_ask = |question: &Option<Rc<Question>>| question.as_deref().is_some_and(&may_ask);
    let questions = known_purges::look(tenant, |known| {
        ANSWERS.with_borrow_mut(|answers| answers.to_warm(tenant, (known, now), most, may_ask))
    });
    questions.into_iter().flatten().flatten().collect()
}

/// Whether an answer that is held is asked for again for the first time.
pub fn comes_into_demand(tenant: &TenantId, key: &str) -> bool {
    ANSWERS.with_borrow_mut(|answers| answers.comes_into_demand(tenant, key))
}

/// Writes an answer for other isolates.
pub async fn write(bindings: &Bindings, tenant: &TenantId, key: &str, answer: &KeptAnswer) {
    let place = KvKey::graphql(tenant, key);
    let Some(text) = stored(&bindings.settings.keys, tenant, &place, answer) else { return };
    let seconds = u64::try_from(answer.lifetime.whole() / 1_000).unwrap_or(0);
    kv::write_text(bindings, &place, text, seconds).await;
}

fn stored(keys: &KeyRing, tenant: &TenantId, place: &KvKey, kept: &KeptAnswer) -> Option<String> {
    let head = serde_json::to_string(&StoredHead::of(tenant, kept));
    let (head, signing) = (head.ok()?, keys.signing_key(SigningPurpose::CachedAnswer).ok()?);
    let signature = signed_text::sign(&signing, &signed_for(place, &head), &kept.answer.body);
    Some([&*signature, "\n", &head, "\n", &kept.answer.body].concat())
}

async fn read(bindings: &Bindings, tenant: &TenantId, key: &str) -> Option<KeptAnswer> {
    let place = KvKey::graphql(tenant, key);
    opened(&bindings.settings.keys, tenant, &place, &kv::text(bindings, &place).await?)
}

fn opened(keys: &KeyRing, tenant: &TenantId, place: &KvKey, text: &str) -> Option<KeptAnswer> {
    let (signature, rest) = text.split_once('\n')?;
    let (head, body) = rest.split_once('\n')?;
    let find_key = |version| keys.signing_key_of(SigningPurpose::CachedAnswer, version);
    if !signed_text::is_signed(find_key, &signed_for(place, head), body, signature) {
        return None;
    }
    serde_json::from_str::<StoredHead>(head).ok()?.with(tenant, body)
}

fn signed_for<'a>(place: &'a KvKey, head: &'a str) -> [&'a str; 3] {
    ["graphql", place.as_str(), head]
}
