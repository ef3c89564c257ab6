//! Filters: which records of a collection somebody asks for, as in `(title ~ "abc" && score >= 3) || status = 'done'`.
//!
//! - A filter has a text, which [`Filter::parse`] reads within bounds and `Display` prints in one canonical form: what is
//!   printed reads back as the same filter, and is never longer than what was read.
//! - What a comparison says of a record is what SQLite says of the same condition on the record's JSON (see `evaluate.rs`),
//!   so a list and a stream with the same filter agree.
//! - Of a field that is a list, `=`, `~` and the ordered ones hold if they hold for some element; `!=` and `!~` are the
//!   negations of `=` and `~`. A field that is missing, an empty list or an object is null.

mod evaluate;
mod parse;
mod print;
mod real;

/// A condition on a record.
///
/// `All` and `Any` as [`Filter::parse`] and [`Filter::and`] make them have two parts or more, none of their own kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Every part holds.
    All(Vec<Filter>),
    /// Some part holds.
    Any(Vec<Filter>),
    /// A field compares so with a literal.
    Compare(Comparison),
}

/// What a field is compared with, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// A top-level name of the record: `[A-Za-z_][A-Za-z0-9_]{0,63}`. Whether there is such a field is for the caller to say.
    pub field: Box<str>,
    /// How.
    pub operator: ComparisonOperator,
    /// With what. `Contains` and `NotContains` have a text.
    pub value: Literal,
}

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComparisonOperator {
    /// The same value; null is null.
    Equal,
    /// Not `Equal`.
    NotEqual,
    /// Behind it in order. Null is in no order.
    Greater,
    /// Behind it in order, or equal; never null.
    GreaterOrEqual,
    /// Before it in order. Null is in no order.
    Less,
    /// Before it in order, or equal; never null.
    LessOrEqual,
    /// A text that has the literal somewhere in it; ASCII letters match in either case.
    Contains,
    /// Not `Contains`.
    NotContains,
}

impl ComparisonOperator {
    /// As it is written in a filter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Contains => "~",
            Self::NotContains => "!~",
        }
    }
}

/// What a field is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `null`, which a missing field is too.
    Null,
    /// `true` and `false`, which compare as 1 and 0.
    Flag(bool),
    /// A whole number, exact in JavaScript: at most 2^53 either way.
    Integer(i64),
    /// Any other number, of at most 1e308 either way; never -0.
    Real(f64),
    /// A text without NUL.
    Text(String),
}

impl Filter {
    /// Most bytes of a filter's text.
    pub const MAX_BYTES: usize = 2_000;
    /// Most comparisons in a text.
    pub const MAX_TERMS: usize = 20;
    /// Most parentheses around each other in a text.
    pub const MAX_DEPTH: usize = 8;

    /// What both filters ask for. It may pass the bounds of a text, which each of them keeps.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::all_of(vec![self, other])
    }

    /// Every comparison, in the order of the text.
    pub fn terms(&self) -> impl Iterator<Item = &Comparison> {
        let mut open = vec![self];
        std::iter::from_fn(move || {
            loop {
                match open.pop()? {
                    Self::All(parts) | Self::Any(parts) => open.extend(parts.iter().rev()),
                    Self::Compare(comparison) => return Some(comparison),
                }
            }
        })
    }

    /// All of these; one alone stands for itself.
    fn all_of(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::All(inner) => flat.extend(inner),
                part => flat.push(part),
            }
        }
        alone(flat).unwrap_or_else(Self::All)
    }

    /// Any of these; one alone stands for itself.
    fn any_of(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::Any(inner) => flat.extend(inner),
                part => flat.push(part),
            }
        }
        alone(flat).unwrap_or_else(Self::Any)
    }
}

/// The one part there is, else all of them.
fn alone(mut parts: Vec<Filter>) -> Result<Filter, Vec<Filter>> {
    match parts.pop() {
        Some(part) if parts.is_empty() => Ok(part),
        last => {
            parts.extend(last);
            Err(parts)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub fn parse(text: &str) -> Filter {
        Filter::parse(text).unwrap_or_else(|invalid| panic!("{text}: {invalid}"))
    }

    pub const OPERATORS: [ComparisonOperator; 8] = [
        ComparisonOperator::Equal,
        ComparisonOperator::NotEqual,
        ComparisonOperator::Greater,
        ComparisonOperator::GreaterOrEqual,
        ComparisonOperator::Less,
        ComparisonOperator::LessOrEqual,
        ComparisonOperator::Contains,
        ComparisonOperator::NotContains,
    ];

    /// Filters as they are parsed, with these fields and literals.
    pub fn filters(
        fields: &'static str,
        literals: impl Strategy<Value = Literal> + 'static,
        texts: impl Strategy<Value = String> + 'static,
    ) -> impl Strategy<Value = Filter> {
        let term = (fields, prop::sample::select(&OPERATORS[..]), literals, texts).prop_map(
            |(field, operator, literal, text)| {
                let value = match operator {
                    ComparisonOperator::Contains | ComparisonOperator::NotContains => Literal::Text(text),
                    _ => literal,
                };
                Filter::Compare(Comparison { field: field.into(), operator, value })
            },
        );
        term.prop_recursive(4, 12, 4, |inner| {
            let parts = prop::collection::vec(inner, 1..4);
            prop_oneof![parts.clone().prop_map(Filter::all_of), parts.prop_map(Filter::any_of)]
        })
    }

    #[test]
    fn what_two_filters_ask_for_together() {
        let both = |a: &str, b: &str| parse(a).and(parse(b)).to_string();
        assert_eq!(both("a=1", "b=2"), "a=1&&b=2");
        assert_eq!(both("a=1 && b=2", "c=3 && d=4"), "a=1&&b=2&&c=3&&d=4");
        assert_eq!(both("a=1 || b=2", "c=3"), "(a=1||b=2)&&c=3");
    }

    #[test]
    fn terms_come_in_the_order_of_the_text() {
        let filter = parse("a=1 && (b=2 || c=3 && d=4) && a=5");
        let fields: Vec<&str> = filter.terms().map(|term| &*term.field).collect();
        assert_eq!(fields, ["a", "b", "c", "d", "a"]);
    }
}
