//! A record as it is shown, in responses and events alike.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::clock::Timestamp;

/// The stored parts of a record.
#[derive(Debug)]
pub struct RecordView<'a, Tenant> {
    /// The tenant it belongs to.
    pub tenant: &'a Tenant,
    /// Whether the tenant's id is shown as `client_id` too.
    pub alias: bool,
    /// Its id within the collection.
    pub id: &'a str,
    /// Its version, from 1.
    pub version: i64,
    /// Its status, if the collection has statuses.
    pub status: Option<&'a str>,
    /// The fields of its schema.
    pub data: Map<String, Value>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
    /// Who created it: `user:…`, `key:…`.
    pub created_by: &'a str,
    /// Who changed it last.
    pub updated_by: &'a str,
}

impl<Tenant: Serialize> RecordView<'_, Tenant> {
    /// One flat object: id and tenant, the schema's fields, then what the platform sets. A field of the schema never
    /// replaces a member that the platform sets.
    pub fn into_object(self) -> Map<String, Value> {
        let mut shown = Map::with_capacity(self.data.len() + 9);
        let text = |text: &str| Value::from(text);
        shown.insert("id".into(), text(self.id));
        let tenant = serde_json::to_value(self.tenant).unwrap_or_default();
        let alias = self.alias.then(|| tenant.clone());
        shown.insert("tenant_id".into(), tenant);
        shown.extend(alias.map(|tenant| ("client_id".into(), tenant)));
        for (name, value) in self.data {
            shown.entry(name).or_insert(value);
        }
        if let Some(status) = self.status {
            shown.insert("status".into(), text(status));
        }
        shown.insert("version".into(), self.version.into());
        shown.insert("created_at".into(), self.created_at.to_string().into());
        shown.insert("updated_at".into(), self.updated_at.to_string().into());
        shown.insert("created_by".into(), text(self.created_by));
        shown.insert("updated_by".into(), text(self.updated_by));
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(alias: bool, status: Option<&str>, data: &str) -> String {
        let record = RecordView {
            tenant: &"acme",
            alias,
            id: "r1",
            version: 3,
            status,
            data: serde_json::from_str(data).unwrap(),
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(1),
            created_by: "user:a",
            updated_by: "key:b",
        };
        Value::Object(record.into_object()).to_string()
    }

    const END: &str = r#""version":3,"created_at":"1970-01-01T00:00:00.000Z","updated_at":"1970-01-01T00:00:00.001Z","created_by":"user:a","updated_by":"key:b"}"#;

    #[test]
    fn its_fields_stand_between_whose_it_is_and_what_is_kept_of_it() {
        let plain = format!(r#"{{"id":"r1","tenant_id":"acme","z":1,"a":[null],{END}"#);
        assert_eq!(shown(false, None, r#"{"z":1,"a":[null]}"#), plain);
        let full = format!(r#"{{"id":"r1","tenant_id":"acme","client_id":"acme","z":1,"status":"new",{END}"#);
        assert_eq!(shown(true, Some("new"), r#"{"z":1}"#), full);
    }

    #[test]
    fn no_field_stands_in_the_place_of_the_platforms() {
        let forged = r#"{"id":"x","tenant_id":"other","version":9,"created_by":"x"}"#;
        let parsed: Value = serde_json::from_str(&shown(false, None, forged)).unwrap();
        let honest: Value = serde_json::from_str(&shown(false, None, "{}")).unwrap();
        assert_eq!(parsed, honest);
    }
}
