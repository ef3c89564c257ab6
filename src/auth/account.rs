//! The part of a user's row that signing in needs: address, password, and what voids sessions and tokens.

use super::session::SessionUser;
use crate::storage::row::row_types;
use crate::storage::sql::{Arg, TenantSql};
use crate::storage::sql::{args, statements};
use domain::clock::Timestamp;

statements! { TenantSql;
    /// An account by its address.
    BY_EMAIL = "SELECT id, email, name, role, status, password_hash, email_verified_at FROM users WHERE tenant_id = ?1 AND email = ?2";
    /// An account by its id.
    BY_ID = "SELECT id, email, name, role, status, password_hash, email_verified_at FROM users WHERE tenant_id = ?1 AND id = ?2";
    /// Marks the address as verified.
    VERIFY = "UPDATE users SET email_verified_at = COALESCE(email_verified_at, ?4), updated_at = ?4 WHERE tenant_id = ?1 AND id = ?2 AND email = ?3";
    /// Fails the batch unless the user may still sign in with the hash that was verified.
    STILL_CURRENT = "INSERT OR REPLACE INTO write_guard (tenant_id, ok) VALUES (?1, (SELECT count(*) FROM users u WHERE u.tenant_id = ?1 AND u.id = ?2 AND u.status = 'active' AND u.password_hash = ?3))";
    /// The same password, hashed with other parameters.
    REHASH = "UPDATE users SET password_hash = ?3 WHERE tenant_id = ?1 AND id = ?2";
    /// A new password; tokens that were issued before ?4 are void.
    SET_PASSWORD = "UPDATE users SET password_hash = ?3, not_before = MAX(not_before, ?4), updated_at = ?5 WHERE tenant_id = ?1 AND id = ?2";
    /// Deletes all sessions of a user, and with them their refresh tokens.
    END_SESSIONS = "DELETE FROM sessions WHERE tenant_id = ?1 AND user_id = ?2";
}

row_types! {
    /// An account's row.
    #[derive(Debug)]
    pub struct Account {
        /// The user's id.
        pub id: String,
        /// The address.
        pub email: String,
        name: String,
        role: String,
        status: String,
        /// The password's hash; none for a user who signs in with a provider only.
        pub password_hash: Option<String>,
        email_verified_at: Option<i64>,
    }
}

impl Account {
    /// Whether it is not disabled.
    pub fn is_active(&self) -> bool {
        self.status == "active"
    }

    /// Whether the user has proven that they own the address.
    pub fn is_verified(&self) -> bool {
        self.email_verified_at.is_some()
    }

    /// The user's name; may be empty.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The user that a session is opened for.
    pub fn into_session_user(self) -> SessionUser {
        SessionUser { id: self.id, email: self.email, name: self.name, role: self.role }
    }
}

/// The statements that set a new password, and void sessions and tokens from before it.
pub fn set_password(user: &str, hash: &str, now: Timestamp) -> [(TenantSql, Vec<Arg>); 2] {
    let from = void_until(now).millis();
    [(SET_PASSWORD, args![user, hash, from, now.millis()]), (END_SESSIONS, args![user])]
}

/// The end of what is void: only what is issued from this time on is good.
pub fn void_until(now: Timestamp) -> Timestamp {
    now.plus_millis(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verified_hash_opens_a_session_only_while_it_is_still_the_users() {
        let db = rusqlite::Connection::open_in_memory().unwrap();
        db.execute_batch(include_str!("../../migrations/tenant/0001_fence.sql")).unwrap();
        db.execute_batch(include_str!("../../migrations/tenant/0002_principals.sql")).unwrap();
        let user = "INSERT INTO users (tenant_id, id, email, password_hash, role, created_at, updated_at) VALUES ('acme', 'u', 'u@users.test', 'old', 'viewer', 1, 1)";
        db.execute(user, ()).unwrap();
        let still = |tenant: &str, hash: &str| db.execute(STILL_CURRENT.text(), (tenant, "u", hash)).is_ok();
        assert!(still("acme", "old"));
        assert!(!still("acme", "new") && !still("other", "old"));
        db.execute(SET_PASSWORD.text(), ("acme", "u", "new", 2, 2)).unwrap();
        assert!(!still("acme", "old") && still("acme", "new"));
        db.execute("UPDATE users SET status = 'disabled'", ()).unwrap();
        assert!(!still("acme", "new"));
    }
}
