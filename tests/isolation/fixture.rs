//! Who takes part: tenants full of canaries, and one that never was.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::people::People;
use crate::world::{ROOT, Site, SiteAnswer, Tenant, World, sequence, unique};

/// The topic that every fixture uses.
pub const TOPIC: &str = "orders";

/// All that anybody could have changed among a tenant's rows.
const ROWS: &str = "SELECT (SELECT json_group_array(json_array(id, email, name, role, status, not_before, password_hash)) FROM users WHERE tenant_id = ?1) AS users, (SELECT json_group_array(json_array(name, permissions, description)) FROM roles WHERE tenant_id = ?1) AS roles, (SELECT json_group_array(json_array(id, token, accepted_at)) FROM tenant_invitations WHERE tenant_id = ?1) AS invitations, (SELECT json_group_array(json_array(id, name, role_map, reach)) FROM sso_providers WHERE tenant_id = ?1) AS providers, (SELECT json_group_array(json_array(client_id, redirect_uris)) FROM sso_clients WHERE tenant_id = ?1) AS clients, (SELECT json_group_array(id) FROM sessions WHERE tenant_id = ?1) AS sessions, (SELECT json_group_array(json_array(slug, name, schema, revision, deleted_at)) FROM collections WHERE tenant_id = ?1) AS collections, (SELECT json_group_array(json_array(collection, id, version, status, data, deleted_at)) FROM records WHERE tenant_id = ?1) AS records, (SELECT json_group_array(json_array(collection, status, records)) FROM record_counts WHERE tenant_id = ?1) AS counts, (SELECT count(*) FROM record_index WHERE tenant_id = ?1) AS indexed, (SELECT count(*) FROM record_outbox WHERE tenant_id = ?1) AS announced, (SELECT json_group_array(json_array(collection, record_id, object, name)) FROM record_files WHERE tenant_id = ?1) AS files, (SELECT json_group_array(object) FROM unreferenced_objects WHERE tenant_id = ?1) AS unreferenced, (SELECT json_group_array(json_array(hash, alias, text)) FROM documents WHERE tenant_id = ?1) AS documents, (SELECT count(*) FROM idempotency_keys WHERE tenant_id = ?1) AS kept, (SELECT count(*) FROM audit_log WHERE tenant_id = ?1) AS audit_entries";

/// A tenant in the matrix.
#[derive(Clone)]
pub struct Fixture {
    pub tenant: Tenant,
    pub domain: String,
    /// A place in its log, with a private and a public event behind it.
    pub start: String,
    /// Stands in what everybody may hear on its host.
    pub open_canary: String,
    /// Stands in what only its own people and the operator may see.
    pub secret_canary: String,
    /// The text of a key that may do everything in it.
    pub key: String,
    /// Who belongs to it, and what it owns.
    pub people: People,
    published: Arc<AtomicU64>,
}

impl Fixture {
    /// A tenant without limits, whose every field and event holds a canary.
    pub async fn real(world: &World) -> Fixture {
        let world = world.elsewhere();
        let (open, secret) = (format!("open{}", unique()), format!("secret{}", unique()));
        let domain = format!("d-{}.example", unique());
        let said = format!("{{\"data\":\"{open}\"}}");
        let site = Site::named(&secret, move |_| SiteAnswer::json(200, said.clone()));
        let mut builder = world
            .tenant()
            .plan("enterprise")
            .set("admin_email", json!(format!("{secret}@example.com")))
            .set("settings", json!({"custom_templates": {"note": secret}, "mercure": {"subscriptions": true}, "graphql": {"graphiql": true}}))
            .set("branding", json!({"name": open}))
            .set("webhook_secret", json!(format!("secret-{secret}")))
            .set("wpgraphql_endpoint", json!(site.url()))
            .set("custom_domains", json!([domain]));
        for limit in [
            "max_concurrent_subscriptions",
            "max_webhooks_per_minute",
            "max_connections_per_ip",
            "max_api_requests_per_minute",
            "max_api_requests_per_day",
            "max_anonymous_requests_per_minute",
        ] {
            builder = builder.limit(limit, -1);
        }
        let tenant = builder.create().await;
        let start = tenant.publish("elsewhere", json!("start")).await;
        let published = Arc::new(AtomicU64::new(sequence(&start)));
        let key = tenant.key(&["*"]).await.text;
        let body = json!({"name": secret, "scopes": ["users:read"]});
        let object = tenant.as_owner("POST", "/api/v1/api-keys").json(&body).send().await.expect(201).data();
        let mut people = People::seed(&tenant, &secret).await;
        people.objects.insert("api-keys", object["id"].as_str().unwrap().to_owned());
        let fixture =
            Fixture { tenant, domain, start, open_canary: open, secret_canary: secret, key, people, published };
        fixture.speak().await;
        fixture
    }

    /// A tenant that was never made, with names as long as those of `like`.
    pub fn never(world: &World, like: &Fixture) -> Fixture {
        let id = format!("t-{}", unique());
        let (_, number) = like.start.rsplit_once('-').unwrap();
        let tenant = Tenant {
            world: world.clone(),
            host: format!("{id}.{ROOT}"),
            slug: id.clone(),
            id: id.clone(),
            webhook_secret: format!("never{}{}", unique(), unique()),
            subscription_secret: format!("never{}{}", unique(), unique()),
        };
        Fixture {
            tenant,
            domain: format!("d-{}.example", unique()),
            start: format!("{}{}-{number}", unique(), &unique()[..4]),
            open_canary: format!("open{}", unique()),
            secret_canary: format!("secret{}", unique()),
            key: like.key.replace(&like.tenant.id, &format!("t-{}", unique())),
            people: People::never(&id),
            published: Arc::default(),
        }
    }

    /// The id of what it owns of a kind.
    pub fn object(&self, kind: &str) -> String {
        self.people.objects[kind].clone()
    }

    /// Publishes one event for everybody and one for those with a grant; returns the place behind them.
    pub async fn speak(&self) -> String {
        let open = self.tenant.webhook().channels(&[TOPIC]).data(json!(self.open_canary));
        let secret = self.tenant.webhook().channels(&[TOPIC]).data(json!(self.secret_canary));
        open.accepted().await;
        let last = secret.private().accepted().await;
        self.published.fetch_add(2, Ordering::Relaxed);
        last
    }

    /// All that anybody could have changed, and how many events there are beyond our own.
    pub async fn fingerprint(&self) -> Value {
        let domains = self.tenant.admin("GET", "/domains").send().await.expect(200).data();
        let keys = self.tenant.as_owner("GET", "/api/v1/api-keys").send().await.expect(200).data();
        let latest = sequence(&self.tenant.subscribe(&[TOPIC]).await.cursor);
        json!({
            "tenant": self.tenant.shown().await,
            "domains": domains,
            "keys": without_last_use(keys),
            "rows": self.tenant.on_shard(ROWS, &[]).await,
            "foreign_events": latest - self.published.load(Ordering::Relaxed),
        })
    }

    /// The strings by which it could be named in an answer.
    pub fn names(&self) -> Vec<&str> {
        let own = [&self.tenant.host, &self.tenant.id, &self.domain, &self.start];
        own.into_iter().chain(self.people.objects.values()).map(String::as_str).collect()
    }
}

/// When its own key was used last is a fixture's own doing.
fn without_last_use(mut keys: Value) -> Value {
    for key in keys.as_array_mut().unwrap() {
        key["last_used_at"] = Value::Null;
    }
    keys
}
