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
        let table = match section {
            Section::Idle => idle::measure(options, &mut stage).await,
            Section::Burst => burst::measure(options, &mut stage).await,
            Section::Steady => steady::measure(options, &mut stage).await,
            Section::Overload => steady::overload(options, &mut stage).await,
            Section::Requests => {
                let (table, worked) = requests::measure(options).await;
                stage.failed |= !worked;
                table
            }
            Section::Graphql => {
                let (table, worked) = graphql::measure(options).await;
                stage.failed |= !worked;
                table
            }
            Section::Credentials => {
                let (table, worked) = credentials::measure(options).await;
                stage.failed |= !worked;
                table
            }
            Section::Attack => {
                let (table, worked) = attack::measure(options).await;
                stage.failed |= !worked;
                table
            }
            Section::Costly => {
                let (table, worked) = costly::measure(options).await;
                stage.failed |= !worked;
                table
            }
            Section::Deletion => {
                let (table, worked) = deletion::measure(options).await;
                stage.failed |= !worked;
                table
            }
            Section::Matching => {
                let (table, worked) = matching::measure(options).await;
                stage.failed |= !worked;
                table
            }
            Section::FirstRequest => {
                let (table, worked) = first_request::measure(options).await;
                stage.failed |= !worked;
                table
            }
            Section::Rows => {
                let (table, worked) = records::measure(options).await;
                stage.failed |= !worked;
                table
            }
        };
        println!("{table}");
    }
    match stage.failed {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}
