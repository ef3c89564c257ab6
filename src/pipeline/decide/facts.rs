//! How a request arrives at a tenant, and whether its endpoint takes it so.

use worker::Method;

use super::denial::Denial;
use crate::http::cors::Origin;
use crate::routes::{Endpoint, TokenRule};

/// How a request presents who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presents {
    /// It does not.
    Nothing,
    /// By `Authorization`.
    Header,
    /// By the session cookie.
    Cookie,
}

/// What became of a subscriber's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenState {
    /// None was presented, or none is asked for.
    Absent,
    /// It is not valid.
    Invalid,
    /// It is valid, and came by `Authorization`.
    ByHeader,
    /// It is valid, and came by cookie.
    ByCookie,
}

/// What is known of a request to a tenant once its credential was verified.
#[derive(Debug, Clone, Copy)]
pub struct RequestFacts<'a> {
    /// Whether it came to the tenant's own host.
    pub on_own_host: bool,
    /// How it presents who acts.
    pub presents: Presents,
    /// Whether somebody who acts in the tenant was proven.
    pub is_proven: bool,
    /// What became of a subscriber's token.
    pub token: TokenState,
    /// Where the page is from that sent it.
    pub origin: &'a Origin,
    /// What it says of the page that sent it.
    pub page: SendingPage<'a>,
}

/// What a request says of the page that sent it.
#[derive(Debug, Clone, Copy)]
pub struct SendingPage<'a> {
    /// Whether its method changes something.
    pub changes: bool,
    /// Whether it has `Origin`.
    pub has_origin: bool,
    /// `Sec-Fetch-Site`.
    pub fetch_site: Option<&'a str>,
}

impl SendingPage<'_> {
    /// Whether a request by this method changes something.
    pub fn changes(method: &Method) -> bool {
        !matches!(method, Method::Get | Method::Head)
    }

    /// Whether it is a page of the tenant's own host, for a request whose origin is no other one. A browser says so by
    /// `Sec-Fetch-Site`, or by `Origin` where it does not know that header.
    fn is_own(&self) -> bool {
        match self.fetch_site {
            None => self.has_origin,
            Some(site) => matches!(site, "same-origin" | "none"),
        }
    }
}

impl RequestFacts<'_> {
    /// Whether it is a stranger's to a tenant's host, who is shown what is public.
    pub fn is_strangers(&self) -> bool {
        self.presents == Presents::Nothing && self.on_own_host
    }

    /// Somebody was proven, and a cookie came from a page that may use it.
    fn check_principal(&self) -> Result<(), Denial> {
        match (self.is_proven, self.presents) {
            (false, _) => Err(Denial::Unauthorized),
            (true, Presents::Cookie) => self.check_cookie(),
            (true, Presents::Header) => Ok(()),
            (true, Presents::Nothing) => Err(Denial::Unauthorized),
        }
    }

    /// A cookie comes along whoever made the request: a change by cookie must come from the tenant's own pages, or from
    /// an origin on its list.
    fn check_cookie(&self) -> Result<(), Denial> {
        match self.origin {
            Origin::Foreign => Err(Denial::OriginNotAllowed),
            Origin::Allowed(_) => Ok(()),
            Origin::Same if !self.page.changes || self.page.is_own() => Ok(()),
            Origin::Same => Err(Denial::OriginNotAllowed),
        }
    }

    fn check_token(&self, is_required: bool) -> Result<(), Denial> {
        match (self.token, self.origin) {
            (TokenState::Absent, _) if is_required => Err(Denial::Unauthorized),
            (TokenState::Absent | TokenState::ByHeader, _) => Ok(()),
            (TokenState::Invalid, _) => Err(Denial::InvalidToken),
            (TokenState::ByCookie, Origin::Foreign) => Err(Denial::OriginNotAllowed),
            (TokenState::ByCookie, Origin::Same | Origin::Allowed(_)) => Ok(()),
        }
    }

    /// What a subscriber presents: somebody who acts in the tenant, or a token.
    fn check_subscriber(&self, is_required: bool) -> Result<(), Denial> {
        if self.is_proven { self.check_principal() } else { self.check_token(is_required) }
    }

    fn check_host(&self) -> Result<(), Denial> {
        if self.on_own_host { Ok(()) } else { Err(Denial::NotFound) }
    }
}

/// Whether an endpoint takes a request as it arrived. What a principal may do is judged by `authorise`.
pub fn admit(endpoint: &Endpoint, facts: &RequestFacts<'_>) -> Result<(), Denial> {
    match endpoint {
        Endpoint::Member(..) | Endpoint::User(_) => facts.check_principal(),
        Endpoint::Reader(..) | Endpoint::TableReader(..) if facts.is_strangers() => Ok(()),
        Endpoint::Reader(..) | Endpoint::TableReader(..) => facts.check_principal(),
        Endpoint::Visitor(TokenRule::Ignored, _) => facts.check_host(),
        Endpoint::Visitor(TokenRule::Optional | TokenRule::Mercure | TokenRule::PassedOn, _) => {
            facts.check_subscriber(false).and_then(|()| facts.check_host())
        }
        Endpoint::Visitor(TokenRule::Required, _) => facts.check_subscriber(true).and_then(|()| facts.check_host()),
        Endpoint::SignIn(_) => match facts.origin {
            Origin::Foreign => Err(Denial::OriginNotAllowed),
            Origin::Same | Origin::Allowed(_) => facts.check_host(),
        },
        Endpoint::Signer(_) => facts.check_host(),
        Endpoint::Anyone(_) | Endpoint::Operator(..) | Endpoint::SignedInOperator(_) | Endpoint::Table(_) => {
            Err(Denial::NotFound)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::decide::endpoints;

    const PRESENTS: [Presents; 3] = [Presents::Nothing, Presents::Header, Presents::Cookie];
    const TOKENS: [TokenState; 4] =
        [TokenState::Absent, TokenState::Invalid, TokenState::ByHeader, TokenState::ByCookie];
    const SITES: [Option<&str>; 5] = [None, Some("same-origin"), Some("none"), Some("same-site"), Some("cross-site")];

    fn origins() -> [Origin; 3] {
        [Origin::Same, Origin::Allowed("https://a.test".into()), Origin::Foreign]
    }

    fn pages() -> impl Iterator<Item = SendingPage<'static>> {
        let flags = [(false, false), (false, true), (true, false), (true, true)];
        flags.into_iter().flat_map(|(changes, has_origin)| {
            SITES.into_iter().map(move |fetch_site| SendingPage { changes, has_origin, fetch_site })
        })
    }

    /// Every way in which a request can arrive.
    fn each_request(mut visit: impl FnMut(&RequestFacts<'_>)) {
        for origin in &origins() {
            for page in pages() {
                for (presents, token) in PRESENTS.iter().flat_map(|p| TOKENS.iter().map(move |t| (*p, *t))) {
                    for (on_own_host, is_proven) in [(false, false), (false, true), (true, false), (true, true)] {
                        visit(&RequestFacts { on_own_host, presents, is_proven, token, origin, page });
                    }
                }
            }
        }
    }

    /// Whether a page may use a session's cookie, said another way.
    fn cookie_counts(origin: &Origin, page: SendingPage<'_>) -> bool {
        match (origin, page.changes, page.fetch_site, page.has_origin) {
            (Origin::Allowed(_), ..) | (Origin::Same, false, ..) => true,
            (Origin::Foreign, ..) => false,
            (Origin::Same, true, Some("same-origin" | "none"), _) => true,
            (Origin::Same, true, Some(_), _) => false,
            (Origin::Same, true, None, has_origin) => has_origin,
        }
    }

    fn as_a_principal(facts: &RequestFacts<'_>) -> Result<(), Denial> {
        let by_cookie = facts.presents == Presents::Cookie;
        match facts.is_proven && facts.presents != Presents::Nothing {
            false => Err(Denial::Unauthorized),
            true if by_cookie && !cookie_counts(facts.origin, facts.page) => Err(Denial::OriginNotAllowed),
            true => Ok(()),
        }
    }

    fn on_its_host(facts: &RequestFacts<'_>) -> Result<(), Denial> {
        if facts.on_own_host { Ok(()) } else { Err(Denial::NotFound) }
    }

    /// What a subscriber's token comes to: nothing, or a denial.
    fn with_a_token(facts: &RequestFacts<'_>, absent: Result<(), Denial>) -> Result<(), Denial> {
        match facts.token {
            TokenState::Absent => absent,
            TokenState::Invalid => Err(Denial::InvalidToken),
            TokenState::ByCookie if *facts.origin == Origin::Foreign => Err(Denial::OriginNotAllowed),
            TokenState::ByCookie | TokenState::ByHeader => Ok(()),
        }
    }

    #[test]
    fn an_endpoint_takes_what_its_rule_says_and_nothing_else() {
        for (name, endpoint) in endpoints::all() {
            each_request(|facts| {
                let is_foreign = *facts.origin == Origin::Foreign;
                let expected = match name {
                    "member" | "user" => as_a_principal(facts),
                    "reader" | "table reader" if facts.presents == Presents::Nothing && facts.on_own_host => Ok(()),
                    "reader" | "table reader" => as_a_principal(facts),
                    "visitor" | "signer" => on_its_host(facts),
                    "optional subscriber" | "subscriber" | "mercure" | "passed on" if facts.is_proven => {
                        as_a_principal(facts).and(on_its_host(facts))
                    }
                    "optional subscriber" | "mercure" | "passed on" => {
                        with_a_token(facts, Ok(())).and(on_its_host(facts))
                    }
                    "subscriber" => with_a_token(facts, Err(Denial::Unauthorized)).and(on_its_host(facts)),
                    "sign-in" if is_foreign => Err(Denial::OriginNotAllowed),
                    "sign-in" => on_its_host(facts),
                    _ => Err(Denial::NotFound),
                };
                assert_eq!(admit(&endpoint, facts), expected, "{name} {facts:?}");
            });
        }
    }

    #[test]
    fn a_credential_that_proves_nobody_makes_no_stranger() {
        let (_, reader) = endpoints::all().into_iter().find(|(name, _)| *name == "reader").unwrap();
        each_request(|facts| {
            if facts.presents != Presents::Nothing && !facts.is_proven {
                assert_eq!(admit(&reader, facts), Err(Denial::Unauthorized), "{facts:?}");
            }
        });
    }

    #[test]
    fn reading_changes_nothing() {
        let changing = [Method::Post, Method::Put, Method::Patch, Method::Delete];
        assert!(changing.iter().all(SendingPage::changes));
        assert!(![Method::Get, Method::Head].iter().any(SendingPage::changes));
    }
}
