//! The platform's people: made by the platform key, signed in with a password.

use serde_json::{Value, json};

use super::{PASSWORD, ROOT, RequestBuilder, Tenant, TestResponse, World, unique};

/// A person of the platform, signed in.
#[derive(Clone)]
pub struct Operator {
    pub world: World,
    pub id: String,
    pub email: String,
    /// The session's text.
    pub session: String,
}

impl World {
    /// Makes an operator of this role and signs it in.
    pub async fn operator(&self, role: &str) -> Operator {
        let email = format!("{}@platform.example", unique());
        let body = json!({"email": email, "name": "A Person", "password": PASSWORD, "role": role});
        let made = self.platform("POST", "/api/v1/operators").json(&body).send().await.expect(201).data();
        let session = self.sign_in(&email, PASSWORD).await.expect(200).data();
        Operator {
            world: self.clone(),
            id: made["id"].as_str().unwrap().to_owned(),
            email,
            session: session["token"].as_str().unwrap().to_owned(),
        }
    }

    /// Tries to sign an operator in.
    pub async fn sign_in(&self, email: &str, password: &str) -> TestResponse {
        let body = json!({"email": email, "password": password});
        self.call("POST", ROOT, "/api/v1/operators/login").json(&body).send().await
    }
}

impl Operator {
    /// A request on the platform's host, by its session.
    pub fn call(&self, method: &str, path: &str) -> RequestBuilder {
        self.world.call(method, ROOT, path).bearer(&self.session)
    }

    /// What the platform key does about it.
    pub fn admin(&self, method: &str, rest: &str) -> RequestBuilder {
        self.world.platform(method, &format!("/api/v1/operators/{}{rest}", self.id))
    }

    pub async fn grant(&self, tenant: &Tenant, role: &str) {
        let grant = self.admin("PUT", &format!("/grants/{}", tenant.id)).json(&json!({"role": role}));
        grant.send().await.expect(200);
    }

    pub async fn take_grant(&self, tenant: &Tenant) {
        self.admin("DELETE", &format!("/grants/{}", tenant.id)).send().await.expect(200);
    }

    pub async fn patch(&self, change: Value) -> Value {
        self.admin("PATCH", "").json(&change).send().await.expect(200).data()
    }

    /// Asks for a token for a tenant.
    pub async fn switch(&self, tenant: &str) -> TestResponse {
        self.call("POST", "/api/v1/auth/switch").json(&json!({"tenant_id": tenant})).send().await
    }

    /// A token for a tenant it may enter.
    pub async fn entered(&self, tenant: &Tenant) -> String {
        let data = self.switch(&tenant.id).await.expect(200).data();
        data["token"].as_str().unwrap().to_owned()
    }

    /// Asks to act as a user.
    pub async fn impersonate(&self, tenant: &str, user: &str) -> TestResponse {
        let body = json!({"tenant_id": tenant, "user_id": user, "reason": "a customer asked for help"});
        self.call("POST", "/api/v1/auth/impersonate").json(&body).send().await
    }
}

impl Tenant {
    /// What the tenant's audit has of an operation, oldest first.
    pub async fn audited(&self, operation: &str) -> Vec<Value> {
        let sql =
            "SELECT actor, subject, detail, address FROM audit_log WHERE tenant_id = ?1 AND operation = ?2 ORDER BY id";
        self.on_shard(sql, &[operation]).await
    }
}
