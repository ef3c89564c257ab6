//! How the Worker calls a tenant's hub.

use serde_json::value::RawValue;
use wasm_bindgen::prelude::*;

use super::protocol::{Caller, Message, Platform, Refusal, Reply, to_json};
use crate::log;
use crate::storage::bindings::Bindings;
use crate::tenant_id::TenantId;

#[wasm_bindgen(module = "/src/hub/client.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    async fn send(hub: &JsValue, path: &str, message: &str) -> Result<JsValue, JsValue>;
}

/// Why a call brought no reply.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    #[error("the hub refused: {0:?}")]
    Refused(Refusal),
    /// The hub could not be reached, or its reply could not be parsed.
    #[error("the hub did not reply: {0}")]
    Unreachable(String),
}

impl From<serde_json::Error> for CallError {
    fn from(error: serde_json::Error) -> Self {
        Self::Unreachable(error.to_string())
    }
}

/// A tenant's hub, as the Worker sees it.
pub struct HubClient {
    stub: JsValue,
}

impl HubClient {
    /// The hub of a proven tenant. Does not call it yet.
    pub fn of(bindings: &Bindings, tenant: &TenantId) -> Result<Self, CallError> {
        let hubs = bindings.hubs().map_err(|e| CallError::Unreachable(e.to_string()))?;
        let stub = hubs.get_by_name(tenant.as_str()).map_err(|e| CallError::Unreachable(e.to_string()))?;
        Ok(Self { stub: stub.into_rpc() })
    }

    /// Sends a message of the platform and waits for the reply.
    pub async fn call<M: Message<Sender = Platform>>(&self, message: &M) -> Result<M::Reply, CallError> {
        self.exchange::<M>(&serde_json::to_string(message)?).await
    }

    /// Sends a message on behalf of a caller and waits for the reply.
    pub async fn call_for<M: Message<Sender = Caller>>(
        &self,
        caller: &Caller,
        message: &M,
    ) -> Result<M::Reply, CallError> {
        self.exchange::<M>(&to_json(caller, message)?).await
    }

    async fn exchange<M: Message>(&self, json: &str) -> Result<M::Reply, CallError> {
        log::hub_called();
        let reply = send(&self.stub, M::PATH, json).await;
        let reply = reply.map_err(|thrown| CallError::Unreachable(js_sys::Error::from(thrown).message().into()))?;
        match serde_json::from_str::<Reply<&RawValue>>(&reply.as_string().unwrap_or_default())? {
            Reply::Ok(reply) => Ok(serde_json::from_str(reply.get())?),
            Reply::Refused(refusal) => Err(CallError::Refused(refusal)),
        }
    }

    /// The stub itself, for the bridge, which opens a socket to the hub.
    pub fn into_stub(self) -> JsValue {
        self.stub
    }
}
