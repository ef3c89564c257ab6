//! Collections of a tenant and their records.

use std::ops::Range;

use serde_json::{Value, json};

use super::{Tenant, TestResponse, World, eventually};

impl World {
    /// A tenant whose requests no plan bounds: filling a collection takes many.
    pub async fn unbounded_tenant(&self) -> Tenant {
        self.tenant().limit("max_api_requests_per_minute", -1).create().await
    }
}

impl Tenant {
    /// What the owner asks with a body.
    pub async fn ask(&self, method: &str, path: &str, body: Value) -> TestResponse {
        self.as_owner(method, path).json(&body).send().await
    }

    /// What the owner gets.
    pub async fn get(&self, path: &str) -> TestResponse {
        self.as_owner("GET", path).send().await
    }

    /// Makes a collection: its slug, its fields, and further members of its definition.
    pub async fn collection(&self, slug: &str, properties: Value, more: Value) -> Value {
        let mut body = json!({"slug": slug, "schema": {"type": "object", "properties": properties}});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        self.ask("POST", "/api/v1/collections", body).await.expect(201).data()
    }

    /// A collection as it stands.
    pub async fn shown_collection(&self, slug: &str) -> Value {
        self.get(&format!("/api/v1/collections/{slug}")).await.expect(200).data()
    }

    /// How the index of a collection stands once nothing builds it any more.
    pub async fn built(&self, slug: &str) -> Value {
        eventually("the index", async || {
            let index = self.shown_collection(slug).await["index"].clone();
            (index["state"] != "building").then_some(index)
        })
        .await
    }

    /// Makes the collections of a template.
    pub async fn template(&self, name: &str) {
        self.as_owner("POST", &format!("/api/v1/templates/{name}/apply")).send().await.expect(200);
    }

    /// Makes a record; what it is.
    pub async fn record(&self, collection: &str, body: Value) -> Value {
        self.ask("POST", &format!("/api/v1/{collection}"), body).await.expect(201).data()
    }

    /// Several operations at once.
    pub async fn bulk(&self, collection: &str, operations: Value) -> TestResponse {
        self.ask("POST", &format!("/api/v1/{collection}/bulk"), json!({"operations": operations})).await
    }

    /// Makes many records, as `body` says of each number.
    pub async fn fill(&self, collection: &str, numbers: Range<usize>, body: impl Fn(usize) -> Value) {
        let operations: Vec<Value> = numbers.map(|i| json!({"op": "create", "data": body(i)})).collect();
        for some in operations.chunks(100) {
            self.bulk(collection, some.into()).await.expect(200);
        }
    }

    /// What a list shows, by the owner.
    pub async fn listed(&self, collection: &str, query: &[(&str, &str)]) -> TestResponse {
        let call = self.as_owner("GET", &format!("/api/v1/{collection}"));
        query.iter().fold(call, |call, (name, value)| call.query(name, value)).send().await
    }

    /// The ids that a list shows.
    pub async fn ids(&self, collection: &str, query: &[(&str, &str)]) -> Vec<String> {
        self.listed(collection, query).await.expect(200).ids()
    }

    /// The ids that a list shows on all of its pages, from cursor to cursor.
    pub async fn walked(&self, collection: &str, query: &[(&str, &str)]) -> Vec<String> {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let asked = [query, &[("cursor", cursor.as_str())]].concat();
            let page = self.listed(collection, &asked).await.expect(200);
            ids.extend(page.ids());
            match page.cursor() {
                Some(next) => cursor = next,
                None => return ids,
            }
        }
    }
}

impl TestResponse {
    /// One member of each row of a list.
    pub fn column(&self, name: &str) -> Vec<Value> {
        self.data().as_array().unwrap().iter().map(|row| row[name].clone()).collect()
    }

    /// The ids of a list's rows.
    pub fn ids(&self) -> Vec<String> {
        self.column("id").iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    }

    /// Where a list goes on, if it does.
    pub fn cursor(&self) -> Option<String> {
        self.json()["pagination"]["cursor"].as_str().map(str::to_owned)
    }

    /// The codes of a problem's fields.
    pub fn codes(&self) -> Vec<String> {
        let problem = self.json();
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| error["code"].as_str().unwrap().to_owned()).collect()
    }
}
