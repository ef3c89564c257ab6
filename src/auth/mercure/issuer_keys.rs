//! The public keys of issuers whose tokens a tenant takes, fetched from where its settings say they stand.
//!
//! Invariants
//! - Keys are remembered for one tenant and one address; what KV remembers is sealed under the tenant's key.
//! - An issuer is asked at most once a minute, by an isolate and as far as KV tells by all of them; by one request of
//!   an isolate at a time, and others that need the answer wait for it.
//! - An issuer that fails costs nobody their rights for six hours: as long are the keys good that it told last.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use worker::Delay;

use crate::auth::jwk::KeySet;
use crate::auth::memory::Memory;
use crate::auth::outside::document;
use crate::auth::signature::digest;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::ids::TenantId;
use crate::domain::mercure::Issuer;
use crate::http::problem::{self, Answered};
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::keys::KvKey;
use crate::tenant::secrets;

/// How long keys are good without asking again, in milliseconds.
const GOOD_MILLIS: i64 = 600_000;
/// How soon an issuer is asked again, in milliseconds.
const ASK_AGAIN_MILLIS: i64 = 60_000;
/// How long keys are good whose issuer fails, in milliseconds.
const LAST_RESORT_MILLIS: i64 = 6 * 3_600_000;
/// How often a request looks whether another one has its answer, and how long, in milliseconds.
const WAIT_MILLIS: u64 = 50;
const MAX_WAIT_MILLIS: i64 = 12_000;
/// Most issuers an isolate remembers keys of.
const MAX_KEPT: usize = 1_000;

thread_local! {
    static KEPT: RefCell<HashMap<String, Rc<Known>>> = RefCell::new(HashMap::new());
    static ASKING: RefCell<HashMap<String, Timestamp>> = RefCell::new(HashMap::new());
}

/// What an issuer told last, and when somebody asked it last, told or not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Told {
    jwks_url: String,
    document: Map<String, Value>,
    /// In milliseconds since 1970; 0 if it never told anything.
    told_at: i64,
    /// In milliseconds since 1970.
    asked_at: i64,
}

/// The same with its keys read.
pub struct Known {
    /// The keys.
    pub keys: KeySet,
    told: Told,
}

impl Known {
    fn read(told: Told) -> Option<Rc<Self>> {
        let keys = if told.told_at == 0 { KeySet::default() } else { KeySet::parse(&told.document)? };
        Some(Rc::new(Self { keys, told }))
    }

    /// Whether it was told later than that.
    fn is_after(&self, at: i64) -> bool {
        self.told.told_at > at
    }

    fn is_good_at_last(&self, now: Timestamp) -> bool {
        self.is_after(now.millis() - LAST_RESORT_MILLIS)
    }

    /// Whether the issuer need not or may not be asked for what it told after a time.
    fn settles(&self, after: i64, now: Timestamp) -> bool {
        self.is_after(after) || now.millis() - self.told.asked_at < ASK_AGAIN_MILLIS
    }
}

/// An issuer, asked for a tenant.
pub struct IssuerKeys<'a> {
    /// The deployment.
    pub bindings: &'a Bindings,
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The issuer.
    pub issuer: &'a Issuer,
}

impl IssuerKeys<'_> {
    /// Its keys. 503 if it fails, and has told none for too long.
    pub async fn known(&self) -> Answered<Rc<Known>> {
        let (at, now) = (self.at(), SystemClock.now());
        if let Some(known) = self.held(&at) {
            let others_ask = ASKING.with(|asking| asking.borrow().contains_key(at.as_str()));
            if known.is_after(now.millis() - GOOD_MILLIS) || (others_ask && known.is_good_at_last(now)) {
                return Ok(known);
            }
        }
        self.after(&at, now.millis() - GOOD_MILLIS).await
    }

    /// Its keys, for the sake of one that is not among those known; the same ones if it was asked just now.
    pub async fn newer_than(&self, known: &Known) -> Answered<Rc<Known>> {
        self.after(&self.at(), known.told.told_at).await
    }

    /// Keys that were told after a time, if the issuer may be asked; else the last ones.
    async fn after(&self, at: &KvKey, after: i64) -> Answered<Rc<Known>> {
        let _turn = Turn::take(at.as_str()).await;
        let held = self.held(at);
        let is_enough = held.as_ref().is_some_and(|held| held.settles(after, SystemClock.now()));
        let known = if is_enough { held } else { self.ask(at, after, held).await? };
        let now = SystemClock.now();
        known
            .filter(|known| known.is_good_at_last(now))
            .ok_or_else(|| problem::unavailable("an issuer does not tell its keys"))
    }

    /// Learns from others, or from the issuer.
    async fn ask(&self, at: &KvKey, after: i64, known: Option<Rc<Known>>) -> Answered<Option<Rc<Known>>> {
        let secrets = secrets::load(self.bindings, self.tenant.as_str()).await?;
        let key = secrets.data_key()?;
        let memory = Memory { bindings: self.bindings, tenant: self.tenant, key, at: at.clone() };
        let remembered = memory.recall::<Told>().await.filter(|told| self.is_of(told)).and_then(Known::read);
        let known = later(known, remembered);
        let now = SystemClock.now();
        if known.as_ref().is_some_and(|known| known.settles(after, now)) {
            keep(at, known.as_ref());
            return Ok(known);
        }
        let document = match self.bindings.settings.outbound(&self.issuer.jwks_url) {
            Ok(address) => document(&address).await.ok().filter(|document| KeySet::parse(document).is_some()),
            Err(_) => None,
        };
        let asked_at = SystemClock.now().millis();
        let before = known.map(|known| known.told.clone()).unwrap_or_default();
        let told = match document {
            Some(document) => Told { jwks_url: self.issuer.jwks_url.clone(), document, told_at: asked_at, asked_at },
            None => Told { jwks_url: self.issuer.jwks_url.clone(), asked_at, ..before },
        };
        memory.keep(&told, LAST_RESORT_MILLIS.unsigned_abs() / 1000).await;
        let known = Known::read(told);
        keep(at, known.as_ref());
        Ok(known)
    }

    fn at(&self) -> KvKey {
        KvKey::issuer_keys(self.tenant, &digest(self.issuer.issuer.as_bytes()))
    }

    /// What this isolate remembers.
    fn held(&self, at: &KvKey) -> Option<Rc<Known>> {
        let kept = KEPT.with(|kept| kept.borrow().get(at.as_str()).cloned());
        kept.filter(|known| self.is_of(&known.told))
    }

    fn is_of(&self, told: &Told) -> bool {
        told.jwks_url == self.issuer.jwks_url
    }
}

/// What was asked for last.
fn later(ours: Option<Rc<Known>>, theirs: Option<Rc<Known>>) -> Option<Rc<Known>> {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => Some(if theirs.told.asked_at > ours.told.asked_at { theirs } else { ours }),
        (ours, theirs) => ours.or(theirs),
    }
}

fn keep(at: &KvKey, known: Option<&Rc<Known>>) {
    let Some(known) = known else { return };
    let now = SystemClock.now();
    KEPT.with(|kept| {
        let mut kept = kept.borrow_mut();
        if kept.len() >= MAX_KEPT {
            kept.retain(|_, known| known.is_after(now.millis() - GOOD_MILLIS));
        }
        if kept.len() < MAX_KEPT {
            kept.insert(at.as_str().to_owned(), Rc::clone(known));
        }
    });
}

/// The right of one request to ask an issuer; given back when it is dropped. A request that was cut off in between
/// has it no longer than an answer may take.
struct Turn<'a>(&'a str);

impl<'a> Turn<'a> {
    async fn take(at: &'a str) -> Self {
        loop {
            let now = SystemClock.now();
            let is_ours = ASKING.with(|asking| {
                let mut asking = asking.borrow_mut();
                let is_free = asking.get(at).is_none_or(|since| now.since(*since) >= MAX_WAIT_MILLIS);
                if is_free {
                    asking.insert(at.to_owned(), now);
                }
                is_free
            });
            if is_ours {
                return Self(at);
            }
            Delay::from(Duration::from_millis(WAIT_MILLIS)).await;
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        ASKING.with(|asking| asking.borrow_mut().remove(self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

    fn known(told_ago: Option<i64>, asked_ago: i64) -> Rc<Known> {
        let document = json!({"keys": []}).as_object().unwrap().clone();
        let told_at = told_ago.map_or(0, |ago| NOW.millis() - ago);
        let asked_at = NOW.millis() - asked_ago;
        Known::read(Told { jwks_url: "https://a.test/".into(), document, told_at, asked_at }).unwrap()
    }

    #[test]
    fn an_issuer_is_asked_once_a_minute_whether_it_tells_or_not() {
        let good = NOW.millis() - GOOD_MILLIS;
        for (told, asked, settles) in [
            (Some(0), 0, true),
            (Some(GOOD_MILLIS - 1), GOOD_MILLIS - 1, true),
            (Some(GOOD_MILLIS), GOOD_MILLIS, false),
            (Some(GOOD_MILLIS), ASK_AGAIN_MILLIS - 1, true),
            (Some(GOOD_MILLIS), ASK_AGAIN_MILLIS, false),
            (None, ASK_AGAIN_MILLIS - 1, true),
            (None, ASK_AGAIN_MILLIS, false),
        ] {
            assert_eq!(known(told, asked).settles(good, NOW), settles, "{told:?} {asked}");
        }
        // For the sake of an unknown key, what was told at that very time is not newer.
        for (ago, settles) in [(ASK_AGAIN_MILLIS - 1, true), (ASK_AGAIN_MILLIS, false)] {
            assert_eq!(known(Some(ago), ago).settles(NOW.millis() - ago, NOW), settles, "{ago}");
        }
    }

    #[test]
    fn keys_outlast_a_failing_issuer_by_hours_and_no_longer() {
        assert!(known(Some(LAST_RESORT_MILLIS - 1), 0).is_good_at_last(NOW));
        assert!(!known(Some(LAST_RESORT_MILLIS), 0).is_good_at_last(NOW));
        assert!(!known(None, 0).is_good_at_last(NOW));
    }

    #[test]
    fn of_two_memories_the_later_one_counts() {
        let (old, new) = (known(Some(9), 9), known(Some(9), 5));
        for (ours, theirs) in [(&old, &new), (&new, &old)] {
            let later = later(Some(Rc::clone(ours)), Some(Rc::clone(theirs))).unwrap();
            assert!(Rc::ptr_eq(&later, &new));
        }
        assert!(later(None, None).is_none() && later(Some(Rc::clone(&old)), None).is_some());
    }

    #[test]
    fn what_is_no_set_of_keys_is_not_remembered_as_one() {
        let told = Told { told_at: 1, ..Told::default() };
        assert!(Known::read(told).is_none() && Known::read(Told::default()).is_some());
    }
}
