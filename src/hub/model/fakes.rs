//! What survives a hub's memory, on the host: a SQLite that can fail, and sockets without a network.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use rusqlite::Connection;

use crate::hub::sockets::{Carriage, Opened, SocketError, Sockets};
use crate::hub::sqlite::{Sqlite, SqliteError, Value};
use domain::clock::Timestamp;

/// SQLite in memory. After [`Self::fail_after`] one statement fails.
#[derive(Clone)]
pub struct FakeSql(Rc<(Connection, Cell<Option<u8>>)>);

impl FakeSql {
    pub fn new() -> Self {
        Self(Rc::new((Connection::open_in_memory().unwrap(), Cell::new(None))))
    }

    /// Lets so many statements pass, and the next one fail.
    pub fn fail_after(&self, statements: Option<u8>) {
        self.0.1.set(statements);
    }

    /// Whether the failure that was asked for is still to come.
    pub fn is_armed(&self) -> bool {
        self.0.1.get().is_some()
    }
}

impl Sqlite for FakeSql {
    fn query(&self, sql: &'static str, args: &[Value]) -> Result<Vec<Vec<Value>>, SqliteError> {
        let (connection, fails_after) = &*self.0;
        match fails_after.take() {
            Some(0) => return Err(SqliteError("the disk is gone".into())),
            left => fails_after.set(left.map(|left| left - 1)),
        }
        Sqlite::query(connection, sql, args)
    }

    fn atomically<T>(&self, work: impl FnOnce() -> Result<T, SqliteError>) -> Result<T, SqliteError> {
        Sqlite::atomically(&self.0.0, work)
    }
}

/// What a client's end of a socket receives.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    Text(String),
    Bytes(Vec<u8>),
    Close(u16),
}

#[derive(Debug)]
struct Peer {
    carriage: Carriage,
    /// Whether its client takes nothing.
    is_stalled: bool,
    attachment: String,
    inbox: Vec<Received>,
    is_closed: bool,
    is_closed_by_client: bool,
    last_sign_at: Timestamp,
}

#[derive(Debug, Default)]
struct Runtime {
    peers: BTreeMap<u32, Peer>,
    accepted: u32,
    ping_reply: Option<String>,
    sent_when_closed: Vec<u32>,
}

/// Sockets as the runtime keeps them through hibernation. A socket is its number; so is its client's end.
#[derive(Debug, Clone, Default)]
pub struct FakeSockets(Rc<RefCell<Runtime>>);

impl FakeSockets {
    /// What has arrived at a client's end since it was last asked.
    pub fn receive(&self, socket: u32) -> Vec<Received> {
        self.0.borrow_mut().peers.get_mut(&socket).map(|peer| std::mem::take(&mut peer.inbox)).unwrap_or_default()
    }

    /// The runtime answers a client's ping.
    pub fn ping(&self, socket: u32, now: Timestamp) -> Option<String> {
        let mut runtime = self.0.borrow_mut();
        let reply = runtime.ping_reply.clone()?;
        runtime.peers.get_mut(&socket)?.last_sign_at = now;
        Some(reply)
    }

    /// From now on the client takes nothing: what it is sent waits.
    pub fn stall(&self, socket: u32) {
        if let Some(peer) = self.0.borrow_mut().peers.get_mut(&socket) {
            peer.is_stalled = true;
        }
    }

    /// The client's end closes the socket, by itself or in return. The hub's close event follows.
    pub fn close_by_client(&self, socket: u32) {
        if let Some(peer) = self.0.borrow_mut().peers.get_mut(&socket) {
            (peer.is_closed, peer.is_closed_by_client) = (true, true);
        }
    }

    /// The runtime restarts: all connections are lost.
    pub fn restart(&self) {
        let mut runtime = self.0.borrow_mut();
        runtime.peers.clear();
        runtime.ping_reply = None;
    }

    /// Sockets that the hub tried to send to after they were closed.
    pub fn sent_when_closed(&self) -> Vec<u32> {
        self.0.borrow().sent_when_closed.clone()
    }

    fn push(&self, socket: u32, received: Received) {
        let mut runtime = self.0.borrow_mut();
        match runtime.peers.get_mut(&socket) {
            Some(peer) if !peer.is_closed => peer.inbox.push(received),
            _ => runtime.sent_when_closed.push(socket),
        }
    }
}

impl Sockets for FakeSockets {
    type Socket = u32;
    type Upgrade = u32;

    fn accept(&self, carriage: Carriage, opened: &Opened<'_>) -> Result<(u32, u32), SocketError> {
        let mut runtime = self.0.borrow_mut();
        runtime.accepted += 1;
        let socket = runtime.accepted;
        let peer = Peer {
            carriage,
            is_stalled: false,
            attachment: opened.attachment.into(),
            inbox: Vec::new(),
            is_closed: false,
            is_closed_by_client: false,
            last_sign_at: Timestamp::default(),
        };
        runtime.peers.insert(socket, peer);
        Ok((socket, socket))
    }

    fn carriage(&self, socket: &u32) -> Carriage {
        self.0.borrow().peers.get(socket).map_or(Carriage::Bridged, |peer| peer.carriage)
    }

    fn has_room(&self) -> bool {
        true
    }

    fn is_stalled(&self, socket: &u32) -> bool {
        let is_stalled = |peer: &Peer| peer.is_stalled && peer.carriage == Carriage::Direct;
        self.0.borrow().peers.get(socket).is_some_and(is_stalled)
    }

    /// A direct stream that has ended is not there any more, however its other end is.
    fn all(&self) -> Vec<u32> {
        let is_there = |peer: &Peer| match peer.carriage {
            Carriage::Bridged => !peer.is_closed_by_client,
            Carriage::Direct => !peer.is_closed,
        };
        self.0.borrow().peers.iter().filter(|(_, peer)| is_there(peer)).map(|(socket, _)| *socket).collect()
    }

    fn attachment(&self, socket: &u32) -> Option<String> {
        self.0.borrow().peers.get(socket).map(|peer| peer.attachment.clone())
    }

    fn set_attachment(&self, socket: &u32, text: &str) {
        if let Some(peer) = self.0.borrow_mut().peers.get_mut(socket) {
            peer.attachment = text.into();
        }
    }

    fn send_text(&self, socket: &u32, text: &str) {
        self.push(*socket, Received::Text(text.into()));
    }

    fn send<'s>(&self, sockets: impl Iterator<Item = &'s u32>, bytes: &[u8]) {
        sockets.for_each(|socket| self.push(*socket, Received::Bytes(bytes.into())));
    }

    fn close(&self, socket: &u32, code: u16) {
        if let Some(peer) = self.0.borrow_mut().peers.get_mut(socket).filter(|peer| !peer.is_closed) {
            peer.inbox.push(Received::Close(code));
            peer.is_closed = true;
        }
    }

    fn ping_reply(&self) -> Option<String> {
        self.0.borrow().ping_reply.clone()
    }

    fn set_ping_reply(&self, text: &str) {
        self.0.borrow_mut().ping_reply = Some(text.into());
    }

    fn last_sign_at(&self, socket: &u32) -> Timestamp {
        self.0.borrow().peers.get(socket).map(|peer| peer.last_sign_at).unwrap_or_default()
    }
}
