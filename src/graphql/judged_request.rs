//! Judges all of a request, and writes it anew for the site.

use super::errors::{MediaType, Refused};
use super::exchange::{SiteBody, SiteRequest};
use super::judged::{self, JudgedOperation, SentBy};
use super::question::{AskedFor, Question};
use super::request::{self, GraphqlBody, GraphqlRequest};
use super::token_scope::VerifiedScope;
use crate::auth::work_budget;
use crate::http::incoming::Incoming;
use crate::http::problem::{self, Problem};
use crate::tenant::site::Site;
use crate::tenant_id::TenantId;
use domain::graphql::OperationType;
use domain::graphql_cache::{AskedOperation, PassReason};
use domain::graphql_settings::GraphqlSettings;

/// The longest document, in bytes, that a site is asked by GET where the client only named it: servers take so much of a URL.
const LONGEST_IN_URL: usize = 2_000;
/// Bytes of documents from which on a network pays for their reading, and how many are a unit of its work.
const LONG_DOCUMENTS: usize = 16_384;
const UNIT_BYTES: usize = 2_000;

/// A request that was judged.
pub enum JudgedRequest {
    /// It may be answered with what is kept.
    Keepable(Question),
    Passed(PassedRequest),
}

/// A request that passes.
pub struct PassedRequest {
    /// As the site is asked.
    pub sent: SiteRequest,
    pub reason: PassReason,
    /// The name of its operation, if it is one.
    pub operation: Option<String>,
    /// Whether the nodes that its answer shows are purged.
    pub purges: bool,
}

impl PassedRequest {
    fn unnamed(sent: SiteRequest, reason: PassReason) -> Self {
        Self { sent, reason, operation: None, purges: false }
    }
}

/// What a request is judged by, beside its body.
pub struct RequestJudge<'a> {
    pub tenant: &'a TenantId,
    pub site: &'a Site,
    pub incoming: &'a Incoming,
    /// Whether somebody of the tenant asks.
    pub is_member: bool,
    /// The headers that the site would get.
    pub to_site: &'a [(String, String)],
    /// The version of the secret that the site's key is made of, where it is sent one.
    pub secret: Option<u32>,
    /// The token that splits answers, if there is one that counts.
    pub scope: Option<&'a VerifiedScope>,
    /// The media type of the answer.
    pub media_type: MediaType,
}

impl RequestJudge<'_> {
    /// Judges what was read.
    pub fn judge(&self, body: GraphqlBody) -> Result<JudgedRequest, Refused> {
        if !self.is_member {
            self.pay_for(body.document_bytes())?;
        }
        match body {
            GraphqlBody::Get(one) => self.one(one, SentBy::Get),
            GraphqlBody::Post(one) => self.one(one, SentBy::Post),
            GraphqlBody::Batch(several) => self.batch(&several),
            GraphqlBody::Form(media_type) => self.form(&media_type),
        }
    }

    fn settings(&self) -> &GraphqlSettings {
        &self.site.settings
    }

    fn one(&self, one: GraphqlRequest, sent_by: SentBy) -> Result<JudgedRequest, Refused> {
        let operation = judged::judge(&one, self.settings(), sent_by, self.is_member)?;
        let Some(reason) = self.pass_reason(&one, &operation) else {
            return Ok(JudgedRequest::Keepable(self.question(&one, &operation)?));
        };
        let is_in_url = sent_by == SentBy::Get && (one.name.is_none() || one.query.len() <= LONGEST_IN_URL);
        let sent = match is_in_url {
            true => self.by_get(one),
            false => self.by_post(written(&one)?, operation.kind == OperationType::Query),
        };
        let purges = self.settings().cache.purge_by_mutations && !operation.renames_ids;
        let purges = purges && reason == PassReason::Mutation;
        Ok(JudgedRequest::Passed(PassedRequest { sent, reason, operation: operation.name, purges }))
    }

    fn batch(&self, several: &[GraphqlRequest]) -> Result<JudgedRequest, Refused> {
        let judge = |one| judged::judge(one, self.settings(), SentBy::Post, self.is_member);
        let judged = several.iter().map(judge).collect::<Result<Vec<_>, _>>()?;
        let only_reads = judged.iter().all(|operation| operation.kind == OperationType::Query);
        Ok(JudgedRequest::Passed(PassedRequest::unnamed(
            self.by_post(written(&several)?, only_reads),
            PassReason::Batch,
        )))
    }

    /// A form with files. Its documents are not judged.
    fn form(&self, media_type: &str) -> Result<JudgedRequest, Refused> {
        if !judged::may_introspect(self.settings(), self.is_member) {
            let told = "Files are taken only from whom the schema is shown to: send the request as application/json.";
            return Err(Refused::request(told));
        }
        let sent = SiteRequest {
            method: "POST",
            content_type: Some(request::form_type(media_type)?),
            body: SiteBody::Form(self.form_body()?),
            parameters: self.parameters(),
            only_reads: false,
        };
        Ok(JudgedRequest::Passed(PassedRequest::unnamed(sent, PassReason::Upload)))
    }

    /// The parameters of the query that the site gets beside the request's own.
    fn parameters(&self) -> Vec<(String, String)> {
        request::parameters_of_the_site(&self.incoming.query, self.settings()).collect()
    }

    fn pass_reason(&self, one: &GraphqlRequest, operation: &JudgedOperation) -> Option<PassReason> {
        let asked = AskedOperation {
            kind: operation.kind,
            introspects: operation.introspects,
            previews: operation.previews,
            has_extensions: one.extensions.is_some(),
            is_members: self.is_member,
            has_verified_token: self.scope.is_some(),
        };
        let sent = self.to_site.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let parameters = self.parameters();
        PassReason::of_request(&self.settings().cache, &asked, sent, parameters.iter().map(|(name, _)| name.as_str()))
    }

    fn question(&self, request: &GraphqlRequest, operation: &JudgedOperation) -> Result<Question, Refused> {
        Question::of(AskedFor {
            tenant: self.tenant,
            site: self.site,
            secret: self.secret,
            request,
            operation,
            parameters: self.parameters(),
            headers: self.to_site,
            scope: self.scope,
            media_type: self.media_type,
        })
    }

    fn by_get(&self, one: GraphqlRequest) -> SiteRequest {
        let parameters = as_parameters(one).chain(self.parameters()).collect();
        SiteRequest { method: "GET", content_type: None, body: SiteBody::Empty, parameters, only_reads: true }
    }

    fn by_post(&self, body: String, only_reads: bool) -> SiteRequest {
        SiteRequest {
            method: "POST",
            content_type: Some("application/json".into()),
            body: SiteBody::Text(body),
            parameters: self.parameters(),
            only_reads,
        }
    }

    /// A form with files, whose length is known before.
    fn form_body(&self) -> Result<web_sys::ReadableStream, Refused> {
        let (incoming, most) = (self.incoming, self.settings().max_upload_bytes);
        if most == 0 {
            return Err(Refused::request("Files are not taken here: send the request as application/json."));
        }
        let length = incoming.header("Content-Length").and_then(|length| length.parse::<u64>().ok());
        let length = length.ok_or_else(problem::length_required)?;
        if length > u64::from(most) {
            return Err(problem::body_too_large(usize::try_from(most).unwrap_or(usize::MAX)).into());
        }
        incoming.stream()?.ok_or_else(|| Refused::request("The form is empty."))
    }

    /// To judge long documents takes time, which the network of a stranger pays for.
    fn pay_for(&self, bytes: usize) -> Result<(), Problem> {
        if bytes < LONG_DOCUMENTS {
            return Ok(());
        }
        if let Some(work) = work_budget::admit(self.incoming.network())? {
            work.settle(u32::try_from(bytes / UNIT_BYTES).unwrap_or(u32::MAX));
        }
        Ok(())
    }
}

fn written<T: serde::Serialize>(body: &T) -> Result<String, Refused> {
    serde_json::to_string(body).map_err(|error| problem::internal(error).into())
}

fn as_parameters(one: GraphqlRequest) -> impl Iterator<Item = (String, String)> {
    let GraphqlRequest { query, operation_name, variables, extensions, name: _ } = one;
    let raw = |value: Option<Box<serde_json::value::RawValue>>| value.map(|value| value.get().to_owned());
    let all = [
        ("query", Some(query)),
        ("operationName", operation_name),
        ("variables", raw(variables)),
        ("extensions", raw(extensions)),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)))
}
