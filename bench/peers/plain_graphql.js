// What a GraphQL answer costs at least, wherever it lies: a plain JavaScript Worker that has it in a Map, reads it from KV, or
// passes the question on to the site. The path says which, X-Site where the site is. No tenants, no limits; nothing is
// judged, and nothing ends.

const JSON_TYPE = { "Content-Type": "application/json; charset=utf-8" };
const held = new Map();

const ask = (request, body) => fetch(request.headers.get("X-Site"), { method: "POST", headers: JSON_TYPE, body });

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    const body = await request.text();
    if (pathname === "/site") return ask(request, body);
    const { query } = JSON.parse(body);
    const isKv = pathname === "/kv";
    let text = isKv ? await env.KV.get(query) : held.get(query);
    if (text == null) {
      text = await (await ask(request, body)).text();
      if (isKv) await env.KV.put(query, text);
      else held.set(query, text);
    }
    return new Response(text, { headers: JSON_TYPE });
  },
};
