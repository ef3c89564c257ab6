//! Carillon and an empty Rust Worker, each request in an isolate of its own: one workerd loads both, by `fresh_isolates.mjs`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use super::{carillon, miniflare_absent, ready, root, script};
use crate::Result;
use crate::process::Group;

/// The crate of the empty Worker.
const EMPTY: &str = "bench/peers/empty_worker";

/// A server that makes an isolate for each request; the header `Worker` names whose.
pub struct Fresh {
    pub address: SocketAddr,
    _group: Group,
    /// The log; it goes with the server.
    _state: TempDir,
}

pub fn absent() -> Option<String> {
    carillon::absent().or_else(miniflare_absent)
}

/// Builds the empty Worker, as Carillon is built, and serves both.
pub async fn start() -> Result<Fresh> {
    build_empty().await?;
    let state = TempDir::new()?;
    let log = state.path().join("server.log");
    let argument = json!({ "workers": {
        "carillon": { "build": root().join("build"), "vars": carillon::settings() },
        "empty": { "build": empty_build(), "vars": {} },
    }});
    let mut group = Group::start(script(&root().join("bench/peers/fresh_isolates.mjs"), &argument), &log)?;
    let address = ready(&group.first_line(&log).await?)?;
    Ok(Fresh { address, _group: group, _state: state })
}

fn empty_build() -> PathBuf {
    root().join(EMPTY).join("build")
}

/// The script says by itself what it does, on standard error; the results keep standard output.
async fn build_empty() -> Result<()> {
    let mut build = Command::new(root().join("scripts/build-worker"));
    let status = build.arg(EMPTY).stdin(Stdio::null()).stdout(Stdio::null()).status().await?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("scripts/build-worker {EMPTY} failed; what it says stands above").into()),
    }
}
