//! A tenant's grant as one isolate holds it: configuration, permits, refusals. Pure; the time is handed in.
//!
//! Invariants
//! - A configuration is used for 5 seconds, and not once a later revision was seen. A refusal is used for 5 seconds, if its
//!   window lasts that long: whoever raises a limit waits no longer than that, and meanwhile nothing is asked.
//! - Permits for principals' requests are good for 5 seconds, or for as long as others come in time, and void once the
//!   configuration has changed. Those for strangers stay until their window ends, because the hub has counted them in it,
//!   unless the limit has changed: so what is given back serves the next request, and a
//!   principal in need of one finds it here.

use std::rc::Rc;

use crate::hub::protocol::{Drawn, Grant, GrantRequest, Lease, RequestClass, TenantConfig};
use domain::address::Network;
use domain::clock::Timestamp;
use domain::host::Host;
use domain::log_position::Cursor;
use domain::rate::Rate;

/// How long a grant is good, in milliseconds.
const GRANT_MILLIS: i64 = 5000;
/// How long others go by a refusal while one request asks whether it still holds, in milliseconds.
const ASKING_MILLIS: i64 = 1000;

/// What a request needs of its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// The configuration.
    Config,
    /// The configuration, and a permit for a principal's request.
    Principal,
    /// The configuration, and a permit for a stranger's request.
    Stranger {
        /// Whether a permit for a principal's request will be needed next, because what is presented proved a principal of
        /// the tenant a moment ago: it is brought along where the hub is asked.
        then_principal: bool,
        /// The network it comes from, which may not hold too many.
        network: Network,
    },
}

impl Needs {
    /// What an isolate asks that holds nothing.
    pub fn asked(self) -> GrantRequest {
        let next = matches!(self, Self::Stranger { then_principal: true, .. }).then_some(RequestClass::Api);
        GrantRequest::of(self.class().into_iter().chain(next).collect())
    }

    fn class(self) -> Option<RequestClass> {
        match self {
            Self::Config => None,
            Self::Principal => Some(RequestClass::Api),
            Self::Stranger { .. } => Some(RequestClass::Anonymous),
        }
    }
}

/// What a cached grant says to a request.
#[derive(Debug)]
pub enum GrantOutcome {
    /// What was needed.
    Taken(Rc<TenantConfig>, Option<Rate>),
    /// The limit is used up.
    Refused(Rate),
    /// The hub has to be asked this.
    Ask(GrantRequest),
}

/// A tenant's grant.
#[derive(Debug)]
pub struct CachedGrant {
    config: Rc<TenantConfig>,
    expires_at: Timestamp,
    principal: Option<Lease>,
    stranger: Option<Lease>,
    /// Strangers' permits of the present window that are neither spent nor given back.
    out: u32,
    refused: Vec<RememberedRefusal>,
    /// The end of the log when the hub was asked last.
    log: Option<Cursor>,
}

#[derive(Debug)]
struct RememberedRefusal {
    class: RequestClass,
    rate: Rate,
    ask_at: Timestamp,
}

impl CachedGrant {
    /// A first grant.
    pub fn new(grant: Grant, asked: &GrantRequest, now: Timestamp) -> Self {
        let mut cached = Self {
            config: Rc::new(grant.config.clone()),
            expires_at: now,
            principal: None,
            stranger: None,
            out: 0,
            refused: Vec::new(),
            log: None,
        };
        cached.store(grant, asked, now);
        cached
    }

    /// A position in the log that is older than whatever is read from now on.
    pub fn log(&self) -> Option<&Cursor> {
        self.log.as_ref()
    }

    /// Takes in what the hub granted.
    pub fn store(&mut self, grant: Grant, asked: &GrantRequest, now: Timestamp) {
        let Grant { config, lease, drawn, log, purges: _ } = grant;
        self.log = log;
        // Of two answers that overtook each other the later configuration counts. What was drawn under an earlier one was
        // drawn under its limits.
        if config.revision > self.config.revision {
            self.principal = None;
            self.refused.clear();
        }
        if config.revision >= self.config.revision {
            self.config = Rc::new(config);
        }
        self.expires_at = now.plus_millis(GRANT_MILLIS);
        // A hub of before.
        if let (Some(class), Some(lease)) = (asked.class, lease) {
            self.add(class, lease, now);
        }
        for drawn in drawn {
            match drawn {
                Drawn::Permits(class, lease) => self.add(class, lease, now),
                Drawn::UsedUp(class, rate) => self.refuse(class, rate, now),
            }
        }
    }

    fn add(&mut self, class: RequestClass, mut lease: Lease, now: Timestamp) {
        self.refused.retain(|refused| refused.class != class);
        // Requests that ask at the same time each bring a lease: none of them is lost.
        match class {
            RequestClass::Api => {
                let held = self.principal.as_ref().filter(|held| held.until > now && is_same(&held.rate, &lease.rate));
                lease.permits = lease.permits.saturating_add(held.map_or(0, |held| held.permits));
                self.principal = Some(lease);
            }
            RequestClass::Anonymous => {
                lease.until = lease.rate.reset;
                match self.stranger.as_ref().filter(|held| is_same(&held.rate, &lease.rate)) {
                    Some(held) => lease.permits = lease.permits.saturating_add(held.permits),
                    None => self.out = 0,
                }
                self.stranger = Some(lease);
            }
        }
    }

    /// Remembers that a limit is used up.
    pub fn refuse(&mut self, class: RequestClass, rate: Rate, now: Timestamp) {
        self.refused.retain(|refused| refused.class != class);
        self.refused.push(RememberedRefusal { class, rate, ask_at: now.plus_millis(GRANT_MILLIS) });
    }

    /// What a request that came to this host needs, as far as it is here; `seen` is the highest revision of the tenant that
    /// was seen anywhere.
    pub fn take(&mut self, host: Option<&Host>, needs: Needs, seen: i64, now: Timestamp) -> GrantOutcome {
        let class = needs.class();
        if !self.is_valid(host, seen, now) {
            return GrantOutcome::Ask(needs.asked());
        }
        let has_permit = class.is_none_or(|class| self.has(class, now));
        if !has_permit && let Some(rate) = class.and_then(|class| self.refusal(class, now)) {
            return GrantOutcome::Refused(rate);
        }
        if now >= self.expires_at || !has_permit {
            let lacking = needs.asked().classes.into_iter().filter(|class| !self.has(*class, now)).collect();
            return GrantOutcome::Ask(GrantRequest::of(lacking));
        }
        GrantOutcome::Taken(Rc::clone(&self.config), class.and_then(|class| self.spend(class)))
    }

    fn is_valid(&self, host: Option<&Host>, seen: i64, now: Timestamp) -> bool {
        let is_ours = host.is_none_or(|host| self.config.hosts.iter().any(|known| known == host.as_str()));
        is_ours && self.config.is_served(now) && self.config.revision >= seen
    }

    /// How the limit on strangers stands, as far as it is known here: that of a configuration that is still good.
    pub fn strangers_rate(&self, host: Option<&Host>, seen: i64, now: Timestamp) -> Option<Rate> {
        let is_good = self.is_valid(host, seen, now) && now < self.expires_at;
        let lease = self.lease(RequestClass::Anonymous).filter(|lease| is_good && now < lease.rate.reset)?;
        let remaining = lease.rate.remaining.saturating_add(lease.permits);
        Some(Rate { remaining, ..lease.rate.clone() })
    }

    /// Settles a stranger's permit that was taken in the window that ends at `reset`: it is given back, or spent.
    pub fn settle(&mut self, reset: Timestamp, is_given_back: bool) {
        if let Some(lease) = self.stranger.as_mut().filter(|lease| lease.rate.reset == reset) {
            lease.permits = lease.permits.saturating_add(u64::from(is_given_back));
            self.out = self.out.saturating_sub(1);
        }
    }

    /// Whether a stranger's permit may yet be given back in this window.
    pub fn has_permits_out(&self, now: Timestamp) -> bool {
        self.out > 0 && self.stranger.as_ref().is_some_and(|lease| now < lease.rate.reset)
    }

    fn lease(&self, class: RequestClass) -> Option<&Lease> {
        match class {
            RequestClass::Api => self.principal.as_ref(),
            RequestClass::Anonymous => {
                let limit = self.config.limits.anonymous_requests_per_minute;
                self.stranger.as_ref().filter(|lease| lease.rate.limit == limit)
            }
        }
    }

    fn has(&self, class: RequestClass, now: Timestamp) -> bool {
        self.lease(class).is_some_and(|lease| lease.permits > 0 && now < lease.until)
    }

    fn spend(&mut self, class: RequestClass) -> Option<Rate> {
        let lease = match class {
            RequestClass::Api => self.principal.as_mut(),
            RequestClass::Anonymous => self.stranger.as_mut(),
        }?;
        lease.permits = lease.permits.saturating_sub(1);
        if class == RequestClass::Anonymous {
            self.out = self.out.saturating_add(1);
        }
        let remaining = lease.rate.remaining.saturating_add(lease.permits);
        Some(Rate { remaining, ..lease.rate.clone() })
    }

    /// A refusal that holds. Now and then one request is let through to ask whether it still does.
    fn refusal(&mut self, class: RequestClass, now: Timestamp) -> Option<Rate> {
        self.refused.retain(|refused| now < refused.rate.reset);
        let refused = self.refused.iter_mut().find(|refused| refused.class == class)?;
        if now < refused.ask_at {
            return Some(refused.rate.clone());
        }
        refused.ask_at = now.plus_millis(ASKING_MILLIS);
        None
    }
}

/// Whether two leases draw on the same limit in the same window.
fn is_same(one: &Rate, other: &Rate) -> bool {
    one.reset == other.reset && one.limit == other.limit
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::plan::Limit;
    use proptest::prelude::*;

    const STRANGER: Needs = Needs::Stranger { then_principal: false, network: Network::UNKNOWN };
    const THEN_PRINCIPAL: Needs = Needs::Stranger { then_principal: true, network: Network::UNKNOWN };

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn config(revision: i64, limit: u64) -> TenantConfig {
        let mut config = crate::hub::testing_config();
        config.revision = revision;
        config.limits.anonymous_requests_per_minute = Limit::AtMost(limit);
        config.limits.api_requests_per_minute = Limit::AtMost(9);
        config
    }

    fn rate(limit: u64, reset: i64) -> Rate {
        Rate { policy: "x".into(), limit: Limit::AtMost(limit), remaining: 0, window: 60, reset: at(reset) }
    }

    fn lease(permits: u64, limit: u64, until: i64) -> Lease {
        Lease { permits, until: at(until), rate: rate(limit, 60_000) }
    }

    fn drawn(drawn: Vec<Drawn>) -> Grant {
        Grant { config: config(1, 9), lease: None, drawn, log: None, purges: None }
    }

    fn permits(class: RequestClass, permits: u64) -> Drawn {
        Drawn::Permits(class, lease(permits, 9, 5_000))
    }

    fn of(revision: i64, limit: u64) -> Grant {
        Grant { config: config(revision, limit), lease: None, drawn: Vec::new(), log: None, purges: None }
    }

    fn nothing() -> GrantRequest {
        GrantRequest::of(Vec::new())
    }

    /// A grant with permits for strangers alone.
    fn granted(permits: u64) -> CachedGrant {
        let drawn = drawn(vec![self::permits(RequestClass::Anonymous, permits)]);
        CachedGrant::new(drawn, &nothing(), at(0))
    }

    fn takes(grant: &mut CachedGrant, needs: Needs, now: i64) -> bool {
        matches!(grant.take(None, needs, 0, at(now)), GrantOutcome::Taken(..))
    }

    fn asks(grant: &mut CachedGrant, needs: Needs, now: i64) -> Option<Vec<RequestClass>> {
        match grant.take(None, needs, 0, at(now)) {
            GrantOutcome::Ask(request) => Some(request.classes),
            GrantOutcome::Taken(..) | GrantOutcome::Refused(_) => None,
        }
    }

    #[test]
    fn one_question_brings_what_proof_and_request_need() {
        let mut grant = granted(1);
        assert!(takes(&mut grant, STRANGER, 1));
        assert_eq!(asks(&mut grant, THEN_PRINCIPAL, 1), Some(vec![RequestClass::Anonymous, RequestClass::Api]));
        let both = drawn(vec![permits(RequestClass::Anonymous, 1), permits(RequestClass::Api, 3)]);
        grant.store(both, &nothing(), at(1));
        assert!(takes(&mut grant, THEN_PRINCIPAL, 1) && takes(&mut grant, Needs::Principal, 1));
        grant.settle(at(60_000), true);
        assert!(takes(&mut grant, THEN_PRINCIPAL, 4_000) && takes(&mut grant, Needs::Principal, 4_000));
    }

    #[test]
    fn what_is_given_back_is_good_until_the_window_ends_and_the_configuration_for_five_seconds() {
        let mut grant = granted(1);
        assert!(takes(&mut grant, STRANGER, 4_999));
        grant.settle(at(60_000), true);
        assert_eq!(asks(&mut grant, STRANGER, 5_000), Some(Vec::new()), "the configuration alone");
        grant.store(of(1, 9), &nothing(), at(59_000));
        assert!(takes(&mut grant, STRANGER, 59_999));
        grant.settle(at(60_000), true);
        assert_eq!(asks(&mut grant, STRANGER, 60_000), Some(vec![RequestClass::Anonymous]), "another window");
        grant.settle(at(120_000), true);
        assert!(!takes(&mut grant, STRANGER, 60_001), "taken in a window of which nothing is held");
    }

    #[test]
    fn a_configuration_counts_for_five_seconds_and_until_a_later_revision_is_seen() {
        let mut grant = granted(1);
        let takes = |grant: &mut CachedGrant, seen, now| {
            matches!(grant.take(None, Needs::Config, seen, at(now)), GrantOutcome::Taken(..))
        };
        assert!(takes(&mut grant, 0, 4_999) && takes(&mut grant, 1, 4_999));
        assert!(!takes(&mut grant, 2, 1) && !takes(&mut grant, 1, 5_000));
        let both = Grant { drawn: vec![permits(RequestClass::Api, 3)], ..of(2, 9) };
        grant.store(both, &nothing(), at(2));
        assert!(takes(&mut grant, 2, 3) && self::takes(&mut grant, Needs::Principal, 3));
        grant.store(of(3, 9), &nothing(), at(4));
        assert_eq!(
            asks(&mut grant, Needs::Principal, 5),
            Some(vec![RequestClass::Api]),
            "drawn under the limits of then"
        );
    }

    #[test]
    fn a_stopped_tenant_and_one_that_has_expired_are_asked_about() {
        for change in [
            |config: &mut TenantConfig| config.state = crate::hub::protocol::TenantState::Stopped,
            |config: &mut TenantConfig| config.expires_at = Some(at(1)),
        ] {
            let mut given = of(1, 9);
            change(&mut given.config);
            let mut grant = CachedGrant::new(given, &nothing(), at(0));
            assert!(matches!(grant.take(None, Needs::Config, 1, at(1)), GrantOutcome::Ask(_)));
        }
    }

    #[test]
    fn how_the_limit_on_strangers_stands_is_known_while_the_configuration_is_good() {
        let mut grant = granted(3);
        let left =
            |grant: &CachedGrant, seen, now| grant.strangers_rate(None, seen, at(now)).map(|rate| rate.remaining);
        assert_eq!(left(&grant, 1, 1), Some(3));
        assert!(takes(&mut grant, STRANGER, 1));
        assert_eq!(left(&grant, 1, 1), Some(2));
        assert_eq!((left(&grant, 2, 1), left(&grant, 1, 5_000)), (None, None), "a later revision; too old");
        grant.store(of(2, 1), &nothing(), at(1));
        assert_eq!(left(&grant, 2, 1), None, "another limit");
    }

    #[test]
    fn leases_that_come_at_the_same_time_are_all_there() {
        let mut grant = granted(1);
        for _ in 0..3 {
            grant.store(drawn(vec![permits(RequestClass::Api, 1)]), &nothing(), at(1));
        }
        assert_eq!((0..9).filter(|_| takes(&mut grant, Needs::Principal, 2)).count(), 3);
        grant.store(drawn(vec![permits(RequestClass::Api, 1)]), &nothing(), at(3));
        assert!(!takes(&mut grant, Needs::Principal, 5_000), "they end after five seconds");
    }

    #[test]
    fn a_permit_is_out_until_it_is_spent_or_given_back() {
        let mut grant = granted(2);
        assert!(!grant.has_permits_out(at(0)));
        assert!(takes(&mut grant, STRANGER, 0) && takes(&mut grant, STRANGER, 0));
        grant.settle(at(60_000), false);
        assert!(grant.has_permits_out(at(0)));
        grant.settle(at(60_000), true);
        assert!(!grant.has_permits_out(at(0)) && takes(&mut grant, STRANGER, 0));
        assert!(grant.has_permits_out(at(59_999)) && !grant.has_permits_out(at(60_000)));
    }

    #[test]
    fn a_changed_limit_voids_the_permits_of_strangers() {
        let mut grant = granted(5);
        grant.store(of(2, 1), &nothing(), at(1));
        assert_eq!(asks(&mut grant, STRANGER, 2), Some(vec![RequestClass::Anonymous]));
        grant.store(of(1, 9), &nothing(), at(3));
        assert_eq!(grant.config.revision, 2, "an answer that was overtaken");
    }

    #[test]
    fn a_refusal_is_asked_about_once_in_five_seconds_until_its_window_ends() {
        let mut grant = granted(0);
        grant.refuse(RequestClass::Anonymous, rate(9, 60_000), at(0));
        let refused = |grant: &mut CachedGrant, now: i64| {
            matches!(grant.take(None, STRANGER, 0, at(now)), GrantOutcome::Refused(_))
        };
        assert!(refused(&mut grant, 0) && refused(&mut grant, 4_999));
        assert!(!refused(&mut grant, 5_000), "one asks");
        assert!(refused(&mut grant, 5_000) && refused(&mut grant, 5_999), "the others do not");
        grant.refuse(RequestClass::Anonymous, rate(9, 60_000), at(5_010));
        assert!(refused(&mut grant, 10_009));
        assert!(!refused(&mut grant, 60_000));
        assert!(takes(&mut granted(0), Needs::Config, 1), "it refuses strangers alone");
    }

    #[test]
    fn a_class_that_is_used_up_refuses_that_class_alone() {
        let used_up = Drawn::UsedUp(RequestClass::Api, rate(100, 60_000));
        let mut grant = CachedGrant::new(drawn(vec![permits(RequestClass::Anonymous, 1), used_up]), &nothing(), at(0));
        assert!(matches!(grant.take(None, Needs::Principal, 0, at(1)), GrantOutcome::Refused(_)));
        assert!(takes(&mut grant, THEN_PRINCIPAL, 1));
    }

    #[test]
    fn a_hub_of_before_grants_the_first_class() {
        let older = Grant { lease: Some(lease(1, 9, 5_000)), ..of(1, 9) };
        let asked = GrantRequest::of(vec![RequestClass::Anonymous, RequestClass::Api]);
        let mut grant = CachedGrant::new(older, &asked, at(0));
        assert!(takes(&mut grant, THEN_PRINCIPAL, 1));
        assert_eq!(asks(&mut grant, Needs::Principal, 1), Some(vec![RequestClass::Api]));
    }

    #[test]
    fn a_host_that_is_not_the_tenants_is_asked_about() {
        let (ours, other) = (Host::parse("acme.test").unwrap(), Host::parse("other.test").unwrap());
        let mut grant = granted(9);
        grant.refuse(RequestClass::Api, rate(9, 60_000), at(0));
        assert!(matches!(grant.take(Some(&ours), STRANGER, 0, at(1)), GrantOutcome::Taken(..)));
        assert!(matches!(grant.take(Some(&other), STRANGER, 0, at(1)), GrantOutcome::Ask(_)));
        assert!(matches!(grant.take(Some(&other), Needs::Principal, 0, at(1)), GrantOutcome::Ask(_)));
    }

    proptest! {
        /// However permits are taken and given back, no more are out at one time than were granted.
        #[test]
        fn no_permit_is_good_twice(granted_permits in 1u64..9, acts in prop::collection::vec(any::<bool>(), 0..60)) {
            let mut grant = granted(granted_permits);
            let mut out = 0;
            for takes_one in acts {
                if takes_one && takes(&mut grant, STRANGER, 1) {
                    out += 1;
                } else if out > 0 {
                    grant.settle(at(60_000), true);
                    out -= 1;
                }
                prop_assert!(out <= granted_permits);
            }
        }
    }
}
