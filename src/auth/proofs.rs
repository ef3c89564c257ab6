//! Who proved to be somebody and who failed to, as this isolate remembers it.
//!
//! Invariants
//! - A credential that failed is refused from memory for ten seconds where it comes from the same address: it costs no
//!   read. What changes in this isolate is honoured at once ([`forget_failures`]), what changes elsewhere ten seconds later.
//! - A proof is never taken from memory: what is remembered of a good credential is only that it was good within the last
//!   minute, so that strangers who use up a tenant's permits do not lock its members out.
//! - Only digests of credentials are remembered.

use std::cell::RefCell;

use crate::credentials::signature::digest;
use crate::http::incoming::Incoming;
use crate::isolate_cache::{CacheKey, IsolateCache, KeyIdentity};
use crate::storage::bindings::SystemClock;
use domain::address::Network;
use domain::clock::{Clock, Timestamp};
use domain::window::{Bound, Window, seconds_until};

/// How long a failed proof is remembered, in milliseconds.
const FAILED_MILLIS: i64 = 10_000;
/// How long it is remembered who proved to be somebody, in milliseconds.
const PROVED_MILLIS: i64 = 60_000;
/// Most credentials, and most networks, that an isolate remembers of each kind.
const MAX_REMEMBERED: usize = 10_000;
/// Failed proofs of one network at the platform's own host.
const AT_PLATFORM: Bound = Bound { most: 30, millis: 60_000 };

thread_local! {
    static MEMORY: RefCell<ProofMemory> = RefCell::new(ProofMemory::new());
}

/// Where a credential is presented: to a tenant, by its id; or to the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofScope<'a> {
    /// A tenant's.
    Tenant(&'a str),
    /// The platform's own.
    Platform,
    /// The platform's own, by something that names a tenant, whether or not there is one of that name.
    PlatformFor(&'a str),
}

impl ProofScope<'_> {
    fn name(self) -> Box<str> {
        match self {
            Self::Tenant(id) => id.into(),
            Self::Platform => "".into(),
            Self::PlatformFor(name) => ["platform:", name].concat().into(),
        }
    }

    fn is_platforms(self) -> bool {
        match self {
            Self::Tenant(_) => false,
            Self::Platform | Self::PlatformFor(_) => true,
        }
    }
}

/// A credential that is presented at a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofAttempt {
    scope: Box<str>,
    /// Whether what fails counts against its network at the platform's own host.
    is_counted: bool,
    network: Network,
    digest: String,
}

impl ProofAttempt {
    /// A credential that a request presents as this kind of credential. The kind, the exact address and every part of the
    /// credential are told apart, so that what fails in one way is not refused in another.
    pub fn of(scope: ProofScope<'_>, request: &Incoming, kind: &str, credential: &[&str]) -> Self {
        let mut text = format!("{kind}\n{}", request.address());
        for part in credential {
            text.push('\n');
            text.push_str(part);
        }
        let (network, digest) = (request.network(), digest(text.as_bytes()));
        Self { scope: scope.name(), is_counted: scope.is_platforms(), network, digest }
    }

    /// Whether it failed within the last ten seconds.
    pub fn has_failed(&self) -> bool {
        MEMORY.with_borrow_mut(|memory| memory.has_failed(self, SystemClock.now()))
    }

    /// Whether it may be proved although the tenant has no permit left for strangers: it was good within the last minute, or
    /// another one from its network was, and none from there failed within the last ten seconds.
    pub fn is_trusted(&self) -> bool {
        MEMORY.with_borrow_mut(|memory| memory.is_trusted(self, SystemClock.now()))
    }

    /// Whether something from its network failed within the last ten seconds.
    pub fn is_distrusted(&self) -> bool {
        MEMORY.with_borrow_mut(|memory| memory.is_distrusted(self, SystemClock.now()))
    }

    /// Whether it was good within the last minute, and draws from the tenant's own requests.
    pub fn draws_tenants(&self) -> bool {
        MEMORY.with_borrow_mut(|memory| memory.draws_tenants(self, SystemClock.now()))
    }

    /// Notes that it was good.
    pub fn succeeded(&self) {
        MEMORY.with_borrow_mut(|memory| memory.succeeded(self, false, SystemClock.now()));
    }

    /// Notes that it was good, and whether what it proved draws from the tenant's own requests.
    pub fn succeeded_as(&self, draws_tenants: bool) {
        MEMORY.with_borrow_mut(|memory| memory.succeeded(self, draws_tenants, SystemClock.now()));
    }

    /// Notes that it was not.
    pub fn failed(&self) {
        MEMORY.with_borrow_mut(|memory| memory.failed(self, SystemClock.now()));
    }

    /// Notes that its network failed to prove somebody, by something that is not refused from memory.
    pub fn failed_once(&self) {
        MEMORY.with_borrow_mut(|memory| memory.network_failed(self, SystemClock.now()));
    }

    /// Notes that it does not fit the tenant's secrets. It is refused from memory only if those were read just now: else the
    /// next attempt may read newer ones.
    pub fn failed_against(&self, fresh_secrets: bool) {
        if fresh_secrets { self.failed() } else { self.failed_once() }
    }

    /// Whether its network may try to prove somebody at the platform's own host: seconds to wait if it failed too often
    /// there within this minute. A credential that was good within the last minute may, and a site whose last webhook was.
    pub fn may_try(&self) -> Result<(), u64> {
        MEMORY.with_borrow_mut(|memory| memory.may_try(self, SystemClock.now()))
    }
}

/// Forgets what failed at a scope: something has changed there.
pub fn forget_failures(scope: ProofScope<'_>) {
    MEMORY.with_borrow_mut(|memory| memory.forget_failures(&scope.name(), SystemClock.now()));
}

/// Forgets what failed anywhere: an operator has changed something.
pub fn forget_all_failures() {
    MEMORY.with_borrow_mut(ProofMemory::forget_all_failures);
}

/// A door, a network, the digest of what was presented.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct CredentialKey(Box<str>, Network, String);

/// A door and a network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct NetworkKey(Box<str>, Network);

/// A door.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ScopeName(Box<str>);

impl CacheKey for CredentialKey {
    const IDENTITY: KeyIdentity = KeyIdentity::CheckedAgainst(
        "a good one is proved each time; one that failed may have become good since, and is refused for ten seconds at most",
    );
}

impl CacheKey for NetworkKey {
    const IDENTITY: KeyIdentity = KeyIdentity::CheckedAgainst("the proof, which no request is spared");
}

impl CacheKey for ScopeName {
    const IDENTITY: KeyIdentity =
        KeyIdentity::NeverRecurs("it holds a tenant's id, and counts upwards for all doors together");
}

struct ProofMemory {
    /// What failed, with the scope's generation at that time.
    failed: IsolateCache<CredentialKey, u64>,
    failed_networks: IsolateCache<NetworkKey, u64>,
    /// What was good, and whether it draws from the tenant's own requests.
    proved: IsolateCache<CredentialKey, bool>,
    proved_networks: IsolateCache<NetworkKey, ()>,
    /// How often a scope's failures were forgotten.
    generations: IsolateCache<ScopeName, u64>,
    generation: u64,
    at_platform: IsolateCache<Network, Window>,
}

impl ProofMemory {
    fn new() -> Self {
        Self {
            failed: IsolateCache::new(MAX_REMEMBERED, FAILED_MILLIS),
            failed_networks: IsolateCache::new(MAX_REMEMBERED, FAILED_MILLIS),
            proved: IsolateCache::new(MAX_REMEMBERED, PROVED_MILLIS),
            proved_networks: IsolateCache::new(MAX_REMEMBERED, PROVED_MILLIS),
            generations: IsolateCache::new(MAX_REMEMBERED, FAILED_MILLIS),
            generation: 0,
            at_platform: IsolateCache::new(MAX_REMEMBERED, AT_PLATFORM.millis),
        }
    }

    fn generation(&mut self, scope: &str, now: Timestamp) -> u64 {
        self.generations.get(&ScopeName(scope.into()), now).copied().unwrap_or(0)
    }

    fn has_failed(&mut self, attempt: &ProofAttempt, now: Timestamp) -> bool {
        let generation = self.generation(&attempt.scope, now);
        self.failed.get(&credential(attempt), now).is_some_and(|at| *at >= generation)
    }

    fn is_trusted(&mut self, attempt: &ProofAttempt, now: Timestamp) -> bool {
        if self.proved.get(&credential(attempt), now).is_some() {
            return !self.has_failed(attempt, now);
        }
        let from = NetworkKey(attempt.scope.clone(), attempt.network);
        self.proved_networks.get(&from, now).is_some() && !self.is_distrusted(attempt, now)
    }

    fn is_distrusted(&mut self, attempt: &ProofAttempt, now: Timestamp) -> bool {
        let generation = self.generation(&attempt.scope, now);
        let from = NetworkKey(attempt.scope.clone(), attempt.network);
        self.failed_networks.get(&from, now).is_some_and(|at| *at >= generation)
    }

    fn draws_tenants(&mut self, attempt: &ProofAttempt, now: Timestamp) -> bool {
        self.proved.get(&credential(attempt), now).copied().unwrap_or(false)
    }

    fn succeeded(&mut self, attempt: &ProofAttempt, draws_tenants: bool, now: Timestamp) {
        self.failed.take(&credential(attempt));
        self.proved.insert(credential(attempt), draws_tenants, now);
        self.proved_networks.insert(NetworkKey(attempt.scope.clone(), attempt.network), (), now);
    }

    fn failed(&mut self, attempt: &ProofAttempt, now: Timestamp) {
        let generation = self.generation;
        self.proved.take(&credential(attempt));
        self.failed.insert(credential(attempt), generation, now);
        self.network_failed(attempt, now);
    }

    fn network_failed(&mut self, attempt: &ProofAttempt, now: Timestamp) {
        let from = NetworkKey(attempt.scope.clone(), attempt.network);
        self.failed_networks.insert(from, self.generation, now);
        if attempt.is_counted {
            let mut window = self.at_platform.get(&attempt.network, now).copied().unwrap_or_default();
            let _ = window.take(AT_PLATFORM, now);
            self.at_platform.insert(attempt.network, window, now);
        }
    }

    fn may_try(&mut self, attempt: &ProofAttempt, now: Timestamp) -> Result<(), u64> {
        let Some(window) = self.at_platform.get(&attempt.network, now) else { return Ok(()) };
        let Err(end) = window.check(AT_PLATFORM, now) else { return Ok(()) };
        let is_proved = self.proved.get(&credential(attempt), now).is_some();
        // Sites that share a network, and send their webhooks here, do not suffer from one that is set up wrongly.
        let is_sites = !attempt.scope.is_empty()
            && self.proved_networks.get(&NetworkKey(attempt.scope.clone(), attempt.network), now).is_some();
        if is_proved || is_sites { Ok(()) } else { Err(seconds_until(end, now)) }
    }

    fn forget_all_failures(&mut self) {
        self.failed = IsolateCache::new(MAX_REMEMBERED, FAILED_MILLIS);
        self.failed_networks = IsolateCache::new(MAX_REMEMBERED, FAILED_MILLIS);
    }

    fn forget_failures(&mut self, scope: &str, now: Timestamp) {
        self.generation += 1;
        let generation = self.generation;
        self.generations.insert(ScopeName(scope.into()), generation, now);
    }
}

fn credential(attempt: &ProofAttempt) -> CredentialKey {
    CredentialKey(attempt.scope.clone(), attempt.network, attempt.digest.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(scope: &str, address: &str, credential: &str) -> ProofAttempt {
        let is_counted = scope.is_empty() || scope.starts_with("platform:");
        ProofAttempt { scope: scope.into(), is_counted, network: Network::of(address), digest: credential.into() }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_failed_credential_is_remembered_for_ten_seconds_at_its_door_alone() {
        let mut memory = ProofMemory::new();
        memory.failed(&attempt("acme", "192.0.2.1", "a"), at(0));
        assert!(memory.has_failed(&attempt("acme", "192.0.2.1", "a"), at(9_999)));
        assert!(!memory.has_failed(&attempt("acme", "192.0.2.1", "a"), at(10_000)));
        for other in [("other", "192.0.2.1", "a"), ("acme", "192.0.2.2", "a"), ("acme", "192.0.2.1", "b")] {
            assert!(!memory.has_failed(&attempt(other.0, other.1, other.2), at(0)), "{other:?}");
        }
    }

    #[test]
    fn a_change_makes_its_door_forget_what_failed_before() {
        let mut memory = ProofMemory::new();
        for scope in ["acme", "other"] {
            memory.succeeded(&attempt(scope, "192.0.2.1", "good"), true, at(0));
            memory.failed(&attempt(scope, "192.0.2.1", "a"), at(0));
        }
        memory.forget_failures("acme", at(1));
        assert!(!memory.has_failed(&attempt("acme", "192.0.2.1", "a"), at(1)));
        assert!(memory.is_trusted(&attempt("acme", "192.0.2.1", "new"), at(1)));
        assert!(memory.has_failed(&attempt("other", "192.0.2.1", "a"), at(1)));
        memory.failed(&attempt("acme", "192.0.2.1", "a"), at(2));
        assert!(memory.has_failed(&attempt("acme", "192.0.2.1", "a"), at(2)), "it failed again");
    }

    #[test]
    fn who_proved_to_be_somebody_is_trusted_for_a_minute_whatever_neighbours_try() {
        let mut memory = ProofMemory::new();
        let (good, next) = (attempt("acme", "192.0.2.1", "good"), attempt("acme", "192.0.2.1", "next"));
        assert!(!memory.is_trusted(&good, at(0)));
        memory.succeeded(&good, true, at(0));
        assert!(memory.is_trusted(&good, at(59_999)) && memory.is_trusted(&next, at(59_999)));
        assert!(!memory.is_trusted(&good, at(60_000)));
        memory.succeeded(&good, true, at(60_000));
        memory.failed(&attempt("acme", "192.0.2.1", "wrong"), at(61_000));
        assert!(memory.is_trusted(&good, at(61_000)), "the same credential");
        assert!(!memory.is_trusted(&next, at(70_999)) && memory.is_trusted(&next, at(71_000)));
        assert!(!memory.is_trusted(&attempt("other", "192.0.2.1", "good"), at(61_000)), "another tenant");
        memory.failed(&good, at(62_000));
        assert!(!memory.is_trusted(&good, at(62_000)), "it was revoked");
    }

    #[test]
    fn what_a_credential_draws_from_is_known_once_it_was_good_and_no_more_once_it_failed() {
        let mut memory = ProofMemory::new();
        let [key, operator] = ["key", "operator"].map(|text| attempt("acme", "192.0.2.1", text));
        assert!(!memory.draws_tenants(&key, at(0)), "nobody yet");
        memory.succeeded(&key, true, at(0));
        memory.succeeded(&operator, false, at(0));
        assert!(memory.draws_tenants(&key, at(59_999)) && !memory.draws_tenants(&operator, at(1)));
        assert!(!memory.draws_tenants(&attempt("acme", "192.0.2.1", "wrong"), at(1)), "its neighbour");
        assert!(!memory.draws_tenants(&key, at(60_000)));
        memory.succeeded(&key, true, at(60_000));
        memory.failed(&key, at(60_001));
        assert!(!memory.draws_tenants(&key, at(60_002)));
    }

    #[test]
    fn a_network_fails_thirty_times_a_minute_at_the_platform_and_its_good_credential_goes_on() {
        let mut memory = ProofMemory::new();
        let good = attempt("", "192.0.2.1", "good");
        memory.succeeded(&good, true, at(0));
        for i in 0..AT_PLATFORM.most {
            assert_eq!(memory.may_try(&attempt("", "192.0.2.1", "x"), at(1)), Ok(()), "{i}");
            memory.failed(&attempt("", "192.0.2.1", &format!("{i}")), at(1));
        }
        assert_eq!(memory.may_try(&attempt("", "192.0.2.1", "x"), at(30_000)), Err(30));
        assert_eq!(memory.may_try(&good, at(30_000)), Ok(()));
        assert_eq!(memory.may_try(&attempt("", "192.0.2.2", "x"), at(30_000)), Ok(()));
        assert_eq!(memory.may_try(&attempt("", "192.0.2.1", "x"), at(60_000)), Ok(()));
    }

    #[test]
    fn one_site_that_fails_does_not_stop_the_others_of_its_network() {
        let mut memory = ProofMemory::new();
        let (good, wrong) = (attempt("platform:good", "192.0.2.1", "1"), attempt("platform:wrong", "192.0.2.1", "x"));
        memory.succeeded(&good, true, at(0));
        (0..AT_PLATFORM.most).for_each(|_| memory.network_failed(&wrong, at(1)));
        assert!(memory.may_try(&wrong, at(2)).is_err());
        assert_eq!(memory.may_try(&attempt("platform:good", "192.0.2.1", "2"), at(2)), Ok(()));
        assert!(memory.may_try(&attempt("platform:unknown", "192.0.2.1", "2"), at(2)).is_err());
    }
}
