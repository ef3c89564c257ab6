//! `POST /api/v1/{collection}/bulk`: up to a hundred operations on records, all of them or none.

use serde_json::{Map, Value};

use super::{announce, preferred};
use crate::auth::idempotency::tenant::Creation;
use crate::auth::principal::Member;
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::precondition::Preconditions;
use crate::http::problem::{self, FieldError, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::records::operation::{self, Operation, OperationKind, RecordWriter, WriteOutcome};
use crate::records::sweep;
use domain::error::Invalid;
use domain::pointer::escape;

/// Most operations of a request.
const MAX_OPERATIONS: usize = 100;
/// Most bytes of a request.
const MAX_BODY: usize = 1024 * 1024;

/// `POST /api/v1/{collection}/bulk`
pub async fn bulk(mut request: Request<Member>) -> Result<Response, Problem> {
    let body = request.incoming.json_object_within(JSON, MAX_BODY).await?;
    let rows = request.caller.rows(&request.bindings)?;
    let slug = request.params.get("collection");
    let pending = match Creation::begin_in(&request, &rows, "records.bulk", slug, &body).await? {
        Creation::New(pending) => pending,
        Creation::Done(answer) => return preferred(&request, answer),
    };
    let operations = read(body)?;
    let writer = RecordWriter {
        rows: &rows,
        slug,
        member: &request.caller,
        pending: Some(&pending),
        respond: operation::several,
    };
    match writer.run(&operations).await? {
        WriteOutcome::Replayed(answer) => preferred(&request, answer),
        WriteOutcome::Written(collection, _, made) => {
            announce(&request, &collection);
            if collection.files {
                sweep::behind(&request.background, &request.bindings, request.caller.rows(&request.bindings)?);
            }
            preferred(&request, pending.respond(&made)?)
        }
    }
}

/// Reads the body: `operations`, each with `op` and the members that `op` takes.
fn read(body: Map<String, Value>) -> Result<Vec<Operation>, Problem> {
    let mut fields = Fields::new(body);
    fields.require("operations");
    let sent = match fields.take("operations") {
        Some(Value::Array(sent)) if sent.is_empty() => {
            fields.wrong("operations", Invalid::new("required", "must have at least one entry"))
        }
        Some(Value::Array(sent)) if sent.len() > MAX_OPERATIONS => {
            let message = format!("must have at most {MAX_OPERATIONS} entries");
            fields.wrong("operations", Invalid::new("too_many", message))
        }
        Some(Value::Array(sent)) => Some(sent),
        Some(_) => fields.wrong("operations", Invalid::new("not_a_list", "must be a list")),
        None => None,
    };
    fields.finish()?;
    let (mut operations, mut errors) = (Vec::new(), Vec::new());
    for (i, sent) in sent.into_iter().flatten().enumerate() {
        match one(&format!("/operations/{i}"), sent) {
            Ok(operation) => operations.push(operation),
            Err(wrong) => errors.extend(wrong),
        }
    }
    if errors.is_empty() { Ok(operations) } else { Err(problem::validation_failed(errors)) }
}

fn one(pointer: &str, sent: Value) -> Result<Operation, Vec<FieldError>> {
    let wrong = |name: &str, code, message: &'static str| {
        vec![FieldError::new(format!("{pointer}{name}"), Invalid::new(code, message))]
    };
    let Value::Object(mut sent) = sent else { return Err(wrong("", "not_an_object", "must be an object")) };
    let mut text = |name: &str| match sent.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(&format!("/{name}"), "not_text", "must be a string")),
    };
    let (op, id, if_match) = (text("op")?, text("id")?, text("if_match")?);
    let data = match sent.remove("data") {
        Some(Value::Object(data)) => Some(data),
        Some(Value::Null) | None => None,
        Some(_) => return Err(wrong("/data", "not_an_object", "must be an object")),
    };
    let permanent = sent.remove("permanent").is_some_and(|flag| flag == Value::Bool(true));
    if let Some(name) = sent.keys().next() {
        return Err(wrong(&format!("/{}", escape(name)), "unknown_field", "is not a field of an operation"));
    }
    let needs_data = || wrong("/data", "required", "is required");
    let kind = match op.as_deref() {
        Some("create") => {
            let mut data = data.ok_or_else(needs_data)?;
            if let Some(id) = &id {
                data.insert("id".into(), id.as_str().into());
            }
            OperationKind::Create(data)
        }
        Some("update") => OperationKind::Patch(data.ok_or_else(needs_data)?),
        Some("replace") => OperationKind::Replace(data.ok_or_else(needs_data)?),
        Some("delete") => OperationKind::Delete { permanent },
        Some("restore") => OperationKind::Restore,
        _ => return Err(wrong("/op", "unknown_operation", "must be create, update, replace, delete or restore")),
    };
    if id.is_none() && !matches!(kind, OperationKind::Create(_)) {
        return Err(wrong("/id", "required", "is required"));
    }
    let preconditions = Preconditions::if_match(if_match.as_deref());
    Ok(Operation { pointer: format!("{pointer}/data"), id, preconditions, kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_the_pointer_of_its_operation() {
        let body = serde_json::json!({"operations": [
            {"op": "create"}, {"op": "update", "data": {}}, {"op": "fly", "id": "a"}, 7,
            {"op": "delete", "id": "a", "odd": 1}, {"op": "update", "id": 5, "data": {}},
        ]});
        let problem = read(body.as_object().unwrap().clone()).unwrap_err();
        let pointers: Vec<_> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            [
                "/operations/0/data",
                "/operations/1/id",
                "/operations/2/op",
                "/operations/3",
                "/operations/4/odd",
                "/operations/5/id"
            ]
        );
    }

    #[test]
    fn there_is_something_to_do_and_not_too_much() {
        for (operations, code) in [(0, "required"), (101, "too_many")] {
            let one = serde_json::json!({"op": "delete", "id": "a"});
            let body = serde_json::json!({"operations": vec![one; operations]});
            let problem = read(body.as_object().unwrap().clone()).unwrap_err();
            assert_eq!(problem.errors[0].code, code);
        }
    }
}
