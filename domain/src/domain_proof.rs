//! Who has proven that a custom domain is theirs, and until when that is believed.
//!
//! A tenant first *claims* a domain; any number of tenants may. Whoever's TXT record stands at `_carillon.{domain}` has
//! proven it, and the domain is theirs alone. The record is looked up again about once a day. One that is missing for days
//! ends the proof; a resolver or a name server that does not answer says nothing.

use crate::clock::Timestamp;
use crate::host::Host;

/// How long a claim waits for its proof, in seconds.
pub const CLAIM_SECONDS: i64 = 7 * DAY_SECONDS;

const DAY_SECONDS: i64 = 24 * 3600;
/// Between two checks, about.
const CHECK_SECONDS: i64 = DAY_SECONDS;
/// Until the next check after the record was missing, about.
const FAILED_SECONDS: i64 = 6 * 3600;
/// Until the next check after nobody answered, about.
const UNANSWERED_SECONDS: i64 = 3600;
/// A proof is lost after so many checks without the record …
const LOST_FAILURES: u32 = 5;
/// … the first of them at least so long ago, in seconds.
const LOST_SECONDS: i64 = 3 * DAY_SECONDS;

/// Whether a deployment lets domains be proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofPolicy {
    /// A domain is served once it is proven.
    Required,
    /// A domain is served at once. For development and tests.
    Assumed,
}

impl ProofPolicy {
    /// `required` or `assumed`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "required" => Some(Self::Required),
            "assumed" => Some(Self::Assumed),
            _ => None,
        }
    }
}

/// How a domain was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofMethod {
    /// By its TXT record, which must stay.
    Dns,
    /// An operator vouched for it.
    Vouched,
    /// It was attached before proofs were asked for.
    Inherited,
    /// The deployment asks for none ([`ProofPolicy::Assumed`]).
    Assumed,
}

impl ProofMethod {
    /// As the column and the API spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Vouched => "vouched",
            Self::Inherited => "inherited",
            Self::Assumed => "assumed",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Dns, Self::Vouched, Self::Inherited, Self::Assumed].into_iter().find(|proof| text == proof.as_str())
    }
}

/// The TXT record that proves a domain for one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofRecord {
    /// Its name.
    pub name: String,
    /// Its value: it names the tenant, so that it proves nothing for another one.
    pub value: String,
}

impl ProofRecord {
    /// The record of a tenant that was given this token for this domain.
    pub fn new(domain: &Host, tenant: &str, token: &str) -> Self {
        Self { name: format!("_carillon.{domain}"), value: format!("carillon-domain={tenant}:{token}") }
    }

    /// What TXT records say about it; `found` is none if nobody told.
    pub fn finding(&self, found: Option<&[String]>) -> Finding {
        match found {
            None => Finding::Unanswered,
            Some(texts) if texts.iter().any(|text| text.trim_ascii() == self.value) => Finding::Found,
            Some(_) => Finding::Missing,
        }
    }
}

/// What a look-up of the record found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The record.
    Found,
    /// Other records or none.
    Missing,
    /// The resolver or the domain's name servers do not answer.
    Unanswered,
}

/// How the checks of a proven domain went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    /// How often in a row the record was missing.
    pub failures: u32,
    /// Since when it is missing.
    pub failing_since: Option<Timestamp>,
    /// When to look again.
    pub next: Timestamp,
}

/// What follows from a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The domain stays proven.
    Proven(Checks),
    /// The proof is lost.
    Lost,
}

impl Checks {
    /// The first state of a domain that was proven just now. `chance` is random: it spreads the checks of many domains.
    pub fn begin(now: Timestamp, chance: u16) -> Self {
        Self { failures: 0, failing_since: None, next: about(now, CHECK_SECONDS, chance) }
    }

    /// What follows from a look-up of the record.
    pub fn judge(self, finding: Finding, now: Timestamp, chance: u16) -> Verdict {
        match finding {
            Finding::Found => Verdict::Proven(Self::begin(now, chance)),
            Finding::Unanswered => Verdict::Proven(Self { next: about(now, UNANSWERED_SECONDS, chance), ..self }),
            Finding::Missing => {
                let (failures, since) = (self.failures.saturating_add(1), self.failing_since.unwrap_or(now));
                if failures >= LOST_FAILURES && now.since(since) >= LOST_SECONDS * 1000 {
                    return Verdict::Lost;
                }
                let next = about(now, FAILED_SECONDS, chance);
                Verdict::Proven(Self { failures, failing_since: Some(since), next })
            }
        }
    }
}

/// In three quarters to five quarters of so many seconds.
fn about(now: Timestamp, seconds: i64, chance: u16) -> Timestamp {
    let half = seconds * 1000 / 2;
    now.plus_millis(half + half / 2 + half * i64::from(chance) / i64::from(u16::MAX))
}

/// Whether a response, by its status, shows that HTTPS works: a connection with a certificate that is good. 520 to 530 are
/// what Cloudflare says in place of a server that it could not reach so.
pub fn has_https(status: Option<u16>) -> bool {
    status.is_some_and(|status| !(520..=530).contains(&status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn fresh() -> Checks {
        Checks::begin(NOW, 0)
    }

    #[test]
    fn a_record_names_the_domain_the_tenant_and_the_token() {
        let domain = Host::full_name("blog.acme.com").unwrap();
        let record = ProofRecord::new(&domain, "acme", "0a1b");
        assert_eq!(record.name, "_carillon.blog.acme.com");
        assert_eq!(record.value, "carillon-domain=acme:0a1b");
        let texts = |text: &str| Some(vec!["v=spf1 -all".to_owned(), text.to_owned()]);
        assert_eq!(record.finding(texts(" carillon-domain=acme:0a1b ").as_deref()), Finding::Found);
        for other in ["carillon-domain=acme2:0a1b", "carillon-domain=acme:0a1", "CARILLON-DOMAIN=acme:0a1b", ""] {
            assert_eq!(record.finding(texts(other).as_deref()), Finding::Missing, "{other}");
        }
        assert_eq!(record.finding(Some(&[])), Finding::Missing);
        assert_eq!(record.finding(None), Finding::Unanswered);
    }

    #[test]
    fn a_proof_is_lost_by_many_failures_over_days_and_not_by_either_alone() {
        let judged = |failures, days_ago: i64| {
            let since = Some(NOW.plus_seconds(-days_ago * DAY_SECONDS));
            let checks = Checks { failures, failing_since: since, next: NOW };
            checks.judge(Finding::Missing, NOW, 0) == Verdict::Lost
        };
        assert!(judged(4, 3) && judged(9, 30));
        assert!(!judged(3, 30) && !judged(50, 2));
    }

    #[test]
    fn one_record_found_ends_a_row_of_failures() {
        let failing = Checks { failures: 4, failing_since: Some(NOW.plus_seconds(-30 * DAY_SECONDS)), next: NOW };
        assert_eq!(failing.judge(Finding::Found, NOW, 7), Verdict::Proven(Checks::begin(NOW, 7)));
    }

    #[test]
    fn https_is_what_answered_by_itself() {
        assert!(has_https(Some(200)) && has_https(Some(301)) && has_https(Some(404)) && has_https(Some(503)));
        assert!(!has_https(None) && !has_https(Some(525)) && !has_https(Some(526)) && !has_https(Some(530)));
    }

    proptest! {
        /// However the checks go: a proof is lost only after enough records were missed, over enough days, without one
        /// found between; silence alone never loses it; the next check lies ahead, and not farther than two days.
        #[test]
        fn checks_in_any_order(steps in prop::collection::vec((0..3_u8, 0..200_000_i64, any::<u16>()), 0..60)) {
            let (mut checks, mut now) = (fresh(), NOW);
            let (mut missed, mut first) = (0, None);
            for (finding, seconds, chance) in steps {
                now = now.plus_seconds(seconds);
                let finding = [Finding::Found, Finding::Missing, Finding::Unanswered][usize::from(finding)];
                match finding {
                    Finding::Found => (missed, first) = (0, None),
                    Finding::Missing => (missed, first) = (missed + 1, first.or(Some(now))),
                    Finding::Unanswered => {}
                }
                let is_lost = finding == Finding::Missing && missed >= 5 && first.is_some_and(|at: Timestamp| now.since(at) >= LOST_SECONDS * 1000);
                match checks.judge(finding, now, chance) {
                    Verdict::Lost => {
                        prop_assert!(is_lost);
                        return Ok(());
                    }
                    Verdict::Proven(next) => {
                        prop_assert!(!is_lost);
                        prop_assert_eq!((next.failures, next.failing_since), (missed, first));
                        let wait = next.next.since(now);
                        prop_assert!((1_800_000..=2 * DAY_SECONDS * 1000).contains(&wait), "{}", wait);
                        checks = next;
                    }
                }
            }
        }
    }
}
