//! An incoming request: its head parsed once, its body read within a limit.

use futures_util::StreamExt as _;
use worker::Method;

use super::problem::{self, Problem};
use domain::address::Network;
use domain::error::Invalid;

/// The largest body that API routes accept, in bytes.
pub const MAX_BODY: usize = 256 * 1024;

/// The query of a URL, decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Parses the part after `?`, by the URL standard.
    pub fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The first value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// All values of a parameter, in order.
    pub fn all<'q>(&'q self, name: &'q str) -> impl Iterator<Item = &'q str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// All parameters, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The names of all parameters.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// A boolean parameter; false if it is absent. 400 for other values.
    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.get(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1" | "") => Ok(true),
            Some(_) => Err(problem::invalid_query(name, Invalid::new("invalid_flag", "must be true or false"))),
        }
    }

    /// A whole number within a range; the default if it is absent. 400 for other values.
    pub fn number(&self, name: &str, range: std::ops::RangeInclusive<u32>, default: u32) -> Result<u32, Problem> {
        let Some(text) = self.get(name) else { return Ok(default) };
        text.parse().ok().filter(|n| range.contains(n)).ok_or_else(|| {
            let message = format!("must be a whole number from {} to {}", range.start(), range.end());
            problem::invalid_query(name, Invalid::new("invalid_number", message))
        })
    }
}

/// A request as the platform has it.
pub type PlatformRequest = web_sys::Request;

/// A request as it came in.
pub struct Incoming {
    raw: worker::Request,
    /// Its method.
    pub method: Method,
    /// `http` or `https`.
    pub scheme: String,
    /// Host and port, as the client wrote them.
    pub authority: String,
    /// The path, still percent-encoded.
    pub path: String,
    /// The query.
    pub query: Query,
    /// The query, still encoded.
    pub raw_query: String,
    /// Our id for it, in responses, logs and audits.
    pub id: String,
}

impl Incoming {
    /// Reads the request's head.
    pub fn new(raw: worker::Request, id: String) -> Self {
        let url = raw.inner().url();
        let (scheme, rest) = url.split_once("://").unwrap_or(("", &url));
        let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let rest = rest.split('#').next().unwrap_or_default();
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        Self {
            method: method_of(&raw),
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
            query: Query::parse(query),
            raw_query: query.to_owned(),
            raw,
            id,
        }
    }

    /// The platform's request behind this one.
    pub fn handle(&self) -> PlatformRequest {
        Clone::clone(self.raw.inner())
    }

    /// A header's value; none if absent or empty.
    pub fn header(&self, name: &str) -> Option<String> {
        self.raw.headers().get(name).ok().flatten().filter(|value| !value.is_empty())
    }

    /// All headers, their names in lower case.
    pub fn headers(&self) -> Vec<(String, String)> {
        self.raw.headers().entries().collect()
    }

    /// A header's value, even an empty one.
    pub fn header_as_sent(&self, name: &str) -> Option<String> {
        self.raw.headers().get(name).ok().flatten()
    }

    /// Every tenant that `X-Tenant-ID` and the query name, as written: as `tenant_id`, and as `client_id`, its other name.
    /// All of them must be the tenant that the request is for; a malformed one is nobody's.
    pub fn named_tenants(&self) -> Vec<String> {
        let header = self.raw.headers().get("X-Tenant-ID").ok().flatten();
        // What an identity provider sends along to a callback is its own client.
        let is_providers = self.path.contains("/auth/sso/");
        let names: &[&str] = if is_providers { &["tenant_id"] } else { &["tenant_id", "client_id"] };
        let queried = names.iter().flat_map(|name| self.query.all(name).map(str::to_owned));
        header.into_iter().chain(queried).collect()
    }

    /// A cookie's value.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let cookies = self.header("Cookie")?;
        let found = cookies.split(';').filter_map(|pair| pair.trim().split_once('=')).find(|(n, _)| *n == name);
        found.map(|(_, value)| value.to_owned())
    }

    /// The credential of `Authorization: Bearer`.
    pub fn bearer(&self) -> Option<String> {
        let header = self.header("Authorization")?;
        let (scheme, token) = header.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    }

    /// Scheme and authority.
    pub fn sent_to(&self) -> (&str, &str) {
        (&self.scheme, &self.authority)
    }

    /// The origin of another host, with this request's scheme and port.
    pub fn origin_of(&self, host: &str) -> String {
        let port = self.authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
        let port = port.map(|(_, port)| format!(":{port}")).unwrap_or_default();
        format!("{}://{host}{port}", self.scheme)
    }

    /// The client's IP address, as Cloudflare reports it; empty if it does not. For allow-lists and audits: what is
    /// counted is counted by [`Self::network`].
    pub fn address(&self) -> String {
        address_of(&self.raw)
    }

    /// The client's network, by which every limit counts.
    pub fn network(&self) -> Network {
        Network::of(&self.address())
    }

    /// Fires when the client disconnects, as far as the runtime notices.
    pub fn signal(&self) -> web_sys::AbortSignal {
        self.raw.inner().signal()
    }

    /// The body as a stream, to be passed on; none if there is no body. 415 if it is encoded.
    pub fn stream(&self) -> Result<Option<web_sys::ReadableStream>, Problem> {
        self.check_is_plain()?;
        Ok(self.raw.inner().body())
    }

    /// 415 for a body with a content coding (RFC 9110, 8.4): read as it comes, it would be something else than was meant.
    fn check_is_plain(&self) -> Result<(), Problem> {
        match self.header("Content-Encoding") {
            Some(codings) if !is_identity(&codings) => Err(problem::unsupported_content_encoding()),
            _ => Ok(()),
        }
    }

    /// The body. 415 if it is encoded; 413 if it is longer than the limit: the rest of it is not read.
    pub async fn body(&mut self, limit: usize) -> Result<Vec<u8>, Problem> {
        self.check_is_plain()?;
        let announced = self.header("Content-Length").and_then(|length| length.parse::<usize>().ok());
        match announced {
            Some(length) if length > limit => return Err(problem::body_too_large(limit)),
            Some(_) => return self.raw.bytes().await.map_err(|_| broken_off()),
            None => {}
        }
        let mut body = Vec::new();
        // A request without a body has no stream.
        let Ok(mut chunks) = self.raw.stream() else { return Ok(body) };
        while let Some(chunk) = chunks.next().await {
            body.extend(chunk.map_err(|_| broken_off())?);
            if body.len() > limit {
                return Err(problem::body_too_large(limit));
            }
        }
        Ok(body)
    }

    /// A JSON object as body; an empty object if there is no body.
    pub async fn optional_json_object(&mut self) -> Result<serde_json::Map<String, serde_json::Value>, Problem> {
        match self.header("Content-Length").as_deref() {
            None | Some("0") if self.header("Content-Type").is_none() => Ok(serde_json::Map::new()),
            _ => self.json_object(JSON).await,
        }
    }

    /// A JSON object as body.
    pub async fn json_object(
        &mut self,
        media_types: &[&'static str],
    ) -> Result<serde_json::Map<String, serde_json::Value>, Problem> {
        self.json_object_within(media_types, MAX_BODY).await
    }

    /// The same, with another limit.
    pub async fn json_object_within(
        &mut self,
        media_types: &[&'static str],
        limit: usize,
    ) -> Result<serde_json::Map<String, serde_json::Value>, Problem> {
        if let Some(sent) = self.header("Content-Type")
            && !media_types.contains(&essence(&sent).as_str())
        {
            return Err(problem::unsupported_media_type(media_types.first().copied().unwrap_or("application/json")));
        }
        let body = self.body(limit).await?;
        parse_object(&body)
    }
}

/// Whether a list of content codings changes nothing: it has `identity` alone, in any letter case.
fn is_identity(codings: &str) -> bool {
    codings.split(',').map(str::trim).filter(|coding| !coding.is_empty()).all(|c| c.eq_ignore_ascii_case("identity"))
}

/// A media type without its parameters, in lower case (RFC 9110, 8.3.1).
pub fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The network of a request of which nothing else is read.
pub fn network_of(request: &worker::Request) -> Network {
    Network::of(&address_of(request))
}

fn address_of(request: &worker::Request) -> String {
    request.headers().get("CF-Connecting-IP").ok().flatten().unwrap_or_default()
}

/// The client ended its body before it was whole.
fn broken_off() -> Problem {
    problem::malformed_json("The body ended early: the connection broke off.")
}

/// A request's method. The platform reports a method that it does not know as GET; we report it as TRACE, which no route
/// has.
fn method_of(raw: &worker::Request) -> Method {
    let method = raw.method();
    if method == Method::Get && raw.inner().method() != "GET" { Method::Trace } else { method }
}

/// The media type of JSON bodies.
pub const JSON: &[&str] = &["application/json"];
/// The media types of a PATCH: JSON Merge Patch (RFC 7396), or plain JSON.
pub const MERGE_PATCH: &[&str] = &["application/merge-patch+json", "application/json"];

/// Parses a JSON object.
pub fn parse_object(body: &[u8]) -> Result<serde_json::Map<String, serde_json::Value>, Problem> {
    match serde_json::from_slice(body) {
        Ok(serde_json::Value::Object(object)) => Ok(object),
        Ok(_) => Err(problem::invalid_field("", Invalid::new("not_an_object", "must be a JSON object"))),
        Err(error) => Err(malformed(&error)),
    }
}

/// The problem of a body that is not JSON, with the position but without the content.
pub fn malformed(error: &serde_json::Error) -> super::problem::Problem {
    problem::malformed_json(format!("Not valid JSON at line {}, column {}.", error.line(), error.column()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_and_codings_have_no_letter_case() {
        for sent in
            ["application/json", "Application/JSON; Charset=UTF-8", "APPLICATION/JSON;", " application/Json ;a=b"]
        {
            assert_eq!(essence(sent), "application/json", "{sent}");
        }
        for codings in ["identity", "Identity", "", " , identity ,IDENTITY"] {
            assert!(is_identity(codings), "{codings}");
        }
        for codings in ["gzip", "GZIP", "br", "zstd", "x-unknown", "identity, gzip", "gzip;q=0", "chunked"] {
            assert!(!is_identity(codings), "{codings}");
        }
    }

    #[test]
    fn queries() {
        let query = Query::parse("topic=a%2Fb&topic=c+d&named=true&n=7&bad=x");
        assert_eq!(query.all("topic").collect::<Vec<_>>(), ["a/b", "c d"]);
        assert_eq!(query.get("missing"), None);
        assert!(query.flag("named").unwrap());
        assert!(!query.flag("missing").unwrap());
        assert_eq!(query.flag("bad").unwrap_err().errors[0].pointer, "?bad");
        assert_eq!(query.number("n", 1..=10, 3).unwrap(), 7);
        assert_eq!(query.number("missing", 1..=10, 3).unwrap(), 3);
        assert!(query.number("n", 1..=5, 3).is_err());
    }
}
