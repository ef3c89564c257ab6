//! Rules that are checked in the transaction of a write to the control database, whatever was read before.
//!
//! As `auth/rules.rs` does on a shard: a rule is a statement of the batch, and the batch fails by the name of a CHECK.

use super::ControlStatement;
use crate::http::problem::{self, Problem};
use crate::storage::control_db::ControlDb;
use crate::storage::sql::{StorageError, args, statements};

statements! { ControlSql;
    /// The operator ?1 still has the role ?2.
    OPERATOR_AS_SEEN = "INSERT OR REPLACE INTO write_rules (id, is_as_seen) VALUES (1, EXISTS (SELECT 1 FROM operators WHERE id = ?1 AND role = ?2))";
    /// The platform key ?1 was not revoked, and has the text ?2, the permissions ?3, the address ranges ?4, the end ?5, the holder ?6.
    KEY_AS_SEEN = "INSERT OR REPLACE INTO write_rules (id, is_as_seen) VALUES (1, EXISTS (SELECT 1 FROM platform_keys WHERE id = ?1 AND digest = ?2 AND permissions = ?3 AND ip_allowlist = ?4 AND expires_at IS ?5 AND held_by = ?6 AND revoked_at IS NULL))";
}

/// The rule that an operator still has the role that was read.
pub fn operator_as_seen(id: &str, role: &str) -> ControlStatement {
    (OPERATOR_AS_SEEN, args![id, role])
}

/// Commits a batch; 409 if a rule does not hold.
pub async fn commit(db: &ControlDb, batch: Vec<ControlStatement>) -> Result<(), Problem> {
    db.batch(batch).await.map(drop).map_err(meaning)
}

/// The problem of a failed batch.
pub fn meaning(error: StorageError) -> Problem {
    match &error {
        StorageError::Constraint(words) if words.contains("changed_meanwhile") => problem::changed_meanwhile(),
        _ => error.into(),
    }
}
