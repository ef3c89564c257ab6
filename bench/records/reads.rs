//! How many rows a list looks at, as D1 counts them: the statements that the request runs, planned as it plans them, run
//! through the test admin worker.

use carillon::http::incoming::Query;
use carillon::records::collection::Collection;
use carillon::records::definition::Definition;
use carillon::records::plan::{ListPlan, ReadBounds};
use carillon::records::record;
use carillon::records::record_query::RecordQuery;
use carillon::records::template::Template;
use carillon::storage::sql::Arg;
use carillon::storage::sql::args;
use serde_json::{Value, json};

use super::load::{created_at, deployment_id};
use super::queries::CredentialKind;
use super::{Fixture, PAGE};
use crate::Result;
use crate::peers::d1;

/// Bytes of a page.
const BYTES: i64 = 1 << 20;

/// `meta.rows_read` of the statements; none for what is not a list or one record.
pub async fn rows_read(way: CredentialKind, party: &Fixture) -> Result<Option<u64>> {
    let tenant = Value::from(party.tenant.as_str());
    let known = "SELECT creation_id FROM collections WHERE tenant_id = ?1 AND slug = 'deployments'";
    let known = d1(party.runtime.control, &party.shard, known, std::slice::from_ref(&tenant)).await?;
    let creation_id = known.pointer("/results/0/creation_id").and_then(Value::as_str).unwrap_or_default();
    let statements = statements(way, party, creation_id)?;
    let (mut read, mut found) = (0, 0);
    for (sql, args) in &statements {
        let params: Vec<Value> = std::iter::once(tenant.clone()).chain(args.iter().map(as_json)).collect();
        let answer = d1(party.runtime.control, &party.shard, sql, &params).await?;
        found += answer["results"].as_array().map_or(0, Vec::len);
        read += answer.pointer("/meta/rows_read").and_then(Value::as_u64).unwrap_or(0);
    }
    if !statements.is_empty() && found == 0 {
        return Err(format!("{way:?}: the statements found nothing").into());
    }
    Ok((!statements.is_empty()).then_some(read))
}

/// Statements and their values from `?2` on.
fn statements(way: CredentialKind, party: &Fixture, creation_id: &str) -> Result<Vec<(String, Vec<Arg>)>> {
    let project = CredentialKind::project();
    let list = |parameters: &[(&str, &str)], position: Option<&Value>| list(party, creation_id, parameters, position);
    Ok(match way {
        CredentialKind::List => list(&[], None)?,
        CredentialKind::Behind => {
            let last = party.size.deployments - party.pages() * PAGE;
            list(&[], Some(&json!([created_at(last), deployment_id(last)])))?
        }
        CredentialKind::Status => list(&[("status", "active")], None)?,
        CredentialKind::Field => list(&[("filter", &format!("project_name = \"{project}\""))], None)?,
        CredentialKind::Words => list(&[("q", &project)], None)?,
        CredentialKind::Word => list(&[("q", "project")], None)?,
        CredentialKind::Get => {
            let id = deployment_id(CredentialKind::record(party, 1));
            vec![(record::FIND.text().to_owned(), args!["deployments", id])]
        }
        CredentialKind::Create | CredentialKind::Kept => Vec::new(),
    })
}

/// Those of a list.
fn list(
    party: &Fixture,
    creation_id: &str,
    parameters: &[(&str, &str)],
    position: Option<&Value>,
) -> Result<Vec<(String, Vec<Arg>)>> {
    let template = Template::find("deployments").ok_or("no template of deployments")?;
    let body = template.collections.into_iter().find(|body| body.get("slug") == Some(&"deployments".into()));
    let told = |problem: carillon::http::problem::Problem| format!("{problem:?}");
    let definition = Definition::read(body.ok_or("no collection of deployments")?).map_err(told)?;
    let mut collection = Collection::fresh(definition, None, 0).map_err(told)?;
    // What its words stand behind in the full-text index.
    creation_id.clone_into(&mut collection.creation_id);
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    let query = RecordQuery::read(&Query::parse(&query)).map_err(told)?;
    let plan = ListPlan::of(&party.tenant, &collection, &query).map_err(told)?;
    let pages = plan.page(&collection.slug, &query, ReadBounds::MEMBER, BYTES, position).map_err(told)?;
    Ok(pages.into_iter().map(|page| (page.text().to_owned(), page.args().to_vec())).collect())
}

fn as_json(arg: &Arg) -> Value {
    match arg {
        Arg::Text(text) => text.as_str().into(),
        Arg::Integer(number) => (*number).into(),
        Arg::Real(number) => (*number).into(),
        Arg::Null => Value::Null,
    }
}
