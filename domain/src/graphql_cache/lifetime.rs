//! How long an answer counts: as long as the tenant wants, and no longer than the site allows by its `Cache-Control` (RFC 9111;
//! RFC 5861 for what is stale).

/// How long an answer counts, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// From its question on.
    pub fresh: i64,
    /// After that, while a new one is fetched.
    pub stale_while_revalidate: i64,
    /// After that, where the site fails.
    pub stale_if_error: i64,
}

/// What a site says of how long its answer counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct SentLifetime<'a> {
    /// `Cache-Control`, all of them joined by commas.
    pub cache_control: Option<&'a str>,
    /// Whether there is an `Expires`.
    pub has_expires: bool,
}

impl Lifetime {
    /// The lifetime that the site allows; none if the answer must not be kept.
    pub fn allowed(self, sent: &SentLifetime<'_>) -> Option<Self> {
        let directives = Directives::parse(sent.cache_control.unwrap_or_default());
        if directives.forbids {
            return None;
        }
        let shared = directives.shared_max_age.or(directives.max_age);
        // `Expires` alone: WordPress sends one that is long past wherever an answer is somebody's.
        if shared.is_none() && sent.has_expires {
            return None;
        }
        let most = |bound: Option<i64>| if directives.must_revalidate { 0 } else { bound.unwrap_or(i64::MAX) };
        Some(Self {
            fresh: self.fresh.min(shared.unwrap_or(i64::MAX)),
            stale_while_revalidate: self.stale_while_revalidate.min(most(directives.stale_while_revalidate)),
            stale_if_error: self.stale_if_error.min(most(directives.stale_if_error)),
        })
    }

    /// How long it is of any use.
    pub fn whole(self) -> i64 {
        self.fresh.saturating_add(self.stale_while_revalidate.max(self.stale_if_error))
    }
}

#[derive(Default)]
struct Directives {
    forbids: bool,
    must_revalidate: bool,
    max_age: Option<i64>,
    shared_max_age: Option<i64>,
    stale_while_revalidate: Option<i64>,
    stale_if_error: Option<i64>,
}

impl Directives {
    fn parse(text: &str) -> Self {
        let mut read = Self::default();
        for directive in text.split(',') {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            // A number that cannot be read allows nothing.
            let number = || Some(seconds(value.trim().trim_matches('"')).unwrap_or(0));
            match name.trim().to_ascii_lowercase().as_str() {
                "no-store" | "no-cache" | "private" => read.forbids = true,
                "must-revalidate" | "proxy-revalidate" => read.must_revalidate = true,
                "max-age" => read.max_age = number(),
                // It stands for `proxy-revalidate`, too (RFC 9111, 5.2.2.10).
                "s-maxage" => (read.shared_max_age, read.must_revalidate) = (number(), true),
                "stale-while-revalidate" => read.stale_while_revalidate = number(),
                "stale-if-error" => read.stale_if_error = number(),
                _ => {}
            }
        }
        read
    }
}

/// Seconds as milliseconds.
fn seconds(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.len() <= 12 && text.bytes().all(|b| b.is_ascii_digit());
    if is_number { text.parse::<i64>().ok()?.checked_mul(1_000) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Lifetime = Lifetime { fresh: 60_000, stale_while_revalidate: 30_000, stale_if_error: 90_000 };

    fn allowed(cache_control: &str) -> Option<Lifetime> {
        WANTED.allowed(&SentLifetime { cache_control: Some(cache_control), ..SentLifetime::default() })
    }

    #[test]
    fn a_site_restricts_and_never_extends() {
        assert_eq!(WANTED.allowed(&SentLifetime::default()), Some(WANTED));
        assert_eq!(allowed("max-age=600"), Some(WANTED));
        assert_eq!(allowed("public, max-age=10"), Some(Lifetime { fresh: 10_000, ..WANTED }));
        assert_eq!(
            allowed("max-age=10, stale-while-revalidate=1, stale-if-error=2"),
            Some(Lifetime { fresh: 10_000, stale_while_revalidate: 1_000, stale_if_error: 2_000 })
        );
        let strict = Lifetime { fresh: 60_000, stale_while_revalidate: 0, stale_if_error: 0 };
        assert_eq!(allowed("max-age=600, s-maxage=600, must-revalidate"), Some(strict));
        assert_eq!(allowed("max-age=600, s-maxage=5"), Some(Lifetime { fresh: 5_000, ..strict }));
        assert_eq!(allowed("max-age=x").map(|one| one.fresh), Some(0));
    }

    #[test]
    fn what_is_private_is_not_kept() {
        for sent in [
            "no-store",
            "private",
            "no-cache",
            "max-age=600, NO-STORE",
            "private=\"x\"",
            "no-cache, must-revalidate, max-age=0",
        ] {
            assert_eq!(allowed(sent), None, "{sent}");
        }
        assert_eq!(WANTED.allowed(&SentLifetime { has_expires: true, ..SentLifetime::default() }), None);
        let both = SentLifetime { cache_control: Some("max-age=10"), has_expires: true };
        assert_eq!(WANTED.allowed(&both).map(|one| one.fresh), Some(10_000));
    }
}
