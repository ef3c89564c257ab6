//! How many rows a list looks at, as D1 counts them: the statement that the request runs, put together of the same
//! registered pieces, run through the test admin worker.

use carillon::records::{condition, order, plan, record};
use carillon::storage::composed::{ListHead, ListStatement, RowRange, SqlCondition, SqlPiece};
use carillon::storage::sql::Arg;
use carillon::storage::sql::args;
use domain::words::Search;
use serde_json::Value;

use super::load::{PROJECTS, created_at, deployment_id};
use super::queries::CredentialKind;
use super::{Fixture, PAGE};
use crate::Result;
use crate::peers::d1;

/// Rows of a page, and the one that tells whether another follows.
const BOUND: RowRange = RowRange { limit: 51, offset: 0 };

/// `meta.rows_read` of the statement; none for what is not one statement.
pub async fn rows_read(way: CredentialKind, party: &Fixture) -> Result<Option<u64>> {
    let tenant = Value::from(party.tenant.as_str());
    let known = "SELECT creation_id FROM collections WHERE tenant_id = ?1 AND slug = 'deployments'";
    let known = d1(party.runtime.control, &party.shard, known, std::slice::from_ref(&tenant)).await?;
    let creation_id = known.pointer("/results/0/creation_id").and_then(Value::as_str).unwrap_or_default();
    let tag = format!("z{}", creation_id.get(16..).unwrap_or_default());
    let Some((sql, args)) = statement(way, party, &tag)? else { return Ok(None) };
    let params: Vec<Value> = std::iter::once(tenant).chain(args.into_iter().map(as_json)).collect();
    let answer = d1(party.runtime.control, &party.shard, &sql, &params).await?;
    if answer["results"].as_array().is_none_or(Vec::is_empty) {
        return Err(format!("{way:?}: the statement found nothing").into());
    }
    Ok(answer.pointer("/meta/rows_read").and_then(Value::as_u64))
}

/// A statement and its values from `?2` on.
fn statement(way: CredentialKind, party: &Fixture, tag: &str) -> Result<Option<(String, Vec<Arg>)>> {
    let slug: Arg = "deployments".into();
    let in_order = [find(order::PIECES, "CREATED_AT_DOWN")?, find(order::PIECES, "ID_DOWN")?];
    let plain = |condition| composed("PLAIN", vec![slug.clone()], condition, &in_order);
    Ok(Some(match way {
        CredentialKind::List => plain(Vec::new())?,
        CredentialKind::Behind => {
            let last = party.size.deployments - party.pages() * PAGE;
            let place = args![created_at(last), deployment_id(last)];
            plain(vec![SqlCondition::Is(find(order::PIECES, "PAIR_BEFORE")?, place)])?
        }
        CredentialKind::Status => {
            let (status, is) = (find(condition::PIECES, "STATUS")?, find(condition::PIECES, "IS")?);
            plain(vec![SqlCondition::Compare(status, is, args!["active"])])?
        }
        CredentialKind::Field => {
            let led_by = SqlCondition::Is(find(plan::PIECES, "LED_BY")?, args![CredentialKind::project()]);
            let indexed = find(condition::PIECES, "INDEXED_IS")?;
            let indexed = SqlCondition::Is(indexed, args!["project_name", CredentialKind::project()]);
            let keys = [find(order::PIECES, "INDEX_CREATED_AT_DOWN")?, find(order::PIECES, "INDEX_ID_DOWN")?];
            composed("INDEXED", vec![slug, "project_name".into()], vec![led_by, indexed], &keys)?
        }
        CredentialKind::Words => {
            composed("SEARCHED", vec![slug, searched(tag, &format!("project {}*", PROJECTS / 2))?], vec![], &in_order)?
        }
        CredentialKind::Word => composed("SEARCHED", vec![slug, searched(tag, "project*")?], vec![], &in_order)?,
        CredentialKind::Get => {
            let id = deployment_id(CredentialKind::record(party, 1));
            (record::FIND.text().to_owned(), vec![slug, id.into()])
        }
        CredentialKind::Create | CredentialKind::Kept => return Ok(None),
    }))
}

fn composed(
    head: &str,
    args: Vec<Arg>,
    conditions: Vec<SqlCondition>,
    keys: &[SqlPiece],
) -> Result<(String, Vec<Arg>)> {
    let head: ListHead = find(order::HEADS, head)?;
    let composed = ListStatement::new(head, args, SqlCondition::All(conditions), keys, Some(BOUND))?;
    Ok((composed.text().to_owned(), composed.args().to_vec()))
}

/// What asks the full-text index for these words.
fn searched(tag: &str, words: &str) -> Result<Arg> {
    let search = Search::parse(words).map_err(|invalid| invalid.message.into_owned())?;
    Ok(format!("words : ({})", search.query(tag)).into())
}

fn find<T: Copy>(all: &[(&str, T)], name: &str) -> Result<T> {
    let found = all.iter().find(|(known, _)| *known == name);
    found.map(|(_, one)| *one).ok_or_else(|| format!("no statement has a part {name}").into())
}

fn as_json(arg: Arg) -> Value {
    match arg {
        Arg::Text(text) => text.into(),
        Arg::Integer(number) => number.into(),
        Arg::Real(number) => number.into(),
        Arg::Null => Value::Null,
    }
}
