//! Opens streams through the bridge (`bridge.js`), which then runs without Rust.

use serde_json::value::RawValue;
use wasm_bindgen::prelude::*;

use crate::hub::client::{CallError, HubClient};
use crate::hub::protocol::{Attach, Caller, Refusal, Reply, to_json};

#[wasm_bindgen(module = "/src/live/bridge.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    async fn attach(hub: &JsValue, request: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, js_name = refusalOf)]
    fn refusal_of(attached: &JsValue) -> Result<Option<String>, JsValue>;
    #[wasm_bindgen(catch, js_name = lastEventIdOf)]
    fn last_event_id_of(attached: &JsValue) -> Result<Option<String>, JsValue>;
    #[wasm_bindgen(catch)]
    fn pump(
        attached: &JsValue,
        hub: &JsValue,
        request: &str,
        keep_alive_millis: u32,
        heartbeats: bool,
        signal: &web_sys::AbortSignal,
    ) -> Result<web_sys::ReadableStream, JsValue>;
    #[wasm_bindgen(catch)]
    fn diagnose(
        lines: &str,
        ticks: u32,
        interval_millis: u32,
        idle_millis: u32,
        signal: &web_sys::AbortSignal,
    ) -> Result<web_sys::ReadableStream, JsValue>;
}

/// A stream the hub has accepted.
pub struct AcceptedStream {
    hub: JsValue,
    request: String,
    link: JsValue,
}

/// Asks the hub for a stream.
pub async fn open(hub: HubClient, caller: &Caller, attach_message: &Attach) -> Result<AcceptedStream, CallError> {
    let unreachable = |e: JsValue| CallError::Unreachable(format!("{e:?}"));
    let hub = hub.into_stub();
    let request = to_json(caller, attach_message)?;
    let link = attach(&hub, &request).await.map_err(unreachable)?;
    match refusal_of(&link).map_err(unreachable)? {
        None => Ok(AcceptedStream { hub, request, link }),
        Some(text) => Err(match serde_json::from_str(&text) {
            Ok(Reply::<&RawValue>::Refused(refusal)) => CallError::Refused(refusal),
            Ok(Reply::Ok(_)) | Err(_) => CallError::Refused(Refusal::Failed),
        }),
    }
}

impl AcceptedStream {
    /// On Mercure's wire, the id of the event before the first one that is sent, if the client asked for one.
    pub fn last_event_id(&self) -> Option<String> {
        last_event_id_of(&self.link).ok().flatten()
    }

    /// Starts the transfer; gives the stream for the response.
    pub fn pump(
        self,
        keep_alive_seconds: u32,
        heartbeats: bool,
        signal: &web_sys::AbortSignal,
    ) -> Result<web_sys::ReadableStream, String> {
        pump(&self.link, &self.hub, &self.request, keep_alive_seconds * 1000, heartbeats, signal)
            .map_err(|e| format!("{e:?}"))
    }
}

/// A stream for diagnosis: the given lines, then numbered ticks, then a silence.
pub fn diagnosis(
    lines: &str,
    ticks: u32,
    interval_millis: u32,
    idle_millis: u32,
    signal: &web_sys::AbortSignal,
) -> Result<web_sys::ReadableStream, String> {
    diagnose(lines, ticks, interval_millis, idle_millis, signal).map_err(|e| format!("{e:?}"))
}
