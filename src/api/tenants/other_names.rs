//! What of a tenant has two names, and what of it nobody sets: a body may hold all that was shown.
//!
//! | shown as | is | and is set by |
//! |---|---|---|
//! | `id` | `tenant_id` | a new tenant's body |
//! | `name` | `display_name` | either name |
//! | `subdomain` | `slug` | either name |
//! | `domain` | the first of `custom_domains` that is served | either name |
//! | `active` | whether `status` is `active` | either name |
//! | `storage_quota` | `limits.max_storage_bytes`, in bytes | it, or `rate_limits.max_storage_bytes` |
//! | `user_limit` | `limits.max_users` | it, or `rate_limits.max_users` |
//!
//! Invariants
//! - One truth: a body is brought to the names on the right before it is read, so nothing else knows the others.
//! - Of two names that say different things, the one that differs from what is shown counts; if both do, the body
//!   contradicts itself.
//! - What was read and is sent back changes nothing, and sets nothing that was not set before.

use serde_json::{Map, Value};

use crate::http::fields::take_read_only;
use crate::http::problem::{self, FieldError, Problem};
use domain::error::Invalid;

/// Fields of one value each: another name, and the name.
const NAMES: [(&str, &str); 3] = [("id", "tenant_id"), ("name", "display_name"), ("subdomain", "slug")];
/// Limits that are shown beside `limits`: their name there, and in `rate_limits`.
const LIMITS: [(&str, &str); 2] = [("storage_quota", "max_storage_bytes"), ("user_limit", "max_users")];
/// What is shown and set by nobody.
const READ_ONLY: [&str; 6] = ["host", "pending_domains", "limits", "created_at", "updated_at", "revision"];

/// The names under which a body held what is now in it.
#[derive(Debug, Default)]
pub struct SentNames {
    /// JSON pointers: of the field, and of what was sent.
    pointers: Vec<(String, String)>,
}

impl SentNames {
    /// A problem that names what was sent.
    pub fn of(&self, mut problem: Problem) -> Problem {
        for error in &mut problem.errors {
            if let Some((_, sent)) = self.pointers.iter().find(|(field, _)| *field == error.pointer) {
                error.pointer.clone_from(sent);
            }
        }
        problem
    }

    fn note(&mut self, field: String, sent: &str) {
        self.pointers.push((field, format!("/{sent}")));
    }
}

/// Brings a body to one name for each thing, and takes out what only repeats what is shown and cannot be set. `shown` is
/// the tenant as it is shown; empty for a new one. 422 names what cannot be.
pub fn resolve(object: &mut Map<String, Value>, shown: &Map<String, Value>) -> Result<SentNames, Problem> {
    let (mut names, mut errors) = (SentNames::default(), Vec::new());
    take_unset(object, shown, &mut errors);
    for (other, name) in NAMES {
        resolve_name(object, shown, (other, name), &mut names, &mut errors);
    }
    for (other, limit) in LIMITS {
        resolve_limit(object, shown, (other, limit), &mut names, &mut errors);
    }
    resolve_status(object, shown, &mut names, &mut errors);
    resolve_domain(object, shown, &mut names, &mut errors);
    if errors.is_empty() { Ok(names) } else { Err(problem::validation_failed(errors)) }
}

/// Takes out of a body of PUT what would set anew what was only shown: flags of the plan.
pub fn keep_unset(object: &mut Map<String, Value>, shown: &Map<String, Value>, own_features: &Map<String, Value>) {
    if object.get("features").is_some_and(|sent| shown.get("features") == Some(sent)) {
        object.insert("features".into(), Value::Object(own_features.clone()));
    }
}

/// Takes out of a merge patch what repeats what is shown: it changes nothing.
pub fn keep_unchanged(patch: &mut Map<String, Value>, shown: &Map<String, Value>) {
    // A list of domains alone says that no other one is claimed either.
    patch.retain(|name, sent| name == "custom_domains" || shown.get(name) != Some(sent));
}

fn take_unset(object: &mut Map<String, Value>, shown: &Map<String, Value>, errors: &mut Vec<FieldError>) {
    if shown.is_empty() {
        return;
    }
    // Domains that are sent with those that wait for their proof are what was read; without these, they are all there are.
    let is_as_shown = |name: &str| object.get(name).is_some_and(|sent| shown.get(name) == Some(sent));
    if is_as_shown("custom_domains") && is_as_shown("pending_domains") {
        object.remove("custom_domains");
    }
    // Whether a change is still on its way says nothing of the tenant.
    object.remove("pending");
    errors.extend(take_read_only(object, &Value::Object(shown.clone()), &READ_ONLY));
    // What became of the tenant by itself, or by DELETE, is no status to set.
    if object.get("status").is_some_and(|sent| shown.get("status") == Some(sent) && !is_settable(sent)) {
        object.remove("status");
    }
}

fn is_settable(status: &Value) -> bool {
    matches!(status.as_str(), Some("active" | "suspended"))
}

fn resolve_name(
    object: &mut Map<String, Value>,
    shown: &Map<String, Value>,
    (other, name): (&str, &str),
    names: &mut SentNames,
    errors: &mut Vec<FieldError>,
) {
    let Some(sent) = object.remove(other) else { return };
    if let Some(own) = object.get(name).filter(|own| !own.is_null()) {
        if *own == sent || sent.is_null() || shown.get(other) == Some(&sent) {
            return;
        }
        if shown.get(name) != Some(own) {
            errors.push(contradiction(other, name));
            return;
        }
    }
    names.note(format!("/{name}"), other);
    object.insert(name.to_owned(), sent);
}

fn resolve_limit(
    object: &mut Map<String, Value>,
    shown: &Map<String, Value>,
    (other, limit): (&str, &str),
    names: &mut SentNames,
    errors: &mut Vec<FieldError>,
) {
    let Some(sent) = object.remove(other) else { return };
    let stored = shown.get("rate_limits").and_then(|limits| limits.get(limit));
    if shown.get(other) == Some(&sent) && (object.contains_key("rate_limits") || stored.is_none()) {
        return;
    }
    let limits = object.entry("rate_limits").or_insert_with(|| Value::Object(Map::new()));
    // What is no object is reported where it is read.
    let Value::Object(limits) = limits else { return };
    if limits.get(limit).is_some_and(|own| *own != sent && stored != Some(own)) {
        errors.push(contradiction(other, &format!("rate_limits/{limit}")));
        return;
    }
    names.note(format!("/rate_limits/{limit}"), other);
    limits.insert(limit.to_owned(), sent);
}

fn resolve_status(
    object: &mut Map<String, Value>,
    shown: &Map<String, Value>,
    names: &mut SentNames,
    errors: &mut Vec<FieldError>,
) {
    let Some(sent) = object.remove("active").filter(|sent| !sent.is_null()) else { return };
    let Some(is_active) = sent.as_bool() else {
        errors.push(FieldError::new("/active", Invalid::new("not_a_flag", "must be true or false")));
        return;
    };
    if shown.get("active") == Some(&sent) {
        return;
    }
    let status = Value::from(if is_active { "active" } else { "suspended" });
    let own = object.get("status").filter(|own| !own.is_null());
    if own.is_some_and(|own| *own != status && shown.get("status") != Some(own)) {
        errors.push(contradiction("active", "status"));
        return;
    }
    names.note("/status".into(), "active");
    object.insert("status".into(), status);
}

fn resolve_domain(
    object: &mut Map<String, Value>,
    shown: &Map<String, Value>,
    names: &mut SentNames,
    errors: &mut Vec<FieldError>,
) {
    let Some(sent) = object.remove("domain") else { return };
    if sent == *shown.get("domain").unwrap_or(&Value::Null) {
        return;
    }
    if sent.is_null() {
        let invalid = Invalid::new("read_only", "follows from custom_domains: leave out there what is to go");
        errors.push(FieldError::new("/domain", invalid));
        return;
    }
    let list = |name: &str| shown.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut others = match object.get("custom_domains") {
        Some(Value::Array(sent)) => sent.clone(),
        None | Some(Value::Null) => [list("custom_domains"), list("pending_domains")].concat(),
        // What is no list is reported where it is read.
        Some(_) => return,
    };
    others.retain(|other| *other != sent);
    for place in 1..=others.len() {
        names.pointers.push((format!("/custom_domains/{place}"), format!("/custom_domains/{}", place - 1)));
    }
    names.note("/custom_domains/0".into(), "domain");
    others.insert(0, sent);
    object.insert("custom_domains".into(), Value::Array(others));
}

fn contradiction(other: &str, name: &str) -> FieldError {
    let message = format!("must say the same as the field {name}, or only one of them be another than it was read as");
    FieldError::new(format!("/{other}"), Invalid::new("contradiction", message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn shown() -> Map<String, Value> {
        object(json!({
            "id": "acme", "tenant_id": "acme", "name": "Acme", "display_name": "Acme", "subdomain": "acme", "slug": "acme",
            "domain": "a.example", "custom_domains": ["a.example", "b.example"], "pending_domains": ["c.example"],
            "active": true, "status": "active", "storage_quota": 1000, "user_limit": 5, "rate_limits": {"max_users": 5},
            "limits": {"max_users": 5, "max_storage_bytes": 1000}, "features": {"sso_enabled": false}, "revision": 3,
        }))
    }

    fn resolved(sent: Value) -> Result<Value, Vec<String>> {
        let mut body = object(sent);
        let outcome = resolve(&mut body, &shown());
        outcome.map(|_| Value::Object(body)).map_err(|p| p.errors.iter().map(|e| e.pointer.clone()).collect())
    }

    #[test]
    fn what_was_read_sets_nothing_that_was_not_set() {
        let mut body = shown();
        resolve(&mut body, &shown()).unwrap();
        keep_unset(&mut body, &shown(), &Map::new());
        let expected = json!({"tenant_id": "acme", "display_name": "Acme", "slug": "acme", "status": "active",
            "rate_limits": {"max_users": 5}, "features": {}});
        assert_eq!(Value::Object(body), expected);
    }

    #[test]
    fn the_name_that_differs_from_what_is_shown_counts() {
        for (sent, expected) in [
            (json!({"name": "New"}), json!({"display_name": "New"})),
            (json!({"name": "New", "display_name": "Acme"}), json!({"display_name": "New"})),
            (json!({"name": "Acme", "display_name": "New"}), json!({"display_name": "New"})),
            (json!({"name": null}), json!({"display_name": null})),
            (json!({"subdomain": "x", "id": "acme"}), json!({"slug": "x", "tenant_id": "acme"})),
            (json!({"active": false}), json!({"status": "suspended"})),
            (json!({"active": false, "status": "active"}), json!({"status": "suspended"})),
            (json!({"active": true, "status": "suspended"}), json!({"status": "suspended"})),
            (json!({"storage_quota": 1000}), json!({})),
            (json!({"storage_quota": 7}), json!({"rate_limits": {"max_storage_bytes": 7}})),
            (json!({"user_limit": 5}), json!({"rate_limits": {"max_users": 5}})),
            (json!({"user_limit": 5, "rate_limits": {}}), json!({"rate_limits": {}})),
            (json!({"user_limit": 6, "rate_limits": {"max_users": 5}}), json!({"rate_limits": {"max_users": 6}})),
            (json!({"domain": "b.example"}), json!({"custom_domains": ["b.example", "a.example", "c.example"]})),
            (json!({"domain": "d.example", "custom_domains": []}), json!({"custom_domains": ["d.example"]})),
            (json!({"domain": "a.example"}), json!({})),
            (json!({"pending": true, "revision": 3}), json!({})),
        ] {
            assert_eq!(resolved(sent.clone()), Ok(expected), "{sent}");
        }
        for (sent, pointer) in [
            (json!({"name": "One", "display_name": "Two"}), "/name"),
            (json!({"active": false, "status": "deleted"}), "/active"),
            (json!({"active": "yes"}), "/active"),
            (json!({"user_limit": 6, "rate_limits": {"max_users": 7}}), "/user_limit"),
            (json!({"domain": null}), "/domain"),
            (json!({"revision": 4}), "/revision"),
            (json!({"limits": {}}), "/limits"),
        ] {
            assert_eq!(resolved(sent.clone()), Err(vec![pointer.to_owned()]), "{sent}");
        }
    }

    #[test]
    fn mistakes_name_what_was_sent() {
        let mut body = object(json!({"domain": "x", "custom_domains": ["y"], "name": 7}));
        let names = resolve(&mut body, &Map::new()).unwrap();
        let error = |pointer: &str| FieldError::new(pointer, Invalid::new("x", "x"));
        let all = ["/display_name", "/custom_domains/0", "/custom_domains/1", "/slug"].map(error).to_vec();
        let told = names.of(problem::validation_failed(all));
        let pointers: Vec<_> = told.errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/name", "/domain", "/custom_domains/0", "/slug"]);
    }
}
