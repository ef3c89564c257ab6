//! The live wire, measured beside its peers: one run, one machine, the same
//! subscribers and the same events; the result is a page of Markdown tables.
//!
//! `make bench` runs everything but `rows`, `cargo bench --bench live -- --help` lists the parts.
//!
//! - what is measured: [`idle`], [`burst`], [`steady`], [`requests`], [`graphql`], [`credentials`], [`attack`], [`costly`], [`deletion`],
//!   [`matching`], [`first_request`], [`records`]
//! - the load: [`audience`] reads streams (and resumes them by [`last_id`]), [`publisher`] sends webhooks, a [`mark`]
//!   in each event and a [`tally`] of them tell what arrived, how late and in which order; a [`neighbour`] tells what a tenant
//!   notices of another one
//! - the servers: [`peers`], each a [`process`] group that ends with the benchmark
//! - the ground: [`wire`] (HTTP/1.1), [`api`], [`table`], [`options`], [`limits`], [`machine`]

// A benchmark may stop where a request may not.
#![allow(clippy::indexing_slicing, clippy::cast_precision_loss)]

mod api;
mod attack;
mod audience;
mod burst;
mod costly;
mod credentials;
mod deletion;
mod first_request;
mod graphql;
mod idle;
mod last_id;
mod limits;
mod machine;
mod mark;
mod matching;
mod neighbour;
mod options;
mod peers;
mod process;
mod publisher;
mod records;
mod requests;
mod stage;
mod steady;
mod table;
mod tally;
mod wire;

use std::env;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use options::{Options, Section};
use stage::Stage;
use table::Table;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Error> = std::result::Result<T, E>;

/// Threads of the load generator; the servers need the machine more.
const THREADS: usize = 2;

fn main() -> ExitCode {
    match begin() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn begin() -> Result<ExitCode> {
    let options = Options::read(env::args().skip(1), env::var("BENCH_SECONDS").ok())?;
    if options.help {
        print!("{}", options::HELP);
        return Ok(ExitCode::SUCCESS);
    }
    limits::allow(options.most_subscribers())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
    runtime.block_on(async {
        // Whichever way this ends, dropping `run` ends the servers.
        tokio::select! {
            code = run(&options) => Ok(code),
            interrupted = interrupted() => interrupted.map(|()| ExitCode::from(130)),
        }
    })
}

async fn interrupted() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt?,
        _ = terminate.recv() => {}
    }
    eprintln!("bench: interrupted; the servers are ended");
    Ok(())
}

async fn run(options: &Options) -> ExitCode {
    let mut stage = Stage::new(&options.peers);
    println!("{}\n", machine::describe());
    for section in &options.sections {
        eprintln!("{section:?}");
        let (tables, worked) = match section {
            Section::Idle => one((idle::measure(options, &mut stage).await, true)),
            Section::Burst => one((burst::measure(options, &mut stage).await, true)),
            Section::Steady => one((steady::measure(options, &mut stage).await, true)),
            Section::Overload => one((steady::overload(options, &mut stage).await, true)),
            Section::Requests => one(requests::measure(options).await),
            Section::Graphql => graphql::measure(options).await,
            Section::Credentials => one(credentials::measure(options).await),
            Section::Attack => one(attack::measure(options).await),
            Section::Costly => one(costly::measure(options).await),
            Section::Deletion => one(deletion::measure(options).await),
            Section::Matching => one(matching::measure(options).await),
            Section::FirstRequest => one(first_request::measure(options).await),
            Section::Rows => one(records::measure(options).await),
        };
        stage.failed |= !worked;
        for table in tables {
            println!("{table}");
        }
    }
    match stage.failed {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

/// A section of one table.
fn one((table, worked): (Table, bool)) -> (Vec<Table>, bool) {
    (vec![table], worked)
}
