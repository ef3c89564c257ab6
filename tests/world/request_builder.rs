//! One request, built up and sent; one answer, looked into.

use futures_util::StreamExt;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::{Stream, World, within};

/// An address that no other caller has, in a network of its own out of 2001:db8::/32.
///
/// Every test comes from one of its own, so that nobody spends another's connections or sign-ins.
pub fn stranger() -> String {
    let tail = super::unique();
    format!("2001:db8:{}:{}::{}", &tail[0..4], &tail[4..8], &tail[8..12])
}

/// A request that is being built.
#[derive(Clone)]
pub struct RequestBuilder {
    world: World,
    method: Method,
    host: String,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    address: String,
    body: Option<Vec<u8>>,
    chunked: bool,
}

impl RequestBuilder {
    pub(super) fn new(world: &World, method: &str, host: &str, path: &str) -> RequestBuilder {
        RequestBuilder {
            world: world.clone(),
            method: method.parse().unwrap(),
            host: host.to_owned(),
            path: path.to_owned(),
            query: Vec::new(),
            headers: Vec::new(),
            address: world.address.clone(),
            body: None,
            chunked: false,
        }
    }

    pub fn host(mut self, host: &str) -> RequestBuilder {
        host.clone_into(&mut self.host);
        self
    }

    pub fn query(mut self, name: &str, value: &str) -> RequestBuilder {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> RequestBuilder {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn bearer(self, credential: &str) -> RequestBuilder {
        self.header("Authorization", &format!("Bearer {credential}"))
    }

    /// The address that Cloudflare would name as the visitor's.
    pub fn address(mut self, address: &str) -> RequestBuilder {
        address.clone_into(&mut self.address);
        self
    }

    pub fn json(self, body: &Value) -> RequestBuilder {
        self.header("Content-Type", "application/json").bytes(body.to_string().into_bytes())
    }

    pub fn bytes(mut self, body: Vec<u8>) -> RequestBuilder {
        self.body = Some(body);
        self
    }

    /// The body without its length, in chunks.
    pub fn chunked(mut self) -> RequestBuilder {
        self.chunked = true;
        self
    }

    /// Sends, and reads the answer to its end.
    pub async fn send(self) -> TestResponse {
        let what = format!("{} {} on {}", self.method, self.path, self.host);
        within(&what, async {
            let answer = self.begin().await;
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            TestResponse::read(status, headers, answer.bytes().await.unwrap().to_vec())
        })
        .await
    }

    /// Sends, and stays for the stream; any other answer is an error, read to its end.
    pub async fn open(self) -> Result<Stream, TestResponse> {
        let what = format!("{} {} on {}", self.method, self.path, self.host);
        within(&what, async {
            let answer = self.begin().await;
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            let streams =
                headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
            if status == 200 && streams {
                let chunks = answer.bytes_stream().map(|chunk| chunk.map(Vec::from));
                return Ok(Stream::new(headers, chunks.boxed()));
            }
            Err(TestResponse::read(status, headers, answer.bytes().await.unwrap().to_vec()))
        })
        .await
    }

    /// Sends; whether the connection broke before an answer came is for the caller to judge.
    pub async fn attempt(self) -> Option<TestResponse> {
        within("an answer or the connection's end", async {
            let answer = self.request().send().await.ok()?;
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            Some(TestResponse::read(status, headers, answer.bytes().await.ok()?.to_vec()))
        })
        .await
    }

    async fn begin(&self) -> reqwest::Response {
        self.request()
            .send()
            .await
            .unwrap_or_else(|error| panic!("{} {} on {}: {error:?}", self.method, self.path, self.host))
    }

    fn request(&self) -> reqwest::RequestBuilder {
        let url = format!("{}{}", self.world.url(), self.path);
        let mut request = self.world.http.request(self.method.clone(), url);
        if !self.query.is_empty() {
            request = request.query(&self.query);
        }
        request = request.header("Host", &self.host).header("CF-Connecting-IP", &self.address);
        for (name, value) in &self.headers {
            // Beyond ASCII as UTF-8, as browsers write it.
            request = request.header(name, value.as_bytes());
        }
        match &self.body {
            Some(body) if self.chunked => {
                let once = futures_util::stream::once(std::future::ready(Ok::<_, std::io::Error>(body.clone())));
                request.body(reqwest::Body::wrap_stream(once))
            }
            Some(body) => request.body(body.clone()),
            None => request,
        }
    }
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct TestResponse {
    pub status: u16,
    pub headers: HeaderMap,
    /// The body as text; what is no UTF-8 in it is lost.
    pub body: String,
    pub bytes: Vec<u8>,
}

impl TestResponse {
    fn read(status: u16, headers: HeaderMap, bytes: Vec<u8>) -> TestResponse {
        TestResponse { status, headers, body: String::from_utf8_lossy(&bytes).into_owned(), bytes }
    }

    /// A header's value, or the empty string.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The version that the entity tag of a record or a collection is of.
    pub fn tag_version(&self) -> i64 {
        let tag = self.header("etag").trim_matches('"');
        tag.rsplit_once('.').unwrap_or_else(|| panic!("no tag of a version: {tag}")).1.parse().unwrap()
    }

    /// The tag that another version of the same record or collection has.
    pub fn tag_of(&self, version: i64) -> String {
        let (identity, _) = self.header("etag").rsplit_once('.').unwrap();
        format!("{identity}.{version}\"")
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{} with no JSON: {:?}", self.status, self.body))
    }

    /// The `data` of a success.
    pub fn data(&self) -> Value {
        let body = self.json();
        assert_eq!(body["success"], true, "{} {body}", self.status);
        body["data"].clone()
    }

    /// Passes an answer of this status on, fails with the whole answer otherwise.
    #[track_caller]
    pub fn expect(self, status: u16) -> TestResponse {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    /// Fails unless this is a well-formed problem (RFC 9457) of this status and code.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> TestResponse {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["type"], format!("urn:carillon:problem:{code}"));
        assert_eq!(problem["status"], status);
        assert_eq!(problem["success"], false);
        assert_eq!(problem["error"], problem["title"]);
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        assert!(!self.header("x-request-id").is_empty());
        self
    }

    /// Fails unless this is a validation problem that names exactly this field.
    #[track_caller]
    pub fn expect_invalid(self, pointer: &str) -> TestResponse {
        let answer = self.expect_problem(422, "validation_failed");
        assert_eq!(answer.pointers(), [pointer], "{}", answer.body);
        answer
    }

    /// Fails unless this is a problem that names exactly this query parameter.
    #[track_caller]
    pub fn expect_invalid_query(self, name: &str) -> TestResponse {
        let answer = self.expect_problem(400, "invalid_query");
        assert_eq!(answer.pointers(), [format!("?{name}")], "{}", answer.body);
        answer
    }

    /// The fields that a problem names.
    pub fn pointers(&self) -> Vec<String> {
        let problem = self.json();
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        for error in &errors {
            assert!(error["code"].is_string() && error["message"].is_string(), "{error}");
        }
        errors.iter().filter_map(|error| Some(error["pointer"].as_str()?.to_owned())).collect()
    }

    /// The answer with what differs between two equal answers masked.
    pub fn masked(&self, names: &[&str]) -> String {
        let id = self.header("x-request-id").to_owned();
        let mut lines: Vec<_> = self
            .headers
            .iter()
            .filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()))
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
            .collect();
        lines.sort();
        let mut text = format!("{}\n{}\n\n{}", self.status, lines.join("\n"), self.body);
        if !id.is_empty() {
            text = text.replace(&id, "(request id)");
        }
        for name in names {
            text = text.replace(name, "(name)");
        }
        without_nonce(&text)
    }
}

/// An answer's text without the nonce that its content security policy names: each answer has its own.
pub fn without_nonce(text: &str) -> String {
    let policy = text.split_once("'nonce-").and_then(|(_, rest)| rest.split_once('\''));
    match policy {
        Some((nonce, _)) => text.replace(nonce, "(nonce)"),
        None => text.to_owned(),
    }
}
