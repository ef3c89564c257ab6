// The Worker's end of one client's SSE response.
//
// The stateless Worker ends the response; the hub chooses how it gets what it says.
// - Bridged: the hub keeps a hibernatable socket and may sleep. No Wasm runs per event and no Rust future lives as long as
//   a stream. Pings are answered by the runtime with the hub's cursor, without waking the hub.
// - Direct: the hub writes the response itself, and the runtime lets its bytes through. No code runs here.
//
// - When the hub restarts, a bridge attaches again at its cursor; what it saw already is dropped. A direct stream breaks off,
//   and its client resumes with its last id.

import { CLIENT_BUFFER_BYTES, ClientStream, parseMessage } from "../hub/client_stream.js";

const ANSWER_MILLIS = 10_000;
const REATTACH_MILLIS = [50, 200, 500, 1000, 2000, 4000, 8000, 8000];

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

// Asks the hub for a stream. Gives { link } (bridged) or { body } (direct), both with { lastEventId }; { refusal } (the hub's
// words); or throws.
export async function attach(hub, request) {
  const response = await hub.fetch("http://hub/attach", {
    headers: { Upgrade: "websocket", "x-carillon-attach": encodeURIComponent(request) },
  });
  const sent = response.headers.get("x-carillon-last-event-id");
  const lastEventId = sent === null ? undefined : decodeURIComponent(sent);
  if (response.headers.has("x-carillon-direct")) return { body: response.body, lastEventId };
  const socket = response.webSocket;
  if (!socket) return { refusal: await response.text() };
  socket.binaryType = "arraybuffer";
  const inbox = [];
  const link = { socket, inbox, deliver: (event) => inbox.push(event) };
  for (const kind of ["message", "close", "error"]) {
    socket.addEventListener(kind, (event) => link.deliver(event));
  }
  socket.accept();
  return { link, lastEventId };
}

export function refusalOf(attached) {
  return attached.refusal;
}

// The id of the event before the first one, where the client sent one on Mercure's wire.
export function lastEventIdOf(attached) {
  return attached.lastEventId;
}

// Begins to pump; gives the stream for the response.
export function pump({ body, link }, hub, request, keepAliveMillis, heartbeats, signal) {
  return body ?? new Bridge(hub, request, keepAliveMillis, heartbeats, signal).begin(link);
}

class Bridge extends ClientStream {
  constructor(hub, text, keepAliveMillis, heartbeats, signal) {
    const request = JSON.parse(text);
    super(request.wire === "mercure", heartbeats);
    this.hub = hub;
    this.request = request;
    this.keepAliveMillis = keepAliveMillis;
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
    if (typeof data !== "string") return this.given(parseMessage(data));
    if (isCursor(data)) return this.answered(data);
    this.told(data);
  }

  // The runtime's answer to a ping: the place up to which everything was sent.
  answered(cursor) {
    clearTimeout(this.silence);
    if (this.live) this.beat(cursor);
  }

  tick() {
    if (!this.link || !this.live) return this.keepAlive(this.comment());
    const { link } = this;
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.link === link && this.lost(), ANSWER_MILLIS);
    this.say("ping");
  }

  say(word) {
    try {
      this.link?.socket.send(word);
    } catch {
      this.lost();
    }
  }

  // The client has gone.
  left() {
    this.release();
  }

  // The socket is gone: either the hub meant it, or it restarted.
  lost(code) {
    const { link } = this;
    this.link = undefined;
    clearTimeout(this.silence);
    close(link);
    if (this.ended || this.endedBy(code)) return;
    this.reattach();
  }

  async reattach() {
    this.live = false;
    this.owesPage = false;
    for (const wait of REATTACH_MILLIS) {
      await new Promise((resolve) => setTimeout(resolve, wait * (0.5 + Math.random())));
      if (this.ended) return;
      // One that was never greeted begins as its client asked.
      if (this.epoch) Object.assign(this.request, { reattach: true, cursor: this.cursor() });
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

  release() {
    super.release();
    clearInterval(this.ticker);
    clearTimeout(this.silence);
    close(this.link);
    this.link = undefined;
  }
}

// Whether words of the hub are the cursor that the runtime answers pings with.
function isCursor(text) {
  return /^[0-9a-f]+-[0-9]+(;|$)/.test(text);
}

function close(link) {
  try {
    link?.socket.close(1000);
  } catch {}
}

const encoder = new TextEncoder();

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
