//! `POST /.well-known/mercure`: an update of somebody who may publish it.

use crate::auth::mercure::challenge;
use crate::auth::mercure::proof::{MercureToken, Signer};
use crate::auth::principal::Visitor;
use crate::http::problem::{self, Answered, Problem};
use crate::http::request::Call;
use crate::http::response::{Answer, rate_headers, rate_left};
use crate::hub::fanout::mercure_id;
use crate::hub::protocol::{Caller, Publish, Update};
use crate::tenant::tenant_state;
use domain::event::UpdateHead;
use domain::matching::matcher::Subject;
use domain::mercure::Action;
use domain::mercure_form::{Form, FormError, MAX_FORM};

const FORM: &str = "application/x-www-form-urlencoded";

/// Publishes an update; answers with its id once it is durable.
pub async fn publish(mut call: Call<Visitor>) -> Answered<Answer> {
    let origin = super::origin(&call);
    let token = super::hub(&call).prove(&call.request, Action::Publish).await?;
    let token = token.ok_or_else(|| challenge::unauthorized(&origin))?;
    let media_type = call.request.header("Content-Type").unwrap_or_default();
    if !media_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(FORM) {
        return Err(problem::unsupported_media_type(FORM));
    }
    let body = call.request.body(MAX_FORM).await?;
    let hub_url = super::hub_url(&call)?;
    let form = Form::read(&body, &hub_url).map_err(refused)?;
    let subjects: Vec<_> = form.topics.iter().map(|topic| Subject::new(topic.as_str(), &hub_url)).collect();
    if !token.grants.may_publish(&subjects) {
        return Err(challenge::insufficient_scope(&origin));
    }
    let now = call.now();
    let message = message(&call, &token, form)?;
    let Visitor { tenant, host, config, .. } = &*call.who;
    let published = tenant_state::call_hub(&call.bindings, tenant, Some(host), config.revision, async |hub, caller| {
        hub.call(&Publish { caller, ..message.clone() }).await
    });
    let published = published.await?;
    let own = message.update.and_then(|update| update.id);
    let mut answer = Answer::text(200, own.unwrap_or_else(|| mercure_id(&published.id)));
    answer.headers.extend(rate_headers(&published.rate));
    answer.headers.extend(rate_left(&published.rate, now.seconds()));
    Ok(answer)
}

fn message(call: &Call<Visitor>, token: &MercureToken, form: Form) -> Answered<Publish> {
    let Form { topics, data, private, id, kind, retry } = form;
    let head = UpdateHead {
        tenant_id: &call.who.tenant,
        topics: &topics,
        r#type: kind.as_deref(),
        update_id: id.as_deref(),
        occurred_at: call.now(),
    };
    let head = head.to_members().map_err(problem::internal)?;
    let secret_version = match &token.signer {
        Signer::Secrets(versions) => versions.webhook,
        Signer::Issuer(_) => None,
    };
    Ok(Publish {
        caller: Caller::default(),
        secret_version,
        receipt: None,
        topics,
        private,
        name: kind.clone().unwrap_or_else(|| "update".to_owned()),
        tail: data,
        update: Some(Update { id, kind, retry, head }),
    })
}

fn refused(error: FormError) -> Problem {
    match error {
        FormError::Invalid(field, invalid) => problem::invalid_form(&field, invalid),
        FormError::TooLarge(field, invalid) => problem::form_too_large(&field, invalid),
    }
}
