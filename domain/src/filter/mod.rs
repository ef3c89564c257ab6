//! Filters on a collection's records, as in `(title ~ "abc" && score >= 3) || status = 'done'`.
//!
//! - [`Filter::parse`] reads a filter's text within limits, and `Display` prints it in one canonical form, which parses to
//!   the same filter and is never longer than the text that was read.
//! - A comparison has the result that SQLite gives for the same condition on the record's JSON (see `evaluate.rs`), so a list
//!   and a stream with the same filter agree.
//! - On a list, `=`, `~` and the order operators are true if they are true for some element; `!=` and `!~` negate `=` and
//!   `~`. A missing field, an empty list and an object count as null.

mod evaluate;
mod parse;
mod print;
mod real;

/// A condition on a record.
///
/// `All` and `Any` as [`Filter::parse`] and [`Filter::and`] make them have two parts or more, none of their own kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Every part is true.
    All(Vec<Filter>),
    /// Some part is true.
    Any(Vec<Filter>),
    /// A comparison of a field with a literal.
    Compare(Comparison),
}

/// A field, an operator and a literal.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// A top-level member of the record: `[A-Za-z_][A-Za-z0-9_]{0,63}`. The caller checks that it exists.
    pub field: Box<str>,
    /// The operator.
    pub operator: ComparisonOperator,
    /// The literal; a string for `Contains` and `NotContains`.
    pub value: Literal,
}

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComparisonOperator {
    /// The same value; null is null.
    Equal,
    /// Not `Equal`.
    NotEqual,
    /// Greater; never true for null.
    Greater,
    /// Greater or equal; never true for null.
    GreaterOrEqual,
    /// Less; never true for null.
    Less,
    /// Less or equal; never true for null.
    LessOrEqual,
    /// A string that contains the literal, ignoring ASCII case.
    Contains,
    /// Not `Contains`.
    NotContains,
}

impl ComparisonOperator {
    /// Its spelling in a filter.
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
    /// Any other finite number; never -0. Beyond 2^53 a whole one too.
    Real(f64),
    /// A string without U+0000.
    Text(String),
}

impl Filter {
    /// Most bytes of a filter's text.
    pub const MAX_BYTES: usize = 2_000;
    /// Most comparisons in a text.
    pub const MAX_TERMS: usize = 20;
    /// Deepest nesting of parentheses in a text.
    pub const MAX_DEPTH: usize = 8;

    /// The conjunction of two filters. It may exceed the limits of a text, which each of them keeps.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::all_of(vec![self, other])
    }

    /// How many comparisons it makes at most.
    pub fn comparisons(&self) -> usize {
        self.terms().count()
    }

    /// The same filter with each comparison as `change` makes it; the first that it refuses is the error.
    pub fn try_map<E>(self, change: &mut impl FnMut(Comparison) -> Result<Comparison, E>) -> Result<Self, E> {
        let mut each = |parts: Vec<Self>| parts.into_iter().map(|part| part.try_map(change)).collect::<Result<_, E>>();
        Ok(match self {
            Self::All(parts) => Self::All(each(parts)?),
            Self::Any(parts) => Self::Any(each(parts)?),
            Self::Compare(comparison) => Self::Compare(change(comparison)?),
        })
    }

    /// Every comparison, in the order of the text.
    fn terms(&self) -> impl Iterator<Item = &Comparison> {
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
