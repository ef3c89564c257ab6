//! What it costs to prove a caller: the same answer, asked for with a key, a token and a cookie, beside an
//! anonymous request; one server, one connection each, call by call in turn.

use std::time::Instant;

use carillon::credentials::key::{FreshKey, KeyKind};
use carillon::credentials::signature::digest;
use serde_json::{Value, json};

use crate::options::Options;
use crate::peers::{Peer, Server, d1};
use crate::table::Table;
use crate::tally::histogram;
use crate::wire::{self, Caller};
use crate::{Result, api};

/// Calls before those that count.
const WARM: usize = 300;

/// A way to ask, by its headers.
struct CredentialKind {
    name: &'static str,
    path: &'static str,
    header: Option<(&'static str, String)>,
}

pub async fn measure(options: &Options) -> (Table, bool) {
    let mut table = Table::new(
        format!("Credentials: {} requests of each, in turn", options.calls),
        &["request", "p50, µs", "p99, µs", "beside anonymous"],
    );
    if let Some(reason) = Peer::Carillon.absent() {
        table.absent(&["all".to_owned()]);
        table.note(reason);
        return (table, true);
    }
    match rows(options.calls).await {
        Ok(rows) => {
            for (name, cells) in rows {
                table.measured(&[name], Ok(cells));
            }
            (table, true)
        }
        Err(error) => {
            let worked = table.measured(&["all".to_owned()], Err(error));
            (table, worked)
        }
    }
}

async fn rows(calls: usize) -> Result<Vec<(String, Vec<String>)>> {
    let server = Peer::Carillon.start().await?;
    let ways = ways(&server).await?;
    let mut callers = Vec::new();
    for way in &ways {
        callers.push((way, Caller::connect(server.address).await?, histogram()?));
    }
    for call in 0..WARM + calls {
        for (way, caller, times) in &mut callers {
            let (name, address) = wire::client_address(call);
            let mut headers = vec![(name, address.as_str())];
            headers.extend(way.header.as_ref().map(|(name, value)| (*name, value.as_str())));
            let request = wire::request("GET", way.path, &server.host, &headers, &[]);
            let begun = Instant::now();
            caller.call(&request).await?.succeeded()?;
            if call >= WARM {
                times.saturating_record(u64::try_from(begun.elapsed().as_micros())?);
            }
        }
    }
    let anonymous = callers.first().map_or(1, |(_, _, times)| times.value_at_quantile(0.5)).max(1);
    let row = |(way, _, times): &(&CredentialKind, Caller, hdrhistogram::Histogram<u64>)| {
        let (p50, p99) = (times.value_at_quantile(0.5), times.value_at_quantile(0.99));
        let cells = vec![p50.to_string(), p99.to_string(), format!("{:.2}", p50 as f64 / anonymous as f64)];
        (way.name.to_owned(), cells)
    };
    Ok(callers.iter().map(row).collect())
}

/// A tenant's key, a user's token and cookie; and nobody.
async fn ways(server: &Server) -> Result<Vec<CredentialKind>> {
    let key = api::key(server.address, &server.host).await?;
    let fresh = |kind| FreshKey::new(kind).map_err(|error| error.to_string());
    let (cookie, refresh) = (fresh(KeyKind::UserSession)?, fresh(KeyKind::Refresh)?);
    seed(server, &cookie, &refresh).await?;
    let body = json!({"refresh_token": refresh.text});
    let refreshed = api::ask(server.address, "POST", "/api/v1/auth/refresh", &server.host, &body, None).await?;
    let token = api::text(&refreshed, "/data/access_token")?;
    let way = |name, header| CredentialKind { name, path: "/api/v1/permissions", header };
    Ok(vec![
        CredentialKind { name: "anonymous", path: "/.well-known/jwks.json", header: None },
        way("by API key", Some(("Authorization", format!("Bearer {key}")))),
        way("by access token (Ed25519)", Some(("Authorization", format!("Bearer {token}")))),
        way("by session cookie", Some(("Cookie", format!("__Host-carillon_session={}", cookie.text)))),
    ])
}

/// Puts a user there who is signed in by cookie and by token, as if it had happened.
async fn seed(server: &Server, cookie: &FreshKey, refresh: &FreshKey) -> Result<()> {
    let of = |key: &FreshKey| digest(key.text.as_bytes());
    let rows = [
        (
            "INSERT INTO users (tenant_id, id, email, role, email_verified_at, created_at, updated_at) VALUES (?1, 'usr_bench', 'bench@example.com', 'owner', 1, 1, 1)",
            vec![],
        ),
        (
            "INSERT INTO sessions (tenant_id, id, user_id, cookie_digest, address, user_agent, created_at, last_used_at, expires_at) VALUES (?1, ?2, 'usr_bench', ?3, '', '', 1, 1, 9000000000000)",
            vec![cookie.id.clone(), of(cookie)],
        ),
        (
            "INSERT INTO refresh_tokens (tenant_id, digest, session_id, created_at) VALUES (?1, ?2, ?3, 1)",
            vec![of(refresh), cookie.id.clone()],
        ),
    ];
    let control = server.control.ok_or("no place to put rows")?;
    for (sql, rest) in rows {
        let params: Vec<Value> = std::iter::once(server.tenant.clone()).chain(rest).map(Value::from).collect();
        // The first tenant lies on the first shard.
        d1(control, "SHARD_00", sql, &params).await?;
    }
    Ok(())
}
