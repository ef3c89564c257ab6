//! One cell of the matrix: a request drawn up by one fixture that names another, and its judgement.

use carillon::routes::{Endpoint, Surface, TokenRule};
use serde_json::{Value, json};

use super::fixture::Fixture;
use super::row::{self, Right, RouteUnderTest, Row};
use crate::world::{PLATFORM_KEY, RequestBuilder, World, hmac_hex, sequence, stranger, without_nonce};

/// Where a request names a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    Host,
    Header,
    Query,
    Path,
    Body,
    /// The id of something that a tenant owns.
    Object,
    LastEventId,
    Topic,
    /// Header, query, path and body at once.
    Everywhere,
}

impl Channel {
    pub const ALL: [Channel; 9] = [
        Channel::Host,
        Channel::Header,
        Channel::Query,
        Channel::Path,
        Channel::Body,
        Channel::Object,
        Channel::LastEventId,
        Channel::Topic,
        Channel::Everywhere,
    ];

    /// Whether this door has such a place.
    pub fn applies(self, door: &RouteUnderTest, row: &Row) -> bool {
        match self {
            Channel::Path => door.names_a_tenant(),
            Channel::Body => row.body.is_some(),
            Channel::Object => door.names_an_object(),
            // An alias leads to the same operation: there the places that tell tenants apart are tried.
            _ if door.is_alias && row.right.is_a_principals() => matches!(self, Channel::Host | Channel::Everywhere),
            Channel::LastEventId => !row.right.is_a_principals(),
            Channel::Topic => !row.right.is_a_principals() && !door.refuses_unknown,
            _ => true,
        }
    }
}

/// With what a request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    None,
    Signature,
    /// A token of a subscriber's, on either wire.
    Token,
    /// A token of a publisher's, on Mercure's wire.
    Publisher,
    Ticket,
    Key,
    /// A user's session cookie.
    User,
    /// An operator's session.
    Operator,
    Platform,
}

impl Credential {
    pub const ALL: [Credential; 9] = [
        Credential::None,
        Credential::Signature,
        Credential::Token,
        Credential::Publisher,
        Credential::Ticket,
        Credential::Key,
        Credential::User,
        Credential::Operator,
        Credential::Platform,
    ];

    /// An alias leads to the same operation: there the credentials that open it are tried. A publisher's token is one on
    /// Mercure's wire alone.
    pub fn applies(self, door: &RouteUnderTest, row: &Row) -> bool {
        if self == Credential::Publisher {
            return matches!(door.endpoint, Endpoint::Visitor(TokenRule::Mercure, _));
        }
        let opens = matches!(self, Credential::Key | Credential::User | Credential::Platform);
        !door.is_alias || matches!(row.right, Right::Platform | Right::Site | Right::Anybody) || opens
    }
}

/// A request that is drawn up; unlike [`RequestBuilder`], what it says can be said otherwise.
struct Draft {
    method: String,
    host: String,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Option<Value>,
    form: Option<&'static str>,
}

impl Draft {
    /// What `fixture` would send to this door on its own behalf, without a credential.
    fn new(door: &RouteUnderTest, row: &Row, fixture: &Fixture) -> Draft {
        let mut draft = Draft {
            method: door.method.clone(),
            host: row::host(door, fixture),
            path: door.path(fixture),
            query: row.query.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            headers: Vec::new(),
            body: row.body.map(|body| body(fixture)),
            form: row.form,
        };
        if door.surface == Surface::Platform && row.right == Right::Site {
            draft.header("X-Tenant-ID", &fixture.tenant.id);
        }
        draft
    }

    fn header(&mut self, name: &str, value: &str) {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    /// Names `fixture` in this place.
    fn claim(&mut self, channel: Channel, door: &RouteUnderTest, own: &Fixture, fixture: &Fixture) {
        let id = &fixture.tenant.id;
        match channel {
            Channel::Host => self.host.clone_from(&fixture.tenant.host),
            Channel::Header => self.header("X-Tenant-ID", id),
            Channel::Query => self.query.push(("tenant_id".into(), id.clone())),
            Channel::Path => self.path = door.path(fixture),
            Channel::Object => self.path = door.path_to(own, fixture),
            Channel::Body => {
                if let Some(body) = &mut self.body {
                    body["tenant_id"] = json!(id);
                }
            }
            Channel::LastEventId => self.header("Last-Event-ID", &fixture.start),
            Channel::Topic => self.query.push(("topic".into(), format!("tenant:{id}:orders"))),
            Channel::Everywhere => {
                for channel in [Channel::Header, Channel::Query, Channel::Path, Channel::Body] {
                    self.claim(channel, door, own, fixture);
                }
            }
        }
    }

    /// The request, with a credential of `fixture`'s.
    async fn with(mut self, credential: Credential, fixture: &Fixture) -> RequestBuilder {
        let tenant = &fixture.tenant;
        let body = self.body.as_ref().map(Value::to_string).unwrap_or_default();
        match credential {
            Credential::None => {}
            Credential::Platform => self.header("Authorization", &format!("Bearer {PLATFORM_KEY}")),
            Credential::Key => self.header("Authorization", &format!("Bearer {}", fixture.key)),
            Credential::Operator => self.header("Authorization", &format!("Bearer {}", fixture.people.operator)),
            Credential::User => {
                self.header("Cookie", &format!("__Host-carillon_session={}", fixture.people.session));
                self.header("Origin", &format!("http://{}", fixture.tenant.host));
            }
            Credential::Token => {
                let token = tenant.token(&["*"]).claim("mercure", json!({"subscribe": ["*"]})).sign();
                self.header("Authorization", &format!("Bearer {token}"));
            }
            Credential::Publisher => {
                let token = tenant.publisher(&["*"]).sign();
                self.header("Authorization", &format!("Bearer {token}"));
            }
            Credential::Ticket => {
                let ticket = tenant.ticket(tenant.token(&["*"])).await;
                self.query.push(("ticket".into(), ticket));
            }
            Credential::Signature => {
                let mac = hmac_hex(tenant.webhook_secret.as_bytes(), body.as_bytes());
                self.header("X-Webhook-Signature", &format!("sha256={mac}"));
            }
        }
        let mut call = tenant.world.call(&self.method, &self.host, &self.path).address(&stranger());
        for (name, value) in &self.query {
            call = call.query(name, value);
        }
        for (name, value) in &self.headers {
            call = call.header(name, value);
        }
        match (self.body, self.form) {
            (Some(_), _) => call.header("Content-Type", "application/json").bytes(body.into_bytes()),
            (None, Some(form)) => {
                call.header("Content-Type", "application/x-www-form-urlencoded").bytes(form.as_bytes().to_vec())
            }
            (None, None) => call,
        }
    }
}

/// What came back: an answer, or the beginning of a stream.
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    /// Sends; while a stream is open, `speaker` publishes, and what arrives before the next
    /// keep-alive is read.
    async fn to(call: RequestBuilder, speaker: Option<&Fixture>) -> Reply {
        let mut stream = match call.open().await {
            Err(answer) => {
                return Reply { status: answer.status, head: head(&answer.headers), body: answer.body };
            }
            Ok(stream) => stream,
        };
        let spoken = match speaker {
            Some(speaker) => speaker.speak().await,
            None => String::new(),
        };
        let (mut body, mut comments) = (String::new(), 0);
        for _ in 0..20 {
            match stream.block().await {
                // On Mercure's wire no place is told: what was spoken is there by the second ping behind the opening, and each
                // keep-alive has two parts.
                Some(block) if block.is_comment() => {
                    comments += 1;
                    if comments > 4 {
                        break;
                    }
                }
                // A keep-alive names the place up to which everything was sent.
                Some(block) if block.is_keep_alive() => {
                    if is_reached(block.id.as_deref().unwrap_or_default(), &spoken) {
                        break;
                    }
                }
                Some(block) => {
                    let (event, data) = (block.event.unwrap_or_default(), block.data.unwrap_or_default());
                    body.push_str(&format!("[{event}] {data}\n"));
                }
                None => break,
            }
        }
        Reply { status: 200, head: head(&stream.headers), body }
    }

    fn contains(&self, canary: &str) -> bool {
        self.head.contains(canary) || self.body.contains(canary)
    }

    /// Its status and headers.
    fn head_only(&self) -> String {
        without_nonce(&format!("{}\n{}", self.status, self.head))
    }

    /// All of it that two equal answers share.
    fn masked(&self, row: &Row, fixture: &Fixture) -> String {
        let body = if row.volatile { "" } else { &self.body };
        let is_of_the_moment = |line: &str| ["location: ", "last-modified: "].iter().any(|name| line.starts_with(name));
        let stays = |line: &&str| !(row.volatile && is_of_the_moment(line));
        let head = self.head.lines().filter(stays).collect::<Vec<_>>().join("\n");
        let mut text = without_cursors(&format!("{}\n{head}\n{}", self.status, steady(body)));
        for name in fixture.names() {
            text = text.replace(name, "(name)");
        }
        without_nonce(&without_cursors(&text))
    }
}

/// Whether a stream that stands at a place has got what was spoken; one of another log never will.
fn is_reached(place: &str, spoken: &str) -> bool {
    match (place.rsplit_once('-'), spoken.rsplit_once('-')) {
        (Some((log, _)), Some((other, _))) if log == other => sequence(place) >= sequence(spoken),
        _ => true,
    }
}

/// The headers, without those that count or tell the time.
fn head(headers: &reqwest::header::HeaderMap) -> String {
    let passing = ["date", "x-request-id", "etag", "content-length", "ratelimit", "retry-after"];
    let mut lines: Vec<String> = headers
        .iter()
        .filter(|(name, _)| !passing.contains(&name.as_str()) && !name.as_str().starts_with("x-ratelimit"))
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    lines.sort();
    lines.join("\n")
}

/// A JSON body without the values that are new in every answer.
fn steady(body: &str) -> String {
    fn still(value: &mut Value) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    match name.as_str() {
                        "request_id" | "id" | "ticket" | "expires_at" | "last_used_at" | "updated_at" => {
                            *value = Value::Null
                        }
                        _ => still(value),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(still),
            _ => {}
        }
    }
    match serde_json::from_str::<Value>(body) {
        Ok(mut value) => {
            still(&mut value);
            value.to_string()
        }
        Err(_) => body.to_owned(),
    }
}

/// Text in which every `{16 hexadecimal digits}-{number}` reads `(cursor)`.
fn without_cursors(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('-') {
        let (before, after) = rest.split_at(at);
        let epoch = before.len().checked_sub(16).and_then(|start| before.get(start..));
        let number = after[1..].bytes().take_while(u8::is_ascii_digit).count();
        let is_cursor = number > 0 && epoch.is_some_and(|epoch| epoch.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if is_cursor {
            out.push_str(&before[..before.len() - 16]);
            out.push_str("(cursor)");
            rest = &after[1 + number..];
        } else {
            out.push_str(before);
            out.push('-');
            rest = &after[1..];
        }
    }
    out.push_str(rest);
    out
}

/// One route, one credential, one place where another tenant is named.
pub struct Cell<'a> {
    pub door: &'a RouteUnderTest,
    pub row: &'a Row,
    pub credential: Credential,
    pub channel: Channel,
}

impl Cell<'_> {
    /// What is wrong in this cell; nothing, where tenants are apart.
    pub async fn judge(
        &self,
        attacker: &Fixture,
        victim: &Fixture,
        nobody: &Fixture,
        stranger: &Fixture,
    ) -> Option<String> {
        let about_victim = self.ask(attacker, victim, victim).await;
        let by_operator = self.by_operator();
        if by_operator {
            return self.judge_operator(&about_victim, attacker, nobody, victim).await;
        }
        let by_path = matches!(self.channel, Channel::Path | Channel::Everywhere) && self.door.is_an_address();
        let public = self.channel == Channel::Host || by_path;
        if about_victim.contains(&victim.secret_canary) || (!public && about_victim.contains(&victim.open_canary)) {
            return Some(format!("{}: a canary of B's in {}", self.name(), about_victim.body));
        }
        let (mine, theirs) = if public {
            if self.credential == Credential::None || self.credential == Credential::Platform {
                return None;
            }
            let strangers = self.ask(stranger, victim, victim).await;
            // What a public stream brings depends on the moment; that it brings nothing private was checked above.
            (about_victim.head_only(), strangers.head_only())
        } else {
            let about_nobody = self.ask(attacker, nobody, victim).await;
            (about_victim.masked(self.row, victim), about_nobody.masked(self.row, nobody))
        };
        (mine != theirs).then(|| format!("{}:\nabout B: {mine}\nabout nobody: {theirs}", self.name()))
    }

    /// The operator may know who exists; but a contradiction is refused, whoever is named.
    async fn judge_operator(
        &self,
        about_victim: &Reply,
        attacker: &Fixture,
        nobody: &Fixture,
        victim: &Fixture,
    ) -> Option<String> {
        let selects = self.row.right == Right::Member;
        if self.channel == Channel::Host || !(self.door.names_a_tenant() || selects) {
            return None;
        }
        let about_nobody = self.ask(attacker, nobody, victim).await;
        let contradicts = matches!(self.channel, Channel::Header | Channel::Query);
        let wrong = about_victim.status != about_nobody.status || (contradicts && about_victim.status != 404);
        wrong.then(|| format!("{}: {} about B, {} about nobody", self.name(), about_victim.status, about_nobody.status))
    }

    /// The attacker's request on its own behalf, but for the place where it names `claimed`.
    ///
    /// An operator's request may well succeed, and change whom it is about: that is somebody new.
    async fn ask(&self, attacker: &Fixture, claimed: &Fixture, speaker: &Fixture) -> Reply {
        let takes_fresh = self.by_operator() && self.row.right != Right::Member;
        let fresh = if takes_fresh { Some(Fixture::real(&attacker.tenant.world).await) } else { None };
        let attacker = fresh.as_ref().unwrap_or(attacker);
        let mut draft = Draft::new(self.door, self.row, attacker);
        draft.claim(self.channel, self.door, attacker, claimed);
        let reply = Reply::to(draft.with(self.credential, attacker).await, Some(speaker)).await;
        if let Some(fresh) = fresh {
            fresh.people.leave(&fresh.tenant.world).await;
        }
        reply
    }

    /// Whether it is somebody of the platform at work.
    fn by_operator(&self) -> bool {
        match self.credential {
            Credential::Platform => matches!(self.row.right, Right::Platform | Right::Member),
            Credential::Operator => matches!(self.row.right, Right::Platform | Right::Operator),
            _ => false,
        }
    }

    fn name(&self) -> String {
        format!("{} with {:?}, B in {:?}", self.door, self.credential, self.channel)
    }
}

/// The right request with the right credential, naming its own tenant in this place too.
pub async fn control(
    world: &World,
    door: &RouteUnderTest,
    row: &Row,
    channel: Channel,
    reader: Option<&Fixture>,
) -> Option<String> {
    let subject = match reader {
        Some(reader) => reader.clone(),
        None => Fixture::real(world).await,
    };
    let mut draft = Draft::new(door, row, &subject);
    let by_credential = matches!(row.right, Right::Site | Right::Member);
    let selects = door.names_a_tenant() || door.surface != Surface::Platform || by_credential;
    match channel {
        Channel::Host => {}
        Channel::Body if row.creates => {
            draft.claim(channel, door, &subject, &Fixture::never(world, &subject));
        }
        _ if row.creates || !selects => {}
        // A body need not take the name of its tenant, which host, path or credential tell; a webhook's must.
        Channel::Body | Channel::Everywhere if row.right != Right::Site => {
            draft.claim(Channel::Header, door, &subject, &subject);
        }
        _ => draft.claim(channel, door, &subject, &subject),
    }
    let credential = match row.right {
        Right::Platform => Credential::Platform,
        Right::Site => Credential::Signature,
        Right::Subscriber => Credential::Token,
        Right::Publisher => Credential::Publisher,
        Right::Member => Credential::Key,
        Right::User => Credential::User,
        Right::Operator => Credential::Operator,
        Right::Anybody if row.shows => Credential::Token,
        Right::Anybody => Credential::None,
    };
    let reply = Reply::to(draft.with(credential, &subject).await, Some(&subject)).await;
    if reader.is_none() {
        subject.people.leave(world).await;
    }
    let name = format!("{door}, {channel:?}");
    if reply.status != row.ok {
        return Some(format!("{name}: {} instead of {}: {}", reply.status, row.ok, reply.body));
    }
    (row.shows && !reply.contains(&subject.secret_canary)).then(|| format!("{name}: no canary in {}", reply.body))
}
