//! What is decided of a document before the site sees it.

use super::errors::{GraphqlError, Refused};
use super::request::GraphqlRequest;
use domain::graphql::{DocumentError, DocumentLimits, GraphqlDocument, OperationLimits, OperationType};
use domain::graphql_cache::ID_FIELDS;
use domain::graphql_settings::{GraphqlSettings, Introspection};

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentBy {
    /// By GET, which changes nothing.
    Get,
    /// By POST.
    Post,
}

/// An operation that was judged.
pub struct JudgedOperation {
    /// What it is.
    pub kind: OperationType,
    /// Its name.
    pub name: Option<String>,
    /// The normal form of its document.
    pub normal_form: String,
    /// Whether it asks for the schema.
    pub introspects: bool,
    /// Whether it asks for what is not published.
    pub previews: bool,
    /// Whether it asks for a connection below the root.
    pub nests_connections: bool,
    /// Whether what stands in its answer as a node's id may be something else.
    pub renames_ids: bool,
}

/// The argument by which WPGraphQL shows what is not published.
const PREVIEW: &str = "asPreview";

/// Judges a request by the tenant's settings.
pub fn judge(
    request: &GraphqlRequest,
    settings: &GraphqlSettings,
    sent_by: SentBy,
    is_member: bool,
) -> Result<JudgedOperation, Refused> {
    let document = check_document(&request.query, settings)?;
    let operation = document.operation(request.operation_name.as_deref())?;
    if operation.introspects && !may_introspect(settings, is_member) {
        let message = match settings.introspection {
            Introspection::Members => {
                "The schema is shown to users and keys of the tenant only: __schema and __type are not allowed."
            }
            Introspection::Off | Introspection::On => {
                "The schema is not shown here: __schema and __type are not allowed."
            }
        };
        return Err(Refused::Document(GraphqlError::new("INTROSPECTION_REFUSED", message)));
    }
    if sent_by == SentBy::Get && operation.kind != OperationType::Query {
        let message = "GET can only read: send this operation by POST.";
        return Err(Refused::Method(GraphqlError::new("METHOD_NOT_ALLOWED", message)));
    }
    Ok(JudgedOperation {
        kind: operation.kind,
        name: operation.name.map(str::to_owned),
        normal_form: document.normal_form(),
        introspects: operation.introspects,
        previews: document.mentions(PREVIEW),
        nests_connections: document.nests_connections(),
        renames_ids: document.has_alias(&ID_FIELDS),
    })
}

/// Parses a document, and holds all of it against the tenant's bounds.
pub fn check_document<'t>(text: &'t str, settings: &GraphqlSettings) -> Result<GraphqlDocument<'t>, DocumentError> {
    let (document_limits, operation_limits) = limits(settings);
    let document = GraphqlDocument::parse(text, &document_limits)?;
    document.check(&operation_limits)?;
    Ok(document)
}

/// Whether the schema is shown to somebody.
pub fn may_introspect(settings: &GraphqlSettings, is_member: bool) -> bool {
    match settings.introspection {
        Introspection::On => true,
        Introspection::Members => is_member,
        Introspection::Off => false,
    }
}

/// The tenant's bounds. Brackets nest deeper than fields: arguments and types of variables have some, too.
fn limits(settings: &GraphqlSettings) -> (DocumentLimits, OperationLimits) {
    let bytes = usize::try_from(settings.max_query_bytes).unwrap_or(usize::MAX);
    let document = DocumentLimits { bytes, tokens: bytes, nesting: DocumentLimits::MAX_NESTING };
    let GraphqlSettings { max_depth, max_fields, max_aliases, .. } = *settings;
    let operation = OperationLimits { depth: max_depth.into(), fields: max_fields.into(), aliases: max_aliases.into() };
    (document, operation)
}
