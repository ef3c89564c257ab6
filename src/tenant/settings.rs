//! A tenant's settings: what it says of its content and of how people sign in, each with a default.
//!
//! Invariants
//! - Whoever writes settings, operator or member, they are read here; so what is stored is what is understood.
//! - A setting that is absent, null or (in an older tenant) not understood has its default: reading never fails.

use serde_json::{Map, Value};

use crate::domain::error::Invalid;
use crate::domain::sign_in::SignIn;
use crate::http::fields::{Fields, bounded};
use crate::http::problem::FieldError;
use crate::json;

/// Most types of content, and most categories.
const MAX_LISTED: usize = 20;

/// A tenant's settings, as they hold.
#[derive(Debug, Clone, PartialEq)]
pub struct TenantSettings {
    /// Whether content is published without anybody's doing.
    pub auto_publish: bool,
    /// The types of content that are made.
    pub content_types: Vec<String>,
    /// The categories of content that names none.
    pub default_categories: Vec<String>,
    /// Whether content is made ready for search engines.
    pub seo_optimization: bool,
    /// Templates of the tenant's own, by name; kept as given.
    pub custom_templates: Map<String, Value>,
    /// Whether a workflow waits for approval.
    pub workflow_approval: bool,
    /// Who may register, and with which passwords.
    pub sign_in: SignIn,
}

impl TenantSettings {
    /// Reads settings: as they hold, and what is wrong with them.
    pub fn read(settings: &Map<String, Value>) -> (Self, Vec<FieldError>) {
        let (sign_in, faults) = SignIn::read(settings);
        let mut fields = Fields::new(settings.clone());
        for (path, invalid) in faults {
            fields.wrong::<()>(&path, invalid);
        }
        for name in ["registration", "password_policy"] {
            fields.take(name);
        }
        let texts = |default: &str| vec![default.to_owned()];
        let read = Self {
            auto_publish: fields.flag("auto_publish").unwrap_or(false),
            content_types: fields
                .list("content_types", MAX_LISTED, parse_content_type)
                .unwrap_or_else(|| texts("blog_post")),
            default_categories: fields
                .list("default_categories", MAX_LISTED, |text| bounded(text, 100))
                .unwrap_or_else(|| texts("Blog")),
            seo_optimization: fields.flag("seo_optimization").unwrap_or(true),
            custom_templates: fields.object("custom_templates", usize::MAX).unwrap_or_default(),
            workflow_approval: fields.flag("workflow_approval").unwrap_or(false),
            sign_in,
        };
        (read, fields.into_errors())
    }

    /// Every setting with the value that holds.
    pub fn to_view(&self) -> Value {
        json!({
            "auto_publish": self.auto_publish,
            "content_types": self.content_types,
            "default_categories": self.default_categories,
            "seo_optimization": self.seo_optimization,
            "custom_templates": self.custom_templates,
            "workflow_approval": self.workflow_approval,
            "registration": self.sign_in.registration,
            "password_policy": self.sign_in.passwords,
        })
    }
}

fn parse_content_type(text: &str) -> Result<String, Invalid> {
    let fits = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.len() <= 63
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'));
    if fits {
        return Ok(text.to_owned());
    }
    Err(Invalid::new("invalid_name", "must be 1 to 63 lower-case letters, digits, _ and -, a letter first"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sign_in::Registration;
    use serde_json::json;

    fn read(settings: Value) -> (TenantSettings, Vec<String>) {
        let (read, errors) = TenantSettings::read(settings.as_object().unwrap());
        (read, errors.into_iter().map(|error| error.pointer).collect())
    }

    #[test]
    fn whoever_says_nothing_has_the_defaults() {
        let (read_empty, faults) = read(json!({}));
        assert_eq!(faults, [""; 0]);
        let policy = json!({"min_length": 10, "require_digit": false, "require_upper": false, "require_symbol": false,
            "forbid_email": false});
        let defaults = json!({"auto_publish": false, "content_types": ["blog_post"], "default_categories": ["Blog"],
            "seo_optimization": true, "custom_templates": {}, "workflow_approval": false, "registration": "closed",
            "password_policy": policy});
        assert_eq!(read_empty.to_view(), defaults);
        let nulls: Map<String, Value> =
            defaults.as_object().unwrap().keys().map(|name| (name.clone(), Value::Null)).collect();
        assert_eq!(read(Value::Object(nulls)), (read_empty.clone(), vec![]));
        assert_eq!(read(defaults), (read_empty, vec![]));
    }

    #[test]
    fn what_is_set_holds() {
        let (read, faults) = read(json!({"auto_publish": true, "content_types": [], "default_categories": ["Grün"],
            "seo_optimization": false, "custom_templates": {"a": [1]}, "workflow_approval": true,
            "registration": "open", "password_policy": {"min_length": 12}}));
        assert_eq!(faults, [""; 0]);
        assert!(read.auto_publish && !read.seo_optimization && read.workflow_approval);
        assert_eq!((read.content_types.len(), read.default_categories), (0, vec!["Grün".to_owned()]));
        assert_eq!(read.custom_templates.get("a"), Some(&json!([1])));
        assert_eq!((read.sign_in.registration, read.sign_in.passwords.min_length), (Registration::Open, 12));
    }

    #[test]
    fn what_is_wrong_is_named_and_has_its_default() {
        let (defaults, _) = read(json!({}));
        let many = vec!["a"; MAX_LISTED + 1];
        let (read, mut faults) = read(json!({"auto_publish": 1, "content_types": ["ok", "Not Ok", 3],
            "default_categories": many, "seo_optimization": "yes", "custom_templates": [], "workflow_approval": {},
            "registration": "ajar", "password_policy": {"min_length": 1, "a/b": 1}, "theme": "dark", "x/y": null}));
        faults.sort();
        let expected = [
            "/auto_publish",
            "/content_types/1",
            "/content_types/2",
            "/custom_templates",
            "/default_categories",
            "/password_policy/a~1b",
            "/password_policy/min_length",
            "/registration",
            "/seo_optimization",
            "/theme",
            "/workflow_approval",
            "/x~1y",
        ];
        assert_eq!(faults, expected);
        assert_eq!(read, defaults);
    }
}
