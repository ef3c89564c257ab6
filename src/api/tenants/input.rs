//! Bodies of the tenant API, checked field by field. They accept the fields of all older forms.

use domain::address::{MAX_RANGES, parse_range};
use domain::email::parse_email;
use serde_json::{Map, Value};

use crate::credentials::webhook_secret;
use crate::http::cors;
use crate::http::fields::Fields;
use crate::http::problem::Problem;
use crate::records::template::Template;
use crate::tenant::document::{self, Document};
use crate::tenant::record::{Profile, Status};
use crate::tenant::settings::MayCall;
use domain::clock::Timestamp;
use domain::error::Invalid;
use domain::host::{Host, RootDomain};
use domain::ids::{ClaimedTenant, Slug};
use domain::json;
use domain::plan::Overrides;

/// Most custom domains of a tenant.
pub const MAX_DOMAINS: usize = 50;
/// Most bytes of a JSON field that is stored as given.
const MAX_JSON: usize = 16 * 1024;
/// The plan of a tenant that names none.
const DEFAULT_PLAN: &str = "free";
/// Most origins of a tenant.
const MAX_ORIGINS: usize = 50;
/// Most templates that a tenant begins with.
const MAX_TEMPLATES: usize = 12;

/// The body of `POST /api/v1/tenants`.
#[derive(Debug)]
pub struct NewTenant {
    /// The id; none if one is to be generated.
    pub id: Option<ClaimedTenant>,
    /// The slug; none if it follows from the id.
    pub slug: Option<Slug>,
    /// The status: active, unless the body says otherwise.
    pub status: Status,
    /// Everything else.
    pub profile: Profile,
    /// Domains to attach; the first is the primary one.
    pub domains: Vec<Host>,
    /// The webhook secret; none if one is to be generated.
    pub webhook_secret: Option<String>,
    /// The subscription secret; none if one is to be generated.
    pub subscription_secret: Option<String>,
    /// The templates that its first collections are made from.
    pub templates: Vec<String>,
}

/// Converts an international name to punycode; none if it is not a name.
pub type ToAscii<'f> = &'f dyn Fn(&str) -> Option<String>;

/// What a body is checked against.
pub struct TenantBodyContext<'a> {
    /// The platform's root domain; custom domains must not be under it.
    pub root: &'a RootDomain,
    /// How international names become ASCII.
    pub to_ascii: ToAscii<'a>,
    /// Whether the plan that the body names is one of the platform's.
    pub plan_is_known: bool,
    /// Which URLs settings may name.
    pub may_call: MayCall<'a>,
    /// The slug that the tenant has; empty for a new one.
    pub slug: &'a str,
    /// The stored tenant; none for a new one.
    pub stored: Option<&'a Profile>,
    /// When it is read.
    pub now: Timestamp,
}

/// The plan that a body names, before the body is read.
pub fn named_plan(object: &Map<String, Value>) -> &str {
    let named = ["plan", "tier"].iter().find_map(|name| object.get(*name).and_then(Value::as_str));
    named.unwrap_or(DEFAULT_PLAN)
}

impl NewTenant {
    /// Reads the body.
    pub fn read(object: Map<String, Value>, context: &TenantBodyContext<'_>) -> Result<Self, Problem> {
        let mut fields = Fields::new(object);
        let id = fields.parsed("tenant_id", ClaimedTenant::parse);
        let slug = fields.parsed("slug", Slug::parse_new);
        let name = id.as_ref().map_or("Tenant", ClaimedTenant::as_str).to_owned();
        let status = fields.parsed("status", parse_status).unwrap_or(Status::Active);
        let profile = read_profile(&mut fields, &name, context);
        let domains = read_domains(&mut fields, context);
        let webhook_secret = fields.parsed("webhook_secret", webhook_secret::parse);
        let subscription_secret = fields.parsed("subscription_secret", webhook_secret::parse);
        let templates = read_templates(&mut fields);
        fields.finish()?;
        let domains = domains.unwrap_or_default();
        Ok(Self { id, slug, status, profile, domains, webhook_secret, subscription_secret, templates })
    }
}

/// The body of PUT and, once merged, of PATCH.
#[derive(Debug)]
pub struct TenantUpdate {
    /// Everything an operator sets.
    pub profile: Profile,
    /// The new slug, if one was sent.
    pub slug: Option<Slug>,
    /// The new status, if one was sent.
    pub status: Option<Status>,
    /// The new list of domains, if one was sent.
    pub domains: Option<Vec<Host>>,
}

impl TenantUpdate {
    /// Reads the body for a tenant of this id; the body may contain the id, but not another one.
    pub fn read(object: Map<String, Value>, id: &str, context: &TenantBodyContext<'_>) -> Result<Self, Problem> {
        let mut fields = Fields::new(object);
        fields.parsed("tenant_id", |text| {
            if text == id { Ok(()) } else { Err(Invalid::new("immutable", "cannot be changed")) }
        });
        let slug =
            fields.parsed("slug", |text| if text == context.slug { Slug::parse(text) } else { Slug::parse_new(text) });
        let status = fields.parsed("status", parse_status);
        let profile = read_profile(&mut fields, id, context);
        if status == Some(Status::Active) && profile.expires_at.is_some_and(|at| at <= context.now) {
            let message = "cannot be active: expires_at has passed. Give it a later one, or null for none";
            fields.wrong::<()>("status", Invalid::new("expired", message));
        }
        let domains = read_domains(&mut fields, context);
        fields.finish()?;
        Ok(Self { profile, slug, status, domains })
    }
}

/// A tenant's current body, for PATCH to merge into (RFC 7396).
pub fn writable(profile: &Profile) -> Map<String, Value> {
    let value = json!({
        "display_name": profile.display_name,
        "admin_email": profile.admin_email,
        "plan": profile.plan,
        "features": profile.features,
        "resources": profile.resources,
        "wpgraphql_endpoint": profile.wpgraphql_endpoint,
        "cors_origins": profile.cors_origins,
        "ip_allowlist": profile.ip_allowlist,
        "rate_limits": profile.rate_limits,
        "settings": profile.settings,
        "branding": profile.branding,
        "require_standard_webhooks": profile.require_standard_webhooks,
        "expires_at": profile.expires_at,
    });
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn parse_status(text: &str) -> Result<Status, Invalid> {
    match text {
        "active" => Ok(Status::Active),
        "suspended" => Ok(Status::Suspended),
        _ => Err(Invalid::new("invalid_status", "must be active or suspended; to delete a tenant, use DELETE")),
    }
}

fn read_domains(fields: &mut Fields, context: &TenantBodyContext<'_>) -> Option<Vec<Host>> {
    let mut domains =
        fields.list("custom_domains", MAX_DOMAINS, |text| parse_domain(text, context.root, context.to_ascii))?;
    let mut seen = std::collections::HashSet::new();
    domains.retain(|domain| seen.insert(domain.clone()));
    Some(domains)
}

/// `template` or `templates`: one name, or a list of them.
fn read_templates(fields: &mut Fields) -> Vec<String> {
    let name = if fields.has("templates") { "templates" } else { "template" };
    let sent = match fields.take(name) {
        None => Vec::new(),
        Some(Value::Array(sent)) if sent.len() <= MAX_TEMPLATES => {
            sent.into_iter().enumerate().map(|(i, name_of_one)| (format!("{name}/{i}"), name_of_one)).collect()
        }
        Some(Value::Array(_)) => {
            let message = format!("must have at most {MAX_TEMPLATES} entries");
            fields.wrong::<()>(name, Invalid::new("too_many", message));
            Vec::new()
        }
        Some(one) => vec![(name.to_owned(), one)],
    };
    let mut templates: Vec<String> = Vec::new();
    for (pointer, sent) in sent {
        match sent.as_str().filter(|text| Template::names().any(|known| known == *text)) {
            Some(text) if templates.iter().any(|known| known == text) => {}
            Some(text) => templates.push(text.to_owned()),
            None => {
                fields.wrong::<()>(&pointer, Invalid::new("unknown_template", "is not a template of this platform"));
            }
        }
    }
    templates
}

fn read_profile(fields: &mut Fields, id: &str, context: &TenantBodyContext<'_>) -> Profile {
    let (tier, plan) = (fields.text("tier", 63), fields.text("plan", 63));
    if !context.plan_is_known && (tier.is_some() || plan.is_some()) {
        let field = if plan.is_some() { "plan" } else { "tier" };
        fields.wrong::<()>(field, Invalid::new("unknown_plan", "is not a plan of this platform"));
    }
    if let (Some(tier), Some(plan)) = (&tier, &plan)
        && tier != plan
    {
        fields.wrong::<()>("tier", Invalid::new("contradiction", "must name the same plan as the field plan"));
    }
    Profile {
        display_name: fields.text("display_name", 200).unwrap_or_else(|| id.to_owned()),
        admin_email: fields.parsed("admin_email", parse_email),
        plan: plan.or(tier).unwrap_or_else(|| DEFAULT_PLAN.to_owned()),
        features: read_features(fields),
        resources: fields.object("resources", MAX_JSON).unwrap_or_default(),
        wpgraphql_endpoint: fields.parsed("wpgraphql_endpoint", |text| {
            let stored = context.stored.and_then(|stored| stored.wpgraphql_endpoint.as_deref());
            if stored == Some(text) { Ok(text.to_owned()) } else { parse_endpoint(text, context.may_call) }
        }),
        cors_origins: read_origins(fields, context),
        ip_allowlist: fields.list("ip_allowlist", MAX_RANGES, parse_range).unwrap_or_default(),
        rate_limits: fields.typed::<Overrides>("rate_limits").unwrap_or_default(),
        settings: read_document(fields, Document::Settings, context),
        branding: read_document(fields, Document::Branding, context),
        require_standard_webhooks: fields.flag("require_standard_webhooks").unwrap_or(false),
        expires_at: fields.parsed("expires_at", |text| {
            let stored = context.stored.and_then(|stored| stored.expires_at);
            let is_stored = stored.is_some() && Timestamp::parse_rfc3339(text).ok() == stored;
            if is_stored { Timestamp::parse_rfc3339(text) } else { Timestamp::parse_future(text, context.now) }
        }),
    }
}

/// Reads origins, each once, as browsers serialise them. One that is stored already stays, whatever it is: it was checked
/// by the rules of its time.
fn read_origins(fields: &mut Fields, context: &TenantBodyContext<'_>) -> Vec<String> {
    let stored = |text: &str| context.stored.is_some_and(|stored| stored.cors_origins.iter().any(|it| it == text));
    let parse = |text: &str| {
        let parsed = cors::parse_origin(text, context.to_ascii);
        parsed.or_else(|invalid| if stored(text) { Ok(text.to_owned()) } else { Err(invalid) })
    };
    let mut origins = fields.list("cors_origins", MAX_ORIGINS, parse).unwrap_or_default();
    let mut seen = std::collections::HashSet::new();
    origins.retain(|origin| seen.insert(origin.clone()));
    origins
}

fn read_features(fields: &mut Fields) -> Map<String, Value> {
    let features = fields.object("features", MAX_JSON).unwrap_or_default();
    for (name, value) in &features {
        if !value.is_boolean() {
            let pointer = format!("features/{name}");
            fields.wrong::<()>(&pointer, Invalid::new("not_a_flag", "must be true or false"));
        }
    }
    features
}

/// Reads settings or branding; only what differs from the stored document is checked.
fn read_document(fields: &mut Fields, document: Document, context: &TenantBodyContext<'_>) -> Map<String, Value> {
    let stored = context.stored.map(|stored| match document {
        Document::Settings => &stored.settings,
        Document::Branding => &stored.branding,
    });
    let name = document.as_str();
    let object = fields.object(name, document::MAX_BYTES).unwrap_or_default();
    fields.wrong_inside(name, document.faults(stored.unwrap_or(&Map::new()), &object, context.may_call));
    object
}

/// Reads a domain that a tenant may attach, in any spelling. It must be what the runtime's URL parser makes of it, so that
/// nobody reads it as another host.
pub fn parse_domain(text: &str, root: &RootDomain, to_ascii: ToAscii<'_>) -> Result<Host, Invalid> {
    let invalid = || Invalid::new("invalid_domain", "must be a domain name, such as blog.example.com");
    if text.is_ascii() {
        let host = root.custom_domain(text)?;
        return if to_ascii(host.as_str()).as_deref() == Some(host.as_str()) { Ok(host) } else { Err(invalid()) };
    }
    root.custom_domain(&to_ascii(text).ok_or_else(invalid)?)
}

/// Reads the URL of a GraphQL endpoint, which the platform calls; it is stored as written.
pub fn parse_endpoint(text: &str, may_call: MayCall<'_>) -> Result<String, Invalid> {
    may_call(text).map(|()| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn read(value: Value) -> Result<NewTenant, Problem> {
        let root = RootDomain::parse("localhost").unwrap();
        let context = TenantBodyContext {
            root: &root,
            to_ascii: &|name| Some(if name.is_ascii() { name.to_owned() } else { "xn--bcher-kva.example".into() }),
            plan_is_known: true,
            may_call: &|text| {
                domain::outbound::OutboundUrl::parse(text, &root, domain::outbound::Loopback::Refused).map(drop)
            },
            slug: "",
            stored: None,
            now: Timestamp::from_millis(0),
        };
        NewTenant::read(object(value), &context)
    }

    #[test]
    fn bodies_are_read() {
        let zero = serde_json::json!({"tenant_id": "customer_abc123", "wpgraphql_endpoint": "https://customer.example.com/graphql",
            "webhook_secret": "generated_webhook_secret", "subscription_secret": "generated_subscription_secret",
            "cors_origins": ["https://customer.example.com"],
            "rate_limits": {"max_concurrent_subscriptions": 100, "max_webhooks_per_minute": 1000}});
        assert_eq!(read(zero).unwrap().id.unwrap().as_str(), "customer_abc123");
        let one = serde_json::json!({"tenant_id": "acme-corp", "display_name": "ACME Corporation", "admin_email": "admin@acme.com",
            "tier": "pro", "features": {"content_automation": true}, "resources": {"cpu_limit": "2000m", "db_cores": 4},
            "custom_domains": ["blog.acme.com", "docs.acme.com", "BLOG.acme.com", "bücher.example"]});
        let one = read(one).unwrap();
        assert_eq!(one.profile.plan, "pro");
        assert_eq!(
            one.domains.iter().map(Host::as_str).collect::<Vec<_>>(),
            ["blog.acme.com", "docs.acme.com", "xn--bcher-kva.example"]
        );
    }

    #[test]
    fn templates_are_one_name_or_several() {
        for (body, expected) in [
            (serde_json::json!({}), vec![]),
            (serde_json::json!({"template": "blog"}), vec!["blog"]),
            (serde_json::json!({"templates": ["leads", "blog", "leads"]}), vec!["leads", "blog"]),
        ] {
            assert_eq!(read(body).unwrap().templates, expected);
        }
        for (body, pointer) in [
            (serde_json::json!({"template": "none"}), "/template"),
            (serde_json::json!({"template": 7}), "/template"),
            (serde_json::json!({"templates": ["blog", "none"]}), "/templates/1"),
            (serde_json::json!({"template": vec!["blog"; 13]}), "/template"),
            (serde_json::json!({"template": "blog", "templates": []}), "/template"),
        ] {
            assert_eq!(read(body).unwrap_err().errors[0].pointer, pointer);
        }
    }

    #[test]
    fn an_origin_that_is_stored_already_stands_in_nobodys_way() {
        let mut stored = read(serde_json::json!({})).unwrap().profile;
        // What an earlier version took.
        stored.cors_origins = vec!["https://a.2".into(), "https://www.example.com:443".into()];
        let root = RootDomain::parse("localhost").unwrap();
        let update = |origins: &[&str]| {
            let context = TenantBodyContext {
                root: &root,
                to_ascii: &|_| None,
                plan_is_known: true,
                slug: "acme",
                may_call: crate::tenant::settings::STORED,
                stored: Some(&stored),
                now: Timestamp::from_millis(0),
            };
            let body = object(serde_json::json!({"cors_origins": origins}));
            TenantUpdate::read(body, "acme", &context).map(|update| update.profile.cors_origins)
        };
        let kept = update(&["https://a.2", "https://www.example.com:443", "https://WWW.example.com"]).unwrap();
        assert_eq!(kept, ["https://a.2", "https://www.example.com"]);
        assert_eq!(update(&["https://b.2"]).unwrap_err().errors[0].pointer, "/cors_origins/0");
    }

    #[test]
    fn mistakes_name_their_fields() {
        let bad = serde_json::json!({"tenant_id": "A", "slug": "www", "tier": "pro", "plan": "free", "admin_email": "x",
            "features": {"sso": 1}, "settings": {"registration": "ajar"}, "wpgraphql_endpoint": "ftp://x", "cors_origins": ["*"], "custom_domains": ["a.localhost"],
            "webhook_secret": "short", "expires_at": "tomorrow", "surprise": 1});
        let problem = read(bad).unwrap_err();
        let mut pointers: Vec<_> = problem.errors.iter().map(|e| e.pointer.as_str()).collect();
        pointers.sort_unstable();
        assert_eq!(
            pointers,
            [
                "/admin_email",
                "/cors_origins/0",
                "/custom_domains/0",
                "/expires_at",
                "/features/sso",
                "/settings/registration",
                "/slug",
                "/surprise",
                "/tenant_id",
                "/tier",
                "/webhook_secret",
                "/wpgraphql_endpoint"
            ]
        );
    }
}
