//! The plain JavaScript Workers, by `serve.mjs` on the workerd that Carillon runs on.

use tempfile::TempDir;

use super::{Server, miniflare_absent, ready, root, script};
use crate::Result;
use crate::process::Group;

const SECRET: &str = "the-secret-of-the-benchmark-site";

pub fn absent() -> Option<String> {
    miniflare_absent()
}

pub async fn start(worker: &str, is_logged: bool) -> Result<Server> {
    let state = TempDir::new()?;
    let log = state.path().join("server.log");
    let argument = serde_json::json!({
        "script": worker,
        "vars": { "WEBHOOK_SECRET": SECRET, "PLATFORM_KEY": super::PLATFORM_KEY, "LOGGED": is_logged.to_string() },
        "state": state.path().join("state"),
    });
    let mut group = Group::start(script(&root().join("bench/peers/serve.mjs"), &argument), &log)?;
    let address = ready(&group.first_line(&log).await?)?;
    Ok(Server {
        address,
        host: "bench.localhost".to_owned(),
        subscribe: "/events?topic=post".to_owned(),
        publish: "/webhook".to_owned(),
        tenant: "bench".to_owned(),
        topic: "post".to_owned(),
        webhook_secret: Some(SECRET.to_owned()),
        control: None,
        group,
        _state: state,
    })
}
