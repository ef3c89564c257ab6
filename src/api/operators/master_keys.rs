//! `/api/v1/keys`: which version of the master key seals what, and re-sealing under the current version.
//!
//! A sealed value begins with the version that sealed it, so an index finds what is left to do. A value is replaced only
//! if it is still the one that was opened: nothing is lost beside traffic, a purge or another page, and a crash leaves
//! nothing that is not found again.
//!
//! Responses stored for `Idempotency-Key` are not re-sealed: they are deleted after 24 hours.

use serde_json::{Map, Value};

use super::{PlatformAuditEntry, audit};
use crate::auth::principal::Operator;
use crate::auth::signing_keys;
use crate::http::fields::Fields;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::control_db::ControlDb;
use crate::storage::row::Rows;
use crate::storage::row::row_types;
use crate::storage::sealed::{KeyRing, Unsealable};
use crate::storage::sql::{Arg, ControlSql};
use crate::storage::sql::{args, statements};
use domain::clock::Clock;
use domain::json;

statements! { ControlSql;
    /// How many data keys each version seals.
    DATA_KEYS = "SELECT CAST(data_key AS INTEGER) AS version, count(*) AS total FROM tenants WHERE data_key IS NOT NULL GROUP BY CAST(data_key AS INTEGER)";
    /// How many signing keys each version seals.
    SIGNING_KEYS = "SELECT CAST(sealed AS INTEGER) AS version, count(*) AS total FROM signing_keys GROUP BY CAST(sealed AS INTEGER)";
    /// How many stored responses each version seals.
    KEPT_ANSWERS = "SELECT CAST(sealed AS INTEGER) AS version, count(*) AS total FROM idempotency_keys GROUP BY CAST(sealed AS INTEGER)";
    /// Data keys that an earlier version seals.
    OLD_DATA_KEYS = "SELECT id, data_key AS sealed FROM tenants WHERE data_key IS NOT NULL AND CAST(data_key AS INTEGER) < ?1 ORDER BY CAST(data_key AS INTEGER) LIMIT ?2";
    /// Signing keys that an earlier version seals.
    OLD_SIGNING_KEYS = "SELECT kid AS id, sealed FROM signing_keys WHERE CAST(sealed AS INTEGER) < ?1 LIMIT ?2";
    /// Replaces data keys that are still the ones that were opened; ?1 lists id, before and after.
    REWRAP_DATA_KEYS = "UPDATE tenants SET data_key = json_extract(j.value, '$[2]') FROM json_each(?1) AS j WHERE tenants.id = json_extract(j.value, '$[0]') AND tenants.data_key = json_extract(j.value, '$[1]') RETURNING tenants.id AS id";
    /// The same for signing keys.
    REWRAP_SIGNING_KEYS = "UPDATE signing_keys SET sealed = json_extract(j.value, '$[2]') FROM json_each(?1) AS j WHERE signing_keys.kid = json_extract(j.value, '$[0]') AND signing_keys.sealed = json_extract(j.value, '$[1]') RETURNING signing_keys.kid AS id";
}

/// Most values of a kind that one page re-seals.
const PAGE: i64 = 200;

row_types! {
    struct SealedCountRow {
        version: i64,
        total: i64,
    }
}

row_types! {
    struct OldSealedRow {
        id: String,
        sealed: String,
    }
}

row_types! {
    struct RewrappedRow {
        #[allow(dead_code, reason = "only the number of rows counts")]
        id: String,
    }
}

/// How many values each version seals.
struct SealedCounts {
    data_keys: Vec<SealedCountRow>,
    signing_keys: Vec<SealedCountRow>,
    kept_answers: Vec<SealedCountRow>,
}

impl SealedCounts {
    async fn count(db: &ControlDb) -> Result<Self, Problem> {
        let statements = [DATA_KEYS, SIGNING_KEYS, KEPT_ANSWERS].map(|sql| (sql, Vec::new()));
        let results = db.batch(statements.to_vec()).await?;
        let Ok([data_keys, signing_keys, kept_answers]) = <[Rows; 3]>::try_from(results) else {
            return Err(problem::internal("a batch of three gave another number of results"));
        };
        Ok(Self {
            data_keys: data_keys.read()?,
            signing_keys: signing_keys.read()?,
            kept_answers: kept_answers.read()?,
        })
    }

    /// How many values another version than this seals.
    fn remaining(&self, current: u32) -> i64 {
        let old = self.data_keys.iter().chain(&self.signing_keys).filter(|row| row.version != i64::from(current));
        old.map(|row| row.total).sum()
    }
}

/// `GET /api/v1/keys`
pub async fn show(request: Request<Operator>) -> Result<Response, Problem> {
    let db = ControlDb::open(&request.bindings, "count what is sealed")?;
    let sealed = SealedCounts::count(&db).await?;
    let by_version = |rows: &[SealedCountRow]| -> Map<String, Value> {
        rows.iter().map(|row| (row.version.to_string(), row.total.into())).collect()
    };
    let data = json!({
        "current_version": request.bindings.settings.keys.current(),
        "data_keys": by_version(&sealed.data_keys),
        "signing_keys": by_version(&sealed.signing_keys),
        "kept_answers": by_version(&sealed.kept_answers),
    });
    Response::json(200, &data, None)
}

/// `POST /api/v1/keys/rewrap`
pub async fn rewrap(mut request: Request<Operator>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.optional_json_object().await?);
    let limit = fields.number("limit", 1..=PAGE).unwrap_or(PAGE);
    fields.finish()?;
    let db = ControlDb::open(&request.bindings, "re-seal keys")?;
    let keys = &request.bindings.settings.keys;
    let page = RewrapPage::read(keys, &db, limit).await?;
    let audit = audit(&request, "keys.rewrap", page.detail(keys));
    let rewrapped = page.write(&db, audit).await?;
    let remaining = SealedCounts::count(&db).await?.remaining(keys.current());
    Response::json(200, &json!({ "rewrapped": rewrapped, "remaining": remaining }), None)
}

/// Re-seals one page, if an earlier version still seals something; how many values. Run by cron each minute.
pub async fn rewrap_stale(bindings: &Bindings) -> Result<u64, Problem> {
    let db = ControlDb::open(bindings, "re-seal keys")?;
    let keys = &bindings.settings.keys;
    let page = RewrapPage::read(keys, &db, PAGE).await?;
    if page.is_empty() {
        return Ok(0);
    }
    let entry = PlatformAuditEntry {
        at: SystemClock.now(),
        actor: "cron".to_owned(),
        operation: "keys.rewrap",
        tenant: None,
        request_id: "-",
        detail: page.detail(keys),
    };
    page.write(&db, entry.statement()).await.map(|rewrapped| rewrapped as u64)
}

/// Values that were opened and re-sealed: id, previous value, new value.
struct RewrapPage {
    data_keys: Vec<[String; 3]>,
    signing_keys: Vec<[String; 3]>,
}

impl RewrapPage {
    async fn read(keys: &KeyRing, db: &ControlDb, limit: i64) -> Result<Self, Problem> {
        let args = || args![i64::from(keys.current()), limit];
        let results = db.batch(vec![(OLD_DATA_KEYS, args()), (OLD_SIGNING_KEYS, args())]).await?;
        let Ok([data_keys, signing]) = <[Rows; 2]>::try_from(results) else {
            return Err(problem::internal("a batch of two gave another number of results"));
        };
        let data_key = |row: &OldSealedRow| keys.wrap(&row.id, &keys.unwrap(&row.id, &row.sealed)?);
        let signing_key = |row: &OldSealedRow| {
            let place = signing_keys::place(&row.id);
            keys.seal(&place, &keys.open(&place, &row.sealed)?)
        };
        let page =
            Self { data_keys: reseal(data_keys.read()?, data_key), signing_keys: reseal(signing.read()?, signing_key) };
        Ok(page)
    }

    fn is_empty(&self) -> bool {
        self.data_keys.is_empty() && self.signing_keys.is_empty()
    }

    fn detail(&self, keys: &KeyRing) -> Value {
        json!({ "version": keys.current(), "data_keys": self.data_keys.len(), "signing_keys": self.signing_keys.len() })
    }

    /// Replaces the values that are still the previous ones; how many were.
    async fn write(&self, db: &ControlDb, audit: (ControlSql, Vec<Arg>)) -> Result<usize, Problem> {
        if self.is_empty() {
            return Ok(0);
        }
        let list = |values: &[[String; 3]]| serde_json::to_string(values).map_err(problem::internal);
        let batch = vec![
            (REWRAP_DATA_KEYS, args![list(&self.data_keys)?]),
            (REWRAP_SIGNING_KEYS, args![list(&self.signing_keys)?]),
            audit,
        ];
        let results = db.batch(batch).await?;
        let replaced = results.into_iter().take(2).map(|rows| rows.read::<RewrappedRow>().map(|ids| ids.len()));
        replaced.sum::<Result<usize, _>>().map_err(Problem::from)
    }
}

/// Re-seals values. One that does not open stays as it is: its version is gone, or somebody else put it there.
fn reseal(rows: Vec<OldSealedRow>, seal: impl Fn(&OldSealedRow) -> Result<String, Unsealable>) -> Vec<[String; 3]> {
    let sealed = rows.into_iter().filter_map(|row| seal(&row).ok().map(|sealed| [row.id, row.sealed, sealed]));
    sealed.collect()
}
