//! A webhook as a WordPress site sends it, in either signature form.

use serde_json::{Value, json};

use super::{RequestBuilder, Tenant, TestResponse, now, signing};

/// A webhook that is being written.
#[derive(Clone)]
pub struct Webhook {
    call: RequestBuilder,
    secret: String,
    body: Vec<u8>,
    form: Form,
}

/// How a webhook proves where it comes from.
#[derive(Clone)]
enum Form {
    /// `X-Webhook-Signature: sha256=<hex>` over the body.
    Plain,
    /// Standard Webhooks: id, timestamp, and a MAC over both and the body.
    Standard {
        id: String,
        timestamp: String,
    },
    Unsigned,
}

impl Webhook {
    pub(super) fn new(tenant: &Tenant) -> Webhook {
        let body = json!({
            "tenant_id": tenant.id,
            "node_type": "Post",
            "action": "update",
            "channels": ["posts"],
        });
        Webhook {
            call: tenant.call("POST", "/webhook").header("Content-Type", "application/json"),
            secret: tenant.webhook_secret.clone(),
            body: body.to_string().into_bytes(),
            form: Form::Plain,
        }
    }

    /// Sets one field of the body.
    pub fn set(mut self, name: &str, value: Value) -> Webhook {
        let mut body: Value = serde_json::from_slice(&self.body).unwrap();
        body[name] = value;
        self.body = body.to_string().into_bytes();
        self
    }

    /// Leaves one field of the body out.
    pub fn without(mut self, name: &str) -> Webhook {
        let mut body: Value = serde_json::from_slice(&self.body).unwrap();
        body.as_object_mut().unwrap().remove(name);
        self.body = body.to_string().into_bytes();
        self
    }

    pub fn channels(self, channels: &[&str]) -> Webhook {
        self.set("channels", json!(channels))
    }

    pub fn data(self, data: Value) -> Webhook {
        self.set("data", data)
    }

    pub fn private(self) -> Webhook {
        self.set("private", json!(true))
    }

    /// The body as it stands, JSON or not.
    pub fn raw(mut self, body: &[u8]) -> Webhook {
        self.body = body.to_vec();
        self
    }

    pub fn secret(mut self, secret: &str) -> Webhook {
        secret.clone_into(&mut self.secret);
        self
    }

    /// Standard Webhooks, sent now.
    pub fn standard(self, id: &str) -> Webhook {
        self.standard_at(id, &now().to_string())
    }

    /// Standard Webhooks, with this timestamp.
    pub fn standard_at(mut self, id: &str, timestamp: &str) -> Webhook {
        self.form = Form::Standard { id: id.to_owned(), timestamp: timestamp.to_owned() };
        self
    }

    pub fn unsigned(mut self) -> Webhook {
        self.form = Form::Unsigned;
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Webhook {
        self.call = self.call.header(name, value);
        self
    }

    pub fn query(mut self, name: &str, value: &str) -> Webhook {
        self.call = self.call.query(name, value);
        self
    }

    pub fn host(mut self, host: &str) -> Webhook {
        self.call = self.call.host(host);
        self
    }

    /// The request, signed.
    pub fn call(self) -> RequestBuilder {
        let call = match &self.form {
            Form::Unsigned => self.call,
            Form::Plain => {
                let mac = signing::hmac_hex(self.secret.as_bytes(), &self.body);
                self.call.header("X-Webhook-Signature", &format!("sha256={mac}"))
            }
            Form::Standard { id, timestamp } => {
                let mut signed = format!("{id}.{timestamp}.").into_bytes();
                signed.extend_from_slice(&self.body);
                let mac = signing::hmac_base64(&signing::standard_key(&self.secret), &signed);
                self.call
                    .header("webhook-id", id)
                    .header("webhook-timestamp", timestamp)
                    .header("webhook-signature", &format!("v1,{mac}"))
            }
        };
        call.bytes(self.body)
    }

    pub async fn send(self) -> TestResponse {
        self.call().send().await
    }

    /// Sends, expects it to be taken, and returns the event's id.
    pub async fn accepted(self) -> String {
        let answer = self.send().await.expect(202);
        answer.data()["id"].as_str().unwrap().to_owned()
    }
}
