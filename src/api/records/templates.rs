//! `/api/v1/templates`: sets of collections that ship with the platform, created in a tenant in one request.

use serde_json::Value;

use crate::api::members::audit_entry;
use crate::auth::principal::Member;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::{Pagination, Response};
use crate::records::collection::Collection;
use crate::records::provision::{definitions, insertion};
use crate::records::rules;
use crate::records::template::Template;
use crate::storage::sql::args;
use domain::json;

/// `GET /api/v1/templates`
pub async fn list(request: Request<Member>) -> Result<Response, Problem> {
    let shown: Vec<Value> = Template::all().map(|template| shown(&template)).collect::<Result<_, Problem>>()?;
    let per_page = u32::try_from(shown.len()).unwrap_or(u32::MAX);
    Response::list(&shown, Pagination { per_page, ..Pagination::default() }, Some(request.caller.tenant.as_str()))
}

/// `POST /api/v1/templates/{template}/apply`
pub async fn apply(request: Request<Member>) -> Result<Response, Problem> {
    let template = Template::find(request.params.get("template")).ok_or_else(problem::not_found)?;
    let rows = request.caller.rows(&request.bindings)?;
    let there: Vec<String> = Collection::all(&rows).await?.into_iter().map(|collection| collection.slug).collect();
    let now = request.now().millis();
    let (mut made, mut kept, mut statements) = (Vec::new(), Vec::new(), Vec::new());
    for definition in definitions(&template)? {
        if there.contains(&definition.slug) {
            kept.push(definition.slug);
        } else {
            statements.extend(insertion(&definition, Some(template.name), now));
            made.push(definition.slug);
        }
    }
    let entry = audit_entry(&request, "template.apply", Some(template.name), Some(json!({ "collections": made })));
    let room = rules::MAX_COLLECTIONS - i64::try_from(made.len()).unwrap_or(0) + 1;
    let batch = rows.write().add(rules::COLLECTIONS_LEFT, args![room]).add_all(statements).audit(entry);
    rules::commit_definition(batch).await?;
    let data = json!({ "template": template.name, "made": made, "kept": kept });
    Response::json(200, &data, Some(request.caller.tenant.as_str()))
}

fn shown(template: &Template) -> Result<Value, Problem> {
    let slugs: Vec<String> = definitions(template)?.into_iter().map(|definition| definition.slug).collect();
    Ok(json!({ "name": template.name, "description": template.description, "collections": slugs }))
}
