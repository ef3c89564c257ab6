//! People of a tenant: invited, joined, signed in.

use serde_json::{Value, json};

use super::{PASSWORD, RequestBuilder, Tenant, TestResponse, eventually, unique};

/// A user who is signed in.
#[derive(Clone)]
pub struct Person {
    pub tenant: Tenant,
    pub id: String,
    /// The access token.
    pub token: String,
}

impl Person {
    /// A request of theirs on the tenant's host.
    pub fn call(&self, method: &str, path: &str) -> RequestBuilder {
        self.tenant.call(method, path).bearer(&self.token)
    }

    /// Their path among the tenant's users.
    pub fn path(&self) -> String {
        format!("/api/v1/users/{}", self.id)
    }

    /// What the tenant's owner changes of them.
    pub async fn patched(&self, change: Value) -> TestResponse {
        self.tenant.as_owner("PATCH", &self.path()).json(&change).send().await
    }
}

impl Tenant {
    /// A user without a password, made by the owner; returns the id.
    pub async fn made_user(&self, role: &str) -> String {
        let body = json!({"email": address(), "role": role});
        let data = self.as_owner("POST", "/api/v1/users").json(&body).send().await.expect(201).data();
        data["id"].as_str().unwrap().to_owned()
    }

    /// Invites; returns the invitation's id and the token that its mail carries.
    pub async fn invite(&self, email: &str, role: &str) -> (String, String) {
        let before = self.invitation_tokens().await.len();
        let body = json!({"email": email, "role": role});
        let data = self.as_owner("POST", "/api/v1/invitations").json(&body).send().await.expect(201).data();
        (data["id"].as_str().unwrap().to_owned(), self.invitation_token(before).await)
    }

    /// The tokens that invitations of this tenant carried, oldest first.
    pub async fn invitation_tokens(&self) -> Vec<String> {
        let lines = self.world.logs().await.into_iter();
        let ours =
            lines.filter(|line| line["event"] == "mail" && line["type"] == "invitation" && line["tenant"] == self.id);
        ours.map(|line| line["token"].as_str().unwrap().to_owned()).collect()
    }

    /// The token of the invitation that was sent after so many others.
    pub async fn invitation_token(&self, before: usize) -> String {
        eventually("the mail", async || self.invitation_tokens().await.get(before).cloned()).await
    }

    /// Accepts an invitation.
    pub async fn accept(&self, token: &str, email: &str) -> TestResponse {
        let body = json!({"token": token, "email": email, "password": PASSWORD});
        self.call("POST", "/api/v1/invitations/accept").json(&body).send().await
    }

    /// Somebody who was invited to a role and came.
    pub async fn person(&self, role: &str) -> Person {
        let email = address();
        let (_, token) = self.invite(&email, role).await;
        let data = self.accept(&token, &email).await.expect(201).data();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (id, token) = (text(&data["user"]["id"]), text(&data["access_token"]));
        Person { tenant: self.clone(), id, token }
    }

    /// Makes a role.
    pub async fn role(&self, name: &str, permissions: &[&str]) {
        let body = json!({"name": name, "permissions": permissions});
        self.as_owner("POST", "/api/v1/roles").json(&body).send().await.expect(201);
    }
}

/// An address that nobody else has.
pub fn address() -> String {
    format!("{}@example.com", unique())
}
