//! The order of a list, and the place in it where a page ended.
//!
//! Invariants
//! - Every order ends with the record's id: no two records stand at the same place, so a page that begins behind a
//!   place begins at the same record, whatever was written meanwhile.
//! - A list is sorted by what an index holds in order, or not at all.

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
        /// Records as they lie.
        PLAIN = "SELECT r.id, r.version, r.status, r.data, r.created_at, r.updated_at, r.created_by, r.updated_by, r.deleted_at, NULL AS sort_1, NULL AS sort_2 FROM records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.deleted_at IS NULL";
        /// Records that were deleted and are kept.
        DELETED = "SELECT r.id, r.version, r.status, r.data, r.created_at, r.updated_at, r.created_by, r.updated_by, r.deleted_at, NULL AS sort_1, NULL AS sort_2 FROM records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.deleted_at IS NOT NULL";
        /// Records as the index of the field ?3 has them.
        INDEXED = "SELECT r.id, r.version, r.status, r.data, r.created_at, r.updated_at, r.created_by, r.updated_by, r.deleted_at, s.value AS sort_1, NULL AS sort_2 FROM record_index s CROSS JOIN records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.id = s.record_id AND r.deleted_at IS NULL AND s.tenant_id = ?1 AND s.collection = ?2 AND s.field = ?3";
        /// And within equal values as the index of the field ?4 has them.
        INDEXED_TWICE = "SELECT r.id, r.version, r.status, r.data, r.created_at, r.updated_at, r.created_by, r.updated_by, r.deleted_at, s.value AS sort_1, u.value AS sort_2 FROM record_index s CROSS JOIN records r CROSS JOIN record_index u WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.id = s.record_id AND r.deleted_at IS NULL AND s.tenant_id = ?1 AND s.collection = ?2 AND s.field = ?3 AND u.tenant_id = ?1 AND u.collection = ?2 AND u.record_id = s.record_id AND u.field = ?4";
        /// Records that the search ?3 finds.
        SEARCHED = "SELECT r.id, r.version, r.status, r.data, r.created_at, r.updated_at, r.created_by, r.updated_by, r.deleted_at, NULL AS sort_1, NULL AS sort_2 FROM (SELECT rowid FROM record_search WHERE record_search MATCH ?3) w CROSS JOIN records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.number = w.rowid AND r.deleted_at IS NULL";
        /// And what the index has of their field ?4.
        SEARCHED_BY = "SELECT r.id, r.version, r.status, r.data, r.created_at, r.updated_at, r.created_by, r.updated_by, r.deleted_at, s.value AS sort_1, NULL AS sort_2 FROM (SELECT rowid FROM record_search WHERE record_search MATCH ?3) w CROSS JOIN records r CROSS JOIN record_index s WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.number = w.rowid AND r.deleted_at IS NULL AND s.tenant_id = ?1 AND s.collection = ?2 AND s.record_id = r.id AND s.field = ?4";
        /// And of their field ?5.
        SEARCHED_TWICE = "SELECT r.id, r.version, r.status, r.data, r.created_at, r.updated_at, r.created_by, r.updated_by, r.deleted_at, s.value AS sort_1, u.value AS sort_2 FROM (SELECT rowid FROM record_search WHERE record_search MATCH ?3) w CROSS JOIN records r CROSS JOIN record_index s CROSS JOIN record_index u WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.number = w.rowid AND r.deleted_at IS NULL AND s.tenant_id = ?1 AND s.collection = ?2 AND s.record_id = r.id AND s.field = ?4 AND u.tenant_id = ?1 AND u.collection = ?2 AND u.record_id = r.id AND u.field = ?5";
    }
    pieces {
        /// What is sorted by.
        ID = "r.id";
        STATUS = "r.status";
        VERSION = "r.version";
        CREATED_AT = "r.created_at";
        UPDATED_AT = "r.updated_at";
        INDEX_ID = "s.record_id";
        INDEX_CREATED_AT = "s.created_at";
        FIRST = "s.value";
        SECOND = "u.value";
        /// The same from its end.
        ID_DOWN = "r.id DESC";
        STATUS_DOWN = "r.status DESC";
        VERSION_DOWN = "r.version DESC";
        CREATED_AT_DOWN = "r.created_at DESC";
        UPDATED_AT_DOWN = "r.updated_at DESC";
        INDEX_ID_DOWN = "s.record_id DESC";
        INDEX_CREATED_AT_DOWN = "s.created_at DESC";
        FIRST_DOWN = "s.value DESC";
        SECOND_DOWN = "u.value DESC";
        /// Where a record stands beside a place.
        AT = "IS NOT DISTINCT FROM ?";
        BEHIND = "> ?";
        NOT_BEFORE = ">= ?";
        BEFORE = "< ?";
        NOT_BEHIND = "<= ?";
        NOT_NULL = "IS NOT NULL";
        NULL = "IS NULL";
        /// The two keys that most lists end with, as one.
        PAIR_BEHIND = "(r.created_at, r.id) > (?, ?)";
        PAIR_BEFORE = "(r.created_at, r.id) < (?, ?)";
        CHANGED_BEHIND = "(r.updated_at, r.id) > (?, ?)";
        CHANGED_BEFORE = "(r.updated_at, r.id) < (?, ?)";
        INDEX_PAIR_BEHIND = "(s.created_at, s.record_id) > (?, ?)";
        INDEX_PAIR_BEFORE = "(s.created_at, s.record_id) < (?, ?)";
    }
}

/// Most keys that somebody asks for.
const MAX_KEYS: usize = 4;
/// Most of them that are fields of the record's own.
const MAX_FIELDS: usize = 2;

/// Where a list looks first.
#[derive(Debug, Clone)]
pub enum RowSource {
    /// At the records that are there.
    Kept,
    /// At those that were deleted and are kept.
    Deleted,
    /// At the index of this field, of which one value is asked for: such a list is in the order of creation.
    Field(String),
    /// At what this search finds in the words' index.
    Search(String),
}

/// What is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SortField {
    Id,
    Status,
    Version,
    CreatedAt,
    UpdatedAt,
    /// The first field, by its index.
    First,
    /// The second.
    Second,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SortKey {
    by: SortField,
    down: bool,
}

/// An order.
#[derive(Debug, Clone)]
pub struct SortOrder {
    keys: Vec<SortKey>,
    /// The fields it sorts by.
    fields: Vec<String>,
}

impl SortOrder {
    /// Reads `sort`: names with a comma between them, `-` before one for the other way round. Newest first without.
    pub fn read(collection: &Collection, text: Option<&str>) -> Result<Self, Problem> {
        let mut order = Self { keys: Vec::new(), fields: Vec::new() };
        for name in text.into_iter().flat_map(|text| text.split(',')).map(str::trim).filter(|name| !name.is_empty()) {
            let (name, down) =
                name.strip_prefix('-').map_or((name.trim_start_matches('+'), false), |name| (name, true));
            let by = order.by(collection, name)?;
            if order.keys.iter().any(|key| key.by == by) || order.keys.len() == MAX_KEYS {
                let invalid = Invalid::new("invalid_sort", format!("must be at most {MAX_KEYS} different names"));
                return Err(problem::invalid_query("sort", invalid));
            }
            order.keys.push(SortKey { by, down });
        }
        order.end();
        Ok(order)
    }

    fn by(&mut self, collection: &Collection, name: &str) -> Result<SortField, Problem> {
        match name {
            "id" => return Ok(SortField::Id),
            "status" if collection.statuses.is_some() => return Ok(SortField::Status),
            "version" => return Ok(SortField::Version),
            "created_at" => return Ok(SortField::CreatedAt),
            "updated_at" => return Ok(SortField::UpdatedAt),
            _ => {}
        }
        let invalid = |code, message: String| problem::invalid_query("sort", Invalid::new(code, message));
        let field = collection.schema.field(name);
        let field = field.ok_or_else(|| invalid("unknown_field", format!("{name} is no field of this collection")))?;
        if !field.is_indexed || !field.kind.is_scalar() {
            return Err(invalid("not_sortable", format!("{name} is not an indexed field with one value")));
        }
        if !collection.is_ready(field) {
            return Err(problem::index_building("sort"));
        }
        match self.fields.iter().position(|known| known == name) {
            Some(0) => return Ok(SortField::First),
            Some(_) => return Ok(SortField::Second),
            None => {}
        }
        if self.fields.len() == MAX_FIELDS {
            return Err(invalid("invalid_sort", format!("must name at most {MAX_FIELDS} fields of the record's own")));
        }
        self.fields.push(name.to_owned());
        Ok(if self.fields.len() == 1 { SortField::First } else { SortField::Second })
    }

    /// What nobody asked for and every order ends with; behind the id there is nothing left to sort.
    fn end(&mut self) {
        if let Some(at) = self.keys.iter().position(|key| key.by == SortField::Id) {
            self.keys.truncate(at + 1);
            let fields = self.keys.iter().filter(|key| matches!(key.by, SortField::First | SortField::Second)).count();
            return self.fields.truncate(fields);
        }
        let down = self.keys.last().is_none_or(|key| key.down);
        if !self.keys.iter().any(|key| matches!(key.by, SortField::CreatedAt | SortField::UpdatedAt)) {
            self.keys.push(SortKey { by: SortField::CreatedAt, down });
        }
        self.keys.push(SortKey { by: SortField::Id, down });
    }

    /// The order in one spelling.
    pub fn canonical(&self) -> String {
        let name = |key: &SortKey| match key.by {
            SortField::Id => "id",
            SortField::Status => "status",
            SortField::Version => "version",
            SortField::CreatedAt => "created_at",
            SortField::UpdatedAt => "updated_at",
            SortField::First => self.fields.first().map_or("", String::as_str),
            SortField::Second => self.fields.get(1).map_or("", String::as_str),
        };
        let each = self.keys.iter().map(|key| format!("{}{}", if key.down { "-" } else { "" }, name(key)));
        each.collect::<Vec<_>>().join(",")
    }

    /// Whether it is the order of creation, whichever way: a field of which one value is asked for may lead it.
    pub fn is_by_creation(&self) -> bool {
        self.fields.is_empty() && matches!(self.keys.as_slice(), [first, _] if first.by == SortField::CreatedAt)
    }

    /// The head of such a list, its arguments from `?3` on, and what is sorted by.
    pub fn head(&self, source: &RowSource) -> Result<(ListHead, Vec<Arg>, Vec<SqlPiece>), Problem> {
        let (head, first) = match (source, self.fields.len()) {
            (RowSource::Kept, 0) => (PLAIN, None),
            (RowSource::Deleted, 0) => (DELETED, None),
            (RowSource::Deleted, _) => {
                let message = "must name no field of the record's own for deleted records";
                return Err(problem::invalid_query("sort", Invalid::new("not_sortable", message)));
            }
            (RowSource::Field(field), 0) => (INDEXED, Some(field)),
            (RowSource::Kept | RowSource::Field(_), 1) => (INDEXED, None),
            (RowSource::Kept | RowSource::Field(_), _) => (INDEXED_TWICE, None),
            (RowSource::Search(search), 0) => (SEARCHED, Some(search)),
            (RowSource::Search(search), 1) => (SEARCHED_BY, Some(search)),
            (RowSource::Search(search), _) => (SEARCHED_TWICE, Some(search)),
        };
        let args = first.into_iter().chain(&self.fields).map(|arg| arg.as_str().into()).collect();
        let by_index = self.is_by_index(source);
        Ok((head, args, self.keys.iter().map(|key| key.piece(by_index)).collect()))
    }

    /// Whether times and ids are read from the index of a field.
    fn is_by_index(&self, source: &RowSource) -> bool {
        !self.fields.is_empty() || matches!(source, RowSource::Field(_))
    }

    /// The place of a record: the values of its keys.
    pub fn place(&self, row: &KeysetRow<'_>) -> Value {
        Value::from(self.keys.iter().map(|key| row.value(key.by)).collect::<Vec<_>>())
    }

    /// What holds for the records behind a place; none if the place is of another order.
    pub fn behind(&self, place: &Value, source: &RowSource) -> Option<SqlCondition> {
        let values = place.as_array().filter(|values| values.len() == self.keys.len())?;
        let by_index = self.is_by_index(source);
        let stands: Vec<KeysetTerm<'_>> =
            self.keys.iter().zip(values).map(|(key, value)| KeysetTerm { key: *key, value, by_index }).collect();
        let (last, before) = stands.split_last()?;
        // The last two keys are one comparison where an index has them side by side.
        let (ends, before) = match before.split_last() {
            Some((time, before)) if time.pairs_with(last) => (vec![time.pair(last)], before),
            _ => (vec![last.behind()?], before),
        };
        let mut ways = Vec::with_capacity(stands.len());
        for (i, stand) in before.iter().enumerate() {
            let equal = before.iter().take(i).map(KeysetTerm::at);
            ways.extend(stand.behind().map(|behind| SqlCondition::All(equal.chain([behind]).collect())));
        }
        ways.push(SqlCondition::All(before.iter().map(KeysetTerm::at).chain(ends).collect()));
        let bound = before.first().and_then(KeysetTerm::bound);
        Some(SqlCondition::All(bound.into_iter().chain([SqlCondition::Any(ways)]).collect()))
    }
}

/// What a list's row says of its place.
pub struct KeysetRow<'r> {
    /// Its id.
    pub id: &'r str,
    /// Its status.
    pub status: Option<&'r str>,
    /// Its version.
    pub version: i64,
    /// When it was created.
    pub created_at: i64,
    /// When it changed last.
    pub updated_at: i64,
    /// The value of the first field that is sorted by.
    pub first: &'r Value,
    /// And of the second.
    pub second: &'r Value,
}

impl KeysetRow<'_> {
    fn value(&self, by: SortField) -> Value {
        match by {
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
    fn piece(self, by_index: bool) -> SqlPiece {
        match (self.by, by_index, self.down) {
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
            (SortField::First, _, false) => FIRST,
            (SortField::First, _, true) => FIRST_DOWN,
            (SortField::Second, _, false) => SECOND,
            (SortField::Second, _, true) => SECOND_DOWN,
        }
    }
}

/// A key, and its value at a place.
struct KeysetTerm<'v> {
    key: SortKey,
    value: &'v Value,
    by_index: bool,
}

impl KeysetTerm<'_> {
    fn operand(&self) -> SqlPiece {
        SortKey { down: false, ..self.key }.piece(self.by_index)
    }

    fn compare(&self, comparison: SqlPiece) -> SqlCondition {
        SqlCondition::Compare(self.operand(), comparison, vec![arg_of(self.value)])
    }

    fn at(&self) -> SqlCondition {
        self.compare(AT)
    }

    /// Behind the place by this key alone; none if nothing can be. NULL is before everything.
    fn behind(&self) -> Option<SqlCondition> {
        let plain = |piece| Some(SqlCondition::Compare(self.operand(), piece, Vec::new()));
        match (self.value.is_null(), self.key.down) {
            (true, false) => plain(NOT_NULL),
            (true, true) => None,
            (false, false) => Some(self.compare(BEHIND)),
            (false, true) if self.can_be_null() => Some(SqlCondition::Any(vec![
                self.compare(BEFORE),
                SqlCondition::Compare(self.operand(), NULL, Vec::new()),
            ])),
            (false, true) => Some(self.compare(BEFORE)),
        }
    }

    /// What an index can begin at: nothing behind the place lies before it.
    fn bound(&self) -> Option<SqlCondition> {
        match (self.value.is_null(), self.key.down) {
            (true, _) => None,
            (false, false) => Some(self.compare(NOT_BEFORE)),
            (false, true) if self.can_be_null() => None,
            (false, true) => Some(self.compare(NOT_BEHIND)),
        }
    }

    fn can_be_null(&self) -> bool {
        matches!(self.key.by, SortField::Status | SortField::First | SortField::Second)
    }

    fn pairs_with(&self, last: &Self) -> bool {
        last.key.by == SortField::Id
            && self.key.down == last.key.down
            && (self.key.by == SortField::CreatedAt || (self.key.by == SortField::UpdatedAt && !self.by_index))
    }

    fn pair(&self, last: &Self) -> SqlCondition {
        let piece = match (self.key.by, self.by_index, self.key.down) {
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
