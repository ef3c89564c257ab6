//! `/api/v1/keys`: under which version of the master key everything is sealed, and sealing it anew.
//!
//! What is sealed begins with the version that sealed it, so what is left to do is an index search. Each value
//! is replaced only if it is still the one that was opened: beside traffic, a purge and another page, nothing
//! is lost, and whatever a crash leaves is found again.
//!
//! Answers kept for `Idempotency-Key` are not sealed anew: they are gone after 24 hours.

use serde_json::{Map, Value};

use super::{PlatformDeed, audited};
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
    /// How many kept answers each version seals.
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

/// Most values of a kind that one page seals anew.
const PAGE: i64 = 200;

row_types! {
    struct VersionRow {
        version: i64,
        total: i64,
    }
}

row_types! {
    struct SealedRow {
        id: String,
        sealed: String,
    }
}

row_types! {
    struct IdRow {
        #[allow(dead_code, reason = "only the number of rows counts")]
        id: String,
    }
}

/// How many values each version seals.
struct Sealed {
    data_keys: Vec<VersionRow>,
    signing_keys: Vec<VersionRow>,
    kept_answers: Vec<VersionRow>,
}

impl Sealed {
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

    /// What is left to be sealed under this version.
    fn remaining(&self, current: u32) -> i64 {
        let old = self.data_keys.iter().chain(&self.signing_keys).filter(|row| row.version != i64::from(current));
        old.map(|row| row.total).sum()
    }
}

/// `GET /api/v1/keys`
pub async fn show(request: Request<Operator>) -> Result<Response, Problem> {
    let db = ControlDb::open(&request.bindings, "count what is sealed")?;
    let sealed = Sealed::count(&db).await?;
    let by_version = |rows: &[VersionRow]| -> Map<String, Value> {
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
    let db = ControlDb::open(&request.bindings, "seal keys anew")?;
    let keys = &request.bindings.settings.keys;
    let page = Page::read(keys, &db, limit).await?;
    let audit = audited(&request, "keys.rewrap", page.detail(keys));
    let rewrapped = page.write(&db, audit).await?;
    let remaining = Sealed::count(&db).await?.remaining(keys.current());
    Response::json(200, &json!({ "rewrapped": rewrapped, "remaining": remaining }), None)
}

/// Seals one page anew, if an earlier version still seals something. Run by cron each minute.
pub async fn rewrap_left_behind(bindings: &Bindings) -> Result<usize, Problem> {
    let db = ControlDb::open(bindings, "seal keys anew")?;
    let keys = &bindings.settings.keys;
    let page = Page::read(keys, &db, PAGE).await?;
    if page.is_empty() {
        return Ok(0);
    }
    let deed = PlatformDeed {
        at: SystemClock.now(),
        actor: "cron".to_owned(),
        operation: "keys.rewrap",
        tenant: None,
        request_id: "-",
        detail: page.detail(keys),
    };
    page.write(&db, deed.statement()).await
}

/// Values that were opened and sealed anew: id, what stood there, what is to stand there.
struct Page {
    data_keys: Vec<[String; 3]>,
    signing_keys: Vec<[String; 3]>,
}

impl Page {
    async fn read(keys: &KeyRing, db: &ControlDb, limit: i64) -> Result<Self, Problem> {
        let args = || args![i64::from(keys.current()), limit];
        let results = db.batch(vec![(OLD_DATA_KEYS, args()), (OLD_SIGNING_KEYS, args())]).await?;
        let Ok([data_keys, signing]) = <[Rows; 2]>::try_from(results) else {
            return Err(problem::internal("a batch of two gave another number of results"));
        };
        let data_key = |row: &SealedRow| keys.wrap(&row.id, &keys.unwrap(&row.id, &row.sealed)?);
        let signing_key = |row: &SealedRow| {
            let place = signing_keys::place(&row.id);
            keys.seal(&place, &keys.open(&place, &row.sealed)?)
        };
        let page =
            Self { data_keys: anew(data_keys.read()?, data_key), signing_keys: anew(signing.read()?, signing_key) };
        Ok(page)
    }

    fn is_empty(&self) -> bool {
        self.data_keys.is_empty() && self.signing_keys.is_empty()
    }

    fn detail(&self, keys: &KeyRing) -> Value {
        json!({ "version": keys.current(), "data_keys": self.data_keys.len(), "signing_keys": self.signing_keys.len() })
    }

    /// Puts the new values in place of those that still stand there; how many did.
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
        let replaced = results.into_iter().take(2).map(|rows| rows.read::<IdRow>().map(|ids| ids.len()));
        replaced.sum::<Result<usize, _>>().map_err(Problem::from)
    }
}

/// Seals values anew. One that does not open stays as it is: its version is gone, or it was put there by force.
fn anew(rows: Vec<SealedRow>, seal: impl Fn(&SealedRow) -> Result<String, Unsealable>) -> Vec<[String; 3]> {
    let sealed = rows.into_iter().filter_map(|row| seal(&row).ok().map(|sealed| [row.id, row.sealed, sealed]));
    sealed.collect()
}
