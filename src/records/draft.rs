//! A record as somebody wants it to be: read from a body, merged with what is there, held against its collection.
//!
//! Invariants
//! - What the platform keeps of a record (id, tenant, version, times, authors) is set by nobody: where a body names
//!   it, it must be what it is.
//! - A status follows the one before as the collection's vocabulary says.
//! - What a record kept under an earlier schema, and the present one does not declare, goes with its next change.

use serde_json::{Map, Value};

use super::collection::Collection;
use super::names;
use super::record::Record;
use crate::http::problem::{self, FieldError, Problem};
use crate::tenant_id::TenantId;
use domain::error::Invalid;
use domain::merge_patch::merge_patch;

/// Most bytes of a record's own fields, in JSON.
pub const MAX_RECORD: usize = 128 * 1024;

/// Members that the platform keeps.
const KEPT: [&str; 8] =
    ["version", "created_at", "updated_at", "created_by", "updated_by", "deleted_at", "collection", "file"];

/// What is to be written.
#[derive(Debug)]
pub struct RecordDraft {
    /// Its id; none where one is to be made.
    pub id: Option<String>,
    /// Its status, where the collection has a vocabulary.
    pub status: Option<String>,
    /// Its own fields.
    pub data: Map<String, Value>,
}

/// Why a draft is none.
#[derive(Debug)]
pub enum DraftError {
    /// The body names another tenant.
    Foreign,
    /// The status cannot follow: these can.
    Transition(Vec<String>),
    /// These fields are wrong.
    Wrong(Vec<FieldError>),
    /// What is stored cannot be read.
    Failed(Problem),
}

impl From<Problem> for DraftError {
    fn from(problem: Problem) -> Self {
        Self::Failed(problem)
    }
}

impl From<DraftError> for Problem {
    fn from(undrafted: DraftError) -> Self {
        match undrafted {
            DraftError::Foreign => problem::tenant_not_found().crossing_tenants(),
            DraftError::Transition(allowed) => {
                problem::transition_not_allowed(&allowed.iter().map(String::as_str).collect::<Vec<_>>())
            }
            DraftError::Wrong(errors) => problem::validation_failed(errors),
            DraftError::Failed(problem) => problem,
        }
    }
}

impl RecordDraft {
    /// A new record of a body.
    pub fn new(collection: &Collection, tenant: &TenantId, mut body: Map<String, Value>) -> Result<Self, DraftError> {
        let mut errors = Vec::new();
        check_tenant(collection, tenant, &mut body)?;
        for name in KEPT {
            refuse_kept(&mut body, name, &mut errors);
        }
        let id = match body.remove("id") {
            None | Some(Value::Null) => None,
            Some(sent) => read_text(&sent, |text| names::record_id(text).map(|()| text.to_owned()))
                .map_err(|invalid| errors.push(wrong("/id", invalid)))
                .ok(),
        };
        let status = read_status(collection, &mut body, &mut errors);
        let status = status.or_else(|| collection.statuses.as_ref().map(|s| s.initial().to_owned()));
        Self::held(collection, id, status, body, errors)
    }

    /// A record of which some is changed (RFC 7396).
    pub fn patched(collection: &Collection, current: &Record, patch: Map<String, Value>) -> Result<Self, DraftError> {
        let mut patch = patch;
        let mut errors = Vec::new();
        keep(collection, current, &mut patch, &mut errors)?;
        let status = next_status(collection, current, &mut patch, &mut errors)?;
        let mut data = current.data()?;
        collection.schema.drop_undeclared(&mut data);
        let mut data = Value::Object(data);
        merge_patch(&mut data, Value::Object(patch));
        let Value::Object(data) = data else { return Err(DraftError::Wrong(errors)) };
        Self::held(collection, Some(current.id.clone()), status, data, errors)
    }

    /// A record whose fields are all given anew.
    pub fn replaced(collection: &Collection, current: &Record, body: Map<String, Value>) -> Result<Self, DraftError> {
        let mut body = body;
        let mut errors = Vec::new();
        keep(collection, current, &mut body, &mut errors)?;
        let status = next_status(collection, current, &mut body, &mut errors)?;
        Self::held(collection, Some(current.id.clone()), status, body, errors)
    }

    /// A record as it was at another time: what the schema asks for now holds for it too.
    pub fn held_anew(
        collection: &Collection,
        current: &Record,
        status: Option<String>,
        mut data: Map<String, Value>,
    ) -> Result<Self, DraftError> {
        collection.schema.drop_undeclared(&mut data);
        Self::held(collection, Some(current.id.clone()), status, data, Vec::new())
    }

    /// Holds the fields against the schema.
    fn held(
        collection: &Collection,
        id: Option<String>,
        status: Option<String>,
        mut data: Map<String, Value>,
        mut errors: Vec<FieldError>,
    ) -> Result<Self, DraftError> {
        errors.extend(collection.schema.check(&mut data));
        let size = serde_json::to_string(&data).map_or(usize::MAX, |json| json.len());
        if size > MAX_RECORD {
            let message = format!("must be at most {MAX_RECORD} bytes of JSON");
            errors.push(wrong("", Invalid::new("too_long", message)));
        }
        if errors.is_empty() { Ok(Self { id, status, data }) } else { Err(DraftError::Wrong(errors)) }
    }
}

/// Takes out what the platform keeps; it must be as it is.
fn keep(
    collection: &Collection,
    current: &Record,
    body: &mut Map<String, Value>,
    errors: &mut Vec<FieldError>,
) -> Result<(), DraftError> {
    check_tenant(collection, &current.tenant, body)?;
    let shown = current.kept();
    for name in std::iter::once("id").chain(KEPT) {
        if body.get(name).is_some_and(|sent| shown.get(name) == Some(sent)) {
            body.remove(name);
        }
        refuse_kept(body, name, errors);
    }
    Ok(())
}

fn refuse_kept(body: &mut Map<String, Value>, name: &str, errors: &mut Vec<FieldError>) {
    if body.remove(name).is_some() {
        errors.push(wrong(&format!("/{name}"), Invalid::new("read_only", "is kept by the platform")));
    }
}

/// A body may name its tenant, by both names that are customary; nobody else's.
fn check_tenant(collection: &Collection, tenant: &TenantId, body: &mut Map<String, Value>) -> Result<(), DraftError> {
    let names: &[&str] = if collection.alias { &["tenant_id", "client_id"] } else { &["tenant_id"] };
    for name in names {
        if body.remove(*name).is_some_and(|sent| sent.as_str() != Some(tenant.as_str())) {
            return Err(DraftError::Foreign);
        }
    }
    Ok(())
}

/// The status that a body asks for.
fn read_status(collection: &Collection, body: &mut Map<String, Value>, errors: &mut Vec<FieldError>) -> Option<String> {
    let statuses = collection.statuses.as_ref()?;
    let sent = body.remove("status").filter(|sent| !sent.is_null())?;
    let known = |text: &str| {
        let invalid = || Invalid::new("unknown_status", "is not a status of this collection");
        statuses.contains(text).then(|| text.to_owned()).ok_or_else(invalid)
    };
    read_text(&sent, known).map_err(|invalid| errors.push(wrong("/status", invalid))).ok()
}

/// The status after a change. One that the vocabulary does not know (any more) may become any.
fn next_status(
    collection: &Collection,
    current: &Record,
    body: &mut Map<String, Value>,
    errors: &mut Vec<FieldError>,
) -> Result<Option<String>, DraftError> {
    let Some(statuses) = &collection.statuses else { return Ok(None) };
    let before = current.status.as_deref().filter(|status| statuses.contains(status));
    let Some(wanted) = read_status(collection, body, errors) else {
        return Ok(Some(before.unwrap_or_else(|| statuses.initial()).to_owned()));
    };
    match before {
        Some(before) if !statuses.allows(before, &wanted) => {
            Err(DraftError::Transition(statuses.targets(before).map(str::to_owned).collect()))
        }
        _ => Ok(Some(wanted)),
    }
}

fn read_text(sent: &Value, parse: impl FnOnce(&str) -> Result<String, Invalid>) -> Result<String, Invalid> {
    sent.as_str().ok_or_else(|| Invalid::new("not_text", "must be a string")).and_then(parse)
}

fn wrong(pointer: &str, invalid: Invalid) -> FieldError {
    FieldError::new(pointer, invalid)
}

/// The same drafting of one of several: each mistake is pointed to behind its place.
pub fn at(place: &str, undrafted: DraftError) -> Result<Vec<FieldError>, Problem> {
    match undrafted {
        DraftError::Wrong(errors) => {
            let inside = |error: FieldError| FieldError { pointer: format!("{place}{}", error.pointer), ..error };
            Ok(errors.into_iter().map(inside).collect())
        }
        DraftError::Transition(allowed) => {
            let message = format!("must be one of: {}", allowed.join(", "));
            Ok(vec![wrong(&format!("{place}/status"), Invalid::new("transition_not_allowed", message))])
        }
        other => Err(other.into()),
    }
}
