//! The grammar of executable documents (GraphQL specification, 2.2 to 2.12).
//!
//! It reads each token once, decides by the next one, and keeps of a definition what the cache needs: names, variables
//! and counts.
//!
//! Not the parser of `apollo-parser`, which stands beside its lexer: that one also takes `{ a(b) }` and
//! `"" fragment on T { a }`, refuses `{ a,: b }`, and finds its nodes by a hash without a key, which somebody who chooses
//! the names can make slow. Tests hold the two against each other.

use apollo_parser::{Token, TokenKind};

use super::definitions::{
    Definitions, FragmentDefinition, FragmentReference, OperationDefinition, Selections, VariableDefinition,
};
use super::error::DocumentError;
use super::limits::DocumentLimits;
use super::operation::OperationType;
use super::token_cursor::TokenCursor;

/// Whether a value may be a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Constness {
    Constant,
    Variable,
}

/// Reads the definitions of a document, of which there is at least one.
pub(super) fn parse_definitions<'a>(
    text: &'a str,
    tokens: &[Token<'a>],
    limits: &DocumentLimits,
) -> Result<Definitions<'a>, DocumentError> {
    let mut parser = DocumentParser { tokens: TokenCursor::new(text, tokens, limits) };
    let mut definitions = Definitions::default();
    loop {
        parser.definition(&mut definitions)?;
        if parser.tokens.kind() == TokenKind::Eof {
            return Ok(definitions);
        }
    }
}

struct DocumentParser<'a, 't> {
    tokens: TokenCursor<'a, 't>,
}

impl<'a> DocumentParser<'a, '_> {
    fn definition(&mut self, definitions: &mut Definitions<'a>) -> Result<(), DocumentError> {
        let kind = match (self.tokens.kind(), self.tokens.name_ahead()) {
            (TokenKind::LCurly, _) | (_, "query") => OperationType::Query,
            (_, "mutation") => OperationType::Mutation,
            (_, "subscription") => OperationType::Subscription,
            (_, "fragment") => {
                definitions.fragments.push(self.fragment_definition()?);
                return Ok(());
            }
            (_, "schema" | "scalar" | "type" | "interface" | "union" | "enum" | "input" | "directive" | "extend") => {
                let message = "A request takes operations and fragments; it must not define types";
                return Err(DocumentError::new("not_executable", message).at(self.tokens.location()));
            }
            _ => return Err(self.tokens.expected("{, query, mutation, subscription or fragment")),
        };
        definitions.operations.push(self.operation_definition(kind)?);
        Ok(())
    }

    fn operation_definition(&mut self, kind: OperationType) -> Result<OperationDefinition<'a>, DocumentError> {
        let offset = self.tokens.offset();
        let (mut name, mut variables) = (None, Vec::new());
        if self.tokens.take(TokenKind::Name) {
            if self.tokens.kind() == TokenKind::Name {
                name = Some(self.tokens.expect(TokenKind::Name)?);
            }
            if self.tokens.kind() == TokenKind::LParen {
                variables = self.variable_definitions()?;
            }
            self.directives(Constness::Variable)?;
        }
        let mut selections = Selections::default();
        self.selection_set(0, &mut selections)?;
        Ok(OperationDefinition { kind, name, offset, variables, selections })
    }

    fn fragment_definition(&mut self) -> Result<FragmentDefinition<'a>, DocumentError> {
        self.tokens.expect(TokenKind::Name)?;
        let offset = self.tokens.offset();
        if self.tokens.name_ahead() == "on" {
            return Err(self.tokens.expected("the fragment's name"));
        }
        let name = self.tokens.expect(TokenKind::Name)?;
        if self.tokens.name_ahead() != "on" {
            return Err(self.tokens.expected("on"));
        }
        self.tokens.expect(TokenKind::Name)?;
        self.tokens.expect(TokenKind::Name)?;
        self.directives(Constness::Variable)?;
        let mut selections = Selections::default();
        self.selection_set(0, &mut selections)?;
        Ok(FragmentDefinition { name, offset, selections })
    }

    fn variable_definitions(&mut self) -> Result<Vec<VariableDefinition<'a>>, DocumentError> {
        let mut variables = Vec::new();
        self.tokens.open(TokenKind::LParen)?;
        loop {
            variables.push(self.variable_definition()?);
            if self.tokens.close(TokenKind::RParen) {
                return Ok(variables);
            }
        }
    }

    fn variable_definition(&mut self) -> Result<VariableDefinition<'a>, DocumentError> {
        let (start, offset) = (self.tokens.position(), self.tokens.offset());
        self.tokens.expect(TokenKind::Dollar)?;
        let name = self.tokens.expect(TokenKind::Name)?;
        self.tokens.expect(TokenKind::Colon)?;
        self.type_reference()?;
        if self.tokens.take(TokenKind::Eq) {
            self.value(Constness::Constant)?;
        }
        self.directives(Constness::Constant)?;
        Ok(VariableDefinition { name, offset, start, length: self.tokens.position() - start })
    }

    fn type_reference(&mut self) -> Result<(), DocumentError> {
        let outside = self.tokens.nesting();
        while self.tokens.kind() == TokenKind::LBracket {
            self.tokens.open(TokenKind::LBracket)?;
        }
        self.tokens.expect(TokenKind::Name)?;
        self.tokens.take(TokenKind::Bang);
        while self.tokens.nesting() > outside {
            if !self.tokens.close(TokenKind::RBracket) {
                return Err(self.tokens.expected("]"));
            }
            self.tokens.take(TokenKind::Bang);
        }
        Ok(())
    }

    /// Reads selections that so many fields enclose.
    fn selection_set(&mut self, level: u64, selections: &mut Selections<'a>) -> Result<(), DocumentError> {
        self.tokens.open(TokenKind::LCurly)?;
        loop {
            if self.tokens.take_dots() {
                self.fragment(level, selections)?;
            } else if self.tokens.kind() == TokenKind::Name {
                self.field(level, selections)?;
            } else {
                return Err(self.tokens.expected("a field or a fragment"));
            }
            if self.tokens.close(TokenKind::RCurly) {
                return Ok(());
            }
        }
    }

    fn field(&mut self, level: u64, selections: &mut Selections<'a>) -> Result<(), DocumentError> {
        let mut name = self.tokens.expect(TokenKind::Name)?;
        let is_aliased = self.tokens.take(TokenKind::Colon);
        if is_aliased {
            name = self.tokens.expect(TokenKind::Name)?;
        }
        selections.add_field(name, level, is_aliased);
        self.arguments(Constness::Variable)?;
        self.directives(Constness::Variable)?;
        if self.tokens.kind() == TokenKind::LCurly {
            self.selection_set(level + 1, selections)?;
        }
        Ok(())
    }

    /// What stands behind the three dots: the name of a fragment, or one without a name.
    fn fragment(&mut self, level: u64, selections: &mut Selections<'a>) -> Result<(), DocumentError> {
        let offset = self.tokens.offset();
        match self.tokens.name_ahead() {
            "" => {}
            "on" => {
                self.tokens.expect(TokenKind::Name)?;
                self.tokens.expect(TokenKind::Name)?;
            }
            name => {
                self.tokens.expect(TokenKind::Name)?;
                selections.references.push(FragmentReference { name, offset, level });
                return self.directives(Constness::Variable);
            }
        }
        self.directives(Constness::Variable)?;
        self.selection_set(level, selections)
    }

    fn directives(&mut self, constness: Constness) -> Result<(), DocumentError> {
        while self.tokens.take(TokenKind::At) {
            self.tokens.expect(TokenKind::Name)?;
            self.arguments(constness)?;
        }
        Ok(())
    }

    fn arguments(&mut self, constness: Constness) -> Result<(), DocumentError> {
        if self.tokens.kind() != TokenKind::LParen {
            return Ok(());
        }
        self.tokens.open(TokenKind::LParen)?;
        loop {
            self.named_value(constness)?;
            if self.tokens.close(TokenKind::RParen) {
                return Ok(());
            }
        }
    }

    fn named_value(&mut self, constness: Constness) -> Result<(), DocumentError> {
        self.tokens.expect(TokenKind::Name)?;
        self.tokens.expect(TokenKind::Colon)?;
        self.value(constness)
    }

    fn value(&mut self, constness: Constness) -> Result<(), DocumentError> {
        match self.tokens.kind() {
            kind @ (TokenKind::Int | TokenKind::Float | TokenKind::StringValue | TokenKind::Name) => {
                self.tokens.expect(kind)?;
            }
            TokenKind::Dollar if constness == Constness::Variable => {
                self.tokens.expect(TokenKind::Dollar)?;
                self.tokens.expect(TokenKind::Name)?;
            }
            TokenKind::LBracket => {
                self.tokens.open(TokenKind::LBracket)?;
                while !self.tokens.close(TokenKind::RBracket) {
                    self.value(constness)?;
                }
            }
            TokenKind::LCurly => {
                self.tokens.open(TokenKind::LCurly)?;
                while !self.tokens.close(TokenKind::RCurly) {
                    self.named_value(constness)?;
                }
            }
            _ if constness == Constness::Constant => return Err(self.tokens.expected("a value without variables")),
            _ => return Err(self.tokens.expected("a value")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::Location;
    use super::super::tokens::read_tokens;
    use super::*;

    const LIMITS: DocumentLimits = DocumentLimits { bytes: 1_000, tokens: 1_000, nesting: 4 };

    fn parse(text: &str) -> Result<Definitions<'_>, DocumentError> {
        parse_definitions(text, &read_tokens(text, &LIMITS)?, &LIMITS)
    }

    #[test]
    fn all_of_the_grammar_is_taken() {
        for text in [
            "{a}",
            "query{a}",
            "query Q($a:T,$b:[T!]!=[1,[]]@c(d:{e:1})@f,$on:Int=-1)@g(h:$a){a}",
            "mutation($a:T=\"\"){a(b:$a,c:[$a{d:$a}],e:null,f:true,g:RED,h:\"\"\"x\"\"\",i:1.5e3,j:{},k:[])}",
            "subscription S @a @b { a: b(c: 1) @d { e } }",
            "{ ... { a } ... @a { b } ... on T { c } ... on on @b { d } ...F ...F @c }",
            "{ on query mutation fragment true null type on: on }",
            "fragment fragment on fragment @a { ...query } fragment query on on { on }",
            "query on($on:on=on)@on(on:on){on}",
        ] {
            parse(text).unwrap_or_else(|error| panic!("{text}: {error} {:?}", error.locations));
        }
    }

    #[test]
    fn a_refusal_says_where_and_what_was_expected() {
        const DEFINITION: &str = "{, query, mutation, subscription or fragment";
        const SELECTION: &str = "a field or a fragment";
        for (text, column, expected, found) in [
            ("", 1, DEFINITION, "the end"),
            ("a", 1, DEFINITION, "a name"),
            ("\"\" fragment on T { a }", 1, DEFINITION, "a string"),
            ("{ a } }", 7, DEFINITION, "}"),
            ("QUERY { a }", 1, DEFINITION, "a name"),
            ("query", 6, "{", "the end"),
            ("query Q Q { a }", 9, "{", "a name"),
            ("query Q() { a }", 9, "$", ")"),
            ("query Q($a) { a }", 11, ":", ")"),
            ("query Q($a:) { a }", 12, "a name", ")"),
            ("query Q(a:T) { a }", 9, "$", "a name"),
            ("query Q($a:T!!) { a }", 14, "$", "!"),
            ("query Q($a:[T) { a }", 14, "]", ")"),
            ("query Q($a:[]) { a }", 13, "a name", "]"),
            ("query Q($a:T=) { a }", 14, "a value without variables", ")"),
            ("query Q($a:T=[$b]) { a }", 15, "a value without variables", "$"),
            ("query Q($a:T@b(c:$d)) { a }", 18, "a value without variables", "$"),
            ("{}", 2, SELECTION, "}"),
            ("{ a", 4, SELECTION, "the end"),
            ("{ a {} }", 6, SELECTION, "}"),
            ("{ { a } }", 3, SELECTION, "{"),
            ("{ a: }", 6, "a name", "}"),
            ("{ a: b: c }", 7, SELECTION, ":"),
            ("{ a() }", 5, "a name", ")"),
            ("{ a(b) }", 6, ":", ")"),
            ("{ a(b:) }", 7, "a value", ")"),
            ("{ a(b:{c}) }", 9, ":", "}"),
            ("{ a(b:{c:}) }", 10, "a value", "}"),
            ("{ a(b:[1 }) }", 10, "a value", "}"),
            ("{ a(b:$) }", 8, "a name", ")"),
            ("{ a(b:@c) }", 7, "a value", "@"),
            ("{ a(b:1 }", 9, "a name", "}"),
            ("{ a @ }", 7, "a name", "}"),
            ("{ a @b() }", 8, "a name", ")"),
            ("{ ... }", 7, "{", "}"),
            ("{ ... on }", 10, "a name", "}"),
            ("{ ... on { a } }", 10, "a name", "{"),
            ("{ ... F { a } }", 9, SELECTION, "{"),
            ("{ ... ... }", 7, "{", "..."),
            ("fragment { a }", 10, "a name", "{"),
            ("fragment on on T { a }", 10, "the fragment's name", "a name"),
            ("fragment F T { a }", 12, "on", "a name"),
            ("fragment F on { a }", 15, "a name", "{"),
            ("fragment F on T", 16, "{", "the end"),
            ("fragment F($a:T) on T { a }", 11, "on", "("),
        ] {
            let error = parse(text).unwrap_err();
            let message = format!("Syntax error: expected {expected}, found {found}");
            assert_eq!((error.code, &*error.message), ("syntax", &*message), "{text}");
            assert_eq!(error.locations, [Location { line: 1, column }], "{text}");
        }
    }

    /// Why the parser beside the lexer does not do.
    #[test]
    fn apollo_parser_takes_more_and_less() {
        let is_taken = |text: &str| apollo_parser::Parser::new(text).parse().errors().len() == 0;
        for text in ["{ a(b) }", "{ a(b: {c}) }", "\"\" fragment on T { a } { b }"] {
            assert!(is_taken(text) && parse(text).is_err(), "{text}");
        }
        for text in ["{ a,: b }", "{ ...,F }"] {
            assert!(!is_taken(text) && parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn definitions_of_types_are_no_request() {
        for text in ["schema { query: Q }", "type T { a: T }", "extend type T { a: T }", "directive @a on FIELD"] {
            let error = parse(&["{ a }\n", text].concat()).unwrap_err();
            assert_eq!((error.code, error.locations), ("not_executable", vec![Location { line: 2, column: 1 }]));
        }
    }

    #[test]
    fn brackets_of_all_kinds_are_one_nesting() {
        for (text, column) in [
            ("{ a { b { c { d } } } }", None),
            ("{ a { b { c { d { e } } } } }", Some(17)),
            ("{ a { b { c { ... { e } } } } }", Some(19)),
            ("{ a(b: [{ c: 1 }, { c: 1 }]) }", None),
            ("{ a(b: [{ c: [1] }]) }", Some(14)),
            ("{ a(b: [{ c: {} }]) }", Some(14)),
            ("query ($a: [[[T]]]) { a }", None),
            ("query ($a: [[[[T]]]]) { a }", Some(15)),
            ("{ a { b { c { d(e: 1) } } } }", Some(16)),
            ("{ a { b { c { d @e(f: 1) } } } }", Some(19)),
        ] {
            let places = parse(text).err().map(|error| (error.code, error.locations));
            let expected = column.map(|column| ("too_nested", vec![Location { line: 1, column }]));
            assert_eq!(places, expected, "{text}");
        }
    }
}
