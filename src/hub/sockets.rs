//! The hub's ends of its streams behind a trait: those of the Durable Object's runtime in production, fakes in tests.

use domain::clock::Timestamp;

/// Why the hub closes a stream's socket. The bridge (`live/bridge.js`) reads the code and tells the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The tenant is not served any more.
    TenantUnavailable,
    /// The token has expired, or the secret that verified it is not accepted any more.
    TokenExpired,
    /// The ticket opened another stream.
    Replaced,
    /// The client has not answered for a long time, and another one needs its place.
    Unresponsive,
    /// The principal that opened it or minted its token has lost rights, or the token's issuer is not the tenant's any more.
    TokenRevoked,
    /// The tenant wants a credential of everybody now.
    NoCredential,
    /// The tenant's list of addresses does not include the client's any more.
    AddressNotAllowed,
    /// The tenant may have fewer streams now, and older ones go before.
    TooManyStreams,
    /// The stream is to be carried in the other way: its client comes back at once.
    Moved,
}

impl CloseReason {
    pub fn code(self) -> u16 {
        match self {
            Self::TenantUnavailable => 4001,
            Self::TokenExpired => 4002,
            Self::Replaced => 4003,
            Self::Unresponsive => 4004,
            Self::TokenRevoked => 4005,
            Self::NoCredential => 4006,
            Self::AddressNotAllowed => 4007,
            Self::TooManyStreams => 4008,
            Self::Moved => 4009,
        }
    }
}

/// How a stream gets from the hub to its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Carriage {
    /// Through a socket to the Worker that ends the client's response. The hub may sleep behind it.
    Bridged,
    /// The hub writes the response itself. It is awake as long as there is one.
    Direct,
}

/// How a stream's other end is opened.
#[derive(Debug)]
pub struct Opened<'a> {
    /// What the hub keeps of it.
    pub attachment: &'a str,
    /// For a header of the response: the id of the event before the first one, on Mercure's wire.
    pub last_event_id: Option<&'a str>,
    /// Whether the hub says nothing of its own: clients of Mercure's wire take every block for an update.
    pub is_quiet: bool,
    /// Whether signs of life are events.
    pub heartbeats: bool,
}

/// The code of an ordinary close (RFC 6455, 7.4.1).
pub const NORMAL_CLOSURE: u16 = 1000;

/// The runtime could not open a socket; holds its message.
#[derive(Debug)]
pub struct SocketError(#[allow(dead_code, reason = "for `Debug`")] pub String);

/// The sockets of one hub, as the runtime keeps them through hibernation. None of these calls fails for a socket that is
/// closing: what it is sent is lost, and its close event follows.
pub trait Sockets {
    /// The hub's end of a stream's socket.
    type Socket: Clone;
    /// What carries the other end to the client.
    type Upgrade;

    /// Opens a stream.
    fn accept(&self, carriage: Carriage, opened: &Opened<'_>) -> Result<(Self::Upgrade, Self::Socket), SocketError>;

    /// How a stream is carried.
    fn carriage(&self, socket: &Self::Socket) -> Carriage;

    /// Whether this isolate takes one more direct stream: what its hubs together hold for slow clients is bounded.
    fn has_room(&self) -> bool;

    /// Whether more waits for the client of a direct stream than it holds.
    fn is_stalled(&self, socket: &Self::Socket) -> bool;

    /// Every socket, also one that the hub has closed until its other end has closed it too.
    fn all(&self) -> Vec<Self::Socket>;

    /// The text that the socket keeps, a bridged one through hibernation.
    fn attachment(&self, socket: &Self::Socket) -> Option<String>;

    fn set_attachment(&self, socket: &Self::Socket, text: &str);

    fn send_text(&self, socket: &Self::Socket, text: &str);

    /// Sends the same bytes to many sockets, with a single call into the runtime.
    fn send<'s>(&self, sockets: impl Iterator<Item = &'s Self::Socket>, bytes: &[u8])
    where
        Self::Socket: 's;

    fn close(&self, socket: &Self::Socket, code: u16);

    /// The text that the runtime answers pings with, without waking the hub. It survives hibernation.
    fn ping_reply(&self) -> Option<String>;

    fn set_ping_reply(&self, text: &str);

    /// When the client was last known to be there: when the runtime last answered a ping of its bridge; of a direct stream,
    /// when it was last written to and nothing waited. 1970 if never.
    fn last_sign_at(&self, socket: &Self::Socket) -> Timestamp;
}
