//! One text for all documents that differ only in what has no meaning: ignored tokens (white space, line terminators, commas,
//! comments and byte order marks; GraphQL specification, 2.1) and the order of an operation's variable definitions.
//!
//! - All other tokens stand as they were, strings too: two spellings of one string make two texts, which costs a second
//!   entry in a cache and never a wrong one. The indentation of a block string is part of its token.
//! - The text is a document of the same meaning, and its own normal form. It has the document's tokens, and one space
//!   where two would join or look as if they did: between two that are no punctuation, and before `...` behind one of these.

use apollo_parser::{Token, TokenKind};

use super::definitions::{OperationDefinition, VariableDefinition};

/// The tokens with each operation's variable definitions in the order of their names.
pub(super) fn in_normal_order<'a>(tokens: &[Token<'a>], operations: &[OperationDefinition<'a>]) -> Vec<Token<'a>> {
    let mut ordered = Vec::with_capacity(tokens.len());
    for operation in operations.iter().filter(|operation| operation.variables.len() > 1) {
        let mut variables: Vec<&VariableDefinition> = operation.variables.iter().collect();
        let start = variables.first().map_or(0, |first| first.start);
        ordered.extend_from_slice(tokens.get(ordered.len()..start).unwrap_or_default());
        variables.sort_unstable_by_key(|variable| variable.name);
        for variable in variables {
            let range = variable.start..variable.start + variable.length;
            ordered.extend_from_slice(tokens.get(range).unwrap_or_default());
        }
    }
    ordered.extend_from_slice(tokens.get(ordered.len()..).unwrap_or_default());
    ordered
}

/// The text of tokens: as short as it may be read safely.
pub(super) fn join(tokens: &[Token]) -> String {
    let mut text = String::with_capacity(tokens.iter().map(|token| token.data().len() + 1).sum());
    let mut is_behind_text = false;
    for token in tokens {
        let is_text = is_no_punctuation(token.kind());
        if is_behind_text && (is_text || token.data() == "...") {
            text.push(' ');
        }
        text.push_str(token.data());
        is_behind_text = is_text;
    }
    text
}

fn is_no_punctuation(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::Name | TokenKind::Int | TokenKind::Float | TokenKind::StringValue)
}

#[cfg(test)]
mod tests {
    use super::super::{DocumentLimits, GraphqlDocument};

    fn normal_form(text: &str) -> String {
        GraphqlDocument::parse(text, &DocumentLimits::default()).unwrap().normal_form()
    }

    #[test]
    fn it_is_as_short_as_it_may_be() {
        for (text, expected) in [
            (
                "\u{feff}query  Q { a , b # c\r d ... on T { e } ...F }\nfragment F on T { f }",
                "query Q{a b d ...on T{e}...F}fragment F on T{f}",
            ),
            (
                "{a(b:[1,-2 3.0[]\"\"\"\"\"\"\"\" \"\" E true])...{c}}",
                "{a(b:[1 -2 3.0[]\"\"\"\"\"\" \"\" \"\" E true])...{c}}",
            ),
            ("{ a: b @c ...F @d ... @e { f } } fragment F on T { g }", "{a:b@c ...F@d ...@e{f}}fragment F on T{g}"),
        ] {
            assert_eq!(normal_form(text), expected);
            assert_eq!(normal_form(expected), expected);
        }
    }

    #[test]
    fn variables_stand_in_the_order_of_their_names() {
        let expected = "query A($a:[T!]=[{b:1}]@c(d:2)$b:T){a}query B{b}query C($c:T){c}query D($a:T$d:T){d}";
        let texts = [
            "query A($b:T $a:[T!]=[{b:1}]@c(d:2)){a} query B{b} query C($c:T){c} query D($d:T $a:T){d}",
            "query A($a:[T!]=[{b:1}]@c(d:2),$b:T){a} query B{b} query C($c:T){c} query D($a:T,$d:T){d}",
        ];
        for text in texts {
            assert_eq!(normal_form(text), expected);
        }
    }

    #[test]
    fn what_may_have_a_meaning_makes_a_difference() {
        for (a, b) in [
            ("{a b}", "{b a}"),
            ("{a}", "query{a}"),
            ("{a}", "{a:a}"),
            ("{a}", "{...{a}}"),
            ("{a(b:1 c:2)}", "{a(c:2 b:1)}"),
            ("{a(b:1)}", "{a(b:1.0)}"),
            ("{a(b:\"c\")}", "{a(b:\"\"\"c\"\"\")}"),
            ("{a(b:\"c\")}", "{a(b:\"\\u0063\")}"),
            ("{a(b:\"c d\")}", "{a(b:\"c  d\")}"),
            ("{a(b:\"#c\")}", "{a(b:\"#d\")}"),
            ("{a(b:\"\"\"\n c\n\"\"\")}", "{a(b:\"\"\"\n  c\n\"\"\")}"),
            ("{a(b:\"\"\"c\nd\"\"\")}", "{a(b:\"\"\"c\r\nd\"\"\")}"),
            ("{a(b:{c:1 d:2})}", "{a(b:{d:2 c:1})}"),
            ("query($a:T){b}", "query($a:T!){b}"),
            ("query A{a}query B{b}", "query B{b}query A{a}"),
            ("query A($a:T){a}", "query B($a:T){a}"),
        ] {
            assert_ne!(normal_form(a), normal_form(b));
        }
    }
}
