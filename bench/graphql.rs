//! What an answer that is kept costs beside a plain JavaScript Worker that answers the same bytes from a `Map`: both servers at
//! once, one connection each, call by call in turn. And how long it takes from a webhook to the first answer from after it.

use std::net::SocketAddr;
use std::time::Instant;

use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::mark::Mark;
use crate::options::Options;
use crate::peers::{Peer, Runtime, create_tenant, serve_with_loopback};
use crate::publisher::Site;
use crate::requests::{self, Target};
use crate::table::Table;
use crate::tally::histogram;
use crate::wire::{self, Caller};
use crate::{Result, api};

const HOST: &str = "bench.localhost";
/// What is asked, and how many bytes are answered.
const QUESTIONS: [(&str, &str, usize); 2] =
    [("1 KB", "{posts{nodes{id}}}", 1_000), ("50 KB", "{posts(first:100){nodes{id content}}}", 50_000)];
/// Webhooks that an answer is asked for after.
const PURGES: usize = 300;

pub async fn measure(options: &Options) -> (Table, bool) {
    let mut table = Table::new(
        format!("Kept GraphQL answers: {} of each, in turn; {PURGES} webhooks", options.calls),
        &["request", "Carillon p50, µs", "p99, µs", "plain JavaScript p50, µs", "p99, µs", "ratio of p50"],
    );
    if let Some(reason) = Peer::Carillon.absent().or_else(|| Peer::PlainApi.absent()) {
        table.absent(&["all".to_owned()]);
        table.note(reason);
        return (table, true);
    }
    let worked = match rows(options.calls).await {
        Ok(rows) => {
            for (name, cells) in rows {
                table.measured(&[name], Ok(cells));
            }
            true
        }
        Err(error) => table.measured(&["all".to_owned()], Err(error)),
    };
    (table, worked)
}

async fn rows(calls: usize) -> Result<Vec<(String, Vec<String>)>> {
    let state = TempDir::new()?;
    let runtime = serve_with_loopback(state.path()).await?;
    let secret = create_tenant(runtime.address, "bench").await?;
    let site = begin_site().await?;
    let endpoint = json!({"wpgraphql_endpoint": format!("http://{site}/graphql")});
    let path = "/api/v1/tenants/bench";
    api::ask(runtime.address, "PATCH", path, "localhost", &endpoint, Some(crate::peers::PLATFORM_KEY)).await?;
    let plain = Peer::PlainApi.start().await?;
    let targets = [Target { address: runtime.address }, Target { address: plain.address }];
    let mut rows = Vec::new();
    for (name, document, _) in QUESTIONS {
        let cells = requests::in_turn(targets, calls, |_, call| Ok(question(document, call, None))).await?;
        rows.push((format!("a kept answer of {name}"), cells));
    }
    rows.push(("a webhook, and the answer from after it".to_owned(), after_webhooks(&runtime, &secret).await?));
    Ok(rows)
}

fn question(document: &str, call: usize, after: Option<&str>) -> Vec<u8> {
    let body = json!({ "query": document }).to_string();
    let (name, address) = wire::client_address(call);
    let mut headers = vec![("Content-Type", "application/json"), (name, &*address)];
    headers.extend(after.map(|id| ("X-Carillon-After", id)));
    wire::request("POST", "/graphql", HOST, &headers, body.as_bytes())
}

/// From the moment that a webhook is sent to the answer that shows its effect.
async fn after_webhooks(runtime: &Runtime, secret: &str) -> Result<Vec<String>> {
    let sender = Site::of_tenant("bench", secret)?;
    let (mut caller, mut times) = (Caller::connect(runtime.address).await?, histogram()?);
    let (_, document, _) = QUESTIONS[0];
    for call in 0..PURGES {
        caller.call(&question(document, call, None)).await?.succeeded()?;
        let begun = Instant::now();
        let accepted =
            caller.call(&sender.webhook(Mark { number: u32::try_from(call)?, sent: 0 })).await?.succeeded()?;
        let id = api::text(&serde_json::from_slice(&accepted.body)?, "/data/id")?;
        let answer = caller.call(&question(document, call, Some(&id))).await?.succeeded()?;
        times.saturating_record(u64::try_from(begun.elapsed().as_micros())?);
        if answer.body.is_empty() {
            return Err("an answer without a body".into());
        }
    }
    let quantile = |quantile| times.value_at_quantile(quantile).to_string();
    Ok(vec![quantile(0.5), quantile(0.99), "–".to_owned(), "–".to_owned(), "–".to_owned()])
}

/// A site that answers as WPGraphQL does, at once.
async fn begin_site() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket));
        }
    });
    Ok(address)
}

async fn serve(mut socket: TcpStream) -> Result<()> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let length = text
            .to_ascii_lowercase()
            .split("content-length: ")
            .nth(1)
            .and_then(|rest| rest.split("\r\n").next()?.trim().parse::<usize>().ok());
        let head = text.find("\r\n\r\n").map(|at| at + 4);
        if let (Some(head), Some(length)) = (head, length)
            && bytes.len() >= head + length
        {
            let size = QUESTIONS.iter().find(|(_, document, _)| text.contains(document)).map_or(100, |one| one.2);
            bytes.drain(..head + length);
            let body =
                json!({"data": {"posts": {"nodes": [{"id": "cG9zdDox", "content": "x".repeat(size)}]}}}).to_string();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\nX-GraphQL-Keys: id graphql:Query list:post cG9zdDox\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            socket.write_all(answer.as_bytes()).await?;
        } else if socket.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    }
}
