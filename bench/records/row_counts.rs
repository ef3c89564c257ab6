//! How many rows a request reads and writes, as D1 counts them: the Worker logs it of each transaction.

use std::time::Duration;

use serde_json::Value;

use super::{Fixture, Operation};
use crate::Result;
use crate::peers::Runtime;
use crate::wire::{self, Caller};

/// The statements by which the hub empties the outbox, behind answers.
const OUTBOX: &str = "storage::outbox::";
/// An operation is counted the last of so many times: by then the isolate knows what it needs of the tenant, and a list that is
/// asked for again is kept.
pub const TIMES: usize = 4;
/// How often the log is looked at for a line, and the pause before each time.
const LOOKS: usize = 500;
const PAUSE: Duration = Duration::from_millis(10);

/// The rows that one request reads and writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowCounts {
    pub read: u64,
    pub written: u64,
}

/// Those of an operation. The runtime logs them, and nobody else asks it.
pub async fn of(operation: Operation, fixture: &Fixture, runtime: &Runtime) -> Result<RowCounts> {
    let mut caller = Caller::connect(runtime.address).await?;
    let mut rows = RowCounts::default();
    for call in 0..TIMES {
        if let Some(before) = operation.before(fixture, call) {
            caller.call(&before).await?.succeeded()?;
            settled(runtime, 0).await?;
        }
        let seen = settled(runtime, 0).await?.len();
        caller.call(&operation.request(fixture, call)).await?.succeeded()?;
        let lines = settled(runtime, seen).await?;
        // What it leaves to be done behind its answer is not its own.
        let own = lines[seen..].split(is_answer).next().unwrap_or_default();
        rows = sum(own, &fixture.tenant);
        if let Some(after) = operation.after(fixture, call) {
            caller.call(&after).await?.succeeded()?;
            settled(runtime, 0).await?;
        }
    }
    Ok(rows)
}

/// The log, once the answer of a request that was sent when it had `seen` lines stands in it; with 0, once nothing comes
/// any more.
async fn settled(runtime: &Runtime, seen: usize) -> Result<Vec<Value>> {
    let mut before = usize::MAX;
    for _ in 0..LOOKS {
        let lines = log(runtime).await?;
        let is_answered = lines[seen.min(lines.len())..].iter().any(is_answer);
        if lines.len() == before && (seen == 0 || is_answered) {
            return Ok(lines);
        }
        before = lines.len();
        tokio::time::sleep(PAUSE).await;
    }
    Err("the log does not come to rest".into())
}

/// The line of an answered request.
fn is_answer(line: &Value) -> bool {
    line["duration_ms"].is_number()
}

async fn log(runtime: &Runtime) -> Result<Vec<Value>> {
    let request = wire::request("GET", "/logs", "control", &[], &[]);
    let answer = Caller::connect(runtime.control).await?.call(&request).await?.succeeded()?;
    let text = String::from_utf8(answer.body)?;
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

fn sum(lines: &[Value], tenant: &str) -> RowCounts {
    let of_tenant = lines.iter().filter(|line| line["event"] == "rows" && line["tenant"] == tenant);
    let statements = of_tenant.flat_map(|line| line["statements"].as_array().into_iter().flatten());
    let own = statements.filter(|row| row["name"].as_str().is_some_and(|name| !name.starts_with(OUTBOX)));
    own.fold(RowCounts::default(), |sum, row| RowCounts {
        read: sum.read + row["read"].as_u64().unwrap_or(0),
        written: sum.written + row["written"].as_u64().unwrap_or(0),
    })
}
