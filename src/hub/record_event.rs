//! The event that a change of a record becomes.

use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;
use serde_json::{Map, Value};

use crate::storage::outbox::OutboxRow;
use crate::tenant_id::TenantId;
use domain::clock::Timestamp;
use domain::event::Content;
use domain::record::RecordView;
use domain::record_change::RecordChange;
use domain::selector::RECORDS;
use domain::topic::Topic;

/// What the log stores of a change.
#[derive(Debug)]
pub struct RecordEvent {
    /// The collection's topic and the record's.
    pub topics: Vec<Topic>,
    /// Whether only streams with a grant for it get the event.
    pub private: bool,
    /// `{collection}.{action}`.
    pub name: String,
    /// The event's JSON behind its id. Of a record that was deleted it tells id, collection and version alone.
    pub tail: String,
    /// The members that had other values, with these values, as JSON; all of them if the record was deleted.
    pub before: Option<String>,
}

/// What a record was before it changed, as the trigger of the outbox writes it.
#[derive(Deserialize)]
struct RecordBefore {
    version: i64,
    status: Option<String>,
    updated_at: i64,
    updated_by: String,
    /// None if its fields are as they were.
    data: Option<Map<String, Value>>,
}

/// The event's `data`.
#[derive(Serialize)]
struct Change<'a> {
    id: &'a str,
    collection: &'a str,
    version: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<Map<String, Value>>,
}

impl RecordEvent {
    /// The event of a change; none if the row cannot be read, which no trigger of ours writes.
    pub fn of(tenant: &TenantId, row: &OutboxRow) -> Option<Self> {
        let of_collection = format!("{RECORDS}{}", row.collection);
        let of_record = format!("{of_collection}/{}", row.record_id);
        let topics = vec![Topic::channel(&of_collection).ok()?, Topic::channel(&of_record).ok()?];
        let Ok(Value::Object(data)) = serde_json::from_str(&row.data) else { return None };
        let before = row.before.as_deref().map(serde_json::from_str::<RecordBefore>).transpose().ok()?;
        let before = before.map(|before| shown_before(tenant, row, before, &data));
        let after = shown(tenant, row, data);
        let (record, before) = match (row.action.as_str(), before) {
            ("delete", before) => (None, Some(before.unwrap_or(after))),
            (_, Some(before)) => {
                let replaced = RecordChange::replaced(before, &after);
                (Some(after), Some(replaced))
            }
            (_, None) => (Some(after), None),
        };
        let change = Change { id: &row.record_id, collection: &row.collection, version: row.version, record };
        let content = Content {
            tenant_id: tenant,
            topics: &topics,
            node_type: &row.collection,
            action: &row.action.to_ascii_uppercase(),
            data: Some(&*to_raw_value(&change).ok()?),
            occurred_at: Timestamp::from_millis(row.at),
        };
        let tail = content.to_tail().ok()?;
        let name = format!("{}.{}", row.collection, row.action);
        let before = before.map(|before| Value::Object(before).to_string());
        Some(Self { topics, private: row.private != 0, name, tail, before })
    }
}

/// The record as it is shown after the change.
fn shown(tenant: &TenantId, row: &OutboxRow, data: Map<String, Value>) -> Map<String, Value> {
    let view = RecordView {
        tenant,
        alias: row.alias.is_some(),
        id: &row.record_id,
        version: row.version,
        status: row.status.as_deref(),
        data,
        created_at: Timestamp::from_millis(row.created_at),
        updated_at: Timestamp::from_millis(row.updated_at),
        created_by: &row.created_by,
        updated_by: &row.updated_by,
    };
    view.into_object()
}

/// The record as it was shown before the change, after which its fields are `data`.
fn shown_before(
    tenant: &TenantId,
    row: &OutboxRow,
    before: RecordBefore,
    data: &Map<String, Value>,
) -> Map<String, Value> {
    let view = RecordView {
        tenant,
        alias: row.alias.is_some(),
        id: &row.record_id,
        version: before.version,
        status: before.status.as_deref(),
        data: before.data.unwrap_or_else(|| data.clone()),
        created_at: Timestamp::from_millis(row.created_at),
        updated_at: Timestamp::from_millis(before.updated_at),
        created_by: &row.created_by,
        updated_by: &before.updated_by,
    };
    view.into_object()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> OutboxRow {
        OutboxRow {
            seq: 7,
            at: 1000,
            collection: "leads".into(),
            record_id: "r1".into(),
            action: "update".into(),
            private: 1,
            version: 2,
            status: Some("new".into()),
            data: r#"{"name":"a\nb","score":3}"#.into(),
            alias: Some("client_id".into()),
            created_at: 0,
            updated_at: 999,
            created_by: "user:a".into(),
            updated_by: "key:b".into(),
            creation_id: Some("c".into()),
            before: Some(
                r#"{"version":1,"status":"new","updated_at":0,"updated_by":"key:b","data":{"score":1,"tags":["x"],"name":"a\nb"}}"#
                    .into(),
            ),
        }
    }

    #[test]
    fn an_event_is_on_the_topics_of_the_collection_and_of_the_record() {
        let event = RecordEvent::of(&TenantId::proven("acme"), &row()).unwrap();
        assert_eq!(event.topics.iter().map(Topic::as_str).collect::<Vec<_>>(), ["records/leads", "records/leads/r1"]);
        assert_eq!((event.private, event.name.as_str()), (true, "leads.update"));
        assert_eq!(
            event.tail,
            concat!(
                r#""tenant_id":"acme","topics":["records/leads","records/leads/r1"],"node_type":"leads","action":"UPDATE","#,
                r#""data":{"id":"r1","collection":"leads","version":2,"record":{"id":"r1","tenant_id":"acme","client_id":"acme","#,
                r#""name":"a\nb","score":3,"status":"new","version":2,"created_at":"1970-01-01T00:00:00.000Z","#,
                r#""updated_at":"1970-01-01T00:00:00.999Z","created_by":"user:a","updated_by":"key:b"}},"#,
                r#""occurred_at":"1970-01-01T00:00:01.000Z"}"#
            )
        );
    }

    #[test]
    fn an_event_knows_what_was_and_of_a_deleted_record_tells_its_name_alone() {
        let of = |row: &OutboxRow| RecordEvent::of(&TenantId::proven("acme"), row).unwrap();
        let before = of(&row()).before.unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&before).unwrap(),
            serde_json::json!({"score": 1, "tags": ["x"], "version": 1, "updated_at": "1970-01-01T00:00:00.000Z"})
        );
        assert_eq!(of(&OutboxRow { action: "create".into(), before: None, ..row() }).before, None);
        let soft = r#"{"version":1,"status":"old","updated_at":0,"updated_by":"key:b","data":null}"#;
        for (before, status) in [(Some(soft.to_owned()), "old"), (None, "new")] {
            let event = of(&OutboxRow { action: "delete".into(), before, ..row() });
            let before: Value = serde_json::from_str(&event.before.unwrap()).unwrap();
            assert_eq!((&before["score"], &before["status"]), (&Value::from(3), &Value::from(status)));
            assert_eq!(event.name, "leads.delete");
            assert!(event.tail.contains(r#""data":{"id":"r1","collection":"leads","version":2},"#), "{}", event.tail);
        }
        assert!(RecordEvent::of(&TenantId::proven("acme"), &OutboxRow { before: Some("{".into()), ..row() }).is_none());
    }

    #[test]
    fn a_row_that_cannot_be_read_is_no_event() {
        let of = |row: &OutboxRow| RecordEvent::of(&TenantId::proven("acme"), row);
        assert!(of(&OutboxRow { data: "[]".into(), ..row() }).is_none());
        assert!(of(&OutboxRow { data: "{a:1}".into(), ..row() }).is_none());
        assert!(of(&OutboxRow { record_id: "x*".into(), ..row() }).is_none());
    }
}
