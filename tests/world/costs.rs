//! What a request costs, by the databases' own count of rows.

use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::runtime::Runtime;
use super::{RequestBuilder, Tenant, TestResponse, World, eventually};

/// Prefixes of the statements by which a principal is proved.
const PROOF: &str = "auth::";
/// Prefix of the statements by which the hub empties the outbox.
const OUTBOX: &str = "storage::outbox::";

/// A statement and the rows that it read and wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementRows {
    /// Its module and constant.
    pub name: String,
    pub read: u64,
    pub written: u64,
}

/// What was asked of a tenant's rows, statement by statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cost(pub Vec<StatementRows>);

impl Cost {
    /// Rows read.
    pub fn read(&self) -> u64 {
        self.0.iter().map(|statement| statement.read).sum()
    }

    /// Rows written.
    pub fn written(&self) -> u64 {
        self.0.iter().map(|statement| statement.written).sum()
    }

    fn of(lines: &[Value], wanted: impl Fn(&str) -> bool) -> Self {
        let statements = lines.iter().flat_map(|line| line["statements"].as_array().unwrap());
        let each = |statement: &Value| StatementRows {
            name: statement["name"].as_str().unwrap().to_owned(),
            read: statement["read"].as_u64().unwrap(),
            written: statement["written"].as_u64().unwrap(),
        };
        Self(statements.map(each).filter(|statement| wanted(&statement.name)).collect())
    }
}

impl World {
    /// A runtime that logs how many rows each statement on a tenant's rows reads and writes. The tests that take it share
    /// it; it ends with the binary.
    pub async fn counting() -> World {
        static COUNTING: OnceLock<Arc<Runtime>> = OnceLock::new();
        let vars = [("ROWS_LOG", "true".to_owned())];
        let start = move || Arc::clone(COUNTING.get_or_init(|| Arc::new(Runtime::start(1, &vars))));
        let runtime = tokio::task::spawn_blocking(start).await.unwrap();
        World::over(runtime, None)
    }
}

impl Tenant {
    /// Sends a request; what it cost beside the proof of who sent it. Nobody else may use the tenant meanwhile.
    pub async fn cost(&self, call: RequestBuilder) -> (TestResponse, Cost) {
        let before = self.rows_lines().await.len();
        let answer = call.send().await;
        let id = answer.header("x-request-id").to_owned();
        let lines = eventually("the request's log line", async || {
            let lines = self.world.logs().await;
            let end = lines.iter().position(|line| line["request_id"] == *id && line["duration_ms"].is_number())?;
            Some(lines.into_iter().take(end).filter(|line| self.is_rows_line(line)).collect::<Vec<_>>())
        })
        .await;
        let of_request = |name: &str| !name.starts_with(PROOF) && !name.starts_with(OUTBOX);
        (answer, Cost::of(&lines[before.min(lines.len())..], of_request))
    }

    /// Sends a request that changes a live record; what it cost, and what it cost to tell of the change.
    pub async fn cost_when_told(&self, call: RequestBuilder) -> (TestResponse, Cost, Cost) {
        let before = self.rows_lines().await.len();
        let (answer, cost) = self.cost(call).await;
        let told = eventually("the change to be told", async || {
            let told = Cost::of(&self.rows_lines().await[before..], |name| name.starts_with(OUTBOX));
            let is_forgotten = |row: &StatementRows| row.name == "storage::outbox::FORGET" && row.written > 0;
            told.0.iter().any(is_forgotten).then_some(told)
        })
        .await;
        (answer, cost, told)
    }

    async fn rows_lines(&self) -> Vec<Value> {
        self.world.logs().await.into_iter().filter(|line| self.is_rows_line(line)).collect()
    }

    fn is_rows_line(&self, line: &Value) -> bool {
        line["event"] == "rows" && line["tenant"] == *self.id
    }
}
