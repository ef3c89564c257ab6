//! The order of a list, and keyset pagination by it.
//!
//! Invariants
//! - Every order ends with the record's id, so no two records have the same position: a page that begins after a position
//!   begins at the same record, whatever was written meanwhile.
//! - A list is sorted only by what an index holds in that order.

use serde_json::Value;

use super::collection::Collection;
use super::condition::arg_of;
use crate::http::problem::{self, Problem};
use crate::storage::composed::composed;
use crate::storage::composed::{ListHead, SqlCondition, SqlPiece};
use crate::storage::sql::Arg;
use domain::error::Invalid;

composed! {
    heads {
        /// Records without an index of fields.
        PLAIN = "SELECT r.id, r.version, r.status, r.data, r.created_at, r.updated_at, r.created_by, r.updated_by, r.deleted_at, NULL AS sort_1, NULL AS sort_2 FROM records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.deleted_at IS NULL";
        /// Soft-deleted records.
        DELETED = "SELECT r.id, r.version, r.status, r.data, r.created_at, r.updated_at, r.created_by, r.updated_by, r.deleted_at, NULL AS sort_1, NULL AS sort_2 FROM records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.deleted_at IS NOT NULL";
        /// Records in the order of the index of the field ?3.
        INDEXED = "SELECT r.id, r.version, r.status, r.data, r.created_at, r.updated_at, r.created_by, r.updated_by, r.deleted_at, s.value AS sort_1, NULL AS sort_2 FROM record_index s CROSS JOIN records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.id = s.record_id AND r.deleted_at IS NULL AND s.tenant_id = ?1 AND s.collection = ?2 AND s.field = ?3";
        /// The same, then in the order of the index of the field ?4.
        INDEXED_TWICE = "SELECT r.id, r.version, r.status, r.data, r.created_at, r.updated_at, r.created_by, r.updated_by, r.deleted_at, s.value AS sort_1, u.value AS sort_2 FROM record_index s CROSS JOIN records r CROSS JOIN record_index u WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.id = s.record_id AND r.deleted_at IS NULL AND s.tenant_id = ?1 AND s.collection = ?2 AND s.field = ?3 AND u.tenant_id = ?1 AND u.collection = ?2 AND u.record_id = s.record_id AND u.field = ?4";
        /// Records that the search ?3 finds.
        SEARCHED = "SELECT r.id, r.version, r.status, r.data, r.created_at, r.updated_at, r.created_by, r.updated_by, r.deleted_at, NULL AS sort_1, NULL AS sort_2 FROM (SELECT rowid FROM record_search WHERE record_search MATCH ?3) w CROSS JOIN records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.number = w.rowid AND r.deleted_at IS NULL";
        /// The same, with the indexed value of their field ?4.
        SEARCHED_BY = "SELECT r.id, r.version, r.status, r.data, r.created_at, r.updated_at, r.created_by, r.updated_by, r.deleted_at, s.value AS sort_1, NULL AS sort_2 FROM (SELECT rowid FROM record_search WHERE record_search MATCH ?3) w CROSS JOIN records r CROSS JOIN record_index s WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.number = w.rowid AND r.deleted_at IS NULL AND s.tenant_id = ?1 AND s.collection = ?2 AND s.record_id = r.id AND s.field = ?4";
        /// The same, with that of their field ?5 too.
        SEARCHED_TWICE = "SELECT r.id, r.version, r.status, r.data, r.created_at, r.updated_at, r.created_by, r.updated_by, r.deleted_at, s.value AS sort_1, u.value AS sort_2 FROM (SELECT rowid FROM record_search WHERE record_search MATCH ?3) w CROSS JOIN records r CROSS JOIN record_index s CROSS JOIN record_index u WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.number = w.rowid AND r.deleted_at IS NULL AND s.tenant_id = ?1 AND s.collection = ?2 AND s.record_id = r.id AND s.field = ?4 AND u.tenant_id = ?1 AND u.collection = ?2 AND u.record_id = r.id AND u.field = ?5";
        /// Records, each with the indexed value of its field ?3.
        VALUED = "SELECT r.id, r.version, r.status, r.data, r.created_at, r.updated_at, r.created_by, r.updated_by, r.deleted_at, s.value AS sort_1, NULL AS sort_2 FROM records r CROSS JOIN record_index s WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.deleted_at IS NULL AND s.tenant_id = ?1 AND s.collection = ?2 AND s.record_id = r.id AND s.field = ?3";
        /// The same, with that of its field ?4 too.
        VALUED_TWICE = "SELECT r.id, r.version, r.status, r.data, r.created_at, r.updated_at, r.created_by, r.updated_by, r.deleted_at, s.value AS sort_1, u.value AS sort_2 FROM records r CROSS JOIN record_index s CROSS JOIN record_index u WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.deleted_at IS NULL AND s.tenant_id = ?1 AND s.collection = ?2 AND s.record_id = r.id AND s.field = ?3 AND u.tenant_id = ?1 AND u.collection = ?2 AND u.record_id = r.id AND u.field = ?4";
        /// Records, deleted ones too, of which the index by id has no order of its own.
        EVERY = "SELECT r.id, r.version, r.status, r.data, r.created_at, r.updated_at, r.created_by, r.updated_by, r.deleted_at, NULL AS sort_1, NULL AS sort_2 FROM records r WHERE r.tenant_id = ?1 AND r.collection = ?2";
    }
    pieces {
        /// Sort keys, ascending.
        ID = "r.id";
        STATUS = "r.status";
        VERSION = "r.version";
        CREATED_AT = "r.created_at";
        UPDATED_AT = "r.updated_at";
        INDEX_ID = "s.record_id";
        INDEX_CREATED_AT = "s.created_at";
        FIRST = "s.value";
        SHOWN_FIRST = "r.sort_1";
        SHOWN_SECOND = "r.sort_2";
        /// Sort keys, descending.
        ID_DOWN = "r.id DESC";
        STATUS_DOWN = "r.status DESC";
        VERSION_DOWN = "r.version DESC";
        CREATED_AT_DOWN = "r.created_at DESC";
        UPDATED_AT_DOWN = "r.updated_at DESC";
        INDEX_ID_DOWN = "s.record_id DESC";
        INDEX_CREATED_AT_DOWN = "s.created_at DESC";
        DELETED_AT_DOWN = "r.deleted_at DESC";
        FIRST_DOWN = "s.value DESC";
        SHOWN_FIRST_DOWN = "r.sort_1 DESC";
        SHOWN_SECOND_DOWN = "r.sort_2 DESC";
        /// A record's key compared with a position's.
        AT = "IS NOT DISTINCT FROM ?";
        BEHIND = "> ?";
        BEFORE = "< ?";
        /// Above every NULL, in words that an index seeks by: what is no number is above all of them.
        STATUS_IS_THERE = "r.status >= ''";
        FIRST_IS_THERE = "s.value >= -9e999";
        /// The record is not deleted.
        NOT_DELETED = "r.deleted_at IS NULL";
        NOT_NULL = "IS NOT NULL";
        NULL = "IS NULL";
        /// The last two keys of most lists as one comparison, which an index can seek to.
        PAIR_BEHIND = "(r.created_at, r.id) > (?, ?)";
        PAIR_BEFORE = "(r.created_at, r.id) < (?, ?)";
        CHANGED_BEHIND = "(r.updated_at, r.id) > (?, ?)";
        CHANGED_BEFORE = "(r.updated_at, r.id) < (?, ?)";
        INDEX_PAIR_BEHIND = "(s.created_at, s.record_id) > (?, ?)";
        INDEX_PAIR_BEFORE = "(s.created_at, s.record_id) < (?, ?)";
    }
}

/// Most keys in `sort`.
const MAX_KEYS: usize = 4;
/// Most of them that are fields of the schema.
const MAX_OWN_FIELDS: usize = 2;

/// Where a list's rows come from.
#[derive(Debug, Clone)]
pub enum RowSource {
    /// The records that are not deleted.
    Current,
    /// The soft-deleted records.
    Deleted,
    /// The index of this field at one value; the list is in the order of creation.
    Field(String),
    /// The full-text index, by this search.
    Search(String),
    /// Some records, which a condition on their ids names.
    Named,
}

/// What a key sorts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SortField {
    Id,
    Status,
    Version,
    CreatedAt,
    UpdatedAt,
    /// The first field of the schema, by its index.
    First,
    /// The second field of the schema, by its index.
    Second,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SortKey {
    field: SortField,
    descending: bool,
}

/// The order of a list.
#[derive(Debug, Clone)]
pub struct SortOrder {
    keys: Vec<SortKey>,
    /// The fields of the schema that it sorts by, at most [`MAX_OWN_FIELDS`].
    fields: Vec<String>,
}

impl SortOrder {
    /// Reads `sort`: names separated by commas, `-` before one for descending. Newest first by default.
    pub fn read(collection: &Collection, text: Option<&str>) -> Result<Self, Problem> {
        let mut order = Self { keys: Vec::new(), fields: Vec::new() };
        for name in text.into_iter().flat_map(|text| text.split(',')).map(str::trim).filter(|name| !name.is_empty()) {
            let (name, descending) =
                name.strip_prefix('-').map_or((name.trim_start_matches('+'), false), |name| (name, true));
            let field = order.field(collection, name)?;
            if order.keys.iter().any(|key| key.field == field) || order.keys.len() == MAX_KEYS {
                let invalid =
                    Invalid::new("invalid_sort", format!("must be at most {MAX_KEYS} names, each of them once"));
                return Err(problem::invalid_query("sort", invalid));
            }
            order.keys.push(SortKey { field, descending });
        }
        order.end();
        Ok(order)
    }

    /// No order at all, for what is only counted.
    pub fn none() -> Self {
        Self { keys: Vec::new(), fields: Vec::new() }
    }

    fn field(&mut self, collection: &Collection, name: &str) -> Result<SortField, Problem> {
        match name {
            "id" => return Ok(SortField::Id),
            "status" if collection.statuses.is_some() => return Ok(SortField::Status),
            "version" => return Ok(SortField::Version),
            "created_at" => return Ok(SortField::CreatedAt),
            "updated_at" => return Ok(SortField::UpdatedAt),
            _ => {}
        }
        let invalid = |code, message: String| problem::invalid_query("sort", Invalid::new(code, message));
        if name.is_empty() {
            return Err(invalid(
                "invalid_sort",
                "must have the name of a field behind each - and +: sort=-created_at".to_owned(),
            ));
        }
        let field = collection.schema.field(name);
        let field =
            field.ok_or_else(|| invalid("unknown_field", format!("`{name}` is not a field of this collection")))?;
        if !field.is_indexed || !field.kind.is_scalar() {
            return Err(invalid(
                "not_sortable",
                format!("`{name}` cannot be sorted by: it must be an indexed field that holds one value"),
            ));
        }
        if !collection.is_ready(field) {
            return Err(problem::index_building("sort"));
        }
        match self.fields.iter().position(|known| known == name) {
            Some(0) => return Ok(SortField::First),
            Some(_) => return Ok(SortField::Second),
            None => {}
        }
        if self.fields.len() == MAX_OWN_FIELDS {
            return Err(invalid("invalid_sort", format!("must contain at most {MAX_OWN_FIELDS} fields of the schema")));
        }
        self.fields.push(name.to_owned());
        Ok(if self.fields.len() == 1 { SortField::First } else { SortField::Second })
    }

    /// Adds the keys that every order ends with; keys after the id are dropped, as they cannot change the order.
    fn end(&mut self) {
        if let Some(at) = self.keys.iter().position(|key| key.field == SortField::Id) {
            self.keys.truncate(at + 1);
            let fields =
                self.keys.iter().filter(|key| matches!(key.field, SortField::First | SortField::Second)).count();
            return self.fields.truncate(fields);
        }
        let descending = self.keys.last().is_none_or(|key| key.descending);
        if !self.keys.iter().any(|key| matches!(key.field, SortField::CreatedAt | SortField::UpdatedAt)) {
            self.keys.push(SortKey { field: SortField::CreatedAt, descending });
        }
        self.keys.push(SortKey { field: SortField::Id, descending });
    }

    /// The order in its canonical spelling.
    pub fn canonical(&self) -> String {
        let name = |key: &SortKey| match key.field {
            SortField::Id => "id",
            SortField::Status => "status",
            SortField::Version => "version",
            SortField::CreatedAt => "created_at",
            SortField::UpdatedAt => "updated_at",
            SortField::First => self.fields.first().map_or("", String::as_str),
            SortField::Second => self.fields.get(1).map_or("", String::as_str),
        };
        let each = self.keys.iter().map(|key| format!("{}{}", if key.descending { "-" } else { "" }, name(key)));
        each.collect::<Vec<_>>().join(",")
    }

    /// Whether it is the order of creation, in either direction: the index of a field at one value has that order.
    pub fn is_by_creation(&self) -> bool {
        self.fields.is_empty() && self.is(&[SortField::CreatedAt, SortField::Id])
    }

    /// Whether it is the order of the last change, in either direction.
    pub fn is_by_change(&self) -> bool {
        self.is(&[SortField::UpdatedAt, SortField::Id])
    }

    /// Whether it has no field of the schema.
    pub fn is_of_columns(&self) -> bool {
        self.fields.is_empty()
    }

    /// Whether the first key goes down.
    pub fn descends(&self) -> bool {
        self.keys.first().is_none_or(|key| key.descending)
    }

    /// Whether it is sorted by these, all in one direction.
    fn is(&self, fields: &[SortField]) -> bool {
        let descends = self.descends();
        self.keys.len() == fields.len()
            && self.keys.iter().zip(fields).all(|(key, field)| key.field == *field && key.descending == descends)
    }

    /// Whether an index holds the rows of a source in this order.
    pub fn is_indexed(&self, source: &RowSource) -> bool {
        use SortField::{CreatedAt, First, Id, Status};
        match source {
            RowSource::Current if self.fields.is_empty() => {
                self.is(&[Id]) || self.is_by_creation() || self.is_by_change() || self.is(&[Status, CreatedAt, Id])
            }
            RowSource::Current => self.is(&[First, CreatedAt, Id]),
            RowSource::Field(_) => self.is_by_creation(),
            RowSource::Deleted | RowSource::Search(_) | RowSource::Named => false,
        }
    }

    /// What is read from a source: the head, the head's arguments from `?3` on, and the order in which it is read: this
    /// one where an index has it, else one that costs no sorting.
    pub fn reading(&self, source: &RowSource) -> Result<(ListHead, Vec<Arg>, Vec<SqlPiece>), Problem> {
        let (head, first) = match (source, self.fields.len()) {
            (RowSource::Current, 0) if self.is(&[SortField::Id]) => (EVERY, None),
            (RowSource::Current | RowSource::Named, 0) => (PLAIN, None),
            (RowSource::Deleted, 0) => (DELETED, None),
            (RowSource::Deleted, _) => {
                let message = "must not contain fields of the schema with deleted=true: use id, status, version, created_at or updated_at";
                return Err(problem::invalid_query("sort", Invalid::new("not_sortable", message)));
            }
            (RowSource::Field(field), 0) => (INDEXED, Some(field)),
            (RowSource::Current | RowSource::Field(_), 1) => (INDEXED, None),
            (RowSource::Current | RowSource::Field(_), _) => (INDEXED_TWICE, None),
            (RowSource::Named, 1) => (VALUED, None),
            (RowSource::Named, _) => (VALUED_TWICE, None),
            (RowSource::Search(search), 0) => (SEARCHED, Some(search)),
            (RowSource::Search(search), 1) => (SEARCHED_BY, Some(search)),
            (RowSource::Search(search), _) => (SEARCHED_TWICE, Some(search)),
        };
        let args = first.into_iter().chain(&self.fields).map(|arg| arg.as_str().into()).collect();
        Ok((head, args, self.order_of_reading(source)))
    }

    fn order_of_reading(&self, source: &RowSource) -> Vec<SqlPiece> {
        let from = self.columns(source);
        if self.is_indexed(source) {
            return self.keys.iter().map(|key| key.piece(from)).collect();
        }
        match source {
            RowSource::Current if self.fields.is_empty() => vec![CREATED_AT_DOWN, ID_DOWN],
            RowSource::Deleted => vec![DELETED_AT_DOWN, ID_DOWN],
            RowSource::Current | RowSource::Field(_) if self.descends() => {
                vec![FIRST_DOWN, INDEX_CREATED_AT_DOWN, INDEX_ID_DOWN]
            }
            RowSource::Current | RowSource::Field(_) => vec![FIRST, INDEX_CREATED_AT, INDEX_ID],
            RowSource::Search(_) | RowSource::Named => Vec::new(),
        }
    }

    /// What is asked of a source's records beside the filter.
    pub fn condition(&self, source: &RowSource) -> Option<SqlCondition> {
        let reads_deleted = matches!(source, RowSource::Current) && self.is(&[SortField::Id]);
        reads_deleted.then(|| SqlCondition::Is(NOT_DELETED, Vec::new()))
    }

    /// The pieces that sort rows which were read in another order.
    pub fn sorted(&self) -> Vec<SqlPiece> {
        self.keys.iter().map(|key| key.piece(Columns::Shown)).collect()
    }

    /// Where the keys of rows are read while a source is read in this order.
    fn columns(&self, source: &RowSource) -> Columns {
        let by_index = !self.fields.is_empty() || matches!(source, RowSource::Field(_));
        if by_index { Columns::Index } else { Columns::Record }
    }

    /// The position of a row: the values of its keys, as a JSON array.
    pub fn position(&self, row: &KeysetRow<'_>) -> Value {
        Value::from(self.keys.iter().map(|key| row.value(key.field)).collect::<Vec<_>>())
    }

    /// The ranges of the index behind a position, one behind the other, where it has this order; none if the position
    /// belongs to another order.
    pub fn ranges_after(&self, position: &Value, source: &RowSource) -> Option<Vec<SqlCondition>> {
        let terms = self.terms(position, self.columns(source))?;
        match terms.as_slice() {
            [id] => Some(vec![id.after()?]),
            [time, id] => Some(vec![time.pair(id)]),
            [first, time, id] => {
                let equal = SqlCondition::All(vec![first.equal(), time.pair(id)]);
                Some(std::iter::once(equal).chain(first.ranges_after()).collect())
            }
            _ => None,
        }
    }

    /// The condition for rows after a position, of rows that were read in another order; none if the position belongs to
    /// another order.
    pub fn after(&self, position: &Value) -> Option<SqlCondition> {
        let terms = self.terms(position, Columns::Shown)?;
        let mut alternatives = Vec::with_capacity(terms.len());
        for (i, term) in terms.iter().enumerate() {
            let equal = terms.iter().take(i).map(KeysetTerm::equal);
            alternatives.extend(term.after().map(|after| SqlCondition::All(equal.chain([after]).collect())));
        }
        Some(SqlCondition::Any(alternatives))
    }

    fn terms<'v>(&self, position: &'v Value, columns: Columns) -> Option<Vec<KeysetTerm<'v>>> {
        let values = position.as_array().filter(|values| values.len() == self.keys.len())?;
        Some(self.keys.iter().zip(values).map(|(key, value)| KeysetTerm { key: *key, value, columns }).collect())
    }
}

/// Where the keys of a row stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Columns {
    /// In the record.
    Record,
    /// In the index of the first field.
    Index,
    /// In what was read.
    Shown,
}

/// The values of a row that its position may consist of.
pub struct KeysetRow<'r> {
    /// The record's id.
    pub id: &'r str,
    /// Its status, if the collection has statuses.
    pub status: Option<&'r str>,
    /// Its version.
    pub version: i64,
    /// When it was created, in milliseconds since 1970.
    pub created_at: i64,
    /// When it changed last, in milliseconds since 1970.
    pub updated_at: i64,
    /// The indexed value of the first field of the schema that the list sorts by.
    pub first: &'r Value,
    /// The indexed value of the second one.
    pub second: &'r Value,
}

impl KeysetRow<'_> {
    fn value(&self, field: SortField) -> Value {
        match field {
            SortField::Id => self.id.into(),
            SortField::Status => self.status.into(),
            SortField::Version => self.version.into(),
            SortField::CreatedAt => self.created_at.into(),
            SortField::UpdatedAt => self.updated_at.into(),
            SortField::First => self.first.clone(),
            SortField::Second => self.second.clone(),
        }
    }
}

impl SortKey {
    fn piece(self, columns: Columns) -> SqlPiece {
        let by_index = columns == Columns::Index;
        match (self.field, by_index, self.descending) {
            (SortField::Id, false, false) => ID,
            (SortField::Id, false, true) => ID_DOWN,
            (SortField::Id, true, false) => INDEX_ID,
            (SortField::Id, true, true) => INDEX_ID_DOWN,
            (SortField::CreatedAt, false, false) => CREATED_AT,
            (SortField::CreatedAt, false, true) => CREATED_AT_DOWN,
            (SortField::CreatedAt, true, false) => INDEX_CREATED_AT,
            (SortField::CreatedAt, true, true) => INDEX_CREATED_AT_DOWN,
            (SortField::Status, _, false) => STATUS,
            (SortField::Status, _, true) => STATUS_DOWN,
            (SortField::Version, _, false) => VERSION,
            (SortField::Version, _, true) => VERSION_DOWN,
            (SortField::UpdatedAt, _, false) => UPDATED_AT,
            (SortField::UpdatedAt, _, true) => UPDATED_AT_DOWN,
            (SortField::First, true, false) => FIRST,
            (SortField::First, true, true) => FIRST_DOWN,
            (SortField::First, false, false) => SHOWN_FIRST,
            (SortField::First, false, true) => SHOWN_FIRST_DOWN,
            (SortField::Second, _, false) => SHOWN_SECOND,
            (SortField::Second, _, true) => SHOWN_SECOND_DOWN,
        }
    }
}

/// A key and its value at a position.
struct KeysetTerm<'v> {
    key: SortKey,
    value: &'v Value,
    columns: Columns,
}

impl KeysetTerm<'_> {
    fn operand(&self) -> SqlPiece {
        SortKey { descending: false, ..self.key }.piece(self.columns)
    }

    fn compare(&self, comparison: SqlPiece) -> SqlCondition {
        SqlCondition::Compare(self.operand(), comparison, vec![arg_of(self.value)])
    }

    fn plain(&self, piece: SqlPiece) -> SqlCondition {
        SqlCondition::Compare(self.operand(), piece, Vec::new())
    }

    fn equal(&self) -> SqlCondition {
        self.compare(AT)
    }

    /// The condition for rows after the position by this key alone; none if there can be none. NULL sorts before everything.
    fn after(&self) -> Option<SqlCondition> {
        match (self.value.is_null(), self.key.descending) {
            (true, false) => Some(self.plain(NOT_NULL)),
            (true, true) => None,
            (false, false) => Some(self.compare(BEHIND)),
            (false, true) if self.can_be_null() => {
                Some(SqlCondition::Any(vec![self.compare(BEFORE), self.plain(NULL)]))
            }
            (false, true) => Some(self.compare(BEFORE)),
        }
    }

    /// The same as ranges of the index that this key leads.
    fn ranges_after(&self) -> Vec<SqlCondition> {
        let there = if self.key.field == SortField::Status { STATUS_IS_THERE } else { FIRST_IS_THERE };
        match (self.value.is_null(), self.key.descending) {
            (true, false) => vec![SqlCondition::Is(there, Vec::new())],
            (true, true) => Vec::new(),
            (false, false) => vec![self.compare(BEHIND)],
            (false, true) => vec![self.compare(BEFORE), self.plain(NULL)],
        }
    }

    fn can_be_null(&self) -> bool {
        matches!(self.key.field, SortField::Status | SortField::First | SortField::Second)
    }

    /// The last two keys as one comparison: of a time, and of the id.
    fn pair(&self, last: &Self) -> SqlCondition {
        let by_index = self.columns == Columns::Index;
        let piece = match (self.key.field, by_index, self.key.descending) {
            (SortField::UpdatedAt, _, false) => CHANGED_BEHIND,
            (SortField::UpdatedAt, _, true) => CHANGED_BEFORE,
            (_, false, false) => PAIR_BEHIND,
            (_, false, true) => PAIR_BEFORE,
            (_, true, false) => INDEX_PAIR_BEHIND,
            (_, true, true) => INDEX_PAIR_BEFORE,
        };
        SqlCondition::Is(piece, vec![arg_of(self.value), arg_of(last.value)])
    }
}
