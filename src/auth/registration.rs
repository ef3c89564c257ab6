//! Registrations: addresses that somebody registered and has not proven yet.
//!
//! Invariants
//! - A registration is no user: it signs nobody in, counts for no plan, and is neither listed, linked nor invited. The
//!   user is made by the batch that proves the address.
//! - The password of a registration counts only with the token that its client was given. Whoever has the mail alone sets
//!   a password of their own: they may not be who registered.
//! - It ends after 24 hours, or once a user has the address, whatever made that user.
//! - An address has at most five, a tenant at most 5,000: beyond that the oldest go.

use crate::auth::rules;
use crate::credentials::key::{fresh_id, fresh_secret};
use crate::credentials::signature::digest;
use crate::http::problem::{self, Problem};
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::rest::rest_since;
use crate::storage::row::row_types;
use crate::storage::sql::{Arg, TenantSql, args, statements};
use crate::storage::tenant_db::TenantDb;
use crate::tenant::turns::{BackgroundWork, rows_of, serve_due};
use crate::tenant_id::TenantId;
use domain::clock::{Clock, Timestamp};
use domain::permission::DEFAULT_ROLE;
use domain::turns::{Outcome, Run, Turn};

statements! { TenantSql;
    /// A new registration.
    INSERT = "INSERT INTO registrations (tenant_id, id, email, name, password_hash, mailed_token, client_token, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    /// Deletes some that have ended.
    FORGET_EXPIRED = "DELETE FROM registrations WHERE tenant_id = ?1 AND id IN (SELECT e.id FROM registrations e WHERE e.tenant_id = ?1 AND e.expires_at <= ?2 LIMIT 200) RETURNING id";
    /// Makes room for one more of an address: deletes all but the four newest.
    KEEP_NEWEST = "DELETE FROM registrations WHERE tenant_id = ?1 AND email = ?2 AND id NOT IN (SELECT n.id FROM registrations n WHERE n.tenant_id = ?1 AND n.email = ?2 ORDER BY n.created_at DESC LIMIT 4)";
    /// Makes room for one more in the tenant: deletes the oldest beyond 4,999.
    KEEP_MOST = "DELETE FROM registrations WHERE tenant_id = ?1 AND id IN (SELECT o.id FROM registrations o WHERE o.tenant_id = ?1 ORDER BY o.created_at DESC LIMIT 200 OFFSET 4999)";
    /// The registration that a mailed token proves.
    BY_TOKEN = "SELECT id, email, name, password_hash, client_token FROM registrations WHERE tenant_id = ?1 AND mailed_token = ?2 AND expires_at > ?3";
    /// The registration ?2 has not ended by ?3, nor was it proven.
    STILL_REGISTERED = "INSERT OR REPLACE INTO write_rules (tenant_id, is_registered) VALUES (?1, EXISTS (SELECT 1 FROM registrations WHERE tenant_id = ?1 AND id = ?2 AND expires_at > ?3))";
    /// The user that a registration becomes, with the role ?7. A trigger deletes the registrations of the address.
    PROVE = "INSERT INTO users (tenant_id, id, email, name, password_hash, role, email_verified_at, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?7, ?6, ?6, ?6)";
}

/// Statements across the tenants of a shard.
pub mod due {
    use crate::storage::sql::statements;

    statements! { ShardSql;
        /// Tenants that may write and have registrations that ended before ?1, longest ago first, but for those of whom the work ?2 is remembered.
        ENDED = "SELECT r.tenant_id FROM registrations r JOIN tenant_fence f ON f.tenant_id = r.tenant_id AND f.mode = 'rw' WHERE r.expires_at < ?1 AND NOT EXISTS (SELECT t.tenant_id FROM background_turns t WHERE t.tenant_id = r.tenant_id AND t.work = ?2) GROUP BY +r.tenant_id ORDER BY min(r.expires_at) LIMIT ?3";
    }
}

/// How long an address may be proven, in seconds: 24 hours.
pub const REGISTRATION_SECONDS: i64 = 24 * 3600;
/// Rounds of one tenant's clearing, of 200 registrations each, and their longest time in milliseconds.
const ROUNDS: u32 = 10;
const MILLIS: i64 = 4_000;
/// The work of a run of cron.
const ENDED: BackgroundWork =
    BackgroundWork { name: "registrations", others: due::ENDED, most: 20, at_once: 2, limit: 15_000 };

row_types! {
    /// A registration that has not ended. Has no `Debug`: it holds a hash.
    pub struct RegistrationRow {
        /// Its id.
        pub id: String,
        /// The address.
        pub email: String,
        /// The name that was registered.
        pub name: String,
        /// The hash of the password that was registered.
        pub password_hash: String,
        client_token: String,
    }

    struct EndedRegistrationRow {
        #[allow(dead_code, reason = "they are only counted")]
        id: String,
    }
}

impl RegistrationRow {
    /// Whether this is the token of the client that registered.
    pub fn is_clients(&self, token: &str) -> bool {
        crate::credentials::constant_time::constant_time_eq(&digest(token.as_bytes()), &self.client_token)
    }

    /// The batch's statements that make the user, whose id is `user`; `max_users` is the plan's bound.
    pub fn prove(
        &self,
        user: &str,
        name: &str,
        hash: &str,
        max_users: Option<i64>,
        now: Timestamp,
    ) -> Vec<(TenantSql, Vec<Arg>)> {
        vec![
            (STILL_REGISTERED, args![self.id.as_str(), now.millis()]),
            (rules::HAS_ROOM, args![max_users]),
            (PROVE, args![user, self.email.as_str(), name, hash, now.millis(), DEFAULT_ROLE]),
        ]
    }
}

/// A token for the client that registers.
pub fn client_token() -> Result<String, Problem> {
    fresh_secret("car_rg_").map_err(problem::internal)
}

/// A new registration.
pub struct NewRegistration {
    /// The token to be mailed.
    pub mailed_token: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Its id.
    pub id: String,
    /// The statements that store it.
    pub statements: Vec<(TenantSql, Vec<Arg>)>,
}

/// Registers an address with a name and the hash of a password.
pub fn fresh(
    (email, name, hash): (&str, &str, &str),
    client_token: &str,
    now: Timestamp,
) -> Result<NewRegistration, Problem> {
    let mailed_token = fresh_secret("car_ev_").map_err(problem::internal)?;
    let id = fresh_id("reg").map_err(problem::internal)?;
    let expires_at = now.plus_seconds(REGISTRATION_SECONDS);
    let (mailed, client) = (digest(mailed_token.as_bytes()), digest(client_token.as_bytes()));
    let row = args![id.as_str(), email, name, hash, mailed, client, now.millis(), expires_at.millis()];
    let statements = vec![
        (FORGET_EXPIRED, args![now.millis()]),
        (KEEP_NEWEST, args![email]),
        (KEEP_MOST, Vec::new()),
        (INSERT, row),
    ];
    Ok(NewRegistration { mailed_token, expires_at, id, statements })
}

/// The registration that a mailed token proves; none for any other token.
pub async fn find(rows: &TenantDb, mailed_token: &str, now: Timestamp) -> Result<Option<RegistrationRow>, Problem> {
    Ok(rows.row(&BY_TOKEN, args![digest(mailed_token.as_bytes()), now.millis()]).await?)
}

/// Deletes registrations that have ended, of some tenants; gives their number. Run by cron.
pub async fn forget_ended(bindings: &Bindings, run: &Run) -> u64 {
    serve_due(bindings, run, &ENDED, SystemClock.now(), async |tenant: &TenantId| {
        let Some(rows) = rows_of(bindings, tenant).await? else { return Ok((0, Outcome::Failed)) };
        forget_of(&rows).await
    })
    .await
}

async fn forget_of(rows: &TenantDb) -> Result<(u64, Outcome), Problem> {
    let (mut ended, mut turn) = (0, Turn::new(ROUNDS, MILLIS, SystemClock.now()));
    loop {
        let now = SystemClock.now();
        if !turn.take_step(now) {
            return Ok((ended, Outcome::More));
        }
        let gone = rows.write().add(FORGET_EXPIRED, args![now.millis()]).commit().await?;
        let gone = gone.into_iter().next_back().unwrap_or_default().read::<EndedRegistrationRow>()?.len();
        ended += gone as u64;
        if gone == 0 {
            return Ok((ended, Outcome::Done));
        }
        rest_since(now).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard() -> rusqlite::Connection {
        let db = rusqlite::Connection::open_in_memory().unwrap();
        for migration in [
            include_str!("../../migrations/tenant/0001_fence.sql"),
            include_str!("../../migrations/tenant/0002_principals.sql"),
            include_str!("../../migrations/tenant/0007_makers.sql"),
        ] {
            db.execute_batch(migration).unwrap();
        }
        db
    }

    fn register(db: &rusqlite::Connection, tenant: &str, id: i64, email: &str) {
        let id = format!("reg_{id:05}");
        let (mailed, at) = (format!("{tenant}{id}"), id[4..].parse::<i64>().unwrap());
        db.execute(INSERT.text(), (tenant, &id, email, "", "hash", mailed, "client", at, at + 100)).unwrap();
    }

    fn count(db: &rusqlite::Connection, tenant: &str) -> i64 {
        db.query_row("SELECT count(*) FROM registrations WHERE tenant_id = ?1", [tenant], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_tenant_keeps_its_newest_registrations() {
        let db = shard();
        db.execute_batch("BEGIN").unwrap();
        for id in 0..5_010 {
            register(&db, "acme", id, &format!("{id}@x.test"));
        }
        register(&db, "other", 1, "1@x.test");
        db.execute(KEEP_MOST.text(), ["acme"]).unwrap();
        assert_eq!((count(&db, "acme"), count(&db, "other")), (4_999, 1));
        let oldest = db.query_row("SELECT min(created_at) FROM registrations WHERE tenant_id = 'acme'", (), |row| {
            row.get::<_, i64>(0)
        });
        assert_eq!(oldest.unwrap(), 11);
    }

    #[test]
    fn what_has_ended_is_cleared_in_pieces_and_proves_nothing() {
        let db = shard();
        for id in 0..450 {
            register(&db, "acme", id, &format!("{id}@x.test"));
        }
        register(&db, "other", 1, "1@x.test");
        let found = |now: i64| {
            let mut statement = db.prepare(BY_TOKEN.text()).unwrap();
            statement.exists(("acme", "acmereg_00007", now)).unwrap()
        };
        assert!(found(106) && !found(107));
        let still = |now: i64| db.execute(STILL_REGISTERED.text(), ("acme", "reg_00007", now)).is_ok();
        assert!(still(106) && !still(107));
        let mut left = Vec::new();
        for _ in 0..4 {
            let mut statement = db.prepare(FORGET_EXPIRED.text()).unwrap();
            statement.query_map(("acme", 10_000), |_| Ok(())).unwrap().count();
            left.push(count(&db, "acme"));
        }
        assert_eq!((left, count(&db, "other")), (vec![250, 50, 0, 0], 1));
    }

    #[test]
    fn whoever_becomes_a_user_ends_what_was_registered_under_the_address() {
        let db = shard();
        for (id, email) in [(1, "a@x.test"), (2, "a@x.test"), (3, "b@x.test")] {
            register(&db, "acme", id, email);
            register(&db, "other", id, email);
        }
        db.execute(PROVE.text(), ("acme", "usr_1", "a@x.test", "", "hash", 5, DEFAULT_ROLE)).unwrap();
        assert_eq!((count(&db, "acme"), count(&db, "other")), (1, 3));
        let role = db.query_row("SELECT role FROM users", (), |row| row.get::<_, String>(0)).unwrap();
        assert_eq!(role, DEFAULT_ROLE);
    }
}
