//! A tenant's settings: about its content, how people sign in, Mercure, and its GraphQL endpoint. Each has a default.
//!
//! Invariants
//! - Settings are parsed here before they are stored, whoever writes them.
//! - A setting that is absent, null or (in an older tenant) not valid any more has its default: reading never fails.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::http::fields::Fields;
use crate::http::problem::FieldError;
use domain::bounded_number::Bounded;
use domain::error::Invalid;
use domain::graphql_cache::{self, CacheSettings, HeaderScope, OperationLifetime, TokenScope};
use domain::graphql_settings::{self, DocumentRule, GraphqlSettings, Introspection};
use domain::json;
use domain::live_settings::{LiveMode, LiveSettings};
use domain::mercure::{Action, Issuer, Mercure};
use domain::pointer;
use domain::sign_in::SignInSettings;
use domain::text::bounded;

/// Most types of content, and most categories.
const MAX_LISTED: usize = 20;
/// Most issuers of tokens.
const MAX_ISSUERS: usize = 5;
/// The longest `issuer`, in bytes.
const MAX_ISSUER: usize = 500;

/// Checks whether the platform may call a URL in settings.
pub type MayCall<'f> = &'f dyn Fn(&str) -> Result<(), Invalid>;

/// Allows every URL: for stored settings, which were checked when they were written, and are again before a call.
pub const STORED: MayCall<'static> = &|_| Ok(());

/// A tenant's settings, with defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct TenantSettings {
    /// Whether content is published automatically.
    pub auto_publish: bool,
    /// The types of content.
    pub content_types: Vec<String>,
    /// The categories of content without any.
    pub default_categories: Vec<String>,
    /// Whether content is optimized for search engines.
    pub seo_optimization: bool,
    /// The tenant's own templates, by name; stored as given.
    pub custom_templates: Map<String, Value>,
    /// Whether workflows wait for approval.
    pub workflow_approval: bool,
    /// Who may register, and which passwords are allowed.
    pub sign_in: SignInSettings,
    /// The settings of its live streams.
    pub live: LiveSettings,
    /// The settings of its Mercure hub.
    pub mercure: Mercure,
    /// The settings of its GraphQL endpoint.
    pub graphql: GraphqlSettings,
}

impl TenantSettings {
    /// Reads settings, with the default for what is wrong, and lists the mistakes.
    pub fn read(settings: &Map<String, Value>, may_call: MayCall<'_>) -> (Self, Vec<FieldError>) {
        let (sign_in, faults) = SignInSettings::read(settings);
        let mut fields = Fields::new(settings.clone());
        for (path, invalid) in faults {
            fields.wrong::<()>(&path, invalid);
        }
        for name in ["registration", "password_policy"] {
            fields.take(name);
        }
        let texts = |default: &str| vec![default.to_owned()];
        let read = Self {
            auto_publish: fields.flag("auto_publish").unwrap_or(false),
            content_types: fields
                .list("content_types", MAX_LISTED, parse_content_type)
                .unwrap_or_else(|| texts("blog_post")),
            default_categories: fields
                .list("default_categories", MAX_LISTED, |text| bounded(text, 100))
                .unwrap_or_else(|| texts("Blog")),
            seo_optimization: fields.flag("seo_optimization").unwrap_or(true),
            custom_templates: fields.object("custom_templates", usize::MAX).unwrap_or_default(),
            workflow_approval: fields.flag("workflow_approval").unwrap_or(false),
            sign_in,
            live: read_live(&mut fields),
            mercure: read_mercure(&mut fields, may_call),
            graphql: read_graphql(&mut fields),
        };
        (read, fields.into_errors())
    }

    /// As JSON, with every default.
    pub fn to_view(&self) -> Value {
        json!({
            "auto_publish": self.auto_publish,
            "content_types": self.content_types,
            "default_categories": self.default_categories,
            "seo_optimization": self.seo_optimization,
            "custom_templates": self.custom_templates,
            "workflow_approval": self.workflow_approval,
            "registration": self.sign_in.registration,
            "password_policy": self.sign_in.passwords,
            "live": self.live,
            "mercure": self.mercure.to_view(),
            "graphql": self.graphql,
        })
    }
}

fn read_live(fields: &mut Fields) -> LiveSettings {
    let mut inner = Fields::new(fields.object("live", usize::MAX).unwrap_or_default());
    let mode = inner.parsed("mode", |text| {
        LiveMode::parse(text).ok_or_else(|| Invalid::new("invalid_value", "must be auto, bridged or direct"))
    });
    fields.wrong_inside("live", inner.into_errors());
    LiveSettings { mode: mode.unwrap_or_default() }
}

fn read_mercure(fields: &mut Fields, may_call: MayCall<'_>) -> Mercure {
    let mut inner = Fields::new(fields.object("mercure", usize::MAX).unwrap_or_default());
    let compatibility = inner.flag("compatibility").unwrap_or(true);
    let anonymous = inner.flag("anonymous").unwrap_or(true);
    let subscriptions = inner.flag("subscriptions").unwrap_or(false);
    let issuers = read_issuers(&mut inner, may_call);
    fields.wrong_inside("mercure", inner.into_errors());
    Mercure { compatibility, anonymous, subscriptions, issuers }
}

fn bounded_number(fields: &mut Fields, bounded: Bounded) -> Option<u32> {
    let read = fields.number(bounded.name, i64::from(bounded.least)..=i64::from(bounded.most));
    read.and_then(|number| u32::try_from(number).ok())
}

fn read_cache(fields: &mut Fields) -> CacheSettings {
    let default = CacheSettings::default();
    let mut inner = Fields::new(fields.object("cache", usize::MAX).unwrap_or_default());
    let enabled = inner.flag("enabled").unwrap_or(default.enabled);
    let untagged = inner.flag("untagged").unwrap_or(default.untagged);
    let purge_by_mutations = inner.flag("purge_by_mutations").unwrap_or(default.purge_by_mutations);
    let mut number = |bounded: Bounded| bounded_number(&mut inner, bounded).unwrap_or(bounded.default);
    let (fresh_seconds, staleness_seconds) = (number(graphql_cache::FRESH), number(graphql_cache::STALENESS));
    let warm_up = number(graphql_cache::WARM_UP);
    let stale_while_revalidate_seconds = number(graphql_cache::STALE_WHILE_REVALIDATE);
    let stale_if_error_seconds = number(graphql_cache::STALE_IF_ERROR);
    let scope_headers = inner.list("scope_headers", graphql_cache::MAX_SCOPES, HeaderScope::parse).unwrap_or_default();
    let token_scope = read_token_scope(&mut inner);
    let operations = read_operations(&mut inner);
    fields.wrong_inside("cache", inner.into_errors());
    CacheSettings {
        enabled,
        fresh_seconds,
        stale_while_revalidate_seconds,
        stale_if_error_seconds,
        staleness_seconds,
        warm_up,
        untagged,
        purge_by_mutations,
        scope_headers,
        token_scope,
        operations,
    }
}

fn read_token_scope(fields: &mut Fields) -> Option<TokenScope> {
    let mut inner = Fields::new(fields.object("token_scope", usize::MAX)?);
    let trimmed = |text: &str, most| match text.trim() == text {
        true => bounded(text, most),
        false => Err(Invalid::new("invalid_text", "must not begin or end with blanks")),
    };
    let audience = |text: &str| trimmed(text, TokenScope::MAX_AUDIENCE);
    let audience = inner.required("audience", |inner| inner.parsed("audience", audience));
    let claim = |text: &str| trimmed(text, TokenScope::MAX_CLAIM);
    let claims = inner.required("claims", |inner| inner.list("claims", graphql_cache::MAX_SCOPES, claim));
    let is_set =
        |claims: &Vec<String>| claims.iter().collect::<BTreeSet<_>>().len() == claims.len() && !claims.is_empty();
    if claims.as_ref().is_some_and(|claims| !is_set(claims)) {
        inner.wrong::<()>("claims", Invalid::new("invalid_list", "must name 1 to 5 claims, each once"));
    }
    let errors = inner.into_errors();
    let is_read = errors.is_empty();
    fields.wrong_inside("token_scope", errors);
    audience.zip(claims).filter(|_| is_read).map(|(audience, claims)| TokenScope { audience, claims })
}

fn read_operations(fields: &mut Fields) -> BTreeMap<String, OperationLifetime> {
    let listed = fields.object("operations", usize::MAX).unwrap_or_default();
    if listed.len() > graphql_cache::MAX_OPERATIONS {
        let told = format!("must name at most {} operations", graphql_cache::MAX_OPERATIONS);
        fields.wrong::<()>("operations", Invalid::new("too_many", told));
        return BTreeMap::new();
    }
    let mut operations = BTreeMap::new();
    for (name, value) in listed {
        let path = format!("operations/{}", pointer::escape(&name));
        let is_name = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let Value::Object(members) = value else {
            fields.wrong::<()>(&path, Invalid::new("invalid_type", "must be an object"));
            continue;
        };
        if name.is_empty() || name.len() > 128 || !is_name(&name) {
            fields.wrong::<()>(&path, Invalid::new("invalid_name", "must be the name of an operation"));
            continue;
        }
        let mut inner = Fields::new(members);
        let own = OperationLifetime {
            fresh_seconds: bounded_number(&mut inner, graphql_cache::FRESH),
            stale_while_revalidate_seconds: bounded_number(&mut inner, graphql_cache::STALE_WHILE_REVALIDATE),
            stale_if_error_seconds: bounded_number(&mut inner, graphql_cache::STALE_IF_ERROR),
        };
        fields.wrong_inside(&path, inner.into_errors());
        operations.insert(name, own);
    }
    operations
}

fn read_graphql(fields: &mut Fields) -> GraphqlSettings {
    let mut inner = Fields::new(fields.object("graphql", usize::MAX).unwrap_or_default());
    let mut number = |bounded: Bounded| {
        let read = inner.number(bounded.name, i64::from(bounded.least)..=i64::from(bounded.most));
        read.and_then(|number| u32::try_from(number).ok()).unwrap_or(bounded.default)
    };
    let (max_query_bytes, max_depth) = (number(graphql_settings::QUERY_BYTES), number(graphql_settings::DEPTH));
    let (max_aliases, max_fields) = (number(graphql_settings::ALIASES), number(graphql_settings::FIELDS));
    let (max_batch, max_upload_bytes) = (number(graphql_settings::BATCH), number(graphql_settings::UPLOAD_BYTES));
    let timeout_ms = number(graphql_settings::TIMEOUT);
    let introspection = inner.parsed("introspection", |text| {
        Introspection::parse(text).ok_or_else(|| Invalid::new("invalid_value", "must be off, members or on"))
    });
    let documents = inner.parsed("documents", |text| {
        DocumentRule::parse(text).ok_or_else(|| Invalid::new("invalid_value", "must be any or registered"))
    });
    let send_site_key = inner.flag("send_site_key").unwrap_or(false);
    let graphiql = inner.flag("graphiql").unwrap_or(false);
    let parameters = inner.list("pass_parameters", graphql_settings::MAX_PARAMETERS, graphql_settings::parse_parameter);
    let cache = read_cache(&mut inner);
    fields.wrong_inside("graphql", inner.into_errors());
    GraphqlSettings {
        introspection: introspection.unwrap_or_default(),
        documents: documents.unwrap_or_default(),
        max_query_bytes,
        max_depth,
        max_aliases,
        max_fields,
        max_batch,
        max_upload_bytes,
        timeout_ms,
        send_site_key,
        graphiql,
        pass_parameters: parameters.unwrap_or_else(|| GraphqlSettings::default().pass_parameters),
        cache,
    }
}

/// Reads issuers, leaving out those with mistakes.
fn read_issuers(fields: &mut Fields, may_call: MayCall<'_>) -> Vec<Issuer> {
    let mut issuers: Vec<Issuer> = Vec::new();
    let listed = match fields.take("issuers") {
        None => return issuers,
        Some(Value::Array(listed)) if listed.len() <= MAX_ISSUERS => listed,
        Some(Value::Array(_)) => {
            let message = format!("must have at most {MAX_ISSUERS} entries");
            fields.wrong::<()>("issuers", Invalid::new("too_many", message));
            return issuers;
        }
        Some(_) => {
            fields.wrong::<()>("issuers", Invalid::new("not_a_list", "must be an array"));
            return issuers;
        }
    };
    for (at, one) in listed.into_iter().enumerate() {
        let name = format!("issuers/{at}");
        let Value::Object(one) = one else {
            fields.wrong::<()>(&name, Invalid::new("not_an_object", "must be an object"));
            continue;
        };
        let mut one = Fields::new(one);
        let read = read_issuer(&mut one, &issuers, may_call);
        issuers.extend(read);
        fields.wrong_inside(&name, one.into_errors());
    }
    issuers
}

fn read_issuer(fields: &mut Fields, others: &[Issuer], may_call: MayCall<'_>) -> Option<Issuer> {
    let issuer = fields.required("issuer", |fields| {
        fields.parsed("issuer", |text| match others.iter().any(|other| other.issuer == text) {
            true => Err(Invalid::new("duplicate", "must be unique: another entry has the same issuer")),
            false => bounded(text, MAX_ISSUER),
        })
    });
    let jwks_url = fields
        .required("jwks_url", |fields| fields.parsed("jwks_url", |text| may_call(text).map(|()| text.to_owned())));
    let allows = fields.required("allows", |fields| fields.list("allows", 2, parse_action));
    if allows.as_ref().is_some_and(Vec::is_empty) {
        return fields.wrong("allows", Invalid::new("required", "must name publish, subscribe or both"));
    }
    Some(Issuer { issuer: issuer?, jwks_url: jwks_url?, allows: allows? })
}

fn parse_action(text: &str) -> Result<Action, Invalid> {
    Action::parse(text).ok_or_else(|| Invalid::new("unknown_action", "must be publish or subscribe"))
}

fn parse_content_type(text: &str) -> Result<String, Invalid> {
    let fits = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.len() <= 63
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'));
    if fits {
        return Ok(text.to_owned());
    }
    Err(Invalid::new("invalid_name", "must be 1 to 63 lower-case letters, digits, _ and -, a letter first"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::sign_in::Registration;
    use serde_json::json;

    fn read(settings: Value) -> (TenantSettings, Vec<String>) {
        let public = |text: &str| text.starts_with("https://").then_some(()).ok_or(Invalid::new("not_public", ""));
        let (read, errors) = TenantSettings::read(settings.as_object().unwrap(), &public);
        (read, errors.into_iter().map(|error| error.pointer).collect())
    }

    #[test]
    fn whoever_says_nothing_has_the_defaults() {
        let (read_empty, faults) = read(json!({}));
        assert_eq!(faults, [""; 0]);
        let policy = json!({"min_length": 10, "require_digit": false, "require_upper": false, "require_symbol": false,
            "forbid_email": false});
        let defaults = json!({"auto_publish": false, "content_types": ["blog_post"], "default_categories": ["Blog"],
            "seo_optimization": true, "custom_templates": {}, "workflow_approval": false, "registration": "closed",
            "password_policy": policy,
            "live": {"mode": "auto"},
            "mercure": {"compatibility": true, "anonymous": true, "subscriptions": false, "issuers": []},
            "graphql": {"introspection": "on", "documents": "any", "max_query_bytes": 65_536, "max_depth": 20, "max_aliases": 100,
                "max_fields": 2_000, "max_batch": 10, "max_upload_bytes": 0, "timeout_ms": 10_000,
                "send_site_key": false, "graphiql": false, "pass_parameters": ["lang", "_wpnonce"],
                "cache": {"enabled": true, "fresh_seconds": 60, "stale_while_revalidate_seconds": 60,
                    "stale_if_error_seconds": 3_600, "staleness_seconds": 5, "warm_up": 10, "untagged": false,
                    "purge_by_mutations": false, "scope_headers": [], "token_scope": null, "operations": {}}}});
        assert_eq!(read_empty.to_view(), defaults);
        let nulls: Map<String, Value> =
            defaults.as_object().unwrap().keys().map(|name| (name.clone(), Value::Null)).collect();
        assert_eq!(read(Value::Object(nulls)), (read_empty.clone(), vec![]));
        assert_eq!(read(defaults), (read_empty, vec![]));
    }

    #[test]
    fn what_is_set_holds() {
        let (read, faults) = read(json!({"auto_publish": true, "content_types": [], "default_categories": ["Grün"],
            "seo_optimization": false, "custom_templates": {"a": [1]}, "workflow_approval": true,
            "registration": "open", "password_policy": {"min_length": 12}, "mercure": {"compatibility": false,
            "issuers": [{"issuer": "urn:app", "jwks_url": "https://app.test/jwks", "allows": ["publish"]}]},
            "graphql": {"introspection": "members", "documents": "registered", "max_batch": 0, "send_site_key": true,
                "graphiql": true, "cache": {"warm_up": 0, "purge_by_mutations": true,
                    "token_scope": {"audience": "shop", "claims": ["role"]}}}}));
        assert_eq!(faults, [""; 0]);
        let graphql = GraphqlSettings {
            introspection: Introspection::Members,
            documents: DocumentRule::Registered,
            max_batch: 0,
            send_site_key: true,
            cache: CacheSettings {
                warm_up: 0,
                purge_by_mutations: true,
                token_scope: Some(TokenScope { audience: "shop".into(), claims: vec!["role".into()] }),
                ..CacheSettings::default()
            },
            graphiql: true,
            ..GraphqlSettings::default()
        };
        assert_eq!(read.graphql, graphql);
        assert!(read.auto_publish && !read.seo_optimization && read.workflow_approval);
        assert_eq!((read.content_types.len(), read.default_categories), (0, vec!["Grün".to_owned()]));
        assert_eq!(read.custom_templates.get("a"), Some(&json!([1])));
        assert_eq!((read.sign_in.registration, read.sign_in.passwords.min_length), (Registration::Open, 12));
        assert!(!read.mercure.compatibility && read.mercure.anonymous && !read.mercure.subscriptions);
        assert_eq!(read.mercure.issuers[0].allows, [Action::Publish]);
    }

    #[test]
    fn what_is_wrong_is_named_and_has_its_default() {
        let (defaults, _) = read(json!({}));
        let many = vec!["a"; MAX_LISTED + 1];
        let (read, mut faults) = read(json!({"auto_publish": 1, "content_types": ["ok", "Not Ok", 3],
            "default_categories": many, "seo_optimization": "yes", "custom_templates": [], "workflow_approval": {},
            "registration": "ajar", "password_policy": {"min_length": 1, "a/b": 1}, "theme": "dark", "x/y": null,
            "graphql": {"introspection": "ON", "documents": "all", "max_depth": 51, "timeout_ms": 499, "max_fields": 1.5, "depth": 3, "graphiql": "on",
                "pass_parameters": ["lang", "query"],
                "cache": {"warm_up": 51, "token_scope": {"claims": ["a", " b", "", "a"]}}}}));
        faults.sort();
        let expected = [
            "/auto_publish",
            "/content_types/1",
            "/content_types/2",
            "/custom_templates",
            "/default_categories",
            "/graphql/cache/token_scope/audience",
            "/graphql/cache/token_scope/claims/1",
            "/graphql/cache/token_scope/claims/2",
            "/graphql/cache/warm_up",
            "/graphql/depth",
            "/graphql/documents",
            "/graphql/graphiql",
            "/graphql/introspection",
            "/graphql/max_depth",
            "/graphql/max_fields",
            "/graphql/pass_parameters/1",
            "/graphql/timeout_ms",
            "/password_policy/a~1b",
            "/password_policy/min_length",
            "/registration",
            "/seo_optimization",
            "/theme",
            "/workflow_approval",
            "/x~1y",
        ];
        assert_eq!(faults, expected);
        assert_eq!(read, defaults);
    }

    #[test]
    fn each_fault_of_an_issuer_is_named() {
        let good = json!({"issuer": "a", "jwks_url": "https://a.test/", "allows": ["publish", "subscribe"]});
        for (change, pointer) in [
            (json!({"issuer": null}), "issuer"),
            (json!({"issuer": ""}), "issuer"),
            (json!({"issuer": "x".repeat(501)}), "issuer"),
            (json!({"issuer": "b"}), "issuer"),
            (json!({"jwks_url": null}), "jwks_url"),
            (json!({"jwks_url": "http://10.0.0.1/"}), "jwks_url"),
            (json!({"allows": null}), "allows"),
            (json!({"allows": []}), "allows"),
            (json!({"allows": ["publish", "delete"]}), "allows/1"),
            (json!({"allows": ["publish", "publish", "publish"]}), "allows"),
            (json!({"secret": "s"}), "secret"),
        ] {
            let mut one = good.clone();
            for (name, value) in change.as_object().unwrap() {
                one[name] = value.clone();
            }
            let first = json!({"issuer": "b", "jwks_url": "https://b.test/", "allows": ["subscribe"]});
            let (read, faults) = read(json!({"mercure": {"issuers": [first, one]}}));
            assert_eq!(faults, [format!("/mercure/issuers/1/{pointer}")], "{change}");
            assert!((1..=2).contains(&read.mercure.issuers.len()));
        }
        let six: Vec<Value> = (0..6).map(|n| json!({"issuer": n.to_string()})).collect();
        for (mercure, pointer) in [
            (json!([]), "/mercure"),
            (json!({"anonymous": "yes"}), "/mercure/anonymous"),
            (json!({"hub": true}), "/mercure/hub"),
            (json!({"issuers": {}}), "/mercure/issuers"),
            (json!({"issuers": ["a"]}), "/mercure/issuers/0"),
            (json!({"issuers": six}), "/mercure/issuers"),
        ] {
            let (read, faults) = read(json!({"mercure": mercure}));
            assert_eq!((faults, read.mercure.is_default()), (vec![pointer.to_owned()], true), "{mercure}");
        }
    }
}
