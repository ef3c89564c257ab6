//! A site that answers as WPGraphQL does, and counts what it is asked. A question says by its arguments what is answered:
//! `bytes` of content, after `wait` milliseconds; or a `document` of the [`Content`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::content::Content;
use crate::Result;

pub struct GraphqlSite {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    pub content: Arc<Content>,
}

impl GraphqlSite {
    pub async fn begin(content: Content) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, asked, content) = (listener.local_addr()?, Arc::default(), Arc::new(content));
        let site = Self { address, asked: Arc::clone(&asked), content: Arc::clone(&content) };
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&asked), Arc::clone(&content)));
            }
        });
        Ok(site)
    }

    pub fn url(&self) -> String {
        format!("http://{}/graphql", self.address)
    }

    /// How many questions it got.
    pub fn asked(&self) -> usize {
        self.asked.load(Relaxed)
    }
}

async fn serve(mut socket: TcpStream, asked: Arc<AtomicUsize>, content: Arc<Content>) -> Result<()> {
    socket.set_nodelay(true)?;
    let mut bytes = Vec::new();
    loop {
        let Some(body) = take_body(&mut bytes) else {
            match socket.read_buf(&mut bytes).await? {
                0 => return Ok(()),
                _ => continue,
            }
        };
        asked.fetch_add(1, Relaxed);
        let wait = argument(&body, "wait").unwrap_or(0);
        if wait > 0 {
            tokio::time::sleep(Duration::from_millis(u64::try_from(wait)?)).await;
        }
        let (keys, data) = match argument(&body, "document") {
            Some(document) => content.answer(document),
            None => {
                let text = "x".repeat(argument(&body, "bytes").unwrap_or(0));
                ("list:post cG9zdDox".to_owned(), json!({"posts": {"nodes": [{"id": "cG9zdDox", "content": text}]}}))
            }
        };
        let body = json!({ "data": data }).to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\nX-GraphQL-Keys: id graphql:Query {keys}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await?;
    }
}

/// Takes the first request off what was read, once it is whole; its body.
fn take_body(bytes: &mut Vec<u8>) -> Option<String> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(bytes.get(..head)?).to_ascii_lowercase();
    let length: usize = text.split("content-length:").nth(1)?.split("\r\n").next()?.trim().parse().ok()?;
    let body = String::from_utf8_lossy(bytes.get(head..head + length)?).into_owned();
    bytes.drain(..head + length);
    Some(body)
}

/// The number that an argument of a question has.
fn argument(question: &str, name: &str) -> Option<usize> {
    let value = question.split(name).nth(1)?.trim_start().strip_prefix(':')?.trim_start();
    value.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
