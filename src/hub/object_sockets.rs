//! [`Sockets`] of a Durable Object: WebSockets that survive its hibernation.

use wasm_bindgen::prelude::*;

use super::sockets::{NORMAL_CLOSURE, SocketError, Sockets};
use domain::clock::Timestamp;

#[wasm_bindgen(module = "/src/hub/object.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    fn accept(ctx: &JsValue, attachment: &str) -> Result<js_sys::Array, JsValue>;
    #[wasm_bindgen(catch, js_name = upgradeResponse)]
    fn upgrade_response(client: &JsValue, last_event_id: Option<&str>) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, js_name = openSockets)]
    fn open_sockets(ctx: &JsValue) -> Result<js_sys::Array, JsValue>;
    #[wasm_bindgen(catch, js_name = attachmentOf)]
    fn attachment_of(socket: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    fn attach(socket: &JsValue, attachment: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(catch, js_name = setPingReply)]
    fn set_ping_reply(ctx: &JsValue, text: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(catch, js_name = pingReply)]
    fn ping_reply(ctx: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, js_name = lastPingAt)]
    fn last_ping_at(ctx: &JsValue, socket: &JsValue) -> Result<f64, JsValue>;
    #[wasm_bindgen(catch, js_name = sendAll)]
    fn send_all(sockets: &js_sys::Array, message: &JsValue) -> Result<(), JsValue>;
    #[wasm_bindgen(catch)]
    fn close(socket: &JsValue, code: u16, reason: &str) -> Result<(), JsValue>;
}

/// A stream's socket, the hub's end of it.
#[derive(Debug, Clone)]
pub struct ObjectSocket(JsValue);

impl ObjectSocket {
    /// A socket that the runtime passed to an event handler.
    pub fn of(socket: &worker::WebSocket) -> Self {
        Self(socket.as_ref().into())
    }

    /// Completes a close that the other end began.
    pub fn close_back(&self) {
        let _ = close(&self.0, NORMAL_CLOSURE, "");
    }
}

/// The sockets of the object with this `ctx`.
pub struct ObjectSockets(JsValue);

impl ObjectSockets {
    pub fn new(ctx: JsValue) -> Self {
        Self(ctx)
    }
}

impl Sockets for ObjectSockets {
    type Socket = ObjectSocket;
    type Upgrade = worker::Response;

    fn accept(
        &self,
        attachment: &str,
        last_event_id: Option<&str>,
    ) -> Result<(worker::Response, ObjectSocket), SocketError> {
        let explain = |e: JsValue| SocketError(format!("{e:?}"));
        let pair = accept(&self.0, attachment).map_err(explain)?;
        let response = upgrade_response(&pair.get(0), last_event_id).map_err(explain)?;
        Ok((worker::Response::from(web_sys::Response::from(response)), ObjectSocket(pair.get(1))))
    }

    fn all(&self) -> Vec<ObjectSocket> {
        open_sockets(&self.0).map(|sockets| sockets.iter().map(ObjectSocket).collect()).unwrap_or_default()
    }

    fn attachment(&self, socket: &ObjectSocket) -> Option<String> {
        attachment_of(&socket.0).ok()?.as_string()
    }

    fn set_attachment(&self, socket: &ObjectSocket, text: &str) {
        let _ = attach(&socket.0, text);
    }

    fn send_text(&self, socket: &ObjectSocket, text: &str) {
        let _ = send_all(&js_sys::Array::of1(&socket.0), &text.into());
    }

    fn send<'s>(&self, sockets: impl Iterator<Item = &'s ObjectSocket>, bytes: &[u8]) {
        let sockets: js_sys::Array = sockets.map(|socket| &socket.0).collect();
        let _ = send_all(&sockets, &js_sys::Uint8Array::from(bytes));
    }

    fn close(&self, socket: &ObjectSocket, code: u16) {
        let _ = close(&socket.0, code, "");
    }

    fn ping_reply(&self) -> Option<String> {
        ping_reply(&self.0).ok()?.as_string()
    }

    fn set_ping_reply(&self, text: &str) {
        let _ = set_ping_reply(&self.0, text);
    }

    #[allow(clippy::cast_possible_truncation)]
    fn last_ping_at(&self, socket: &ObjectSocket) -> Timestamp {
        Timestamp::from_millis(last_ping_at(&self.0, &socket.0).map_or(0, |millis| millis as i64))
    }
}
