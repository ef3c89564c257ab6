//! The public keys of issuers whose tokens a tenant takes, fetched from where its settings say they stand.
//!
//! Invariants
//! - Keys are remembered for one tenant and one address; what KV remembers is sealed under the tenant's key.
//! - An issuer is asked when ten minutes are over; for the sake of a key that is not known, or after a failure, at most
//!   once a minute, by an isolate and as far as KV tells by all of them. One request of an isolate asks at a time, and
//!   others that need the answer wait for it.
//! - An issuer that fails costs nobody their rights for six hours: as long are the keys good that it told last.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use worker::Delay;

use crate::auth::outbound_oidc::document;
use crate::auth::sealed_cache::Memory;
use crate::credentials::jwk::KeySet;
use crate::credentials::signature::digest;
use crate::http::problem::{self, Problem};
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::keys::KvKey;
use crate::tenant::secrets;
use crate::tenant_id::TenantId;
use domain::clock::{Clock, Timestamp};
use domain::mercure::Issuer;

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
const MAX_KEPT: usize = 500;

thread_local! {
    static KEPT: RefCell<HashMap<String, Rc<Known>>> = RefCell::new(HashMap::new());
    static ASKING: RefCell<HashMap<String, Timestamp>> = RefCell::new(HashMap::new());
}

/// What an issuer told last, and when it was last asked in vain or for the sake of a key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// The keys.
    pub keys: KeySet,
    jwks_url: String,
    /// In milliseconds since 1970; 0 if it never told anything.
    told_at: i64,
    /// In milliseconds since 1970; 0 if it never was.
    retried_at: i64,
}

/// For what keys are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// For any token: those that were told in the last ten minutes.
    Good,
    /// For a token by a key that is not among those that were told at this time.
    NewerThan(i64),
}

impl Need {
    /// When keys that are good enough must have been told after.
    fn after(self, now: Timestamp) -> i64 {
        match self {
            Self::Good => now.millis() - GOOD_MILLIS,
            Self::NewerThan(at) => at,
        }
    }
}

impl Known {
    /// Whether it was told later than that.
    fn is_after(&self, at: i64) -> bool {
        self.told_at > at
    }

    fn is_good_at_last(&self, now: Timestamp) -> bool {
        self.is_after(now.millis() - LAST_RESORT_MILLIS)
    }

    /// Whether the issuer need not be asked, or may not be.
    fn settles(&self, need: Need, now: Timestamp) -> bool {
        self.is_after(need.after(now)) || now.millis() - self.retried_at < ASK_AGAIN_MILLIS
    }

    /// When it was last heard of.
    fn heard_at(&self) -> i64 {
        self.told_at.max(self.retried_at)
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
    pub async fn known(&self) -> Result<Rc<Known>, Problem> {
        let (at, now) = (self.at(), SystemClock.now());
        let others_ask = |known: &Known| Turn::is_taken(at.as_str(), now) && known.is_good_at_last(now);
        if let Some(known) = self.held(&at)
            && (known.is_after(Need::Good.after(now)) || others_ask(&known))
        {
            return Ok(known);
        }
        self.get(&at, Need::Good).await
    }

    /// Its keys, for the sake of one that is not among those known; the same ones if it was asked for that just now.
    pub async fn newer_than(&self, known: &Known) -> Result<Rc<Known>, Problem> {
        self.get(&self.at(), Need::NewerThan(known.told_at)).await
    }

    /// Keys for a need, if the issuer may be asked; else the last ones.
    async fn get(&self, at: &KvKey, need: Need) -> Result<Rc<Known>, Problem> {
        let _turn = Turn::take(at.as_str()).await;
        let held = self.held(at);
        let is_enough = held.as_ref().is_some_and(|held| held.settles(need, SystemClock.now()));
        let known = if is_enough { held } else { Some(self.learn(at, need, held).await?) };
        let now = SystemClock.now();
        known
            .filter(|known| known.is_good_at_last(now))
            .ok_or_else(|| problem::unavailable("an issuer does not tell its keys"))
    }

    /// Learns from other isolates, or from the issuer.
    async fn learn(&self, at: &KvKey, need: Need, held: Option<Rc<Known>>) -> Result<Rc<Known>, Problem> {
        let secrets = secrets::load(self.bindings, self.tenant.as_str()).await?;
        let memory = Memory { bindings: self.bindings, tenant: self.tenant, key: secrets.data_key()?, at: at.clone() };
        let remembered = memory.recall::<Known>().await.filter(|known| self.is_of(known)).map(Rc::new);
        let known = later(held, remembered);
        let now = SystemClock.now();
        let known = match known {
            Some(known) if known.settles(need, now) => known,
            known => {
                let known = self.ask(need, known.as_deref()).await;
                memory.keep(&known, LAST_RESORT_MILLIS.unsigned_abs() / 1000).await;
                Rc::new(known)
            }
        };
        keep(at, &known);
        Ok(known)
    }

    /// Asks the issuer. What it tells in vain leaves what it told before.
    async fn ask(&self, need: Need, known: Option<&Known>) -> Known {
        let before = known.cloned().unwrap_or_default();
        let keys = match self.bindings.settings.outbound(&self.issuer.jwks_url) {
            Ok(address) => document(&address).await.ok().as_ref().and_then(KeySet::parse),
            Err(_) => None,
        };
        let (jwks_url, now) = (self.issuer.jwks_url.clone(), SystemClock.now().millis());
        let retried_at = if keys.is_some() && need == Need::Good { before.retried_at } else { now };
        match keys {
            Some(keys) => Known { keys, jwks_url, told_at: now, retried_at },
            None => Known { jwks_url, retried_at, ..before },
        }
    }

    fn at(&self) -> KvKey {
        KvKey::issuer_keys(self.tenant, &digest(self.issuer.issuer.as_bytes()))
    }

    /// What this isolate remembers.
    fn held(&self, at: &KvKey) -> Option<Rc<Known>> {
        let kept = KEPT.with(|kept| kept.borrow().get(at.as_str()).cloned());
        kept.filter(|known| self.is_of(known))
    }

    fn is_of(&self, known: &Known) -> bool {
        known.jwks_url == self.issuer.jwks_url
    }
}

/// What was heard last.
fn later(ours: Option<Rc<Known>>, theirs: Option<Rc<Known>>) -> Option<Rc<Known>> {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => Some(if theirs.heard_at() > ours.heard_at() { theirs } else { ours }),
        (ours, theirs) => ours.or(theirs),
    }
}

fn keep(at: &KvKey, known: &Rc<Known>) {
    let now = SystemClock.now();
    KEPT.with(|kept| {
        let mut kept = kept.borrow_mut();
        if kept.len() >= MAX_KEPT {
            kept.retain(|_, known| known.is_after(Need::Good.after(now)));
        }
        if kept.len() < MAX_KEPT || kept.contains_key(at.as_str()) {
            kept.insert(at.as_str().to_owned(), Rc::clone(known));
        }
    });
}

/// The right of one request to ask an issuer; given back when it is dropped. A request that was cut off in between
/// has it no longer than an answer may take.
struct Turn<'a>(&'a str);

impl<'a> Turn<'a> {
    /// Whether somebody has it.
    fn is_taken(at: &str, now: Timestamp) -> bool {
        ASKING.with(|asking| asking.borrow().get(at).is_some_and(|since| now.since(*since) < MAX_WAIT_MILLIS))
    }

    async fn take(at: &'a str) -> Self {
        loop {
            let now = SystemClock.now();
            if !Self::is_taken(at, now) {
                ASKING.with(|asking| asking.borrow_mut().insert(at.to_owned(), now));
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

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

    fn known(told_ago: Option<i64>, retried_ago: Option<i64>) -> Rc<Known> {
        let [told_at, retried_at] = [told_ago, retried_ago].map(|ago| ago.map_or(0, |ago| NOW.millis() - ago));
        Rc::new(Known { keys: KeySet::default(), jwks_url: "https://a.test/".into(), told_at, retried_at })
    }

    #[test]
    fn an_issuer_is_asked_in_time_and_again_once_a_minute() {
        for (told, retried, settles) in [
            (Some(0), None, true),
            (Some(GOOD_MILLIS - 1), None, true),
            (Some(GOOD_MILLIS), None, false),
            (Some(GOOD_MILLIS), Some(ASK_AGAIN_MILLIS - 1), true),
            (Some(GOOD_MILLIS), Some(ASK_AGAIN_MILLIS), false),
            (None, Some(ASK_AGAIN_MILLIS - 1), true),
            (None, Some(ASK_AGAIN_MILLIS), false),
        ] {
            assert_eq!(known(told, retried).settles(Need::Good, NOW), settles, "{told:?} {retried:?}");
        }
        // An unknown key has it asked at once, however lately it was asked in time; then not again within a minute.
        for (retried, settles) in [(None, false), (Some(ASK_AGAIN_MILLIS - 1), true), (Some(ASK_AGAIN_MILLIS), false)] {
            let need = Need::NewerThan(NOW.millis() - 1);
            assert_eq!(known(Some(1), retried).settles(need, NOW), settles, "{retried:?}");
        }
        assert!(known(Some(0), None).settles(Need::NewerThan(NOW.millis() - 1), NOW), "somebody else asked meanwhile");
    }

    #[test]
    fn keys_outlast_a_failing_issuer_by_hours_and_no_longer() {
        assert!(known(Some(LAST_RESORT_MILLIS - 1), Some(0)).is_good_at_last(NOW));
        assert!(!known(Some(LAST_RESORT_MILLIS), Some(0)).is_good_at_last(NOW));
        assert!(!known(None, Some(0)).is_good_at_last(NOW));
    }

    #[test]
    fn of_two_memories_the_later_one_counts() {
        let (old, new) = (known(Some(9), None), known(Some(99), Some(5)));
        for (ours, theirs) in [(&old, &new), (&new, &old)] {
            let later = later(Some(Rc::clone(ours)), Some(Rc::clone(theirs))).unwrap();
            assert!(Rc::ptr_eq(&later, &new));
        }
        assert!(later(None, None).is_none() && later(Some(Rc::clone(&old)), None).is_some());
    }
}
