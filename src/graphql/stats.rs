//! How often a tenant's answers were kept ones.

use std::collections::BTreeMap;

use serde::Serialize;

use super::tally;
use crate::http::problem::{self, Problem};
use crate::hub::client::HubClient;
use crate::hub::protocol::ListAnswerCounts;
use crate::storage::bindings::Bindings;
use crate::tenant_id::TenantId;
use domain::clock::Timestamp;
use domain::graphql_cache::{AnswerCounts, OTHERS};

/// The days that a hub keeps counts of, the present one included.
pub const DAYS: u32 = 7;

/// What is told of kept answers.
#[derive(Serialize)]
pub struct AnswerStats {
    days: u32,
    /// When the first day began that something was counted on, in UTC.
    since: Option<Timestamp>,
    all: ToldCounts,
    /// Those with most answers first.
    operations: Vec<OperationStats>,
}

#[derive(Serialize)]
struct OperationStats {
    /// None for operations without a name, and those beyond the bound of names.
    operation: Option<String>,
    #[serde(flatten)]
    counts: ToldCounts,
}

#[derive(Serialize)]
struct ToldCounts {
    #[serde(flatten)]
    counts: AnswerCounts,
    /// The share of kept answers; none where there were no answers.
    hit_rate: Option<f64>,
}

impl From<AnswerCounts> for ToldCounts {
    fn from(counts: AnswerCounts) -> Self {
        #[allow(clippy::cast_precision_loss)]
        let hit_rate = counts.kept_permille().map(|permille| permille as f64 / 1_000.0);
        Self { counts, hit_rate }
    }
}

/// The counts of the last days. What this isolate has counted is among them; others tell theirs within a minute.
pub async fn of(bindings: &Bindings, tenant: &TenantId, days: u32) -> Result<AnswerStats, Problem> {
    tally::flush(bindings, tenant).await;
    let hub = HubClient::of(bindings, tenant).map_err(problem::unavailable)?;
    let listed = hub.call(&ListAnswerCounts { tenant: tenant.into(), days }).await.map_err(problem::unavailable)?;
    let since = listed.counts.iter().map(|(day, ..)| *day).min();
    let mut operations = BTreeMap::<String, AnswerCounts>::new();
    for (_, operation, counts) in listed.counts {
        let sum = operations.entry(operation).or_default();
        *sum = sum.with(counts);
    }
    let all = operations.values().fold(AnswerCounts::default(), |all, counts| all.with(*counts));
    let mut operations: Vec<(String, AnswerCounts)> = operations.into_iter().collect();
    operations.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.answers()));
    let told = |(name, counts): (String, AnswerCounts)| OperationStats {
        operation: Some(name).filter(|name| name != OTHERS),
        counts: counts.into(),
    };
    Ok(AnswerStats { days, since, all: all.into(), operations: operations.into_iter().map(told).collect() })
}
