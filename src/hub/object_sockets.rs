//! [`Sockets`] of a Durable Object: WebSockets that survive its hibernation, and responses that it writes itself.

use std::rc::Rc;

use wasm_bindgen::prelude::*;

use super::sockets::{Carriage, NORMAL_CLOSURE, Opened, SocketError, Sockets};
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
    #[wasm_bindgen(catch, js_name = lastSignAt)]
    fn last_sign_at(ctx: &JsValue, socket: &JsValue) -> Result<f64, JsValue>;
    #[wasm_bindgen(catch, js_name = sendAll)]
    fn send_all(sockets: &js_sys::Array, text: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(catch, js_name = sendEvents)]
    fn send_events(sockets: &js_sys::Array, message: &js_sys::Uint8Array) -> Result<(), JsValue>;
    #[wasm_bindgen(catch, js_name = directResponse)]
    fn direct_response(stream: &JsValue, last_event_id: Option<&str>) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    fn close(socket: &JsValue, code: u16, reason: &str) -> Result<(), JsValue>;
}

// What both of its neighbours in JavaScript import: it is part of the build because it is named here.
#[wasm_bindgen(module = "/src/hub/client_stream.js")]
extern "C" {
    #[allow(dead_code, reason = "JavaScript alone calls it")]
    #[wasm_bindgen(js_name = splitCursor)]
    fn split_cursor(text: &str) -> js_sys::Array;
}

#[wasm_bindgen(module = "/src/hub/direct_streams.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = directStreams)]
    fn direct_streams(
        ctx: &JsValue,
        keep_alive_millis: u32,
        said: &Closure<dyn Fn(JsValue, String)>,
        gone: &Closure<dyn Fn(JsValue)>,
    ) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, js_name = openDirect)]
    fn open_direct(streams: &JsValue, attachment: &str, quiet: bool, heartbeats: bool) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, js_name = isDirect)]
    fn is_direct(socket: &JsValue) -> Result<bool, JsValue>;
    #[wasm_bindgen(catch, js_name = allDirect)]
    fn all_direct(streams: &JsValue) -> Result<js_sys::Array, JsValue>;
    #[wasm_bindgen(catch, js_name = hasRoom)]
    fn has_room() -> Result<bool, JsValue>;
    #[wasm_bindgen(catch, js_name = isStalled)]
    fn is_stalled(socket: &JsValue) -> Result<bool, JsValue>;
}

/// The direct streams of one hub. They outlast its memory, as its sockets do.
pub struct DirectStreams {
    streams: JsValue,
    _said: Closure<dyn Fn(JsValue, String)>,
    _gone: Closure<dyn Fn(JsValue)>,
}

impl DirectStreams {
    /// Those of the object with this `ctx`. `said` gets the words of a stream, `gone` one whose client has gone; both may be
    /// called in the middle of a turn.
    pub fn new(
        ctx: &JsValue,
        keep_alive_millis: u32,
        said: impl Fn(ObjectSocket, String) + 'static,
        gone: impl Fn(ObjectSocket) + 'static,
    ) -> Result<Self, SocketError> {
        let said = Closure::<dyn Fn(JsValue, String)>::new(move |stream, word| said(ObjectSocket(stream), word));
        let gone = Closure::<dyn Fn(JsValue)>::new(move |stream| gone(ObjectSocket(stream)));
        let streams = direct_streams(ctx, keep_alive_millis, &said, &gone).map_err(explain)?;
        Ok(Self { streams, _said: said, _gone: gone })
    }
}

fn explain(thrown: JsValue) -> SocketError {
    SocketError(format!("{thrown:?}"))
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
pub struct ObjectSockets {
    ctx: JsValue,
    direct: Rc<DirectStreams>,
}

impl ObjectSockets {
    pub fn new(ctx: JsValue, direct: Rc<DirectStreams>) -> Self {
        Self { ctx, direct }
    }
}

impl Sockets for ObjectSockets {
    type Socket = ObjectSocket;
    type Upgrade = worker::Response;

    fn accept(&self, carriage: Carriage, opened: &Opened<'_>) -> Result<(worker::Response, ObjectSocket), SocketError> {
        let &Opened { attachment, last_event_id, is_quiet, heartbeats } = opened;
        let (response, socket) = match carriage {
            Carriage::Bridged => {
                let pair = accept(&self.ctx, attachment).map_err(explain)?;
                (upgrade_response(&pair.get(0), last_event_id), pair.get(1))
            }
            Carriage::Direct => {
                let stream = open_direct(&self.direct.streams, attachment, is_quiet, heartbeats).map_err(explain)?;
                (direct_response(&stream, last_event_id), stream)
            }
        };
        let response = web_sys::Response::from(response.map_err(explain)?);
        Ok((worker::Response::from(response), ObjectSocket(socket)))
    }

    fn carriage(&self, socket: &ObjectSocket) -> Carriage {
        if is_direct(&socket.0).unwrap_or(false) { Carriage::Direct } else { Carriage::Bridged }
    }

    fn has_room(&self) -> bool {
        has_room().unwrap_or(false)
    }

    fn is_stalled(&self, socket: &ObjectSocket) -> bool {
        is_stalled(&socket.0).unwrap_or(false)
    }

    fn all(&self) -> Vec<ObjectSocket> {
        let sockets = [open_sockets(&self.ctx), all_direct(&self.direct.streams)];
        sockets.iter().flatten().flat_map(js_sys::Array::iter).map(ObjectSocket).collect()
    }

    fn attachment(&self, socket: &ObjectSocket) -> Option<String> {
        attachment_of(&socket.0).ok()?.as_string()
    }

    fn set_attachment(&self, socket: &ObjectSocket, text: &str) {
        let _ = attach(&socket.0, text);
    }

    fn send_text(&self, socket: &ObjectSocket, text: &str) {
        let _ = send_all(&js_sys::Array::of1(&socket.0), text);
    }

    fn send<'s>(&self, sockets: impl Iterator<Item = &'s ObjectSocket>, bytes: &[u8]) {
        let sockets: js_sys::Array = sockets.map(|socket| &socket.0).collect();
        let _ = send_events(&sockets, &js_sys::Uint8Array::from(bytes));
    }

    fn close(&self, socket: &ObjectSocket, code: u16) {
        let _ = close(&socket.0, code, "");
    }

    fn ping_reply(&self) -> Option<String> {
        ping_reply(&self.ctx).ok()?.as_string()
    }

    fn set_ping_reply(&self, text: &str) {
        let _ = set_ping_reply(&self.ctx, text);
    }

    #[allow(clippy::cast_possible_truncation)]
    fn last_sign_at(&self, socket: &ObjectSocket) -> Timestamp {
        Timestamp::from_millis(last_sign_at(&self.ctx, &socket.0).map_or(0, |millis| millis as i64))
    }
}
