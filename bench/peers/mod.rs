//! The servers that are measured beside each other. Each starts fresh, on free
//! ports and under a directory of its own, and is addressed in one way.

mod carillon;
pub mod fresh;
mod nchan;
mod plain;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::Command;

use crate::Result;
use crate::process::Group;

pub use carillon::{
    PLATFORM_KEY, Runtime, create_tenant, d1, serve, serve_bounded, serve_counting, serve_two_isolates,
};

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// This project's Worker on workerd, its streams bridged.
    Carillon,
    /// The same, its streams direct.
    Direct,
    /// A plain JavaScript Durable Object that streams directly, on the same workerd.
    Plain,
    /// The same with a log, and with what comes at once sent together.
    Logged,
    /// nginx with the nchan module.
    Nchan,
    /// A plain JavaScript Worker with the same reads and writes as one of our requests.
    PlainApi,
    /// A plain JavaScript Worker that answers the same bytes as one of our GraphQL answers.
    PlainGraphql,
}

impl Peer {
    /// Those that fan out.
    pub const LIVE: [Self; 5] = [Self::Carillon, Self::Direct, Self::Plain, Self::Logged, Self::Nchan];

    /// Why this peer cannot run here, with what to do about it.
    pub fn absent(self) -> Option<String> {
        match self {
            Self::Carillon | Self::Direct => carillon::absent(),
            Self::Plain | Self::Logged | Self::PlainApi | Self::PlainGraphql => plain::absent(),
            Self::Nchan => nchan::absent(),
        }
    }

    /// Starts a fresh server.
    pub async fn start(self) -> Result<Server> {
        let started = match self {
            Self::Carillon => carillon::start("bridged").await,
            Self::Direct => carillon::start("direct").await,
            Self::Plain => plain::start("plain_hub.js", false).await,
            Self::Logged => plain::start("plain_hub.js", true).await,
            Self::PlainApi => plain::start("plain_api.js", false).await,
            Self::PlainGraphql => plain::start("plain_graphql.js", false).await,
            Self::Nchan => nchan::start().await,
        };
        started.map_err(|error| format!("{self}: {error}").into())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Carillon => "Carillon, bridged",
            Self::Direct => "Carillon, direct",
            Self::Plain => "plain JavaScript object",
            Self::Logged => "the same, logged and coalesced",
            Self::Nchan => "nginx + nchan",
            Self::PlainApi | Self::PlainGraphql => "plain JavaScript Worker",
        })
    }
}

/// A running server and how to address it.
pub struct Server {
    pub address: SocketAddr,
    pub host: String,
    /// Path and query of the event stream.
    pub subscribe: String,
    /// Path and query that webhooks go to.
    pub publish: String,
    pub tenant: String,
    pub topic: String,
    /// Webhooks are signed with it; nchan knows no signatures.
    pub webhook_secret: Option<String>,
    /// Where rows are put through the test admin worker; ours alone has such a place.
    pub control: Option<SocketAddr>,
    pub group: Group,
    /// State and logs; they go with the server.
    _state: TempDir,
}

/// The root of the package.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn node() -> PathBuf {
    root().join("node_modules/node/bin/node")
}

/// What every server on Miniflare needs.
fn miniflare_absent() -> Option<String> {
    match node().exists() && root().join("node_modules/miniflare").exists() {
        true => None,
        false => Some("Node and Miniflare are not installed here; run `make setup`.".to_owned()),
    }
}

/// A script on Node with one argument, silent and offline.
fn script(path: &Path, argument: &serde_json::Value) -> Command {
    let mut command = Command::new(node());
    command
        .current_dir(root())
        .arg(path)
        .arg(argument.to_string())
        .env("CLOUDFLARE_CF_FETCH_ENABLED", "false")
        .env("WRANGLER_SEND_METRICS", "false")
        .env("DO_NOT_TRACK", "1");
    command
}

/// The address in the line `{"url": "http://127.0.0.1:PORT"}` that a script prints when it is ready.
fn ready(line: &str) -> Result<SocketAddr> {
    named(line, "url")
}

/// An address in a script's ready line.
fn named(line: &str, name: &str) -> Result<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line)?;
    address(line.get(name).ok_or_else(|| format!("a ready line without {name}"))?)
}

/// The addresses of a list in a script's ready line.
fn all(line: &str, name: &str) -> Result<Vec<SocketAddr>> {
    let line: serde_json::Value = serde_json::from_str(line)?;
    let urls = line.get(name).and_then(serde_json::Value::as_array);
    urls.ok_or_else(|| format!("a ready line without {name}"))?.iter().map(address).collect()
}

fn address(url: &serde_json::Value) -> Result<SocketAddr> {
    let url = url.as_str().ok_or("an address that is no text")?;
    Ok(url.trim_start_matches("http://").trim_end_matches('/').parse()?)
}
