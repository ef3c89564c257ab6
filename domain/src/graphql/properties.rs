use apollo_parser::Parser;
use proptest::prelude::*;
use proptest::sample::select;

use super::token_reader::{in_variable_order, significant_tokens};
use super::{DocumentError, DocumentLimits, GraphqlDocument};

/// A part of a document: tokens, or variable definitions, whose order is free.
#[derive(Debug, Clone)]
enum Part {
    Tokens(Vec<String>),
    Variables(Vec<Vec<String>>),
}

fn parse(text: &str) -> Result<GraphqlDocument<'_>, DocumentError> {
    GraphqlDocument::parse(text, &DocumentLimits::default())
}

fn normal_form(text: &str) -> String {
    parse(text).unwrap_or_else(|error| panic!("{text:?}: {error} {:?}", error.locations)).normal_form()
}

fn tokens_of(text: &str) -> Vec<&str> {
    in_variable_order(&significant_tokens(text).unwrap())
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
    "\"\"\" \r\n\t\\\\\"\"\"",
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

fn documents() -> impl Strategy<Value = Vec<Part>> {
    let definitions = (operation("Q"), operation("query"), fragment("F", &["G"]), fragment("G", &[]), any::<bool>());
    definitions.prop_map(|(first, second, f, g, is_alone)| {
        let second = if is_alone { Vec::new() } else { second };
        [g, first, f, second].concat()
    })
}

/// Ignored tokens, some of which look like others.
fn ignored() -> impl Strategy<Value = Vec<&'static str>> {
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
fn written(document: &[Part], ignored: &[&str], rotation: usize) -> String {
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

/// Texts of tokens that are hardly ever a document.
fn soup(vocabulary: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(select(vocabulary), 0..most).prop_map(|words| words.join(" "))
}

/// Documents that are hardly ever alike, and hardly ever quite different.
fn small_documents() -> impl Strategy<Value = String> {
    let variable = select(vec!["$a:T", "$b:T", "$a:T=1", "$b:T=\"\"", "$b:T=\"\" $a:T", "$a:T $b:T", "$a:[T] $b:T!"]);
    let selection = select(vec![
        "a",
        "b",
        "a b",
        "b a",
        "a:b",
        "a,b",
        "a(b:1)",
        "a(b:1.0)",
        "a(b:[1 2])",
        "a(b:[12])",
        "a(b:\"1 2\")",
        "a(b:\"1  2\")",
        "a(b:\"\"\"1\n 2\"\"\")",
        "a(b:\"\"\"1\n  2\"\"\")",
        "...F",
        "... on F{a}",
        "...{a}",
        "a@b",
        "a @b",
    ]);
    (variable, selection)
        .prop_map(|(variable, selection)| format!("query ({variable}) {{ {selection} }} fragment F on T {{a}}"))
}

const WORDS: &[&str] = &[
    "query",
    "mutation",
    "fragment",
    "on",
    "F",
    "a",
    "b",
    "{",
    "}",
    "{",
    "}",
    "{ a }",
    "(",
    ")",
    "[",
    "]",
    "...",
    "...F",
    "$",
    "$a",
    "a:",
    ":",
    "=",
    "@",
    "@a",
    "!",
    "&",
    "|",
    "1",
    "-2.5e3",
    "\"a\"",
    "\"\"\"b\"\"\"",
    "\"\"",
    "null",
    "fragment F on T { a }",
    "(a: 1)",
    "($a: T)",
    "type",
    "extend",
    ",",
    "#c\n",
];
/// Without arguments, whose names `apollo-parser` takes without values too, and strings, which it takes before fragments.
const WORDS_OF_SELECTIONS: &[&str] = &[
    "query",
    "mutation",
    "subscription",
    "fragment F",
    "on",
    "on T",
    "a",
    "{",
    "}",
    "{",
    "}",
    "{ a",
    "a }",
    "...",
    "... on",
    ":",
    "@",
    "a",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn ignored_tokens_and_the_order_of_variables_do_not_change_the_normal_form(
        document in documents(), some in ignored(), others in ignored(), order in 0..12_usize
    ) {
        let (text, same) = (written(&document, &some, 0), written(&document, &others, order));
        prop_assert_eq!(normal_form(&text), normal_form(&same));
    }

    #[test]
    fn a_normal_form_is_its_own(document in documents(), ignored in ignored(), order in 0..12_usize) {
        let form = normal_form(&written(&document, &ignored, order));
        prop_assert_eq!(normal_form(&form), form);
    }

    #[test]
    fn a_normal_form_has_the_tokens_of_its_document(document in documents(), ignored in ignored(), order in 0..12_usize) {
        let text = written(&document, &ignored, order);
        let form = normal_form(&text);
        prop_assert_eq!(tokens_of(&form), tokens_of(&text));
        prop_assert!(form.len() <= text.len() + tokens_of(&text).len());
    }

    #[test]
    fn an_operation_is_the_same_in_the_normal_form(document in documents(), ignored in ignored()) {
        let text = written(&document, &ignored, 1);
        let form = normal_form(&text);
        let (document, normal) = (parse(&text).unwrap(), parse(&form).unwrap());
        let (a, b) = (document.operation(Some("Q")).unwrap(), normal.operation(Some("Q")).unwrap());
        prop_assert_eq!((a.kind, a.depth, a.fields, a.aliases), (b.kind, b.depth, b.fields, b.aliases));
        prop_assert!(a.depth <= a.fields && a.aliases <= a.fields);
    }

    #[test]
    fn documents_of_different_tokens_have_different_normal_forms(
        a in prop_oneof![small_documents(), documents().prop_map(|document| written(&document, &[" "], 0))],
        b in prop_oneof![small_documents(), documents().prop_map(|document| written(&document, &[","], 1))],
        removed in any::<prop::sample::Index>(),
    ) {
        prop_assert_eq!(normal_form(&a) == normal_form(&b), tokens_of(&a) == tokens_of(&b));
        let mut fewer = significant_tokens(&a).unwrap();
        let at = removed.index(fewer.len());
        fewer.remove(at);
        let fewer = fewer.join("\n");
        if let Ok(other) = parse(&fewer) {
            prop_assert_eq!(other.normal_form() == normal_form(&a), tokens_of(&fewer) == tokens_of(&a));
        }
    }

    #[test]
    fn what_is_taken_is_a_document_for_another_parser(document in documents(), ignored in ignored(), soup in soup(WORDS, 12)) {
        for text in [written(&document, &ignored, 1), soup] {
            if let Ok(document) = parse(&text) {
                let form = document.normal_form();
                prop_assert_eq!(Parser::new(&form).parse().errors().len(), 0, "{}", form);
            }
        }
    }

    #[test]
    fn what_another_parser_takes_is_taken(text in soup(WORDS_OF_SELECTIONS, 14)) {
        let is_refused = parse(&text).is_err_and(|error| error.code == "syntax");
        prop_assert_eq!(Parser::new(&text).parse().errors().len() > 0, is_refused, "{}", text);
    }

    #[test]
    fn no_text_breaks_the_reader(
        text in prop_oneof!["\\PC{0,40}", "[{}()\\[\\]\"\\\\u0-9a-fD:.$\r\n#,!-]{0,40}", any::<String>(), soup(WORDS, 40)]
    ) {
        if let Ok(document) = parse(&text) {
            let form = document.normal_form();
            prop_assert_eq!(tokens_of(&form), tokens_of(&text));
            prop_assert_eq!(normal_form(&form), form);
        }
    }
}

/// Texts that would be slow or deep for a reader that is not careful, and what each is refused for.
fn hostile(n: usize) -> Vec<(&'static str, String, Option<&'static str>)> {
    let many = |text: &str| text.repeat(n);
    vec![
        ("open braces", many("{"), Some("syntax")),
        ("nested fields", many("{a") + &many("}"), Some("too_nested")),
        ("nested inline fragments", many("{...") + "{a}" + &many("}"), Some("too_nested")),
        ("nested lists", format!("{{a(b:{}{})}}", many("["), many("]")), Some("too_nested")),
        ("nested objects", format!("{{a(b:{}1{})}}", many("{c:"), many("}")), Some("too_nested")),
        ("nested types", format!("query($a:{}T{}){{a}}", many("["), many("]")), Some("too_nested")),
        ("closing braces", format!("{{a{}", many("}")), Some("syntax")),
        ("aliases", format!("{{{}}}", many("a:b ")), None),
        ("arguments", format!("{{a({})}}", many("b:1 ")), None),
        ("directives", format!("{{a{}}}", many("@b")), None),
        ("bangs", format!("query($a:T{}){{a}}", many("!")), Some("syntax")),
        ("a long string", format!("{{a(b:\"{}\")}}", many("é")), None),
        ("an open string", format!("{{a(b:\"{}", many("é")), Some("syntax")),
        ("escapes", format!("{{a(b:\"{}\")}}", many("\\u{1F600}\\uD83D\\uDE00")), None),
        ("a long escape", format!("{{a(b:\"\\u{{{}}}\")}}", many("0")), None),
        ("a block string", format!("{{a(b:\"\"\"{}\"\"\")}}", many("\r\n \\\"\"\" \"\" \\")), None),
        ("an open block string", format!("{{a(b:\"\"\"{}", many("\\\"\"\"")), Some("syntax")),
        ("empty strings", format!("{{a(b:[{}])}}", many("\"\",")), None),
        ("carriage returns", many("\r") + "{a}", None),
        ("byte order marks", many("\u{feff}") + "{a}", None),
        ("comments", many("#{\r") + "{a}", None),
        ("commas", many(",") + "{a" + &many(",") + ":b}", None),
        ("nothing else", many(" "), Some("syntax")),
        ("variables", format!("query({}){{a}}", (0..n).map(|n| format!("$v{n}:T=1 ")).collect::<String>()), None),
        ("one variable", format!("query({}){{a}}", many("$a:T")), Some("duplicate_variable")),
        ("operations", (0..n).map(|n| format!("query Q{n}{{a}}")).collect(), None),
        ("anonymous operations", many("{a}"), Some("anonymous_operation")),
        ("one operation", many("query Q{a}"), Some("duplicate_operation")),
        ("one fragment", "{a}".to_owned() + &many("fragment F on T{a}"), Some("duplicate_fragment")),
        ("a fragment spread often", format!("{{{}}} fragment F on T{{{}}}", many("...F "), many("a ")), None),
        ("a fragment of itself", format!("{{a}} fragment F on T{{{}}}", many("...F ")), Some("fragment_cycle")),
        ("unknown fragments", format!("{{{}}}", many("...F ")), Some("unknown_fragment")),
        ("digits", format!("{{a(b:{})}}", many("9")), None),
        ("a long name", format!("{{{}}}", many("a")), None),
        ("zeros", format!("{{a(b:{})}}", many("0")), Some("syntax")),
        ("types", many("type T{a:T}"), Some("not_executable")),
    ]
}

#[test]
fn hostile_texts_are_read_or_refused() {
    let wide = DocumentLimits { bytes: usize::MAX, tokens: usize::MAX, nesting: 1_000_000 };
    let is_deep = |refused: Option<&str>, text: &str| refused == Some("too_nested") || text.starts_with("{{");
    for (what, text, refused) in hostile(100_000) {
        let refused = if is_deep(refused, &text) { Some("too_nested") } else { refused };
        let outcome = GraphqlDocument::parse(&text, &wide).map(|document| document.normal_form());
        assert_eq!(outcome.as_ref().err().map(|error| error.code), refused, "{what}");
        if let Ok(form) = outcome {
            assert_eq!(tokens_of(&form), tokens_of(&text), "{what}");
        }
        let error = parse(&text).err().map(|error| error.code);
        assert!(
            matches!(error, Some("too_long" | "too_many_tokens" | "too_nested" | "syntax") | None) || error == refused,
            "{what}"
        );
    }
}

#[test]
fn the_deepest_document_fits_on_half_a_stack_of_wasm() {
    let n = DocumentLimits::MAX_NESTING;
    let limits = DocumentLimits { nesting: usize::MAX, ..DocumentLimits::default() };
    for (text, more) in [
        ("{a".repeat(n) + &"}".repeat(n), "{a".repeat(n + 1) + &"}".repeat(n + 1)),
        ("{...".repeat(n - 1) + "{a}" + &"}".repeat(n - 1), "{...".repeat(n) + "{a}" + &"}".repeat(n)),
        (
            format!("{{a(b:{}{})}}", "[".repeat(n - 2), "]".repeat(n - 2)),
            format!("{{a(b:{}{})}}", "{a:".repeat(n - 1), "}".repeat(n - 1)),
        ),
    ] {
        let read = move || {
            let form = GraphqlDocument::parse(&text, &limits).unwrap().normal_form();
            assert_eq!(form, text);
            assert_eq!(GraphqlDocument::parse(&more, &limits).unwrap_err().code, "too_nested");
        };
        std::thread::Builder::new().stack_size(512 * 1024).spawn(read).unwrap().join().unwrap();
    }
}
