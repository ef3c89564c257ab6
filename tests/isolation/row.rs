//! The rows: for each route of the table, what a right request to it looks like.

use carillon::routes::{self, Access, Surface};
use serde_json::{Value, json};

use super::party::{Party, TOPIC};
use crate::world::ROOT;

/// What paths name of a tenant's own, by the segment before it.
const OBJECTS: [&str; 1] = ["api-keys"];

/// One way to one operation on one host: a route's own path or one of its aliases.
pub struct Door {
    pub method: String,
    pub pattern: String,
    /// The route's own path, its parameters nameless: what the row is found by.
    canonical: String,
    /// The host it is tried on.
    pub surface: Surface,
    /// Whether it is one more way to an operation that has its own.
    pub is_alias: bool,
    pub access: Access,
}

impl Door {
    pub fn names_a_tenant(&self) -> bool {
        self.pattern.contains("/tenants/{")
    }

    /// Whether the path names something that belongs to a tenant.
    pub fn names_an_object(&self) -> bool {
        self.object().is_some()
    }

    /// What kind of thing the path's last parameter names, where it is a tenant's own.
    fn object(&self) -> Option<&'static str> {
        OBJECTS.iter().copied().find(|kind| self.pattern.contains(&format!("/{kind}/{{")))
    }

    /// The path, filled in for a party.
    pub fn path(&self, party: &Party) -> String {
        self.path_to(party, party)
    }

    /// The path, filled in for a party, with an object of `owner`'s.
    pub fn path_to(&self, party: &Party, owner: &Party) -> String {
        let mut segments: Vec<String> = Vec::new();
        for segment in self.pattern.split('/') {
            segments.push(match (segment.starts_with('{'), segments.last()) {
                (false, _) => segment.to_owned(),
                (true, Some(before)) => match before.as_str() {
                    "tenants" => party.tenant.id.clone(),
                    "domains" => party.domain.clone(),
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
pub fn doors() -> Vec<Door> {
    let mut doors = Vec::new();
    for route in routes::all() {
        for pattern in std::iter::once(&route.path).chain(route.aliases) {
            let hosts = match route.surface {
                Surface::Both => vec![Surface::Tenant, Surface::Platform],
                one => vec![one],
            };
            doors.extend(hosts.into_iter().map(|surface| Door {
                method: route.method.to_string(),
                pattern: (*pattern).to_owned(),
                canonical: nameless(route.path),
                surface,
                is_alias: *pattern != route.path,
                access: route.access,
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
    /// Whoever acts in the tenant, by a key.
    Member,
}

/// A right request to a route, and what it gets.
pub struct Row {
    pub right: Right,
    /// The status of success.
    pub ok: u16,
    pub body: Option<fn(&Party) -> Value>,
    pub query: &'static [(&'static str, &'static str)],
    /// Whether the answer to the right credential shows the tenant's secret canary.
    pub shows: bool,
    /// Whether two equal requests may get bodies that differ.
    pub volatile: bool,
    /// Whether a request makes its subject, which must not exist before.
    pub creates: bool,
}

const OPERATOR: Row =
    Row { right: Right::Platform, ok: 200, body: None, query: &[], shows: false, volatile: false, creates: false };
const MEMBER: Row = Row { right: Right::Member, ..OPERATOR };
const PUBLIC: Row = Row { right: Right::Anybody, ..OPERATOR };
const SUBSCRIBE: Row = Row { query: &[("topic", TOPIC)], ..PUBLIC };

impl Row {
    /// The row of a door's route; a route without one fails the matrix.
    pub fn of(door: &Door) -> Option<Row> {
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
                let body = |party: &Party| json!({"domain": format!("new-{}", party.domain)});
                Row { ok: 201, body: Some(body), ..OPERATOR }
            }
            ("DELETE", "/api/v1/tenants/{}/domains/{}") => OPERATOR,
            ("POST", "/api/v1/tenants/{}/secrets/{}/rotate") => {
                Row { body: Some(|_| json!({"grace_seconds": 60})), ..OPERATOR }
            }
            ("GET", "/api/v1/tenants/{}/health") => OPERATOR,
            ("POST", "/webhook") => Row { right: Right::Site, ok: 202, body: Some(webhook), ..OPERATOR },
            ("GET", "/events") => Row { shows: true, ..SUBSCRIBE },
            ("HEAD", "/events") => SUBSCRIBE,
            ("PUT", "/events") => Row { right: Right::Subscriber, ok: 201, ..OPERATOR },
            ("OPTIONS", "/events") => Row { ok: 204, ..PUBLIC },
            ("GET" | "HEAD", "/events/diagnose") => Row { volatile: true, ..PUBLIC },
            ("GET" | "HEAD", "/") => PUBLIC,
            ("GET" | "HEAD", "/.well-known/jwks.json") => PUBLIC,
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
            ("POST", "/api/tenant/config") => Row { body: Some(|_| json!({})), shows: true, ..MEMBER },
            ("POST", "/api/v1/subscriber-tokens") => {
                Row { ok: 201, body: Some(|_| json!({"topics": ["a"]})), volatile: true, ..MEMBER }
            }
            _ => return None,
        };
        Some(row)
    }
}

fn webhook(party: &Party) -> Value {
    json!({
        "tenant_id": party.tenant.id,
        "node_type": "Post",
        "action": "update",
        "channels": [TOPIC],
    })
}

/// The host where a party's requests to this door go.
pub fn host(door: &Door, party: &Party) -> String {
    match door.surface {
        Surface::Platform => ROOT.to_owned(),
        _ => party.tenant.host.clone(),
    }
}
