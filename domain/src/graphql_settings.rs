//! A tenant's settings of its GraphQL endpoint: who may ask for the schema, and what a request may cost the site.

use serde::Serialize;

use crate::bounded_number::Bounded;
use crate::error::Invalid;
use crate::graphql_cache::CacheSettings;

/// Who may ask for the schema: `__schema` and `__type` at the root of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Introspection {
    /// Nobody.
    Off,
    /// Users and keys of the tenant.
    Members,
    /// Whoever the site answers: WPGraphQL has a setting of its own, which is off by default.
    #[default]
    On,
}

impl Introspection {
    /// Reads its name in settings.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Off, Self::Members, Self::On].into_iter().find(|rule| rule.as_str() == text)
    }

    /// As settings spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Members => "members",
            Self::On => "on",
        }
    }
}

/// Which documents may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentRule {
    /// Any one within the bounds.
    #[default]
    Any,
    /// Those of the tenant's registry; who may register documents may ask any other, too.
    Registered,
}

impl DocumentRule {
    /// Reads its name in settings.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Any, Self::Registered].into_iter().find(|rule| rule.as_str() == text)
    }

    /// As settings spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Registered => "registered",
        }
    }
}

/// The longest text of a document, in bytes, and the longest variables.
pub const QUERY_BYTES: Bounded = Bounded { name: "max_query_bytes", default: 65_536, least: 1_024, most: 262_144 };
/// How many fields deep an operation may be.
pub const DEPTH: Bounded = Bounded { name: "max_depth", default: 20, least: 1, most: 50 };
/// How many aliases an operation may have, counted wherever their fragment is spread.
pub const ALIASES: Bounded = Bounded { name: "max_aliases", default: 100, least: 0, most: 1_000 };
/// How many fields an operation may select, counted wherever their fragment is spread.
pub const FIELDS: Bounded = Bounded { name: "max_fields", default: 2_000, least: 1, most: 20_000 };
/// How many requests a batch may have; 0 refuses batches.
pub const BATCH: Bounded = Bounded { name: "max_batch", default: 10, least: 0, most: 50 };
/// The longest multipart body, in bytes; 0 refuses uploads. Their documents are not judged, so they are refused by default.
pub const UPLOAD_BYTES: Bounded = Bounded { name: "max_upload_bytes", default: 0, least: 0, most: 104_857_600 };
/// How long the site may take until its answer begins, in milliseconds, retries included.
pub const TIMEOUT: Bounded = Bounded { name: "timeout_ms", default: 10_000, least: 500, most: 30_000 };

/// Most parameters of the query that are passed on.
pub const MAX_PARAMETERS: usize = 20;
/// Names that mean the request itself to a server, or another one than GraphQL to WordPress.
const NEVER_PASSED: [&str; 12] = [
    "query",
    "operationname",
    "variables",
    "extensions",
    "queryid",
    "documentid",
    "id",
    "rest_route",
    "_method",
    "tenant_id",
    "client_id",
    "action",
];

/// Reads the name of a parameter that is to be passed on to the site.
pub fn parse_parameter(text: &str) -> Result<String, Invalid> {
    let is_name = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if text.is_empty() || text.len() > 40 || !is_name(text) {
        return Err(Invalid::new("invalid_name", "must be 1 to 40 letters, digits, _ and -"));
    }
    if NEVER_PASSED.contains(&text.to_ascii_lowercase().as_str()) {
        return Err(Invalid::new("reserved", "must not be a name that means the request itself, or another endpoint"));
    }
    Ok(text.to_owned())
}

/// Whether a site's own name for its endpoint (`X-GraphQL-URL`: host, port and path, without a scheme) is that of this URL.
pub fn is_endpoint(url: &str, name: &str) -> bool {
    let bare = |text: &str| {
        let text = text.split_once("://").map_or(text, |(_, rest)| rest);
        let text = text.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/').to_owned();
        let (host, path) = text.split_once('/').map_or((&*text, ""), |(host, path)| (host, path));
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix(":443").or_else(|| host.strip_suffix(":80")).unwrap_or(&host).to_owned();
        (host, path.to_owned())
    };
    bare(url) == bare(name)
}

/// A tenant's settings of its GraphQL endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GraphqlSettings {
    /// Who may ask for the schema.
    pub introspection: Introspection,
    /// Which documents may be asked.
    pub documents: DocumentRule,
    /// Bytes of a document, and of its variables.
    pub max_query_bytes: u32,
    /// Levels of fields.
    pub max_depth: u32,
    /// Aliases of an operation.
    pub max_aliases: u32,
    /// Fields of an operation.
    pub max_fields: u32,
    /// Requests of a batch.
    pub max_batch: u32,
    /// Bytes of a multipart body.
    pub max_upload_bytes: u32,
    /// Milliseconds until the site's answer begins.
    pub timeout_ms: u32,
    /// Whether the site is sent the header by which it knows that Carillon asks.
    pub send_site_key: bool,
    /// Whether a browser that opens the endpoint is shown GraphiQL.
    pub graphiql: bool,
    /// Parameters of the query that the site gets beside the request's own.
    pub pass_parameters: Vec<String>,
    /// How long answers are kept.
    pub cache: CacheSettings,
}

impl Default for GraphqlSettings {
    fn default() -> Self {
        Self {
            introspection: Introspection::default(),
            documents: DocumentRule::default(),
            max_query_bytes: QUERY_BYTES.default,
            max_depth: DEPTH.default,
            max_aliases: ALIASES.default,
            max_fields: FIELDS.default,
            max_batch: BATCH.default,
            max_upload_bytes: UPLOAD_BYTES.default,
            timeout_ms: TIMEOUT.default,
            send_site_key: false,
            graphiql: false,
            pass_parameters: ["lang", "_wpnonce"].map(str::to_owned).to_vec(),
            cache: CacheSettings::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_default_lies_within_its_range() {
        for one in [QUERY_BYTES, DEPTH, ALIASES, FIELDS, BATCH, UPLOAD_BYTES, TIMEOUT] {
            assert!((one.least..=one.most).contains(&one.default), "{}", one.name);
        }
    }

    #[test]
    fn what_is_shown_has_the_names_of_the_settings() {
        let shown = serde_json::to_value(GraphqlSettings::default()).unwrap();
        for one in [QUERY_BYTES, DEPTH, ALIASES, FIELDS, BATCH, UPLOAD_BYTES, TIMEOUT] {
            assert_eq!(shown[one.name], one.default, "{}", one.name);
        }
        for rule in ["off", "members", "on"] {
            let read = Introspection::parse(rule).unwrap();
            assert_eq!((read.as_str(), serde_json::to_value(read).unwrap()), (rule, rule.into()));
        }
        assert_eq!(Introspection::parse("On"), None);
        for rule in ["any", "registered"] {
            let read = DocumentRule::parse(rule).unwrap();
            assert_eq!((read.as_str(), serde_json::to_value(read).unwrap()), (rule, rule.into()));
        }
        assert_eq!(DocumentRule::parse("Any"), None);
    }

    #[test]
    fn a_site_calls_its_endpoint_by_host_and_path() {
        let url = "https://Www.Example.com/wp/graphql";
        for name in
            ["www.example.com/wp/graphql", "https://www.example.com/wp/graphql/", "www.example.com:443/wp/graphql"]
        {
            assert!(is_endpoint(url, name), "{name}");
        }
        for name in [
            "",
            "www.example.com",
            "example.com/wp/graphql",
            "www.example.com/wp/GraphQL",
            "www.example.com:8443/wp/graphql",
        ] {
            assert!(!is_endpoint(url, name), "{name}");
        }
        assert!(is_endpoint("http://127.0.0.1:9403/graphql", "127.0.0.1:9403/graphql"));
    }

    #[test]
    fn what_means_another_request_is_never_passed_on() {
        for name in GraphqlSettings::default().pass_parameters.iter().map(String::as_str).chain(["preview-token", "A1"])
        {
            assert_eq!(parse_parameter(name).as_deref(), Ok(name));
        }
        for bad in
            ["", "query", "Query", "ID", "queryId", "rest_route", "_method", "a[b]", " a", "a.b", "é", &"a".repeat(41)]
        {
            assert!(parse_parameter(bad).is_err(), "{bad}");
        }
    }
}
