//! Subscriber tokens as a site mints them: a JWT, HS256, under the subscription secret.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::{now, signing};

/// A token that is being written.
#[derive(Clone)]
pub struct Token {
    secret: String,
    header: Value,
    claims: Map<String, Value>,
}

impl Token {
    /// Grants these topics for five minutes.
    pub fn new(secret: &str, topics: &[&str]) -> Token {
        let mut claims = Map::new();
        claims.insert("topics".into(), json!(topics));
        claims.insert("exp".into(), (now() + 300).into());
        Token { secret: secret.to_owned(), header: json!({"alg": "HS256", "typ": "JWT"}), claims }
    }

    /// Valid for so many seconds from now.
    pub fn expires_in(self, seconds: u64) -> Token {
        self.claim("exp", json!(now() + seconds))
    }

    pub fn claim(mut self, name: &str, value: Value) -> Token {
        self.claims.insert(name.to_owned(), value);
        self
    }

    pub fn without(mut self, name: &str) -> Token {
        self.claims.remove(name);
        self
    }

    pub fn header(mut self, header: Value) -> Token {
        self.header = header;
        self
    }

    /// The compact form.
    pub fn sign(self) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&self.header), part(&Value::Object(self.claims)));
        let mac = signing::hmac(self.secret.as_bytes(), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac))
    }
}
