//! Reads bodies field by field, and reports all mistakes at once, each with its JSON pointer.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::problem::{self, FieldError, Problem};
use domain::error::Invalid;
use domain::json::whole;
use domain::pointer::escape;
use domain::text::bounded;

/// A JSON object that is being read. What was not read in the end is an unknown field.
pub struct Fields {
    object: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    pub fn new(object: Map<String, Value>) -> Self {
        Self { object, errors: Vec::new() }
    }

    /// Takes a field out; none if it is absent or `null`.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.object.remove(name).filter(|value| !value.is_null())
    }

    /// Whether the field was sent at all, `null` included.
    pub fn has(&self, name: &str) -> bool {
        self.object.contains_key(name)
    }

    /// Takes out members that are shown and that nobody sets: each may be sent back as it is shown.
    pub fn read_only(&mut self, shown: &Value, names: &[&str]) {
        self.errors.extend(take_read_only(&mut self.object, shown, names));
    }

    /// Reads a string with a parser.
    pub fn parsed<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, Invalid>) -> Option<T> {
        match self.take(name)? {
            Value::String(text) => match parse(&text) {
                Ok(value) => Some(value),
                Err(invalid) => self.wrong(name, invalid),
            },
            _ => self.wrong(name, Invalid::new("not_text", "must be a string")),
        }
    }

    /// Reads a string of 1 to `max` bytes.
    pub fn text(&mut self, name: &str, max: usize) -> Option<String> {
        self.parsed(name, |text| bounded(text, max))
    }

    /// Reads a string of at most `max` bytes, which may be empty.
    pub fn text_or_none(&mut self, name: &str, max: usize) -> Option<String> {
        self.parsed(name, |text| if text.is_empty() { Ok(String::new()) } else { bounded(text, max) })
    }

    /// Reads a field, and notes that it is missing if it is.
    pub fn required<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.require(name);
        read(self)
    }

    /// Notes that a field is missing, if it is.
    pub fn require(&mut self, name: &str) {
        if self.object.get(name).is_none_or(Value::is_null) {
            self.object.remove(name);
            self.wrong::<()>(name, Invalid::new("required", "is required"));
        }
    }

    /// Reads a list of at most `max` strings with a parser.
    pub fn list<T>(&mut self, name: &str, max: usize, parse: impl Fn(&str) -> Result<T, Invalid>) -> Option<Vec<T>> {
        let Value::Array(items) = self.take(name)? else {
            return self.wrong(name, Invalid::new("not_a_list", "must be an array"));
        };
        if items.len() > max {
            return self.wrong(name, Invalid::new("too_many", format!("must have at most {max} entries")));
        }
        let before = self.errors.len();
        let mut read = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            let parsed = item.as_str().ok_or_else(|| Invalid::new("not_text", "must be a string")).and_then(&parse);
            match parsed {
                Ok(value) => read.push(value),
                Err(invalid) => self.errors.push(FieldError::new(format!("/{name}/{i}"), invalid)),
            }
        }
        (self.errors.len() == before).then_some(read)
    }

    /// Reads a boolean.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        match self.take(name)? {
            Value::Bool(flag) => Some(flag),
            _ => self.wrong(name, Invalid::new("not_a_flag", "must be true or false")),
        }
    }

    /// Reads a whole number within a range; `5.0` is one too, as in JSON Schema.
    pub fn number(&mut self, name: &str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        match whole(&self.take(name)?).filter(|n| range.contains(n)) {
            Some(number) => Some(number),
            None => {
                let message = format!("must be a whole number from {} to {}", range.start(), range.end());
                self.wrong(name, Invalid::new("invalid_number", message))
            }
        }
    }

    /// Reads any object of at most `max_bytes` of JSON.
    pub fn object(&mut self, name: &str, max_bytes: usize) -> Option<Map<String, Value>> {
        match self.take(name)? {
            Value::Object(object) => {
                let size = serde_json::to_string(&object).map_or(usize::MAX, |json| json.len());
                if size > max_bytes {
                    return self
                        .wrong(name, Invalid::new("too_long", format!("must be at most {max_bytes} bytes of JSON")));
                }
                Some(object)
            }
            _ => self.wrong(name, Invalid::new("not_an_object", "must be an object")),
        }
    }

    /// Reads an object into a type; each of its fields is checked on its own.
    pub fn typed<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let Value::Object(object) = self.take(name)? else {
            return self.wrong(name, Invalid::new("not_an_object", "must be an object"));
        };
        let before = self.errors.len();
        for (key, value) in &object {
            let single = Map::from_iter([(key.clone(), value.clone())]);
            if let Err(error) = shaped::<T>(&single) {
                let pointer = format!("/{name}/{}", escape(key));
                self.errors.push(FieldError::new(pointer, Invalid::new("invalid_value", shape_error(&error))));
            }
        }
        if self.errors.len() > before {
            return None;
        }
        shaped(&object).ok()
    }

    /// Notes that a field is wrong.
    pub fn wrong<T>(&mut self, name: &str, invalid: Invalid) -> Option<T> {
        self.errors.push(FieldError::new(format!("/{name}"), invalid));
        None
    }

    /// Notes what is wrong inside a field; the pointers are relative to it.
    pub fn wrong_inside(&mut self, name: &str, errors: Vec<FieldError>) {
        let inside = |error: FieldError| FieldError { pointer: format!("/{name}{}", error.pointer), ..error };
        self.errors.extend(errors.into_iter().map(inside));
    }

    /// Ends reading, and gives what was read: `value` is none only if a field that it needs is missing or wrong, and was
    /// noted. 422 with every mistake and every unknown field.
    pub fn finish_with<T>(self, value: Option<T>) -> Result<T, Problem> {
        self.finish()?;
        value.ok_or_else(|| problem::internal("a field was neither read nor noted as wrong"))
    }

    /// Ends reading, where every field is optional. 422 with every mistake and every unknown field.
    pub fn finish(self) -> Result<(), Problem> {
        let errors = self.into_errors();
        if errors.is_empty() { Ok(()) } else { Err(problem::validation_failed(errors)) }
    }

    /// Ends reading, and gives every mistake and every unknown field.
    pub fn into_errors(mut self) -> Vec<FieldError> {
        for name in self.object.keys() {
            let invalid = Invalid::new("unknown_field", "is not a known field of this body");
            self.errors.push(FieldError::new(format!("/{}", escape(name)), invalid));
        }
        self.errors
    }
}

/// Takes out of a body the members that are shown and that nobody sets, and gives an error for each that is not as it is
/// shown.
pub fn take_read_only(object: &mut Map<String, Value>, shown: &Value, names: &[&str]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for name in names {
        if object.remove(*name).is_some_and(|sent| shown.get(name) != Some(&sent)) {
            let message = "is set by the platform and cannot be changed; it is not what it was read as";
            errors.push(FieldError::new(format!("/{name}"), Invalid::new("read_only", message)));
        }
    }
    errors
}

/// Goes through text, because the Wasm contains the reader from text of every type anyway.
fn shaped<T: DeserializeOwned>(object: &Map<String, Value>) -> Result<T, serde_json::Error> {
    serde_json::from_str(&serde_json::to_string(object)?)
}

/// serde's error without the value and its position.
fn shape_error(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(said, _)| said);
    if text.starts_with("unknown field") {
        return "is not a known field of this object".into();
    }
    match text.split_once("expected ") {
        Some((_, expected)) => format!("must be {expected}"),
        None => "is not valid".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::plan::Overrides;

    fn fields(json: serde_json::Value) -> Fields {
        Fields::new(json.as_object().unwrap().clone())
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let mut body = fields(serde_json::json!({"name": 1, "list": ["a", 2], "odd": true, "a/b": 1,
            "limits": {"max_webhooks_per_minute": -2, "nope": 1}}));
        assert_eq!(body.text("name", 10), None);
        body.list("list", 5, |t| Ok::<_, Invalid>(t.to_owned()));
        body.typed::<Overrides>("limits");
        body.required("missing", |f| f.text("missing", 5));
        let problem = body.finish().unwrap_err();
        let pointers: Vec<_> = problem.errors.iter().map(|e| e.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            ["/name", "/list/1", "/limits/max_webhooks_per_minute", "/limits/nope", "/missing", "/odd", "/a~1b"]
        );
    }

    #[test]
    fn whole_numbers_may_have_a_point() {
        for (json, read) in [("5", Some(5)), ("5.0", Some(5)), ("5e0", Some(5)), ("5.5", None), ("1e300", None)] {
            let mut body = fields(serde_json::from_str(&format!("{{\"n\": {json}}}")).unwrap());
            assert_eq!(body.number("n", 0..=10), read, "{json}");
        }
    }

    #[test]
    fn what_nobody_sets_may_be_sent_as_it_is_shown() {
        let shown = serde_json::json!({"id": "a", "at": null, "made": 1});
        let mut body = fields(serde_json::json!({"id": "a", "at": null, "made": 2, "odd": 1}));
        body.read_only(&shown, &["id", "at", "made", "absent"]);
        let pointers: Vec<_> = body.into_errors().into_iter().map(|error| (error.pointer, error.code)).collect();
        assert_eq!(pointers, [("/made".into(), "read_only"), ("/odd".into(), "unknown_field")]);
    }

    #[test]
    fn null_is_absent_but_seen() {
        let mut body = fields(serde_json::json!({"name": null}));
        assert!(body.has("name"));
        assert_eq!(body.text("name", 5), None);
        assert!(body.finish().is_ok());
    }
}
