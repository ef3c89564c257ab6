//! How the Worker calls a tenant's hub.

use worker::{Headers, Method, Request, RequestInit, Stub};

use super::protocol::{Message, Refusal, Reply};
use crate::domain::ids::TenantId;
use crate::storage::bindings::Bindings;

/// The call did not come to an answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The hub refused.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// The hub could not be reached, or spoke nonsense.
    #[error("hub: {0}")]
    Unreachable(String),
}

/// A tenant's hub, from the Worker's side.
pub struct HubClient {
    stub: Stub,
}

impl HubClient {
    /// The hub of a proven tenant.
    pub fn of(bindings: &Bindings, tenant: &TenantId) -> Result<Self, CallError> {
        let hubs = bindings.hubs().map_err(|e| CallError::Unreachable(e.to_string()))?;
        let stub = hubs.get_by_name(tenant.as_str()).map_err(|e| CallError::Unreachable(e.to_string()))?;
        Ok(Self { stub })
    }

    /// Sends a message and waits for its answer.
    pub async fn call<M: Message>(&self, message: &M) -> Result<M::Answer, CallError> {
        let unreachable = |e: worker::Error| CallError::Unreachable(e.to_string());
        let body = serde_json::to_string(message).map_err(|e| CallError::Unreachable(e.to_string()))?;
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_headers(Headers::new()).with_body(Some(body.into()));
        let request = Request::new_with_init(&format!("http://hub{}", M::PATH), &init).map_err(unreachable)?;
        let mut response = self.stub.fetch_with_request(request).await.map_err(unreachable)?;
        let text = response.text().await.map_err(unreachable)?;
        match serde_json::from_str(&text) {
            Ok(Reply::Ok(answer)) => Ok(answer),
            Ok(Reply::Refused(refusal)) => Err(CallError::Refused(refusal)),
            Err(_) => Err(CallError::Unreachable(format!("status {}", response.status_code()))),
        }
    }

    /// The stub itself, for the bridge, which keeps a socket to the hub.
    pub fn into_stub(self) -> Stub {
        self.stub
    }
}
