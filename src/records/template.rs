//! Templates: collections that ship with the platform, as data (`templates/*.json`).
//!
//! A template is a list of collections as a tenant would send them. A collection comes after those that it refers to, so
//! they can be created in order. Collections of the same name in two templates are equal.

use serde_json::{Map, Value};

macro_rules! shipped {
    ($($name:literal),* $(,)?) => { [$(($name, include_str!(concat!("templates/", $name, ".json")))),*] };
}

/// Every template's name and text.
const SHIPPED: [(&str, &str); 12] = shipped![
    "deployments",
    "workflows",
    "leads",
    "campaigns",
    "agents",
    "conversations",
    "content",
    "media",
    "plugins",
    "support_tickets",
    "blog",
    "newsroom",
];

/// Collections that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// Its name in the API.
    pub name: &'static str,
    /// One sentence.
    pub description: String,
    /// The collections, as bodies of the API.
    pub collections: Vec<Map<String, Value>>,
}

impl Template {
    /// Every template that ships.
    pub fn all() -> impl Iterator<Item = Self> {
        SHIPPED.into_iter().filter_map(|(name, text)| Self::read(name, text))
    }

    /// The names of all templates.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SHIPPED.into_iter().map(|(name, _)| name)
    }

    /// The template of this name.
    pub fn find(name: &str) -> Option<Self> {
        let (name, text) = SHIPPED.into_iter().find(|(shipped, _)| *shipped == name)?;
        Self::read(name, text)
    }

    fn read(name: &'static str, text: &str) -> Option<Self> {
        let Value::Object(mut written) = serde_json::from_str(text).ok()? else {
            return None;
        };
        let (Value::String(description), Value::Array(collections)) =
            (written.remove("description")?, written.remove("collections")?)
        else {
            return None;
        };
        let collections = collections.into_iter().filter_map(|collection| match collection {
            Value::Object(collection) => Some(collection),
            _ => None,
        });
        Some(Self { name, description, collections: collections.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::names;
    use crate::records::schema::Schema;
    use crate::records::statuses::Statuses;
    use serde_json::json;
    use std::collections::HashMap;

    /// Every collection of every template, with its template's name.
    fn collections() -> Vec<(&'static str, Map<String, Value>)> {
        let of =
            |template: Template| template.collections.into_iter().map(move |collection| (template.name, collection));
        Template::all().flat_map(of).collect()
    }

    fn schema(collection: &Map<String, Value>) -> Schema {
        Schema::parse(&collection["schema"]).unwrap_or_else(|errors| panic!("{}: {errors:?}", collection["slug"]))
    }

    fn statuses(collection: &Map<String, Value>) -> Option<Statuses> {
        Statuses::parse(&collection["statuses"]).unwrap_or_else(|errors| panic!("{}: {errors:?}", collection["slug"]))
    }

    #[test]
    fn every_template_is_whole() {
        assert_eq!(
            Template::all().map(|template| template.name).collect::<Vec<_>>(),
            Template::names().collect::<Vec<_>>()
        );
        for (name, text) in SHIPPED {
            let written: Value = serde_json::from_str(text).unwrap();
            let members: Vec<_> = written.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(members, ["name", "description", "collections"], "{name}");
            assert_eq!(written["name"], name);
            let template = Template::find(name).unwrap();
            assert!(!template.description.is_empty() && !template.collections.is_empty());
            assert_eq!(template.collections.len(), written["collections"].as_array().unwrap().len());
        }
        assert_eq!(Template::find("no-such"), None);
    }

    #[test]
    fn every_collection_can_be_made() {
        for (template, collection) in collections() {
            let slug = collection["slug"].as_str().unwrap();
            names::collection_slug(slug).unwrap();
            schema(&collection);
            statuses(&collection);
            for member in ["name", "description"] {
                assert!(collection[member].as_str().is_some_and(|text| !text.is_empty()), "{slug}: {member}");
            }
            for switch in ["versioned", "soft_delete", "live", "public_read", "files"] {
                assert!(collection[switch].is_boolean(), "{slug}: {switch}");
            }
            let known = [
                "slug",
                "name",
                "description",
                "schema",
                "statuses",
                "versioned",
                "soft_delete",
                "live",
                "public_read",
                "files",
                "alias",
            ];
            assert!(collection.keys().all(|member| known.contains(&member.as_str())), "{slug}");
            let of_seed_four = ["leads", "campaigns", "agents", "conversations"].contains(&template);
            assert_eq!(collection.get("alias").and_then(Value::as_str), of_seed_four.then_some("client_id"), "{slug}");
        }
    }

    #[test]
    fn references_lead_to_what_was_made_before() {
        for template in Template::all() {
            let mut made = Vec::new();
            for collection in &template.collections {
                made.push(collection["slug"].as_str().unwrap().to_owned());
                for field in schema(collection).fields() {
                    if let Some(target) = &field.reference {
                        assert!(made.contains(target), "{}: {} of {made:?}", template.name, field.name);
                    }
                }
            }
        }
    }

    #[test]
    fn collections_of_one_name_are_the_same() {
        let mut known: HashMap<String, Map<String, Value>> = HashMap::new();
        for (template, collection) in collections() {
            let slug = collection["slug"].as_str().unwrap().to_owned();
            let before = known.entry(slug).or_insert_with(|| collection.clone());
            assert_eq!(*before, collection, "{template}");
        }
    }

    #[test]
    fn every_text_has_its_bound() {
        fn bounded(schema: &Value, at: &str) {
            let types = &schema["type"];
            let is = |wanted: &str| types == wanted || types.as_array().is_some_and(|all| all.contains(&wanted.into()));
            let short = matches!(schema["format"].as_str(), Some("date-time" | "date" | "uuid"));
            let named = ["maxLength", "enum", "reference"].iter().any(|keyword| schema.get(keyword).is_some());
            assert!(!is("string") || short || named, "{at}");
            assert!(!is("array") || schema.get("maxItems").is_some(), "{at}");
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                bounded(property, &format!("{at}/{name}"));
            }
            // The elements of a list of references are ids.
            if let (Some(items), None) = (schema.get("items"), schema.get("reference")) {
                bounded(items, &format!("{at}/items"));
            }
        }
        for (template, collection) in collections() {
            bounded(&collection["schema"], template);
        }
    }

    #[test]
    fn what_is_public_is_chosen_by_name() {
        let public = collections().into_iter().filter(|(_, collection)| collection["public_read"] == true);
        let slugs: Vec<_> = public.map(|(_, collection)| collection["slug"].clone()).collect();
        assert_eq!(slugs, ["authors", "categories", "posts"]);
    }

    /// A template, its collection, fields that must be there (`!` required, `*` indexed), statuses, switches that are on.
    type Known<'a> = (&'a str, &'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str]);

    #[test]
    fn each_resource_has_the_fields_it_is_known_by() {
        let table: [Known; 16] = [
            (
                "deployments",
                "deployments",
                &["project_name!*", "url"],
                &["pending", "active", "failed", "archived"],
                &[],
            ),
            (
                "workflows",
                "workflows",
                &["name!*", "config", "uuid*", "user_id*", "approval*"],
                &["active"],
                &["versioned"],
            ),
            ("leads", "leads", &["first_name", "last_name*", "email*"], &["new", "converted"], &[]),
            ("campaigns", "campaigns", &["name!*"], &["draft", "active"], &[]),
            ("agents", "agents", &["name!*"], &["active"], &[]),
            ("conversations", "conversations", &["lead_id*", "agent_id*", "messages"], &["active", "closed"], &[]),
            (
                "content",
                "content",
                &["title!*", "slug*", "content_type*", "data"],
                &["draft", "published"],
                &["versioned"],
            ),
            ("media", "media", &["title*", "alt", "folder*"], &[], &["files"]),
            (
                "plugins",
                "plugins",
                &["name!*", "config", "permissions*", "health*"],
                &["active", "inactive", "error"],
                &[],
            ),
            ("plugins", "plugin_data", &["plugin_id!*", "key!*", "value"], &[], &[]),
            ("support_tickets", "support_tickets", &["subject!", "priority*"], &["open", "resolved", "closed"], &[]),
            ("blog", "posts", &["title!*", "slug*", "body", "author*", "categories*"], &[], &["public_read", "live"]),
            ("blog", "authors", &["name!*"], &[], &["public_read"]),
            ("blog", "categories", &["name!*", "parent*"], &[], &["public_read"]),
            (
                "newsroom",
                "articles",
                &["headline!*", "desk*", "tags*"],
                &["draft", "review", "scheduled", "published", "archived"],
                &["versioned"],
            ),
            ("newsroom", "desks", &["name!*"], &[], &[]),
        ];
        for (template, slug, fields, words, switches) in table {
            let template = Template::find(template).unwrap();
            let collection = template.collections.iter().find(|collection| collection["slug"] == slug).unwrap();
            let schema = schema(collection);
            for marked in fields {
                let field =
                    schema.field(marked.trim_end_matches(['!', '*'])).unwrap_or_else(|| panic!("{slug}: {marked}"));
                assert_eq!(field.required, marked.contains('!'), "{slug}: {marked}");
                assert_eq!(field.is_indexed, marked.contains('*'), "{slug}: {marked}");
            }
            match statuses(collection) {
                Some(statuses) => assert!(words.iter().all(|word| statuses.contains(word)), "{slug}"),
                None => assert!(words.is_empty(), "{slug}"),
            }
            assert!(switches.iter().all(|switch| collection[*switch] == true), "{slug}");
        }
    }

    #[test]
    fn defaults_are_those_that_are_told() {
        let filled = |template: &str, mut data: Value| {
            let template = Template::find(template).unwrap();
            let data = data.as_object_mut().unwrap();
            assert_eq!(schema(&template.collections[0]).check(data), []);
            Value::Object(data.clone())
        };
        assert_eq!(filled("deployments", json!({"project_name": "site"})), json!({"project_name": "site"}));
        assert_eq!(filled("workflows", json!({"name": "a"})), json!({"name": "a", "approval": "not_required"}));
        assert_eq!(filled("content", json!({"title": "a"})), json!({"title": "a", "content_type": "blog_post"}));
        let plugin = json!({"name": "seo", "config": {}, "permissions": [], "health": "unknown"});
        assert_eq!(filled("plugins", json!({"name": "seo"})), plugin);
        let lead = json!({"first_name": "Ann", "last_name": null, "email": "ann@example.com"});
        assert_eq!(filled("leads", lead.clone()), lead);
    }
}
