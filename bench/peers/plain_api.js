// What a request costs at least: a plain JavaScript Worker that reads the same
// row of the same D1, and takes the same signed webhook into the SQLite of a
// Durable Object. No tenants, no limits, no validation beyond the signature.

import { DurableObject } from "cloudflare:workers";

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

async function tenant(request, id, env) {
  if (request.headers.get("Authorization") !== `Bearer ${env.PLATFORM_KEY}`) {
    return Response.json({ success: false }, { status: 401 });
  }
  const row = await env.CONTROL.prepare("SELECT * FROM tenants WHERE tenant_id = ?1").bind(id).first();
  if (!row) return Response.json({ success: false }, { status: 404 });
  return Response.json({ success: true, data: row, tenant_id: id });
}

export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    if (url.pathname.startsWith("/api/v1/tenants/")) return tenant(request, url.pathname.slice(16), env);
    if (url.pathname !== "/webhook") return new Response("not found\n", { status: 404 });

    const body = await request.arrayBuffer();
    if (!(await signed(request, body, env))) return new Response("invalid signature\n", { status: 401 });
    return env.HUB.get(env.HUB.idFromName(url.hostname)).fetch("http://hub/publish", { method: "POST", body });
  },
};

export class Hub extends DurableObject {
  constructor(state, env) {
    super(state, env);
    this.sql = state.storage.sql;
    this.sql.exec("CREATE TABLE IF NOT EXISTS events (sequence INTEGER PRIMARY KEY, at INTEGER, topics TEXT, body TEXT)");
    this.epoch = crypto.randomUUID().slice(0, 8);
    this.sequence = this.sql.exec("SELECT coalesce(max(sequence), 0) AS last FROM events").one().last;
  }

  async fetch(request) {
    const { tenant_id, node_type, action, channels, data } = await request.json();
    const at = Date.now();
    const id = `${this.epoch}-${++this.sequence}`;
    const event = { id, tenant_id, topics: channels, node_type, action, data, occurred_at: new Date(at).toISOString() };
    this.sql.exec(
      "INSERT INTO events (sequence, at, topics, body) VALUES (?, ?, ?, ?)",
      this.sequence, at, JSON.stringify(channels), JSON.stringify(event),
    );
    return Response.json({ success: true, data: { id, topics: channels }, tenant_id }, { status: 202 });
  }
}
