//! Headers between client and site. Pure.
//!
//! Plugins of WordPress speak by headers of their own (`woocommerce-session`, `X-JWT-Auth`), so what is not known is passed on.
//! What is left out is listed here: what belongs to one connection (RFC 9110, 7.6.1), what this platform says itself, and what
//! would let a site speak for the whole host that its tenant shares with this platform.

/// Cookies of this platform begin so, whatever their prefix.
const OUR_COOKIES: [&str; 3] = ["carillon_", "__host-carillon_", "__secure-carillon_"];

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
const NOT_FOR_THE_SITE: [&str; 13] = [
    "accept-encoding",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "idempotency-key",
    "last-event-id",
    "mf-original-hostname",
    "mf-original-url",
    "true-client-ip",
    "x-real-ip",
    "x-tenant-id",
];
/// Beginnings of such names.
const NOT_FOR_THE_SITE_FROM: [&str; 6] =
    ["cf-", "sec-websocket-", "x-carillon-", "x-forwarded-", "mf-", "x-middleware-"];

/// Headers of a response that speak of more than it, or that the platform says itself.
const NOT_FOR_THE_CLIENT: [&str; 27] = [
    "alt-svc",
    "clear-site-data",
    "content-encoding",
    "content-length",
    "content-security-policy",
    "content-security-policy-report-only",
    "date",
    "expect-ct",
    "link",
    "location",
    "nel",
    "origin-agent-cluster",
    "permissions-policy",
    "public-key-pins",
    "ratelimit",
    "ratelimit-policy",
    "referrer-policy",
    "refresh",
    "report-to",
    "reporting-endpoints",
    "server",
    "service-worker-allowed",
    "sourcemap",
    "strict-transport-security",
    "via",
    "x-content-type-options",
    "x-request-id",
];
/// Beginnings of such names.
const NOT_FOR_THE_CLIENT_FROM: [&str; 5] = ["access-control-", "cf-", "cross-origin-", "x-carillon-", "x-ratelimit-"];

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

/// What of a response's headers the client is sent.
pub fn to_client(sent: &[(String, String)], host: HostOf) -> Vec<(String, String)> {
    let named = named_by_connection(sent);
    let passes = |name: &String| {
        !is_one_of(name, &OF_A_CONNECTION, &[])
            && !is_one_of(name, &NOT_FOR_THE_CLIENT, &NOT_FOR_THE_CLIENT_FROM)
            && !named.contains(name)
            && (name != "set-cookie" || host == HostOf::Tenant)
    };
    let headers = sent.iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).filter(|(name, _)| passes(name));
    let shown = headers.filter_map(|(name, value)| {
        let value = if name == "set-cookie" { cookie_of_the_host(value)? } else { value.clone() };
        Some((name, value))
    });
    shown.collect()
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
    let name = pair.split('=').next().unwrap_or_default();
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
        let shown = [
            ("content-type", "application/json"),
            ("x-graphql-keys", "a b"),
            ("set-cookie", "wp=1; Path=/; HttpOnly"),
            ("x-jwt-refresh", "t"),
        ];
        assert_eq!(to_client(&pairs(&sent), HostOf::Tenant), pairs(&shown));
    }

    #[test]
    fn on_the_platforms_host_no_cookie_passes_either_way() {
        let client = ClientConnection { host: HostOf::Platform, ..CLIENT };
        let passed = to_site(&pairs(&[("Cookie", "wp=1"), ("X-WP-Nonce", "n")]), &client, false);
        assert!(passed.iter().all(|(name, _)| name != "cookie"), "{passed:?}");
        let shown = to_client(&pairs(&[("set-cookie", "wp=1"), ("x-a", "b")]), HostOf::Platform);
        assert_eq!(shown, pairs(&[("x-a", "b")]));
    }
}
