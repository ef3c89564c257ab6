//! URI Templates (RFC 6570, all four levels), read backwards: could this text be an expansion of the template?
//!
//! Every expansion of a template matches it, whatever the values. Beyond the RFC two things are left open: an exploded
//! variable does not tell lists from maps, and a topic may be an IRI, which stands for the URI that it maps to
//! ([`as_uri`]). What the hubs of Mercure 0.x accept besides (a name that the template does not have, a value longer than
//! its `:n`) does not match: a template also grants rights.
//!
//! The grammar is the RFC's with its verified erratum on literals: an apostrophe is one.

use std::borrow::Cow;
use std::fmt::Write as _;

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
            items.push(Expression::Text(expanded(literal)?));
            let (inside, after) = behind.split_once('}').ok_or_else(|| invalid("has a { without its }"))?;
            items.push(expression(inside)?);
            rest = after;
        }
        items.push(Expression::Text(expanded(rest)?));
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

    /// What every topic it matches begins with, whichever way its characters beyond ASCII are spelled.
    pub fn literal_prefix(&self) -> &str {
        self.program.head().split('%').next().unwrap_or_default()
    }

    /// Whether some expansion of the template is this topic.
    pub fn matches(&self, topic: &str) -> bool {
        self.program.matches(&as_uri(topic))
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

/// What a text between expressions expands to (RFC 6570, 2.1 and 3.1): itself, with characters beyond ASCII
/// percent-encoded.
fn expanded(literal: &str) -> Result<String, Invalid> {
    if !literal.chars().all(|c| c == '%' || is_literal(c)) || !has_whole_escapes(literal) {
        return Err(invalid("has a character outside its expressions that must be percent-encoded"));
    }
    Ok(as_uri(literal).into_owned())
}

/// Whether a character may stand between expressions (RFC 6570, 2.1, `literals` without `pct-encoded`).
fn is_literal(c: char) -> bool {
    match c {
        '"' | '%' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}' => false,
        '\u{21}'..='\u{7e}' => true,
        // `ucschar` and `iprivate` (RFC 3987, 2.2): everything but controls, specials, tags and what is no character.
        '\0'..='\u{9f}' | '\u{fdd0}'..='\u{fdef}' | '\u{fff0}'..='\u{ffff}' | '\u{e0000}'..='\u{e0fff}' => false,
        c => u32::from(c) & 0xfffe != 0xfffe,
    }
}

/// A URI or IRI as a URI (RFC 3987, 3.1): each byte of a character beyond ASCII percent-encoded. The digits of all its
/// escapes are upper case, which makes no difference (RFC 3986, 6.2.2.1).
fn as_uri(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|b| b == b'%' || !b.is_ascii()) {
        return Cow::Borrowed(text);
    }
    let mut uri = String::with_capacity(text.len());
    let mut digits = 0_u8;
    for (at, c) in text.char_indices() {
        if digits > 0 {
            digits -= 1;
            uri.push(c.to_ascii_uppercase());
        } else if c.is_ascii() {
            let rest = text.get(at..).unwrap_or_default();
            digits = if c == '%' && begins_with_escape(rest) { 2 } else { 0 };
            uri.push(c);
        } else {
            let escape = |uri: &mut String, byte: &u8| write!(uri, "%{byte:02X}");
            // Writing to a string cannot fail.
            let _ = c.encode_utf8(&mut [0; 4]).as_bytes().iter().try_for_each(|byte| escape(&mut uri, byte));
        }
    }
    Cow::Owned(uri)
}

fn begins_with_escape(text: &str) -> bool {
    text.strip_prefix('%')
        .and_then(|behind| behind.get(..2))
        .is_some_and(|two| two.bytes().all(|b| b.is_ascii_hexdigit()))
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
mod examples;

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
            &["/books/a-b._~", "/books/%C3%A9", "/books/é", "/books/red,green"],
            &["/books", "/books/a/b", "/books/%C3%A9/b"],
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
        check(
            "/{var:3}",
            &["/", "/val", "/%C3%A9%E2%82%AC%F0%9F%9A%B2", "/é€🚲"],
            &["/value", "/%41%41%41%41", "/é€🚲x"],
        );
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
        ];
        for text in broken {
            assert!(UriTemplate::parse(text).is_err(), "{text}");
        }
        for text in ["", "plain", "'{a}", "{a.b_1}", "{%41}", "é{a}", "%20{a}"] {
            assert_eq!(template(text).text(), text);
        }
        assert_eq!(UriTemplate::parse(&"{a:128}".repeat(50)).unwrap_err().code, "too_complex");
    }

    /// RFC 6570 with its erratum on literals, and section 3.1: what is allowed in a URI stays, the rest is encoded.
    #[test]
    fn literals() {
        check("x'{var}'", &["x'value'", "x''"], &["xvalue", "x%27value%27", "x'value"]);
        check("it's/{id}", &["it's/1"], &["its/1", "it%27s/1"]);
        check("a-._~:/?#[]@!$&'()*+,;={v}", &["a-._~:/?#[]@!$&'()*+,;=1"], &["a-._~:/?#[]@!$&%27()*+,;=1"]);
        check("%41%2f{v}", &["%41%2F1", "%41%2f1"], &["A%2F1", "%41/1"]);
        for text in ["\u{fdd0}{v}", "\u{fff0}{v}", "\u{1fffe}{v}", "\u{e0001}{v}", "\u{85}{v}", " {v}", "{v}\u{7f}"] {
            assert!(UriTemplate::parse(text).is_err(), "{text:?}");
        }
        for text in ["\u{a0}{v}", "\u{e000}{v}", "\u{1f6b2}{v}", "\u{e1000}{v}", "\u{10fffd}{v}"] {
            assert!(template(text).matches(&text.replace("{v}", "1")), "{text:?}");
        }
    }

    #[test]
    fn characters_beyond_ascii_match_in_either_spelling() {
        for text in ["caf\u{e9}/{v}", "caf%C3%A9/{v}", "caf%c3%a9/{v}"] {
            check(
                text,
                &["caf\u{e9}/1", "caf%C3%A9/1", "caf%c3%a9/1", "caf\u{e9}/ol\u{e9}", "caf%C3%A9/ol%C3%A9"],
                &["cafe/1", "caf%E9/1", "caf\u{c9}/1", "caf%C3/1"],
            );
            assert_eq!(template(text).literal_prefix(), "caf");
        }
        check("{?q}", &["?q=\u{e9}", "?q=%C3%A9"], &["?q=%C3%A9%"]);
        check("{#v}/\u{65e5}", &["#a/\u{65e5}", "#\u{672c}/%E6%97%A5", "/\u{65e5}"], &["#a/\u{672c}"]);
    }

    /// URIs are compared as they are spelled, without normal forms of Unicode (RFC 3986, 6.2; RFC 3987, 5.3.2.2 leaves
    /// them to whoever makes an IRI).
    #[test]
    fn composed_and_decomposed_characters_are_two() {
        check("/\u{fc}/{v}", &["/\u{fc}/1", "/%C3%BC/1"], &["/u\u{308}/1", "/u%CC%88/1"]);
        check("/u\u{308}/{v}", &["/u\u{308}/1", "/u%CC%88/1"], &["/\u{fc}/1", "/%C3%BC/1"]);
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
        fn a_topic_is_its_own_uri_and_spelled_in_one_way(text in "[a-f%0-9A-Fé€ü]{0,12}") {
            let uri = as_uri(&text);
            prop_assert!(uri.is_ascii());
            prop_assert_eq!(as_uri(&uri), uri.as_ref());
        }

        #[test]
        fn no_text_breaks_the_parser(text in "[{}a-c,:*+#./;?&%0-9é ]{0,24}", topic in "\\PC{0,24}") {
            if let Ok(template) = UriTemplate::parse(&text) {
                prop_assert!(!template.matches(&topic) || topic.starts_with(template.literal_prefix()));
            }
        }
    }
}
