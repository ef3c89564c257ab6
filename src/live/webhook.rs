//! A site's webhook: its raw body's signature is verified, then it is read and published.
//!
//! A request for an unknown tenant does the same work as one with a wrong signature and gets the same response.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::auth::principal::{Named, Signer};
use crate::auth::proofs::{ProofAttempt, ProofScope};
use crate::credentials::signature::{self, WebhookSignature};
use crate::http::fields::Fields;
use crate::http::incoming::{MAX_BODY, malformed, parse_object};
use crate::http::letters::lower_case;
use crate::http::problem::{self, Problem};
use crate::http::rate_fields::{rate_headers, rate_left};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::hub::protocol::{Publish, Published, PurgeAnswers, ReceiptKey, Refusal};
use crate::tenant::known_purges;
use crate::tenant::secrets::{self, Secrets};
use crate::tenant::site::Site;
use crate::tenant::tenant_state::{self, HubError};
use crate::tenant_id::TenantId;
use domain::clock::Timestamp;
use domain::error::Invalid;
use domain::event::Content;
use domain::graphql_cache::{ContentChange, PurgeTags, Tag};
use domain::host::Host;
use domain::ids::ClaimedTenant;
use domain::json;
use domain::reserved_topics;
use domain::topic::Topic;

/// Most channels of one webhook.
const MAX_CHANNELS: usize = 100;
/// Most cache keys of one webhook.
const MAX_KEYS: usize = 1000;

/// A well-formed webhook.
struct Webhook {
    tenant: ClaimedTenant,
    node_type: String,
    action: String,
    topics: Vec<Topic>,
    private: bool,
    /// The keys of answers that end with it; none if the site does not say.
    keys: Option<Vec<Tag>>,
    /// What the site calls its GraphQL endpoint.
    graphql_url: Option<String>,
}

/// The tenant whose secret signed the body.
struct VerifiedSender {
    tenant: TenantId,
    /// The version of the secret that verified the signature.
    version: u32,
    /// The tenant's revision that the secret was read at.
    revision: i64,
}

/// The payload, byte for byte as the site sent it.
#[derive(Deserialize)]
struct WebhookPayload<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

impl WebhookPayload<'_> {
    /// The id of the node of this type that it is about, if it tells one.
    fn node_id(&self, node_type: &str) -> Option<String> {
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(self.data?.get()).ok()?;
        ContentChange::id_names(node_type).into_iter().filter_map(|name| members.get(name)).find_map(|value| {
            let text = value.get();
            let is_number = !text.is_empty() && text.len() <= 18 && text.bytes().all(|b| b.is_ascii_digit());
            if is_number { Some(text.to_owned()) } else { serde_json::from_str(text).ok() }
        })
    }
}

/// A webhook that was published.
pub struct ReceivedWebhook {
    /// Whose it is.
    pub tenant: TenantId,
    /// The response to the site.
    pub response: Response,
}

/// Verifies a webhook, and publishes it.
pub async fn receive(mut request: Request<Signer>) -> Result<ReceivedWebhook, Problem> {
    let body = request.incoming.body(MAX_BODY).await?;
    let presented = WebhookSignature::read(|name| request.incoming.header(name));
    let sender = authenticate(&request, presented.as_ref(), &body).await?;
    request.proof.succeeded();
    let tenant = sender.tenant.clone();
    let webhook = read(&body)?;
    if !tenant.is_named_by(&webhook.tenant) {
        return Err(hidden_tenant(&request.caller.named).crossing_tenants());
    }
    let now = request.now();
    let payload: WebhookPayload<'_> = serde_json::from_slice(&body).map_err(|e| malformed(&e))?;
    check_site(&request, &sender, webhook.graphql_url.as_deref()).await?;
    let purge = purge(&webhook, &payload, &tenant);
    let content = Content {
        tenant_id: &tenant,
        topics: &webhook.topics,
        node_type: &webhook.node_type,
        action: &webhook.action,
        data: payload.data,
        occurred_at: now,
    };
    let receipt = match &presented {
        Some(WebhookSignature::Standard { id, .. }) => {
            Some(ReceiptKey { id: id.as_str().into(), digest: signature::digest(&body) })
        }
        Some(WebhookSignature::Plain(_)) | None => None,
    };
    let tail = content.to_tail().map_err(problem::internal)?;
    // The event's name on streams that ask for names.
    let name = lower_case(&format!("{}.{}", webhook.node_type, webhook.action));
    let Webhook { topics, private, .. } = webhook;
    let mut message = Publish {
        secret_version: Some(sender.version),
        issuer: None,
        older: false,
        receipt,
        topics,
        private,
        name,
        tail,
        update: None,
        purge,
    };
    let published = match send(&request, &sender, &message).await {
        // A text that was retired may be in force again, as another version.
        Err(HubError::Refused(Refusal::SecretRetired)) => {
            secrets::forget(&tenant);
            let sender = authenticate(&request, presented.as_ref(), &body).await?;
            message.secret_version = Some(sender.version);
            send(&request, &sender, &message).await
        }
        published => published,
    };
    let mut published = published.map_err(|error| refused(&request.caller.named, error))?;
    known_purges::learn(&tenant, published.purges.take(), now);
    let response = accepted(&tenant, &message, &published, now)?;
    Ok(ReceivedWebhook { tenant, response })
}

/// A purge that another site meant than the tenant's reached the wrong tenant.
async fn check_site(
    request: &Request<Signer>,
    sender: &VerifiedSender,
    graphql_url: Option<&str>,
) -> Result<(), Problem> {
    let header = request.incoming.header("X-GraphQL-URL");
    let named: Vec<&str> = graphql_url.into_iter().chain(header.as_deref()).collect();
    if named.is_empty() {
        return Ok(());
    }
    let revision = sender.revision.max(tenant_state::last_seen(&sender.tenant));
    let site = Site::of(&request.bindings, &sender.tenant, revision).await?;
    if named.into_iter().all(|name| site.is_called(name)) { Ok(()) } else { Err(problem::wrong_site()) }
}

/// The kept answers that end with a webhook: those that its keys name, and those of the node that it is about.
fn purge(webhook: &Webhook, payload: &WebhookPayload<'_>, tenant: &TenantId) -> Option<PurgeAnswers> {
    let id = payload.node_id(&webhook.node_type);
    let change = ContentChange { node_type: &webhook.node_type, action: &webhook.action, id: id.as_deref() };
    let tags = PurgeTags::of_webhook(webhook.keys.as_deref(), change);
    let purge = PurgeAnswers { soft: false, tags: tags.into_tags(), after: known_purges::known_through(tenant) };
    (!purge.tags.is_empty()).then_some(purge)
}

async fn send(request: &Request<Signer>, sender: &VerifiedSender, message: &Publish) -> Result<Published, HubError> {
    let VerifiedSender { tenant, revision, .. } = sender;
    let host = host(&request.caller.named);
    tenant_state::call_hub(&request.bindings, tenant, host, *revision, async |hub, caller| {
        hub.call_for(&caller, message).await
    })
    .await
}

fn accepted(tenant: &TenantId, message: &Publish, published: &Published, now: Timestamp) -> Result<Response, Problem> {
    let mut answer =
        Response::json(202, &json!({ "id": published.id, "topics": message.topics }), Some(tenant.as_str()))?;
    answer.headers.extend(rate_headers(&published.rate));
    answer.headers.extend(rate_left(&published.rate, now.seconds()));
    Ok(answer)
}

/// Finds the secret that signed the body. One that does not verify with the secrets in memory is tried
/// once more with those of the registry, for known and unknown tenants alike.
async fn authenticate(
    request: &Request<Signer>,
    presented: Option<&WebhookSignature>,
    body: &[u8],
) -> Result<VerifiedSender, Problem> {
    let name = match &request.caller.named {
        Named::Host(_, tenant) => tenant.as_str(),
        Named::Header(claimed) => claimed.as_ref().map_or("", ClaimedTenant::as_str),
    };
    let attempt = attempt(request, body);
    if attempt.has_failed() {
        return Err(problem::invalid_signature());
    }
    let now = request.now();
    let cached = secrets::load(&request.bindings, name).await?;
    let verify = |secrets: &Secrets| {
        let version = signature::verify(presented, body, &secrets.signing(now), now)?;
        Some(VerifiedSender { tenant: secrets.tenant.clone()?, version, revision: secrets.revision })
    };
    if let Some(sender) = verify(&cached) {
        return Ok(sender);
    }
    let reloaded = secrets::reload(&request.bindings, name, now).await?;
    verify(&reloaded.secrets).ok_or_else(|| {
        attempt.failed_against(reloaded.is_fresh);
        problem::invalid_signature()
    })
}

/// The body with what is said to be its signature.
fn attempt(request: &Request<Signer>, body: &[u8]) -> ProofAttempt {
    let headers = signature::SIGNATURE_HEADERS.map(|name| request.incoming.header(name).unwrap_or_default());
    let body = signature::digest(body);
    let parts: Vec<&str> = headers.iter().map(String::as_str).chain([&*body]).collect();
    let scope = match &request.caller.named {
        Named::Host(_, tenant) => ProofScope::Tenant(tenant.as_str()),
        Named::Header(claimed) => ProofScope::PlatformFor(claimed.as_ref().map_or("", ClaimedTenant::as_str)),
    };
    ProofAttempt::of(scope, &request.incoming, "webhook", &parts)
}

fn read(body: &[u8]) -> Result<Webhook, Problem> {
    let mut fields = Fields::new(parse_object(body)?);
    let tenant = fields.required("tenant_id", |f| f.parsed("tenant_id", ClaimedTenant::parse));
    let node_type = fields.required("node_type", |f| f.text("node_type", 64));
    let action = fields.required("action", |f| f.text("action", 64));
    let topics = fields.required("channels", |f| f.list("channels", MAX_CHANNELS, parse_channel));
    if topics.as_ref().is_some_and(Vec::is_empty) {
        fields.wrong::<()>("channels", Invalid::new("required", "must name at least one channel"));
    }
    let keys = fields.list("keys", MAX_KEYS, Tag::parse);
    let graphql_url = fields.text("graphql_url", 512);
    let private = fields.flag("private").unwrap_or(false);
    fields.take("data");
    fields.finish()?;
    let (Some(tenant), Some(node_type), Some(action), Some(topics)) = (tenant, node_type, action, topics) else {
        return Err(problem::internal("a required field is missing"));
    };
    let mut seen = std::collections::HashSet::new();
    let topics = topics.into_iter().filter(|topic| seen.insert(topic.clone())).collect();
    Ok(Webhook { tenant, node_type, action, topics, private, keys, graphql_url })
}

fn host(named: &Named) -> Option<&Host> {
    match named {
        Named::Host(host, _) => Some(host),
        Named::Header(_) => None,
    }
}

/// The problem that hides whether a tenant exists: on a tenant's host 404, with a header the one of a wrong signature.
fn hidden_tenant(named: &Named) -> Problem {
    match named {
        Named::Host(..) => problem::tenant_not_found(),
        Named::Header(_) => problem::invalid_signature(),
    }
}

fn refused(named: &Named, error: HubError) -> Problem {
    match error {
        HubError::NotHere | HubError::Refused(Refusal::Stopped) => hidden_tenant(named),
        HubError::Refused(Refusal::SecretRetired | Refusal::SignatureForm) => problem::invalid_signature(),
        HubError::Refused(Refusal::WebhookIdReused) => problem::webhook_id_reused(),
        other => other.into(),
    }
}

/// Reads a channel that a site publishes on. Reserved topics are published by the platform alone.
fn parse_channel(text: &str) -> Result<Topic, Invalid> {
    let channel = Topic::channel(text)?;
    reserved_topics::check_channel(text)?;
    Ok(channel)
}
