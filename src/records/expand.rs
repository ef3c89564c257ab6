//! Records put beside those that refer to them: `expand=author,author.team`.
//!
//! Every hop is a read of its own, bound to the tenant like any other, and shows nothing that whoever asks could not
//! read by itself.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::pin::Pin;

use serde_json::{Map, Value};

use super::collection::{Collection, ReadWith};
use super::record::{self, Record, RecordRow};
use crate::http::incoming::Query;
use crate::http::problem::{self, Problem};
use crate::storage::sql::args;
use crate::storage::tenant_db::{Read, TenantDb};
use domain::error::Invalid;

/// Most hops of a way.
const MAX_HOPS: usize = 3;
/// Most ways.
const MAX_WAYS: usize = 10;
/// Most records that one hop leads to.
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
    fn hops(&self) -> HashMap<&str, Self> {
        let mut hops: HashMap<&str, Self> = HashMap::new();
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

/// Puts under `expand` of each record what its fields refer to. Who is no member sees what is public.
pub fn fill<'a>(
    rows: &'a TenantDb,
    collection: &'a Collection,
    expansion: &'a Expansion,
    is_member: bool,
    shown: &'a mut [Map<String, Value>],
) -> Pin<Box<dyn Future<Output = Result<(), Problem>> + 'a>> {
    Box::pin(async move {
        for (name, further) in expansion.hops() {
            let target = collection.schema.field(name).and_then(|field| field.reference.as_deref());
            let invalid = || Invalid::new("not_a_reference", format!("{name} refers to no collection"));
            let target = target.ok_or_else(|| problem::invalid_query("expand", invalid()))?;
            let found = hop(rows, target, &further, is_member, &named(shown, name)?).await?;
            for record in shown.iter_mut() {
                put(record, name, &found);
            }
        }
        Ok(())
    })
}

/// The records of a hop, by their ids, with what is asked for beside them.
async fn hop(
    rows: &TenantDb,
    target: &str,
    further: &Expansion,
    is_member: bool,
    ids: &[String],
) -> Result<HashMap<String, Map<String, Value>>, Problem> {
    let asked = Value::from(ids).to_string();
    let reading = |_: &Collection| Ok(vec![Read::Constant(record::FIND_SOME, args![target, asked.as_str()])]);
    let ReadWith { collection, found, .. } = Collection::read_with(rows, target, reading).await?;
    if !is_member && !collection.public_read {
        return Ok(HashMap::new());
    }
    let found = found.into_iter().next().unwrap_or_default().read::<RecordRow>()?;
    let mut shown = Vec::with_capacity(found.len());
    for row in found {
        shown.push(Record::stored(rows.tenant(), row).shown(&collection)?);
    }
    fill(rows, &collection, further, is_member, &mut shown).await?;
    let id = |record: &Map<String, Value>| record.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(shown.into_iter().map(|record| (id(&record), record)).collect())
}

/// The ids that records have in a field, each once.
fn named(shown: &[Map<String, Value>], name: &str) -> Result<Vec<String>, Problem> {
    let values = shown.iter().filter_map(|record| record.get(name));
    let each = values.flat_map(|value| value.as_array().map_or_else(|| vec![value], |many| many.iter().collect()));
    let ids: BTreeSet<&str> = each.filter_map(Value::as_str).collect();
    if ids.len() > MAX_RECORDS {
        return Err(problem::too_complex());
    }
    Ok(ids.into_iter().map(str::to_owned).collect())
}

/// Puts what a record refers to beside it.
fn put(record: &mut Map<String, Value>, name: &str, found: &HashMap<String, Map<String, Value>>) {
    let of = |id: &Value| id.as_str().and_then(|id| found.get(id)).cloned().map(Value::Object);
    let beside = match record.get(name) {
        Some(Value::Array(ids)) => Some(Value::from(ids.iter().filter_map(of).collect::<Vec<_>>())),
        Some(id) => of(id),
        None => None,
    };
    if let Some(beside) = beside {
        let expand = record.entry("expand").or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(expand) = expand {
            expand.insert(name.to_owned(), beside);
        }
    }
}
