//! What GraphQL answers cost: beside a plain JavaScript Worker, wherever they lie ([`cached`]); when many ask the same at once
//! ([`equal_misses`]); and when many documents are read and changed ([`zipf`]). Both servers run at once, and ask one [`site`].

mod cached;
mod content;
mod equal_misses;
mod site;
mod zipf;

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;

use crate::options::Options;
use crate::peers::{PLATFORM_KEY, Peer, Runtime, Server, create_tenant, serve_two_isolates};
use crate::table::Table;
use crate::wire::{self, HttpResponse};
use crate::{Result, api};
use content::Content;
use site::GraphqlSite;

const HOST: &str = "bench.localhost";

/// Carillon on two isolates, the plain Worker, and the site that both ask.
struct Servers {
    carillon: Runtime,
    peer: Server,
    site: GraphqlSite,
    /// Of the tenant's webhooks.
    secret: String,
    _state: TempDir,
}

impl Servers {
    async fn start(documents: usize) -> Result<Self> {
        let state = TempDir::new()?;
        let carillon = serve_two_isolates(state.path()).await?;
        let secret = create_tenant(carillon.address, "bench").await?;
        let site = GraphqlSite::begin(Content::of(documents)).await?;
        // No answer expires while it is measured, and none is fetched again by itself.
        let settings = json!({"graphql": {"cache": {"fresh_seconds": 86_400, "warm_up": 0}}});
        let body = json!({"wpgraphql_endpoint": site.url(), "settings": settings});
        api::ask(carillon.address, "PATCH", "/api/v1/tenants/bench", "localhost", &body, Some(PLATFORM_KEY)).await?;
        let peer = Peer::PlainGraphql.start().await?;
        Ok(Self { carillon, peer, site, secret, _state: state })
    }

    fn isolate(&self, nth: usize) -> SocketAddr {
        self.carillon.isolates[nth]
    }

    /// A question to Carillon.
    fn ours(&self, document: &str, call: usize) -> Vec<u8> {
        question("/graphql", document, call, &[])
    }

    /// A question to the plain Worker. The path says where it has the answer: in `/memory`, in `/kv`, at the `/site`.
    fn plain(&self, path: &str, document: &str, call: usize) -> Vec<u8> {
        question(path, document, call, &[("X-Site", &self.site.url())])
    }
}

/// A question, from another client for each call.
fn question(path: &str, document: &str, call: usize, more: &[(&str, &str)]) -> Vec<u8> {
    let body = json!({ "query": document }).to_string();
    let (name, address) = wire::client_address(call);
    let headers = [&[("Content-Type", "application/json"), (name, &*address)], more].concat();
    wire::request("POST", path, HOST, &headers, body.as_bytes())
}

/// What Carillon says of where an answer was; fails for one without data.
fn verdict(answer: &HttpResponse) -> Result<&str> {
    match (answer.status, answer.header("X-Carillon-Cache")) {
        (200, Some(verdict)) => Ok(verdict),
        (status, _) => {
            Err(format!("a question was answered {status}: {}", String::from_utf8_lossy(&answer.body)).into())
        }
    }
}

pub async fn measure(options: &Options) -> (Vec<Table>, bool) {
    let mut tables = [cached::table(options), equal_misses::table(options), zipf::table(options)];
    let worked = match Peer::Carillon.absent().or_else(|| Peer::PlainGraphql.absent()) {
        Some(reason) => {
            for table in &mut tables {
                table.absent(&["all".to_owned()]);
                table.note(reason.clone());
            }
            true
        }
        None => measured(&mut tables, options).await,
    };
    (tables.into(), worked)
}

async fn measured([cached, equal_misses, zipf]: &mut [Table; 3], options: &Options) -> bool {
    let servers = match Servers::start(zipf::documents(options)).await {
        Ok(servers) => Arc::new(servers),
        Err(error) => return cached.measured(&["all".to_owned()], Err(error)),
    };
    // Each is measured, whatever became of the one before.
    let mut worked = cached::measure(cached, &servers, options).await;
    worked &= equal_misses::measure(equal_misses, &servers, options).await;
    worked &= zipf::measure(zipf, &servers, options).await;
    worked
}
