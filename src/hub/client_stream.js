// What the client of a stream is sent, made of what the hub says of it. The same code writes it wherever the hub's words
// arrive: in the Worker, behind a socket (bridged: live/bridge.js), and in the hub itself (direct: direct_streams.js).
//
// - A client whose waiting bytes exceed the bound is cut; it resumes with its last id.
// - The runtime tells of a client that has gone only after a write to it. Where a proxy stands between,
//   the first write still succeeds; so whatever keeps a stream alive is written in two parts.

export const CLIENT_BUFFER_BYTES = 16 * 1024;
const SLOW_CLIENT_BYTES = 1024 * 1024;
const SECOND_PART_MILLIS = 100;
const EXPIRY_NOTICE_MILLIS = 60_000;
const MAX_TIMER_MILLIS = 2 ** 31 - 1;
// A client that is to come back at once waits a time from here up to so many milliseconds more.
const MOVED_RETRY_MILLIS = { least: 250, spread: 1_750 };

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
// The stream is carried in the other way from now on: its client comes back with its last id, as after any interruption.
const MOVED = 4009;

const encoder = new TextEncoder();

// A message of events: its kind, the sequence number that the stream has reached with it, and its frames.
export function parseMessage(data) {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // E: live. P: a page, more to come. L: the last page.
  return { kind: view.getUint8(0), through: Number(view.getBigUint64(1)), frames: bytes.subarray(9) };
}

// Who extends it says to the hub (`say`) what it is asked for, is told when the client has gone (`left`), and may look at what
// waits for it (`wrote`).
export class ClientStream {
  constructor(quiet, heartbeats) {
    // On Mercure's wire the hub says nothing of its own: clients there take every block for an update.
    this.quiet = quiet;
    this.heartbeats = heartbeats;
    this.ended = false;
    this.live = false;
    this.owesPage = false;
    this.epoch = "";
    this.seq = 0;
    this.readable = new ReadableStream(
      {
        start: (controller) => (this.stream = controller),
        pull: () => this.pulled(),
        cancel: () => this.left(),
      },
      { highWaterMark: CLIENT_BUFFER_BYTES, size: (chunk) => chunk.byteLength },
    );
  }

  // What the hub says in words: how the stream begins, or a question.
  told(text) {
    if (text === ALIVE) this.keepAlive(this.comment());
    else if (text.startsWith("{")) this.greeted(JSON.parse(text));
  }

  greeted(hello) {
    [this.epoch, this.seq] = splitCursor(hello.cursor);
    this.live = hello.live;
    if (hello.opening) this.write(encoder.encode(hello.opening));
    if (hello.expires_at && !this.expiry) this.watchExpiry(hello.expires_at);
    if (!this.live) this.wantPage();
  }

  given({ kind, through, frames }) {
    const isPage = kind !== 0x45;
    if (isPage || through > this.seq) {
      this.seq = Math.max(this.seq, through);
      if (frames.byteLength > 0) this.write(frames);
    }
    // What is too much at once comes in pages too: until the last one, the hub's cursor is ahead of this stream.
    if (isPage) this.live = kind === 0x4c;
    if (kind === 0x50) this.wantPage();
  }

  // A sign of life of a live stream, with the place up to which everything was sent.
  beat(cursor) {
    const [epoch, seq] = splitCursor(cursor);
    if (epoch === this.epoch) this.seq = Math.max(this.seq, seq);
    if (this.quiet) return this.keepAlive(this.comment());
    const id = this.cursor();
    const beat = `event: hub.heartbeat\nid: ${id}\ndata: ${JSON.stringify({ id, at: new Date().toISOString() })}\n\n`;
    this.keepAlive(this.heartbeats ? beat : `id: ${id}\n\n`);
  }

  cursor() {
    return `${this.epoch}-${this.seq}`;
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

  // Pages are asked for one by one, each once the client has taken the one before.
  wantPage() {
    if (this.stream.desiredSize > 0) return this.say("next");
    this.owesPage = true;
    this.rearm?.();
  }

  // The client has taken what waited. The runtime asks for more behind each block, and pays for the question each time: while
  // its promise is open it does not ask again.
  pulled() {
    const armed = new Promise((resolve) => (this.rearm = resolve));
    if (this.owesPage && !this.ended) {
      this.owesPage = false;
      this.say("next");
    }
    return armed;
  }

  // What the client has not taken yet waits in the stream, up to its bound; one block may reach beyond it. `waits` are the
  // bytes that do before this write.
  write(bytes) {
    if (this.ended) return;
    const waits = CLIENT_BUFFER_BYTES - this.stream.desiredSize;
    if (waits > CLIENT_BUFFER_BYTES + SLOW_CLIENT_BYTES) return this.cut();
    this.stream.enqueue(bytes);
    this.wrote?.(waits);
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

  // Ends the stream as the hub means it by this code; false for a code that it does not mean.
  endedBy(code) {
    if (code === MOVED) this.move();
    else if (ENDINGS.has(code)) this.sayGoodbye(ENDINGS.get(code));
    else return false;
    return true;
  }

  // Has the client come back soon, from its place: also one that has had no event with an id yet.
  move() {
    const millis = MOVED_RETRY_MILLIS.least + Math.floor(Math.random() * MOVED_RETRY_MILLIS.spread);
    const id = this.quiet ? `#${this.cursor()}` : this.cursor();
    this.write(encoder.encode(`id: ${id}\nretry: ${millis}\n\n`));
    this.end();
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
    clearTimeout(this.second);
    clearTimeout(this.expiry);
  }
}

// The epoch and the number of a cursor. What a later hub may append to it stands behind a semicolon.
export function splitCursor(text) {
  const [cursor] = text.split(";", 1);
  const at = cursor.indexOf("-");
  return [cursor.slice(0, at), Number(cursor.slice(at + 1))];
}
