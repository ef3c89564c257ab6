//! How the Worker calls a tenant's hub.

use serde_json::value::RawValue;
use wasm_bindgen::prelude::*;

use super::protocol::{Message, Refusal, Reply};
use crate::storage::bindings::Bindings;
use crate::tenant_id::TenantId;

#[wasm_bindgen(module = "/src/hub/client.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    async fn send(hub: &JsValue, path: &str, message: &str) -> Result<JsValue, JsValue>;
}

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
    stub: JsValue,
}

impl HubClient {
    /// The hub of a proven tenant.
    pub fn of(bindings: &Bindings, tenant: &TenantId) -> Result<Self, CallError> {
        let hubs = bindings.hubs().map_err(|e| CallError::Unreachable(e.to_string()))?;
        let stub = hubs.get_by_name(tenant.as_str()).map_err(|e| CallError::Unreachable(e.to_string()))?;
        Ok(Self { stub: stub.into_rpc() })
    }

    /// Sends a message and waits for its answer.
    pub async fn call<M: Message>(&self, message: &M) -> Result<M::Answer, CallError> {
        let unreachable = |e: serde_json::Error| CallError::Unreachable(e.to_string());
        let answer = self.exchange(M::PATH, &serde_json::to_string(message).map_err(unreachable)?).await?;
        match serde_json::from_str::<Reply<&RawValue>>(&answer).map_err(unreachable)? {
            Reply::Ok(answer) => serde_json::from_str(answer.get()).map_err(unreachable),
            Reply::Refused(refusal) => Err(CallError::Refused(refusal)),
        }
    }

    async fn exchange(&self, path: &str, message: &str) -> Result<String, CallError> {
        let answer = send(&self.stub, path, message).await;
        let answer = answer.map_err(|thrown| CallError::Unreachable(js_sys::Error::from(thrown).message().into()))?;
        Ok(answer.as_string().unwrap_or_default())
    }

    /// The stub itself, for the bridge, which keeps a socket to the hub.
    pub fn into_stub(self) -> JsValue {
        self.stub
    }
}
