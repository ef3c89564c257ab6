//! A GraphQL request as clients send it (GraphQL over HTTP): by GET, by POST, several at once, or with files.
//!
//! What is read is written anew for the site: so a member that stands there twice, or a parser that reads otherwise than ours,
//! does not make another request of it than the one that was judged.

use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

use super::errors::Refused;
use super::naming;
use crate::http::incoming::{Incoming, Query, essence};
use crate::http::problem;
use domain::document_name::DocumentName;
use domain::graphql_settings::GraphqlSettings;

/// Parameters of the query that are the request's.
const PARAMETERS: [&str; 6] = ["query", "operationName", "variables", "extensions", QUERY_ID, DOCUMENT_ID];
/// Members and parameters that name a document (`documents/naming.rs`).
const QUERY_ID: &str = "queryId";
const DOCUMENT_ID: &str = "documentId";
/// The longest value of another parameter that is passed on, in bytes.
const MAX_PARAMETER: usize = 1_024;
/// The extension that names a document. It ends here: a site might keep a document under a name that it does not check.
const PERSISTED: &str = "persistedQuery";
/// The longest body of a batch, in bytes, whatever its requests may have.
pub const MAX_BATCH_BYTES: usize = 1_048_576;
/// Bytes beside document and variables that a request may have.
const BESIDE: usize = 8_192;
/// The longest name of an operation, in bytes, and the longest extensions.
const MAX_NAME: usize = 256;
const MAX_EXTENSIONS: usize = 4_096;

/// One request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GraphqlRequest {
    /// The document. Empty where the request only names it, until it is looked up (`documents::resolved`).
    pub query: String,
    /// What the request names its document by. Where its text came along, the name is the text's hash.
    #[serde(skip)]
    pub name: Option<DocumentName>,
    /// The operation to execute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_name: Option<String>,
    /// The values of its variables, an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variables: Option<Box<RawValue>>,
    /// What a server may take beyond the specification, an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extensions: Option<Box<RawValue>>,
}

impl GraphqlRequest {
    /// Whether its document is here, and not only its name.
    pub fn has_text(&self) -> bool {
        !self.query.is_empty()
    }
}

/// What a client sent.
pub enum GraphqlBody {
    /// One request by GET.
    Get(GraphqlRequest),
    /// One request by POST.
    Post(GraphqlRequest),
    /// Several, by POST.
    Batch(Vec<GraphqlRequest>),
    /// A form with files, as the GraphQL multipart request specification has it: its media type. It is not read here.
    Form(String),
}

impl GraphqlBody {
    /// Reads a request by GET, within the tenant's bounds.
    pub fn of_query(query: &Query, settings: &GraphqlSettings) -> Result<Self, Refused> {
        of_query(query, settings).map(Self::Get)
    }

    /// Reads a request by POST, within the tenant's bounds.
    pub async fn of_body(incoming: &mut Incoming, settings: &GraphqlSettings) -> Result<Self, Refused> {
        let sent = incoming.header("Content-Type").ok_or_else(unsupported)?;
        match essence(&sent).as_str() {
            "application/json" => {}
            "application/graphql" => {
                let query = text(incoming.body(bytes(settings)).await?)?;
                let parts = RequestParts { query: Some(query), ..RequestParts::default() };
                return Ok(Self::Post(checked(parts, settings)?));
            }
            "multipart/form-data" => return Ok(Self::Form(sent)),
            _ => return Err(unsupported()),
        }
        let several = bytes(settings).saturating_mul(usize::try_from(settings.max_batch).unwrap_or(usize::MAX));
        let limit = several.min(MAX_BATCH_BYTES).max(bytes(settings));
        let body = text(incoming.body(limit).await?)?;
        match body.trim_start().starts_with('[') {
            true => Ok(Self::Batch(batch(&body, settings)?)),
            false => Ok(Self::Post(of_json(&members(&body)?, settings)?)),
        }
    }
}

impl GraphqlBody {
    /// Bytes of its documents.
    pub fn document_bytes(&self) -> usize {
        match self {
            Self::Get(one) | Self::Post(one) => one.query.len(),
            Self::Batch(several) => several.iter().map(|one| one.query.len()).sum(),
            Self::Form(_) => 0,
        }
    }
}

/// Whether a query has a parameter that is a request's own.
pub fn has_parameters(query: &Query) -> bool {
    query.names().any(|name| PARAMETERS.contains(&name))
}

/// The parameters of a query that the tenant has passed on to the site, each once.
pub fn parameters_of_the_site<'q>(
    query: &'q Query,
    settings: &'q GraphqlSettings,
) -> impl Iterator<Item = (String, String)> + 'q {
    let passed = settings.pass_parameters.iter().filter_map(|name| Some((name, query.get(name)?)));
    passed.filter(|(_, value)| value.len() <= MAX_PARAMETER).map(|(name, value)| (name.clone(), value.to_owned()))
}

/// The media type of a form, written anew from its boundary (RFC 2046, 5.1.1).
pub fn form_type(sent: &str) -> Result<String, Refused> {
    let boundary = sent.split(';').skip(1).find_map(|part| {
        let (name, value) = part.trim().split_once('=')?;
        name.eq_ignore_ascii_case("boundary").then(|| value.trim_matches('"'))
    });
    let is_of_boundary = |b: u8| b.is_ascii_alphanumeric() || b"'()+_,-.:=?".contains(&b);
    match boundary.filter(|text| (1..=70).contains(&text.len()) && text.bytes().all(is_of_boundary)) {
        Some(boundary) => Ok(format!("multipart/form-data; boundary=\"{boundary}\"")),
        None => Err(Refused::request("The form's Content-Type must name its boundary.")),
    }
}

/// Bytes that a request of its own may have.
fn bytes(settings: &GraphqlSettings) -> usize {
    usize::try_from(settings.max_query_bytes).unwrap_or(usize::MAX).saturating_mul(2).saturating_add(BESIDE)
}

fn unsupported() -> Refused {
    problem::unsupported_media_type("application/json").into()
}

fn text(body: Vec<u8>) -> Result<String, Refused> {
    String::from_utf8(body).map_err(|_| Refused::request("The body is not valid UTF-8."))
}

/// Members of a JSON object, as text. Of a name that stands there twice the last one counts, as for PHP and JavaScript.
type Members<'t> = BTreeMap<String, &'t RawValue>;

fn members(text: &str) -> Result<Members<'_>, Refused> {
    serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Refused::request(format!(
            "The body must be a JSON object with the member query (line {line}, column {column})."
        ))
    })
}

fn batch(body: &str, settings: &GraphqlSettings) -> Result<Vec<GraphqlRequest>, Refused> {
    let most = settings.max_batch;
    if most == 0 {
        return Err(Refused::request("Batches are not taken here: send each request by itself."));
    }
    let listed: Vec<&RawValue> = serde_json::from_str(body).map_err(|error| {
        Refused::request(format!("The body is not valid JSON (line {}, column {}).", error.line(), error.column()))
    })?;
    let count = listed.len();
    if count == 0 {
        return Err(Refused::request("The batch is empty: it must hold at least one request."));
    }
    if u32::try_from(count).map_or(true, |count| count > most) {
        return Err(Refused::request(format!("The batch has {count} requests; at most {most} are allowed.")));
    }
    listed.into_iter().map(|one| of_json(&members(one.get())?, settings)).collect()
}

fn of_json(members: &Members<'_>, settings: &GraphqlSettings) -> Result<GraphqlRequest, Refused> {
    let raw = |name: &str| members.get(name).map(|value| value.get());
    let parts = RequestParts {
        query: text_of(members, "query")?,
        operation_name: text_of(members, "operationName")?,
        variables: raw("variables"),
        extensions: raw("extensions"),
        query_id: text_of(members, QUERY_ID)?,
        document_id: text_of(members, DOCUMENT_ID)?,
    };
    checked(parts, settings)
}

fn text_of(members: &Members<'_>, name: &'static str) -> Result<Option<String>, Refused> {
    let Some(value) = members.get(name) else { return Ok(None) };
    serde_json::from_str(value.get()).map_err(|_| Refused::request(format!("`{name}` must be a string.")))
}

fn of_query(query: &Query, settings: &GraphqlSettings) -> Result<GraphqlRequest, Refused> {
    for name in PARAMETERS {
        if query.all(name).count() > 1 {
            return Err(Refused::request(format!("`{name}` must be sent once.")));
        }
    }
    let given = |name: &str| query.get(name).filter(|value| !value.is_empty());
    let owned = |name: &str| given(name).map(str::to_owned);
    let parts = RequestParts {
        query: owned("query"),
        operation_name: owned("operationName"),
        variables: given("variables"),
        extensions: given("extensions"),
        query_id: owned(QUERY_ID),
        document_id: owned(DOCUMENT_ID),
    };
    checked(parts, settings)
}

/// The parts of a request, as they were sent.
#[derive(Default)]
struct RequestParts<'t> {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<&'t str>,
    extensions: Option<&'t str>,
    query_id: Option<String>,
    document_id: Option<String>,
}

fn checked(parts: RequestParts<'_>, settings: &GraphqlSettings) -> Result<GraphqlRequest, Refused> {
    let RequestParts { query, operation_name, variables, extensions, query_id, document_id } = parts;
    let most = usize::try_from(settings.max_query_bytes).unwrap_or(usize::MAX);
    let variables = object("variables", variables, most)?;
    let extensions = object("extensions", extensions, MAX_EXTENSIONS)?;
    let (extensions, persisted) = without_persisted(extensions)?;
    let name = naming::read(persisted.as_deref(), query_id.as_deref(), document_id.as_deref())?;
    let query = query.filter(|query| !query.trim().is_empty());
    match (&query, &name) {
        (Some(query), Some(name)) => naming::check(name, query)?,
        (Some(_), None) | (None, Some(_)) => {}
        (None, None) => return Err(Refused::request("`query` must hold a GraphQL document.")),
    }
    // To PHP an empty name is none.
    let operation_name = operation_name.filter(|name| !name.is_empty());
    if operation_name.as_ref().is_some_and(|name| name.len() > MAX_NAME) {
        return Err(Refused::request(format!("`operationName` must have at most {MAX_NAME} bytes.")));
    }
    Ok(GraphqlRequest { query: query.unwrap_or_default(), name, operation_name, variables, extensions })
}

/// A JSON object as it was sent; none for `null`.
fn object(name: &str, text: Option<&str>, most: usize) -> Result<Option<Box<RawValue>>, Refused> {
    let Some(text) = text.map(str::trim).filter(|text| *text != "null") else { return Ok(None) };
    if text.len() > most {
        return Err(Refused::request(format!("`{name}` has {} bytes; at most {most} are allowed.", text.len())));
    }
    let is_object = text.starts_with('{');
    match serde_json::from_str(text) {
        Ok(raw) if is_object => Ok(Some(raw)),
        _ => Err(Refused::request(format!("`{name}` must be a JSON object."))),
    }
}

/// Extensions, and the one that names a document apart from the others.
type Extensions = (Option<Box<RawValue>>, Option<Box<RawValue>>);

fn without_persisted(extensions: Option<Box<RawValue>>) -> Result<Extensions, Refused> {
    let Some(extensions) = extensions else { return Ok((None, None)) };
    let mut members = members(extensions.get())?;
    let persisted = members.remove(PERSISTED).map(ToOwned::to_owned);
    let kept = (!members.is_empty()).then(|| serde_json::value::to_raw_value(&members)).transpose();
    Ok((kept.map_err(problem::internal)?, persisted))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `{a}`, by sha256sum.
    const HASH: &str = "460c3a93211614ac783c0f1d1bbbcb45a6da87d6421b5c0771772588f1015ff8";

    fn read(text: &str) -> Result<String, String> {
        let settings = GraphqlSettings { max_query_bytes: 1_024, ..GraphqlSettings::default() };
        let request = members(text).and_then(|members| of_json(&members, &settings));
        told(request.map(|request| serde_json::to_string(&request).unwrap()))
    }

    fn told(outcome: Result<String, Refused>) -> Result<String, String> {
        outcome.map_err(|refused| match refused {
            Refused::Request(error) | Refused::Document(error) | Refused::Method(error) => format!("{error:?}"),
            Refused::Problem(problem) => problem.code.to_owned(),
        })
    }

    #[test]
    fn what_is_passed_on_is_what_was_read() {
        for (sent, passed) in [
            (r#"{"query":"{a}"}"#, r#"{"query":"{a}"}"#),
            (
                r#" {"query" : "{a}", "variables": null, "operationName": null, "extensions":null}"#,
                r#"{"query":"{a}"}"#,
            ),
            (r#"{"query":"{a}","query":"{b}"}"#, r#"{"query":"{b}"}"#),
            (
                r#"{"id":1,"variables":{"n":10000000000000000000001,"n":1.0},"query":"{a}","operationName":"A"}"#,
                r#"{"query":"{a}","operationName":"A","variables":{"n":10000000000000000000001,"n":1.0}}"#,
            ),
            (r#"{"query":"{a}","extensions":{"a":[1]}}"#, r#"{"query":"{a}","extensions":{"a":[1]}}"#),
            (r#"{"query":"{a}","queryId":null,"documentId":null}"#, r#"{"query":"{a}"}"#),
            (r#"{"query":"{a}","extensions":{"persistedQuery":null}}"#, r#"{"query":"{a}"}"#),
            (&format!(r#"{{"query":"{{a}}","queryId":"{HASH}","documentId":"sha256:{HASH}"}}"#), r#"{"query":"{a}"}"#),
            (
                &format!(
                    r#"{{"query":"{{a}}","extensions":{{"b":1,"persisted\u0051uery":{{"version":1,"sha256Hash":"{HASH}"}},"b":2}}}}"#
                ),
                r#"{"query":"{a}","extensions":{"b":2}}"#,
            ),
            (&format!(r#"{{"queryId":"{HASH}","operationName":"A"}}"#), r#"{"query":"","operationName":"A"}"#),
        ] {
            assert_eq!(read(sent).as_deref(), Ok(passed), "{sent}");
        }
    }

    #[test]
    fn what_is_no_request_is_named() {
        let long_variables = format!(r#"{{"query":"{{a}}","variables":{{"a":"{}"}}}}"#, "a".repeat(1_024));
        for (sent, part) in [
            ("", "JSON object"),
            ("1", "JSON object"),
            ("{\"query\":", "JSON object"),
            ("{}", "`query` must hold"),
            (r#"{"query":null}"#, "`query` must hold"),
            (r#"{"query":" \n"}"#, "`query` must hold"),
            (r#"{"query":{}}"#, "`query` must be a string"),
            (r#"{"query":"{a}","operationName":1}"#, "`operationName` must be a string"),
            (r#"{"query":"{a}","variables":"{}"}"#, "`variables` must be a JSON object"),
            (r#"{"query":"{a}","variables":[]}"#, "`variables` must be a JSON object"),
            (r#"{"query":"{a}","extensions":0}"#, "`extensions` must be a JSON object"),
            (
                r#"{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"ab"}}}"#,
                "extension `persistedQuery` must be",
            ),
            (r#"{"queryId":1}"#, "`queryId` must be a string"),
            (r#"{"query":"{a}","documentId":"sha256:ab"}"#, "`documentId` must be"),
            (r#"{"query":"{a}","queryId":"GetPosts"}"#, "PERSISTED_QUERY_HASH_MISMATCH"),
            (&format!(r#"{{"query":"{{b}}","queryId":"{HASH}"}}"#), "PERSISTED_QUERY_HASH_MISMATCH"),
            (&format!(r#"{{"queryId":"GetPosts","documentId":"{HASH}"}}"#), "names two documents"),
            (&long_variables, "at most 1024"),
        ] {
            assert!(read(sent).as_ref().is_err_and(|told| told.contains(part)), "{sent}: {:?}", read(sent));
        }
    }

    #[test]
    fn a_query_string_is_a_request_too() {
        let read = |text: &str| {
            let request = of_query(&Query::parse(text), &GraphqlSettings::default());
            told(request.map(|request| serde_json::to_string(&request).unwrap()))
        };
        let whole = "query=%7Ba%7D&operationName=A&variables=%7B%22a%22%3A1%7D&lang=de";
        assert_eq!(read(whole).unwrap(), r#"{"query":"{a}","operationName":"A","variables":{"a":1}}"#);
        assert_eq!(read("query={a}&variables=&operationName=&queryId=").unwrap(), r#"{"query":"{a}"}"#);
        assert_eq!(read(&format!("documentId={HASH}")).unwrap(), r#"{"query":""}"#);
        for wrong in
            ["", "query=", "query={a}&query={b}", "query={a}&variables=a", "queryId=a&queryId=a", "queryId=a+b"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let settings = GraphqlSettings::default();
        let passed = |text: &str| parameters_of_the_site(&Query::parse(text), &settings).collect::<Vec<_>>();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            passed("query={a}&lang=de&tenant_id=a&queryId=x&_wpnonce=1"),
            [pair("lang", "de"), pair("_wpnonce", "1")]
        );
        for other in
            ["query[]=a", "Query=a", "id=x", "QUERYID=x", "rest_route=/wp/v2/users", "_method=POST", "a=", "Lang=de"]
        {
            assert_eq!(passed(other), [], "{other}");
        }
    }

    #[test]
    fn a_forms_type_is_its_boundary_and_nothing_else() {
        let read = |sent: &str| told(form_type(sent)).ok();
        assert_eq!(read("multipart/form-data; boundary=a-b").as_deref(), Some("multipart/form-data; boundary=\"a-b\""));
        assert_eq!(read("Multipart/Form-Data;x=y; Boundary=\"a b\""), None);
        for bad in
            ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=application/json"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_batch_has_as_many_requests_as_the_tenant_takes() {
        let batch = |text: &str, max_batch: u32| {
            super::batch(text, &GraphqlSettings { max_batch, ..GraphqlSettings::default() }).map(|batch| batch.len())
        };
        let two = r#"[{"query":"{a}"},{"query":"{b}"}]"#;
        assert_eq!(batch(two, 2).ok(), Some(2));
        for (text, most) in [(two, 1), (two, 0), ("[]", 2), ("[1]", 2), ("[{}]", 2), ("[", 2)] {
            assert!(matches!(batch(text, most), Err(Refused::Request(_))), "{text}");
        }
    }
}
