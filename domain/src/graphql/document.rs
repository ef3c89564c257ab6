//! A document that was read: its operations, what its fragments select, and its tokens.

use std::collections::BTreeSet;

use apollo_parser::Token;

use super::definitions::{Definitions, OperationDefinition, SelectionCounts};
use super::error::{DocumentError, Location};
use super::fragments::{FragmentCounts, count_fragments};
use super::limits::{DocumentLimits, OperationLimits};
use super::normal_form::{in_normal_order, join};
use super::operation::GraphqlOperation;
use super::parse::parse_definitions;
use super::tokens::read_tokens;

/// An executable document: one operation or more, and the fragments that they need.
#[derive(Debug)]
pub struct GraphqlDocument<'a> {
    text: &'a str,
    /// One at least; one without a name is alone.
    operations: Vec<OperationDefinition<'a>>,
    fragments: FragmentCounts<'a>,
    /// What stands in all definitions, whether it is executed or not.
    written: SelectionCounts,
    /// The significant tokens in the order of the normal form.
    tokens: Vec<Token<'a>>,
}

impl<'a> GraphqlDocument<'a> {
    /// Reads a document. The errors' codes:
    ///
    /// - `too_long`, `too_many_tokens` and `too_nested` by the limits;
    /// - `syntax`, and `not_executable` for definitions of types;
    /// - `no_operation`, `duplicate_operation`, `anonymous_operation` for one that is not alone, `duplicate_variable`;
    /// - `duplicate_fragment`, `unknown_fragment`, `fragment_cycle`.
    pub fn parse(text: &'a str, limits: &DocumentLimits) -> Result<Self, DocumentError> {
        let tokens = read_tokens(text, limits)?;
        let definitions = parse_definitions(text, &tokens, limits)?;
        check_operations(text, &definitions)?;
        let fragments = count_fragments(text, &definitions)?;
        let tokens = in_normal_order(&tokens, &definitions.operations);
        let written = definitions.written();
        Ok(Self { text, operations: definitions.operations, fragments, written, tokens })
    }

    /// The operation that a request names, or the only one there is (GraphQL specification, 6.1, `GetOperation`). The
    /// errors' codes are `unknown_operation` and `operation_name_required`.
    pub fn operation(&self, name: Option<&str>) -> Result<GraphqlOperation<'a>, DocumentError> {
        let definition = match (name, self.operations.as_slice()) {
            (None, [only]) => only,
            (None, _) => {
                let message = "`operationName` is required: the document has several operations";
                return Err(DocumentError::new("operation_name_required", message));
            }
            (Some(_), operations) => operations.iter().find(|operation| operation.name == name).ok_or_else(|| {
                let message = "`operationName` must be the name of an operation of the document";
                DocumentError::new("unknown_operation", message)
            })?,
        };
        Ok(self.counted(definition))
    }

    /// Checks all that the document defines: a server validates each definition, whichever operation it executes. Every
    /// operation keeps the limits, and so do all definitions together, each fragment counted once. The errors are those of
    /// [`GraphqlOperation::check`].
    pub fn check(&self, limits: &OperationLimits) -> Result<(), DocumentError> {
        for definition in &self.operations {
            self.counted(definition).check(limits)?;
        }
        let deepest = self.fragments.values().map(|fragment| fragment.depth).max().unwrap_or_default();
        limits.check("document", self.written.depth.max(deepest), self.written.fields, self.written.aliases)
    }

    fn counted(&self, definition: &OperationDefinition<'a>) -> GraphqlOperation<'a> {
        let counts = definition.selections.expand(&self.fragments);
        GraphqlOperation {
            kind: definition.kind,
            name: definition.name,
            location: Location::of(self.text, definition.offset),
            depth: counts.depth,
            fields: counts.fields,
            aliases: counts.aliases,
            introspects: counts.introspects,
        }
    }

    /// Whether a name stands anywhere in it: as a field, an argument, a variable or an alias.
    pub fn mentions(&self, name: &str) -> bool {
        self.tokens.iter().any(|token| token.data() == name)
    }

    /// Whether a field is given one of these names that it does not have.
    pub fn has_alias(&self, names: &[&str]) -> bool {
        let mut parentheses = 0_u32;
        let next = self.tokens.iter().skip(1).map(|token| token.data()).chain([""]);
        self.tokens.iter().map(|token| token.data()).zip(next).any(|(token, next)| {
            match token {
                "(" => parentheses += 1,
                ")" => parentheses = parentheses.saturating_sub(1),
                _ => {}
            }
            parentheses == 0 && next == ":" && names.contains(&token)
        })
    }

    /// Whether it asks for a connection (`nodes` or `edges`) below a field at the root, or in a fragment, which may stand
    /// anywhere.
    pub fn nests_connections(&self) -> bool {
        let (mut depth, mut parentheses, mut in_fragment) = (0_u32, 0_u32, false);
        for token in &self.tokens {
            match token.data() {
                "(" => parentheses += 1,
                ")" => parentheses = parentheses.saturating_sub(1),
                _ if parentheses > 0 => {}
                "{" => depth += 1,
                "}" => {
                    depth = depth.saturating_sub(1);
                    in_fragment &= depth > 0;
                }
                "fragment" if depth == 0 => in_fragment = true,
                "nodes" | "edges" if in_fragment || depth > 2 => return true,
                _ => {}
            }
        }
        false
    }

    /// The one text of all documents that differ from this one only in ignored tokens and in the order of an operation's
    /// variable definitions. It may be longer than the document by a byte for each token.
    pub fn normal_form(&self) -> String {
        join(&self.tokens)
    }
}

/// Checks that there are operations, and that their names and those of their variables are unique (GraphQL specification,
/// 5.2.1.1, 5.2.2.1 and 5.8.1).
fn check_operations(text: &str, definitions: &Definitions) -> Result<(), DocumentError> {
    let operations = definitions.operations.as_slice();
    if operations.is_empty() {
        return Err(DocumentError::new("no_operation", "The document has no operation"));
    }
    let mut names = BTreeSet::new();
    for operation in operations {
        let refused = match operation.name {
            None if operations.len() > 1 => {
                Some(("anonymous_operation", "An operation without a name must be the only one"))
            }
            Some(name) if !names.insert(name) => {
                Some(("duplicate_operation", "There is another operation of this name"))
            }
            _ => None,
        };
        if let Some((code, message)) = refused {
            return Err(DocumentError::new(code, message).at(Location::of(text, operation.offset)));
        }
        let mut variables = BTreeSet::new();
        if let Some(second) = operation.variables.iter().find(|variable| !variables.insert(variable.name)) {
            let error = DocumentError::new("duplicate_variable", "The operation has another variable of this name");
            return Err(error.at(Location::of(text, second.offset)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{OperationLimits, OperationType};
    use super::*;

    fn parse(text: &str) -> Result<GraphqlDocument<'_>, DocumentError> {
        GraphqlDocument::parse(text, &DocumentLimits::default())
    }

    fn only(text: &str) -> GraphqlOperation<'_> {
        parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).operation(None).unwrap()
    }

    #[test]
    fn a_field_that_is_given_a_name_is_told_from_an_argument() {
        for (text, expected) in [
            ("{a{id:slug}}", true),
            ("{a{x id : slug}}", true),
            ("mutation{m(input:{id:7}){...F}} fragment F on P{id:title}", true),
            ("{id(id:7){id}}", false),
            ("query Q($id:ID=1){a(id:$id,b:{id:[1]}) @include(id:true){id other:id}}", false),
            ("{a{ids:b deletedId}}", false),
        ] {
            assert_eq!(parse(text).unwrap().has_alias(&["id", "deletedId"]), expected, "{text}");
        }
    }

    #[test]
    fn an_operation_is_found_by_its_name() {
        let document = parse("query A { a }\n mutation B { b } subscription C { c { d } }").unwrap();
        for (name, kind, column) in
            [("A", OperationType::Query, 1), ("B", OperationType::Mutation, 2), ("C", OperationType::Subscription, 19)]
        {
            let operation = document.operation(Some(name)).unwrap();
            assert_eq!((operation.kind, operation.name), (kind, Some(name)));
            assert_eq!(operation.location.column, column);
        }
        assert_eq!(document.operation(None).unwrap_err().code, "operation_name_required");
        for unknown in ["D", "a", ""] {
            assert_eq!(document.operation(Some(unknown)).unwrap_err().code, "unknown_operation");
        }
    }

    #[test]
    fn connections_below_the_root_are_seen() {
        for (text, expected) in [
            ("{ posts { nodes { id } } }", false),
            (
                "query ($a: [Int!] = [1]) { posts(where: {in: $a}) { edges { node { id } } } pages { nodes { id } } }",
                false,
            ),
            ("{ nodes { id } }", false),
            ("{ posts { nodes { categories { nodes { id } } } } }", true),
            ("{ post(id: 1) { comments { nodes { id } } } }", true),
            ("{ post(where: {nodes: {edges: 1}}) { title } }", false),
            ("fragment F on Post { comments { edges { node { id } } } } { posts { nodes { ...F } } }", true),
            ("fragment F on Post { title } { posts { nodes { ...F } } }", false),
            ("fragment F on Post { title } query Q { posts { nodes { ...F } } }", false),
            ("{ a { ... on B { c { nodes { id } } } } }", true),
        ] {
            assert_eq!(parse(text).unwrap().nests_connections(), expected, "{text}");
        }
    }

    #[test]
    fn an_operation_alone_needs_no_name() {
        for (text, kind, name) in [
            ("{ a }", OperationType::Query, None),
            ("query { a }", OperationType::Query, None),
            ("mutation ($a: T) @b { a }", OperationType::Mutation, None),
            ("fragment F on T { a } query Q { ...F }", OperationType::Query, Some("Q")),
            ("query query { query }", OperationType::Query, Some("query")),
            ("subscription on { on }", OperationType::Subscription, Some("on")),
        ] {
            let operation = only(text);
            assert_eq!((operation.kind, operation.name), (kind, name), "{text}");
        }
        assert_eq!(parse("{ a }").unwrap().operation(Some("A")).unwrap_err().code, "unknown_operation");
        assert_eq!(parse("query A { a }").unwrap().operation(Some("A")).unwrap().name, Some("A"));
    }

    #[test]
    fn numbers_count_a_fragment_wherever_it_is_used() {
        let numbers = |text: &str| {
            let operation = only(text);
            (operation.depth, operation.fields, operation.aliases)
        };
        for (text, expected) in [
            ("{ a }", (1, 1, 0)),
            ("{ a b: a c { d e: f(g: {h: i}) @j(k: l) } }", (2, 5, 2)),
            ("{ ... { a ... on T { b ... @c { d } } } }", (1, 3, 0)),
            ("{ ...F } fragment F on T { a { b } }", (2, 2, 0)),
            ("{ ...F a { ...F b { ...F } } } fragment F on T { x: a { b } }", (4, 8, 3)),
            ("{ ...F ...F } fragment G on T { a: a } fragment F on T { ...G b { ...G ...G } }", (2, 8, 6)),
            ("{ a } fragment F on T { x: a { b { c } } }", (1, 1, 0)),
        ] {
            assert_eq!(numbers(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_executed_is_bounded_too() {
        let code = |text: &str| {
            let limits = OperationLimits { depth: 2, fields: 4, aliases: 1 };
            parse(text).unwrap().check(&limits).map_err(|error| error.code)
        };
        for (text, expected) in [
            ("query A { a } query B { b c d }", Ok(())),
            ("query A { a } query B { b c d e }", Err("too_many_fields")),
            ("query A { a } query B { b { c { d } } }", Err("too_deep")),
            ("query A { x: a } query B { x: b }", Err("too_many_aliases")),
            ("{ a } fragment F on T { b c d e }", Err("too_many_fields")),
            ("{ a } fragment F on T { b { c { d } } }", Err("too_deep")),
            ("{ a } fragment F on T { b { ...G } } fragment G on T { c { d } }", Err("too_deep")),
            ("query A { ...F } query B { ...F } fragment F on T { a b c }", Ok(())),
            ("{ ...F ...F } fragment F on T { a b c }", Err("too_many_fields")),
        ] {
            assert_eq!(code(text), expected, "{text}");
        }
    }

    #[test]
    fn introspection_is_seen_wherever_it_stands() {
        for (text, introspects) in [
            ("{ __schema { types { name } } }", true),
            ("{ a: __type(name: \"T\") { name } }", true),
            ("{ __typename }", false),
            ("{ __schema: a }", false),
            ("{ a { __schema } }", true),
            ("{ ... { ... on Query @a { __schema } } }", true),
            ("{ ...F } fragment F on Query { ...G } fragment G on Query { __type }", true),
            ("{ a { ...F } } fragment F on T { __type }", true),
            ("{ ...F } fragment F on Query { a { ...G } } fragment G on T { __schema }", true),
            ("{ a } fragment F on Query { __schema }", false),
            ("{ __schemas __types __ }", false),
        ] {
            assert_eq!(only(text).introspects, introspects, "{text}");
        }
    }

    #[test]
    fn bounds_name_themselves_and_the_number() {
        let check = |text: &str, limits: OperationLimits| only(text).check(&limits);
        let limits = OperationLimits { depth: 2, fields: 3, aliases: 1 };
        assert_eq!(check("{ a { b: c d } }", limits), Ok(()));
        for (text, code, message) in [
            ("{ a { b { c } } }", "too_deep", "The operation is 3 levels deep; at most 2 are allowed"),
            ("{ a b c d }", "too_many_fields", "The operation selects 4 fields; at most 3 are allowed"),
            ("{ a: b c: d }", "too_many_aliases", "The operation has 2 aliases; at most 1 are allowed"),
        ] {
            let error = check(text, limits).unwrap_err();
            assert_eq!((error.code, &*error.message), (code, message));
            assert_eq!(error.locations, [Location { line: 1, column: 1 }]);
        }
    }

    #[test]
    fn what_breaks_a_rule_of_names_is_refused_where_it_does() {
        for (text, code, column) in [
            ("query A { a } query A { b }", "duplicate_operation", 15),
            ("query A { a } mutation A { b }", "duplicate_operation", 15),
            ("{ a } query A { b }", "anonymous_operation", 1),
            ("query A { a } { b }", "anonymous_operation", 15),
            ("{ a } { a }", "anonymous_operation", 1),
            ("query ($a: T, $b: T, $a: U) { a }", "duplicate_variable", 22),
            ("{ ...F } fragment F on T { a } fragment F on T { a }", "duplicate_fragment", 41),
            ("{ a { ...F } }", "unknown_fragment", 10),
            ("{ a } fragment F on T { ...G }", "unknown_fragment", 28),
            ("{ ...F } fragment F on T { a { ...F } }", "fragment_cycle", 35),
            ("{ ...F } fragment F on T { ...G } fragment G on T { ...F }", "fragment_cycle", 56),
            ("{ a } fragment F on T { ... { ...F } }", "fragment_cycle", 34),
            (
                "{ ...A } fragment A on T { ...B } fragment B on T { ...C } fragment C on T { ...B }",
                "fragment_cycle",
                81,
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!((error.code, error.locations), (code, vec![Location { line: 1, column }]), "{text}");
        }
        let error = parse("fragment F on T { a }").unwrap_err();
        assert_eq!((error.code, error.locations), ("no_operation", vec![]));
        assert!(parse("query A($a: T) { a } query B($a: T) { a }").is_ok());
    }
}
