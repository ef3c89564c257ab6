//! A tenant's Mercure hub as publishers and subscribers use it.

use serde_json::{Value, json};

use super::{RequestBuilder, Stream, Tenant, TestResponse, Token, World};

pub const HUB: &str = "/.well-known/mercure";

impl World {
    /// A tenant of the shared runtime, with these settings of Mercure's.
    pub async fn hub(settings: Value) -> Tenant {
        let tenant = World::shared().await.tenant().plan("pro").create().await;
        tenant.set_mercure(settings).await;
        tenant
    }
}

impl RequestBuilder {
    /// The stream that this must open.
    pub async fn stream(self) -> Stream {
        self.open().await.unwrap_or_else(|answer| panic!("no stream, but {}: {}", answer.status, answer.body))
    }

    /// The answer that must not be a stream.
    pub async fn refused(self) -> TestResponse {
        match self.open().await {
            Err(answer) => answer,
            Ok(_) => panic!("expected a refusal, and a stream opened"),
        }
    }
}

impl Tenant {
    /// Changes how the tenant speaks Mercure.
    pub async fn set_mercure(&self, settings: Value) {
        self.patch(json!({"settings": {"mercure": settings}})).await;
    }

    /// Where the hub is, as clients write it.
    pub fn hub_url(&self) -> String {
        format!("http://{}{HUB}", self.host)
    }

    /// Posts a form as it stands, as somebody who may publish anything.
    pub async fn post(&self, form: &str) -> TestResponse {
        let call = self.call("POST", HUB).bearer(&self.publisher(&["*"]).sign());
        call.header("Content-Type", "application/x-www-form-urlencoded").bytes(form.into()).send().await
    }

    /// A token of before 1.0 that may publish on these topics.
    pub fn publisher(&self, topics: &[&str]) -> Token {
        Token::new(&self.webhook_secret, &[]).without("topics").claim("mercure", json!({"publish": topics}))
    }

    /// A token of before 1.0 that is sent private updates of these topics.
    pub fn subscriber(&self, topics: &[&str]) -> Token {
        Token::new(&self.subscription_secret, &[]).without("topics").claim("mercure", json!({"subscribe": topics}))
    }

    /// A token of 1.0 that the tenant signs itself, for `publish` or `subscribe` on topics, each of a type.
    pub fn access_token(&self, action: &str, topics: &[(&str, &str)]) -> Token {
        let secret = if action == "publish" { &self.webhook_secret } else { &self.subscription_secret };
        let topics: Vec<Value> = topics.iter().map(|(kind, text)| json!({"match": text, "match_type": kind})).collect();
        let detail =
            json!({"type": "https://mercure.rocks/authorization-detail", "actions": [action], "topics": topics});
        let origin = format!("http://{}", self.host);
        Token::new(secret, &[])
            .without("topics")
            .header(json!({"alg": "HS256", "typ": "at+jwt"}))
            .claim("iss", json!(origin))
            .claim("aud", json!(format!("{origin}{HUB}")))
            .claim("sub", json!("a test"))
            .claim("client_id", json!("tests"))
            .claim("iat", json!(super::now()))
            .claim("jti", json!(super::unique()))
            .claim("authorization_details", json!([detail]))
    }

    /// An update that is being written, by somebody who may publish anything.
    pub fn update(&self, topic: &str) -> Update {
        let call = self.call("POST", HUB);
        Update { call, token: Some(self.publisher(&["*"]).sign()), fields: Vec::new() }.field("topic", topic)
    }

    /// `GET` on the hub, being built.
    pub fn mercure(&self) -> RequestBuilder {
        self.call("GET", HUB)
    }

    /// Subscribes to topics by exact matchers.
    pub async fn listen(&self, topics: &[&str]) -> Stream {
        let call = topics.iter().fold(self.mercure(), |call, topic| call.query("match", topic));
        call.stream().await
    }
}

/// A publication, being built.
#[derive(Clone)]
pub struct Update {
    call: RequestBuilder,
    token: Option<String>,
    fields: Vec<(String, String)>,
}

impl Update {
    pub fn field(mut self, name: &str, value: &str) -> Update {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn data(self, data: &str) -> Update {
        self.field("data", data)
    }

    pub fn private(self) -> Update {
        self.field("private", "on")
    }

    pub fn id(self, id: &str) -> Update {
        self.field("id", id)
    }

    pub fn token(self, token: Token) -> Update {
        Update { token: Some(token.sign()), ..self }
    }

    /// Without a token in the header.
    pub fn anonymous(self) -> Update {
        Update { token: None, ..self }
    }

    pub fn header(self, name: &str, value: &str) -> Update {
        Update { call: self.call.header(name, value), ..self }
    }

    pub fn address(self, address: &str) -> Update {
        Update { call: self.call.address(address), ..self }
    }

    pub fn query(self, name: &str, value: &str) -> Update {
        Update { call: self.call.query(name, value), ..self }
    }

    pub async fn send(self) -> TestResponse {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(&self.fields);
        let call = self.call.header("Content-Type", "application/x-www-form-urlencoded");
        let call = self.token.iter().fold(call, |call, token| call.bearer(token));
        call.bytes(form.finish().into_bytes()).send().await
    }

    /// The id of an update that must be taken.
    pub async fn published(self) -> String {
        self.send().await.expect(200).body
    }
}
