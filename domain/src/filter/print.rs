//! The canonical text of a filter: no space, no parenthesis and no escape that is not needed. It reads back as the same
//! filter, and is never longer than any text that does.

use std::fmt::{self, Display, Formatter, Write};

use super::{Comparison, Filter, Literal, real};

impl Display for Filter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (parts, between) = match self {
            Self::All(parts) => (parts, "&&"),
            Self::Any(parts) => (parts, "||"),
            Self::Compare(comparison) => return comparison.fmt(f),
        };
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                f.write_str(between)?;
            }
            match (self, part) {
                (_, Self::Compare(_)) | (Self::Any(_), Self::All(_)) => part.fmt(f)?,
                _ => write!(f, "({part})")?,
            }
        }
        Ok(())
    }
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.field)?;
        f.write_str(self.operator.as_str())?;
        self.value.fmt(f)
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Flag(true) => f.write_str("true"),
            Self::Flag(false) => f.write_str("false"),
            Self::Integer(number) => number.fmt(f),
            Self::Real(number) => f.write_str(&real::print(*number)),
            Self::Text(text) => quoted(text, f),
        }
    }
}

/// In double quotes, unless single ones take fewer escapes.
fn quoted(text: &str, f: &mut Formatter<'_>) -> fmt::Result {
    let count = |quote| text.matches(quote).count();
    let quote = if count('"') > count('\'') { '\'' } else { '"' };
    f.write_char(quote)?;
    for c in text.chars() {
        if c == quote || c == '\\' {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_char(quote)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::tests::{filters, parse};
    use proptest::prelude::*;

    #[test]
    fn nothing_is_printed_that_is_not_needed() {
        for (text, printed) in [
            (r#"( title ~ 'abc' && (score >= 3) ) || status = 'done'"#, r#"title~"abc"&&score>=3||status="done""#),
            ("a=1 && (b=2 || (c=3 && d=4))", "a=1&&(b=2||c=3&&d=4)"),
            (r#"a = 'say "no"' && b = "it's" && c = '\'"\\\/\n'"#, "a='say \"no\"'&&b=\"it's\"&&c=\"'\\\"\\\\/\n\""),
            ("a=1.50 && a=100.0 && a=-150.0 && a=0.001", "a=1.5&&a=1e2&&a=-15e1&&a=1e-3"),
            ("a=-0.0 && a=1e300 && a=1.5e-9 && a=15e-9 && a=-0", "a=0.0&&a=1e300&&a=1.5e-9&&a=15e-9&&a=0"),
            ("a = true || a != null", "a=true||a!=null"),
        ] {
            assert_eq!(parse(text).to_string(), printed, "{text}");
            assert_eq!(parse(printed), parse(text));
        }
    }

    fn literals() -> impl Strategy<Value = Literal> {
        let real = prop_oneof![
            any::<f64>().prop_filter("finite", |real| real.is_finite()),
            any::<i64>().prop_map(|whole| whole as f64).prop_filter("beyond the exact", |real| real.abs() > 1e16),
            any::<i16>().prop_map(|n| f64::from(n) / 8.0),
        ];
        prop_oneof![
            Just(Literal::Null),
            any::<bool>().prop_map(Literal::Flag),
            (-(1i64 << 53)..=1 << 53).prop_map(Literal::Integer),
            real.prop_map(|real| Literal::Real(real + 0.0)),
            "[^\0]{0,12}".prop_map(Literal::Text),
            "[\"'\\\\a&|()]{0,12}".prop_map(Literal::Text),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn what_is_printed_reads_back(filter in filters("[A-Za-z_][A-Za-z0-9_]{0,9}", literals(), "[^\0]{0,9}")) {
            let printed = filter.to_string();
            let read = Filter::parse(&printed);
            prop_assert_eq!(read.as_ref(), Ok(&filter), "{}", printed);
            prop_assert_eq!(read.unwrap().to_string(), printed);
        }

        #[test]
        fn it_is_never_longer_than_what_was_read(
            whole in "-?(0|[1-9][0-9]{0,24})", fraction in "(\\.[0-9]{1,19})?", exponent in "([eE][+-]?[0-9]{1,2})?",
            text in "'([^\0'\\\\]|\\\\['\"\\\\])*'"
        ) {
            let text = format!("a={whole}{fraction}{exponent}||a={text}");
            if let Ok(filter) = Filter::parse(&text) {
                let printed = filter.to_string();
                prop_assert!(printed.len() <= text.len(), "{} of {}", printed, text);
            }
        }
    }
}
