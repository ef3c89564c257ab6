//! What goes in and out of an operation, for machines: the OpenAPI document is made of it.
//!
//! Texts are in the notation of `openapi/notation.rs`; `Names` in them stand in `openapi/schemas.rs`. What follows from
//! who may call and what is drawn from is not repeated: the document adds it.

/// The contract of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contract {
    /// Parameters beside those of the path: `name?: schema` is one of the query, a name alone is a shared one.
    pub params: &'static str,
    /// The body.
    pub body: Body,
    /// Answers: `201 User +Location; 409 conflict user_limit_reached`. Of a success: its status, its data and its
    /// headers. Of a problem: its status and the codes that are particular to this operation.
    pub answers: &'static str,
}

/// The body of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// None is read.
    None,
    /// One of this schema may be sent.
    Optional(&'static str),
    /// One of this schema is sent.
    Required(&'static str),
    /// A form of this schema is sent.
    Form(&'static str),
    /// Bytes are sent, of the type that their header says.
    Bytes,
}

/// The contract of an operation that takes nothing.
pub const fn answers(answers: &'static str) -> Contract {
    Contract { params: "", body: Body::None, answers }
}

impl Contract {
    /// The same contract with parameters.
    pub const fn params(self, params: &'static str) -> Self {
        Self { params, ..self }
    }

    /// The same contract with a body.
    pub const fn body(self, schema: &'static str) -> Self {
        Self { body: Body::Required(schema), ..self }
    }

    /// The same contract with a form as its body.
    pub const fn form(self, schema: &'static str) -> Self {
        Self { body: Body::Form(schema), ..self }
    }

    /// The same contract with bytes as its body.
    pub const fn bytes(self) -> Self {
        Self { body: Body::Bytes, ..self }
    }

    /// The same contract with a body that may be left out.
    pub const fn optional_body(self, schema: &'static str) -> Self {
        Self { body: Body::Optional(schema), ..self }
    }
}
