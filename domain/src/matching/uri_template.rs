//! URI Templates (RFC 6570, all four levels), read backwards: could this text be an expansion of the template?
//!
//! Every expansion of a template matches it, whatever the values. Beyond the RFC one thing is left open: an exploded
//! variable does not tell lists from maps. What the hubs of Mercure 0.x accept besides (a name that the template does
//! not have, a value longer than its `:n`) does not match: a template also grants rights.

use super::expression::{CharClass, Expression};
use super::program::Program;
use super::steps::Steps;
use crate::error::Invalid;

const UNRESERVED: [(char, char); 6] = [('a', 'z'), ('A', 'Z'), ('0', '9'), ('-', '.'), ('_', '_'), ('~', '~')];
const RESERVED: [(char, char); 7] =
    [('!', '!'), ('#', '$'), ('&', ','), ('/', '/'), (':', ';'), ('=', '='), ('?', '@')];

const HEX: [(char, char); 3] = [('0', '9'), ('A', 'F'), ('a', 'f')];

/// The greatest `:n` that is counted; a greater one leaves the length open.
const LONGEST_COUNTED: u32 = 128;

/// A template, compiled.
#[derive(Debug)]
pub struct UriTemplate {
    text: Box<str>,
    program: Program,
    steps: Steps,
}

impl UriTemplate {
    /// Parses a template; refused if it takes too many steps to compile.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let mut items = Vec::new();
        let mut rest = text;
        while let Some((literal, behind)) = rest.split_once('{') {
            items.push(Expression::Text(checked(literal)?));
            let (inside, after) = behind.split_once('}').ok_or_else(|| invalid("has a { without its }"))?;
            items.push(expression(inside)?);
            rest = after;
        }
        items.push(Expression::Text(checked(rest)?));
        let mut steps = Steps::default();
        let program = Program::compile(Expression::Sequence(items), &mut steps)?;
        Ok(Self { text: text.into(), program, steps })
    }

    /// The steps that it took to compile.
    pub fn steps(&self) -> Steps {
        self.steps
    }

    /// The template as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What every topic it matches begins with.
    pub fn literal_prefix(&self) -> &str {
        self.program.head()
    }

    /// Whether some expansion of the template is this topic.
    pub fn matches(&self, topic: &str) -> bool {
        self.program.matches(topic)
    }

    /// Bytes that it takes in memory, itself aside.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.text.len() + self.program.bytes()
    }
}

fn invalid(message: &'static str) -> Invalid {
    Invalid::new("invalid_uri_template", message)
}

/// Text between expressions (RFC 6570, 2.1).
fn checked(literal: &str) -> Result<String, Invalid> {
    let stray = |c: char| c.is_control() || matches!(c, ' ' | '"' | '\'' | '<' | '>' | '\\' | '^' | '`' | '|' | '}');
    if literal.contains(stray) || !has_whole_escapes(literal) {
        return Err(invalid("has a character outside its expressions that must be percent-encoded"));
    }
    Ok(literal.into())
}

fn has_whole_escapes(text: &str) -> bool {
    let is_hex = |digits: &str| digits.bytes().all(|b| b.is_ascii_hexdigit());
    text.split('%').skip(1).all(|behind| behind.get(..2).is_some_and(is_hex))
}

/// What an operator makes of its variables (RFC 6570, Appendix A).
struct ExpressionOperator {
    first: &'static str,
    between: &'static str,
    /// What stands behind the name of an empty value; none where values have no names.
    named: Option<&'static str>,
    takes_reserved: bool,
}

impl ExpressionOperator {
    fn of(sign: Option<char>) -> Self {
        let (first, between, named, takes_reserved) = match sign {
            Some('+') => ("", ",", None, true),
            Some('#') => ("#", ",", None, true),
            Some('.') => (".", ".", None, false),
            Some('/') => ("/", "/", None, false),
            Some(';') => (";", ";", Some(""), false),
            Some('?') => ("?", "&", Some("="), false),
            Some('&') => ("&", "&", Some("="), false),
            _ => ("", ",", None, false),
        };
        Self { first, between, named, takes_reserved }
    }

    /// One character of a value, as it is or percent-encoded.
    fn unit(&self) -> Expression {
        let mut class = CharClass::of(&UNRESERVED);
        if self.takes_reserved {
            class.add(CharClass::of(&RESERVED));
            class.add(CharClass::of(&[('[', '['), (']', ']')]));
        }
        Expression::Either(vec![Expression::One(class), escape(&HEX)])
    }

    /// A variable that is one text, or a list or map in one.
    fn value(&self) -> Expression {
        Expression::Either(vec![self.unit(), text(",")]).any_number()
    }

    /// The first characters of a text; one character may take several escapes.
    fn start_of_value(&self, longest: u32) -> Expression {
        if longest > LONGEST_COUNTED {
            return self.unit().any_number();
        }
        let Expression::Either(mut unit) = self.unit() else { return self.unit() };
        unit.truncate(1);
        // The bytes that go on with a character begin with 8, 9, A or B. They count for nothing, wherever they stand: so
        // each escape has one meaning, and the template as many rows as characters.
        unit.push(escape(&[('0', '7'), ('C', 'F'), ('c', 'f')]));
        let further = escape(&[('8', '9'), ('A', 'B'), ('a', 'b')]).any_number();
        let character = Expression::Sequence(vec![Expression::Either(unit), further.clone()]);
        Expression::Sequence(vec![further, Expression::Repeat(Box::new(character), 0, Some(longest))])
    }

    fn variable(&self, variable: &Variable) -> Expression {
        let value = match variable.modifier {
            VariableModifier::Explode => return self.exploded(),
            VariableModifier::Longest(longest) => self.start_of_value(longest),
            VariableModifier::None => self.value(),
        };
        let Some(empty) = self.named else { return value };
        let value = Expression::Sequence(vec![text("="), value]);
        let value = if empty.is_empty() { value.optional() } else { value };
        Expression::Sequence(vec![text(variable.name), value])
    }

    /// Every value by itself, with its name where it has one.
    fn exploded(&self) -> Expression {
        let value = Expression::Sequence(vec![text("="), self.unit().any_number()]);
        let item = match self.named {
            None => vec![self.unit().any_number(), value.optional()],
            Some("") => vec![Expression::Repeat(Box::new(self.unit()), 1, None), value.optional()],
            Some(_) => vec![Expression::Repeat(Box::new(self.unit()), 1, None), value],
        };
        let item = Expression::Sequence(item);
        let further = Expression::Sequence(vec![text(self.between), item.clone()]).any_number();
        Expression::Sequence(vec![item, further])
    }
}

fn escape(first: &[(char, char)]) -> Expression {
    Expression::Sequence(vec![text("%"), Expression::One(CharClass::of(first)), Expression::One(CharClass::of(&HEX))])
}

fn text(text: &str) -> Expression {
    Expression::Text(text.into())
}

enum VariableModifier {
    None,
    Explode,
    Longest(u32),
}

struct Variable<'a> {
    name: &'a str,
    modifier: VariableModifier,
}

impl<'a> Variable<'a> {
    fn parse(text: &'a str) -> Result<Self, Invalid> {
        let (name, modifier) = if let Some(name) = text.strip_suffix('*') {
            (name, VariableModifier::Explode)
        } else if let Some((name, longest)) = text.split_once(':') {
            (
                name,
                VariableModifier::Longest(
                    longest_of(longest).ok_or_else(|| invalid("has a prefix that is not 1 to 9999"))?,
                ),
            )
        } else {
            (text, VariableModifier::None)
        };
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '%' | '.');
        let is_name =
            name.chars().all(known) && has_whole_escapes(name) && name.split('.').all(|part| !part.is_empty());
        if !is_name {
            return Err(invalid("has an expression that does not list names of variables"));
        }
        Ok(Self { name, modifier })
    }
}

fn longest_of(digits: &str) -> Option<u32> {
    let shaped = (1..=4).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    (shaped && !digits.starts_with('0')).then(|| digits.parse().ok())?
}

/// What stands between braces.
fn expression(inside: &str) -> Result<Expression, Invalid> {
    let sign = inside.chars().next().filter(|c| matches!(c, '+' | '#' | '.' | '/' | ';' | '?' | '&'));
    let operator = ExpressionOperator::of(sign);
    let names = inside.get(sign.map_or(0, char::len_utf8)..).unwrap_or_default();
    let variables = names.split(',').map(Variable::parse).collect::<Result<Vec<_>, _>>()?;
    let items = variables.iter().map(|variable| operator.variable(variable)).collect();
    // A variable without a value leaves nothing behind, and without any the operator's sign falls away too.
    Ok(Expression::Sequence(vec![text(operator.first), Expression::Subset(items, operator.between)]).optional())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn template(text: &str) -> UriTemplate {
        UriTemplate::parse(text).unwrap()
    }

    #[track_caller]
    fn check(text: &str, matching: &[&str], others: &[&str]) {
        let template = template(text);
        for topic in matching {
            assert!(template.matches(topic), "{text} is to match {topic}");
            assert!(topic.starts_with(template.literal_prefix()));
        }
        for topic in others {
            assert!(!template.matches(topic), "{text} is not to match {topic}");
        }
    }

    #[test]
    fn simple_expansion() {
        check("https://example.com/books/{id}", &["https://example.com/books/1", "https://example.com/books/"], &[]);
        check(
            "/books/{id}",
            &["/books/a-b._~", "/books/%C3%A9", "/books/red,green"],
            &["/books", "/books/a/b", "/books/é"],
        );
        check("/books/{id}", &["/books/%ff"], &["/books/%f", "/books/%zz", "/books/a?b", "/books/a=b", "x/books/1"]);
        check("map?{x,y}", &["map?1024,768", "map?1024", "map?"], &["map?a b"]);
        check("{list*}", &["red,green,blue", "semi=%3B,dot=."], &["a/b"]);
    }

    #[test]
    fn reserved_and_fragment_expansion() {
        check("{+path}/here", &["/foo/bar/here", "a[1]?b#c/here", "/here"], &["/foo/bar", "a b/here"]);
        check("X{#x,hello,y}", &["X#1024,Hello%20World!,768", "X", "X#"], &["Xa", "X 1"]);
        check("{+base}index", &["http://example.com/home/index"], &["http://example.com/home/"]);
    }

    #[test]
    fn labels_and_path_segments() {
        check("www{.dom*}", &["www.example.com", "www", "www.com=net"], &["www,example", "wwwexample"]);
        check("X{.x,y}", &["X.1024.768", "X.1", "X"], &["X.1/2"]);
        check("{/var,x}/here", &["/value/1024/here", "/value/here", "/here"], &["/a/b/c/here", "value/here"]);
        check("{/list*}", &["/red/green/blue", "", "/"], &["red"]);
        check("{/var:1,var}", &["/v/value", "/v"], &["v/value"]);
    }

    #[test]
    fn parameters_and_queries() {
        check("{;x,y,empty}", &[";x=1024;y=768;empty", ";y=1", ";empty", ""], &[";y=1;x=2", ";z=1", ";x=1;"]);
        check("{?x,y}", &["?x=1024&y=768", "?x=1", "?y=", ""], &["?y", "?z=1", "?y=1&x=2", "?x=1?y=2", "x=1"]);
        check("/a?fixed=yes{&x}", &["/a?fixed=yes&x=1024", "/a?fixed=yes"], &["/a?fixed=yes?x=1", "/a?fixed=no&x=1"]);
        check("{?keys*}", &["?semi=%3B&dot=.&comma=%2C", "?keys=a&keys=b"], &["?=a&", "?a"]);
        check("{;keys*}", &[";semi=%3B;dot", ";a"], &[";", "a"]);
    }

    #[test]
    fn prefixes_count_characters() {
        check("/{var:3}", &["/", "/val", "/%C3%A9%E2%82%AC%F0%9F%9A%B2"], &["/value", "/%41%41%41%41"]);
        check("/{var:3}/{var}", &["/val/value"], &["/valu/value"]);
        check("/{var:9999}", &["/value"], &["/val/ue"]);
        check("{?var:3}", &["?var=val", "?var="], &["?var=value"]);
    }

    #[test]
    fn what_is_no_template() {
        let broken = [
            "{",
            "}",
            "{}",
            "a}b",
            "{a",
            "{a}}",
            "{a b}",
            "{=a}",
            "{!a}",
            "{|a}",
            "{,a}",
            "{a,}",
            "{a:0}",
            "{a:}",
            "{a:99999}",
            "{a:1x}",
            "{a*:3}",
            "{a:3*}",
            "{é}",
            "{a%2}",
            "{.}",
            "{a..b}",
            "a b{c}",
            "100%{a}",
            "<{a}>",
            "a\\{b}",
            "'{a}",
        ];
        for text in broken {
            assert!(UriTemplate::parse(text).is_err(), "{text}");
        }
        for text in ["", "plain", "{a.b_1}", "{%41}", "é{a}", "%20{a}"] {
            assert_eq!(template(text).text(), text);
        }
        assert_eq!(UriTemplate::parse(&"{a:128}".repeat(50)).unwrap_err().code, "too_complex");
    }

    #[test]
    fn the_prefix_is_what_stands_before_the_first_expression() {
        let prefix = |text: &str| template(text).literal_prefix().to_owned();
        assert_eq!(prefix("https://example.com/{a}/b"), "https://example.com/");
        assert_eq!(prefix("{+all}"), "");
        assert_eq!(prefix("plain"), "plain");
    }

    proptest! {
        #[test]
        fn every_expansion_matches(a in "[a-z]{0,4}|(%[0-9A-F]{2}){1,3}", b in prop::option::of("[a-z0-9._~-]{0,5}"), n in 1usize..6) {
            let prefix: String = if a.contains('%') { a.chars().take(3 * n).collect() } else { a.chars().take(n).collect() };
            let part = |sign: &str| b.as_ref().map(|b| format!("{sign}{b}")).unwrap_or_default();
            let query = b.as_ref().map(|b| format!("?b={b}")).unwrap_or_default();
            let topic = format!("t/{a}{}{}/{prefix}{query}", part("."), part("/"));
            prop_assert!(template(&format!("t/{{a}}{{.b}}{{/b}}/{{a:{n}}}{{?b}}")).matches(&topic), "{}", topic);
        }

        #[test]
        fn no_text_breaks_the_parser(text in "[{}a-c,:*+#./;?&%0-9é ]{0,24}", topic in "\\PC{0,24}") {
            if let Ok(template) = UriTemplate::parse(&text) {
                prop_assert!(!template.matches(&topic) || topic.starts_with(template.literal_prefix()));
            }
        }
    }
}
