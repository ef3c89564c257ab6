//! Mercure's clients, as others wrote them: they run unchanged against a tenant's hub.
//!
//! `eventsource` and `@microsoft/fetch-event-source` of npm, Python's `httpx-sse`, and Chromium's own `EventSource`.
//! The programs around them stand in `tests/clients`.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::world::{Chromium, HUB, Line, Page, Tenant, Token, World, within};

/// Topics that the clients of this file subscribe to.
const TOPIC: &str = "https://example.com/posts/1";
const SUBSCRIBED: &str = "?match=https%3A%2F%2Fexample.com%2Fposts%2F1";

/// The program around a client.
#[derive(Clone, Copy)]
enum Program {
    Node(&'static str),
    Python(&'static str),
}

const EVENTSOURCE: Program = Program::Node("eventsource.mjs");
const FETCH_EVENT_SOURCE: Program = Program::Node("fetch-event-source.mjs");
const HTTPX_SSE: Program = Program::Python("httpx-sse.py");

/// A client that runs, and what it was told.
struct Client {
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Client {
    /// Begins to follow a stream, with a token in the header if there is one.
    fn start(program: Program, url: &str, token: Option<Token>) -> Client {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let clients = root.join("tests/clients");
        let mut command = match program {
            Program::Node(script) => {
                let mut command = Command::new(root.join("node_modules/node/bin/node"));
                command.arg("--import").arg(clients.join("localhost.mjs")).arg(clients.join(script));
                command
            }
            Program::Python(script) => {
                let python = root.join(".tools/python/clients/bin/python");
                assert!(python.exists(), "no httpx-sse in .tools: run `make test`, which installs it");
                let mut command = Command::new(python);
                command.arg(clients.join(script));
                command
            }
        };
        let asked = json!({"url": url, "token": token.map(Token::sign), "types": ["add"]});
        command.arg(asked.to_string()).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Client { lines, _child: child }
    }

    /// A client whose stream is open.
    async fn listening(program: Program, url: &str, token: Option<Token>) -> Client {
        let mut client = Client::start(program, url, token);
        assert_eq!(client.next().await, json!({"kind": "open"}));
        client
    }

    /// What its callbacks are told next.
    async fn next(&mut self) -> Value {
        let line = within("a word of a client", self.lines.next_line()).await.unwrap();
        serde_json::from_str(&line.expect("the client goes on")).unwrap()
    }

    /// Fails unless an update is what it is told next.
    async fn expect(&mut self, id: &str, kind: &str, data: &str) {
        assert_eq!(self.next().await, json!({"kind": "message", "id": id, "type": kind, "data": data}));
    }
}

/// A tenant, and the line over which its hub is reached.
async fn hub() -> (Tenant, Line, String) {
    let world = World::shared().await;
    let line = Line::to(&world).await;
    let tenant = world.tenant().create().await;
    let url = format!("{}{HUB}{SUBSCRIBED}", line.origin(&tenant));
    (tenant, line, url)
}

async fn updates_arrive_as_they_were_published(program: Program) {
    let (tenant, line, url) = hub().await;
    let mut client = Client::listening(program, &url, None).await;
    // What keeps the stream open is no message.
    line.pieces(3).await;
    let lines =
        tenant.update(TOPIC).data("{\r\n  \"a\": 1,\r\r  \"b\": \"\u{e9}\u{2028}\u{85}\"\n}\n").published().await;
    tenant.update("https://example.com/posts/2").data("another topic").published().await;
    tenant.update(TOPIC).data("private").private().published().await;
    tenant.update(TOPIC).data(" spaces ").id("urn:mine:\u{20ac}").field("type", "add").published().await;
    line.pieces(3).await;
    let bare = tenant.update(TOPIC).published().await;
    let last = tenant.update(TOPIC).data("last").published().await;
    client.expect(&lines, "message", "{\n  \"a\": 1,\n\n  \"b\": \"\u{e9}\u{2028}\u{85}\"\n}\n").await;
    client.expect("urn:mine:\u{20ac}", "add", " spaces ").await;
    client.expect(&bare, "message", "").await;
    client.expect(&last, "message", "last").await;
}

async fn a_token_lets_private_updates_through(program: Program) {
    let (tenant, line, url) = hub().await;
    let origin = line.origin(&tenant);
    let current = tenant.access_token("subscribe", &[("exact", TOPIC)]);
    let current = current.claim("iss", json!(origin)).claim("aud", json!(format!("{origin}{HUB}")));
    let older = tenant.subscriber(&[TOPIC]);
    let in_query = format!("{url}&authorization={}", older.clone().sign());
    let mut clients = [
        Client::listening(program, &url, Some(current)).await,
        Client::listening(program, &url, Some(older)).await,
        Client::listening(program, &in_query, None).await,
    ];
    let id = tenant.update(TOPIC).data("private").private().published().await;
    for client in &mut clients {
        client.expect(&id, "message", "private").await;
    }
    let mut stranger = Client::start(program, &url, Some(Token::new("another secret", &[])));
    assert_eq!(stranger.next().await, json!({"kind": "error", "status": 401, "closed": true}));
}

async fn what_was_missed_arrives_after_a_cut(program: Program) {
    let (tenant, line, url) = hub().await;
    let mut client = Client::listening(program, &url, Some(tenant.subscriber(&[TOPIC]))).await;
    let first = tenant.update(TOPIC).data("first").field("retry", "100").published().await;
    client.expect(&first, "message", "first").await;
    for round in ["one", "two"] {
        line.cut();
        assert_eq!(client.next().await, json!({"kind": "error", "status": null, "closed": false}));
        // These libraries cannot send an id back that is not ASCII; browsers can, see below.
        let id = format!("urn:mine:{round}");
        let missed = tenant.update(TOPIC).data("missed").private().published().await;
        tenant.update(TOPIC).data("its own id").id(&id).published().await;
        line.mend();
        assert_eq!(client.next().await, json!({"kind": "open"}));
        client.expect(&missed, "message", "missed").await;
        client.expect(&id, "message", "its own id").await;
    }
    let last = tenant.update(TOPIC).data("last").published().await;
    client.expect(&last, "message", "last").await;
}

/// Every behaviour, shown by a client of each library.
macro_rules! clients {
    ($($library:ident: $program:expr;)*) => {$(
        mod $library {
            #[tokio::test]
            async fn updates_arrive_as_they_were_published() {
                super::updates_arrive_as_they_were_published($program).await;
            }

            #[tokio::test]
            async fn a_token_lets_private_updates_through() {
                super::a_token_lets_private_updates_through($program).await;
            }

            #[tokio::test]
            async fn what_was_missed_arrives_after_a_cut() {
                super::what_was_missed_arrives_after_a_cut($program).await;
            }
        }
    )*};
}

clients! {
    eventsource: super::EVENTSOURCE;
    fetch_event_source: super::FETCH_EVENT_SOURCE;
    httpx_sse: super::HTTPX_SSE;
}

/// Opens an `EventSource` in a page of the tenant's and waits for it; `heard` is what it says from then on.
async fn hear(chromium: &mut Chromium, page: &Page) {
    let script = format!(
        "new Promise((opened, failed) => {{
          globalThis.heard = [];
          globalThis.source = new EventSource('{HUB}{SUBSCRIBED}');
          source.onopen = opened;
          source.onerror = () => source.readyState === EventSource.CLOSED && failed(new Error('refused'));
          for (const type of ['message', 'add']) {{
            source.addEventListener(type, (event) => heard.push([event.lastEventId, event.type, event.data]));
          }}
        }}).then(() => true)"
    );
    assert_eq!(chromium.run(page, &script).await, true);
}

async fn heard(chromium: &mut Chromium, page: &Page, updates: &[[&str; 3]]) {
    chromium.until(page, &format!("heard.length >= {}", updates.len())).await;
    assert_eq!(chromium.run(page, "heard").await, json!(updates));
}

/// Lets a browser in by a cookie that is set as a site's discovery would.
async fn the_browser_sends_its_cookie(name: &str) {
    let (tenant, line, _) = hub().await;
    let origin = line.origin(&tenant);
    let mut chromium = Chromium::start().await;
    let page = chromium.open(&origin).await;
    let cookie = json!({
        "name": name, "value": tenant.subscriber(&[TOPIC]).sign(), "url": origin, "path": HUB,
        "secure": true, "httpOnly": true, "sameSite": "Strict",
    });
    assert!(chromium.set_cookie(&page, cookie).await, "{name}");
    hear(&mut chromium, &page).await;
    let private = tenant.update(TOPIC).data("one\ntwo").private().field("type", "add").published().await;
    heard(&mut chromium, &page, &[[&private, "add", "one\ntwo"]]).await;
    chromium.go(&page, &origin).await;
    hear(&mut chromium, &page).await;
    let again = tenant.update(TOPIC).data("again").private().published().await;
    heard(&mut chromium, &page, &[[&again, "message", "again"]]).await;
}

mod chromium {
    use super::*;

    #[tokio::test]
    async fn a_cookie_lets_private_updates_through_after_a_reload_too() {
        // A browser takes a cookie that is Secure from hosts under localhost without HTTPS too.
        the_browser_sends_its_cookie("__Secure-mercure_access_token").await;
    }

    #[tokio::test]
    async fn the_cookie_of_before_1_0_does_too() {
        the_browser_sends_its_cookie("mercureAuthorization").await;
    }

    #[tokio::test]
    async fn what_was_missed_arrives_after_a_cut() {
        let (tenant, line, _) = hub().await;
        let mut chromium = Chromium::start().await;
        let page = chromium.open(&line.origin(&tenant)).await;
        hear(&mut chromium, &page).await;
        let first = tenant.update(TOPIC).data("first").id("urn:\u{20ac}").field("retry", "100").published().await;
        heard(&mut chromium, &page, &[[&first, "message", "first"]]).await;
        line.cut();
        chromium.until(&page, "source.readyState === EventSource.CONNECTING").await;
        let missed = tenant.update(TOPIC).data("missed").published().await;
        line.mend();
        heard(&mut chromium, &page, &[[&first, "message", "first"], [&missed, "message", "missed"]]).await;
    }

    #[tokio::test]
    async fn silence_and_openings_are_no_messages() {
        let (tenant, line, _) = hub().await;
        let mut chromium = Chromium::start().await;
        let page = chromium.open(&format!("{}/?match=another", line.origin(&tenant))).await;
        hear(&mut chromium, &page).await;
        line.pieces(6).await;
        let last = tenant.update(TOPIC).data("last").published().await;
        heard(&mut chromium, &page, &[[&last, "message", "last"]]).await;
    }
}
