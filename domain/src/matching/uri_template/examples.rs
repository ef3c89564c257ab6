//! The examples of RFC 6570 (1.2 and 3.2), and an expander that is held to them: whatever it makes of a template, the
//! template must match.

use proptest::prelude::*;

use super::*;

/// A variable's value; a map is a list of names and texts.
#[derive(Debug, Clone)]
enum ExampleValue {
    Text(String),
    List(Vec<String>),
    Map(Vec<(String, String)>),
}

/// The variables of section 3.2. `undef` and `empty_keys` have no value.
fn of_the_rfc(name: &str) -> Option<ExampleValue> {
    let text = |text: &str| Some(ExampleValue::Text(text.to_owned()));
    let list = |items: &[&str]| Some(ExampleValue::List(items.iter().map(|item| (*item).to_owned()).collect()));
    match name {
        "count" => list(&["one", "two", "three"]),
        "dom" => list(&["example", "com"]),
        "dub" => text("me/too"),
        "hello" => text("Hello World!"),
        "half" => text("50%"),
        "var" => text("value"),
        "who" => text("fred"),
        "base" => text("http://example.com/home/"),
        "path" => text("/foo/bar"),
        "list" => list(&["red", "green", "blue"]),
        "keys" => Some(ExampleValue::Map(
            [("semi", ";"), ("dot", "."), ("comma", ",")].map(|(name, text)| (name.into(), text.into())).into(),
        )),
        "v" => text("6"),
        "x" => text("1024"),
        "y" => text("768"),
        "empty" => text(""),
        _ => None,
    }
}

/// Template and expansion, operator by operator; an expansion that ends a map in another order is as good.
const EXAMPLES: &[(&str, &[(&str, &str)])] = &[
    (
        "literals and sections 1.2 and 3.2.1",
        &[
            ("'{var}'", "'value'"),
            ("'{count}'", "'one,two,three'"),
            ("O{empty}X", "OX"),
            ("O{undef}X", "OX"),
            ("X{#var}", "X#value"),
            ("X{#hello}", "X#Hello%20World!"),
            ("map?{x,y}", "map?1024,768"),
            ("{x,hello,y}", "1024,Hello%20World%21,768"),
            ("{count}", "one,two,three"),
            ("{count*}", "one,two,three"),
            ("{/count}", "/one,two,three"),
            ("{/count*}", "/one/two/three"),
            ("{;count}", ";count=one,two,three"),
            ("{;count*}", ";count=one;count=two;count=three"),
            ("{?count}", "?count=one,two,three"),
            ("{?count*}", "?count=one&count=two&count=three"),
            ("{&count*}", "&count=one&count=two&count=three"),
        ],
    ),
    (
        "3.2.2 simple strings",
        &[
            ("{var}", "value"),
            ("{hello}", "Hello%20World%21"),
            ("{half}", "50%25"),
            ("{x,y}", "1024,768"),
            ("?{x,empty}", "?1024,"),
            ("?{x,undef}", "?1024"),
            ("?{undef,y}", "?768"),
            ("{var:3}", "val"),
            ("{var:30}", "value"),
            ("{list}", "red,green,blue"),
            ("{list*}", "red,green,blue"),
            ("{keys}", "semi,%3B,dot,.,comma,%2C"),
            ("{keys*}", "semi=%3B,dot=.,comma=%2C"),
        ],
    ),
    (
        "3.2.3 reserved",
        &[
            ("{+var}", "value"),
            ("{+hello}", "Hello%20World!"),
            ("{+half}", "50%25"),
            ("{base}index", "http%3A%2F%2Fexample.com%2Fhome%2Findex"),
            ("{+base}index", "http://example.com/home/index"),
            ("O{+empty}X", "OX"),
            ("O{+undef}X", "OX"),
            ("{+path}/here", "/foo/bar/here"),
            ("here?ref={+path}", "here?ref=/foo/bar"),
            ("up{+path}{var}/here", "up/foo/barvalue/here"),
            ("{+x,hello,y}", "1024,Hello%20World!,768"),
            ("{+path,x}/here", "/foo/bar,1024/here"),
            ("{+path:6}/here", "/foo/b/here"),
            ("{+list}", "red,green,blue"),
            ("{+list*}", "red,green,blue"),
            ("{+keys}", "semi,;,dot,.,comma,,"),
            ("{+keys*}", "semi=;,dot=.,comma=,"),
        ],
    ),
    (
        "3.2.4 fragments",
        &[
            ("{#var}", "#value"),
            ("{#hello}", "#Hello%20World!"),
            ("{#half}", "#50%25"),
            ("foo{#empty}", "foo#"),
            ("foo{#undef}", "foo"),
            ("{#x,hello,y}", "#1024,Hello%20World!,768"),
            ("{#path,x}/here", "#/foo/bar,1024/here"),
            ("{#path:6}/here", "#/foo/b/here"),
            ("{#list}", "#red,green,blue"),
            ("{#list*}", "#red,green,blue"),
            ("{#keys}", "#semi,;,dot,.,comma,,"),
            ("{#keys*}", "#semi=;,dot=.,comma=,"),
        ],
    ),
    (
        "3.2.5 labels",
        &[
            ("{.who}", ".fred"),
            ("{.who,who}", ".fred.fred"),
            ("{.half,who}", ".50%25.fred"),
            ("www{.dom*}", "www.example.com"),
            ("X{.var}", "X.value"),
            ("X{.x,y}", "X.1024.768"),
            ("X{.empty}", "X."),
            ("X{.undef}", "X"),
            ("X{.var:3}", "X.val"),
            ("X{.list}", "X.red,green,blue"),
            ("X{.list*}", "X.red.green.blue"),
            ("X{.keys}", "X.semi,%3B,dot,.,comma,%2C"),
            ("X{.keys*}", "X.semi=%3B.dot=..comma=%2C"),
            ("X{.empty_keys}", "X"),
            ("X{.empty_keys*}", "X"),
        ],
    ),
    (
        "3.2.6 path segments",
        &[
            ("{/who}", "/fred"),
            ("{/who,who}", "/fred/fred"),
            ("{/half,who}", "/50%25/fred"),
            ("{/who,dub}", "/fred/me%2Ftoo"),
            ("{/var}", "/value"),
            ("{/var,empty}", "/value/"),
            ("{/var,undef}", "/value"),
            ("{/var,x}/here", "/value/1024/here"),
            ("{/var:1,var}", "/v/value"),
            ("{/list}", "/red,green,blue"),
            ("{/list*}", "/red/green/blue"),
            ("{/list*,path:4}", "/red/green/blue/%2Ffoo"),
            ("{/keys}", "/semi,%3B,dot,.,comma,%2C"),
            ("{/keys*}", "/semi=%3B/dot=./comma=%2C"),
        ],
    ),
    (
        "3.2.7 path parameters",
        &[
            ("{;who}", ";who=fred"),
            ("{;half}", ";half=50%25"),
            ("{;empty}", ";empty"),
            ("{;v,empty,who}", ";v=6;empty;who=fred"),
            ("{;v,bar,who}", ";v=6;who=fred"),
            ("{;x,y}", ";x=1024;y=768"),
            ("{;x,y,empty}", ";x=1024;y=768;empty"),
            ("{;x,y,undef}", ";x=1024;y=768"),
            ("{;hello:5}", ";hello=Hello"),
            ("{;list}", ";list=red,green,blue"),
            ("{;list*}", ";list=red;list=green;list=blue"),
            ("{;keys}", ";keys=semi,%3B,dot,.,comma,%2C"),
            ("{;keys*}", ";semi=%3B;dot=.;comma=%2C"),
        ],
    ),
    (
        "3.2.8 queries",
        &[
            ("{?who}", "?who=fred"),
            ("{?half}", "?half=50%25"),
            ("{?x,y}", "?x=1024&y=768"),
            ("{?x,y,empty}", "?x=1024&y=768&empty="),
            ("{?x,y,undef}", "?x=1024&y=768"),
            ("{?var:3}", "?var=val"),
            ("{?list}", "?list=red,green,blue"),
            ("{?list*}", "?list=red&list=green&list=blue"),
            ("{?keys}", "?keys=semi,%3B,dot,.,comma,%2C"),
            ("{?keys*}", "?semi=%3B&dot=.&comma=%2C"),
        ],
    ),
    (
        "3.2.9 queries that go on",
        &[
            ("{&who}", "&who=fred"),
            ("{&half}", "&half=50%25"),
            ("?fixed=yes{&x}", "?fixed=yes&x=1024"),
            ("{&x,y,empty}", "&x=1024&y=768&empty="),
            ("{&x,y,undef}", "&x=1024&y=768"),
            ("{&var:3}", "&var=val"),
            ("{&list}", "&list=red,green,blue"),
            ("{&list*}", "&list=red&list=green&list=blue"),
            ("{&keys}", "&keys=semi,%3B,dot,.,comma,%2C"),
            ("{&keys*}", "&semi=%3B&dot=.&comma=%2C"),
        ],
    ),
];

/// What a template expands to (RFC 6570, Appendix A), for templates that can be parsed.
fn expand(template: &str, value_of: &dyn Fn(&str) -> Option<ExampleValue>) -> String {
    let mut expansion = String::new();
    let mut rest = template;
    while let Some((literal, behind)) = rest.split_once('{') {
        let (inside, after) = behind.split_once('}').unwrap();
        expansion.push_str(&encode(literal, true));
        expansion.push_str(&expand_expression(inside, value_of));
        rest = after;
    }
    expansion + &encode(rest, true)
}

fn expand_expression(inside: &str, value_of: &dyn Fn(&str) -> Option<ExampleValue>) -> String {
    let sign = inside.chars().next().filter(|c| "+#./;?&".contains(*c));
    let operator = ExpressionOperator::of(sign);
    let values = inside[sign.map_or(0, char::len_utf8)..].split(',').filter_map(|text| {
        let variable = Variable::parse(text).unwrap();
        value_of(variable.name).map(|value| expand_variable(&operator, &variable, value))
    });
    let values: Vec<String> = values.collect();
    if values.is_empty() { String::new() } else { operator.first.to_owned() + &values.join(operator.between) }
}

fn expand_variable(operator: &ExpressionOperator, variable: &Variable<'_>, value: ExampleValue) -> String {
    let encode = |text: &str| encode(text, operator.takes_reserved);
    let named = |name: &str, text: String| match operator.named {
        None => text,
        Some(empty) if text.is_empty() => name.to_owned() + empty,
        Some(_) => format!("{name}={text}"),
    };
    let is_exploded = matches!(variable.modifier, VariableModifier::Explode);
    match value {
        ExampleValue::Text(text) => {
            let longest =
                if let VariableModifier::Longest(most) = variable.modifier { most as usize } else { usize::MAX };
            named(variable.name, encode(&text.chars().take(longest).collect::<String>()))
        }
        ExampleValue::List(items) if is_exploded => {
            items.iter().map(|item| named(variable.name, encode(item))).collect::<Vec<_>>().join(operator.between)
        }
        ExampleValue::Map(pairs) if is_exploded => {
            let pair = |(name, text): &(String, String)| match operator.named {
                Some(_) => named(&encode(name), encode(text)),
                None => format!("{}={}", encode(name), encode(text)),
            };
            pairs.iter().map(pair).collect::<Vec<_>>().join(operator.between)
        }
        ExampleValue::List(items) => {
            named(variable.name, items.iter().map(|item| encode(item)).collect::<Vec<_>>().join(","))
        }
        ExampleValue::Map(pairs) => {
            let pair = |(name, text): &(String, String)| [encode(name), encode(text)].join(",");
            named(variable.name, pairs.iter().map(pair).collect::<Vec<_>>().join(","))
        }
    }
}

/// A text with everything but unreserved characters percent-encoded; reserved ones and escapes stay where they may.
fn encode(text: &str, keeps_reserved: bool) -> String {
    let mut encoded = String::new();
    for (at, byte) in text.bytes().enumerate() {
        let c = char::from(byte);
        let is_escape = c == '%' && begins_with_escape(std::str::from_utf8(&text.as_bytes()[at..]).unwrap_or("%"));
        let stays = c.is_ascii_alphanumeric()
            || "-._~".contains(c)
            || keeps_reserved && (":/?#[]@!$&'()*+,;=".contains(c) || is_escape);
        if stays && byte.is_ascii() { encoded.push(c) } else { encoded.push_str(&format!("%{byte:02X}")) }
    }
    encoded
}

#[test]
fn the_examples_of_the_rfc() {
    let all = || EXAMPLES.iter().flat_map(|(section, examples)| examples.iter().map(move |one| (section, one)));
    for (section, (text, expansion)) in all() {
        assert_eq!(expand(text, &of_the_rfc), *expansion, "{section}: the expander, of {text}");
        let template = UriTemplate::parse(text).unwrap();
        assert!(template.matches(expansion), "{section}: {text} is to match {expansion}");
        for other in [format!("{expansion}<"), format!("{expansion}%"), format!("<{expansion}")] {
            assert!(!template.matches(&other), "{section}: {text} is not to match {other}");
        }
    }
    assert_eq!(all().count(), 121, "docs/mercure.md tells how many");
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zé€🚲 %/,;=&.!'~-]{0,5}", Just("%41".to_owned())]
}

fn values() -> impl Strategy<Value = Option<ExampleValue>> {
    let list = prop::collection::vec(texts(), 1..4);
    let map = prop::collection::vec(("[a-z;é]{1,3}", texts()), 1..4);
    prop::option::of(prop_oneof![
        texts().prop_map(ExampleValue::Text),
        list.prop_map(ExampleValue::List),
        map.prop_map(ExampleValue::Map),
    ])
}

fn templates() -> impl Strategy<Value = String> {
    let variable =
        ("[abc]", prop_oneof![Just(String::new()), Just("*".into()), (1..4u32).prop_map(|n| format!(":{n}"))]);
    let variables = prop::collection::vec(variable.prop_map(|(name, modifier)| name + &modifier), 1..4);
    let expression = ("[+#./;?&]?", variables).prop_map(|(sign, names)| format!("{{{sign}{}}}", names.join(",")));
    prop::collection::vec(
        prop_oneof!["[a-zé'/%]{0,3}".prop_filter("an escape", |text| !text.contains('%')), expression],
        1..4,
    )
    .prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn whatever_a_template_expands_to_it_matches(text in templates(), [a, b, c] in [values(), values(), values()]) {
        // Prefixes are of texts alone (RFC 6570, 2.4.1).
        let is_list = |value: &Option<ExampleValue>| !matches!(value, None | Some(ExampleValue::Text(_)));
        prop_assume!(!text.contains(':') || ![&a, &b, &c].into_iter().any(is_list));
        let expansion = expand(&text, &|name| match name { "a" => a.clone(), "b" => b.clone(), _ => c.clone() });
        if let Ok(template) = UriTemplate::parse(&text) {
            prop_assert!(template.matches(&expansion), "{} is to match {}", text, expansion);
        }
    }
}
