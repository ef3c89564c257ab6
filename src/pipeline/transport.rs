//! HTTP Strict Transport Security (RFC 6797): which hosts a browser is told to reach over TLS alone.
//!
//! A host says so for itself only, never for the names below it (`includeSubDomains`): under the platform's domain others
//! may serve something, and what lies below a custom domain is its owner's.

use domain::host::{Host, RootDomain};

/// For hosts under the platform's domain: a year.
const OWN: &str = "max-age=31536000";
/// For custom domains: 30 days, because their owner may take them elsewhere.
const CUSTOM: &str = "max-age=2592000";

/// The header's value, where TLS is certain: this request came over it, to a host under the platform's domain or to a
/// custom domain that is a tenant's (`is_tenants`). None for names of this machine and for addresses.
pub fn strict_transport_security(
    scheme: &str,
    authority: &str,
    root: &RootDomain,
    is_tenants: bool,
) -> Option<&'static str> {
    let host = Host::parse(authority).ok().filter(|_| scheme == "https")?;
    let last = host.as_str().rsplit('.').next().unwrap_or_default();
    if last == "localhost" || last.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    match root.contains(&host) {
        true => Some(OWN),
        false => is_tenants.then_some(CUSTOM),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_bound_to_tls_where_it_is_certain() {
        let root = RootDomain::parse("live.example.com").unwrap();
        let on = |scheme: &str, authority: &str, served| strict_transport_security(scheme, authority, &root, served);
        for host in
            ["live.example.com", "console.live.example.com", "Acme.live.example.com:443", "a.b.live.example.com."]
        {
            for is_tenants in [true, false] {
                assert_eq!(on("https", host, is_tenants), Some(OWN), "{host}: it tells nobody whose it is");
                assert_eq!(on("http", host, is_tenants), None, "{host}");
            }
        }
        assert_eq!(on("https", "blog.acme.org", true), Some(CUSTOM));
        assert_eq!(on("https", "blog.acme.org", false), None, "whoever leads a name here is not bound to it");
        assert_eq!(on("http", "blog.acme.org", true), None);
        for host in ["localhost", "localhost:8787", "acme.localhost", "127.0.0.1", "127.0.0.1:8787", "[::1]", ""] {
            assert_eq!(on("https", host, true), None, "{host}");
        }
        let local = RootDomain::parse("localhost").unwrap();
        assert_eq!(strict_transport_security("https", "acme.localhost:8787", &local, true), None);
        assert!([OWN, CUSTOM].iter().all(|value| !value.contains("includeSubDomains")));
    }
}
