// The fan-out that one writes first in JavaScript: a Durable Object that streams
// Server-Sent Events itself, from a Set of stream controllers.
//
// It does what Carillon's publish does in public (the same signature, the same
// event, the same `id:` and `data:` lines, replay from a ring), so that the work
// is comparable; it keeps no log and, holding every response itself, it never sleeps.
//
// With LOGGED it appends each event to its SQLite before it answers, and what comes
// while the last spread is carried out waits and is sent together: a quarter longer
// than that cost, so that publishers get their turn.

import { DurableObject } from "cloudflare:workers";

const RING = 1000;
const CUT_BELOW = -RING; // a subscriber is cut once more frames wait than it could catch up on

const utf8 = new TextEncoder();
let key;

async function signed(request, body, env) {
  key ??= await crypto.subtle.importKey(
    "raw", utf8.encode(env.WEBHOOK_SECRET), { name: "HMAC", hash: "SHA-256" }, false, ["verify"],
  );
  const given = request.headers.get("X-Webhook-Signature") ?? "";
  if (!given.startsWith("sha256=")) return false;
  return crypto.subtle.verify("HMAC", key, Uint8Array.fromHex(given.slice(7)), body);
}

export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const hub = env.HUB.get(env.HUB.idFromName(url.hostname));
    if (url.pathname === "/events") return hub.fetch(request);
    if (url.pathname !== "/webhook") return new Response("not found\n", { status: 404 });

    const body = await request.arrayBuffer();
    if (!(await signed(request, body, env))) return new Response("invalid signature\n", { status: 401 });
    return hub.fetch("http://hub/publish", { method: "POST", body });
  },
};

export class Hub extends DurableObject {
  epoch = crypto.randomUUID().slice(0, 8);
  sequence = 0;
  ring = [];
  topics = new Map();
  waiting = [];

  constructor(ctx, env) {
    super(ctx, env);
    this.isLogged = env.LOGGED === "true";
    if (this.isLogged) ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY, at INTEGER, event TEXT)");
  }

  async fetch(request) {
    const url = new URL(request.url);
    return url.pathname === "/publish" ? this.publish(await request.json()) : this.subscribe(request, url);
  }

  publish({ tenant_id, node_type, action, channels, data }) {
    const id = `${this.epoch}-${++this.sequence}`;
    const event = { id, tenant_id, topics: channels, node_type, action, data, occurred_at: new Date().toISOString() };
    const frame = utf8.encode(`id: ${id}\ndata: ${JSON.stringify(event)}\n\n`);
    this.ring.push({ sequence: this.sequence, channels, frame });
    if (this.ring.length > RING) this.ring.shift();
    if (this.isLogged) {
      this.ctx.storage.sql.exec("INSERT INTO events VALUES (?, ?, ?)", this.sequence, Date.now(), JSON.stringify(event));
      this.waiting.push({ channels, frame });
      this.spreading ??= this.spreadLater();
    } else {
      this.spread(channels, frame);
    }
    return Response.json({ success: true, data: { id, topics: channels }, tenant_id }, { status: 202 });
  }

  spread(channels, frame) {
    for (const channel of channels) {
      for (const subscriber of this.topics.get(channel) ?? []) this.send(subscriber, frame);
    }
  }

  // The cost of a spread shows when the event loop comes to a timer that was set behind it.
  async spreadLater() {
    const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis));
    await pause(0);
    while (this.waiting.length > 0) {
      const begun = Date.now();
      const together = Map.groupBy(this.waiting.splice(0), ({ channels }) => channels.join("\n"));
      for (const events of together.values()) {
        const frames = events.map(({ frame }) => frame);
        const joined = new Uint8Array(frames.reduce((sum, frame) => sum + frame.length, 0));
        frames.reduce((at, frame) => (joined.set(frame, at), at + frame.length), 0);
        this.spread(events[0].channels, joined);
      }
      await pause(0);
      const cost = Date.now() - begun;
      await pause(cost / 4);
    }
    this.spreading = undefined;
  }

  send(subscriber, frame) {
    if (subscriber.controller.desiredSize < CUT_BELOW) {
      this.leave(subscriber);
      subscriber.controller.close();
    } else {
      subscriber.controller.enqueue(frame);
    }
  }

  subscribe(request, url) {
    const subscriber = { topics: url.searchParams.getAll("topic"), controller: null };
    const [epoch, sequence] = (request.headers.get("Last-Event-ID") ?? "").split("-");
    const body = new ReadableStream({
      start: (controller) => {
        subscriber.controller = controller;
        controller.enqueue(utf8.encode(`retry: 2000\nid: ${this.epoch}-${this.sequence}\n\n`));
        if (epoch === this.epoch) this.replay(subscriber, Number(sequence));
        for (const topic of subscriber.topics) {
          if (!this.topics.has(topic)) this.topics.set(topic, new Set());
          this.topics.get(topic).add(subscriber);
        }
      },
      cancel: () => this.leave(subscriber),
    });
    return new Response(body, {
      headers: { "Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-transform" },
    });
  }

  replay(subscriber, after) {
    for (const { sequence, channels, frame } of this.ring) {
      if (sequence > after && channels.some((channel) => subscriber.topics.includes(channel))) {
        subscriber.controller.enqueue(frame);
      }
    }
  }

  leave(subscriber) {
    for (const topic of subscriber.topics) this.topics.get(topic)?.delete(subscriber);
  }
}
