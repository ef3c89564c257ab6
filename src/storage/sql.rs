//! Statements as constants: named, registered, and for a shard checked by the compiler to name the tenant.

/// A statement: its name and its SQL.
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

    /// The statement's name, its label in metrics and logs.
    pub const fn name(&self) -> &'static str {
        self.0.0
    }

    /// The SQL.
    pub const fn text(&self) -> &'static str {
        self.0.1
    }
}

/// A statement on the control database.
#[derive(Debug, Clone, Copy)]
pub struct ControlSql(&'static Statement);

impl ControlSql {
    /// A named statement.
    pub const fn new(statement: &'static Statement) -> Self {
        Self(statement)
    }

    /// The statement's name, its label in metrics and logs.
    pub const fn name(&self) -> &'static str {
        self.0.0
    }

    /// The SQL.
    pub const fn text(&self) -> &'static str {
        self.0.1
    }
}

/// A statement of the platform on a shard: it looks across tenants, and may select their ids alone. The statement lint
/// holds it to that.
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

    /// The statement's name, its label in metrics and logs.
    pub const fn name(&self) -> &'static str {
        self.0.0
    }

    /// The SQL.
    pub const fn text(&self) -> &'static str {
        self.0.1
    }
}

/// Declares a module's statements and lists them as `STATEMENTS`, which the statement lint reads.
#[macro_export]
macro_rules! statements {
    ($kind:ident; $($(#[$doc:meta])* $name:ident = $text:literal;)+) => {
        $($(#[$doc])* pub const $name: $crate::storage::sql::$kind =
            $crate::storage::sql::$kind::new(&(stringify!($name), $text));)+
        /// Every statement of this module.
        pub const STATEMENTS: &[$crate::storage::sql::$kind] = &[$($name),+];
    };
}
pub use crate::statements;

/// Whether a text contains another, for checks while compiling.
pub(super) const fn contains(text: &str, part: &str) -> bool {
    count(text, part) > 0
}

/// How often it does.
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
    /// Text.
    Text(String),
    /// A whole number below 2^53.
    Integer(i64),
    /// A number.
    Real(f64),
    /// Nothing.
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
    /// As D1 takes it.
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

/// What a database could not do.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// A UNIQUE, PRIMARY KEY or CHECK said no; the batch changed nothing. Holds SQLite's words, which name the columns.
    #[error("constraint: {0}")]
    Constraint(String),
    /// The fence does not let this tenant write (now, or from here).
    #[error("fenced")]
    Fenced,
    /// The database did not answer, or the binding is missing.
    #[error("storage: {0}")]
    Unavailable(String),
    /// A list asked for more than one statement can hold.
    #[error("too complex")]
    TooComplex,
    /// A row did not have the shape the code expects, or belongs to somebody else.
    #[error("row: {0}")]
    Malformed(String),
}

impl StorageError {
    /// Sorts a D1 failure by what its words mean.
    pub fn from_d1(text: String) -> Self {
        if text.contains("CHECK constraint failed: ok") || text.contains("NOT NULL constraint failed: write_guard") {
            Self::Fenced
        } else if text.contains("constraint failed") || text.contains("SQLITE_CONSTRAINT") {
            Self::Constraint(text)
        } else {
            Self::Unavailable(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_finds_what_it_looks_for() {
        assert!(contains("SELECT 1 WHERE tenant_id = ?1", "tenant_id"));
        assert!(!contains("SELECT 1 WHERE tenantid = ?1", "tenant_id"));
        assert!(!contains("", "?1"));
        assert_eq!((count("aa a", "a"), count("aa a", "b")), (3, 0));
    }
}
