//! What another tenant notices while one network attacks a neighbour at full speed: wrong signatures, wrong tokens,
//! sign-ins. One server, with the bound per network that a deployment has; each attack beside a quiet stretch just before it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::options::Options;
use crate::peers::{Peer, Runtime, create_tenant, serve_bounded};
use crate::table::Table;
use crate::wire::{self, Caller};
use crate::{Result, neighbour};

/// Connections that attack, each without a pause: fewer and more than are held back.
const CONNECTIONS: [usize; 3] = [4, 64, 128];
/// How long an attack lasts before what it does is measured: the network's first permits are spent by then.
pub const WARM: Duration = Duration::from_secs(3);
/// The attacker's network.
pub const ATTACKER: (&str, &str) = ("CF-Connecting-IP", "192.0.2.66");

/// What is sent to the tenant that is attacked.
#[derive(Clone, Copy, Debug)]
enum Attack {
    Signatures,
    Tokens,
    SignIns,
}

impl Attack {
    const ALL: [Self; 3] = [Self::Signatures, Self::Tokens, Self::SignIns];

    fn name(self) -> &'static str {
        match self {
            Self::Signatures => "wrong signatures",
            Self::Tokens => "wrong tokens",
            Self::SignIns => "sign-ins",
        }
    }

    /// Its request of this number: each with another credential.
    fn request(self, number: u64) -> Vec<u8> {
        let (host, json) = ("target.localhost", ("Content-Type", "application/json"));
        match self {
            Self::Signatures => {
                let signature = format!("sha256={number:064x}");
                let headers = [json, ATTACKER, ("X-Webhook-Signature", &*signature)];
                wire::request("POST", "/webhook", host, &headers, br#"{"tenant_id":"target"}"#)
            }
            Self::Tokens => {
                let authorization = format!("Bearer eyJhbGciOiJIUzI1NiJ9.e30.{number:043x}");
                wire::request("PUT", "/events", host, &[ATTACKER, ("Authorization", &*authorization)], &[])
            }
            Self::SignIns => {
                let body = json!({"email": format!("{number}@example.com"), "password": "a guess"}).to_string();
                wire::request("POST", "/api/v1/auth/login", host, &[json, ATTACKER], body.as_bytes())
            }
        }
    }
}

pub async fn measure(options: &Options) -> (Table, bool) {
    let length = options.length.min(Duration::from_secs(15));
    let mut table = Table::new(
        format!("Attack: {} s each, connections of one network without a pause", length.as_secs()),
        &[
            "attack",
            "connections",
            "refused/s",
            "ratio of p99",
            "quiet p50, µs",
            "p99, µs",
            "attacked p50, µs",
            "p99, µs",
        ],
    );
    if let Some(reason) = Peer::Carillon.absent() {
        table.absent(&["all".to_owned()]);
        table.note(reason);
        return (table, true);
    }
    let mut worked = true;
    for connections in CONNECTIONS {
        for attack in Attack::ALL {
            let cells = cells(attack, connections, length).await;
            worked &= table.measured(&[attack.name().to_owned(), connections.to_string()], cells);
        }
    }
    (table, worked)
}

async fn cells(attack: Attack, connections: usize, length: Duration) -> Result<Vec<String>> {
    let state = TempDir::new()?;
    let runtime = serve_bounded(state.path() as &Path).await?;
    create_tenant(runtime.address, "bench").await?;
    create_tenant(runtime.address, "target").await?;
    let quiet = of_the_other(&runtime, length).await?;
    let (ends, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut attackers = JoinSet::new();
    for _ in 0..connections {
        let (ends, sent, mut caller) = (ends.clone(), sent.clone(), Caller::connect(runtime.address).await?);
        attackers.spawn(async move {
            while !ends.load(Ordering::Relaxed) {
                let number = sent.fetch_add(1, Ordering::Relaxed);
                let answer = caller.call(&attack.request(number)).await?;
                if answer.status < 400 || answer.status >= 500 {
                    return Err(format!("an attack was answered {}", answer.status).into());
                }
            }
            Result::<()>::Ok(())
        });
    }
    tokio::time::sleep(WARM).await;
    let (before, begun) = (sent.load(Ordering::Relaxed), Instant::now());
    let attacked = of_the_other(&runtime, length).await;
    let rate = (sent.load(Ordering::Relaxed) - before) as f64 / begun.elapsed().as_secs_f64();
    ends.store(true, Ordering::Relaxed);
    while let Some(attacker) = attackers.join_next().await {
        attacker??;
    }
    let mut cells = vec![format!("{rate:.0}")];
    cells.extend(neighbour::cells(&quiet, &attacked?));
    Ok(cells)
}

/// How long the other tenant's requests take: the list of its public keys.
async fn of_the_other(runtime: &Runtime, length: Duration) -> Result<hdrhistogram::Histogram<u64>> {
    let request = |call| {
        let (name, address) = wire::client_address(call);
        wire::request("GET", "/.well-known/jwks.json", "bench.localhost", &[(name, &*address)], &[])
    };
    neighbour::times_for(runtime.address, request, length).await
}
