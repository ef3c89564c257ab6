//! Filters as SQL conditions.
//!
//! A condition decides about a stored record as `domain::filter` decides about the shown one, so a list and a stream with
//! the same filter agree.

use serde_json::Value;

use super::collection::Collection;
use super::literal;
use super::schema::FieldKind;
use crate::storage::composed::composed;
use crate::storage::composed::{SqlCondition, SqlPiece};
use crate::storage::sql::Arg;
use domain::clock::Timestamp;
use domain::error::Invalid;
use domain::filter::{Comparison, ComparisonOperator, Filter, Literal};
use domain::words::{NO_WORD, Search};

composed! {
    heads {}
    pieces {
        /// Columns of every record.
        ID = "r.id";
        STATUS = "r.status";
        VERSION = "r.version";
        CREATED_AT = "r.created_at";
        UPDATED_AT = "r.updated_at";
        CREATED_BY = "r.created_by";
        UPDATED_BY = "r.updated_by";
        /// A field of the schema.
        OWN = "json_extract(r.data, ?)";
        /// Comparisons.
        IS = "IS NOT DISTINCT FROM ?";
        IS_NOT = "IS DISTINCT FROM ?";
        GREATER = "> ?";
        GREATER_OR_EQUAL = ">= ?";
        LESS = "< ?";
        LESS_OR_EQUAL = "<= ?";
        /// A string contains another, ignoring ASCII case.
        ID_HAS = "instr(lower(r.id), lower(?)) > 0";
        STATUS_HAS = "COALESCE(instr(lower(r.status), lower(?)), 0) > 0";
        CREATED_BY_HAS = "instr(lower(r.created_by), lower(?)) > 0";
        UPDATED_BY_HAS = "instr(lower(r.updated_by), lower(?)) > 0";
        OWN_HAS = "(typeof(json_extract(r.data, ?)) = 'text' AND instr(lower(json_extract(r.data, ?)), lower(?)) > 0)";
        /// Comparisons by the field's index.
        INDEXED_IS = "r.id IN (SELECT i.record_id FROM record_index i WHERE i.tenant_id = ?1 AND i.collection = ?2 AND i.field = ? AND i.value IS NOT DISTINCT FROM ?)";
        INDEXED_GREATER = "r.id IN (SELECT i.record_id FROM record_index i WHERE i.tenant_id = ?1 AND i.collection = ?2 AND i.field = ? AND i.value > ?)";
        INDEXED_GREATER_OR_EQUAL = "r.id IN (SELECT i.record_id FROM record_index i WHERE i.tenant_id = ?1 AND i.collection = ?2 AND i.field = ? AND i.value >= ?)";
        INDEXED_LESS = "r.id IN (SELECT i.record_id FROM record_index i WHERE i.tenant_id = ?1 AND i.collection = ?2 AND i.field = ? AND i.value < ?)";
        INDEXED_LESS_OR_EQUAL = "r.id IN (SELECT i.record_id FROM record_index i WHERE i.tenant_id = ?1 AND i.collection = ?2 AND i.field = ? AND i.value <= ?)";
        /// Fewer values of the field's index than that compare so.
        FEWER_ARE = "(SELECT count(*) FROM (SELECT 1 FROM record_index i WHERE i.tenant_id = ?1 AND i.collection = ?2 AND i.field = ? AND i.value IS NOT DISTINCT FROM ? LIMIT ?)) < ?";
        FEWER_GREATER = "(SELECT count(*) FROM (SELECT 1 FROM record_index i WHERE i.tenant_id = ?1 AND i.collection = ?2 AND i.field = ? AND i.value > ? LIMIT ?)) < ?";
        FEWER_GREATER_OR_EQUAL = "(SELECT count(*) FROM (SELECT 1 FROM record_index i WHERE i.tenant_id = ?1 AND i.collection = ?2 AND i.field = ? AND i.value >= ? LIMIT ?)) < ?";
        FEWER_LESS = "(SELECT count(*) FROM (SELECT 1 FROM record_index i WHERE i.tenant_id = ?1 AND i.collection = ?2 AND i.field = ? AND i.value < ? LIMIT ?)) < ?";
        FEWER_LESS_OR_EQUAL = "(SELECT count(*) FROM (SELECT 1 FROM record_index i WHERE i.tenant_id = ?1 AND i.collection = ?2 AND i.field = ? AND i.value <= ? LIMIT ?)) < ?";
        /// Some element of a list field compares so.
        SOME_IS = "EXISTS (SELECT 1 FROM json_each(r.data, ?) j WHERE j.atom IS NOT DISTINCT FROM ?)";
        SOME_GREATER = "EXISTS (SELECT 1 FROM json_each(r.data, ?) j WHERE j.atom > ?)";
        SOME_GREATER_OR_EQUAL = "EXISTS (SELECT 1 FROM json_each(r.data, ?) j WHERE j.atom >= ?)";
        SOME_LESS = "EXISTS (SELECT 1 FROM json_each(r.data, ?) j WHERE j.atom < ?)";
        SOME_LESS_OR_EQUAL = "EXISTS (SELECT 1 FROM json_each(r.data, ?) j WHERE j.atom <= ?)";
        SOME_HAS = "EXISTS (SELECT 1 FROM json_each(r.data, ?) j WHERE typeof(j.atom) = 'text' AND instr(lower(j.atom), lower(?)) > 0)";
        /// A list field is empty or missing.
        NONE = "NOT EXISTS (SELECT 1 FROM json_each(r.data, ?) j)";
    }
}

/// A filter as a condition on records that were read; fails if it names an unknown field or compares it with a literal of
/// another type.
pub fn of_filter(collection: &Collection, filter: &Filter) -> Result<SqlCondition, Invalid> {
    let each = |parts: &[Filter]| parts.iter().map(|part| of_filter(collection, part)).collect::<Result<_, _>>();
    match filter {
        Filter::All(parts) => each(parts).map(SqlCondition::All),
        Filter::Any(parts) => each(parts).map(SqlCondition::Any),
        Filter::Compare(comparison) => of_comparison(collection, comparison),
    }
}

/// A comparison that the index of its field answers.
#[derive(Debug, Clone)]
pub struct IndexLookup {
    /// The record is among those that the index finds.
    pub finds: SqlCondition,
    name: String,
    operator: ComparisonOperator,
    value: Arg,
}

impl IndexLookup {
    /// That of a comparison, if its field has a finished index that tells which records meet it.
    pub fn of(collection: &Collection, comparison: &Comparison) -> Option<Self> {
        let Comparison { field, operator, value } = comparison;
        let declared = collection.schema.field(field).filter(|field| field.is_indexed && collection.is_ready(field))?;
        let is_answered = without_negation(*operator) == *operator && *operator != ComparisonOperator::Contains;
        is_answered.then(|| Self {
            finds: SqlCondition::Is(index_piece(*operator), vec![declared.name.as_str().into(), arg(value)]),
            name: declared.name.clone(),
            operator: *operator,
            value: arg(value),
        })
    }

    /// The index finds fewer values than so many.
    pub fn finds_fewer_than(&self, bound: i64) -> SqlCondition {
        let piece = match self.operator {
            ComparisonOperator::Greater => FEWER_GREATER,
            ComparisonOperator::GreaterOrEqual => FEWER_GREATER_OR_EQUAL,
            ComparisonOperator::Less => FEWER_LESS,
            ComparisonOperator::LessOrEqual => FEWER_LESS_OR_EQUAL,
            _ => FEWER_ARE,
        };
        let bound = Arg::Integer(bound);
        SqlCondition::Is(piece, vec![self.name.as_str().into(), self.value.clone(), bound.clone(), bound])
    }
}

/// How a search finds records.
#[derive(Debug)]
pub enum TextSearch {
    /// By this query of the full-text index (FTS5).
    FullText(String),
    /// By this condition: the collection has no full-text index.
    Scan(SqlCondition),
}

/// A search for all words and phrases of a text. Without a word it finds nothing.
pub fn of_terms(tenant: &str, collection: &Collection, text: &str) -> Result<TextSearch, Invalid> {
    let search = Search::parse(text)?;
    if !collection.schema.fields().any(|field| field.is_searched && collection.is_ready(field)) {
        return Ok(TextSearch::Scan(contains_text(collection, text)));
    }
    if search.is_empty() {
        return Ok(TextSearch::FullText(format!("words : \"{}{NO_WORD}\"", collection.word_tag())));
    }
    let tagged = format!("words : ({})", search.query(&collection.word_tag()));
    let untagged = if collection.has_words { None } else { untagged(tenant, collection, text) };
    Ok(TextSearch::FullText(match untagged {
        Some(untagged) => format!("({tagged}) OR ({untagged})"),
        None => tagged,
    }))
}

/// The search for records of before, whose words were not made by this code and stand under the collection's scope: all
/// words, the last of which may go on.
fn untagged(tenant: &str, collection: &Collection, text: &str) -> Option<String> {
    let words: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| format!("\"{word}\""))
        .collect();
    let scope = scope(tenant, &collection.slug);
    let prefix = if text.trim_end().ends_with('*') { " *" } else { "" };
    (!words.is_empty()).then(|| format!("scope : \"{scope}\" AND words : ({}{prefix})", words.join(" AND ")))
}

/// The condition that a string field of the collection contains a text, ignoring ASCII case.
pub fn contains_text(collection: &Collection, text: &str) -> SqlCondition {
    let texts =
        collection.schema.fields().filter(|field| *field.kind.compared() == FieldKind::Text).take(MAX_SCANNED_FIELDS);
    SqlCondition::Any(texts.map(|field| contains(&field.kind, &path(&field.name), text)).collect())
}

/// Most fields that are scanned for a text where there is no full-text index.
const MAX_SCANNED_FIELDS: usize = 8;

/// The term that a collection's records of before have in the full-text index, and no others.
fn scope(tenant: &str, slug: &str) -> String {
    let hex = |byte: u8| format!("{byte:02x}");
    let of = |text: &str| text.bytes().map(hex).collect::<String>();
    format!("x{}3a{}", of(tenant), of(slug))
}

fn of_comparison(collection: &Collection, comparison: &Comparison) -> Result<SqlCondition, Invalid> {
    let Comparison { field: name, operator, value } = literal::typed(collection, comparison.clone())?;
    if let Some(column) = RecordColumn::of(&name) {
        return Ok(column.compared(operator, &value));
    }
    let Some(field) = collection.schema.field(&name) else { return Err(literal::unknown(&name)) };
    let (path, without_negation) = (path(&name), without_negation(operator));
    let condition = match (without_negation, &value) {
        (ComparisonOperator::Contains, Literal::Text(text)) => contains(&field.kind, &path, text),
        _ if matches!(field.kind, FieldKind::List(_)) => any_element(without_negation, &path, &value),
        _ => SqlCondition::Compare(OWN, comparison_piece(without_negation), vec![path.into(), arg(&value)]),
    };
    Ok(if without_negation == operator { condition } else { SqlCondition::Not(Box::new(condition)) })
}

fn contains(kind: &FieldKind, path: &str, text: &str) -> SqlCondition {
    match kind {
        FieldKind::List(_) => SqlCondition::Is(SOME_HAS, vec![path.into(), text.into()]),
        _ => SqlCondition::Is(OWN_HAS, vec![path.into(), path.into(), text.into()]),
    }
}

/// Some element of a list compares so; an empty list counts as null.
fn any_element(operator: ComparisonOperator, path: &str, value: &Literal) -> SqlCondition {
    let piece = match operator {
        ComparisonOperator::Greater => SOME_GREATER,
        ComparisonOperator::GreaterOrEqual => SOME_GREATER_OR_EQUAL,
        ComparisonOperator::Less => SOME_LESS,
        ComparisonOperator::LessOrEqual => SOME_LESS_OR_EQUAL,
        _ => SOME_IS,
    };
    let found = SqlCondition::Is(piece, vec![path.into(), arg(value)]);
    match value {
        Literal::Null if operator == ComparisonOperator::Equal => {
            SqlCondition::Any(vec![found, SqlCondition::Is(NONE, vec![path.into()])])
        }
        _ => found,
    }
}

/// The operator that this one negates, or the operator itself.
fn without_negation(operator: ComparisonOperator) -> ComparisonOperator {
    match operator {
        ComparisonOperator::NotEqual => ComparisonOperator::Equal,
        ComparisonOperator::NotContains => ComparisonOperator::Contains,
        other => other,
    }
}

fn index_piece(operator: ComparisonOperator) -> SqlPiece {
    match operator {
        ComparisonOperator::Greater => INDEXED_GREATER,
        ComparisonOperator::GreaterOrEqual => INDEXED_GREATER_OR_EQUAL,
        ComparisonOperator::Less => INDEXED_LESS,
        ComparisonOperator::LessOrEqual => INDEXED_LESS_OR_EQUAL,
        _ => INDEXED_IS,
    }
}

fn comparison_piece(operator: ComparisonOperator) -> SqlPiece {
    match operator {
        ComparisonOperator::NotEqual => IS_NOT,
        ComparisonOperator::Greater => GREATER,
        ComparisonOperator::GreaterOrEqual => GREATER_OR_EQUAL,
        ComparisonOperator::Less => LESS,
        ComparisonOperator::LessOrEqual => LESS_OR_EQUAL,
        _ => IS,
    }
}

/// The columns of every record that filters may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RecordColumn {
    Id,
    Status,
    Version,
    CreatedAt,
    UpdatedAt,
    CreatedBy,
    UpdatedBy,
}

impl RecordColumn {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "id" => Self::Id,
            "status" => Self::Status,
            "version" => Self::Version,
            "created_at" => Self::CreatedAt,
            "updated_at" => Self::UpdatedAt,
            "created_by" => Self::CreatedBy,
            "updated_by" => Self::UpdatedBy,
            _ => return None,
        })
    }

    fn compared(self, operator: ComparisonOperator, value: &Literal) -> SqlCondition {
        let (operand, contains) = match self {
            Self::Id => (ID, ID_HAS),
            Self::Status => (STATUS, STATUS_HAS),
            Self::Version => (VERSION, VERSION),
            Self::CreatedAt => (CREATED_AT, CREATED_AT),
            Self::UpdatedAt => (UPDATED_AT, UPDATED_AT),
            Self::CreatedBy => (CREATED_BY, CREATED_BY_HAS),
            Self::UpdatedBy => (UPDATED_BY, UPDATED_BY_HAS),
        };
        let value = match (self, value) {
            (Self::CreatedAt | Self::UpdatedAt, Literal::Text(text)) => {
                Timestamp::parse_rfc3339(text).map_or(Arg::Null, |at| at.millis().into())
            }
            _ => arg(value),
        };
        match operator {
            ComparisonOperator::Contains => SqlCondition::Is(contains, vec![value]),
            ComparisonOperator::NotContains => SqlCondition::Not(Box::new(SqlCondition::Is(contains, vec![value]))),
            _ => SqlCondition::Compare(operand, comparison_piece(operator), vec![value]),
        }
    }
}

fn path(name: &str) -> String {
    format!("$.{name}")
}

/// A literal as a bound value.
pub fn arg(value: &Literal) -> Arg {
    match value {
        Literal::Null => Arg::Null,
        Literal::Flag(flag) => (*flag).into(),
        Literal::Integer(number) => (*number).into(),
        Literal::Real(number) => Arg::Real(*number),
        Literal::Text(text) => text.as_str().into(),
    }
}

/// A JSON value as a bound value; lists and objects become NULL.
pub fn arg_of(value: &Value) -> Arg {
    match value {
        Value::String(text) => text.as_str().into(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(real)) => Arg::Real(real),
            (None, None) => Arg::Null,
        },
        Value::Bool(flag) => (*flag).into(),
        _ => Arg::Null,
    }
}
