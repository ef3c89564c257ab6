//! A question that may be answered with what is kept: its key, and how the site is asked.
//!
//! Invariants
//! - The key holds all that the site is sent: whatever else a client sends stays here, so it cannot make another answer of it.
//!   What is sent to the site beside is the same for everybody; but for a token of whose claims the tenant says that they alone
//!   make another answer.
//! - The key names the tenant, and the site by a number that never recurs.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::errors::{MediaType, Refused};
use super::exchange::{SiteBody, SiteRequest};
use super::judged::JudgedOperation;
use super::request::GraphqlRequest;
use super::token_scope::VerifiedScope;
use crate::http::problem;
use crate::tenant::site::Site;
use crate::tenant_id::TenantId;
use domain::graphql::canonical_variables;
use domain::graphql_cache::{AnsweredDocument, Weighed};
use domain::hex::hex;

/// What the site is told of who asks: nobody in particular.
const USER_AGENT: &str = "Carillon (GraphQL cache)";

/// A question.
pub struct Question {
    /// The digest of all that makes it another question than others.
    pub key: String,
    /// The same for the shield, where those who want errors told in another media type do not share an answer.
    pub shield_key: String,
    /// What is asked, as answers are tagged with it.
    pub document: AskedDocument,
    /// As the site is asked.
    pub request: SiteRequest,
    /// The headers that it is asked with.
    pub headers: Vec<(String, String)>,
    /// Whether whoever asks has a token that counts; the site is sent it.
    pub has_token: bool,
    /// The site's number, and the version of the secret that its key is made of.
    site: (i64, Option<u32>),
}

impl Weighed for Question {
    fn bytes(&self) -> usize {
        let body = match &self.request.body {
            SiteBody::Text(body) => body.len(),
            SiteBody::Empty | SiteBody::Form(_) => 0,
        };
        let pairs = self.headers.iter().chain(&self.request.parameters);
        let pairs: usize = pairs.map(|(name, value)| name.len() + value.len() + 48).sum();
        body + pairs + self.key.len() + self.shield_key.len() + self.document.digest.len() + 512
    }
}

/// A document that is asked, as answers to it are tagged.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AskedDocument {
    /// The name of the operation.
    pub operation: Option<String>,
    /// The digest of the document's normal form.
    pub digest: String,
    #[serde(default)]
    pub nests_connections: bool,
}

impl AskedDocument {
    pub fn tagged(&self) -> AnsweredDocument<'_> {
        let Self { operation, digest, nests_connections } = self;
        AnsweredDocument { operation: operation.as_deref(), digest, nests_connections: *nests_connections }
    }
}

/// The body that a site is sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SentQuestion<'a> {
    query: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation_name: Option<&'a str>,
    variables: Box<RawValue>,
}

/// What a question is made of.
pub struct AskedFor<'a> {
    pub tenant: &'a TenantId,
    pub site: &'a Site,
    /// The version of the secret that the site's key is made of, where the site is sent one.
    pub secret: Option<u32>,
    pub request: &'a GraphqlRequest,
    pub operation: &'a JudgedOperation,
    /// Parameters of the query that the site gets.
    pub parameters: Vec<(String, String)>,
    /// What the client sent, as the site would get it.
    pub headers: &'a [(String, String)],
    /// The token that splits answers, if there is one that counts.
    pub scope: Option<&'a VerifiedScope>,
    pub media_type: MediaType,
}

impl Question {
    /// The question that a client asks.
    pub fn of(asked: AskedFor<'_>) -> Result<Self, Refused> {
        let AskedFor { tenant, site, secret, request, operation, mut parameters, headers, scope, media_type } = asked;
        parameters.sort_unstable();
        let variables = canonical_variables(request.variables.as_ref().map(|variables| variables.get()))?;
        let scopes = site.settings.cache.scope_headers.iter().map(|scope| {
            let sent = headers.iter().find(|(name, _)| name == scope.as_str());
            (scope.as_str(), sent.map_or("", |(_, value)| value.as_str()))
        });
        let scopes: Vec<(&str, &str)> = scopes.collect();
        let asked_of = (site.identity, secret);
        let (identity, secret) =
            (site.identity.to_string(), secret.map_or_else(String::new, |version| version.to_string()));
        let named = request.operation_name.as_deref().unwrap_or_default();
        let mut digest = PartsDigest::default();
        let claims = scope.map_or("", VerifiedScope::as_str);
        for part in [tenant.as_str(), &identity, &secret, &operation.normal_form, named, &variables, claims] {
            digest.add(part);
        }
        let pairs =
            parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(scopes.iter().copied());
        for (name, value) in pairs {
            digest.add(name);
            digest.add(value);
        }
        // The site is sent what the key is made of, and no other spelling of it.
        let body = SentQuestion {
            query: &operation.normal_form,
            operation_name: request.operation_name.as_deref(),
            variables: RawValue::from_string(variables).map_err(problem::internal)?,
        };
        let body = serde_json::to_string(&body).map_err(problem::internal)?;
        let told =
            [("accept", media_type.accepted()), ("content-type", "application/json"), ("user-agent", USER_AGENT)];
        let token = headers.iter().filter(|(name, _)| scope.is_some() && name == "authorization");
        let token = token.map(|(name, value)| (name.as_str(), value.as_str()));
        let told = told.into_iter().chain(scopes.into_iter().filter(|(_, value)| !value.is_empty())).chain(token);
        let key = digest.finish();
        Ok(Self {
            shield_key: format!("{key} {}", media_type.header()),
            key,
            document: AskedDocument {
                operation: operation.name.clone(),
                digest: digest_of(&operation.normal_form),
                nests_connections: operation.nests_connections,
            },
            request: SiteRequest {
                method: "POST",
                content_type: None,
                body: SiteBody::Text(body),
                parameters,
                only_reads: true,
            },
            headers: told.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            has_token: scope.is_some(),
            site: asked_of,
        })
    }

    /// Whether it would be asked under the same key now.
    pub fn is_of(&self, site: &Site, secret: Option<u32>) -> bool {
        self.site == (site.identity, secret)
    }
}

/// The digest of a document's normal form.
pub fn digest_of(normal_form: &str) -> String {
    hex(&Sha256::digest(normal_form.as_bytes()))
}

/// A digest of parts, each with its length before it.
#[derive(Default)]
struct PartsDigest(Sha256);

impl PartsDigest {
    fn add(&mut self, part: &str) {
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part.as_bytes());
    }

    fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}
