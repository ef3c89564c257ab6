//! Cross-origin requests: only exact origins of the tenant's `cors_origins`, with credentials, never `*`.

use domain::error::Invalid;

/// The headers beyond the safelisted ones that a host's operations read and answer with, each list joined by `, `.
#[derive(Debug, PartialEq, Eq)]
pub struct CorsHeaders {
    /// What a page of an allowed origin may send.
    pub allowed: String,
    /// What it may read.
    pub exposed: String,
}

/// What a request's `Origin` is to a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// None was sent, or it is the tenant's own host.
    Same,
    /// In the tenant's `cors_origins`; the response names it.
    Allowed(String),
    /// Any other. The response names none, so browsers do not show it to the page.
    Foreign,
}

impl Origin {
    /// Classifies an `Origin` header by the tenant's `cors_origins` and the request's host.
    pub fn judge(origin: Option<&str>, allowed: &[String], authority: &str) -> Self {
        match origin {
            None => Self::Same,
            Some(origin) if allowed.iter().any(|a| a == origin) => Self::Allowed(origin.into()),
            Some(origin) if origin.split_once("://").is_some_and(|(_, host)| host == authority) => Self::Same,
            Some(_) => Self::Foreign,
        }
    }

    /// The headers that let a page of this origin read the response.
    pub fn headers(&self, cors: &CorsHeaders) -> Vec<(&'static str, String)> {
        let mut headers = vec![("Vary", "Origin".to_owned())];
        if let Self::Allowed(origin) = self {
            headers.push(("Access-Control-Allow-Origin", origin.clone()));
            headers.push(("Access-Control-Allow-Credentials", "true".into()));
            headers.push(("Access-Control-Expose-Headers", cors.exposed.clone()));
        }
        headers
    }

    /// The headers of a preflight response; `methods` are those of the path.
    pub fn preflight_headers(&self, methods: &str, cors: &CorsHeaders) -> Vec<(&'static str, String)> {
        let mut headers = self.headers(cors);
        if matches!(self, Self::Allowed(_)) {
            headers.push(("Access-Control-Allow-Methods", methods.into()));
            headers.push(("Access-Control-Allow-Headers", cors.allowed.clone()));
            headers.push(("Access-Control-Max-Age", "7200".into()));
        }
        headers
    }
}

/// Reads an origin, `scheme://host[:port]` in lower case.
pub fn parse_origin(text: &str) -> Result<String, Invalid> {
    let invalid = || Invalid::new("invalid_origin", "must be an origin, such as https://www.example.com");
    let (scheme, host) = text.split_once("://").ok_or_else(invalid)?;
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    let port = host.strip_prefix(name).and_then(|rest| rest.strip_prefix(':'));
    let port_ok = port.is_none_or(|p| p.parse::<u16>().is_ok());
    let host_ok = domain::host::Host::parse(name).is_ok_and(|parsed| parsed.as_str() == name);
    if !matches!(scheme, "http" | "https") || !host_ok || !port_ok {
        return Err(invalid());
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_match_exactly() {
        let list = vec!["https://www.example.com".to_owned()];
        let judge = |origin| Origin::judge(origin, &list, "acme.localhost:8787");
        assert_eq!(judge(None), Origin::Same);
        assert_eq!(judge(Some("http://acme.localhost:8787")), Origin::Same);
        assert_eq!(judge(Some("https://www.example.com")), Origin::Allowed("https://www.example.com".into()));
        for foreign in [
            "https://www.example.com.evil.test",
            "http://www.example.com",
            "null",
            "https://example.com",
            "http://acme.localhost:8788",
        ] {
            assert_eq!(judge(Some(foreign)), Origin::Foreign, "{foreign}");
        }
    }

    #[test]
    fn only_origins_are_listed() {
        assert!(parse_origin("http://localhost:3000").is_ok());
        for bad in
            ["*", "https://", "https://a.test/", "https://A.test", "ftp://a.test", "https://a.test:99999", "null"]
        {
            assert!(parse_origin(bad).is_err(), "{bad}");
        }
    }
}
