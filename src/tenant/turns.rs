//! Background work on tenants' rows: a run of cron gives each tenant that has something due a turn.
//!
//! Invariants
//! - [`domain::turns`] decides whom a run serves and when a tenant is served again; here it is carried out. A tenant whose
//!   work failed, or was not done in its turn, has a row in `background_turns`. Others have none and cost nothing.
//! - A few turns run at one time, and each has a limit: a hub or a database that does not answer holds up one of them, for
//!   as long as that, and then waits longer each time.
//! - A shard that cannot be read, and a turn that fails, stop the work of no other tenant.
//! - A turn may be cut off at any point, and two runs may overlap: work in it is done in steps that may be repeated.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, join_all, pending, select};
use worker::Delay;

use super::registry::placement_of;
use crate::http::problem::{self, Problem};
use crate::log;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::row::row_types;
use crate::storage::shard_db::ShardDb;
use crate::storage::sql::{ShardSql, args, statements};
use crate::storage::tenant_db::TenantDb;
use crate::tenant_id::TenantId;
use domain::clock::{Clock, Timestamp};
use domain::turns::{Next, Outcome, Run, choose};

statements! { TenantSql;
    /// How often the work ?2 has failed in a row.
    FAILURES = "SELECT failures FROM background_turns WHERE tenant_id = ?1 AND work = ?2";
    /// Remembers when the next turn of the work ?2 is due.
    REMEMBER = "INSERT INTO background_turns (tenant_id, work, due_at, failures) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (tenant_id, work) DO UPDATE SET due_at = excluded.due_at, failures = excluded.failures";
    /// The work ?2 is done.
    FORGET = "DELETE FROM background_turns WHERE tenant_id = ?1 AND work = ?2";
    /// The tenant has changed: what failed may succeed now.
    RETRY_ALL = "UPDATE background_turns SET due_at = 0, failures = 0 WHERE tenant_id = ?1 AND failures > 0";
}

/// Statements across the tenants of a shard.
pub mod due {
    use crate::storage::sql::statements;

    statements! { ShardSql;
        /// Tenants that may write, of whom is remembered that the work ?2 is due at ?1.
        AGAIN = "SELECT t.tenant_id FROM background_turns t JOIN tenant_fence f ON f.tenant_id = t.tenant_id AND f.mode = 'rw' WHERE t.work = ?2 AND t.due_at <= ?1 ORDER BY t.due_at LIMIT ?3";
    }
}

/// A kind of background work.
pub struct BackgroundWork {
    /// Its name, in rows and in the log.
    pub name: &'static str,
    /// The tenants that may write and have something due before ?1, longest wait first, without those of whom the work ?2
    /// is remembered; at most ?3.
    pub others: ShardSql,
    /// Most tenants of a shard that one run serves.
    pub most: u32,
    /// How many are served at one time. The runtime opens six connections at most.
    pub at_once: usize,
    /// The longest that a turn takes, in milliseconds.
    pub limit: u64,
}

/// A tenant that a run serves.
struct DueTenant {
    id: TenantId,
    /// Whether something is remembered of it.
    again: bool,
}

row_types! {
    struct FailedTurnsRow {
        failures: i64,
    }
}

/// Gives each tenant that has something due before `before` a turn; the sum of what the turns did. `serve` says what it
/// did, and how the turn ended.
pub async fn serve_due(
    bindings: &Bindings,
    run: &Run,
    work: &BackgroundWork,
    before: Timestamp,
    serve: impl AsyncFn(&TenantId) -> Result<(u64, Outcome), Problem>,
) -> u64 {
    let queue = RefCell::new(due_tenants(bindings, work, before).await);
    let lane = async || {
        let mut sum = 0;
        while run.has_time(SystemClock.now()) {
            let next = queue.borrow_mut().pop_front();
            let Some(tenant) = next else { break };
            sum += take_turn(bindings, work, &tenant, &serve).await;
        }
        sum
    };
    join_all((0..work.at_once).map(|_| lane())).await.into_iter().sum()
}

/// Opens the rows of a tenant; none if it does not exist any more.
pub async fn rows_of(bindings: &Bindings, tenant: &TenantId) -> Result<Option<TenantDb>, Problem> {
    let Some(placement) = placement_of(bindings, tenant).await? else { return Ok(None) };
    Ok(Some(TenantDb::open(bindings, tenant, &placement)?))
}

/// Lets work that failed be tried again at once, because the tenant has changed.
pub async fn retry_all(rows: &TenantDb) -> Result<(), Problem> {
    rows.write().add(RETRY_ALL, Vec::new()).commit().await?;
    Ok(())
}

/// Does not return if `FAULT_AFTER` says that the tenant's hub is stuck, so that tests can see who waits for it.
pub async fn stall(bindings: &Bindings, tenant: &str) {
    if bindings.settings.fault_after.as_deref().and_then(|fault| fault.strip_prefix("stuck:")) == Some(tenant) {
        pending::<()>().await;
    }
}

/// Does something that has so many milliseconds for it.
pub async fn within<T>(limit: u64, work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    match select(pin!(work), pin!(Delay::from(Duration::from_millis(limit)))).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => Err(problem::unavailable(format!("not done within {limit} ms"))),
    }
}

/// The tenants that a run serves, of each shard in turn.
async fn due_tenants(bindings: &Bindings, work: &BackgroundWork, before: Timestamp) -> VecDeque<DueTenant> {
    let shards = bindings.settings.shards.iter();
    let looks = shards.map(async |shard| within(work.limit, due_on(bindings, shard, work, before)).await);
    let mut shards = Vec::new();
    for tenants in join_all(looks).await {
        match tenants {
            Ok(tenants) => shards.push(tenants.into_iter()),
            Err(problem) => log::fault(work.name, cause(&problem)),
        }
    }
    let mut all = VecDeque::new();
    loop {
        let before = all.len();
        all.extend(shards.iter_mut().filter_map(Iterator::next));
        if all.len() == before {
            return all;
        }
    }
}

async fn due_on(
    bindings: &Bindings,
    shard: &str,
    work: &BackgroundWork,
    before: Timestamp,
) -> Result<Vec<DueTenant>, Problem> {
    let db = ShardDb::open(bindings, shard, work.name)?;
    let (now, most) = (SystemClock.now().millis(), i64::from(work.most));
    let again = db.tenants(&due::AGAIN, args![now, work.name, most]).await?;
    let others = db.tenants(&work.others, args![before.millis(), work.name, most]).await?;
    let list = |tenants: Vec<TenantId>, again| tenants.into_iter().map(|id| DueTenant { id, again }).collect();
    Ok(choose(list(again, true), list(others, false), usize::try_from(work.most).unwrap_or(usize::MAX)))
}

async fn take_turn(
    bindings: &Bindings,
    work: &BackgroundWork,
    tenant: &DueTenant,
    serve: &impl AsyncFn(&TenantId) -> Result<(u64, Outcome), Problem>,
) -> u64 {
    let (done, outcome) = match within(work.limit, serve(&tenant.id)).await {
        Ok(turn) => turn,
        Err(problem) => {
            log::failed_turn(work.name, tenant.id.as_str(), cause(&problem));
            (0, Outcome::Failed)
        }
    };
    if outcome == Outcome::Done && !tenant.again {
        return done;
    }
    if let Err(problem) = within(work.limit, remember(bindings, work, &tenant.id, outcome)).await {
        log::failed_turn(work.name, tenant.id.as_str(), cause(&problem));
    }
    done
}

async fn remember(
    bindings: &Bindings,
    work: &BackgroundWork,
    tenant: &TenantId,
    outcome: Outcome,
) -> Result<(), Problem> {
    let Some(rows) = rows_of(bindings, tenant).await? else { return Ok(()) };
    let failures = match outcome {
        Outcome::Failed => rows.row::<FailedTurnsRow>(&FAILURES, args![work.name]).await?.map_or(0, |row| row.failures),
        Outcome::Done | Outcome::More => 0,
    };
    let failures = u32::try_from(failures).unwrap_or(u32::MAX);
    let batch = match outcome.next(tenant.as_str(), failures, SystemClock.now()) {
        Next::Forget => rows.write().add(FORGET, args![work.name]),
        Next::At { due, failures } => rows.write().add(REMEMBER, args![work.name, due.millis(), i64::from(failures)]),
    };
    batch.commit().await?;
    Ok(())
}

fn cause(problem: &Problem) -> &str {
    problem.cause.as_deref().unwrap_or(problem.code)
}
