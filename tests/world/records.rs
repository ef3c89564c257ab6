//! Collections of a tenant and their records.

use serde_json::{Value, json};

use super::{Answer, Tenant};

impl Tenant {
    /// Makes a collection: its slug, its fields, and further members of its definition.
    pub async fn collection(&self, slug: &str, properties: Value, more: Value) -> Value {
        let mut body = json!({"slug": slug, "schema": {"type": "object", "properties": properties}});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        self.as_owner("POST", "/api/v1/collections").json(&body).send().await.expect(201).data()
    }

    /// Makes the collections of a template.
    pub async fn template(&self, name: &str) {
        self.as_owner("POST", &format!("/api/v1/templates/{name}/apply")).send().await.expect(200);
    }

    /// Makes a record; what it is.
    pub async fn record(&self, collection: &str, body: Value) -> Value {
        self.as_owner("POST", &format!("/api/v1/{collection}")).json(&body).send().await.expect(201).data()
    }

    /// What a list shows, by the owner.
    pub async fn listed(&self, collection: &str, query: &[(&str, &str)]) -> Answer {
        let call = self.as_owner("GET", &format!("/api/v1/{collection}"));
        query.iter().fold(call, |call, (name, value)| call.query(name, value)).send().await
    }
}

impl Answer {
    /// One member of each row of a list.
    pub fn column(&self, name: &str) -> Vec<Value> {
        self.data().as_array().unwrap().iter().map(|row| row[name].clone()).collect()
    }
}
