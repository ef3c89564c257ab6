// The test admin worker: a Worker of its own beside the one under test, with the same
// databases, KV and R2. Asked over HTTP, so that nobody waits for it with the event loop stopped.

import workerd from "workerd:unsafe";

const actions = {
  // The tenant's hub leaves memory; its sockets are hibernated or closed.
  async evict({ tenant, webSockets = "hibernate" }, env) {
    await workerd.evict(env.HUB.get(env.HUB.idFromName(tenant)), { webSockets });
    return {};
  },
  // The tenant's hub breaks off whatever it does (test_hub.mjs).
  async abort({ tenant }, env) {
    await env.HUB.get(env.HUB.idFromName(tenant)).fetch("http://hub/abort-for-a-test").catch(() => {});
    return {};
  },
  async d1({ binding, sql, params = [] }, env) {
    const { results, meta } = await env[binding].prepare(sql).bind(...params).all();
    return { results, meta };
  },
  // Statements that stand or fall together: [[sql, params], …].
  async batch({ binding, statements }, env) {
    await env[binding].batch(statements.map(([sql, params = []]) => env[binding].prepare(sql).bind(...params)));
    return {};
  },
  kvGet: async ({ key }, env) => ({ value: await env.KV.get(key) }),
  async kvPut({ key, value }, env) {
    await env.KV.put(key, value);
    return {};
  },
  async kvDelete({ key }, env) {
    await env.KV.delete(key);
    return {};
  },
  // All keys that begin so.
  async kvForget({ prefix }, env) {
    const { keys } = await env.KV.list({ prefix });
    for (const { name } of keys) await env.KV.delete(name);
    return { count: keys.length };
  },
  async r2List({ prefix }, env) {
    const { objects } = await env.MEDIA.list({ prefix });
    return { keys: objects.map(({ key }) => key) };
  },
  async r2Put({ key, text, count }, env) {
    const keys = count === undefined ? [key] : Array.from({ length: count }, (_, i) => `${key}${i}`);
    for (const key of keys) await env.MEDIA.put(key, text);
    return {};
  },
  // A request to any URL, also of https, which the sockets of the tests do not speak.
  async fetch({ url }, env) {
    const response = await env.WORKER.fetch(url);
    await response.body?.cancel();
    return { status: response.status, headers: Object.fromEntries(response.headers) };
  },
  scheduled: ({ cron }, env) => env.WORKER.scheduled({ cron, scheduledTime: new Date() }),
};

export default {
  async fetch(request, env) {
    const { action, ...asked } = await request.json();
    try {
      return Response.json((await actions[action](asked, env)) ?? {});
    } catch (error) {
      return Response.json({ error: String(error.message) }, { status: 500 });
    }
  },
};
