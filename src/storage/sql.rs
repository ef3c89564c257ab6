//! SQL statements as constants. Each has a name, is listed for the statement lint, and, for a shard, is checked while
//! compiling to bind the tenant.
//!
//! A statement that fails is named in its [`StorageError`], which the log shows as a request's cause.

use std::fmt;

/// A statement's name, `{module}::{CONSTANT}`, and its SQL.
type Statement = (&'static str, &'static str);

/// A statement on a shard. It exists only if its text names `tenant_id`; `?1` is always the tenant.
#[derive(Debug, Clone, Copy)]
pub struct TenantSql(&'static Statement);

impl TenantSql {
    /// Checked while compiling: a text that does not bind the tenant stops the build.
    pub const fn new(statement: &'static Statement) -> Self {
        let text = statement.1;
        assert!(contains(text, "tenant_id") && contains(text, "?1"), "the statement does not bind tenant_id to ?1");
        Self(statement)
    }

    /// `{module}::{CONSTANT}`, as errors and logs show it.
    pub fn name(&self) -> &'static str {
        short_name(self.0)
    }

    pub const fn text(&self) -> &'static str {
        self.0.1
    }
}

/// A statement on the control database.
#[derive(Debug, Clone, Copy)]
pub struct ControlSql(&'static Statement);

impl ControlSql {
    /// Any statement: the control database holds no tenants' rows.
    pub const fn new(statement: &'static Statement) -> Self {
        Self(statement)
    }

    /// `{module}::{CONSTANT}`, as errors and logs show it.
    pub fn name(&self) -> &'static str {
        short_name(self.0)
    }

    pub const fn text(&self) -> &'static str {
        self.0.1
    }
}

/// A statement of the platform on a shard. It reads across tenants, and may select their ids only; the statement lint
/// checks that.
#[derive(Debug, Clone, Copy)]
pub struct ShardSql(&'static Statement);

impl ShardSql {
    /// Checked while compiling: a text that does not begin by selecting tenants stops the build.
    pub const fn new(statement: &'static Statement) -> Self {
        let text = statement.1;
        assert!(
            starts_with(text.as_bytes(), b"SELECT ") && contains(text, "tenant_id"),
            "the statement does not select tenants"
        );
        Self(statement)
    }

    /// `{module}::{CONSTANT}`, as errors and logs show it.
    pub fn name(&self) -> &'static str {
        short_name(self.0)
    }

    pub const fn text(&self) -> &'static str {
        self.0.1
    }
}

/// Declares a module's statements and lists them as `STATEMENTS`, which the statement lint reads.
#[macro_export]
macro_rules! statements {
    ($kind:ident; $($(#[$doc:meta])* $name:ident = $text:literal;)+) => {
        $($(#[$doc])* pub const $name: $crate::storage::sql::$kind =
            $crate::storage::sql::$kind::new(&(concat!(module_path!(), "::", stringify!($name)), $text));)+
        /// Every statement of this module.
        pub const STATEMENTS: &[$crate::storage::sql::$kind] = &[$($name),+];
    };
}
pub use crate::statements;

/// A statement's name without the crate's.
fn short_name(statement: &'static Statement) -> &'static str {
    statement.0.strip_prefix("carillon::").unwrap_or(statement.0)
}

/// Whether a text contains another, for checks while compiling.
pub(super) const fn contains(text: &str, part: &str) -> bool {
    count(text, part) > 0
}

/// How often a text contains another.
pub(super) const fn count(text: &str, part: &str) -> usize {
    let (mut rest, mut found) = (text.as_bytes(), 0);
    while let Some((_, after)) = rest.split_first() {
        found += starts_with(rest, part.as_bytes()) as usize;
        rest = after;
    }
    found
}

const fn starts_with(mut text: &[u8], mut part: &[u8]) -> bool {
    loop {
        match (text.split_first(), part.split_first()) {
            (_, None) => return true,
            (Some((a, text_after)), Some((b, part_after))) if *a == *b => {
                text = text_after;
                part = part_after;
            }
            _ => return false,
        }
    }
}

/// A value bound to a statement.
#[derive(Debug, Clone)]
pub enum Arg {
    /// A string.
    Text(String),
    /// A whole number below 2^53.
    Integer(i64),
    /// Any other number.
    Real(f64),
    /// SQL's NULL.
    Null,
}

impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Arg {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Arg {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for Arg {
    fn from(flag: bool) -> Self {
        Self::Integer(i64::from(flag))
    }
}

impl<T: Into<Arg>> From<Option<T>> for Arg {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl Arg {
    /// The value as D1's `bind` takes it.
    pub fn to_js(&self) -> wasm_bindgen::JsValue {
        match self {
            Self::Text(text) => text.into(),
            #[allow(clippy::cast_precision_loss)]
            Self::Integer(number) => (*number as f64).into(),
            Self::Real(number) => (*number).into(),
            Self::Null => wasm_bindgen::JsValue::NULL,
        }
    }
}

/// The arguments of a statement, in order.
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => {{
        let mut args = Vec::new();
        $($crate::storage::sql::bind(&mut args, $value);)*
        args
    }};
}
pub use crate::args;

/// Adds an argument. Not inlined: every statement binds several.
#[inline(never)]
pub fn bind(args: &mut Vec<Arg>, value: impl Into<Arg>) {
    args.push(value.into());
}

/// What storage answered instead of a result, and to which statements.
#[derive(Debug, Default)]
pub struct Failure {
    message: String,
    /// Names of the statements that ran in the transaction; D1 does not say which of them failed.
    statements: Vec<&'static str>,
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self { message, statements: Vec::new() }
    }
}

impl From<&str> for Failure {
    fn from(message: &str) -> Self {
        message.to_owned().into()
    }
}

/// The message alone, so that it can be searched for the names of columns and rules.
impl std::ops::Deref for Failure {
    type Target = str;

    fn deref(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if self.statements.is_empty() {
            return Ok(());
        }
        write!(f, " (statement {})", self.statements.join(", "))
    }
}

/// A database, KV or R2 did not do what was asked. Its text is for the log, never for a caller.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// A UNIQUE, PRIMARY KEY, FOREIGN KEY or CHECK failed; the transaction changed nothing. Holds SQLite's message, which
    /// names the columns or the rule.
    #[error("constraint: {0}")]
    Constraint(Failure),
    /// The fence does not let this tenant write: it is suspended, or on another shard.
    #[error("the tenant may not write to this shard now")]
    Fenced,
    /// The request was judged by an older configuration of the tenant than the shard has heard of, which has this revision.
    #[error("the tenant changed: its revision is {0}")]
    Outdated(i64),
    /// The database did not answer, or the binding is missing.
    #[error("storage: {0}")]
    Unavailable(Failure),
    /// A list needs more bound values than one statement takes.
    #[error("the list binds more values than one statement takes")]
    TooComplex,
    /// A value is larger than the database takes; the transaction changed nothing.
    #[error("a value is larger than the database takes")]
    TooLarge,
    /// A row does not have the shape the code expects, or belongs to another tenant.
    #[error("row: {0}")]
    Malformed(Failure),
}

impl StorageError {
    /// Classifies what D1 threw by its message.
    pub fn from_d1(message: String) -> Self {
        if message.contains("CHECK constraint failed: ok")
            || message.contains("NOT NULL constraint failed: write_guard")
        {
            Self::Fenced
        } else if message.contains("constraint failed") || message.contains("SQLITE_CONSTRAINT") {
            Self::Constraint(message.into())
        } else if message.contains("SQLITE_TOOBIG") || message.contains("string or blob too big") {
            Self::TooLarge
        } else {
            Self::Unavailable(message.into())
        }
    }

    /// The same error with the names of the statements that ran, each once.
    #[must_use]
    pub fn of_statements(mut self, names: impl IntoIterator<Item = &'static str>) -> Self {
        let (Self::Constraint(failure) | Self::Unavailable(failure) | Self::Malformed(failure)) = &mut self else {
            return self;
        };
        for name in names {
            if !failure.statements.contains(&name) {
                failure.statements.push(name);
            }
        }
        self
    }

    /// The same error with where it happened in front of its message, if storage could not be reached.
    #[must_use]
    pub(super) fn at(mut self, place: fmt::Arguments<'_>) -> Self {
        if let Self::Unavailable(failure) = &mut self {
            failure.message = format!("{place}: {}", failure.message);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    mod sample {
        statements! { ControlSql;
            /// One statement.
            FIND = "SELECT 1";
            /// Another.
            DELETE = "DELETE FROM plans";
        }
    }

    #[test]
    fn a_failed_statement_is_named_and_its_message_stays_searchable() {
        assert_eq!(sample::STATEMENTS.len(), 2);
        let names = || [sample::FIND, sample::DELETE, sample::FIND].map(|sql| sql.name());
        let message = "D1_ERROR: UNIQUE constraint failed: plans.id: SQLITE_CONSTRAINT";
        let error = StorageError::from_d1(message.into()).of_statements(names());
        let StorageError::Constraint(failure) = &error else { panic!("{error:?}") };
        assert_eq!(&**failure, message);
        let named = "(statement storage::sql::tests::sample::FIND, storage::sql::tests::sample::DELETE)";
        assert_eq!(error.to_string(), format!("constraint: {message} {named}"));
        let lost = StorageError::from_d1("network connection lost".into()).of_statements(names());
        assert_eq!(
            lost.at(format_args!("CONTROL")).to_string(),
            format!("storage: CONTROL: network connection lost {named}")
        );
    }

    #[test]
    fn the_check_finds_what_it_looks_for() {
        assert!(contains("SELECT 1 WHERE tenant_id = ?1", "tenant_id"));
        assert!(!contains("SELECT 1 WHERE tenantid = ?1", "tenant_id"));
        assert!(!contains("", "?1"));
        assert_eq!((count("aa a", "a"), count("aa a", "b")), (3, 0));
    }
}
