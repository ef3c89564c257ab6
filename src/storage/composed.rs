//! Statements of lists, put together at run time of pieces that are constants.
//!
//! Invariants
//! - A statement is `{head} AND ({conditions}) {order}`: the head binds the tenant before anything else is said, and
//!   no piece can leave its parentheses.
//! - A piece that names a table binds it to the tenant by `?1`; the compiler refuses one that does not. What comes
//!   from outside is bound, never written.
//! - A search of the full-text index stands in a head only, and gives nothing but numbers of rows that the head binds.
//! - `?1` is the tenant. Heads take `?2` and what follows by number, pieces take theirs in the order they stand.

use super::sql::{Arg, StorageError, contains, count};

/// Most values that a statement binds; D1 takes 100.
pub const MAX_ARGS: usize = 90;

/// How a head begins with a search; SQLite keeps to the order of a CROSS JOIN.
const SEARCH: &str = "FROM (SELECT rowid FROM record_search WHERE record_search MATCH ?3) w CROSS JOIN records r ";

/// What stands before the conditions: what is selected, from where, and the tenant.
#[derive(Debug, Clone, Copy)]
pub struct ListHead(&'static str);

impl ListHead {
    /// Checked while compiling: it ends inside a condition that binds the tenant.
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

    /// The text.
    pub const fn text(&self) -> &'static str {
        self.0
    }
}

/// A condition, or a part of an order.
#[derive(Debug, Clone, Copy)]
pub struct SqlPiece(&'static str);

impl SqlPiece {
    /// Checked while compiling: it closes what it opens, and binds each table it names.
    pub const fn new(text: &'static str) -> Self {
        assert!(is_balanced(text), "the piece leaves parentheses open");
        let others = count(text, "FROM json_each(") + count(text, "DISTINCT FROM ");
        let tables = count(text, "FROM ") + count(text, "JOIN ") - others;
        assert!(tables <= count(text, "tenant_id = ?1"), "the piece does not bind its table");
        assert!(!contains(text, ";") && !contains(text, "--"), "the piece is more than a condition");
        Self(text)
    }

    /// The text.
    pub const fn text(&self) -> &'static str {
        self.0
    }
}

/// Declares a module's heads and pieces, and lists them as `HEADS` and `PIECES`, which the statement lint reads.
#[macro_export]
macro_rules! composed {
    (heads { $($(#[$head_doc:meta])* $head:ident = $head_text:literal;)* }
     pieces { $($(#[$doc:meta])* $name:ident = $text:literal;)+ }) => {
        $($(#[$head_doc])* const $head: $crate::storage::composed::ListHead = $crate::storage::composed::ListHead::new($head_text);)*
        $($(#[$doc])* const $name: $crate::storage::composed::SqlPiece = $crate::storage::composed::SqlPiece::new($text);)+
        /// Every head of this module, by name.
        pub const HEADS: &[(&str, $crate::storage::composed::ListHead)] = &[$((stringify!($head), $head)),*];
        /// Every piece of this module, by name.
        pub const PIECES: &[(&str, $crate::storage::composed::SqlPiece)] = &[$((stringify!($name), $name)),+];
    };
}
pub use crate::composed;

/// What a list asks of its rows.
#[derive(Debug, Clone)]
pub enum SqlCondition {
    /// One piece, with its values.
    Is(SqlPiece, Vec<Arg>),
    /// One piece behind another: what is compared, and how.
    Compare(SqlPiece, SqlPiece, Vec<Arg>),
    /// All of them; of none it holds.
    All(Vec<SqlCondition>),
    /// One of them; of none it does not hold.
    Any(Vec<SqlCondition>),
    /// Not so.
    Not(Box<SqlCondition>),
}

impl SqlCondition {
    fn write(self, text: &mut String, args: &mut Vec<Arg>) {
        let (parts, word, none) = match self {
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
            text.push_str(if i == 0 { "" } else { word });
            part.write(text, args);
        }
        text.push_str(if text.ends_with('(') { none } else { "" });
        text.push(')');
    }
}

/// How many rows, and from where.
#[derive(Debug, Clone, Copy)]
pub struct RowRange {
    /// At most so many.
    pub limit: i64,
    /// Behind so many.
    pub offset: i64,
}

/// A statement that was put together.
#[derive(Debug, Clone)]
pub struct ListStatement {
    text: String,
    args: Vec<Arg>,
}

impl ListStatement {
    /// Puts a statement together; `args` are those of the head from `?2` on. Too many values are refused.
    pub fn new(
        head: ListHead,
        args: Vec<Arg>,
        condition: SqlCondition,
        order: &[SqlPiece],
        bound: Option<RowRange>,
    ) -> Result<Self, StorageError> {
        let (mut text, mut args) = (format!("{} AND ", head.text()), args);
        condition.write(&mut text, &mut args);
        for (i, part) in order.iter().enumerate() {
            text.push_str(if i == 0 { " ORDER BY " } else { ", " });
            text.push_str(part.text());
        }
        if let Some(RowRange { limit, offset }) = bound {
            text.push_str(" LIMIT ? OFFSET ?");
            args.extend([Arg::Integer(limit), Arg::Integer(offset)]);
        }
        if args.len() >= MAX_ARGS {
            return Err(StorageError::TooComplex);
        }
        Ok(Self { text, args })
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

    #[test]
    fn conditions_stand_in_parentheses_and_values_in_order() {
        let any = SqlCondition::Any(vec![is("a"), SqlCondition::Not(Box::new(is("b")))]);
        let condition = SqlCondition::All(vec![any, is("c")]);
        let bound = Some(RowRange { limit: 5, offset: 0 });
        let composed = ListStatement::new(HEAD, vec!["leads".into()], condition, &[NEWEST], bound).unwrap();
        assert_eq!(
            composed.text(),
            "SELECT r.id FROM records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND \
             ((r.id = ? OR NOT (r.id = ?)) AND r.id = ?) ORDER BY r.created_at DESC LIMIT ? OFFSET ?"
        );
        assert_eq!(format!("{:?}", composed.args()).matches("Text").count(), 4);
    }

    #[test]
    fn nothing_asked_is_all_and_no_choice_is_none() {
        let text = |condition| ListStatement::new(HEAD, vec![], condition, &[], None).unwrap().text().to_owned();
        assert!(text(SqlCondition::All(vec![])).ends_with("AND (1)"));
        assert!(text(SqlCondition::Any(vec![])).ends_with("AND (0)"));
    }

    #[test]
    fn too_many_values_are_refused() {
        let many = SqlCondition::Any(vec![is("a"); MAX_ARGS]);
        assert!(matches!(ListStatement::new(HEAD, vec![], many, &[], None), Err(StorageError::TooComplex)));
    }

    #[test]
    fn parentheses() {
        assert!(is_balanced("a (b) (c (d))"));
        assert!(!is_balanced("a) OR (b"));
        assert!(!is_balanced("(a"));
    }
}
