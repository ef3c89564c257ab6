//! `/webhook`: what a site says has changed is published, and what that ends of kept answers is fetched again.

use crate::auth::principal::Signer;
use crate::graphql::warming;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::live::webhook::{self, ReceivedWebhook};

/// `POST /webhook`
pub async fn receive(request: Request<Signer>) -> Result<Response, Problem> {
    let (bindings, background) = (request.bindings.clone(), request.background.clone());
    let ReceivedWebhook { tenant, response } = webhook::receive(request).await?;
    warming::after_purges(&bindings, &background, &tenant);
    Ok(response)
}
