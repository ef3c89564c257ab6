//! A collection's statuses and the transitions between them.

use serde_json::{Map, Value};

use super::faults::{JsonPointer, ValidationErrors};
use super::names;
use crate::http::problem::FieldError;
use domain::error::Invalid;

/// Most statuses of a collection.
const MAX_STATUSES: usize = 50;

/// `{"initial": "draft", "transitions": {"draft": ["published"], …}}`: every name in it is a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses {
    initial: String,
    /// Every status, in the order of first mention, with those that may follow it.
    steps: Vec<(String, Vec<String>)>,
}

impl Statuses {
    /// Reads a collection's `statuses`; none for null. Pointers of errors are relative to it.
    pub fn parse(written: &Value) -> Result<Option<Self>, Vec<FieldError>> {
        let mut faults = ValidationErrors::default();
        match written {
            Value::Null => return Ok(None),
            Value::Object(members) => {
                if let (Some(statuses), true) = (read(members, &mut faults), faults.is_empty()) {
                    return Ok(Some(statuses));
                }
            }
            _ => wrong(&mut faults, &JsonPointer::Root, "wrong_type", "must be an object or null"),
        }
        Err(faults.into_errors())
    }

    /// The status of a new record without one.
    pub fn initial(&self) -> &str {
        &self.initial
    }

    /// All statuses, the initial one first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(|(name, _)| name.as_str())
    }

    /// Whether this is a status of the collection.
    pub fn contains(&self, status: &str) -> bool {
        self.names().any(|name| name == status)
    }

    /// The refusal of what is no status of the collection: `wanted`, and those that are.
    pub fn unknown(&self, wanted: &str) -> Invalid {
        let names = self.names().collect::<Vec<_>>().join(", ");
        Invalid::new("unknown_status", format!("{wanted} of this collection: {names}"))
    }

    /// Whether a record may change from one status to another. It may always keep its status, and change from a status
    /// that the collection no longer has to any other.
    pub fn allows(&self, from: &str, to: &str) -> bool {
        from == to || self.contains(to) && (!self.contains(from) || self.targets(from).any(|target| target == to))
    }

    /// The statuses that may follow one.
    pub fn targets(&self, from: &str) -> impl Iterator<Item = &str> {
        let step = self.steps.iter().find(|(name, _)| name == from);
        step.into_iter().flat_map(|(_, targets)| targets.iter().map(String::as_str))
    }

    /// The targets of a status, which is added if this is its first mention.
    fn step(&mut self, name: &str) -> Option<&mut Vec<String>> {
        if !self.contains(name) {
            self.steps.push((name.to_owned(), Vec::new()));
        }
        self.steps.iter_mut().find(|(known, _)| known == name).map(|(_, targets)| targets)
    }
}

fn read(members: &Map<String, Value>, faults: &mut ValidationErrors) -> Option<Statuses> {
    for name in members.keys().filter(|name| !matches!(name.as_str(), "initial" | "transitions")) {
        wrong(faults, &JsonPointer::Root.name(name), "unknown_field", "is not a field of this object");
    }
    let initial = match members.get("initial") {
        None => {
            wrong(faults, &JsonPointer::Root.name("initial"), "required", "is required");
            None
        }
        Some(initial) => status(initial, &JsonPointer::Root.name("initial"), faults),
    };
    let mut statuses = Statuses { initial: initial.unwrap_or_default().to_owned(), steps: Vec::new() };
    statuses.step(initial.unwrap_or_default());
    let at = JsonPointer::Root.name("transitions");
    match members.get("transitions") {
        None => {}
        Some(Value::Object(transitions)) => read_transitions(&mut statuses, transitions, &at, faults),
        Some(_) => wrong(faults, &at, "wrong_type", "must be an object"),
    }
    if faults.is_empty() && statuses.steps.len() > MAX_STATUSES {
        too_many(faults, &at);
    }
    Some(statuses)
}

fn read_transitions(
    statuses: &mut Statuses,
    written: &Map<String, Value>,
    at: &JsonPointer<'_>,
    faults: &mut ValidationErrors,
) {
    if written.len() > MAX_STATUSES {
        return too_many(faults, at);
    }
    for (from, targets) in written {
        let at = at.name(from);
        if faults.check(&at, names::status(from)).is_none() {
            continue;
        }
        statuses.step(from);
        let Value::Array(targets) = targets else {
            wrong(faults, &at, "wrong_type", "must be a list of statuses");
            continue;
        };
        if targets.len() > MAX_STATUSES {
            return too_many(faults, &at);
        }
        for (i, target) in targets.iter().enumerate() {
            let Some(target) = status(target, &at.index(i), faults) else {
                continue;
            };
            statuses.step(target);
            if let Some(known) = statuses.step(from).filter(|known| known.iter().all(|known| known != target)) {
                known.push(target.to_owned());
            }
        }
    }
}

fn status<'w>(written: &'w Value, at: &JsonPointer<'_>, faults: &mut ValidationErrors) -> Option<&'w str> {
    let Value::String(name) = written else {
        wrong(faults, at, "wrong_type", "must be a string");
        return None;
    };
    faults.check(at, names::status(name)).map(|()| name.as_str())
}

fn wrong(faults: &mut ValidationErrors, at: &JsonPointer<'_>, code: &'static str, message: &'static str) {
    faults.add(at, Invalid::new(code, message));
}

fn too_many(faults: &mut ValidationErrors, at: &JsonPointer<'_>) {
    faults.add(at, Invalid::new("too_many", format!("must be at most {MAX_STATUSES} statuses")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn parse(written: Value) -> Statuses {
        Statuses::parse(&written).unwrap().unwrap()
    }

    fn refused(written: Value) -> Vec<String> {
        let errors = Statuses::parse(&written).unwrap_err();
        errors.iter().map(|error| format!("{} {}", error.pointer, error.code)).collect()
    }

    #[test]
    fn a_vocabulary_is_every_name_in_it() {
        let statuses = parse(json!({"initial": "pending",
            "transitions": {"active": ["archived"], "pending": ["active", "failed", "active"]}}));
        assert_eq!(statuses.initial(), "pending");
        assert_eq!(statuses.names().collect::<Vec<_>>(), ["pending", "active", "archived", "failed"]);
        assert_eq!(statuses.targets("pending").collect::<Vec<_>>(), ["active", "failed"]);
        assert!(statuses.contains("failed") && !statuses.contains("done"));
        assert_eq!(parse(json!({"initial": "new"})).names().collect::<Vec<_>>(), ["new"]);
        assert_eq!(Statuses::parse(&Value::Null), Ok(None));
    }

    #[test]
    fn a_record_goes_where_its_status_lets_it() {
        let statuses = parse(json!({"initial": "draft", "transitions": {"draft": ["published"]}}));
        for (from, to, allowed) in [
            ("draft", "published", true),
            ("draft", "draft", true),
            ("published", "published", true),
            ("published", "draft", false),
            ("draft", "gone", false),
            ("gone", "gone", true),
            ("gone", "published", true),
            ("gone", "elsewhere", false),
        ] {
            assert_eq!(statuses.allows(from, to), allowed, "{from} to {to}");
        }
    }

    #[test]
    fn mistakes_are_named_at_once() {
        assert_eq!(refused(json!("draft")), [" wrong_type"]);
        assert_eq!(refused(json!({})), ["/initial required"]);
        let wrong = json!({"initial": "Draft", "final": "x", "transitions": {"a": ["b", "B", 1], "b": "a", "C": []}});
        assert_eq!(
            refused(wrong),
            [
                "/final unknown_field",
                "/initial invalid_status",
                "/transitions/a/1 invalid_status",
                "/transitions/a/2 wrong_type",
                "/transitions/b wrong_type",
                "/transitions/C invalid_status"
            ]
        );
        assert_eq!(refused(json!({"initial": "a", "transitions": ["a"]})), ["/transitions wrong_type"]);
    }

    #[test]
    fn a_vocabulary_has_at_most_fifty_names() {
        let of = |count: usize| {
            let transitions: Map<String, Value> = (1..count).map(|i| (format!("s{i}"), json!(["s0"]))).collect();
            json!({"initial": "s0", "transitions": transitions})
        };
        assert_eq!(parse(of(50)).names().count(), 50);
        assert_eq!(refused(of(51)), ["/transitions too_many"]);
        assert_eq!(refused(json!({"initial": "a", "transitions": {"a": vec!["b"; 51]}})), ["/transitions/a too_many"]);
    }

    proptest! {
        #[test]
        fn nothing_breaks_the_parser(initial in "[a-c]", steps in prop::collection::vec(("[a-e]|\\PC", prop::collection::vec("[a-e]", 0..4)), 0..6)) {
            let transitions: Map<String, Value> = steps.into_iter().map(|(from, to)| (from, json!(to))).collect();
            if let Ok(Some(statuses)) = Statuses::parse(&json!({"initial": initial, "transitions": transitions.clone()})) {
                for (from, targets) in &transitions {
                    for target in targets.as_array().unwrap() {
                        prop_assert!(statuses.allows(from, target.as_str().unwrap()));
                    }
                }
                for name in statuses.names() {
                    prop_assert!(statuses.targets(name).all(|target| statuses.contains(target)));
                }
            }
        }
    }
}
