//! Records put beside those that refer to them: `expand=author,author.team`.
//!
//! Every hop is a read of its own, bound to the tenant like any other, and shows nothing that whoever asks could not
//! read by itself. How much one answer holds is bounded: see `beside`.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;

use serde_json::{Map, Value};

use super::beside::{self, Beside, Targets};
use super::collection::{Collection, CollectionRead};
use super::record::{Record, RecordRow};
use crate::http::incoming::Query;
use crate::http::problem::{self, Problem};
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::{ReadStatement, TenantDb};
use domain::error::Invalid;

statements! { TenantSql;
    /// The records of the ids in the JSON ?3 that are there, until their fields are longer than ?4 together.
    NAMED = "SELECT n.id, n.version, n.status, n.data, n.created_at, n.updated_at, n.created_by, n.updated_by, n.deleted_at FROM (SELECT r.*, sum(length(CAST(r.data AS BLOB))) OVER (ORDER BY r.id) AS upto FROM json_each(?3) j CROSS JOIN records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.id = j.value AND r.deleted_at IS NULL) n WHERE n.upto - length(CAST(n.data AS BLOB)) <= ?4";
}

/// Most hops of a way.
const MAX_HOPS: usize = 3;
/// Most ways.
const MAX_WAYS: usize = 10;
/// Most different records that one hop leads to.
const MAX_RECORDS: usize = 1000;

/// The ways that are asked for, each a list of fields.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Expansion(Vec<Vec<String>>);

impl Expansion {
    /// Reads `expand`.
    pub fn read(query: &Query) -> Result<Self, Problem> {
        let names = query.get("expand").unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty());
        let ways: Vec<Vec<String>> = names.map(|name| name.split('.').map(str::to_owned).collect()).collect();
        if ways.len() > MAX_WAYS || ways.iter().any(|way| way.len() > MAX_HOPS) {
            let message = format!("must be at most {MAX_WAYS} ways of at most {MAX_HOPS} hops");
            return Err(problem::invalid_query("expand", Invalid::new("too_many", message)));
        }
        Ok(Self(ways))
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ways in one spelling.
    pub fn canonical(&self) -> String {
        self.0.iter().map(|way| way.join(".")).collect::<Vec<_>>().join(",")
    }

    /// The first hops, each with what follows it.
    fn hops(&self) -> BTreeMap<&str, Self> {
        let mut hops: BTreeMap<&str, Self> = BTreeMap::new();
        for way in &self.0 {
            let Some((first, rest)) = way.split_first() else { continue };
            let hop = hops.entry(first).or_default();
            if !rest.is_empty() {
                hop.0.push(rest.to_vec());
            }
        }
        hops
    }
}

/// Puts under `expand` of each record what its fields refer to. Who is no member sees what is public. 400 `too_complex`
/// if that is more than an answer holds.
pub async fn fill(
    rows: &TenantDb,
    collection: &Collection,
    expansion: &Expansion,
    is_member: bool,
    shown: &mut [Map<String, Value>],
) -> Result<(), Problem> {
    let mut reading = Reading { rows, is_member, bytes_left: beside::MAX_BYTES };
    let beside = reading.beside(collection, expansion, shown).await?;
    beside.put(shown).map_err(|_| too_much())
}

/// The problem of what leads to too much.
fn too_much() -> Problem {
    let message = format!(
        "would put more than {} records or {} MB beside those of this answer: ask for fewer rows, references or hops",
        beside::MAX_RECORDS,
        beside::MAX_BYTES / 1024 / 1024,
    );
    problem::too_complex().field("?expand", Invalid::new("too_complex", message))
}

/// The reading of what is put beside the records of one answer.
struct Reading<'a> {
    rows: &'a TenantDb,
    is_member: bool,
    /// How many bytes of records may still be read: whatever is read is put at least once.
    bytes_left: usize,
}

impl Reading<'_> {
    /// What these records refer to.
    fn beside<'f>(
        &'f mut self,
        collection: &'f Collection,
        expansion: &'f Expansion,
        shown: &'f [Map<String, Value>],
    ) -> Pin<Box<dyn Future<Output = Result<Beside, Problem>> + 'f>> {
        Box::pin(async move {
            let mut beside = Beside::default();
            for (name, further) in expansion.hops() {
                let target = collection.schema.field(name).and_then(|field| field.reference.as_deref());
                let invalid = || Invalid::new("not_a_reference", format!("{name} refers to no collection"));
                let target = target.ok_or_else(|| problem::invalid_query("expand", invalid()))?;
                beside.add(name, self.hop(target, &further, &named(shown, name)?).await?);
            }
            Ok(beside)
        })
    }

    /// The records of a hop, with what is asked for beside them.
    async fn hop(&mut self, target: &str, further: &Expansion, ids: &[String]) -> Result<Targets, Problem> {
        let asked = Value::from(ids).to_string();
        let left = i64::try_from(self.bytes_left).unwrap_or(i64::MAX);
        let is_member = self.is_member;
        // What the caller may not read is not read for them.
        let reading = |collection: &Collection| match is_member || collection.public_read {
            true => Ok(vec![ReadStatement::Constant(NAMED, args![target, asked.as_str(), left])]),
            false => Ok(Vec::new()),
        };
        let CollectionRead { collection, found, .. } = Collection::read_with(self.rows, target, reading).await?;
        if !self.is_member && !collection.public_read {
            return Ok(Targets::new(Vec::new(), Beside::default()));
        }
        let found = found.into_iter().next().unwrap_or_default().read::<RecordRow>()?;
        let bytes = found.iter().map(|row| row.data.len()).sum();
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or_else(too_much)?;
        let shown = found.into_iter().map(|row| Record::stored(self.rows.tenant(), row).shown(&collection));
        let shown = shown.collect::<Result<Vec<_>, Problem>>()?;
        let beside = self.beside(&collection, further, &shown).await?;
        Ok(Targets::new(shown, beside))
    }
}

/// The ids that records have in a field, each once.
fn named(shown: &[Map<String, Value>], name: &str) -> Result<Vec<String>, Problem> {
    let values = shown.iter().filter_map(|record| record.get(name));
    let ids: BTreeSet<&str> = values.flat_map(beside::each).filter_map(Value::as_str).collect();
    if ids.len() > MAX_RECORDS {
        let message = format!("leads to more than {MAX_RECORDS} different records in one hop: ask for fewer rows");
        return Err(problem::too_complex().field("?expand", Invalid::new("too_complex", message)));
    }
    Ok(ids.into_iter().map(str::to_owned).collect())
}
