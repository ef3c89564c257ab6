//! Where a request carries its token, and whether a cookie may be used for it (draft-dunglas-mercure, Presenting the
//! Access Token, and Security Considerations).
//!
//! The query parameter `access_token` is not accepted (RFC 9700, 4.3.2).

use crate::http::cors::Origin;
use crate::http::incoming::Query;
use domain::mercure::Action;

/// The cookie.
pub const COOKIE: &str = "__Secure-mercure_access_token";
/// The cookie and the query parameter of versions before 1.0.
const OLDER_COOKIE: &str = "mercureAuthorization";
pub const OLDER_PARAMETER: &str = "authorization";
/// Every cookie that may carry a token.
pub const COOKIES: [&str; 2] = [COOKIE, OLDER_COOKIE];

/// The request carries two tokens, or one with characters that no token has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// A token of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentedToken {
    /// Its text.
    pub token: String,
    /// Whether it came in a cookie, which browsers send by themselves.
    pub by_cookie: bool,
}

/// Finds the token of a request: in `Authorization`, else (with `compatibility`) in the query, else in a cookie.
pub fn presented(
    authorization: Option<&str>,
    query: &Query,
    cookie: impl Fn(&str) -> Option<String>,
    compatibility: bool,
) -> Result<Option<PresentedToken>, Malformed> {
    let carried = |token: &str, by_cookie| match is_credential(token) {
        true => Ok(Some(PresentedToken { token: token.to_owned(), by_cookie })),
        false => Err(Malformed),
    };
    if let Some(header) = authorization {
        let (scheme, token) = header.split_once(' ').ok_or(Malformed)?;
        return if scheme.eq_ignore_ascii_case("bearer") {
            carried(token.trim_matches(' '), false)
        } else {
            Err(Malformed)
        };
    }
    if compatibility {
        let mut parameters = query.all(OLDER_PARAMETER);
        match (parameters.next(), parameters.next()) {
            (Some(token), None) => return carried(token, false),
            (Some(_), Some(_)) => return Err(Malformed),
            (None, _) => {}
        }
    }
    let older = || compatibility.then(|| cookie(OLDER_COOKIE)).flatten();
    match cookie(COOKIE).or_else(older) {
        Some(token) => carried(&token, true),
        None => Ok(None),
    }
}

/// Whether a text is a `b64token` of RFC 6750, 2.1.
fn is_credential(text: &str) -> bool {
    let letters = text.trim_end_matches('=');
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    !letters.is_empty() && letters.bytes().all(fits)
}

/// Where a request comes from, by the headers that browsers set.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestSource<'a> {
    /// `Origin`.
    pub origin: Option<&'a str>,
    /// `Referer`.
    pub referer: Option<&'a str>,
    /// `Sec-Fetch-Site`.
    pub site: Option<&'a str>,
}

impl RequestSource<'_> {
    /// Whether a request's cookie may be used: only by pages of the tenant's own host and of its `cors_origins`.
    ///
    /// To publish, the origin must be known. To subscribe, it need not: an EventSource of the hub's own host sends no
    /// `Origin`, and no page of another site could read the response.
    pub fn may_use_cookie(self, action: Action, allowed: &[String], sent_to: (&str, &str)) -> bool {
        let own_page = self.site.is_none_or(|site| matches!(site, "same-origin" | "none"));
        let Some(origin) = self.origin.or_else(|| self.referer.map(origin_of)) else {
            return own_page && action == Action::Subscribe;
        };
        match Origin::judge(Some(origin), allowed, sent_to) {
            Origin::Foreign => false,
            Origin::Allowed(_) => true,
            Origin::Same => own_page,
        }
    }
}

/// The origin of a URL.
fn origin_of(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(authority..).and_then(|rest| rest.find(['/', '?', '#'])).map(|at| authority + at);
    url.get(..end.unwrap_or(url.len())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(header: Option<&str>, query: &str, cookies: &[(&str, &str)], compatibility: bool) -> Result<String, bool> {
        let cookie =
            |name: &str| cookies.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        match presented(header, &Query::parse(query), cookie, compatibility) {
            Ok(Some(found)) => Ok(format!("{}{}", found.token, if found.by_cookie { " by cookie" } else { "" })),
            Ok(None) => Err(true),
            Err(Malformed) => Err(false),
        }
    }

    #[test]
    fn the_header_counts_before_anything_else() {
        let cookies = [(COOKIE, "cookie"), (OLDER_COOKIE, "older")];
        for header in ["Bearer a.b-c_d~e+f/g==", "bearer a.b-c_d~e+f/g==", "BEARER  a.b-c_d~e+f/g== "] {
            assert_eq!(found(Some(header), "authorization=query", &cookies, true), Ok("a.b-c_d~e+f/g==".into()));
        }
        for header in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer =",
            "Basic abc",
            "abc",
            "Bearer a b",
            "Bearer a, Bearer b",
            "Bearer \u{e4}",
        ] {
            assert_eq!(found(Some(header), "authorization=query", &cookies, true), Err(false), "{header}");
        }
    }

    #[test]
    fn the_cookie_counts_where_there_is_no_header() {
        assert_eq!(found(None, "access_token=query", &[(COOKIE, "a")], false), Ok("a by cookie".into()));
        assert_eq!(found(None, "access_token=query", &[], true), Err(true));
        assert_eq!(found(None, "", &[(COOKIE, "a;")], false), Err(false));
        assert_eq!(found(None, "", &[(COOKIE, "")], false), Err(false));
    }

    #[test]
    fn carriers_of_before_1_0_count_where_they_are_served() {
        let both = [(OLDER_COOKIE, "older"), (COOKIE, "new")];
        let older = [(OLDER_COOKIE, "older")];
        for (query, cookies, compatible, current) in [
            ("authorization=query", &both[..], Ok("query".to_owned()), Ok("new by cookie".to_owned())),
            ("", &both, Ok("new by cookie".into()), Ok("new by cookie".into())),
            ("", &older, Ok("older by cookie".into()), Err(true)),
            ("authorization=a&authorization=a", &[], Err(false), Err(true)),
            ("authorization=", &older, Err(false), Err(true)),
            ("Authorization=query", &[], Err(true), Err(true)),
        ] {
            assert_eq!(found(None, query, cookies, true), compatible, "{query}");
            assert_eq!(found(None, query, cookies, false), current, "{query}");
        }
    }

    #[test]
    fn a_cookie_counts_from_the_tenants_pages_only() {
        let allowed = ["https://www.example.com".to_owned()];
        let judge = |origin, referer, site| {
            let sender = RequestSource { origin, referer, site };
            let may = |action| sender.may_use_cookie(action, &allowed, ("https", "acme.test:8443"));
            (may(Action::Publish), may(Action::Subscribe))
        };
        let (own, listed) = (Some("https://acme.test:8443"), Some("https://www.example.com"));
        let (own_page, listed_page) = (Some("https://acme.test:8443/a?b#c"), Some("https://www.example.com/"));
        let (foreign, foreign_page) = (Some("https://evil.test"), Some("https://evil.test/https://acme.test:8443"));
        let (both, neither) = ((true, true), (false, false));
        for (origin, referer, site, expected) in [
            (own, None, None, both),
            (own, None, Some("same-origin"), both),
            (own, foreign_page, Some("same-origin"), both),
            (None, own_page, None, both),
            (None, own_page, Some("same-origin"), both),
            (None, own, None, both),
            (listed, None, Some("cross-site"), both),
            (None, listed_page, Some("same-site"), both),
            (foreign, own_page, None, neither),
            (Some("null"), own_page, None, neither),
            (None, foreign_page, None, neither),
            (None, Some("https://acme.test:8443.evil.test/"), None, neither),
            (None, Some("acme.test:8443"), None, neither),
            (own, None, Some("cross-site"), neither),
            (None, own_page, Some("same-site"), neither),
            (None, None, Some("cross-site"), neither),
            (None, None, Some("same-site"), neither),
            // What an EventSource of the same host sends where pages keep their address to themselves.
            (None, None, Some("same-origin"), (false, true)),
            (None, None, Some("none"), (false, true)),
            (None, None, None, (false, true)),
        ] {
            assert_eq!(judge(origin, referer, site), expected, "{origin:?} {referer:?} {site:?}");
        }
    }

    proptest! {
        #[test]
        fn no_headers_break_the_reader(a in "(Bearer )?\\PC{0,40}", b in "(https?://)?\\PC{0,40}") {
            let _ = found(Some(&a), "", &[], true);
            let _ = found(None, &a, &[(COOKIE, &b)], true);
            let sender = RequestSource { referer: Some(&b), ..RequestSource::default() };
            prop_assert!(!sender.may_use_cookie(Action::Publish, &[], ("https", "acme.test")) || b.contains("://acme.test"));
        }
    }
}
