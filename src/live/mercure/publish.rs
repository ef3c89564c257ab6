//! `POST /.well-known/mercure`: publishes an update.

use crate::auth::mercure::challenge;
use crate::auth::mercure::claims::Generation;
use crate::auth::mercure::proof::{MercureToken, TokenSigner};
use crate::auth::principal::Visitor;
use crate::http::incoming::essence;
use crate::http::problem::{self, Problem};
use crate::http::rate_fields::{rate_headers, rate_left};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::hub::protocol::{MercureUpdate, Publish, Published, TokenIssuer, mercure_id};
use crate::tenant::tenant_state::{self, HubError};
use domain::event::UpdateHead;
use domain::matching::matcher::Subject;
use domain::mercure::Action;
use domain::mercure_form::{FormError, MAX_FORM, UpdateForm};

const FORM: &str = "application/x-www-form-urlencoded";

/// Publishes an update; the response is its id, sent once the update is durable.
pub async fn publish(mut request: Request<Visitor>) -> Result<Response, Problem> {
    let mut form = None;
    let outcome = judge_and_publish(&mut request, &mut form).await;
    // Once the form has been read, the request cannot be judged from the beginning: here it can.
    match outcome {
        Err(problem) if form.is_some() && (problem.outdated.is_some() || matches!(problem.status, 401 | 403)) => {
            let Visitor { tenant, host, config, .. } = &*request.caller;
            let current = tenant_state::enter_now(&request.bindings, tenant, Some(host)).await?;
            if current.revision == config.revision {
                return Err(problem);
            }
            request.caller.config = current;
            judge_and_publish(&mut request, &mut form).await
        }
        outcome => outcome,
    }
}

/// Judges a publication by the tenant's configuration, and hands it to the hub. Reads the form, if it was not read yet.
async fn judge_and_publish(request: &mut Request<Visitor>, form: &mut Option<Vec<u8>>) -> Result<Response, Problem> {
    let origin = super::origin(request);
    let token = super::hub(request).authenticate(&request.incoming, Action::Publish).await?;
    let token = token.ok_or_else(|| challenge::unauthorized(&origin))?;
    request.proof.succeeded();
    let media_type = request.incoming.header("Content-Type").unwrap_or_default();
    if essence(&media_type) != FORM {
        return Err(problem::unsupported_media_type(FORM));
    }
    if form.is_none() {
        *form = Some(request.incoming.body(MAX_FORM).await?);
    }
    let hub_url = super::hub_url(request)?;
    let form = UpdateForm::read(form.as_deref().unwrap_or_default()).map_err(refused)?;
    let subjects: Vec<_> = form.topics.iter().map(|topic| Subject::new(topic.as_str(), &hub_url)).collect();
    if !token.grants.may_publish(&subjects) {
        return Err(challenge::insufficient_scope(&origin));
    }
    let now = request.now();
    let message = message(request, &token, form)?;
    let published = send(request, &message).await?;
    let own = message.update.and_then(|update| update.id);
    let mut answer = Response::text(200, own.unwrap_or_else(|| mercure_id(&published.id)));
    answer.headers.extend(rate_headers(&published.rate));
    answer.headers.extend(rate_left(&published.rate, now.seconds()));
    Ok(answer)
}

async fn send(request: &Request<Visitor>, message: &Publish) -> Result<Published, HubError> {
    let Visitor { tenant, host, config, .. } = &*request.caller;
    let (bindings, judged_at) = (&request.bindings, config.revision);
    tenant_state::call_hub_judged_at(bindings, tenant, Some(host), judged_at, async |hub, caller| {
        hub.call_for(&caller, message).await
    })
    .await
}

fn message(request: &Request<Visitor>, token: &MercureToken, form: UpdateForm) -> Result<Publish, Problem> {
    let UpdateForm { topics, data, private, id, kind, retry } = form;
    let head = UpdateHead {
        tenant_id: &request.caller.tenant,
        topics: &topics,
        r#type: kind.as_deref(),
        update_id: id.as_deref(),
        occurred_at: request.now(),
    };
    let head = head.to_members().map_err(problem::internal)?;
    let (secret_version, issuer) = match &token.signer {
        TokenSigner::Secrets(versions) => (versions.webhook, None),
        TokenSigner::Issuer(issuer) => (None, Some(TokenIssuer { action: Action::Publish, ..issuer.clone() })),
    };
    Ok(Publish {
        secret_version,
        issuer,
        older: token.generation == Generation::Older,
        receipt: None,
        topics,
        private,
        name: kind.clone().unwrap_or_else(|| "update".to_owned()),
        tail: data,
        update: Some(MercureUpdate { id, kind, retry, head }),
        purge: None,
    })
}

fn refused(error: FormError) -> Problem {
    match error {
        FormError::Invalid(field, invalid) => problem::invalid_form(&field, invalid),
        FormError::TooLarge(field, invalid) => problem::form_too_large(&field, invalid),
    }
}
