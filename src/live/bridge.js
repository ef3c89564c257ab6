// The bridge between one client's SSE response and its socket to the tenant's hub.
//
// The stateless Worker ends the response; the hub keeps a hibernatable socket and may sleep. No
// Wasm runs per event and no Rust future lives as long as a stream.
//
// - A client whose waiting bytes exceed the bound is cut; it resumes with its last id.
// - Pings are answered by the runtime with the hub's cursor, without waking the hub.
// - The runtime tells of a client that has gone only after a write to it. Where a proxy stands between,
//   the first write still succeeds; so whatever keeps a stream alive is written in two parts.
// - When the hub restarts, the bridge attaches again at its cursor; what it saw already is dropped.

const SLOW_CLIENT_BYTES = 1024 * 1024;
const CLIENT_BUFFER_BYTES = 16 * 1024;
const SECOND_PART_MILLIS = 100;
const ANSWER_MILLIS = 10_000;
const EXPIRY_NOTICE_MILLIS = 60_000;
const REATTACH_MILLIS = [50, 200, 500, 1000, 2000, 4000, 8000, 8000];
const MAX_TIMER_MILLIS = 2 ** 31 - 1;

// What the hub asks at a limit: whether the client is still there.
const ALIVE = "alive?";

const COMMENT = ":\n";

// Closing codes of the hub that end the stream, as the client is told of them.
const ENDINGS = new Map([
  [4001, "tenant_unavailable"],
  [4002, "token_expired"],
  [4003, "replaced"],
  [4004, "vanished"],
  [4005, "token_revoked"],
  [4006, "credential_required"],
  [4007, "address_not_allowed"],
  [4008, "too_many_streams"],
]);

// Refusals of the hub that no further attempt will mend.
const REFUSED_FOR_GOOD = new Map([
  ["stopped", "tenant_unavailable"],
  ["wrong_host", "tenant_unavailable"],
  ["secret_retired", "token_expired"],
  ["ticket_invalid", "token_expired"],
  ["token_revoked", "token_revoked"],
  ["no_credential", "credential_required"],
  ["address_not_allowed", "address_not_allowed"],
  ["log_replaced", "log_replaced"],
  // What this bridge asks for cannot be read by the hub of today: its client asks anew.
  ["malformed", "invalid_request"],
  ["wrong_tenant", "tenant_unavailable"],
]);

const encoder = new TextEncoder();

// Asks the hub for a socket. Gives { socket, hello } or { refusal } (the hub's words) or throws.
export async function attach(hub, request) {
  const response = await hub.fetch("http://hub/attach", {
    headers: { Upgrade: "websocket", "x-carillon-attach": encodeURIComponent(request) },
  });
  const socket = response.webSocket;
  if (!socket) return { refusal: await response.text() };
  socket.binaryType = "arraybuffer";
  const inbox = [];
  const link = { socket, inbox, deliver: (event) => inbox.push(event) };
  const lastEventId = response.headers.get("x-carillon-last-event-id");
  for (const kind of ["message", "close", "error"]) {
    socket.addEventListener(kind, (event) => link.deliver(event));
  }
  socket.accept();
  return { link, lastEventId: lastEventId === null ? undefined : decodeURIComponent(lastEventId) };
}

export function refusalOf(attached) {
  return attached.refusal;
}

// The id of the event before the first one, where the client sent one on Mercure's wire.
export function lastEventIdOf(attached) {
  return attached.lastEventId;
}

// Begins to pump; gives the stream for the response.
export function pump(attached, hub, request, keepAliveMillis, heartbeats, signal) {
  return new Bridge(hub, request, keepAliveMillis, heartbeats, signal).begin(attached.link);
}

class Bridge {
  constructor(hub, request, keepAliveMillis, heartbeats, signal) {
    this.hub = hub;
    this.request = JSON.parse(request);
    this.keepAliveMillis = keepAliveMillis;
    this.heartbeats = heartbeats;
    // On Mercure's wire the hub says nothing of its own: clients there take every block for an update.
    this.quiet = this.request.wire === "mercure";
    this.ended = false;
    this.live = false;
    this.owesPage = false;
    this.epoch = "";
    this.seq = 0;
    this.readable = new ReadableStream(
      {
        start: (controller) => (this.stream = controller),
        pull: () => this.taken(),
        cancel: () => this.release(),
      },
      { highWaterMark: CLIENT_BUFFER_BYTES, size: (chunk) => chunk.byteLength },
    );
    signal.addEventListener("abort", () => this.end());
  }

  begin(link) {
    this.follow(link);
    this.ticker = setInterval(() => this.tick(), this.keepAliveMillis);
    return this.readable;
  }

  // Takes over a socket, beginning with what arrived on it already.
  follow(link) {
    this.link = link;
    link.deliver = (event) => {
      if (this.link === link && !this.ended) this.receive(event);
    };
    for (const event of link.inbox.splice(0)) link.deliver(event);
  }

  receive(event) {
    if (event.type !== "message") return this.lost(event.code);
    const { data } = event;
    if (data === ALIVE) return this.keepAlive(this.comment());
    if (typeof data === "string") return data.startsWith("{") ? this.greeted(JSON.parse(data)) : this.answered(data);
    const view = new DataView(data);
    const kind = view.getUint8(0);
    const through = Number(view.getBigUint64(1));
    // E: live. P: a page, more to come. L: the last page.
    const isPage = kind !== 0x45;
    if (isPage || through > this.seq) {
      this.seq = Math.max(this.seq, through);
      if (data.byteLength > 9) this.write(new Uint8Array(data, 9));
    }
    // What is too much at once comes in pages too: until the last one, the hub's cursor is ahead of this stream.
    if (isPage) this.live = kind === 0x4c;
    if (kind === 0x50) this.wantPage();
  }

  greeted(hello) {
    [this.epoch, this.seq] = splitCursor(hello.cursor);
    this.live = hello.live;
    this.request.reattach = true;
    if (hello.opening) this.write(encoder.encode(hello.opening));
    if (hello.expires_at && !this.expiry) this.watchExpiry(hello.expires_at);
    if (!this.live) this.wantPage();
  }

  // The runtime's answer to a ping: the place up to which everything was sent.
  answered(cursor) {
    clearTimeout(this.silence);
    if (!this.live) return;
    const [epoch, seq] = splitCursor(cursor);
    if (epoch === this.epoch) this.seq = Math.max(this.seq, seq);
    if (this.quiet) return this.keepAlive(this.comment());
    const id = `${this.epoch}-${this.seq}`;
    const beat = `event: hub.heartbeat\nid: ${id}\ndata: ${JSON.stringify({ id, at: new Date().toISOString() })}\n\n`;
    this.keepAlive(this.heartbeats ? beat : `id: ${id}\n\n`);
  }

  keepAlive(text) {
    this.write(encoder.encode(text));
    clearTimeout(this.second);
    this.second = setTimeout(() => this.write(encoder.encode(COMMENT)), SECOND_PART_MILLIS);
  }

  // What clients do not notice. On Mercure's wire they take every block for an update.
  comment() {
    return this.quiet ? COMMENT : ": keep-alive\n\n";
  }

  tick() {
    if (!this.link || !this.live) return this.keepAlive(this.comment());
    const { link } = this;
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.link === link && this.lost(), ANSWER_MILLIS);
    this.say("ping");
  }

  // Pages are asked for one by one, each once the client has taken the one before.
  wantPage() {
    if (this.stream.desiredSize > 0) this.say("next");
    else this.owesPage = true;
  }

  // The client has taken what waited.
  taken() {
    if (!this.owesPage || this.ended) return;
    this.owesPage = false;
    this.say("next");
  }

  say(word) {
    try {
      this.link?.socket.send(word);
    } catch {
      this.lost();
    }
  }

  // What the client has not taken yet waits in the stream, up to its bound; one block may reach beyond it.
  write(bytes) {
    if (this.ended) return;
    if (this.stream.desiredSize < -SLOW_CLIENT_BYTES) return this.cut();
    this.stream.enqueue(bytes);
  }

  // The socket is gone: either the hub meant it, or it restarted.
  lost(code) {
    const { link } = this;
    this.link = undefined;
    clearTimeout(this.silence);
    close(link);
    if (this.ended) return;
    if (ENDINGS.has(code)) return this.sayGoodbye(ENDINGS.get(code));
    this.reattach();
  }

  async reattach() {
    this.live = false;
    this.owesPage = false;
    for (const wait of REATTACH_MILLIS) {
      await new Promise((resolve) => setTimeout(resolve, wait * (0.5 + Math.random())));
      if (this.ended) return;
      this.request.cursor = `${this.epoch}-${this.seq}`;
      try {
        const { link, refusal } = await attach(this.hub, JSON.stringify(this.request));
        if (this.ended) return close(link);
        if (link) return this.follow(link);
        const reason = REFUSED_FOR_GOOD.get(JSON.parse(refusal).refused);
        if (reason) return this.sayGoodbye(reason);
      } catch {}
    }
    this.end();
  }

  watchExpiry(at) {
    const left = at - Date.now();
    const notice = Math.max(left - Math.min(EXPIRY_NOTICE_MILLIS, left / 2), 0);
    const goodbye = () => (this.expiry = setTimeout(() => this.sayGoodbye("token_expired"), at - Date.now()));
    const say = () => {
      if (this.quiet) return goodbye();
      const data = JSON.stringify({ expires_at: new Date(at).toISOString() });
      this.write(encoder.encode(`event: hub.token_expiring\ndata: ${data}\n\n`));
      goodbye();
    };
    // A timer reaches 24 days at most; a later end is looked at again by then.
    const isFar = notice > MAX_TIMER_MILLIS;
    this.expiry = setTimeout(isFar ? () => this.watchExpiry(at) : say, isFar ? MAX_TIMER_MILLIS : notice);
  }

  // The last word on a stream: why it ends.
  sayGoodbye(reason) {
    if (!this.quiet) this.write(encoder.encode(`event: hub.closed\ndata: ${JSON.stringify({ reason })}\n\n`));
    this.end();
  }

  // Ends a stream whose client does not keep up, without waiting for it.
  cut() {
    this.release();
    this.stream.error(new Error("the client is too slow"));
  }

  // Ends a stream once the client has taken what waits.
  end() {
    if (this.ended) return;
    this.release();
    try {
      this.stream.close();
    } catch {}
  }

  release() {
    this.ended = true;
    clearInterval(this.ticker);
    clearTimeout(this.silence);
    clearTimeout(this.second);
    clearTimeout(this.expiry);
    close(this.link);
    this.link = undefined;
  }
}

function close(link) {
  try {
    link?.socket.close(1000);
  } catch {}
}

function splitCursor(cursor) {
  const at = cursor.indexOf("-");
  return [cursor.slice(0, at), Number(cursor.slice(at + 1))];
}

// A stream that lets a browser see what lies between: numbered ticks with the time they were
// written, a padded one, and silences that grow. `lines` are written first.
export function diagnose(lines, ticks, intervalMillis, idleMillis, signal) {
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  let gone = false;
  signal.addEventListener("abort", () => (gone = true));
  const wait = (millis) => new Promise((resolve) => setTimeout(resolve, millis));
  const say = (event, data) => writer.write(encoder.encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`));
  const run = async () => {
    await writer.write(encoder.encode(lines));
    for (let n = 1; n <= ticks && !gone; n++) {
      await wait(intervalMillis);
      await say("diagnose.tick", { n, of: ticks, sent_at: new Date().toISOString() });
    }
    if (!gone) await say("diagnose.padded", { sent_at: new Date().toISOString(), padding: "x".repeat(4096) });
    if (idleMillis > 0 && !gone) {
      await wait(idleMillis);
      if (!gone) await say("diagnose.idle", { idle_ms: idleMillis, sent_at: new Date().toISOString() });
    }
    if (!gone) await say("diagnose.done", {});
    await writer.close();
  };
  run().catch(() => {});
  return readable;
}
