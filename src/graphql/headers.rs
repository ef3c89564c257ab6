//! Headers between client and site. Pure.
//!
//! Plugins of WordPress speak by headers of their own (`woocommerce-session`, `X-JWT-Auth`), so what a client sends is passed on
//! unless it is listed here: what belongs to one connection (RFC 9110, 7.6.1), what this platform says itself, and what would make
//! another request of it. Of a response only what is listed is passed on, and `X-…` unless it is listed: a browser takes what it
//! does not know for the whole host, which the site's tenant shares with this platform.

/// Cookies of this platform begin so, whatever their prefix.
const OUR_COOKIES: [&str; 5] =
    ["carillon_", "__host-carillon_", "__secure-carillon_", "__secure-mercure_access_token", "mercureauthorization"];

/// Headers of one connection, either way.
const OF_A_CONNECTION: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers of a request that the site is told otherwise, or that are not for it.
const NOT_FOR_THE_SITE: [&str; 24] = [
    "accept-encoding",
    "client-ip",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "idempotency-key",
    "if-range",
    "last-event-id",
    "proxy",
    "range",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
    "x-tenant-id",
    "x-webhook-signature",
];
/// Beginnings of such names.
const NOT_FOR_THE_SITE_FROM: [&str; 6] =
    ["cf-", "sec-websocket-", "x-carillon-", "x-forwarded-", "mf-", "x-middleware-"];

/// Headers of a response that speak of it alone.
const FOR_THE_CLIENT: [&str; 9] = [
    "age",
    "cache-control",
    "content-language",
    "etag",
    "expires",
    "last-modified",
    "retry-after",
    "vary",
    "woocommerce-session",
];
/// Headers of `X-…` that speak of more than the response, or that the platform says itself.
const NOT_FOR_THE_CLIENT: [&str; 13] = [
    "x-cache",
    "x-content-type-options",
    "x-dns-prefetch-control",
    "x-download-options",
    "x-frame-options",
    "x-impersonated-by",
    "x-permitted-cross-domain-policies",
    "x-powered-by",
    "x-request-id",
    "x-sendfile",
    "x-sourcemap",
    "x-ua-compatible",
    "x-xss-protection",
];
/// Beginnings of such names.
const NOT_FOR_THE_CLIENT_FROM: [&str; 4] = ["x-accel-", "x-carillon-", "x-forwarded-", "x-ratelimit"];
/// Headers by which caches keep a response.
const OF_CACHES: [&str; 4] = ["age", "cache-control", "expires", "vary"];
/// Headers of a request that say who asks.
const OF_SOMEBODY: [&str; 4] = ["authorization", "cookie", "woocommerce-session", "x-wp-nonce"];

/// Where a request came to, and from.
pub struct ClientConnection<'a> {
    /// Host and port, as the client wrote them.
    pub authority: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// The client's address; empty if the platform does not know it.
    pub address: &'a str,
    /// Whose host it is. Cookies of the platform's host are nobody's site's: neither does a site see them, nor does it set any.
    pub host: HostOf,
}

/// Whose host a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostOf {
    /// The tenant's.
    Tenant,
    /// The platform's, where a path names the tenant.
    Platform,
}

/// What of a request's headers the site is sent. `shows_ours`: its `Authorization` is a credential of this platform.
pub fn to_site(sent: &[(String, String)], client: &ClientConnection<'_>, shows_ours: bool) -> Vec<(String, String)> {
    let named = named_by_connection(sent);
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in sent {
        let name = name.to_ascii_lowercase();
        let is_left_out = is_one_of(&name, &OF_A_CONNECTION, &[])
            || is_one_of(&name, &NOT_FOR_THE_SITE, &NOT_FOR_THE_SITE_FROM)
            || named.contains(&name)
            // PHP does not tell `_` from `-`.
            || name.contains('_')
            || name == "authorization" && shows_ours
            || name == "cookie" && client.host == HostOf::Platform;
        if is_left_out {
            continue;
        }
        let value = if name == "cookie" { cookies_of_the_site(value) } else { value.clone() };
        if !value.is_empty() {
            headers.push((name, value));
        }
    }
    let told = [("host", client.authority), ("proto", client.scheme), ("for", client.address)];
    let told = told.into_iter().filter(|(_, value)| !value.is_empty());
    headers.extend(told.map(|(what, value)| (format!("x-forwarded-{what}"), value.to_owned())));
    headers
}

/// Whether what the site is sent says who asks.
pub fn says_who_asks(to_site: &[(String, String)]) -> bool {
    to_site.iter().any(|(name, _)| OF_SOMEBODY.contains(&name.as_str()))
}

/// What of a response's headers the client is sent. `is_somebodys`: it was asked by somebody whom the site or this platform
/// knows, so no cache may keep it, nor one that sets a cookie.
pub fn to_client(sent: &[(String, String)], host: HostOf, is_somebodys: bool) -> Vec<(String, String)> {
    let named = named_by_connection(sent);
    let is_own = |name: &str| {
        FOR_THE_CLIENT.contains(&name)
            || name.starts_with("x-") && !is_one_of(name, &NOT_FOR_THE_CLIENT, &NOT_FOR_THE_CLIENT_FROM)
    };
    let lower = sent.iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
    let mut shown: Vec<(String, String)> = Vec::new();
    for (name, value) in lower.filter(|(name, _)| !named.contains(name)) {
        if name == "set-cookie" && host == HostOf::Tenant {
            shown.extend(cookie_of_the_host(value).map(|cookie| (name, cookie)));
        } else if is_own(&name) {
            shown.push((name, value.clone()));
        }
    }
    if is_somebodys || shown.iter().any(|(name, _)| name == "set-cookie") {
        shown.retain(|(name, _)| !OF_CACHES.contains(&name.as_str()));
    }
    shown
}

/// The names that `Connection` lists.
fn named_by_connection(sent: &[(String, String)]) -> Vec<String> {
    let listed = sent.iter().filter(|(name, _)| name.eq_ignore_ascii_case("connection"));
    listed.flat_map(|(_, value)| value.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect()
}

fn is_one_of(name: &str, names: &[&str], beginnings: &[&str]) -> bool {
    names.contains(&name) || beginnings.iter().any(|beginning| name.starts_with(beginning))
}

fn is_our_cookie(name: &str) -> bool {
    let name = name.trim().to_ascii_lowercase();
    OUR_COOKIES.iter().any(|ours| name.starts_with(ours))
}

/// A `Cookie` header without the cookies of this platform.
fn cookies_of_the_site(cookies: &str) -> String {
    let sites = cookies.split(';').map(str::trim).filter(|pair| !pair.is_empty());
    let sites = sites.filter(|pair| !is_our_cookie(pair.split('=').next().unwrap_or_default()));
    sites.collect::<Vec<_>>().join("; ")
}

/// A `Set-Cookie` header for this host alone: with `Domain`, a site could set cookies on its neighbours' hosts. None for a
/// cookie of this platform.
fn cookie_of_the_host(cookie: &str) -> Option<String> {
    let mut parts = cookie.split(';').map(str::trim);
    let pair = parts.next()?;
    // Browsers take a pair without a name for a cookie of the name that its value says.
    let (name, _) = pair.split_once('=').filter(|(name, _)| !name.trim().is_empty())?;
    if is_our_cookie(name) {
        return None;
    }
    let is_domain = |part: &&str| part.split('=').next().unwrap_or_default().trim().eq_ignore_ascii_case("domain");
    let kept = std::iter::once(pair).chain(parts.filter(|part| !part.is_empty() && !is_domain(part)));
    Some(kept.collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: ClientConnection<'static> =
        ClientConnection { authority: "acme.test", scheme: "https", address: "192.0.2.7", host: HostOf::Tenant };

    fn pairs(headers: &[(&str, &str)]) -> Vec<(String, String)> {
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn to_site_of(headers: &[(&str, &str)], shows_ours: bool) -> Vec<(String, String)> {
        let mut passed = to_site(&pairs(headers), &CLIENT, shows_ours);
        passed.retain(|(name, _)| !name.starts_with("x-forwarded-"));
        passed
    }

    #[test]
    fn a_site_hears_who_asks_and_nothing_of_the_connection() {
        let sent = [
            ("Accept", "application/json"),
            ("Authorization", "Bearer site-token"),
            ("Connection", "close, X-Hop"),
            ("X-Hop", "1"),
            ("Transfer-Encoding", "chunked"),
            ("Host", "acme.test"),
            ("X-Forwarded-For", "10.0.0.1"),
            ("X-Forwarded-Host", "evil.test"),
            ("Forwarded", "for=10.0.0.1"),
            ("CF-Connecting-IP", "10.0.0.1"),
            ("X-Carillon-Site-Key", "forged"),
            ("X-Tenant-ID", "acme"),
            ("X_Forwarded_For", "10.0.0.1"),
            ("X-HTTP-Method-Override", "DELETE"),
            ("Range", "bytes=0-1"),
            ("woocommerce-session", "Session abc"),
            ("X-WP-Nonce", "n"),
        ];
        let passed = [
            ("accept", "application/json"),
            ("authorization", "Bearer site-token"),
            ("woocommerce-session", "Session abc"),
            ("x-wp-nonce", "n"),
        ];
        assert_eq!(to_site_of(&sent, false), pairs(&passed));
        let told: Vec<_> = to_site(&[], &CLIENT, false);
        let expected =
            [("x-forwarded-host", "acme.test"), ("x-forwarded-proto", "https"), ("x-forwarded-for", "192.0.2.7")];
        assert_eq!(told, pairs(&expected));
    }

    #[test]
    fn credentials_of_this_platform_stay_here() {
        assert_eq!(to_site_of(&[("Authorization", "Bearer ours")], true), []);
        for (sent, passed) in [
            ("__Host-carillon_session=a; wordpress_logged_in_x=b", "wordpress_logged_in_x=b"),
            ("a=1;__HOST-CARILLON_SESSION=x ; b=2", "a=1; b=2"),
            ("a=carillon_session; my_carillon_cookie=1", "a=carillon_session; my_carillon_cookie=1"),
        ] {
            assert_eq!(to_site_of(&[("Cookie", sent)], false), pairs(&[("cookie", passed)]));
        }
        assert_eq!(to_site_of(&[("Cookie", "carillon_subscriber=a; __Host-carillon_subscriber=b")], false), []);
    }

    #[test]
    fn a_site_speaks_for_its_answer_alone() {
        let sent = [
            ("content-type", "application/json"),
            ("x-graphql-keys", "a b"),
            ("access-control-allow-origin", "*"),
            ("set-cookie", "__Host-carillon_session=fixed; Path=/; Secure"),
            ("set-cookie", "wp=1; Domain=.example.test; Path=/; domain =x; HttpOnly"),
            ("set-cookie", "=carillon_subscriber=x"),
            ("set-cookie", "carillon_subscriber"),
            ("set-cookie", " __Secure-mercure_access_token=x"),
            ("www-authenticate", "Basic realm=\"Carillon\""),
            ("cache-control", "s-maxage=600"),
            ("speculation-rules", "\"/x\""),
            ("x-accel-redirect", "/x"),
            ("clear-site-data", "\"*\""),
            ("strict-transport-security", "max-age=1"),
            ("content-length", "10"),
            ("content-encoding", "gzip"),
            ("x-carillon-cache", "HIT"),
            ("x-ratelimit-limit", "1"),
            ("connection", "x-other"),
            ("x-other", "1"),
            ("x-jwt-refresh", "t"),
        ];
        let shown = [("x-graphql-keys", "a b"), ("set-cookie", "wp=1; Path=/; HttpOnly"), ("x-jwt-refresh", "t")];
        assert_eq!(to_client(&pairs(&sent), HostOf::Tenant, false), pairs(&shown));
    }

    #[test]
    fn on_the_platforms_host_no_cookie_passes_either_way() {
        let client = ClientConnection { host: HostOf::Platform, ..CLIENT };
        let passed = to_site(&pairs(&[("Cookie", "wp=1"), ("X-WP-Nonce", "n")]), &client, false);
        assert!(passed.iter().all(|(name, _)| name != "cookie"), "{passed:?}");
        let shown = to_client(&pairs(&[("set-cookie", "wp=1"), ("x-a", "b")]), HostOf::Platform, false);
        assert_eq!(shown, pairs(&[("x-a", "b")]));
    }
    #[test]
    fn what_somebody_was_told_is_nobodys_to_keep() {
        let sent = pairs(&[
            ("cache-control", "s-maxage=600"),
            ("expires", "x"),
            ("age", "1"),
            ("vary", "Cookie"),
            ("etag", "a"),
        ]);
        assert_eq!(to_client(&sent, HostOf::Tenant, false), sent);
        assert_eq!(to_client(&sent, HostOf::Tenant, true), pairs(&[("etag", "a")]));
        for name in ["Cookie", "Authorization", "X-WP-Nonce", "woocommerce-session"] {
            assert!(says_who_asks(&to_site_of(&[(name, "a=b")], false)), "{name}");
        }
        assert!(!says_who_asks(&to_site_of(&[("Cookie", "carillon_subscriber=a"), ("Accept", "*/*")], false)));
    }
}
