//! Statements of lists: the one kind of SQL that is put together at run time, and only of constants.
//!
//! Invariants
//! - Rows come from `{head} AND ({conditions}) {order} LIMIT {most}`, whatever is asked of them afterwards. The head binds
//!   the tenant first, and no piece can leave its parentheses.
//! - What is read is bounded where it is read: the conditions of a [`RowScan`] are those that an index seeks by, so the
//!   LIMIT beside them bounds the rows that are read. Every other condition is asked of the rows that came through it.
//! - A piece that names a table binds it to the tenant by `?1`; one that does not is a compile error. Values from outside
//!   are bound, never written into the text.
//! - Only a head may search the full-text index, and it joins the row numbers found with rows that it binds to the tenant.
//! - `?1` is the tenant. Heads use `?2` and the following by number; pieces use plain `?`, in the order they are written.

use super::sql::{Arg, StorageError, contains, count};

/// Most values that a statement binds; D1 allows 100.
pub const MAX_ARGS: usize = 90;

/// How a head that searches begins. CROSS JOIN makes SQLite run the search first.
const SEARCH: &str = "FROM (SELECT rowid FROM record_search WHERE record_search MATCH ?3) w CROSS JOIN records r ";

/// The beginning of a list's statement: what is selected, from where, and for which tenant.
#[derive(Debug, Clone, Copy)]
pub struct ListHead(&'static str);

impl ListHead {
    /// Checked while compiling: it ends in a WHERE that binds the tenant.
    pub const fn new(text: &'static str) -> Self {
        let binds = contains(text, "WHERE r.tenant_id = ?1 AND ") && !contains(text, " OR ");
        assert!(binds, "the head does not bind its tenant");
        assert!(is_balanced(text), "the head leaves parentheses open");
        let searches = contains(text, "record_search");
        assert!(
            !searches || (contains(text, SEARCH) && contains(text, "r.number = w.rowid")),
            "the head reads an index"
        );
        Self(text)
    }

    /// The SQL.
    pub const fn text(&self) -> &'static str {
        self.0
    }
}

/// A condition, or a part of ORDER BY.
#[derive(Debug, Clone, Copy)]
pub struct SqlPiece(&'static str);

impl SqlPiece {
    /// Checked while compiling: its parentheses are balanced, and it binds each table that it names.
    pub const fn new(text: &'static str) -> Self {
        assert!(is_balanced(text), "the piece leaves parentheses open");
        let others =
            count(text, "FROM json_each(") + count(text, "DISTINCT FROM ") + count(text, "FROM (SELECT 1 FROM ");
        let tables = count(text, "FROM ") + count(text, "JOIN ") - others;
        assert!(tables <= count(text, "tenant_id = ?1"), "the piece does not bind its table");
        assert!(!contains(text, ";") && !contains(text, "--"), "the piece is more than a condition");
        Self(text)
    }

    /// The SQL.
    pub const fn text(&self) -> &'static str {
        self.0
    }
}

/// Declares a module's heads and pieces and lists them as `HEADS` and `PIECES`, which the statement lint reads.
#[macro_export]
macro_rules! composed {
    (heads { $($(#[$head_doc:meta])* $head:ident = $head_text:literal;)* }
     pieces { $($(#[$doc:meta])* $name:ident = $text:literal;)+ }) => {
        $($(#[$head_doc])* const $head: $crate::storage::composed::ListHead = $crate::storage::composed::ListHead::new($head_text);)*
        $($(#[$doc])* const $name: $crate::storage::composed::SqlPiece = $crate::storage::composed::SqlPiece::new($text);)+
        /// The heads of this module, by name.
        pub const HEADS: &[(&str, $crate::storage::composed::ListHead)] = &[$((stringify!($head), $head)),*];
        /// The pieces of this module, by name.
        pub const PIECES: &[(&str, $crate::storage::composed::SqlPiece)] = &[$((stringify!($name), $name)),+];
    };
}
pub use crate::composed;

/// A WHERE clause, built of pieces.
#[derive(Debug, Clone)]
pub enum SqlCondition {
    /// One piece and its values.
    Is(SqlPiece, Vec<Arg>),
    /// Two pieces: the operand, then the comparison with its values.
    Compare(SqlPiece, SqlPiece, Vec<Arg>),
    /// Every part holds; true without parts.
    All(Vec<SqlCondition>),
    /// Some part holds; false without parts.
    Any(Vec<SqlCondition>),
    /// The part does not hold.
    Not(Box<SqlCondition>),
}

impl SqlCondition {
    /// How many comparisons it makes at most.
    pub fn comparisons(&self) -> usize {
        match self {
            Self::Is(..) | Self::Compare(..) => 1,
            Self::All(parts) | Self::Any(parts) => parts.iter().map(Self::comparisons).sum(),
            Self::Not(part) => part.comparisons(),
        }
    }

    fn write(self, text: &mut String, args: &mut Vec<Arg>) {
        let (parts, separator, empty) = match self {
            Self::Is(piece, values) => {
                text.push_str(piece.text());
                return args.extend(values);
            }
            Self::Compare(operand, comparison, values) => {
                text.push_str(operand.text());
                text.push(' ');
                text.push_str(comparison.text());
                return args.extend(values);
            }
            Self::Not(inner) => {
                text.push_str("NOT ");
                return Self::All(vec![*inner]).write(text, args);
            }
            Self::All(parts) => (parts, " AND ", "1"),
            Self::Any(parts) => (parts, " OR ", "0"),
        };
        text.push('(');
        for (i, part) in parts.into_iter().enumerate() {
            text.push_str(if i == 0 { "" } else { separator });
            part.write(text, args);
        }
        text.push_str(if text.ends_with('(') { empty } else { "" });
        text.push(')');
    }
}

/// LIMIT and OFFSET.
#[derive(Debug, Clone, Copy)]
pub struct RowRange {
    /// Most rows.
    pub limit: i64,
    /// Rows that are skipped.
    pub offset: i64,
}

/// The rows that a statement reads: some part of an index, at most so many rows.
#[derive(Debug, Clone)]
pub struct RowScan<'a> {
    /// The head.
    pub head: ListHead,
    /// Its values from `?2` on.
    pub args: Vec<Arg>,
    /// Ranges of the index, read one behind the other. An index must seek by all of each: a condition that is asked of rows
    /// which the index leads to would be asked of rows beyond the bound.
    pub ranges: Vec<SqlCondition>,
    /// An order that the index has.
    pub order: &'a [SqlPiece],
    /// Most rows.
    pub most: i64,
    /// Nothing is read unless this holds.
    pub when: Option<SqlCondition>,
}

impl RowScan<'_> {
    /// The number of the parameter that holds `most`: the first behind the head's.
    fn bound(&self) -> String {
        format!("?{}", self.args.len() + 2)
    }

    /// Writes the sub-select. What stands before it must have named the parameter of the bound.
    fn write(self, text: &mut String, args: &mut Vec<Arg>) {
        let bound = self.bound();
        let ranges = self.ranges.len();
        text.push_str(if ranges == 1 { "(" } else { "(SELECT * FROM (" });
        for (i, range) in self.ranges.into_iter().enumerate() {
            text.push_str(match (i, ranges) {
                (_, 1) => "",
                (0, _) => "SELECT * FROM (",
                _ => " UNION ALL SELECT * FROM (",
            });
            text.push_str(self.head.text());
            text.push_str(" AND ");
            SqlCondition::All(vec![range]).write(text, args);
            write_order(text, self.order);
            match self.when.clone() {
                None => text.push_str(&format!(" LIMIT {bound}")),
                Some(when) => {
                    text.push_str(" LIMIT CASE WHEN ");
                    when.write(text, args);
                    text.push_str(&format!(" THEN {bound} ELSE 0 END"));
                }
            }
            text.push_str(if ranges == 1 { "" } else { ")" });
        }
        text.push_str(&if ranges == 1 { ")".to_owned() } else { format!(") LIMIT {bound})") });
    }
}

/// The order that a page is in, and what its rows are asked.
#[derive(Debug, Clone)]
pub enum PageOrder<'a> {
    /// The index's own: reading ends with the page.
    AsRead,
    /// Another one: what was read is sorted.
    Sorted(&'a [SqlPiece]),
}

fn write_order(text: &mut String, order: &[SqlPiece]) {
    for (i, part) in order.iter().enumerate() {
        text.push_str(if i == 0 { " ORDER BY " } else { ", " });
        text.push_str(part.text());
    }
}

/// A list's statement and its values.
#[derive(Debug, Clone)]
pub struct ListStatement {
    text: String,
    args: Vec<Arg>,
}

impl ListStatement {
    /// The page of the rows of a scan that meet a condition. `matches` says whether a row does: one that does not is there
    /// only as the last row that was read. `scanned` says how many rows were read: up to this one where rows come as they
    /// are read, else all together. `TooComplex` if the statement would bind too many values.
    pub fn page(
        scan: RowScan<'_>,
        condition: SqlCondition,
        order: &PageOrder<'_>,
        range: RowRange,
    ) -> Result<Self, StorageError> {
        let (bound, most) = (scan.bound(), scan.most);
        let mut args = scan.args.clone();
        args.push(Arg::Integer(most));
        let mut text = format!("SELECT * FROM (SELECT r.*, r.place = {bound} AS is_last, ");
        SqlCondition::All(vec![condition]).write(&mut text, &mut args);
        text.push_str(match order {
            PageOrder::AsRead => {
                " AS matches, r.place AS scanned FROM (SELECT q.*, row_number() OVER () AS place FROM "
            }
            PageOrder::Sorted(_) => {
                " AS matches FROM (SELECT q.*, row_number() OVER () AS place, count(*) OVER () AS scanned FROM "
            }
        });
        scan.write(&mut text, &mut args);
        text.push_str(" q) r) r WHERE r.matches OR r.is_last");
        if let PageOrder::Sorted(order) = order {
            text.push_str(" ORDER BY r.matches IS TRUE DESC");
            for part in *order {
                text.push_str(", ");
                text.push_str(part.text());
            }
        }
        Self { text, args }.ranged(range)
    }

    /// The page of the rows of a scan, as they are read.
    pub fn page_of_all(scan: RowScan<'_>, range: RowRange) -> Result<Self, StorageError> {
        let mut args = scan.args.clone();
        args.push(Arg::Integer(scan.most));
        // The bound is named before the ranges, so that their parameters are counted from it.
        let mut text = format!("SELECT q.*, 1 AS matches, min(0, {}) AS scanned FROM ", scan.bound());
        scan.write(&mut text, &mut args);
        text.push_str(" q");
        Self { text, args }.ranged(range)
    }

    /// How many rows of a scan meet a condition: `total`; and how many were read: `scanned`.
    pub fn count(scan: RowScan<'_>, condition: SqlCondition) -> Result<Self, StorageError> {
        let mut args = scan.args.clone();
        args.push(Arg::Integer(scan.most));
        let mut text = format!(
            "SELECT COALESCE(sum(r.matches), 0) AS total, count(*) AS scanned, count(*) >= {} AS is_cut FROM (SELECT ",
            scan.bound()
        );
        SqlCondition::All(vec![condition]).write(&mut text, &mut args);
        text.push_str(" AS matches FROM ");
        scan.write(&mut text, &mut args);
        text.push_str(" r) r");
        Self { text, args }.checked()
    }

    fn ranged(mut self, RowRange { limit, offset }: RowRange) -> Result<Self, StorageError> {
        self.text.push_str(" LIMIT ? OFFSET ?");
        self.args.extend([Arg::Integer(limit), Arg::Integer(offset)]);
        self.checked()
    }

    fn checked(self) -> Result<Self, StorageError> {
        if self.args.len() >= MAX_ARGS { Err(StorageError::TooComplex) } else { Ok(self) }
    }

    /// The same statement, which ends behind the rows whose `data` has this many bytes together: the first row always
    /// stands, so that whoever goes on comes further. `page_rows` says how many rows there were before.
    #[must_use]
    pub fn within_bytes(mut self, most: i64) -> Self {
        self.text = format!(
            "SELECT * FROM (SELECT p.*, count(*) OVER () AS page_rows, length(CAST(p.data AS BLOB)) AS row_bytes, \
             sum(length(CAST(p.data AS BLOB))) OVER (ROWS UNBOUNDED PRECEDING) AS page_bytes FROM ({}) p) \
             WHERE page_bytes <= ? OR page_bytes = row_bytes",
            self.text
        );
        self.args.push(Arg::Integer(most));
        self
    }

    /// The SQL.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The values from `?2` on.
    pub fn args(&self) -> &[Arg] {
        &self.args
    }

    pub(super) fn into_parts(self) -> (String, Vec<Arg>) {
        (self.text, self.args)
    }
}

const fn is_balanced(text: &str) -> bool {
    let (mut rest, mut open) = (text.as_bytes(), 0_usize);
    while let Some((first, after)) = rest.split_first() {
        match *first {
            b'(' => open += 1,
            b')' if open == 0 => return false,
            b')' => open -= 1,
            _ => {}
        }
        rest = after;
    }
    open == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: ListHead = ListHead::new("SELECT r.id FROM records r WHERE r.tenant_id = ?1 AND r.collection = ?2");
    const ID: SqlPiece = SqlPiece::new("r.id = ?");
    const NEWEST: SqlPiece = SqlPiece::new("r.created_at DESC");

    fn is(id: &str) -> SqlCondition {
        SqlCondition::Is(ID, vec![id.into()])
    }

    fn scan(ranges: Vec<SqlCondition>) -> RowScan<'static> {
        RowScan { head: HEAD, args: vec!["leads".into()], ranges, order: &[NEWEST], most: 9, when: None }
    }

    const RANGE: RowRange = RowRange { limit: 5, offset: 0 };

    #[test]
    fn what_is_asked_of_rows_stands_outside_of_what_reads_them() {
        let any = SqlCondition::Any(vec![is("a"), SqlCondition::Not(Box::new(is("b")))]);
        let page = ListStatement::page(scan(vec![is("c")]), any, &PageOrder::AsRead, RANGE).unwrap();
        let read = "(SELECT r.id FROM records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND (r.id = ?) ORDER BY r.created_at DESC LIMIT ?3)";
        assert_eq!(
            page.text(),
            format!(
                "SELECT * FROM (SELECT r.*, r.place = ?3 AS is_last, ((r.id = ? OR NOT (r.id = ?))) AS matches, r.place AS scanned \
                 FROM (SELECT q.*, row_number() OVER () AS place FROM {read} q) r) r WHERE r.matches OR r.is_last LIMIT ? OFFSET ?"
            )
        );
        // The collection and the bound, then the values as they stand in the text.
        let args = format!("{:?}", page.args());
        assert_eq!(args, r#"[Text("leads"), Integer(9), Text("a"), Text("b"), Text("c"), Integer(5), Integer(0)]"#);
    }

    #[test]
    fn every_range_has_the_bound_and_so_have_all_together() {
        let page = ListStatement::page_of_all(scan(vec![is("a"), is("b")]), RANGE).unwrap();
        assert_eq!(page.text().matches(" LIMIT ?3").count(), 3, "{}", page.text());
        assert_eq!(page.text().matches(" UNION ALL ").count(), 1);
        let when = Some(SqlCondition::Not(Box::new(is("c"))));
        let count = ListStatement::count(RowScan { when, ..scan(vec![is("a")]) }, is("b")).unwrap();
        assert!(count.text().contains(" LIMIT CASE WHEN NOT (r.id = ?) THEN ?3 ELSE 0 END)"), "{}", count.text());
    }

    #[test]
    fn no_condition_is_true_and_no_alternative_is_false() {
        let text = |condition| ListStatement::count(scan(vec![condition]), is("a")).unwrap().text().to_owned();
        assert!(text(SqlCondition::All(vec![])).contains(" AND ((1)) ORDER"));
        assert!(text(SqlCondition::Any(vec![])).contains(" AND ((0)) ORDER"));
    }

    #[test]
    fn too_many_values_are_refused() {
        let many = SqlCondition::Any(vec![is("a"); MAX_ARGS]);
        assert!(matches!(ListStatement::count(scan(vec![many]), is("a")), Err(StorageError::TooComplex)));
    }

    #[test]
    fn parentheses() {
        assert!(is_balanced("a (b) (c (d))"));
        assert!(!is_balanced("a) OR (b"));
        assert!(!is_balanced("(a"));
    }
}
