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
    KEY_AS_SEEN = "INSERT OR REPLACE INTO write_rules (id, is_as_seen) VALUES (1, EXISTS (SELECT 1 FROM platform_keys WHERE id = ?1 AND digest = ?2 AND permissions = ?3 AND ip_allowlist = ?4 AND COALESCE(expires_at, -1) = COALESCE(?5, -1) AND held_by = ?6 AND revoked_at IS NULL))";
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_fails_when_what_it_rests_on_has_changed() {
        let db = rusqlite::Connection::open_in_memory().unwrap();
        for migration in [
            include_str!("../../../migrations/control/0001_tenants.sql"),
            include_str!("../../../migrations/control/0002_principals.sql"),
            include_str!("../../../migrations/control/0005_makers.sql"),
        ] {
            db.execute_batch(migration).unwrap();
        }
        let rows = "INSERT INTO operators (id, email, name, password_hash, role, created_at, updated_at) VALUES ('o', 'o@x.test', '', '', 'support', 1, 1);
            INSERT INTO platform_keys (id, name, digest, permissions, ip_allowlist, created_by, created_at) VALUES ('k', '', 'd', '[]', '[]', '', 1);";
        db.execute_batch(rows).unwrap();
        let operator = |role: &str| db.execute(OPERATOR_AS_SEEN.text(), ("o", role)).map_err(|error| error.to_string());
        let key = |permissions: &str| {
            db.execute(KEY_AS_SEEN.text(), ("k", "d", permissions, "[]", None::<i64>, "")).map_err(|e| e.to_string())
        };
        assert_eq!((operator("support"), key("[]")), (Ok(1), Ok(1)));
        assert!(operator("admin").unwrap_err().contains("changed_meanwhile"));
        assert!(key("[\"*\"]").unwrap_err().contains("changed_meanwhile"));
        for change in
            ["expires_at = 5", "ip_allowlist = '[\"10.0.0.1\"]'", "digest = 'e'", "held_by = 'x'", "revoked_at = 1"]
        {
            db.execute_batch("SAVEPOINT change").unwrap();
            db.execute(&format!("UPDATE platform_keys SET {change}"), ()).unwrap();
            assert!(key("[]").is_err(), "{change}");
            db.execute_batch("ROLLBACK TO change").unwrap();
        }
        assert_eq!(key("[]"), Ok(1));
    }

    #[test]
    fn a_security_stamp_and_a_grant_never_recur() {
        let db = rusqlite::Connection::open_in_memory().unwrap();
        for migration in [
            include_str!("../../../migrations/control/0001_tenants.sql"),
            include_str!("../../../migrations/control/0002_principals.sql"),
            include_str!("../../../migrations/control/0005_makers.sql"),
        ] {
            db.execute_batch(migration).unwrap();
        }
        db.execute_batch("PRAGMA foreign_keys = OFF; INSERT INTO operators (id, email, name, password_hash, role, created_at, updated_at) VALUES ('o', 'o@x.test', '', '', 'support', 1, 1)").unwrap();
        let of = |sql: &str| db.query_row(sql, (), |row| row.get::<_, String>(0)).unwrap();
        let mut seen = vec![of("SELECT security_stamp FROM operators")];
        for change in ["role = 'admin'", "role = 'support'", "status = 'disabled'", "status = 'active'"] {
            db.execute(&format!("UPDATE operators SET {change}"), ()).unwrap();
            let now = of("SELECT security_stamp FROM operators");
            assert!(!seen.contains(&now), "{change}");
            seen.push(now);
        }
        db.execute("UPDATE operators SET name = 'x', role = role, status = status", ()).unwrap();
        assert_eq!(of("SELECT security_stamp FROM operators"), *seen.last().unwrap());
        let grant = "INSERT INTO operator_grants (operator_id, tenant_id, role, created_at, role_id) VALUES ('o', 't', 'owner', 1, '') ON CONFLICT (operator_id, tenant_id) DO UPDATE SET role = excluded.role";
        let mut grants = Vec::new();
        for again in ["", "DELETE FROM operator_grants", ""] {
            db.execute_batch(again).unwrap();
            db.execute(grant, ()).unwrap();
            grants.push(of("SELECT creation_id FROM operator_grants"));
        }
        assert!(!grants[0].is_empty() && grants[0] != grants[1] && grants[1] == grants[2], "{grants:?}");
    }
}
