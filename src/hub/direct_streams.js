// The streams that a hub carries itself: it writes the client's bytes, and the Worker lets them through (live/bridge.js).
//
// - `said` and `gone` are told in the middle of the hub's turns; what follows of it is a turn of its own.
// - All of an isolate's direct streams together, its other hubs' included, hold a bounded number of bytes that their clients
//   have not taken yet. Beyond it a hub that writes, and holds more than its share of it, cuts those of its own that hold the
//   most; they resume with their last id. No hub can touch another one's: the runtime forbids it.
// - A client that leaves is noticed at the next write; the hub writes a sign of life at each keep-alive.
// - A timer pends while there is a direct stream, and none otherwise.

import { ClientStream, CLIENT_BUFFER_BYTES, parseMessage } from "./client_stream.js";

const ISOLATE_BYTES = 24 * 1024 * 1024;
// Beyond this no further stream is opened directly.
const NEWCOMERS_BYTES = ISOLATE_BYTES / 2;
const SECOND_PART_MILLIS = 100;

const encoder = new TextEncoder();
const COMMENT = encoder.encode(":\n");

// Of this isolate: the bytes that wait in its direct streams and were written before, and which hubs have any, by their ids.
const isolate = { bytes: 0, hubs: {} };
// How long a stream that ends waits for a client that does not read.
const LAST_WORD_MILLIS = 10_000;

export function hasRoom() {
  return isolate.bytes < NEWCOMERS_BYTES;
}

// The direct streams of one hub.
class DirectStreams {
  constructor(ctx, keepAliveMillis, said, gone) {
    Object.assign(this, { ctx, keepAliveMillis, said, gone });
    this.open = new Set();
    this.bytes = 0;
    this.id = ctx.id.toString();
    // The object was reset: what it held is gone.
    isolate.hubs[this.id]?.count(-isolate.hubs[this.id].bytes);
    delete isolate.hubs[this.id];
    this.lookAtTheClock();
  }

  // Once for all streams that are written to in a turn.
  lookAtTheClock() {
    this.now = Date.now();
  }

  add(stream) {
    this.open.add(stream);
    isolate.hubs[this.id] = this;
    this.ticker ??= setInterval(() => this.beat(), this.keepAliveMillis);
  }

  remove(stream) {
    this.open.delete(stream);
    if (this.open.size > 0) return;
    delete isolate.hubs[this.id];
    clearInterval(this.ticker);
    clearTimeout(this.second);
    this.ticker = this.second = undefined;
  }

  count(more) {
    this.bytes += more;
    isolate.bytes += more;
  }

  // What this hub may hold where all together hold too much.
  share() {
    return ISOLATE_BYTES / Object.keys(isolate.hubs).length;
  }

  // Cuts the fullest. Of those that have taken something since, the count is mended.
  relieve() {
    const share = this.share();
    if (this.bytes <= share) return;
    for (const stream of [...this.open].sort((a, b) => b.bytes - a.bytes)) {
      if (this.bytes <= share) return;
      const waits = stream.waiting();
      if (waits < stream.bytes) stream.count(waits);
      else stream.cut();
    }
  }

  // As a bridge tells of the place that pings are answered with.
  beat() {
    this.lookAtTheClock();
    const cursor = this.ctx.getWebSocketAutoResponse()?.response;
    for (const stream of this.open) {
      if (stream.live && cursor) stream.beat(cursor);
      else stream.keepAlive(stream.comment());
    }
  }

  // The second part of what keeps streams alive, to all of them at once.
  writeSecondPart() {
    this.second ??= setTimeout(() => {
      this.second = undefined;
      for (const stream of this.open) stream.write(COMMENT);
    }, SECOND_PART_MILLIS);
  }
}

// A stream at the hub's end. The hub treats it as it treats a socket.
export class DirectStream extends ClientStream {
  constructor(streams, attachment, quiet, heartbeats) {
    super(quiet, heartbeats);
    this.streams = streams;
    this.attachment = attachment;
    this.bytes = 0;
    streams.lookAtTheClock();
    this.takenAt = this.wroteAt = streams.now;
    streams.add(this);
  }

  serializeAttachment(attachment) {
    this.attachment = attachment;
  }

  deserializeAttachment() {
    return this.attachment;
  }

  send(text) {
    this.told(text);
  }

  close(code) {
    if (this.isStalled()) return this.cut();
    if (!this.endedBy(code)) this.end();
  }

  say(word) {
    this.streams.said(this, word);
  }

  // What was written just now is not counted: most clients take it at once, and it is one piece of memory for all of them. A
  // page is this stream's alone.
  // Within a turn no client can take anything: what was written in it already is not counted either.
  wrote(waits) {
    const isSameTurn = this.wroteAt === this.streams.now;
    this.wroteAt = this.streams.now;
    if (waits <= 0) this.takenAt = this.wroteAt;
    if (isSameTurn) return;
    this.count(waits);
    if (isolate.bytes > ISOLATE_BYTES) this.streams.relieve();
  }

  given(message) {
    super.given(message);
    if (message.kind !== 0x45 && !this.ended) this.count(this.waiting());
  }

  waiting() {
    return CLIENT_BUFFER_BYTES - this.stream.desiredSize;
  }

  count(bytes) {
    this.streams.count(bytes - this.bytes);
    this.bytes = bytes;
  }

  // Whether more waits for the client than a stream holds.
  isStalled() {
    return !this.ended && this.stream.desiredSize <= 0;
  }

  keepAlive(text) {
    this.write(encoder.encode(text));
    if (!this.ended) this.streams.writeSecondPart();
  }

  // When the client was last known to be there.
  lastSignAt() {
    return !this.ended && this.waiting() > 0 ? this.takenAt : this.wroteAt;
  }

  // The client has gone.
  left() {
    if (this.ended) return;
    this.release();
    this.streams.gone(this);
  }

  cut() {
    if (this.ended) return;
    super.cut();
    this.streams.gone(this);
  }

  // Also by itself, when its rights end. The hub knows of those that it closed: they have no attachment any more.
  end() {
    if (this.ended) return;
    const waits = this.waiting() > 0;
    super.end();
    if (waits) setTimeout(() => this.stream.error(new Error("the client does not read")), LAST_WORD_MILLIS);
    this.streams.gone(this);
  }

  release() {
    if (this.ended) return;
    super.release();
    this.count(0);
    this.streams.remove(this);
  }
}

export function directStreams(ctx, keepAliveMillis, said, gone) {
  return new DirectStreams(ctx, keepAliveMillis, said, gone);
}

export function openDirect(streams, attachment, quiet, heartbeats) {
  return new DirectStream(streams, attachment, quiet, heartbeats);
}

export function isDirect(socket) {
  return socket instanceof DirectStream;
}

export function allDirect(streams) {
  return [...streams.open];
}

export function isStalled(socket) {
  return socket instanceof DirectStream && socket.isStalled();
}
