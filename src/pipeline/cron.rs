//! Cron: what each of the triggers of `wrangler.toml` runs.
//!
//! Invariants
//! - Each trigger is an invocation of its own, and what it runs goes on side by side: what one kind of work is busy with, no
//!   other one waits for.
//! - A run begins nothing once its time is over, well before the trigger's next one. What is left then is due the next time,
//!   and before whatever became due later.
//! - A part that fails is logged and stops no other part.

use futures_util::future::join;
use worker::Env;

use crate::api::operators::{master_keys, sessions};
use crate::auth::registration;
use crate::http::problem::Problem;
use crate::log;
use crate::records::provision::provision;
use crate::records::{outbox, stale_jobs};
use crate::storage::bindings::{Bindings, SystemClock};
use crate::tenant::{change, domain_checks};
use domain::clock::Clock;
use domain::turns::Run;

/// Seconds in which a run begins turns.
const RUN_SECONDS: i64 = 45;

/// What a trigger runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CronPart {
    /// What somebody waits for: changes of tenants and of records.
    Changes,
    /// What writes a lot: jobs of collections, objects to be deleted.
    Jobs,
    /// What has time: domains, registrations, what has ended.
    Upkeep,
}

/// The triggers of `wrangler.toml`.
pub const TRIGGERS: [(&str, CronPart); 3] =
    [("* * * * *", CronPart::Changes), ("*/2 * * * *", CronPart::Jobs), ("1-59/2 * * * *", CronPart::Upkeep)];

/// Runs what a trigger is for. A trigger that is not ours runs everything: a deployment may have set its own times.
pub async fn run(env: Env, trigger: &str) {
    let bindings = match Bindings::new(env) {
        Ok(bindings) => bindings,
        Err(cause) => return log::fault("cron", &cause),
    };
    for (own, part) in TRIGGERS {
        if own == trigger || TRIGGERS.iter().all(|(own, _)| *own != trigger) {
            run_part(&bindings, part).await;
        }
    }
}

async fn run_part(bindings: &Bindings, part: CronPart) {
    let run = Run::new(SystemClock.now(), RUN_SECONDS);
    match part {
        CronPart::Changes => {
            let changes = change::finish_stale(bindings, &run, provision);
            let (finished, announced) = join(changes, outbox::drain_stale(bindings, &run)).await;
            let finished = done(finished);
            let rewrapped = done(master_keys::rewrap_stale(bindings).await);
            log::cron(&[("finished", finished), ("announced", Some(announced)), ("rewrapped", rewrapped)]);
        }
        CronPart::Jobs => {
            let jobs = stale_jobs::advance_all(bindings, &run);
            let (moved, swept) = join(jobs, stale_jobs::sweep(bindings, &run)).await;
            log::cron(&[("moved", Some(moved)), ("swept", Some(swept))]);
        }
        CronPart::Upkeep => {
            done(sessions::forget_over(bindings).await);
            let checks = domain_checks::check_due(bindings, &run, provision);
            let (checked, ended) = join(checks, registration::forget_ended(bindings, &run)).await;
            let checked = done(checked);
            log::cron(&[("domains", checked), ("registrations", Some(ended))]);
        }
    }
}

/// What a part of the cron did.
fn done<T>(outcome: Result<T, Problem>) -> Option<T> {
    outcome.map_err(|problem| log::fault("cron", problem.cause.as_deref().unwrap_or(problem.code))).ok()
}
