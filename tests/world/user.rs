//! Users of a tenant: put into its rows, and signed in as browsers and apps do.

use serde_json::json;

use super::{RequestBuilder, Tenant, TestResponse, eventually, unique};

/// The password of everybody who has one.
pub const PASSWORD: &str = "correct horse battery staple";
/// Its hash, made once: hashing is what takes a sign-in its time.
pub const PASSWORD_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$Y2FyaWxsb24tdGVzdC0wMQ$98qmBCZOXWGtJ6ZprKRTNfo5m6b0VpeUGdRbc1WjYrk";

const LOGIN: &str = "/api/v1/auth/login";

impl Tenant {
    /// An active user of this role whose address is verified.
    pub async fn user(&self, role: &str) -> User {
        let tail = unique();
        let (id, email) = (format!("usr_{tail}"), format!("u{tail}@users.test"));
        let sql = "INSERT INTO users (tenant_id, id, email, name, password_hash, role, email_verified_at, created_at, updated_at) \
                   VALUES (?1, ?2, ?3, 'A User', ?4, ?5, 1, 1, 1)";
        self.on_shard(sql, &[&id, &email, PASSWORD_HASH, role]).await;
        User { tenant: self.clone(), id, email, password: PASSWORD.to_owned() }
    }
}

/// Somebody who may sign in.
#[derive(Clone)]
pub struct User {
    pub tenant: Tenant,
    pub id: String,
    pub email: String,
    pub password: String,
}

impl User {
    /// The request that signs in.
    pub fn login_call(&self) -> RequestBuilder {
        let body = json!({"email": self.email, "password": self.password});
        self.tenant.call("POST", LOGIN).json(&body)
    }

    /// Signs in as an app does.
    pub async fn login(&self) -> Tokens {
        Tokens::of(&self.login_call().send().await.expect(200))
    }

    /// Signs in as a browser does; what it sends as `Cookie` from then on.
    pub async fn browser(&self) -> String {
        let body = json!({"email": self.email, "password": self.password, "cookie": true});
        let answer = self.tenant.call("POST", LOGIN).json(&body).send().await.expect(200);
        answer.header("set-cookie").split(';').next().unwrap().to_owned()
    }

    /// Changes the user's row.
    pub async fn set(&self, column: &str, value: &str) {
        self.tenant
            .on_shard(&format!("UPDATE users SET {column} = ?3 WHERE tenant_id = ?1 AND id = ?2"), &[&self.id, value])
            .await;
    }
}

/// What an app carries of its session.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
    pub session: String,
}

impl Tokens {
    /// Reads the answer that brought them.
    pub fn of(answer: &TestResponse) -> Tokens {
        let data = answer.data();
        let text = |name: &str| data[name].as_str().unwrap_or_else(|| panic!("no {name} in {data}")).to_owned();
        Tokens { access: text("access_token"), refresh: text("refresh_token"), session: text("session_id") }
    }
}

impl Tenant {
    /// The tokens that this tenant mailed, oldest first, once there are so many.
    pub async fn mailed(&self, kind: &str, count: usize) -> Vec<String> {
        eventually("mail", async || {
            let lines = self.world.logs().await;
            let ours = lines
                .into_iter()
                .filter(|line| line["event"] == "mail" && line["tenant"] == *self.id && line["type"] == kind);
            let tokens: Vec<_> = ours.map(|line| line["token"].as_str().unwrap().to_owned()).collect();
            (tokens.len() >= count).then_some(tokens)
        })
        .await
    }
}

/// How often a request hashed a password; none if it did not come to that.
pub async fn hashes(tenant: &Tenant, answer: &TestResponse) -> Option<u64> {
    let id = answer.header("x-request-id").to_owned();
    let lines = eventually("the request's log line", async || {
        let lines: Vec<_> = tenant.world.logs().await.into_iter().filter(|line| line["request_id"] == *id).collect();
        lines.iter().any(|line| line["event"] == "request").then_some(lines)
    })
    .await;
    lines.iter().find(|line| line["event"] == "password_work").and_then(|line| line["hashes"].as_u64())
}
