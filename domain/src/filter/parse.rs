//! Reading a filter's text.
//!
//! ```text
//! any        = all *( "||" all )
//! all        = part *( "&&" part )
//! part       = "(" any ")" / comparison
//! comparison = field operator literal
//! operator   = "=" / "!=" / ">" / ">=" / "<" / "<=" / "~" / "!~"
//! literal    = text / number / "true" / "false" / "null"
//! ```
//!
//! Numbers and the escapes of texts are JSON's (RFC 8259); a text stands in double or single quotes. White space may be
//! anywhere between. Bytes, comparisons and depth are bounded, and so is the recursion.

use serde_json::value::RawValue;
use serde_json::{Number, Value};

use super::{Comparison, ComparisonOperator, Filter, Literal, real};
use crate::error::Invalid;

/// In the order of trying: the longer of two that begin alike goes first.
const OPERATORS: [ComparisonOperator; 8] = [
    ComparisonOperator::GreaterOrEqual,
    ComparisonOperator::LessOrEqual,
    ComparisonOperator::NotEqual,
    ComparisonOperator::NotContains,
    ComparisonOperator::Greater,
    ComparisonOperator::Less,
    ComparisonOperator::Equal,
    ComparisonOperator::Contains,
];

/// Most bytes of a field's name.
const MAX_NAME: usize = 64;

impl Filter {
    /// Reads a filter. What is wrong is `too_long`, `too_many_terms`, `too_deep` or `invalid_filter`; the last says at
    /// which character, counted from 1, and what is expected there.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.len() > Self::MAX_BYTES {
            return Err(Invalid::new("too_long", "takes at most 2000 bytes"));
        }
        let mut reader = FilterParser { text, rest: text, terms: 0 };
        let filter = reader.any(0)?;
        if reader.rest.is_empty() { Ok(filter) } else { Err(reader.expected("&&, || or the end")) }
    }
}

struct FilterParser<'a> {
    text: &'a str,
    /// What is not read yet.
    rest: &'a str,
    terms: usize,
}

/// What a number is expected to be that no double holds.
const WITHIN_DOUBLES: &str = "a number within ±1.7976931348623157e308, which is the largest one";

impl FilterParser<'_> {
    fn any(&mut self, depth: usize) -> Result<Filter, Invalid> {
        let mut parts = vec![self.all(depth)?];
        while self.take("||") {
            parts.push(self.all(depth)?);
        }
        Ok(Filter::any_of(parts))
    }

    fn all(&mut self, depth: usize) -> Result<Filter, Invalid> {
        let mut parts = vec![self.part(depth)?];
        while self.take("&&") {
            parts.push(self.part(depth)?);
        }
        Ok(Filter::all_of(parts))
    }

    fn part(&mut self, depth: usize) -> Result<Filter, Invalid> {
        if !self.take("(") {
            return self.comparison();
        }
        if depth == Filter::MAX_DEPTH {
            return Err(Invalid::new("too_deep", "takes at most 8 levels of parentheses"));
        }
        let inner = self.any(depth + 1)?;
        if self.take(")") { Ok(inner) } else { Err(self.expected("&&, || or )")) }
    }

    fn comparison(&mut self) -> Result<Filter, Invalid> {
        let field = self.field()?;
        let operator = self.operator()?;
        let value = self.literal(operator)?;
        self.terms += 1;
        if self.terms > Filter::MAX_TERMS {
            return Err(Invalid::new("too_many_terms", "takes at most 20 comparisons"));
        }
        self.skip_space();
        Ok(Filter::Compare(Comparison { field, operator, value }))
    }

    fn field(&mut self) -> Result<Box<str>, Invalid> {
        const EXPECTED: &str = "( or a field's name, of at most 64 letters, digits and _";
        self.skip_space();
        let (name, rest) = split(self.rest, |c| c == '_' || c.is_ascii_alphanumeric());
        if name.is_empty() || name.len() > MAX_NAME || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.expected(EXPECTED));
        }
        self.rest = rest;
        Ok(name.into())
    }

    fn operator(&mut self) -> Result<ComparisonOperator, Invalid> {
        self.skip_space();
        match OPERATORS.into_iter().find(|operator| self.take(operator.as_str())) {
            Some(operator) => Ok(operator),
            None => Err(self.expected("one of = != > >= < <= ~ !~")),
        }
    }

    fn literal(&mut self, operator: ComparisonOperator) -> Result<Literal, Invalid> {
        self.skip_space();
        if let Some(quote) = self.rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
            return self.text(quote).map(Literal::Text);
        }
        if matches!(operator, ComparisonOperator::Contains | ComparisonOperator::NotContains) {
            return Err(self.expected("a text in quotes"));
        }
        let (word, rest) = split(self.rest, |c| matches!(c, '+' | '-' | '.' | '_') || c.is_ascii_alphanumeric());
        let literal = match serde_json::from_str(word) {
            Ok(Value::Null) => Literal::Null,
            Ok(Value::Bool(flag)) => Literal::Flag(flag),
            Ok(Value::Number(number)) => self.number(word, &number)?,
            _ if is_number(word) => return Err(self.expected(WITHIN_DOUBLES)),
            _ => return Err(self.expected("a text in quotes, a number, true, false or null")),
        };
        self.rest = rest;
        Ok(literal)
    }

    fn number(&self, text: &str, number: &Number) -> Result<Literal, Invalid> {
        if text.contains(['.', 'e', 'E']) {
            let real = number.as_f64().and_then(real::read);
            return real.map(Literal::Real).ok_or_else(|| self.expected(WITHIN_DOUBLES));
        }
        if let Some(exact) = text.parse().ok().filter(|whole: &i64| whole.unsigned_abs() <= real::LARGEST_EXACT) {
            return Ok(Literal::Integer(exact));
        }
        let expected = "a whole number that a double holds exactly, as all up to 9007199254740992 are";
        real::read_whole(text).map(Literal::Real).ok_or_else(|| self.expected(expected))
    }

    fn text(&mut self, quote: char) -> Result<String, Invalid> {
        let mut text = String::new();
        self.next();
        loop {
            let before = self.rest;
            match self.next() {
                Some(c) if c == quote => return Ok(text),
                Some('\\') => text.push(self.escape()?),
                Some(c) if c != '\0' => text.push(c),
                _ => {
                    self.rest = before;
                    return Err(self.expected("the end of the text"));
                }
            }
        }
    }

    /// What stands behind a backslash.
    fn escape(&mut self) -> Result<char, Invalid> {
        let before = self.rest;
        let escaped = match self.next() {
            Some(c @ ('"' | '\'' | '\\' | '/')) => Some(c),
            Some('b') => Some('\u{8}'),
            Some('f') => Some('\u{c}'),
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('u') => self.code_point().filter(|c| *c != '\0'),
            _ => None,
        };
        escaped.ok_or_else(|| {
            self.rest = before;
            self.expected(r#"one of " ' \ / b f n r t, or u with four hexadecimal digits that are a character"#)
        })
    }

    /// The digits of `\u0041`; beyond the first plane, of two.
    fn code_point(&mut self) -> Option<char> {
        let first = self.code_unit()?;
        let low = if matches!(first, 0xD800..=0xDBFF) {
            self.rest = self.rest.strip_prefix("\\u")?;
            Some(self.code_unit()?)
        } else {
            None
        };
        char::decode_utf16([first].into_iter().chain(low)).next()?.ok()
    }

    fn code_unit(&mut self) -> Option<u16> {
        let (digits, rest) = self.rest.split_at_checked(4)?;
        self.rest = rest;
        let is_hexadecimal = digits.bytes().all(|b| b.is_ascii_hexdigit());
        if is_hexadecimal { u16::from_str_radix(digits, 16).ok() } else { None }
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    /// Takes this, with the space before and behind it, if it is what comes next.
    fn take(&mut self, wanted: &str) -> bool {
        self.skip_space();
        let Some(rest) = self.rest.strip_prefix(wanted) else { return false };
        self.rest = rest;
        self.skip_space();
        true
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// What was expected where the reader stands.
    fn expected(&self, what: &str) -> Invalid {
        let read = self.text.len().saturating_sub(self.rest.len());
        let at = self.text.get(..read).unwrap_or_default().chars().count() + 1;
        Invalid::new("invalid_filter", format!("expects at character {at} {what}"))
    }
}

/// Whether a word is a number of JSON, however large.
fn is_number(word: &str) -> bool {
    let begins = word.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    begins && serde_json::from_str::<&RawValue>(word).is_ok()
}

/// What a text begins with, and the rest.
fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::tests::parse;
    use proptest::prelude::*;

    fn literal(text: &str) -> Literal {
        parse(&format!("a={text}")).terms().next().unwrap().value.clone()
    }

    fn refusal(text: &str) -> Invalid {
        match Filter::parse(text) {
            Ok(filter) => panic!("{text} is {filter:?}"),
            Err(invalid) => invalid,
        }
    }

    #[test]
    fn and_binds_tighter_than_or() {
        let filter = parse(r#"(title ~ "abc" && score >= 3) || status = 'done'"#);
        let compare =
            |field: &str, operator, value| Filter::Compare(Comparison { field: field.into(), operator, value });
        let title = compare("title", ComparisonOperator::Contains, Literal::Text("abc".into()));
        let score = compare("score", ComparisonOperator::GreaterOrEqual, Literal::Integer(3));
        let status = compare("status", ComparisonOperator::Equal, Literal::Text("done".into()));
        assert_eq!(filter, Filter::Any(vec![Filter::All(vec![title, score]), status]));
        assert_eq!(filter, parse("title~'abc'&&score>=3||status='done'"));
        assert_eq!(parse("a=1 && b=2 || c=3 && d=4"), parse("(a=1 && b=2) || (c=3 && d=4)"));
        assert_ne!(parse("a=1 && (b=2 || c=3)"), parse("a=1 && b=2 || c=3"));
    }

    #[test]
    fn groups_of_one_kind_are_one_group() {
        assert_eq!(parse("((a=1) && ((b=2 && c=3)))"), parse("a=1&&b=2&&c=3"));
        assert_eq!(parse("a=1 || (b=2 || (c=3))"), parse("a=1||b=2||c=3"));
        assert_eq!(parse("((a=1))"), parse(" a\t=\r\n1 "));
    }

    #[test]
    fn every_operator() {
        for operator in OPERATORS {
            let filter = parse(&format!("a{}'x'", operator.as_str()));
            assert_eq!(filter.terms().next().unwrap().operator, operator);
        }
    }

    #[test]
    fn literals_are_what_they_look_like() {
        for (text, value) in [
            ("null", Literal::Null),
            ("true", Literal::Flag(true)),
            ("false", Literal::Flag(false)),
            ("-12", Literal::Integer(-12)),
            ("-0", Literal::Integer(0)),
            ("9007199254740992", Literal::Integer(1 << 53)),
            ("-9007199254740992", Literal::Integer(-(1 << 53))),
            ("1.50", Literal::Real(1.5)),
            ("1e3", Literal::Real(1000.0)),
            ("-2E-2", Literal::Real(-0.02)),
            ("1e-999", Literal::Real(0.0)),
            ("1.7976931348623157e308", Literal::Real(f64::MAX)),
            ("-1.797e308", Literal::Real(-1.797e308)),
            ("10000000000000000", Literal::Real(1e16)),
            ("-99999999999999999999", Literal::Real(-1e20)),
        ] {
            assert_eq!(literal(text), value, "{text}");
        }
        assert!(matches!(literal("-0.0"), Literal::Real(real) if real.is_sign_positive()));
    }

    #[test]
    fn texts_have_the_escapes_of_json() {
        for (text, value) in [
            (r#""it's""#, "it's"),
            (r#"'say "no"'"#, "say \"no\""),
            (r#"'it\'s \"so\" \\ \/'"#, "it's \"so\" \\ /"),
            (r#""\b\f\n\r\t""#, "\u{8}\u{c}\n\r\t"),
            (r#""\u00e4\u65E5 \ud83d\ude00""#, "ä日 😀"),
            ("\"a\nb && (c)\"", "a\nb && (c)"),
            ("''", ""),
        ] {
            assert_eq!(literal(text), Literal::Text(value.into()), "{text}");
        }
    }

    #[test]
    fn a_refusal_says_where_and_what_was_expected() {
        const NAME: &str = "( or a field's name, of at most 64 letters, digits and _";
        const LITERAL: &str = "a text in quotes, a number, true, false or null";
        const ESCAPE: &str = r#"one of " ' \ / b f n r t, or u with four hexadecimal digits that are a character"#;
        for (text, at, what) in [
            ("", 1, NAME),
            ("  ", 3, NAME),
            ("1a=1", 1, NAME),
            ("ä=1", 1, NAME),
            ("a='ä' && =", 10, NAME),
            ("a=1 &&", 7, NAME),
            ("()", 2, NAME),
            ("a.b=1", 2, "one of = != > >= < <= ~ !~"),
            ("a", 2, "one of = != > >= < <= ~ !~"),
            ("a ! 1", 3, "one of = != > >= < <= ~ !~"),
            ("a == 1", 4, LITERAL),
            ("a=", 3, LITERAL),
            ("a=b", 3, LITERAL),
            ("a=nullable", 3, LITERAL),
            ("a=01", 3, LITERAL),
            ("a=+1", 3, LITERAL),
            ("a=1.", 3, LITERAL),
            ("a=.5", 3, LITERAL),
            ("a=1e", 3, LITERAL),
            ("a=inf", 3, LITERAL),
            ("a=9007199254740993", 3, "a whole number that a double holds exactly, as all up to 9007199254740992 are"),
            (
                "a=-9223372036854775807",
                3,
                "a whole number that a double holds exactly, as all up to 9007199254740992 are",
            ),
            ("a=1e999", 3, WITHIN_DOUBLES),
            ("a=-1.8e308", 3, WITHIN_DOUBLES),
            ("a=1.7976931348623159e308", 3, WITHIN_DOUBLES),
            (&*format!("a={}", "9".repeat(309)), 3, WITHIN_DOUBLES),
            ("a=1e999x", 3, LITERAL),
            ("a=01e999", 3, LITERAL),
            ("a ~ 3", 5, "a text in quotes"),
            ("a !~ null", 6, "a text in quotes"),
            ("a='b", 5, "the end of the text"),
            ("a='b\\'", 7, "the end of the text"),
            ("a='\0'", 4, "the end of the text"),
            (r"a='\x'", 5, ESCAPE),
            (r"a='\u12'", 5, ESCAPE),
            (r"a='\u+123'", 5, ESCAPE),
            (r"a='\u0000'", 5, ESCAPE),
            (r"a='\ud800'", 5, ESCAPE),
            (r"a='\ud800\u0041'", 5, ESCAPE),
            (r"a='\udc00'", 5, ESCAPE),
            ("(a=1", 5, "&&, || or )"),
            ("a=1)", 4, "&&, || or the end"),
            ("a=1 b=2", 5, "&&, || or the end"),
            ("a=1 & b=2", 5, "&&, || or the end"),
            ("a='b'c", 6, "&&, || or the end"),
        ] {
            let invalid = refusal(text);
            assert_eq!(
                (invalid.code, &*invalid.message),
                ("invalid_filter", &*format!("expects at character {at} {what}")),
                "{text}"
            );
        }
        assert_eq!(refusal(&format!("{}=1", "a".repeat(65))).code, "invalid_filter");
        parse(&format!("{}=1", "a".repeat(64)));
    }

    #[test]
    fn bounds() {
        let terms = |n: usize| vec!["a=1"; n].join("&&");
        assert_eq!(parse(&terms(20)).terms().count(), 20);
        assert_eq!(refusal(&terms(21)).code, "too_many_terms");
        let nested = |n: usize| format!("{}a=1{}", "(".repeat(n), ")".repeat(n));
        parse(&nested(8));
        assert_eq!(refusal(&nested(9)).code, "too_deep");
        assert_eq!(refusal(&"(".repeat(2000)).code, "too_deep");
        let long = |n: usize| format!("a='{}'", "x".repeat(n - 4));
        parse(&long(2000));
        assert_eq!(refusal(&long(2001)).code, "too_long");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn no_text_breaks_the_reader(text in any::<String>()) {
            let _ = Filter::parse(&text);
        }

        #[test]
        fn nor_does_what_looks_like_a_filter(
            words in prop::collection::vec(prop::sample::select(vec![
                "a", "_", "=", "!", "~", "<", ">", "&&", "||", "&", "(", ")", "((((", "'", "\"", "\\", "\\u", "d83d", "\\ude00",
                "12", "-", ".", "e9", "null", "true", " ", "ä", "\0", "😀",
            ]), 0..40)
        ) {
            if let Err(invalid) = Filter::parse(&words.concat()) {
                prop_assert!(["invalid_filter", "too_deep", "too_many_terms"].contains(&invalid.code));
            }
        }
    }
}
