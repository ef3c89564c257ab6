//! A document: a JSON object in the tenant's row that its members may change too, its settings or its branding.
//!
//! It is stored in the row in CONTROL only, and validated here only: operators write it through the tenant API, members
//! through theirs (`api/settings`).

use serde_json::{Map, Value};

use super::branding::Branding;
use super::settings::{MayCall, STORED, TenantSettings};
use crate::http::problem::{self, FieldError, Problem};
use domain::error::Invalid;
use domain::merge_patch;

/// Most bytes of a document, as JSON.
pub const MAX_BYTES: usize = 16 * 1024;

/// Which document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// The settings.
    Settings,
    /// The branding.
    Branding,
}

impl Document {
    /// Its name, as the tenant's field and column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Branding => "branding",
        }
    }

    /// As JSON, with every default.
    pub fn view(self, object: &Map<String, Value>) -> Value {
        match self {
            Self::Settings => TenantSettings::read(object, STORED).0.to_view(),
            Self::Branding => Branding::read(object).0.to_view(),
        }
    }

    /// What is wrong with a document that replaces the stored one. Members that do not change are not checked, because an
    /// older tenant may have what is refused today.
    pub fn faults(
        self,
        stored: &Map<String, Value>,
        wanted: &Map<String, Value>,
        may_call: MayCall<'_>,
    ) -> Vec<FieldError> {
        let differs = |(name, value): &(&String, &Value)| stored.get(*name) != Some(*value);
        let changed = wanted.iter().filter(differs).map(|(name, value)| (name.clone(), value.clone())).collect();
        match self {
            Self::Settings => TenantSettings::read(&changed, may_call).1,
            Self::Branding => Branding::read(&changed).1,
        }
    }

    /// The stored document with a patch merged into it. 422 with every mistake of the result.
    pub fn merged(
        self,
        stored: &Map<String, Value>,
        patch: &Map<String, Value>,
        may_call: MayCall<'_>,
    ) -> Result<Map<String, Value>, Problem> {
        let mut wanted = stored.clone();
        merge_patch::merge(&mut wanted, patch.clone());
        // Null removes a stored member, or asks for its default. A null for an unknown name must be reported as unknown.
        let removes_nothing = patch.iter().filter(|(name, value)| value.is_null() && !stored.contains_key(*name));
        let mut checked = wanted.clone();
        checked.extend(removes_nothing.map(|(name, value)| (name.clone(), value.clone())));
        let mut faults = self.faults(stored, &checked, may_call);
        if serde_json::to_string(&wanted).map_or(true, |json| json.len() > MAX_BYTES) {
            let message = format!("must come to at most {MAX_BYTES} bytes of JSON");
            faults.push(FieldError::new("", Invalid::new("too_long", message)));
        }
        if faults.is_empty() { Ok(wanted) } else { Err(problem::validation_failed(faults)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn merged(document: Document, stored: Value, patch: Value) -> Result<Value, Vec<String>> {
        let merged = document.merged(&object(stored), &object(patch), STORED);
        merged.map(Value::Object).map_err(|p| p.errors.iter().map(|error| error.pointer.clone()).collect())
    }

    #[test]
    fn a_patch_changes_what_it_names() {
        let stored =
            serde_json::json!({"auto_publish": true, "password_policy": {"min_length": 12, "require_digit": true}});
        let patch = serde_json::json!({"auto_publish": null, "password_policy": {"require_digit": null}, "registration": "open"});
        let expected = serde_json::json!({"password_policy": {"min_length": 12}, "registration": "open"});
        assert_eq!(merged(Document::Settings, stored, patch), Ok(expected));
    }

    #[test]
    fn what_an_older_tenant_holds_stays_until_it_is_touched() {
        let stored = serde_json::json!({"theme": "dark", "auto_publish": "yes"});
        let held = |patch: Value| merged(Document::Settings, stored.clone(), patch);
        let kept = serde_json::json!({"theme": "dark", "auto_publish": "yes", "seo_optimization": false});
        assert_eq!(held(serde_json::json!({"seo_optimization": false})), Ok(kept));
        assert_eq!(held(serde_json::json!({"theme": "light"})), Err(vec!["/theme".to_owned()]));
        assert_eq!(held(serde_json::json!({"auto_publish": "no"})), Err(vec!["/auto_publish".to_owned()]));
        assert_eq!(held(serde_json::json!({"theme": null, "auto_publish": null})), Ok(serde_json::json!({})));
        assert_eq!(held(serde_json::json!({"odd": null})), Err(vec!["/odd".to_owned()]));
    }

    #[test]
    fn a_document_is_bounded_as_a_whole() {
        let template = |bytes: usize| serde_json::json!({"custom_templates": {"a": "x".repeat(bytes)}});
        assert!(merged(Document::Settings, template(9000), template(9000)).is_ok());
        let more = serde_json::json!({"custom_templates": {"b": "x".repeat(9000)}});
        let faults = merged(Document::Settings, template(9000), more).unwrap_err();
        assert!(faults.contains(&String::new()), "{faults:?}");
    }
}
