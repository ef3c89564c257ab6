//! The notation that contracts are written in, and the JSON Schema (2020-12) that it stands for.
//!
//! | notation | stands for |
//! |---|---|
//! | `string`, `int`, `number`, `bool`, `any`, `null`, `true`, `false` | the type, or the one value |
//! | `text` | a string without control characters |
//! | `time` | a string, RFC 3339 |
//! | `string(1..200)`, `int(0..)` | bounds: of a length, of a value |
//! | `string/^[a-z]+$/` | a pattern; it ends in `$/` |
//! | `'a'\|'b'` | one of these strings |
//! | `T[]`, `T[](1..100)` | a list, and how many |
//! | `T?` | or null |
//! | `A\|B`, `(A\|B)[]` | one of them |
//! | `{a: T, b?: T, c??: T}` | an object; `b` may be left out, `c` may be null as well |
//! | `{*: T}` | an object of any names |
//! | `{...User, key: string, ...}` | with the members of another one; further members are welcome |
//! | `User` | the schema of that name |
//! | `T <note>` | a note for readers: the `description` of a schema, a member or a parameter |
//!
//! An object has no further members unless it says so.

/// Finds the text of a named schema, whose members `...Name` takes over.
pub type Find = fn(&str) -> Option<&'static str>;

/// The rest of a text that is being read. What cannot be read yields `None`; a test of the table reads every text.
struct Notation<'t> {
    rest: &'t str,
    find: Find,
}

/// A member of an object, or a parameter.
pub struct NamedSchema<'t> {
    /// Its name.
    pub name: &'t str,
    /// Whether it must be present.
    pub is_required: bool,
    /// Its JSON Schema; none for a name alone.
    pub schema: Option<String>,
    /// What readers should know of it; may be empty.
    pub note: &'t str,
}

/// The JSON Schema, as JSON, that a whole text stands for.
pub fn schema(text: &str, find: Find) -> Option<String> {
    let mut notation = Notation { rest: text, find };
    let schema = notation.union()?;
    let note = notation.note()?;
    notation.is_over().then(|| described(schema, note))
}

/// The members that a whole text lists, without braces.
pub fn members(text: &str, find: Find) -> Option<Vec<NamedSchema<'_>>> {
    let mut notation = Notation { rest: text, find };
    let mut members = Vec::new();
    while !notation.is_over() {
        members.push(notation.member()?);
        if !notation.eat(",") {
            break;
        }
    }
    notation.is_over().then_some(members)
}

/// A text as JSON. The constants that documents are made of hold no control characters.
pub fn quoted(text: &str) -> String {
    ["\"", &text.replace('\\', "\\\\").replace('"', "\\\""), "\""].concat()
}

/// An object that is being read.
#[derive(Default)]
struct ObjectSchema {
    properties: Vec<String>,
    required: Vec<String>,
    /// The schema of further members; none where they are welcome.
    further: Option<String>,
}

impl<'t> Notation<'t> {
    fn is_over(&mut self) -> bool {
        self.rest = self.rest.trim_start();
        self.rest.is_empty()
    }

    fn eat(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Takes everything up to a mark, and the mark.
    fn until(&mut self, mark: &str) -> Option<&'t str> {
        let (text, rest) = self.rest.split_once(mark)?;
        self.rest = rest;
        Some(text)
    }

    /// A note, if one follows.
    fn note(&mut self) -> Option<&'t str> {
        if self.eat("<") { self.until(">") } else { Some("") }
    }

    fn word(&mut self) -> &'t str {
        let rest = self.rest.trim_start();
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))).unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        word
    }

    fn union(&mut self) -> Option<String> {
        let mut schemas = vec![self.postfix()?];
        while self.eat("|") {
            schemas.push(self.postfix()?);
        }
        if schemas.len() == 1 {
            return schemas.pop();
        }
        let words: Vec<&str> = schemas.iter().filter_map(|schema| literal(schema)).collect();
        if words.len() == schemas.len() {
            return Some(["{\"type\":\"string\",\"enum\":[", &words.join(","), "]}"].concat());
        }
        Some(["{\"anyOf\":[", &schemas.join(","), "]}"].concat())
    }

    fn postfix(&mut self) -> Option<String> {
        let mut schema = self.atom()?;
        loop {
            if self.eat("[]") {
                schema =
                    ["{\"type\":\"array\",\"items\":", &schema, &self.bounds("minItems", "maxItems")?, "}"].concat();
            } else if self.eat("?") {
                schema = or_null(schema);
            } else {
                return Some(schema);
            }
        }
    }

    fn atom(&mut self) -> Option<String> {
        if self.eat("'") {
            return Some(["{\"const\":", &quoted(self.until("'")?), "}"].concat());
        }
        if self.eat("(") {
            let schema = self.union()?;
            return self.eat(")").then_some(schema);
        }
        if self.eat("{") {
            return self.object();
        }
        let word = self.word();
        let plain = match word {
            "any" => "{}",
            "true" => "{\"const\":true}",
            "false" => "{\"const\":false}",
            "null" => "{\"type\":\"null\"}",
            "bool" => "{\"type\":\"boolean\"}",
            "number" => "{\"type\":\"number\"}",
            "time" => "{\"type\":\"string\",\"format\":\"date-time\"}",
            "int" => return Some(["{\"type\":\"integer\"", &self.bounds("minimum", "maximum")?, "}"].concat()),
            "text" => {
                let bounds = self.bounds("minLength", "maxLength")?;
                let pattern = ",\"pattern\":\"^[^\\\\u0000-\\\\u001f\\\\u007f-\\\\u009f]*$\"}";
                return Some(["{\"type\":\"string\"", &bounds, pattern].concat());
            }
            "string" => {
                let bounds = self.bounds("minLength", "maxLength")?;
                let pattern = match self.eat("/") {
                    true => [",\"pattern\":", &quoted(&[self.until("$/")?, "$"].concat())].concat(),
                    false => String::new(),
                };
                return Some(["{\"type\":\"string\"", &bounds, &pattern, "}"].concat());
            }
            name if name.starts_with(|c: char| c.is_ascii_uppercase()) => return Some(reference("schemas", name)),
            _ => return None,
        };
        Some(plain.to_owned())
    }

    /// `(least..most)`, either left out, as the members that say so.
    fn bounds(&mut self, least: &str, most: &str) -> Option<String> {
        let mut bounds = String::new();
        if self.eat("(") {
            let (from, to) = self.until(")")?.split_once("..")?;
            for (name, bound) in [(least, from), (most, to)] {
                if !bound.is_empty() {
                    bound.parse::<i64>().ok()?;
                    bounds.push_str(&[",\"", name, "\":", bound].concat());
                }
            }
        }
        Some(bounds)
    }

    fn object(&mut self) -> Option<String> {
        let mut object = ObjectSchema { further: Some("false".to_owned()), ..ObjectSchema::default() };
        self.fill(&mut object)?;
        let mut schema = "{\"type\":\"object\"".to_owned();
        if !object.properties.is_empty() {
            schema.push_str(&[",\"properties\":{", &object.properties.join(","), "}"].concat());
        }
        if !object.required.is_empty() {
            schema.push_str(&[",\"required\":[", &object.required.join(","), "]"].concat());
        }
        if let Some(further) = object.further {
            schema.push_str(&[",\"additionalProperties\":", &further].concat());
        }
        schema.push('}');
        Some(schema)
    }

    /// Reads members up to the end of the braces.
    fn fill(&mut self, object: &mut ObjectSchema) -> Option<()> {
        while !self.eat("}") {
            if self.eat("...") {
                match self.word() {
                    "" => object.further = None,
                    name => {
                        let rest = (self.find)(name)?.strip_prefix('{')?;
                        Notation { rest, find: self.find }.fill(object)?;
                    }
                }
            } else if self.eat("*:") {
                object.further = Some(self.union()?);
            } else {
                let member = self.member()?;
                let name = quoted(member.name);
                object.properties.retain(|known| !known.starts_with(&name));
                object.properties.push([&name, ":", &described(member.schema?, member.note)].concat());
                if member.is_required {
                    object.required.push(name);
                }
            }
            if !self.eat(",") && !self.rest.trim_start().starts_with('}') {
                return None;
            }
        }
        Some(())
    }

    fn member(&mut self) -> Option<NamedSchema<'t>> {
        let name = self.word();
        let may_be_null = self.eat("??");
        let is_required = !may_be_null && !self.eat("?");
        if name.is_empty() {
            return None;
        }
        if !self.eat(":") {
            return Some(NamedSchema { name, is_required, schema: None, note: self.note()? });
        }
        let schema = self.union()?;
        let schema = if may_be_null { or_null(schema) } else { schema };
        Some(NamedSchema { name, is_required, schema: Some(schema), note: self.note()? })
    }
}

/// A schema, or a reference, with a note as its description.
pub fn described(schema: String, note: &str) -> String {
    match schema.strip_suffix('}').filter(|_| !note.is_empty()) {
        Some("{") => ["{\"description\":", &quoted(note), "}"].concat(),
        Some(members) => [members, ",\"description\":", &quoted(note), "}"].concat(),
        None => schema,
    }
}

/// A reference to a component.
pub fn reference(kind: &str, name: &str) -> String {
    ["{\"$ref\":\"#/components/", kind, "/", name, "\"}"].concat()
}

/// The word of a schema that is one.
fn literal(schema: &str) -> Option<&str> {
    schema.strip_prefix("{\"const\":")?.strip_suffix('}').filter(|word| word.starts_with('"'))
}

/// The schema, or null.
fn or_null(schema: String) -> String {
    let typed = schema.strip_prefix("{\"type\":\"").and_then(|rest| rest.split_once('"'));
    let Some((kind, rest)) = typed else {
        return if schema == "{}" { schema } else { ["{\"anyOf\":[", &schema, ",{\"type\":\"null\"}]}"].concat() };
    };
    let (rest, end) = match rest.strip_suffix("]}").filter(|rest| rest.starts_with(",\"enum\"")) {
        Some(words) => (words, ",null]}"),
        None => (rest, ""),
    };
    ["{\"type\":[\"", kind, "\",\"null\"]", rest, end].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn find(name: &str) -> Option<&'static str> {
        (name == "User").then_some("{id: string, name?: text(..5)}")
    }

    fn read(text: &str) -> Value {
        let schema = schema(text, find).unwrap_or_else(|| panic!("{text}"));
        serde_json::from_str(&schema).unwrap_or_else(|_| panic!("{schema}"))
    }

    #[test]
    fn every_form_has_its_schema() {
        for (text, expected) in [
            ("any", json!({})),
            ("int(1..200)", json!({"type": "integer", "minimum": 1, "maximum": 200})),
            ("string(..5)?", json!({"type": ["string", "null"], "maxLength": 5})),
            ("string/^[a-z|/]{1,2}$/", json!({"type": "string", "pattern": "^[a-z|/]{1,2}$"})),
            ("'a'|'b'", json!({"type": "string", "enum": ["a", "b"]})),
            ("('a'|'b')?", json!({"type": ["string", "null"], "enum": ["a", "b", null]})),
            ("'a'", json!({"const": "a"})),
            ("int[](1..)", json!({"type": "array", "items": {"type": "integer"}, "minItems": 1})),
            (
                "(User|null)[]",
                json!({"type": "array", "items": {"anyOf": [
                {"$ref": "#/components/schemas/User"}, {"type": "null"}]}}),
            ),
            ("User?", json!({"anyOf": [{"$ref": "#/components/schemas/User"}, {"type": "null"}]})),
            ("{}", json!({"type": "object", "additionalProperties": false})),
            ("{...}", json!({"type": "object"})),
            ("{*: bool}", json!({"type": "object", "additionalProperties": {"type": "boolean"}})),
            (
                "{a: true, b?: int, c??: int,}",
                json!({"type": "object", "required": ["a"], "properties": {
                "a": {"const": true}, "b": {"type": "integer"}, "c": {"type": ["integer", "null"]}},
                "additionalProperties": false}),
            ),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn members_are_taken_over() {
        let own = read("{...User, key: string}");
        assert_eq!(own["required"], json!(["id", "key"]));
        assert_eq!(own["properties"]["name"]["maxLength"], 5);
        assert_eq!(schema("{...Nobody}", find), None);
    }

    #[test]
    fn parameters_are_members_without_braces() {
        let read = members("limit, q?: text(..9), If-Match", find).unwrap();
        let names: Vec<_> = read.iter().map(|m| (m.name, m.is_required, m.schema.is_some())).collect();
        assert_eq!(names, [("limit", true, false), ("q", false, true), ("If-Match", true, false)]);
    }

    #[test]
    fn a_note_is_a_description() {
        let user = json!({"$ref": "#/components/schemas/User", "description": "who; \"it\" is"});
        assert_eq!(read("User <who; \"it\" is>"), user);
        let expected = json!({"type": "object", "required": ["a"], "additionalProperties": false, "properties": {
            "a": {"description": "anything"}, "b": {"type": ["integer", "null"], "minimum": 1, "description": "seconds"}}});
        assert_eq!(read("{a: any <anything>, b??: int(1..) <seconds>}"), expected);
        let shared = members("limit <rows>, q?: text <in a name>", find).unwrap();
        assert_eq!(shared.iter().map(|member| member.note).collect::<Vec<_>>(), ["rows", "in a name"]);
        assert!(!shared[1].schema.as_deref().unwrap().contains("description"), "a parameter has its own");
        for bad in ["User <open", "User <a> b", "{a: int <open}", "<alone>"] {
            assert_eq!(schema(bad, find), None, "{bad}");
        }
    }

    #[test]
    fn what_is_no_notation_is_none() {
        for bad in ["", "strin", "{a}", "{a: int", "int(1)", "int(a..)", "'a", "int]", "{a: int b: int}", "[]", "|int"]
        {
            assert_eq!(schema(bad, find), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "[a-zU'?{}()|:,./ *<>0-9\\[\\]]{0,60}") {
            if let Some(schema) = schema(&text, find) {
                prop_assert!(serde_json::from_str::<Value>(&schema).is_ok(), "{}", schema);
            }
            let _ = members(&text, find);
        }
    }
}
