//! As much HTTP/1.1 as a load generator needs: the head of a response, the
//! chunked coding taken apart in place, and one keep-alive connection for calls.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Result;

/// How a response's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After this many bytes.
    Length(usize),
    /// By the chunked transfer coding.
    Chunked,
    /// With the connection.
    Close,
}

/// What a response says before its body.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    pub status: u16,
    pub framing: Framing,
    /// Bytes of the head, its blank line included.
    pub length: usize,
}

impl Head {
    /// The head, once `bytes` hold all of it.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let text = std::str::from_utf8(bytes.get(..end).unwrap_or_default())?;
        let mut lines = text.split("\r\n");
        let status =
            lines.next().and_then(|line| line.split(' ').nth(1)).ok_or("a response without a status line")?.parse()?;
        let mut framing = Framing::Close;
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                framing = Framing::Length(value.parse()?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                framing = Framing::Chunked;
            }
        }
        if status == 204 {
            framing = Framing::Length(0);
        }
        Ok(Some(Self { status, framing, length: end + 4 }))
    }
}

/// A body's bytes, whatever its framing, from pieces of any size.
pub struct Body {
    state: State,
}

enum State {
    Counted(usize),
    Endless,
    Size(usize),
    SizeEnd(usize),
    Chunk(usize),
    ChunkEnd,
    Trailer { bare: bool },
    Done,
}

impl Body {
    pub fn new(framing: Framing) -> Self {
        Self {
            state: match framing {
                Framing::Length(0) => State::Done,
                Framing::Length(length) => State::Counted(length),
                Framing::Chunked => State::Size(0),
                Framing::Close => State::Endless,
            },
        }
    }

    /// Whether the body has ended.
    pub fn done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Hands the body's bytes in this piece to `each`, without copying them.
    pub fn feed(&mut self, mut piece: &[u8], mut each: impl FnMut(&[u8])) {
        while let Some((&first, after_first)) = piece.split_first() {
            match self.state {
                State::Done => return,
                State::Endless => return each(piece),
                State::Counted(left) | State::Chunk(left) => {
                    let (bytes, rest) = piece.split_at(left.min(piece.len()));
                    each(bytes);
                    piece = rest;
                    let left = left - bytes.len();
                    self.state = match (&self.state, left) {
                        (State::Counted(_), 0) => State::Done,
                        (State::Counted(_), left) => State::Counted(left),
                        (_, 0) => State::ChunkEnd,
                        (_, left) => State::Chunk(left),
                    };
                    continue;
                }
                State::Size(size) => {
                    self.state = match char::from(first).to_digit(16) {
                        Some(digit) => State::Size(size << 4 | digit as usize),
                        None if first == b'\n' => size_read(size),
                        None => State::SizeEnd(size),
                    }
                }
                State::SizeEnd(size) if first == b'\n' => self.state = size_read(size),
                State::ChunkEnd if first == b'\n' => self.state = State::Size(0),
                State::Trailer { bare: true } if first == b'\n' => self.state = State::Done,
                State::Trailer { .. } if first == b'\n' => self.state = State::Trailer { bare: true },
                State::Trailer { .. } if first != b'\r' => self.state = State::Trailer { bare: false },
                State::SizeEnd(_) | State::ChunkEnd | State::Trailer { .. } => {}
            }
            piece = after_first;
        }
    }
}

fn size_read(size: usize) -> State {
    match size {
        0 => State::Trailer { bare: true },
        size => State::Chunk(size),
    }
}

/// A request as it goes over the wire, without a body of its own unless `body` has one.
pub fn request(method: &str, path: &str, host: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if method != "GET" {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// The address that request `number` says it comes from, as Cloudflare would say it:
/// readers and sites are many, and a server may limit what one address asks.
pub fn client_address(number: usize) -> (&'static str, String) {
    let [.., high, middle, low] = number.to_be_bytes();
    ("CF-Connecting-IP", format!("10.{high}.{middle}.{low}"))
}

/// What a call was answered.
pub struct HttpResponse {
    pub status: u16,
    /// The status line and the headers.
    head: Vec<u8>,
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// The value of a header, the first of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = std::str::from_utf8(&self.head).ok()?.lines().skip(1).filter_map(|line| line.split_once(':'));
        headers.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The answer, if it is one of success; else what it says, as an error.
    pub fn succeeded(self) -> Result<Self> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let said = String::from_utf8_lossy(&self.body);
        Err(format!("a request was answered {}: {said}", self.status).into())
    }
}

/// One connection that is kept for call after call.
pub struct Caller {
    address: SocketAddr,
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Caller {
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { address, stream, bytes: Vec::with_capacity(4096) })
    }

    /// Sends a request and reads its whole answer.
    pub async fn call(&mut self, request: &[u8]) -> Result<HttpResponse> {
        self.stream.write_all(request).await?;
        self.bytes.clear();
        let head = loop {
            if let Some(head) = Head::parse(&self.bytes)? {
                break head;
            }
            self.read_more().await?;
        };
        let mut framed = Body::new(head.framing);
        let mut body = Vec::new();
        let mut seen = head.length;
        loop {
            framed.feed(self.bytes.get(seen..).unwrap_or_default(), |bytes| body.extend_from_slice(bytes));
            seen = self.bytes.len();
            if framed.done() {
                break;
            }
            match self.read_more().await {
                Err(_) if head.framing == Framing::Close => break,
                read => read?,
            }
        }
        if head.framing == Framing::Close {
            self.stream = TcpStream::connect(self.address).await?;
        }
        let told = self.bytes.get(..head.length).unwrap_or_default().to_vec();
        Ok(HttpResponse { status: head.status, head: told, body })
    }

    async fn read_more(&mut self) -> Result<()> {
        match self.stream.read_buf(&mut self.bytes).await? {
            0 => Err("the server closed the connection before it answered".into()),
            _ => Ok(()),
        }
    }
}
