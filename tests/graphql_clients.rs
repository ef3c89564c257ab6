//! GraphQL clients from packages, unchanged, and the audit of GraphQL over HTTP, against an endpoint in front of a GraphQL server
//! from a package.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use crate::world::{Line, World, within};

#[tokio::test]
async fn clients_ask_unchanged_and_the_audit_of_graphql_over_http_passes_whole() {
    let world = World::shared().await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let clients = root.join("tests/clients");
    let mut command = Command::new(root.join("node_modules/node/bin/node"));
    command.arg("--import").arg(clients.join("localhost.mjs")).arg(clients.join("graphql.mjs"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async || -> Value {
        let line = within("a line of the clients", lines.next_line()).await.unwrap();
        serde_json::from_str(&line.expect("the clients ended early")).unwrap()
    };
    let site = next().await["site"].clone();
    let tenant = world.tenant().limit("max_anonymous_requests_per_minute", -1).set("wpgraphql_endpoint", site);
    let tenant = tenant.create().await;
    let line = Line::to(&tenant.world).await;
    let url = format!("{}/graphql\n", line.origin(&tenant));
    child.stdin.as_mut().unwrap().write_all(url.as_bytes()).await.unwrap();
    let (mut audits, mut failed, mut asked) = (0, Vec::new(), Vec::new());
    loop {
        let said = next().await;
        match (&said["audit"], &said["client"]) {
            (Value::String(_), _) if said["status"] == "ok" => audits += 1,
            (Value::String(_), _) => failed.push(said),
            (_, Value::String(_)) => asked.push(said),
            _ => break,
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(audits, 61);
    let by = |client: &str, title: &str| json!({"client": client, "read": 1, "written": title, "wrong": 1});
    let expected = [
        by("urql", "By urql"),
        by("urql by GET", "By urql"),
        by("Apollo Client", "By Apollo"),
        by("Apollo Client, persisted", "By Apollo"),
    ];
    assert_eq!(asked, expected);
}
