//! The hub's sockets, as the runtime keeps them through hibernation.

use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/src/hub/object.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    fn accept(ctx: &JsValue, attachment: &str) -> Result<js_sys::Array, JsValue>;
    #[wasm_bindgen(catch)]
    fn upgraded(client: &JsValue, told: Option<&str>) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, js_name = openSockets)]
    fn open_sockets(ctx: &JsValue) -> Result<js_sys::Array, JsValue>;
    #[wasm_bindgen(catch, js_name = attachmentOf)]
    fn attachment_of(socket: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    fn attach(socket: &JsValue, attachment: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(catch, js_name = setAnswer)]
    fn set_answer(ctx: &JsValue, text: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(catch)]
    fn answer(ctx: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, js_name = answeredAt)]
    fn answered_at(ctx: &JsValue, socket: &JsValue) -> Result<f64, JsValue>;
    #[wasm_bindgen(catch, js_name = sendAll)]
    fn send_all(sockets: &js_sys::Array, message: &JsValue) -> Result<(), JsValue>;
    #[wasm_bindgen(catch)]
    fn close(socket: &JsValue, code: u16, reason: &str) -> Result<(), JsValue>;
}

/// Why the hub closes a stream's socket; the bridge reads the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The tenant is not served any more.
    TenantUnavailable,
    /// The token's end, or its secret's.
    TokenExpired,
    /// Whoever had the token minted lost the rights.
    TokenRevoked,
    /// The same ticket opened another stream.
    Replaced,
    /// The client has not been heard of.
    Vanished,
}

impl Ending {
    fn code(self) -> u16 {
        match self {
            Self::TenantUnavailable => 4001,
            Self::TokenExpired => 4002,
            Self::Replaced => 4003,
            Self::Vanished => 4004,
            Self::TokenRevoked => 4005,
        }
    }
}

/// One stream's socket, the hub's end of it.
#[derive(Debug, Clone)]
pub struct Socket(JsValue);

impl Socket {
    /// A socket the runtime handed to an event handler.
    pub fn of(socket: &worker::WebSocket) -> Self {
        Self(socket.as_ref().into())
    }

    /// What was attached to it.
    pub fn attachment(&self) -> Option<String> {
        attachment_of(&self.0).ok()?.as_string()
    }

    /// Replaces what is attached to it.
    pub fn set_attachment(&self, text: &str) {
        let _ = attach(&self.0, text);
    }

    /// Sends text to this socket.
    pub fn send_text(&self, text: &str) {
        let _ = send_all(&js_sys::Array::of1(&self.0), &text.into());
    }

    /// Sends bytes to this socket.
    pub fn send(&self, bytes: &[u8]) {
        send_to([self].into_iter(), bytes);
    }

    /// Closes it; its close event follows.
    pub fn close(&self, ending: Ending) {
        let _ = close(&self.0, ending.code(), "");
    }

    /// Answers the peer's close.
    pub fn close_back(&self) {
        let _ = close(&self.0, 1000, "");
    }
}

/// Sends the same bytes to many sockets, in one crossing.
pub fn send_to<'s>(sockets: impl Iterator<Item = &'s Socket>, bytes: &[u8]) {
    let sockets: js_sys::Array = sockets.map(|socket| &socket.0).collect();
    let message = js_sys::Uint8Array::from(bytes);
    let _ = send_all(&sockets, &message);
}

/// The object's side of its sockets.
pub struct Sockets(JsValue);

impl Sockets {
    /// From the object's `ctx`.
    pub fn new(ctx: JsValue) -> Self {
        Self(ctx)
    }

    /// Accepts a socket with its attachment: the response that carries its client end, and the hub's end. What the
    /// bridge must know before it answers stands in the response's head.
    pub fn accept(&self, attachment: &str, told: Option<&str>) -> Result<(worker::Response, Socket), String> {
        let explain = |e: JsValue| format!("{e:?}");
        let pair = accept(&self.0, attachment).map_err(explain)?;
        let response = upgraded(&pair.get(0), told).map_err(explain)?;
        Ok((worker::Response::from(web_sys::Response::from(response)), Socket(pair.get(1))))
    }

    /// All sockets, as they are after waking.
    pub fn all(&self) -> Vec<Socket> {
        open_sockets(&self.0).map(|sockets| sockets.iter().map(Socket).collect()).unwrap_or_default()
    }

    /// The text the runtime answers pings with; it outlives hibernation.
    pub fn answer(&self) -> Option<String> {
        answer(&self.0).ok()?.as_string()
    }

    /// Sets the text the runtime answers pings with.
    pub fn set_answer(&self, text: &str) {
        let _ = set_answer(&self.0, text);
    }

    /// When the runtime last answered a socket, in milliseconds since 1970; 0 if never.
    #[allow(clippy::cast_possible_truncation)]
    pub fn answered_at(&self, socket: &Socket) -> i64 {
        answered_at(&self.0, &socket.0).map_or(0, |millis| millis as i64)
    }
}
