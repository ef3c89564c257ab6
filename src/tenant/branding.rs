//! A tenant's branding: its name, its pictures, and the CSS custom properties of its pages.
//!
//! Invariants
//! - It is public, so it contains nothing that was not set as branding.
//! - What is served passed today's checks, even if an older version stored it.

use serde_json::{Map, Value};

use crate::http::fields::Fields;
use crate::http::problem::FieldError;
use domain::css;
use domain::error::Invalid;
use domain::host::Host;
use domain::json;
use domain::pointer::escape;
use domain::text::bounded;
use domain::uri::has_whole_escapes;

/// Most custom properties.
const MAX_VARIABLES: usize = 50;

/// A tenant's branding.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Branding {
    /// The tenant's name for people.
    pub name: Option<String>,
    /// Its logo.
    pub logo_url: Option<String>,
    /// Its icon.
    pub favicon_url: Option<String>,
    /// CSS custom properties with their values, in the tenant's order.
    pub variables: Vec<(String, String)>,
}

impl Branding {
    /// Reads stored branding, leaving out what is wrong, and lists the mistakes.
    pub fn read(branding: &Map<String, Value>) -> (Self, Vec<FieldError>) {
        let mut fields = Fields::new(branding.clone());
        let read = Self {
            name: fields.text("name", 200),
            logo_url: fields.parsed("logo_url", parse_url),
            favicon_url: fields.parsed("favicon_url", parse_url),
            variables: read_variables(&mut fields),
        };
        (read, fields.into_errors())
    }

    /// As JSON; what was not set is null.
    pub fn to_view(&self) -> Value {
        let variables: Map<String, Value> =
            self.variables.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        json!({
            "name": self.name,
            "logo_url": self.logo_url,
            "favicon_url": self.favicon_url,
            "variables": variables,
        })
    }

    /// The custom properties as a style sheet.
    pub fn to_css(&self) -> String {
        let mut sheet = ":root{".to_owned();
        for (name, value) in &self.variables {
            for part in [name.as_str(), ":", value.as_str(), ";"] {
                sheet.push_str(part);
            }
        }
        sheet.push_str("}\n");
        sheet
    }
}

fn read_variables(fields: &mut Fields) -> Vec<(String, String)> {
    let given = fields.object("variables", usize::MAX).unwrap_or_default();
    if given.len() > MAX_VARIABLES {
        let message = format!("must have at most {MAX_VARIABLES} entries");
        fields.wrong::<()>("variables", Invalid::new("too_many", message));
        return Vec::new();
    }
    let mut variables = Vec::with_capacity(given.len());
    for (name, value) in given {
        match css::check_name(&name).and_then(|()| read_value(&value)) {
            Ok(value) => variables.push((name, value)),
            Err(invalid) => drop(fields.wrong::<()>(&format!("variables/{}", escape(&name)), invalid)),
        }
    }
    variables
}

fn read_value(value: &Value) -> Result<String, Invalid> {
    let value = value.as_str().ok_or_else(|| Invalid::new("not_text", "must be a string"))?;
    css::check_value(value).map(|()| value.to_owned())
}

/// An https URL, or a path on the tenant's own host.
fn parse_url(text: &str) -> Result<String, Invalid> {
    let invalid =
        || Invalid::new("invalid_url", "must be an https URL without credentials, or a path that begins with /");
    let text = bounded(text, 2000).map_err(|_| invalid())?;
    if !has_whole_escapes(&text) || !text.bytes().all(|b| b.is_ascii_graphic() && !b"\"'<>\\`{}|^".contains(&b)) {
        return Err(invalid());
    }
    let fits = match text.strip_prefix("https://") {
        Some(rest) => rest.split(['/', '?', '#']).next().is_some_and(|authority| Host::parse(authority).is_ok()),
        None => text.starts_with('/') && !text.starts_with("//"),
    };
    if fits { Ok(text) } else { Err(invalid()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(branding: Value) -> (Branding, Vec<String>) {
        let (read, errors) = Branding::read(branding.as_object().unwrap());
        (read, errors.into_iter().map(|error| error.pointer).collect())
    }

    #[test]
    fn whoever_says_nothing_has_none() {
        let (read, faults) = read(json!({}));
        assert_eq!((&read, faults.len()), (&Branding::default(), 0));
        assert_eq!(read.to_view(), json!({"name": null, "logo_url": null, "favicon_url": null, "variables": {}}));
        assert_eq!(read.to_css(), ":root{}\n");
    }

    #[test]
    fn what_is_set_is_shown_and_makes_a_style_sheet() {
        let branding = json!({"name": "Acme", "logo_url": "https://cdn.example/logo.svg?v=1", "favicon_url": "/icon.png",
            "variables": {"--primary": "#aabbcc", "--font": "Inter, \"Segoe UI\""}});
        let (read, faults) = read(branding.clone());
        assert_eq!(faults, [""; 0]);
        assert_eq!(read.to_view(), branding);
        assert_eq!(read.to_css(), ":root{--primary:#aabbcc;--font:Inter, \"Segoe UI\";}\n");
    }

    #[test]
    fn what_is_wrong_is_named_and_not_served() {
        let branding = json!({"name": "", "logo_url": "http://a.test/", "favicon_url": 1, "colour": "#fff",
            "variables": {"--ok": "red", "color": "red", "--a/b": "red", "--evil": "red;}", "--number": 1}});
        let (read, faults) = read(branding);
        let expected = [
            "/name",
            "/logo_url",
            "/favicon_url",
            "/variables/color",
            "/variables/--a~1b",
            "/variables/--evil",
            "/variables/--number",
            "/colour",
        ];
        assert_eq!(faults, expected);
        assert_eq!(read.to_css(), ":root{--ok:red;}\n");
    }

    #[test]
    fn custom_properties_are_bounded() {
        let variables = |count: usize| (0..count).map(|n| (format!("--v{n}"), json!("1px"))).collect::<Map<_, _>>();
        assert_eq!(read(json!({"variables": variables(50)})).1, [""; 0]);
        let (many, faults) = read(json!({"variables": variables(51)}));
        assert_eq!((many.variables.len(), faults), (0, vec!["/variables".to_owned()]));
    }

    #[test]
    fn pictures_come_over_https_or_from_the_tenants_own_host() {
        for url in ["https://a.test", "https://a.test:8443/x?y#z", "/", "/logo.svg", "/a/../b"] {
            assert!(parse_url(url).is_ok(), "{url}");
        }
        for url in [
            "",
            "http://a.test/",
            "//a.test/x",
            "/\\a.test",
            "javascript:alert(1)",
            "data:image/svg+xml,x",
            "https://",
            "https://user@a.test/",
            "https://a b/",
            "HTTPS://a.test/",
            "logo.svg",
            "/a b",
            "/\"onload=x",
            "/<svg>",
            "https://a.test/\u{e9}",
        ] {
            assert!(parse_url(url).is_err(), "{url}");
        }
    }
}
