//! What filters compare a collection's fields with: each literal as records store such values, or why it cannot be one.
//!
//! Invariants
//! - Lists and streams read their filters by this, so that a list and its stream take the same filters and show the same
//!   records.
//! - What is canonical stays as it is when it is read again, and equal filters have equal texts.

use serde_json::{Number, Value};

use super::collection::Collection;
use super::schema::{FieldKind, Format};
use super::statuses::Statuses;
use domain::clock::Timestamp;
use domain::error::Invalid;
use domain::filter::{Comparison, ComparisonOperator, Filter, Literal};

/// The same filter with each literal as it is stored. It is refused if it names what is no field of the collection, or
/// compares a field with what none of its values can be.
pub fn canonical(collection: &Collection, filter: Filter) -> Result<Filter, Invalid> {
    filter.try_map(&mut |comparison| typed(collection, comparison))
}

/// The same of one comparison.
pub fn typed(collection: &Collection, comparison: Comparison) -> Result<Comparison, Invalid> {
    use ComparisonOperator::{Contains, Equal, NotContains, NotEqual};
    let kind = LiteralKind::of(collection, &comparison.field)?;
    let Comparison { field, operator, value } = comparison;
    let value = match operator {
        Contains | NotContains => kind.searched(&field, value)?,
        Equal | NotEqual => {
            let value = kind.compared(&field, Comparing::Equality, value)?;
            listed(collection, &field, &value)?;
            value
        }
        _ => kind.compared(&field, Comparing::Order, value)?,
    };
    Ok(Comparison { field, operator, value })
}

/// Reads an RFC 3339 time, or a date as its first millisecond.
pub fn parse_time(text: &str) -> Option<Timestamp> {
    let whole = Timestamp::parse_rfc3339(text);
    let time = whole.or_else(|_| Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z"))).ok();
    // Beyond the years of four digits, the order of texts is not that of times.
    time.filter(|time| Format::DateTime.read(&time.to_string()).is_ok())
}

/// The refusal of a name that is no field.
pub fn unknown(name: &str) -> Invalid {
    Invalid::new("unknown_field", format!("`{name}` is not a field of this collection"))
}

/// What of two values is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparing {
    Equality,
    Order,
}

/// What a field is compared with.
#[derive(Debug, Clone, Copy)]
enum LiteralKind<'a> {
    Text,
    Status(&'a Statuses),
    /// A string of a format, in the format's one spelling.
    Formatted(Format),
    /// A time, or a date as its first millisecond.
    Time,
    Number,
    Flag,
}

impl<'a> LiteralKind<'a> {
    fn of(collection: &'a Collection, name: &str) -> Result<Self, Invalid> {
        match name {
            "id" | "created_by" | "updated_by" => return Ok(Self::Text),
            "version" => return Ok(Self::Number),
            "created_at" | "updated_at" => return Ok(Self::Time),
            "status" => return collection.statuses.as_ref().map(Self::Status).ok_or_else(|| unknown(name)),
            _ => {}
        }
        let field = collection.schema.field(name).ok_or_else(|| unknown(name))?;
        match (field.kind.compared(), field.format) {
            (FieldKind::Text, Some(Format::DateTime)) => Ok(Self::Time),
            (FieldKind::Text, Some(format)) => Ok(Self::Formatted(format)),
            (FieldKind::Text, None) => Ok(Self::Text),
            (FieldKind::Number | FieldKind::Integer, _) => Ok(Self::Number),
            (FieldKind::Flag, _) => Ok(Self::Flag),
            (FieldKind::List(_) | FieldKind::Object, _) => {
                Err(Invalid::new("not_comparable", format!("`{name}` is an object and cannot be compared")))
            }
        }
    }

    /// What is looked for in a field's texts: any text.
    fn searched(self, field: &str, value: Literal) -> Result<Literal, Invalid> {
        match (self, &value) {
            (Self::Time | Self::Number | Self::Flag, _) => Err(Invalid::new(
                "not_a_text",
                format!("`{field}` is not a string field: only strings can be searched with ~ and !~"),
            )),
            (Self::Text | Self::Status(_) | Self::Formatted(_), Literal::Text(_)) => Ok(value),
            (Self::Text | Self::Status(_) | Self::Formatted(_), _) => Err(self.mismatch(field)),
        }
    }

    fn compared(self, field: &str, comparing: Comparing, value: Literal) -> Result<Literal, Invalid> {
        match (self, &value) {
            (_, Literal::Null)
            | (Self::Number, Literal::Integer(_) | Literal::Real(_))
            | (Self::Flag, Literal::Flag(_))
            | (Self::Text, Literal::Text(_)) => Ok(value),
            (Self::Status(statuses), Literal::Text(text)) => {
                let is_known = comparing == Comparing::Order || statuses.contains(text);
                if is_known { Ok(value) } else { Err(of_field(field, statuses.unknown("must be one of the statuses"))) }
            }
            (Self::Formatted(format), Literal::Text(text)) => match format.read(text) {
                Ok(kept) => Ok(Literal::Text(kept.into_owned())),
                // A beginning of addresses is a bound of them.
                Err(_) if comparing == Comparing::Order && matches!(format, Format::Email | Format::Uri) => Ok(value),
                Err(invalid) => Err(of_field(field, invalid)),
            },
            (Self::Time, Literal::Text(text)) => match parse_time(text) {
                Some(time) => Ok(Literal::Text(time.to_string())),
                None => Err(self.mismatch(field)),
            },
            _ => Err(self.mismatch(field)),
        }
    }

    fn mismatch(self, field: &str) -> Invalid {
        let wanted = match self {
            Self::Text | Self::Status(_) | Self::Formatted(_) => "a string in quotes",
            Self::Time => "a date or an RFC 3339 time",
            Self::Number => "a number",
            Self::Flag => "true or false",
        };
        Invalid::new("wrong_type", format!("`{field}` must be compared with {wanted}"))
    }
}

/// Refuses what is not among the values that a field's schema lists, if it lists any.
fn listed(collection: &Collection, field: &str, value: &Literal) -> Result<(), Invalid> {
    let value = match value {
        Literal::Null => return Ok(()),
        Literal::Flag(flag) => Value::Bool(*flag),
        Literal::Integer(number) => Value::from(*number),
        Literal::Real(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
        Literal::Text(text) => Value::from(text.as_str()),
    };
    collection.schema.check_listed(field, &value).map_err(|invalid| of_field(field, invalid))
}

/// A refusal of a value as that of what a field is compared with.
fn of_field(field: &str, invalid: Invalid) -> Invalid {
    Invalid::new(invalid.code, format!("what `{field}` is compared with {}", invalid.message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::definition::Definition;
    use domain::json;

    fn collection() -> Collection {
        let texts = |format: &str| json!({ "type": "array", "items": { "type": "string", "format": format } });
        let body = json!({
            "slug": "things",
            "statuses": { "initial": "draft", "transitions": { "draft": ["done"] } },
            "alias": "client_id",
            "schema": { "type": "object", "properties": {
                "at": { "type": "string", "format": "date-time" }, "times": texts("date-time"),
                "day": { "type": ["string", "null"], "format": "date" }, "days": texts("date"),
                "email": { "type": "string", "format": "email" }, "mails": texts("email"),
                "link": { "type": "string", "format": "uri" },
                "uuid": { "type": "string", "format": "uuid" },
                "name": { "type": "string" }, "score": { "type": "number" }, "done": { "type": "boolean" },
                "meta": { "type": "object" },
                "size": { "type": "string", "enum": ["s", "m"] },
                "sizes": { "type": "array", "items": { "type": "string", "enum": ["s", "m"] } },
                "level": { "type": ["number", "null"], "enum": [1, 2.5, null] },
                "kind": { "type": "string", "const": "thing" },
                "since": { "type": "string", "format": "date-time", "enum": ["2027-01-01T01:00:00+01:00"] },
            } },
        });
        let body = body.as_object().unwrap().clone();
        Collection::fresh(Definition::read(body).unwrap(), None, 0).unwrap()
    }

    fn read(collection: &Collection, filter: &str) -> Result<String, Invalid> {
        let filter = Filter::parse(filter).unwrap_or_else(|invalid| panic!("{filter}: {invalid}"));
        canonical(collection, filter).map(|filter| filter.to_string())
    }

    #[test]
    fn a_literal_is_what_records_store() {
        let collection = collection();
        for (filter, stored) in [
            ("at >= '2027-01-01T00:30:00+01:00'", r#"at>="2026-12-31T23:30:00.000Z""#),
            ("at = '2027-01-01T00:00:00Z'", r#"at="2027-01-01T00:00:00.000Z""#),
            (
                "at = '2027-01-01' || times < '2027-01-01'",
                r#"at="2027-01-01T00:00:00.000Z"||times<"2027-01-01T00:00:00.000Z""#,
            ),
            ("created_at <= '2027-01-01t00:00:00z'", r#"created_at<="2027-01-01T00:00:00.000Z""#),
            ("updated_at != null", "updated_at!=null"),
            ("since = '2027-01-01'", r#"since="2027-01-01T00:00:00.000Z""#),
            ("email = 'x@bücher.example'", r#"email="x@xn--bcher-kva.example""#),
            ("mails != 'x@bücher.example'", r#"mails!="x@xn--bcher-kva.example""#),
            ("email >= 'x@bücher.example' && email < 'y'", r#"email>="x@xn--bcher-kva.example"&&email<"y""#),
            ("email ~ '@bücher' && day ~ '2027-' && uuid !~ 'zzz'", r#"email~"@bücher"&&day~"2027-"&&uuid!~"zzz""#),
            ("day = '2027-02-28' && days >= '2027-03-01'", r#"day="2027-02-28"&&days>="2027-03-01""#),
            ("day = null && size != null && status = null", "day=null&&size!=null&&status=null"),
            ("link = 'https://a.example' && link < 'https'", r#"link="https://a.example"&&link<"https""#),
            ("status = 'draft' && status < 'z' && status ~ 'x'", r#"status="draft"&&status<"z"&&status~"x""#),
            ("size = 's' && sizes != 'm' && size > 'a' && size ~ 'xl'", r#"size="s"&&sizes!="m"&&size>"a"&&size~"xl""#),
            ("level = 1.0 && level = 25e-1 && level < 9", "level=1.0&&level=2.5&&level<9"),
            ("name = '' && score > 0.5 && done != true && version = 1", r#"name=""&&score>0.5&&done!=true&&version=1"#),
        ] {
            let read_once = read(&collection, filter).unwrap_or_else(|invalid| panic!("{filter}: {invalid}"));
            assert_eq!(read_once, stored, "{filter}");
            assert_eq!(read(&collection, stored).unwrap(), stored, "again");
        }
    }

    #[test]
    fn what_no_value_of_a_field_can_be_is_refused_with_what_would_be_right() {
        let collection = collection();
        for (filter, code, says) in [
            ("nothing = 1", "unknown_field", "`nothing` is not a field"),
            ("client_id = 'a'", "unknown_field", "`client_id`"),
            ("tenant_id = 'a'", "unknown_field", "`tenant_id`"),
            ("deleted_at = null", "unknown_field", "`deleted_at`"),
            ("score = '3'", "wrong_type", "a number"),
            ("done = 1", "wrong_type", "true or false"),
            ("name = 1", "wrong_type", "a string in quotes"),
            ("at > 'soon'", "wrong_type", "a date or an RFC 3339 time"),
            ("at < '9999-12-31T23:59:59-01:00'", "wrong_type", "a date or an RFC 3339 time"),
            ("at ~ '2027'", "not_a_text", "`at`"),
            ("meta = null", "not_comparable", "`meta`"),
            ("name = 'a' || (score > 1 && meta = null)", "not_comparable", "`meta`"),
            ("status = 'nope'", "unknown_status", "draft, done"),
            ("status != 'nope'", "unknown_status", "draft, done"),
            ("day = '2027-02-30'", "invalid_format", "a date, such as 2027-01-31"),
            ("day != '2027-1-1'", "invalid_format", "what `day` is compared with must be a date"),
            ("day < 'zzz'", "invalid_format", "a date"),
            ("days = '2027-01-01T00:00:00Z'", "invalid_format", "a date"),
            ("uuid = '7'", "invalid_format", "a UUID"),
            ("uuid >= 'a'", "invalid_format", "a UUID"),
            ("email = 'ann'", "invalid_format", "what `email` is compared with must"),
            ("mails != '@'", "invalid_format", "`mails`"),
            ("link = 'a'", "invalid_format", "`link`"),
            ("size = 'xl'", "not_in_enum", r#"must be one of "s", "m""#),
            ("sizes != 'xl'", "not_in_enum", r#"must be one of "s", "m""#),
            ("level = 3", "not_in_enum", "1, 2.5"),
            ("kind = 'other'", "not_in_enum", r#"must be "thing""#),
            ("since = '2027-01-02'", "not_in_enum", "2027-01-01T00:00:00.000Z"),
        ] {
            let invalid = read(&collection, filter).expect_err(filter);
            assert_eq!(invalid.code, code, "{filter}");
            assert!(invalid.message.contains(says), "{filter}: {}", invalid.message);
        }
    }
}
