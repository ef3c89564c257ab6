//! One text for all documents that differ only in what has no meaning: ignored tokens (white space, line terminators, commas,
//! comments and byte order marks; GraphQL specification, 2.1) and the order of an operation's variable definitions.
//!
//! - All other tokens stand as they were, strings too: two spellings of one string make two texts, which costs a second
//!   entry in a cache and never a wrong one. The indentation of a block string is part of its token.
//! - The text is a document of the same meaning, and its own normal form. It has the document's tokens, and one space
//!   where two would join or look as if they did: between two that are no punctuation, and before `...` behind one of these.

use apollo_parser::{Token, TokenKind};

use super::parse::{OperationDefinition, VariableDefinition};

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
