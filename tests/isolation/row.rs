//! The rows: for each route of the table, what a right request to it looks like.

use carillon::routes::{self, Endpoint, Surface};
use serde_json::{Value, json};

use super::fixture::{Fixture, TOPIC};
use crate::world::{PASSWORD, ROOT, unique};

/// What paths name of a tenant's own, by the segment before it.
const OBJECTS: [&str; 12] = [
    "api-keys",
    "clients",
    "collections",
    "documents",
    "invitations",
    "operators",
    "platform-keys",
    "providers",
    "roles",
    "sessions",
    "sso",
    "users",
];

/// The collection that every fixture has.
pub const COLLECTION: &str = "notes";

/// What the file is called that the fixture's record holds.
pub const FILE: &str = "a.txt";

/// One way to one operation on one host: a route's own path or one of its aliases.
pub struct RouteUnderTest {
    pub method: String,
    pub pattern: String,
    /// The route's own path, its parameters nameless: what the row is found by.
    canonical: String,
    /// The host it is tried on.
    pub surface: Surface,
    /// Whether it is one more way to an operation that has its own.
    pub is_alias: bool,
    pub endpoint: Endpoint,
    /// Whether it refuses parameters of the query that it does not know.
    pub refuses_unknown: bool,
}

impl RouteUnderTest {
    pub fn names_a_tenant(&self) -> bool {
        self.pattern.contains("{tenant_id}")
    }

    /// Whether its path is the tenant's address, as a host is: whoever names it there comes to it.
    pub fn is_an_address(&self) -> bool {
        self.surface == Surface::Platform && matches!(self.endpoint, Endpoint::Visitor(..))
    }

    /// Whether nothing is changed by it.
    pub fn only_reads(&self) -> bool {
        matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS")
    }

    /// Whether the path names something that belongs to a tenant.
    pub fn names_an_object(&self) -> bool {
        self.object().is_some()
    }

    /// What kind of thing the path's last parameter names, where it is a tenant's own.
    fn object(&self) -> Option<&'static str> {
        if self.pattern.contains("{record_id}") {
            return Some(if self.pattern.ends_with("{record_id}/restore") { "buried" } else { "records" });
        }
        OBJECTS.iter().copied().find(|kind| self.pattern.contains(&format!("/{kind}/{{")))
    }

    /// The path, filled in for a fixture.
    pub fn path(&self, fixture: &Fixture) -> String {
        self.path_to(fixture, fixture)
    }

    /// The path, filled in for a fixture, with an object of `owner`'s.
    pub fn path_to(&self, fixture: &Fixture, owner: &Fixture) -> String {
        let mut segments: Vec<String> = Vec::new();
        for segment in self.pattern.split('/') {
            segments.push(match (segment.starts_with('{'), segments.last()) {
                _ if segment == "{record_id}" => owner.object(self.object().unwrap()),
                _ if segment == "{version}" => "1".to_owned(),
                _ if segment == "{first}" => "exact".to_owned(),
                _ if segment == "{second}" => TOPIC.to_owned(),
                _ if segment == "{third}" => "urn:uuid:nobody".to_owned(),
                _ if segment == "{name}" => FILE.to_owned(),
                _ if segment == "{token}" => "nobody-signed-this".to_owned(),
                _ if segment == "{template}" => "leads".to_owned(),
                (true, Some(before)) if segment == "{collection}" && before != "collections" => COLLECTION.to_owned(),
                (false, _) => segment.to_owned(),
                (true, Some(before)) => match before.as_str() {
                    "tenants" | "grants" | "graphql" => fixture.tenant.id.clone(),
                    "domains" => fixture.domain.clone(),
                    "secrets" => "webhook".to_owned(),
                    kind if OBJECTS.contains(&kind) => owner.object(kind),
                    other => panic!("what stands behind {other} in {}?", self.pattern),
                },
                (true, None) => panic!("{} begins with a parameter", self.pattern),
            });
        }
        segments.join("/")
    }
}

/// Every door of the table.
pub fn doors() -> Vec<RouteUnderTest> {
    let mut doors = Vec::new();
    for route in routes::all() {
        for pattern in route.paths() {
            let hosts = match route.surface {
                Surface::Both => vec![Surface::Tenant, Surface::Platform],
                one => vec![one],
            };
            doors.extend(hosts.into_iter().map(|surface| RouteUnderTest {
                method: route.method.to_string(),
                is_alias: pattern != route.path,
                pattern: pattern.clone(),
                canonical: nameless(route.path),
                surface,
                endpoint: route.endpoint,
                refuses_unknown: routes::query::refuses_unknown(route),
            }));
        }
    }
    doors
}

/// `/a/{b}/c` as `/a/{}/c`.
fn nameless(path: &str) -> String {
    let nameless = |segment: &str| {
        if segment.starts_with('{') { "{}".to_owned() } else { segment.to_owned() }
    };
    path.split('/').map(nameless).collect::<Vec<_>>().join("/")
}

/// Who may use a route.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Right {
    Anybody,
    Platform,
    /// The tenant's site, by its webhook's signature.
    Site,
    /// A subscriber, by a token.
    Subscriber,
    /// Somebody who may publish, by a token of Mercure's.
    Publisher,
    /// Whoever acts in the tenant, by a key.
    Member,
    /// A user of the tenant, by a session.
    User,
    /// A person of the platform, by a session.
    Operator,
}

impl Right {
    /// Whether it is somebody's who acts, and not a visitor's or a site's.
    pub fn is_a_principals(self) -> bool {
        matches!(self, Right::Member | Right::User | Right::Operator)
    }
}

/// A right request to a route, and what it gets.
pub struct Row {
    pub right: Right,
    /// The status of success.
    pub ok: u16,
    pub body: Option<fn(&Fixture) -> Value>,
    /// A form in place of a body.
    pub form: Option<&'static str>,
    pub query: &'static [(&'static str, &'static str)],
    /// Whether the answer to the right credential shows the tenant's secret canary.
    pub shows: bool,
    /// Whether two equal requests may get bodies that differ.
    pub volatile: bool,
    /// Whether a request makes its subject, which must not exist before.
    pub creates: bool,
    /// Whether it is a principal's, and strangers are told something too.
    pub open: bool,
}

const OPERATOR: Row = Row {
    right: Right::Platform,
    ok: 200,
    body: None,
    form: None,
    query: &[],
    shows: false,
    volatile: false,
    creates: false,
    open: false,
};
const MEMBER: Row = Row { right: Right::Member, ..OPERATOR };
const PUBLIC: Row = Row { right: Right::Anybody, ..OPERATOR };
const SUBSCRIBE: Row = Row { query: &[("topic", TOPIC)], ..PUBLIC };

impl Row {
    /// The row of a door's route; a route without one fails the matrix.
    pub fn of(door: &RouteUnderTest) -> Option<Row> {
        let row = match (door.method.as_str(), door.canonical.as_str()) {
            ("GET" | "HEAD", "/health") => Row { volatile: true, ..PUBLIC },
            ("GET", "/api/v1/tenants") => OPERATOR,
            ("POST", "/api/v1/tenants") => Row { ok: 201, body: Some(|_| json!({})), creates: true, ..OPERATOR },
            ("GET", "/api/v1/tenants/{}") => Row { shows: true, ..OPERATOR },
            ("PUT" | "PATCH", "/api/v1/tenants/{}") => {
                Row { body: Some(|_| json!({"display_name": "changed"})), ..OPERATOR }
            }
            ("DELETE", "/api/v1/tenants/{}") => OPERATOR,
            ("GET", "/api/v1/tenants/{}/domains") => OPERATOR,
            ("POST", "/api/v1/tenants/{}/domains") => {
                let body = |fixture: &Fixture| json!({"domain": format!("new-{}", fixture.domain)});
                Row { ok: 201, body: Some(body), ..OPERATOR }
            }
            ("DELETE", "/api/v1/tenants/{}/domains/{}") => OPERATOR,
            ("PATCH", "/api/v1/tenants/{}/domains/{}") => {
                Row { body: Some(|_| json!({"is_primary": true})), ..OPERATOR }
            }
            ("POST", "/api/v1/tenants/{}/domains/{}/verify") => OPERATOR,
            ("POST", "/api/v1/tenants/{}/domains/{}/vouch") => {
                Row { body: Some(|_| json!({"reason": "we know them"})), ..OPERATOR }
            }
            ("POST", "/api/v1/tenants/{}/secrets/{}/rotate") => {
                Row { body: Some(|_| json!({"grace_seconds": 60})), ..OPERATOR }
            }
            ("GET", "/api/v1/tenants/{}/health") => OPERATOR,
            ("POST", "/webhook") => Row { right: Right::Site, ok: 202, body: Some(webhook), ..OPERATOR },
            ("GET", "/events") => Row { shows: true, ..SUBSCRIBE },
            ("HEAD", "/events") => SUBSCRIBE,
            ("PUT", "/events") => Row { right: Right::Subscriber, ok: 201, ..OPERATOR },
            ("GET", "/.well-known/mercure") => Row { shows: true, query: &[("match", TOPIC)], ..PUBLIC },
            ("POST", "/.well-known/mercure") => {
                Row { right: Right::Publisher, form: Some("topic=elsewhere&data=x"), volatile: true, ..OPERATOR }
            }
            ("GET", "/.well-known/mercure/subscriptions/{}/{}/{}") => {
                Row { right: Right::Subscriber, ok: 404, ..OPERATOR }
            }
            ("GET", path) if path.starts_with("/.well-known/mercure/subscriptions") => {
                // Who subscribes to the attacker's own topics is another in each moment.
                Row { right: Right::Subscriber, volatile: true, ..OPERATOR }
            }
            ("GET", "/.well-known/oauth-protected-resource/.well-known/mercure") => PUBLIC,
            ("OPTIONS", "/events") => Row { ok: 204, ..PUBLIC },
            ("GET" | "HEAD", "/graphql" | "/graphql/{}") => Row { query: &[("query", "{a}")], ..PUBLIC },
            // A megabyte of the build's in each cell, which is not compared.
            ("GET" | "HEAD", "/graphql/assets/graphiql.js" | "/graphql/assets/graphiql.css") => {
                Row { volatile: true, ..PUBLIC }
            }
            ("POST", "/graphql" | "/graphql/{}") => Row { body: Some(|_| json!({"query": "{a}"})), ..PUBLIC },
            ("POST", "/api/v1/cache/purge") => {
                Row { body: Some(|_| json!({"keys": ["list:post"]})), volatile: true, ..MEMBER }
            }
            ("GET", "/api/v1/cache/stats") => Row { volatile: true, ..MEMBER },
            ("POST", "/api/v1/cache/explain") => {
                Row { body: Some(|_| json!({"query": "{a}"})), volatile: true, ..MEMBER }
            }
            ("GET", "/api/v1/documents" | "/api/v1/documents/{}") => Row { shows: true, ..MEMBER },
            ("PUT", "/api/v1/documents") => {
                let one = |_: &Fixture| json!({"documents": [{"text": format!("{{a{}}}", unique())}]});
                Row { body: Some(one), volatile: true, ..MEMBER }
            }
            ("DELETE", "/api/v1/documents/{}") => MEMBER,
            ("GET" | "HEAD", "/events/diagnose") => Row { volatile: true, ..PUBLIC },
            ("GET" | "HEAD", "/") => PUBLIC,
            ("GET" | "HEAD", "/.well-known/jwks.json") => PUBLIC,
            ("GET", "/api/v1/openapi.json") if door.surface == Surface::Tenant => {
                Row { shows: true, open: true, ..MEMBER }
            }
            ("GET", "/api/v1/openapi.json") => PUBLIC,
            // Its number is another in each answer.
            ("GET" | "HEAD", "/docs") => Row { volatile: true, ..PUBLIC },
            ("GET", "/api/v1/api-keys" | "/api/v1/api-keys/{}") => Row { shows: true, ..MEMBER },
            ("POST", "/api/v1/api-keys") => Row {
                ok: 201,
                body: Some(|_| json!({"name": "new", "scopes": ["users:read"]})),
                volatile: true,
                ..MEMBER
            },
            ("PATCH", "/api/v1/api-keys/{}") => Row { body: Some(|_| json!({"name": "changed"})), ..MEMBER },
            ("POST", "/api/v1/api-keys/{}/reroll") => {
                Row { body: Some(|_| json!({"grace_seconds": 0})), volatile: true, ..MEMBER }
            }
            ("DELETE", "/api/v1/api-keys/{}") => MEMBER,
            ("POST", "/api/v1/tenant/config") => Row { body: Some(|_| json!({})), shows: true, ..MEMBER },
            ("POST", "/api/v1/subscriber-tokens") => {
                Row { ok: 201, body: Some(|_| json!({"topics": ["a"]})), volatile: true, ..MEMBER }
            }
            ("GET", "/api/v1/settings") => Row { shows: true, ..MEMBER },
            ("PATCH", "/api/v1/settings") => {
                Row { body: Some(|_| json!({"auto_publish": true})), shows: true, ..MEMBER }
            }
            ("GET", "/api/v1/branding" | "/branding.css") => PUBLIC,
            ("PATCH", "/api/v1/branding") => Row { body: Some(|_| json!({"variables": {"--brand": "red"}})), ..MEMBER },
            _ => {
                return sign_in(door)
                    .or_else(|| people(door))
                    .or_else(|| records(door))
                    .or_else(|| files(door))
                    .or_else(|| platform(door));
            }
        };
        Some(row)
    }
}

fn webhook(fixture: &Fixture) -> Value {
    json!({
        "tenant_id": fixture.tenant.id,
        "node_type": "Post",
        "action": "update",
        "channels": [TOPIC],
    })
}

/// The host where a fixture's requests to this door go.
pub fn host(door: &RouteUnderTest, fixture: &Fixture) -> String {
    match door.surface {
        Surface::Platform => ROOT.to_owned(),
        _ => fixture.tenant.host.clone(),
    }
}

/// Rows of signing in. Tries are counted and mails carry the tokens, so strangers ask, and the right request gets
/// its refusal.
fn sign_in(door: &RouteUnderTest) -> Option<Row> {
    let body = |body: fn(&Fixture) -> Value, ok| Row { ok, body: Some(body), volatile: true, ..PUBLIC };
    let user = Row { right: Right::User, volatile: true, ..OPERATOR };
    let row = match (door.method.as_str(), door.canonical.as_str()) {
        ("POST", "/api/v1/auth/register") => {
            body(|_| json!({"email": format!("{}@new.example", unique()), "password": PASSWORD}), 403)
        }
        ("POST", "/api/v1/auth/verify-email") => body(|_| json!({"token": "nobody mailed this"}), 400),
        ("POST", "/api/v1/auth/login") => {
            body(|_| json!({"email": format!("{}@new.example", unique()), "password": PASSWORD}), 401)
        }
        ("POST", "/api/v1/auth/refresh") => body(|_| json!({"refresh_token": "nobody was given this"}), 401),
        ("POST", "/api/v1/auth/password/forgot") => {
            body(|_| json!({"email": format!("{}@new.example", unique())}), 202)
        }
        ("POST", "/api/v1/auth/password/reset") => {
            body(|_| json!({"token": "nobody mailed this", "password": PASSWORD}), 400)
        }
        ("POST", "/api/v1/invitations/accept") => body(
            |_| json!({"token": "nobody mailed this", "email": format!("{}@new.example", unique()), "password": PASSWORD}),
            404,
        ),
        ("GET", "/api/v1/auth/sso") => PUBLIC,
        ("GET", "/api/v1/auth/sso/callback") => Row { ok: 400, ..PUBLIC },
        // No provider is there to be reached.
        ("GET", "/api/v1/auth/sso/{}") => Row { ok: 503, ..PUBLIC },
        ("POST", "/api/v1/auth/verify-email/resend") => Row { ok: 202, ..user },
        ("GET", "/api/v1/auth/me") => Row { shows: true, ..user },
        ("GET", "/api/v1/auth/sessions") => user,
        ("DELETE", "/api/v1/auth/sessions") => user,
        ("POST", "/api/v1/auth/logout") | ("DELETE", "/api/v1/auth/sessions/{}") => Row { ok: 204, ..user },
        ("POST", "/api/v1/auth/password") => {
            let change = |_: &Fixture| json!({"current_password": PASSWORD, "new_password": "another battery staple"});
            Row { body: Some(change), ..user }
        }
        _ => return None,
    };
    Some(row)
}

/// Rows of who belongs to a tenant, and of its providers.
fn people(door: &RouteUnderTest) -> Option<Row> {
    let creates = |body: fn(&Fixture) -> Value| Row { ok: 201, body: Some(body), volatile: true, ..MEMBER };
    let changes = |body: fn(&Fixture) -> Value| Row { body: Some(body), volatile: true, ..MEMBER };
    let row = match (door.method.as_str(), door.canonical.as_str()) {
        ("GET", "/api/v1/users" | "/api/v1/users/{}" | "/api/v1/roles" | "/api/v1/roles/{}") => {
            Row { shows: true, ..MEMBER }
        }
        ("GET", "/api/v1/invitations" | "/api/v1/invitations/{}") => Row { shows: true, ..MEMBER },
        ("GET", "/api/v1/sso/providers" | "/api/v1/sso/providers/{}") => Row { shows: true, ..MEMBER },
        ("GET", "/api/v1/permissions" | "/api/v1/sso/clients" | "/api/v1/sso/clients/{}") => MEMBER,
        ("GET", "/api/v1/audit") => Row { volatile: true, ..MEMBER },
        ("POST", "/api/v1/users" | "/api/v1/invitations") => {
            creates(|_| json!({"email": format!("{}@new.example", unique()), "role": "viewer"}))
        }
        ("POST", "/api/v1/roles") => {
            creates(|_| json!({"name": format!("r{}", unique()), "permissions": ["users:read"]}))
        }
        ("POST", "/api/v1/sso/providers") => creates(
            |_| json!({"id": format!("p{}", unique()), "name": "New", "issuer": "https://issuer.example", "client_id": "c"}),
        ),
        ("PATCH", "/api/v1/users/{}" | "/api/v1/sso/providers/{}") => changes(|_| json!({"name": "Changed"})),
        ("PATCH", "/api/v1/roles/{}") => changes(|_| json!({"description": "changed"})),
        ("PUT", "/api/v1/sso/clients/{}") => changes(|_| json!({"redirect_uris": ["https://app.example/callback"]})),
        ("POST", "/api/v1/sso/clients/{}/rotate") => Row { volatile: true, ..MEMBER },
        ("POST", "/api/v1/sso/clients/{}/verify") => changes(|_| json!({"client_secret": "nobody was told this"})),
        ("POST", "/api/v1/users/{}/sessions/revoke" | "/api/v1/auth/revoke-all") => MEMBER,
        ("POST", "/api/v1/invitations/{}/resend") => Row { volatile: true, ..MEMBER },
        ("DELETE", "/api/v1/users/{}" | "/api/v1/roles/{}" | "/api/v1/invitations/{}") => MEMBER,
        ("DELETE", "/api/v1/sso/providers/{}" | "/api/v1/sso/clients/{}") => MEMBER,
        _ => return None,
    };
    Some(row)
}

/// Rows of collections and their records.
fn records(door: &RouteUnderTest) -> Option<Row> {
    let creates = |body: fn(&Fixture) -> Value| Row { ok: 201, body: Some(body), volatile: true, ..MEMBER };
    let changes = |body: fn(&Fixture) -> Value| Row { body: Some(body), volatile: true, ..MEMBER };
    let shows = Row { shows: true, ..MEMBER };
    let row = match (door.method.as_str(), door.canonical.as_str()) {
        ("GET", "/api/v1/templates" | "/api/v1/tenants/{}/stats") => MEMBER,
        ("GET", "/api/v1/tenants/{}/storage") => Row { volatile: true, ..MEMBER },
        ("POST", "/api/v1/tenants/{}/storage/recount") => Row { volatile: true, ok: 202, ..MEMBER },
        ("POST", "/api/v1/templates/{}/apply" | "/api/v1/collections/{}/reindex") => Row { volatile: true, ..MEMBER },
        ("GET", "/api/v1/collections" | "/api/v1/collections/{}") => shows,
        ("POST", "/api/v1/collections") => {
            creates(|_| json!({"slug": format!("c{}", unique()), "schema": {"type": "object", "properties": {}}}))
        }
        ("PATCH", "/api/v1/collections/{}") => changes(|_| json!({"name": "changed"})),
        ("DELETE", "/api/v1/collections/{}" | "/api/v1/{}/{}") => MEMBER,
        ("GET", "/api/v1/{}" | "/api/v1/{}/{}" | "/api/v1/{}/{}/versions/{}") => shows,
        ("GET", "/api/v1/{}/{}/versions/{}/diff") => shows,
        ("GET", "/api/v1/{}/{}/versions") => Row { volatile: true, ..MEMBER },
        ("POST", "/api/v1/{}") => creates(|_| json!({"text": "new"})),
        ("POST", "/api/v1/{}/bulk") => changes(|_| json!({"operations": [{"op": "create", "data": {"text": "new"}}]})),
        ("PATCH" | "PUT", "/api/v1/{}/{}") => changes(|_| json!({"text": "changed"})),
        ("POST", "/api/v1/{}/{}/restore" | "/api/v1/{}/{}/versions/{}/restore") => Row { volatile: true, ..MEMBER },
        _ => return None,
    };
    Some(row)
}

/// Rows of files. What is behind a signature gets its refusal: who is given one is asked by the members' own routes.
fn files(door: &RouteUnderTest) -> Option<Row> {
    let made = Row { ok: 201, volatile: true, ..MEMBER };
    let row = match (door.method.as_str(), door.canonical.as_str()) {
        ("POST", "/api/v1/{}/{}/file") => {
            Row { body: Some(|_| json!({"name": "a.png", "content_type": "image/png", "size": 3})), ..made }
        }
        ("PUT", "/api/v1/{}/{}/file") => Row { body: Some(|_| json!({})), query: &[("name", "a.json")], ..made },
        ("GET", "/api/v1/{}/{}/file") => Row { shows: true, volatile: true, ..MEMBER },
        ("DELETE", "/api/v1/{}/{}/file") => MEMBER,
        ("PUT", "/uploads/{}") => Row { ok: 403, ..PUBLIC },
        ("GET" | "HEAD", "/media/{}/{}/{}") => Row { ok: 404, ..PUBLIC },
        _ => return None,
    };
    Some(row)
}

/// Rows of the platform's own people and keys; no tenant's data is behind them.
fn platform(door: &RouteUnderTest) -> Option<Row> {
    let platform = Row { volatile: true, ..OPERATOR };
    let session = Row { right: Right::Operator, volatile: true, ..OPERATOR };
    let with = |row: Row, ok, body: fn(&Fixture) -> Value| Row { ok, body: Some(body), ..row };
    let row = match (door.method.as_str(), door.canonical.as_str()) {
        ("POST", "/api/v1/operators/login") => Row {
            volatile: true,
            ..with(PUBLIC, 401, |_| json!({"email": format!("{}@no.example", unique()), "password": "x"}))
        },
        ("POST", "/api/v1/operators/logout") => Row { ok: 204, ..session },
        ("GET", "/api/v1/operators/me" | "/api/v1/operators/me/tenants") => session,
        ("POST", "/api/v1/auth/switch") => with(session, 200, |fixture| json!({"tenant_id": fixture.tenant.id})),
        ("POST", "/api/v1/auth/impersonate") => with(
            session,
            200,
            |fixture| json!({"tenant_id": fixture.tenant.id, "user_id": fixture.object("users"), "reason": "the matrix asks"}),
        ),
        ("POST", "/api/v1/operators") => with(platform, 201, |_| {
            let email = format!("{}@platform.example", unique());
            json!({"email": email, "name": "New", "password": PASSWORD, "role": "support"})
        }),
        ("POST", "/api/v1/platform-keys") => {
            with(platform, 201, |_| json!({"name": "new", "permissions": ["tenants:read"]}))
        }
        ("PATCH", "/api/v1/operators/{}" | "/api/v1/platform-keys/{}") => {
            with(platform, 200, |_| json!({"name": "changed"}))
        }
        ("PUT", "/api/v1/operators/{}/grants/{}") => with(platform, 200, |_| json!({"role": "viewer"})),
        ("GET", "/api/v1/operators" | "/api/v1/operators/{}") => platform,
        ("GET", "/api/v1/platform-keys" | "/api/v1/platform-keys/{}") => platform,
        ("GET", "/api/v1/signing-keys" | "/api/v1/keys") => platform,
        ("DELETE", "/api/v1/operators/{}" | "/api/v1/operators/{}/grants/{}" | "/api/v1/platform-keys/{}") => platform,
        ("POST", "/api/v1/platform-keys/{}/reroll" | "/api/v1/keys/rewrap") => platform,
        ("POST", "/api/v1/signing-keys/rotate") => Row { ok: 201, ..platform },
        _ => return None,
    };
    Some(row)
}
