//! Documents of all the grammar, and texts with ignored tokens in any place.

use proptest::prelude::*;
use proptest::sample::select;

/// A part of a document: tokens, or variable definitions, whose order is free.
#[derive(Debug, Clone)]
pub enum Part {
    Tokens(Vec<String>),
    Variables(Vec<Vec<String>>),
}

fn tokens(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-c_][a-c0-9_]{0,2}", 1 => select(vec!["on", "query", "fragment", "true", "null", "type"]).prop_map(String::from)]
}

const LITERALS: &[&str] = &[
    "0",
    "-1",
    "12",
    "1.5",
    "-0.0",
    "1e5",
    "1E-5",
    "2.5e+1",
    "true",
    "null",
    "RED",
    "\"\"",
    "\"a\"",
    "\"a,  # b\"",
    "\"\\\"\"",
    "\"\\\\\"",
    "\"\\u00e4\"",
    "\"\"\"\"\"\"",
    "\"\"\"\n  a\n    b\"\"\"",
    "\"\"\"\\\"\"\" \"x\" \"\"\"",
    "\"\"\" \r\n\t\\\\ \"\"\"",
];

fn values(has_variables: bool) -> impl Strategy<Value = Vec<String>> {
    let literal = select(LITERALS).prop_map(|literal| tokens(&[literal])).boxed();
    let leaf = if has_variables {
        prop_oneof![3 => literal, 1 => names().prop_map(|name| vec!["$".into(), name])].boxed()
    } else {
        literal
    };
    leaf.prop_recursive(2, 8, 3, |inner| {
        let member = (names(), inner.clone()).prop_map(|(name, value)| [vec![name, ":".into()], value].concat());
        let lists = prop::collection::vec(inner, 0..4).prop_map(|all| between("[", &all, "]"));
        let objects = prop::collection::vec(member, 0..4).prop_map(|all| between("{", &all, "}"));
        prop_oneof![lists, objects]
    })
}

fn between(open: &str, parts: &[Vec<String>], close: &str) -> Vec<String> {
    [tokens(&[open]), parts.concat(), tokens(&[close])].concat()
}

fn arguments(has_variables: bool) -> impl Strategy<Value = Vec<String>> {
    let argument = (names(), values(has_variables)).prop_map(|(name, value)| [vec![name, ":".into()], value].concat());
    prop::collection::vec(argument, 0..3)
        .prop_map(|all| if all.is_empty() { Vec::new() } else { between("(", &all, ")") })
}

fn directives(has_variables: bool) -> impl Strategy<Value = Vec<String>> {
    let directive =
        (names(), arguments(has_variables)).prop_map(|(name, arguments)| [vec!["@".into(), name], arguments].concat());
    prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(directive, 1..3).prop_map(|all| all.concat())]
}

/// A set of selections that may spread these fragments.
fn selection_set(fragments: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    let field = |below: BoxedStrategy<Vec<String>>| {
        let alias = prop::option::of(names().prop_map(|name| vec![name, ":".into()]));
        (alias, names(), arguments(true), directives(true), below).prop_map(
            |(alias, name, arguments, directives, below)| {
                [alias.unwrap_or_default(), vec![name], arguments, directives, below].concat()
            },
        )
    };
    let leaf = field(Just(Vec::new()).boxed()).prop_map(|field| between("{", &[field], "}"));
    leaf.prop_recursive(3, 12, 4, move |inner| {
        let condition = prop::option::of(names().prop_map(|name| vec!["on".into(), name]));
        let inline = (condition, directives(true), inner.clone()).prop_map(|(condition, directives, below)| {
            [tokens(&["..."]), condition.unwrap_or_default(), directives, below].concat()
        });
        let mut selections = vec![field(inner.boxed()).boxed(), inline.boxed()];
        if !fragments.is_empty() {
            let named = (select(fragments), directives(true))
                .prop_map(|(name, directives)| [tokens(&["...", name]), directives].concat());
            selections.push(named.boxed());
        }
        prop::collection::vec(prop::strategy::Union::new(selections), 1..4).prop_map(|all| between("{", &all, "}"))
    })
}

fn types() -> impl Strategy<Value = Vec<String>> {
    let named =
        (names(), any::<bool>()).prop_map(|(name, bang)| [vec![name], vec!["!".into(); usize::from(bang)]].concat());
    named.prop_recursive(2, 4, 1, |inner| {
        (inner, any::<bool>())
            .prop_map(|(inner, bang)| [between("[", &[inner], "]"), vec!["!".into(); usize::from(bang)]].concat())
    })
}

fn variables() -> impl Strategy<Value = Vec<Vec<String>>> {
    let default = prop::option::of(values(false).prop_map(|value| [tokens(&["="]), value].concat()));
    let definition = (types(), default, directives(false))
        .prop_map(|(kind, default, directives)| [kind, default.unwrap_or_default(), directives].concat());
    prop::collection::btree_map(names(), definition, 0..4).prop_map(|all| {
        all.into_iter().map(|(name, definition)| [vec!["$".into(), name, ":".into()], definition].concat()).collect()
    })
}

fn operation(name: &'static str) -> impl Strategy<Value = Vec<Part>> {
    let kind = select(vec!["query", "mutation", "subscription"]);
    (kind, variables(), directives(true), selection_set(&["F", "G"])).prop_map(
        move |(kind, variables, directives, set)| {
            let mut parts = vec![Part::Tokens(tokens(&[kind, name]))];
            if !variables.is_empty() {
                parts.extend([Part::Tokens(tokens(&["("])), Part::Variables(variables), Part::Tokens(tokens(&[")"]))]);
            }
            parts.push(Part::Tokens([directives, set].concat()));
            parts
        },
    )
}

fn fragment(name: &'static str, others: &'static [&'static str]) -> impl Strategy<Value = Vec<Part>> {
    (names(), directives(true), selection_set(others)).prop_map(move |(condition, directives, set)| {
        vec![Part::Tokens([tokens(&["fragment", name, "on", &condition]), directives, set].concat())]
    })
}

pub fn documents() -> impl Strategy<Value = Vec<Part>> {
    let definitions = (operation("Q"), operation("query"), fragment("F", &["G"]), fragment("G", &[]), any::<bool>());
    definitions.prop_map(|(first, second, f, g, is_alone)| {
        let second = if is_alone { Vec::new() } else { second };
        [g, first, f, second].concat()
    })
}

/// Ignored tokens, some of which look like others.
pub fn ignored() -> impl Strategy<Value = Vec<&'static str>> {
    let some = vec![
        "",
        "",
        "",
        " ",
        ",",
        "\n",
        "\r",
        "\r\n",
        "\t",
        "\u{feff}",
        ",,  ,",
        "#\n",
        "# \"{(é # \"\"\"\r",
        " #a\r\n,",
    ];
    prop::collection::vec(select(some), 1..40)
}

/// Whether two tokens would be others without something in between.
fn would_join(before: &str, behind: &str) -> bool {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_number = before.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    before.ends_with(is_of_name) && behind.starts_with(is_of_name)
        || is_number && behind == "..."
        || before == "\"\"" && behind.starts_with('"')
}

/// A document with variables in an order of their own, and ignored tokens in between.
pub fn written(document: &[Part], ignored: &[&str], rotation: usize) -> String {
    let mut all = Vec::new();
    for part in document {
        match part {
            Part::Tokens(tokens) => all.extend(tokens.clone()),
            Part::Variables(variables) => {
                let mut variables = variables.clone();
                let middle = rotation % variables.len();
                variables.rotate_left(middle);
                if rotation % 2 == 1 {
                    variables.reverse();
                }
                all.extend(variables.concat());
            }
        }
    }
    let mut text = String::new();
    let mut before = "";
    for (token, ignored) in all.iter().zip(ignored.iter().cycle()) {
        text.push_str(if ignored.is_empty() && would_join(before, token) { " " } else { ignored });
        text.push_str(token);
        before = token;
    }
    text
}
