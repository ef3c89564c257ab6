//! From the names of documents to their texts: what a request asks where it does not hold its document, and which documents a
//! caller may ask.
//!
//! Invariants
//! - The site gets the text, and never the name: neither hash, alias nor extension.
//! - A document that comes by its name is judged as one that comes by its text, with each request.
//! - A text is registered only for the tenant that was asked, under its own hash, by POST, and after it was judged.
//! - Where a tenant takes registered documents only, nothing else is asked but by those who may register, and no client
//!   registers by asking.

mod persisted;
pub mod registry;
mod texts;

use std::rc::Rc;

use super::errors::{GraphqlError, Refused};
use super::naming::hash_of;
use super::request::{GraphqlBody, GraphqlRequest, MAX_BATCH_BYTES};
use crate::auth::principal::Visitor;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::storage::tenant_db::TenantDb;
use domain::document_name::{DocumentHash, DocumentName};
use domain::graphql_settings::{DocumentRule, GraphqlSettings};
use domain::permission::Permission;

/// Texts that came with their hashes, to be kept once they were judged.
pub struct UnjudgedDocuments(Vec<(DocumentHash, String)>);

impl UnjudgedDocuments {
    fn of(body: &GraphqlBody, settings: &GraphqlSettings) -> Self {
        let posted = match (settings.documents, body) {
            (DocumentRule::Registered, _) | (_, GraphqlBody::Get(_) | GraphqlBody::Form(_)) => &[],
            (DocumentRule::Any, GraphqlBody::Post(one)) => std::slice::from_ref(one),
            (DocumentRule::Any, GraphqlBody::Batch(several)) => several.as_slice(),
        };
        let named = posted.iter().filter_map(|one| match &one.name {
            Some(DocumentName::Hash(hash)) if one.has_text() => Some((hash.clone(), one.query.clone())),
            Some(DocumentName::Hash(_) | DocumentName::Alias(_)) | None => None,
        });
        Self(named.collect())
    }

    /// Keeps them for the tenant: they were judged.
    pub fn keep(self, request: &Request<Visitor>) {
        let (tenant, network) = (&request.caller.tenant, request.incoming.network());
        for document in self.0 {
            persisted::keep(&request.bindings, &request.background, tenant, network, document);
        }
    }
}

/// The body with the text of each document, and what is to be kept of it after it was judged. The first name of no document
/// refuses it, and so does a document that the caller may not ask.
pub async fn resolved(
    request: &Request<Visitor>,
    settings: &GraphqlSettings,
    body: GraphqlBody,
) -> Result<(GraphqlBody, UnjudgedDocuments), Refused> {
    let (unjudged, rule) = (UnjudgedDocuments::of(&body, settings), rule_for(request, settings));
    let body = match body {
        GraphqlBody::Get(one) => GraphqlBody::Get(with_text(request, rule, one).await?),
        GraphqlBody::Post(one) => GraphqlBody::Post(with_text(request, rule, one).await?),
        GraphqlBody::Batch(several) => {
            let mut resolved = Vec::with_capacity(several.len());
            let mut bytes = 0;
            for one in several {
                let one = with_text(request, rule, one).await?;
                bytes += one.query.len();
                if bytes > MAX_BATCH_BYTES {
                    let told = format!("The documents of the batch have more than {MAX_BATCH_BYTES} bytes together.");
                    return Err(Refused::request(told));
                }
                resolved.push(one);
            }
            GraphqlBody::Batch(resolved)
        }
        // The documents of a form are not read here.
        GraphqlBody::Form(_) if rule == DocumentRule::Registered => return Err(not_registered()),
        GraphqlBody::Form(media_type) => GraphqlBody::Form(media_type),
    };
    Ok((body, unjudged))
}

/// Which documents a caller may ask: who may register documents may ask what is not registered.
fn rule_for(request: &Request<Visitor>, settings: &GraphqlSettings) -> DocumentRule {
    let member = request.caller.member.as_ref();
    match member.is_some_and(|member| member.permissions().has(Permission::DocumentsWrite)) {
        true => DocumentRule::Any,
        false => settings.documents,
    }
}

async fn with_text(
    request: &Request<Visitor>,
    rule: DocumentRule,
    mut one: GraphqlRequest,
) -> Result<GraphqlRequest, Refused> {
    let text = match (rule, &one.name) {
        (DocumentRule::Any, Some(name)) if !one.has_text() => {
            known(request, name).await?.ok_or_else(Refused::unknown_document)?
        }
        (DocumentRule::Any, _) => return Ok(one),
        (DocumentRule::Registered, Some(name)) => registered(request, name).await?.ok_or_else(not_registered)?,
        (DocumentRule::Registered, None) => {
            let name = DocumentName::Hash(hash_of(&one.query));
            registered(request, &name).await?.ok_or_else(not_registered)?
        }
    };
    if !one.has_text() {
        text.as_ref().clone_into(&mut one.query);
    }
    Ok(one)
}

/// The text of a name, wherever it is known.
async fn known(request: &Request<Visitor>, name: &DocumentName) -> Result<Option<Rc<str>>, Refused> {
    if let DocumentName::Hash(hash) = name {
        let kept = persisted::find(&request.bindings, &request.background, &request.caller.tenant, hash).await;
        if kept.is_some() {
            return Ok(kept);
        }
    }
    registered(request, name).await
}

/// The text of a name in the registry. The configuration's revision is not compared: the body has been read, so the request
/// could not be judged again, and what the registry says is some seconds old anyway.
async fn registered(request: &Request<Visitor>, name: &DocumentName) -> Result<Option<Rc<str>>, Refused> {
    let Visitor { tenant, config, .. } = &*request.caller;
    let rows = TenantDb::open(&request.bindings, tenant, &config.placement).map_err(Problem::from)?;
    Ok(registry::find(&rows, name).await?)
}

fn not_registered() -> Refused {
    let message = "Only documents of the tenant's registry may be asked here, and this is none of them.";
    Refused::Document(GraphqlError::new("DOCUMENT_NOT_REGISTERED", message))
}
