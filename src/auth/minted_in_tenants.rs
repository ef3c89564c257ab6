//! Subscriber tokens that operators and platform keys mint in tenants: they end with whoever minted them.
//!
//! A tenant's hub knows what is revoked there, but an operator or a platform key is one of all tenants. So CONTROL remembers
//! in which of them it minted, for as long as a token may live. What takes its rights marks these rows, by triggers, in
//! its own transaction; then the hubs are told, by the request that did it and, where one did not answer, by cron.

use super::revocation::end_minted;
use crate::http::problem::Problem;
use crate::log;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::control_db::ControlDb;
use crate::storage::row::row_types;
use crate::storage::sql::{Arg, ControlSql, args, statements};
use crate::tenant::registry::Tenant;
use crate::tenant_id::TenantId;
use domain::clock::{Clock, Timestamp};

statements! { ControlSql;
    /// An operator or a platform key minted a token in a tenant.
    NOTE = "INSERT INTO minted_in_tenants (actor, tenant_id, expires_at) VALUES (?1, ?2, ?3) ON CONFLICT (actor, tenant_id) DO UPDATE SET expires_at = MAX(expires_at, excluded.expires_at)";
    /// Marks what an operator or a platform key minted: it ends.
    END = "UPDATE minted_in_tenants SET is_ended = 1 WHERE actor = ?1";
    /// Some that were marked.
    ENDED = "SELECT actor, tenant_id FROM minted_in_tenants WHERE is_ended = 1 LIMIT 50";
    /// The hub was told.
    TOLD = "DELETE FROM minted_in_tenants WHERE actor = ?1 AND tenant_id = ?2 AND is_ended = 1";
    /// Deletes what has expired.
    FORGET = "DELETE FROM minted_in_tenants WHERE expires_at <= ?1";
}

row_types! {
    struct EndedRow {
        actor: String,
        tenant_id: String,
    }
}

/// Whether a principal, by its name, mints in more tenants than one.
fn is_platforms(actor: &str) -> bool {
    actor.starts_with("operator:") || actor.starts_with("platform_key:")
}

/// Notes that a principal mints a token in a tenant; does nothing for a principal of the tenant's own. To be called before
/// the token is given out.
pub async fn note(bindings: &Bindings, actor: &str, tenant: &TenantId, expires_at: Timestamp) -> Result<(), Problem> {
    if !is_platforms(actor) {
        return Ok(());
    }
    let db = ControlDb::open(bindings, "note a minted token")?;
    db.batch(vec![(NOTE, args![actor, tenant.as_str(), expires_at.millis()])]).await?;
    Ok(())
}

/// The statement that ends what an operator minted, for the batch of a change that no trigger sees.
pub fn ended(operator: &str) -> (ControlSql, Vec<Arg>) {
    (END, args![format!("operator:{operator}")])
}

/// Tells the hubs of what was marked; gives their number. A hub that does not answer is told by the next run of cron.
pub async fn tell_hubs(bindings: &Bindings) -> Result<usize, Problem> {
    let db = ControlDb::open(bindings, "end minted tokens")?;
    let mut told = 0;
    for row in db.rows::<EndedRow>(&ENDED, Vec::new()).await? {
        let Some(tenant) = Tenant::find(&db, &row.tenant_id).await? else { continue };
        match end_minted(bindings, &tenant.id, Some(row.actor.clone())).await {
            Ok(()) => {
                db.batch(vec![(TOLD, args![row.actor, row.tenant_id])]).await?;
                told += 1;
            }
            Err(problem) => log::fault("end_minted", problem.cause.as_deref().unwrap_or(problem.code)),
        }
    }
    Ok(told)
}

/// Deletes what has expired, and tells hubs that were not told. Run by cron each minute.
pub async fn finish(bindings: &Bindings) -> Result<usize, Problem> {
    let db = ControlDb::open(bindings, "forget minted tokens")?;
    db.batch(vec![(FORGET, args![SystemClock.now().millis()])]).await?;
    tell_hubs(bindings).await
}
