//! Evaluates a filter on a record, with the results of SQLite for the same condition on the record's JSON, without type
//! affinities.
//!
//! Values are ordered null < numbers < texts; whole and real numbers compare exactly, texts by their bytes. `true` and
//! `false` are 1 and 0. `~` is `typeof(v) = 'text' AND instr(lower(v), lower(?)) > 0`, so a number contains nothing.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::{Comparison, ComparisonOperator, Filter, Literal};

impl Filter {
    /// Whether the filter is true for a record as it is shown.
    pub fn admits(&self, record: &Map<String, Value>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.admits(record)),
            Self::Any(parts) => parts.iter().any(|part| part.admits(record)),
            Self::Compare(comparison) => comparison.admits(record.get(&*comparison.field)),
        }
    }
}

impl Comparison {
    fn admits(&self, value: Option<&Value>) -> bool {
        let literal = Scalar::of_literal(&self.value);
        let holds = |value: &Value| self.holds(&Scalar::of_json(value), &literal);
        let holds = match value {
            Some(Value::Array(items)) if !items.is_empty() => items.iter().any(holds),
            value => holds(value.unwrap_or(&Value::Null)),
        };
        holds != matches!(self.operator, ComparisonOperator::NotEqual | ComparisonOperator::NotContains)
    }

    /// Whether it is true for one value; for a negated operator, whether the operator that it negates is.
    fn holds(&self, value: &Scalar<'_>, literal: &Scalar<'_>) -> bool {
        let order = value.order(literal);
        let is_ordered = !matches!((value, literal), (Scalar::Null, _) | (_, Scalar::Null));
        match self.operator {
            ComparisonOperator::Equal | ComparisonOperator::NotEqual => order.is_eq(),
            ComparisonOperator::Greater => is_ordered && order.is_gt(),
            ComparisonOperator::GreaterOrEqual => is_ordered && order.is_ge(),
            ComparisonOperator::Less => is_ordered && order.is_lt(),
            ComparisonOperator::LessOrEqual => is_ordered && order.is_le(),
            ComparisonOperator::Contains | ComparisonOperator::NotContains => match (value, literal) {
                (Scalar::Text(text), Scalar::Text(part)) => {
                    text.to_ascii_lowercase().contains(&part.to_ascii_lowercase())
                }
                _ => false,
            },
        }
    }
}

/// A value with SQLite's types.
enum Scalar<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'a str),
}

impl<'a> Scalar<'a> {
    fn of_literal(literal: &'a Literal) -> Self {
        match literal {
            Literal::Null => Self::Null,
            Literal::Flag(flag) => Self::Integer((*flag).into()),
            Literal::Integer(number) => Self::Integer(*number),
            Literal::Real(number) => Self::Real(*number),
            Literal::Text(text) => Self::Text(text),
        }
    }

    fn of_json(value: &'a Value) -> Self {
        match value {
            Value::Bool(flag) => Self::Integer((*flag).into()),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => Self::Integer(number),
                (None, Some(number)) => Self::Real(number),
                (None, None) => Self::Null,
            },
            Value::String(text) => Self::Text(text),
            Value::Null | Value::Array(_) | Value::Object(_) => Self::Null,
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Integer(a), Self::Real(b)) => order_of_numbers(*a, *b),
            (Self::Real(a), Self::Integer(b)) => order_of_numbers(*b, *a).reverse(),
            (Self::Real(a), Self::Real(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Integer(_) | Self::Real(_) => 1,
            Self::Text(_) => 2,
        }
    }
}

/// Exact where an `f64` cannot hold the whole number.
fn order_of_numbers(whole: i64, real: f64) -> Ordering {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if real >= BEYOND {
        return Ordering::Less;
    }
    if real < -BEYOND {
        return Ordering::Greater;
    }
    let cut = real as i64;
    whole.cmp(&cut).then_with(|| (cut as f64).partial_cmp(&real).unwrap_or(Ordering::Equal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::tests::{OPERATORS, filters, parse};
    use proptest::prelude::*;
    use rusqlite::types::Value as Bound;
    use rusqlite::{Connection, params_from_iter};

    fn record(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_a_filter_says() {
        let record = record(
            r#"{"title": "It's an ABC", "score": 3, "ratio": 2.5, "done": true, "none": null, "tags": ["Red", "blue", 7],
                "empty": [], "inner": {"a": 1}, "word": "ÄÖ \"x\" \\ 日"}"#,
        );
        for (filter, holds) in [
            (r#"title ~ "abc" && score >= 3"#, true),
            (r#"title ~ "it's" && title !~ "abd""#, true),
            ("title ~ ''", true),
            ("score = 3.0 && score != '3' && score > 2.5 && score < 'a'", true),
            ("score ~ '3'", false),
            ("score !~ '3'", true),
            ("done = true && done = 1 && done > false", true),
            ("done = 'true'", false),
            ("none = null && gone = null && empty = null && inner = null", true),
            ("gone != 'x' && none != 0", true),
            ("gone < 1 || gone > 1 || gone <= null || score > null || gone ~ ''", false),
            ("gone !~ 'x'", true),
            ("tags = 'blue' && tags = 7 && tags ~ 'RED' && tags > 'a' && tags < 8", true),
            ("tags != 'blue'", false),
            ("tags != 'green' && tags !~ 'green'", true),
            ("tags !~ 'lu'", false),
            ("tags = null", false),
            (r#"word ~ "ÄÖ \"X\" \\ \u65e5""#, true),
            ("word ~ 'äö'", false),
            ("score = 4 || (ratio <= 2.5 && (score = 4 || score = 3))", true),
        ] {
            assert_eq!(parse(filter).admits(&record), holds, "{filter}");
        }
    }

    /// The filter as SQL over the record's text, `?1`; the literals follow in the order of the terms.
    fn condition(filter: &Filter, literals: &mut Vec<Bound>) -> String {
        let (parts, between) = match filter {
            Filter::All(parts) => (parts, " AND "),
            Filter::Any(parts) => (parts, " OR "),
            Filter::Compare(comparison) => return term(comparison, literals),
        };
        let parts: Vec<String> = parts.iter().map(|part| condition(part, literals)).collect();
        format!("({})", parts.join(between))
    }

    fn term(comparison: &Comparison, literals: &mut Vec<Bound>) -> String {
        literals.push(match &comparison.value {
            Literal::Null => Bound::Null,
            Literal::Flag(flag) => Bound::Integer((*flag).into()),
            Literal::Integer(number) => Bound::Integer(*number),
            Literal::Real(number) => Bound::Real(*number),
            Literal::Text(text) => Bound::Text(text.clone()),
        });
        let (path, literal) = (format!("?1, '$.{}'", comparison.field), format!("?{}", literals.len() + 1));
        let holds = |v: &str| match comparison.operator {
            ComparisonOperator::Equal | ComparisonOperator::NotEqual => format!("{v} IS {literal}"),
            ComparisonOperator::Contains | ComparisonOperator::NotContains => {
                format!("coalesce(typeof({v}) = 'text' AND instr(lower({v}), lower({literal})) > 0, 0)")
            }
            ordered => format!("coalesce({v} {} {literal}, 0)", ordered.as_str()),
        };
        let not = if comparison.operator.as_str().starts_with('!') { "NOT" } else { "" };
        let (one, each, missing) = (holds(&format!("json_extract({path})")), holds("atom"), holds("NULL"));
        format!(
            "{not} (CASE json_type({path}) WHEN 'array' THEN EXISTS (
                SELECT 1 FROM (SELECT atom FROM json_each({path}) UNION ALL SELECT NULL WHERE json_array_length({path}) = 0)
                WHERE {each}
            ) WHEN 'object' THEN {missing} ELSE {one} END)"
        )
    }

    thread_local! {
        static SQLITE: Connection = Connection::open_in_memory().unwrap();
    }

    fn sqlite_admits(filter: &Filter, record: &Map<String, Value>) -> bool {
        let mut bound = vec![];
        let sql = format!("SELECT {}", condition(filter, &mut bound));
        bound.insert(0, Bound::Text(serde_json::to_string(record).unwrap()));
        SQLITE.with(|db| db.query_row(&sql, params_from_iter(bound), |row| row.get(0)).unwrap())
    }

    /// Few letters, so that values meet; NUL, quotes, escapes and letters beyond ASCII among them.
    const TEXT: &str = "[\0aAbBzZéÉß日😀\"'\\\\%_\n 019.]{0,3}";

    const EDGES: [i64; 8] = [i64::MIN, -(1 << 53) - 1, -1, 0, 1, 1 << 53, (1 << 53) + 1, i64::MAX];

    const REALS: [f64; 14] = [
        f64::MIN,
        -1.797e308,
        5e-324,
        1e22,
        f64::MAX,
        -9.3e18,
        -9_223_372_036_854_775_808.0,
        -0.5,
        0.0,
        1.0,
        1.5,
        9_007_199_254_740_992.0,
        9_223_372_036_854_775_808.0,
        1e300,
    ];

    fn literals() -> impl Strategy<Value = Literal> {
        prop_oneof![
            1 => Just(Literal::Null),
            1 => any::<bool>().prop_map(Literal::Flag),
            1 => prop::sample::select(&EDGES[..]).prop_map(Literal::Integer),
            1 => (-2i64..3).prop_map(Literal::Integer),
            1 => prop::sample::select(&REALS[..]).prop_map(Literal::Real),
            1 => (-8i32..8).prop_map(|n| Literal::Real(f64::from(n) / 4.0)),
            2 => TEXT.prop_map(Literal::Text),
        ]
    }

    fn scalars() -> impl Strategy<Value = Value> {
        prop_oneof![
            1 => Just(Value::Null),
            1 => any::<bool>().prop_map(Value::Bool),
            1 => prop::sample::select(&EDGES[..]).prop_map(Value::from),
            1 => Just(Value::from(u64::MAX)),
            1 => (-2i64..3).prop_map(Value::from),
            1 => prop::sample::select(&REALS[..]).prop_map(Value::from),
            1 => (-8i32..8).prop_map(|n| Value::from(f64::from(n) / 4.0)),
            3 => TEXT.prop_map(Value::from),
        ]
    }

    fn records() -> impl Strategy<Value = Map<String, Value>> {
        let inner = prop_oneof![
            6 => scalars(),
            1 => prop::collection::vec(scalars(), 0..2).prop_map(Value::from),
            1 => scalars().prop_map(|value| crate::json!({ "a": value })),
        ];
        let value = prop_oneof![3 => scalars(), 2 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from), 1 => inner];
        prop::collection::vec(("[abc]", value), 0..4).prop_map(|members| members.into_iter().collect())
    }

    #[test]
    fn every_value_meets_every_literal_as_in_sqlite() {
        const TEXTS: [&str; 9] = ["", "a", "A", "é", "É", "1", "1.0", "ｚ", "😀"];
        let numbers = EDGES.map(Literal::Integer).into_iter().chain(REALS.map(Literal::Real));
        let texts = TEXTS.map(|text| Literal::Text(text.into()));
        let others = [Literal::Null, Literal::Flag(false), Literal::Flag(true)];
        let literals: Vec<Literal> = others.into_iter().chain(numbers).chain(texts).collect();
        for (value, literal) in literals.iter().flat_map(|value| literals.iter().map(move |literal| (value, literal))) {
            let json = match value {
                Literal::Null => Value::Null,
                Literal::Flag(flag) => Value::from(*flag),
                Literal::Integer(number) => Value::from(*number),
                Literal::Real(number) => Value::from(*number),
                Literal::Text(text) => Value::from(text.as_str()),
            };
            let record = Map::from_iter([("a".to_owned(), json)]);
            for operator in OPERATORS {
                if matches!(operator, ComparisonOperator::Contains | ComparisonOperator::NotContains)
                    && !matches!(literal, Literal::Text(_))
                {
                    continue;
                }
                let filter = Filter::Compare(Comparison { field: "a".into(), operator, value: literal.clone() });
                assert_eq!(filter.admits(&record), sqlite_admits(&filter, &record), "{filter} of {record:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn it_is_what_sqlite_says(filter in filters("[abcd]", literals(), TEXT), record in records()) {
            let sqlite = sqlite_admits(&filter, &record);
            prop_assert_eq!(filter.admits(&record), sqlite, "{} of {:?}", filter, record);
        }
    }
}
