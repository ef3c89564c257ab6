//! Who belongs to a fixture, and what it owns: put into its rows, as if it had come about by and by.

use std::collections::BTreeMap;

use carillon::credentials::key::{FreshKey, KeyKind};
use carillon::credentials::signature::digest;
use serde_json::json;

use super::row::{COLLECTION, FILE};
use crate::world::{PASSWORD_HASH, Tenant, World, unique};

/// The people of a fixture and the ids of its things.
#[derive(Clone)]
pub struct People {
    /// The address of its owner.
    pub email: String,
    /// The owner's session, as the cookie carries it.
    pub session: String,
    /// The session of a person of the platform.
    pub operator: String,
    /// Ids of what it owns, by kind.
    pub objects: BTreeMap<&'static str, String>,
}

impl People {
    /// An owner with two sessions, and one of each thing; texts hold the canary.
    pub async fn seed(tenant: &Tenant, canary: &str) -> People {
        let people = People::of(&tenant.id, &tenant.id[2..]);
        let session = FreshKey::new(KeyKind::UserSession).unwrap();
        people.seed_members(tenant, canary, &session).await;
        people.seed_records(tenant, canary).await;
        people.seed_on_platform(tenant).await;
        People { session: session.text, ..people }
    }

    async fn seed_members(&self, tenant: &Tenant, canary: &str, session: &FreshKey) {
        const USER: &str = "INSERT INTO users (tenant_id, id, email, name, password_hash, role, email_verified_at, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, 1, 1)";
        const SESSION: &str = "INSERT INTO sessions (tenant_id, id, user_id, cookie_digest, address, user_agent, created_at, last_used_at, expires_at) VALUES (?1, ?2, ?3, ?4, '', '', 1, 1, 9000000000000)";
        const ROLE: &str = "INSERT INTO roles (tenant_id, name, description, permissions, created_at, updated_at) VALUES (?1, ?2, ?3, '[\"users:read\"]', 1, 1)";
        const INVITATION: &str = "INSERT INTO tenant_invitations (tenant_id, id, email, role, token, invited_by, sent_at, expires_at, created_at) VALUES (?1, ?2, ?3 || '@invited.test', 'viewer', ?4, 'key:0', 1, 9000000000000, 1)";
        const PROVIDER: &str = "INSERT INTO sso_providers (tenant_id, id, name, issuer, client_id, scopes, role_map, reach, created_at, updated_at) VALUES (?1, ?2, 'Sign in here', 'https://issuer.example', ?3, 'openid email', '{}', '[]', 1, 1)";
        const CLIENT: &str = "INSERT INTO sso_clients (tenant_id, client_id, redirect_uris, created_at, updated_at) VALUES (?1, ?2, '[]', 1, 1)";
        const DOCUMENT: &str = "INSERT INTO documents (tenant_id, hash, alias, text, bytes, created_at, created_by) VALUES (?1, ?2, ?3, '{' || ?3 || '}', 3, 1, 'key:0')";
        let id = |kind: &str| self.objects[kind].as_str();
        let owner = format!("usr_{}", unique());
        let (viewer, cookie, token) = (format!("{canary}@users.test"), digest(session.text.as_bytes()), unique());
        let statements: [(&str, &[&str]); 9] = [
            (USER, &[&owner, &self.email, canary, PASSWORD_HASH, "owner"]),
            (USER, &[id("users"), &viewer, canary, PASSWORD_HASH, "viewer"]),
            (SESSION, &[&session.id, &owner, &cookie]),
            (SESSION, &[id("sessions"), &owner, ""]),
            (ROLE, &[id("roles"), canary]),
            (INVITATION, &[id("invitations"), canary, &token]),
            (PROVIDER, &[id("providers"), canary]),
            (CLIENT, &[id("clients")]),
            (DOCUMENT, &[id("documents"), canary]),
        ];
        tenant.seed(&statements).await;
    }

    /// Two collections, and in the one that everybody has a record and one that was deleted.
    async fn seed_records(&self, tenant: &Tenant, canary: &str) {
        const SCHEMA: &str =
            r#"{"type":"object","properties":{"text":{"type":"string","indexed":true,"searched":true}}}"#;
        const DEFINITION: &str = "INSERT INTO collections (tenant_id, slug, name, schema, statuses, versioned, soft_delete, live, public_read, files, revision, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, 'null', 1, 1, 0, 0, 0, 1, 1, 1)";
        const STATE: &str = "INSERT INTO collection_state (tenant_id, collection, has_words) VALUES (?1, ?2, 1)";
        const FIELD: &str = "INSERT INTO collection_fields (tenant_id, collection, field, is_indexed, is_unique, is_searched) VALUES (?1, ?2, 'text', 1, 0, 1)";
        const RECORD: &str = "INSERT INTO records (tenant_id, collection, id, version, data, created_at, updated_at, deleted_at, created_by, updated_by, index_revision, words) VALUES (?1, ?2, ?3, 1, json_object('text', ?4), 1, 1, nullif(CAST(?5 AS INTEGER), 0), 'key:0', 'key:0', 1, replace(lower(?4), 'z', 'zz'))";
        const TAKES_FILES: &str = "UPDATE collections SET files = 1 WHERE tenant_id = ?1 AND slug = ?2";
        // No bytes are behind it.
        const HELD: &str = "INSERT INTO record_files (tenant_id, collection, record_id, object, name, content_type, size, etag, created_at, created_by) VALUES (?1, ?2, ?3, ?2 || '/' || ?3 || '/x', ?4, 'text/plain', 1, 'e', 1, ?5)";
        let other = self.objects["collections"].as_str();
        let (record, buried) = (self.objects["records"].as_str(), self.objects["buried"].as_str());
        let statements: [(&str, &[&str]); 10] = [
            (DEFINITION, &[COLLECTION, canary, SCHEMA]),
            (STATE, &[COLLECTION]),
            (FIELD, &[COLLECTION]),
            (DEFINITION, &[other, canary, SCHEMA]),
            (STATE, &[other]),
            (FIELD, &[other]),
            (RECORD, &[COLLECTION, record, canary, "0"]),
            (RECORD, &[COLLECTION, buried, canary, "1"]),
            (TAKES_FILES, &[COLLECTION]),
            (HELD, &[COLLECTION, record, FILE, canary]),
        ];
        tenant.seed(&statements).await;
    }

    async fn seed_on_platform(&self, tenant: &Tenant) {
        const PERSON: &str = "INSERT INTO operators (id, email, name, password_hash, role, created_at, updated_at) VALUES (?1, ?1 || '@platform.example', 'A Person', '', 'admin', 1, 1)";
        const SESSION: &str = "INSERT INTO operator_sessions (id, operator_id, digest, address, created_at, expires_at) VALUES (?1, ?2, ?3, '', 1, 9000000000000)";
        const GRANT: &str =
            "INSERT INTO operator_grants (operator_id, tenant_id, role, created_at) VALUES (?1, ?2, 'viewer', 1)";
        const KEY: &str = "INSERT INTO platform_keys (id, name, digest, permissions, ip_allowlist, created_by, created_at) VALUES (?1, 'a key', '', '[\"tenants:read\"]', '[]', 'platform_key', 1)";
        let person = self.objects["operators"].as_str();
        let statements = vec![
            json!([PERSON, [person]]),
            json!([SESSION, [self.operator_session_id(), person, digest(self.operator.as_bytes())]]),
            json!([GRANT, [person, tenant.id]]),
            json!([KEY, [self.objects["platform-keys"]]]),
        ];
        tenant.world.batch("CONTROL", statements).await;
    }

    /// Takes away what stands on the platform, which has room for so many keys and people only.
    pub async fn leave(&self, world: &World) {
        world.rows("CONTROL", "DELETE FROM platform_keys WHERE id = ?1", &[&self.objects["platform-keys"]]).await;
        world.rows("CONTROL", "DELETE FROM operators WHERE id = ?1", &[&self.objects["operators"]]).await;
    }

    fn operator_session_id(&self) -> String {
        self.operator["car_os_".len()..][..12].to_owned()
    }

    /// People who never were, of a tenant that never was.
    pub fn never(tenant: &str) -> People {
        People::of(tenant, &unique())
    }

    /// Names, by which nothing is there yet.
    fn of(tenant: &str, tail: &str) -> People {
        let provider = format!("p{tail}");
        let objects = BTreeMap::from([
            ("api-keys", unique()[..12].to_owned()),
            ("buried", format!("b{tail}")),
            ("clients", format!("app-{tenant}")),
            ("collections", format!("c{tail}")),
            ("documents", digest(format!("document {tail}").as_bytes())),
            ("invitations", format!("inv_{tail}")),
            ("operators", format!("opr_{tail}")),
            ("platform-keys", unique()[..12].to_owned()),
            ("providers", provider.clone()),
            ("records", format!("n{tail}")),
            ("roles", format!("r{tail}")),
            ("sessions", unique()[..12].to_owned()),
            ("sso", provider),
            ("users", format!("usr_{tail}")),
        ]);
        People {
            email: format!("{tail}@owners.test"),
            session: FreshKey::new(KeyKind::UserSession).unwrap().text,
            operator: FreshKey::new(KeyKind::OperatorSession).unwrap().text,
            objects,
        }
    }
}
