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
    let statements = statements(way, party)?;
    let (mut read, mut found) = (0, 0);
    for (sql, args) in &statements {
        let tenant = Value::from(party.tenant.as_str());
        let params: Vec<Value> = std::iter::once(tenant).chain(args.iter().map(as_json)).collect();
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
fn statements(way: CredentialKind, party: &Fixture) -> Result<Vec<(String, Vec<Arg>)>> {
    let project = CredentialKind::project();
    Ok(match way {
        CredentialKind::List => list(party, &[], None)?,
        CredentialKind::Behind => {
            let last = party.size.deployments - party.pages() * PAGE;
            list(party, &[], Some(&json!([created_at(last), deployment_id(last)])))?
        }
        CredentialKind::Status => list(party, &[("status", "active")], None)?,
        CredentialKind::Field => list(party, &[("filter", &format!("project_name = \"{project}\""))], None)?,
        CredentialKind::Words => list(party, &[("q", &project)], None)?,
        CredentialKind::Word => list(party, &[("q", "project")], None)?,
        CredentialKind::Get => {
            let id = deployment_id(CredentialKind::record(party, 1));
            vec![(record::FIND.text().to_owned(), args!["deployments", id])]
        }
        CredentialKind::Create | CredentialKind::Kept => Vec::new(),
    })
}

/// Those of a list.
fn list(party: &Fixture, parameters: &[(&str, &str)], position: Option<&Value>) -> Result<Vec<(String, Vec<Arg>)>> {
    let template = Template::find("deployments").ok_or("no template of deployments")?;
    let body = template.collections.into_iter().find(|body| body.get("slug") == Some(&"deployments".into()));
    let told = |problem: carillon::http::problem::Problem| format!("{problem:?}");
    let definition = Definition::read(body.ok_or("no collection of deployments")?).map_err(told)?;
    let collection = Collection::fresh(definition, None, 0).map_err(told)?;
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
