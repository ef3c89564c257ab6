//! A record as it is to be written: read from a body, merged with the stored one, validated by its collection.
//!
//! Invariants
//! - No body sets what the platform sets (id, tenant, version, times, authors): a body that names such a member must
//!   repeat its value.
//! - A change of status is one that the collection's transitions allow.
//! - Fields that an earlier schema declared and the present one does not are removed by the record's next change.

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

/// Members that the platform sets.
const READ_ONLY: [&str; 8] =
    ["version", "created_at", "updated_at", "created_by", "updated_by", "deleted_at", "collection", "file"];

/// A record that is to be written.
#[derive(Debug)]
pub struct RecordDraft {
    /// Its id; none for a new record without one.
    pub id: Option<String>,
    /// Its status, if the collection has statuses.
    pub status: Option<String>,
    /// Its fields, as the schema stores them.
    pub data: Map<String, Value>,
}

/// Why a record cannot be written so.
#[derive(Debug)]
pub enum DraftError {
    /// The body names another tenant.
    OtherTenant,
    /// The status may not follow the current one; these may.
    Transition(Vec<String>),
    /// Fields are invalid.
    Fields(Vec<FieldError>),
    /// The stored record cannot be read.
    Failed(Problem),
}

impl From<Problem> for DraftError {
    fn from(problem: Problem) -> Self {
        Self::Failed(problem)
    }
}

impl From<DraftError> for Problem {
    fn from(error: DraftError) -> Self {
        match error {
            DraftError::OtherTenant => problem::tenant_not_found().crossing_tenants(),
            DraftError::Transition(allowed) => {
                problem::transition_not_allowed(&allowed.iter().map(String::as_str).collect::<Vec<_>>())
            }
            DraftError::Fields(errors) => problem::validation_failed(errors),
            DraftError::Failed(problem) => problem,
        }
    }
}

impl RecordDraft {
    /// A new record.
    pub fn new(collection: &Collection, tenant: &TenantId, mut body: Map<String, Value>) -> Result<Self, DraftError> {
        let mut errors = Vec::new();
        check_tenant(collection, tenant, &mut body)?;
        for name in READ_ONLY {
            refuse_read_only(&mut body, name, &mut errors);
        }
        let id = match body.remove("id") {
            None | Some(Value::Null) => None,
            Some(sent) => read_text(&sent, |text| names::record_id(text).map(|()| text.to_owned()))
                .map_err(|invalid| errors.push(field_error("/id", invalid)))
                .ok(),
        };
        let status = read_status(collection, &mut body, &mut errors);
        let status = status.or_else(|| collection.statuses.as_ref().map(|s| s.initial().to_owned()));
        Self::validated(collection, id, status, body, errors)
    }

    /// A new record of this id, which a body may repeat.
    pub fn named(
        collection: &Collection,
        tenant: &TenantId,
        id: &str,
        mut body: Map<String, Value>,
    ) -> Result<Self, DraftError> {
        let is_other = body.insert("id".into(), id.into()).is_some_and(|sent| sent.as_str() != Some(id));
        if is_other {
            let invalid = Invalid::new("read_only", "must be the id that the path names");
            return Err(DraftError::Fields(vec![field_error("/id", invalid)]));
        }
        Self::new(collection, tenant, body)
    }

    /// A record changed by a merge patch (RFC 7396).
    pub fn patched(collection: &Collection, current: &Record, patch: Map<String, Value>) -> Result<Self, DraftError> {
        let mut patch = patch;
        let mut errors = Vec::new();
        check_read_only(collection, current, &mut patch, &mut errors)?;
        let status = next_status(collection, current, &mut patch, &mut errors)?;
        let mut data = current.data()?;
        collection.schema.drop_undeclared(&mut data);
        let mut data = Value::Object(data);
        merge_patch(&mut data, Value::Object(patch));
        let Value::Object(data) = data else { return Err(DraftError::Fields(errors)) };
        Self::validated(collection, Some(current.id.clone()), status, data, errors)
    }

    /// A record with all its fields replaced.
    pub fn replaced(collection: &Collection, current: &Record, body: Map<String, Value>) -> Result<Self, DraftError> {
        let mut body = body;
        let mut errors = Vec::new();
        check_read_only(collection, current, &mut body, &mut errors)?;
        let status = next_status(collection, current, &mut body, &mut errors)?;
        Self::validated(collection, Some(current.id.clone()), status, body, errors)
    }

    /// A record with the status and fields of an earlier version, validated by the present schema and statuses. A version
    /// whose status the collection no longer has is refused; transitions do not count.
    pub fn of_version(
        collection: &Collection,
        current: &Record,
        status: Option<String>,
        mut data: Map<String, Value>,
    ) -> Result<Self, DraftError> {
        collection.schema.drop_undeclared(&mut data);
        let mut errors = Vec::new();
        let status = match (&collection.statuses, status) {
            (None, _) => None,
            (Some(statuses), None) => Some(statuses.initial().to_owned()),
            (Some(statuses), Some(status)) => {
                if !statuses.contains(&status) {
                    let names = statuses.names().collect::<Vec<_>>().join(", ");
                    let message = format!(
                        "is `{status}` in this version, which is no status of this collection any more: {names}"
                    );
                    errors.push(field_error("/status", Invalid::new("unknown_status", message)));
                }
                Some(status)
            }
        };
        Self::validated(collection, Some(current.id.clone()), status, data, errors)
    }

    /// A deleted record as it was, validated by the present schema. A status that the collection no longer has becomes the
    /// initial one.
    pub fn undeleted(collection: &Collection, current: &Record) -> Result<Self, DraftError> {
        let mut data = current.data()?;
        collection.schema.drop_undeclared(&mut data);
        let status = collection.statuses.as_ref().map(|statuses| {
            let kept = current.status.as_deref().filter(|status| statuses.contains(status));
            kept.unwrap_or_else(|| statuses.initial()).to_owned()
        });
        Self::validated(collection, Some(current.id.clone()), status, data, Vec::new())
    }

    /// Validates the fields by the schema.
    fn validated(
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
            errors.push(field_error("", Invalid::new("too_long", message)));
        }
        if errors.is_empty() { Ok(Self { id, status, data }) } else { Err(DraftError::Fields(errors)) }
    }
}

/// Removes the members that the platform sets; each must repeat its value.
fn check_read_only(
    collection: &Collection,
    current: &Record,
    body: &mut Map<String, Value>,
    errors: &mut Vec<FieldError>,
) -> Result<(), DraftError> {
    check_tenant(collection, &current.tenant, body)?;
    let shown = current.platform_fields();
    for name in std::iter::once("id").chain(READ_ONLY) {
        if body.get(name).is_some_and(|sent| shown.get(name) == Some(sent)) {
            body.remove(name);
        }
        refuse_read_only(body, name, errors);
    }
    Ok(())
}

fn refuse_read_only(body: &mut Map<String, Value>, name: &str, errors: &mut Vec<FieldError>) {
    if body.remove(name).is_some() {
        errors.push(field_error(
            &format!("/{name}"),
            Invalid::new("read_only", "is set by the platform and cannot be changed"),
        ));
    }
}

/// Removes the tenant's id, which a body may repeat under both customary names; another tenant's is refused.
fn check_tenant(collection: &Collection, tenant: &TenantId, body: &mut Map<String, Value>) -> Result<(), DraftError> {
    let names: &[&str] = if collection.alias { &["tenant_id", "client_id"] } else { &["tenant_id"] };
    let names_another = |sent: &Value| sent.as_str().is_some_and(|sent| sent != tenant.as_str());
    let is_field = collection.alias || collection.schema.field("client_id").is_some();
    if !is_field && body.get("client_id").is_some_and(names_another) {
        return Err(DraftError::OtherTenant);
    }
    for name in names {
        if body.remove(*name).is_some_and(|sent| sent.as_str() != Some(tenant.as_str())) {
            return Err(DraftError::OtherTenant);
        }
    }
    Ok(())
}

/// The status in a body: one of the collection's.
fn read_status(collection: &Collection, body: &mut Map<String, Value>, errors: &mut Vec<FieldError>) -> Option<String> {
    let statuses = collection.statuses.as_ref()?;
    let sent = body.remove("status").filter(|sent| !sent.is_null())?;
    let known = |text: &str| {
        let names = || statuses.names().collect::<Vec<_>>().join(", ");
        let invalid = || Invalid::new("unknown_status", format!("is not a status of this collection: {}", names()));
        statuses.contains(text).then(|| text.to_owned()).ok_or_else(invalid)
    };
    read_text(&sent, known).map_err(|invalid| errors.push(field_error("/status", invalid))).ok()
}

/// The status after a change. One that the collection no longer has stays until another is asked for, which may be any.
fn next_status(
    collection: &Collection,
    current: &Record,
    body: &mut Map<String, Value>,
    errors: &mut Vec<FieldError>,
) -> Result<Option<String>, DraftError> {
    let Some(statuses) = &collection.statuses else { return Ok(None) };
    let before = current.status.as_deref();
    if before.is_some_and(|before| body.get("status").and_then(Value::as_str) == Some(before)) {
        body.remove("status");
    }
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

fn field_error(pointer: &str, invalid: Invalid) -> FieldError {
    FieldError::new(pointer, invalid)
}

/// The errors of one of several records, each with `pointer` in front of its own.
pub fn errors_at(pointer: &str, error: DraftError) -> Result<Vec<FieldError>, Problem> {
    match error {
        DraftError::Fields(errors) => {
            let inside = |error: FieldError| FieldError { pointer: format!("{pointer}{}", error.pointer), ..error };
            Ok(errors.into_iter().map(inside).collect())
        }
        DraftError::Transition(allowed) => {
            let message = format!("must be one of: {}", allowed.join(", "));
            Ok(vec![field_error(&format!("{pointer}/status"), Invalid::new("transition_not_allowed", message))])
        }
        other => Err(other.into()),
    }
}
