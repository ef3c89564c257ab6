// Serves the built Worker to the tests: one workerd with every binding, and a control server beside it.
//
//   node serve.mjs '{"build":"build","state":"/dir","vars":{},"secrets":{}}'
//
// prints one line on stdout once it serves, and keeps to stderr otherwise:
//
//   {"url":"http://127.0.0.1:PORT","urls":["http://127.0.0.1:PORT"],"control":"http://127.0.0.1:PORT"}
//
// and ends when its stdin does. Rows, keys and objects stay under `state`: started again with it, the Worker finds
// them. workerd is a child in this process's group: a kill of the group takes both, as a power cut would.
//
// `"isolates":2` serves two Workers of the one build, `urls` in their order: two isolates, each with a memory of its own,
// over the same databases, KV, R2 and hubs. The hubs are instances of the first one's class.
//
// The control server answers in JSON, an error as {"error"} with status 400 or 500:
//
//   POST /evict      {"tenant", "webSockets": "hibernate"|"close"}  the tenant's hub leaves memory
//   POST /abort      {"tenant"}                                     the tenant's hub breaks off
//   POST /scheduled                                                 one run of each cron trigger, awaited
//   POST /fetch      {"url"}                                        {"status", "headers"} of a GET, also over https
//   POST /d1         {"binding", "sql", "params"?}                  {"results", "meta"}
//   POST /d1/batch   {"binding", "statements"}                      each [sql, params?]
//   POST /kv/get     {"key"}                                        {"value"}, null where there is none
//   POST /kv/put     {"key", "value"}
//   POST /kv/delete  {"key"}
//   POST /kv/forget  {"prefix"}                                     {"count"} of the keys that are gone
//   POST /r2/list    {"prefix"}                                     {"keys"}, at most 1,000
//   POST /r2/put     {"key", "text", "count"?}                      with a count: so many, each key with its number
//   GET  /logs       what the Worker logged, newest last: a JSON object per line. Other output
//                    (stack traces, the runtime's own words) is wrapped as {"level", "message"}.
//
// What a request meets, as measured on workerd 1.20261117.1 with Miniflare 5.20261117.0-beta:
//
// - `url` is a socket of workerd that leads straight to the Worker (`unsafeDirectSockets`): no proxy in JavaScript, no
//   hop through Node, none of Miniflare's own entry Worker. When a client leaves, `request.signal` fires at the next write.
// - Host becomes the host of `request.url` letter for letter: port, upper case, trailing dot and punycode stay.
// - CF-Connecting-IP arrives exactly as the test sent it, and is absent where it sent none. (Miniflare's
//   entry Worker, which serves behind `wrangler dev`, fills a missing one with the peer's address.) `request.cf` is absent.
// - An exception that the Worker lets escape is a bare 500, its trace is in the logs.
// - Evicted with "hibernate", a hub keeps its sockets, their attachments and the auto-response, and answers a ping
//   without being constructed; with "close" its sockets end (1006) and the auto-response is gone.
// - It serves about a second after its start.
//
// - Miniflare's own handles (databases, KV, eviction) stop this process's event loop while they wait. A Worker that logs
//   meanwhile fills its pipe and waits for this process: both for ever. So the control server asks a second Worker
//   (test_admin_worker.mjs) over HTTP instead.
//
// - Miniflare's rate limit is a Durable Object with SQLite, a whole hop for each request; Cloudflare's is a counter in
//   the machine. `"addressLimit":false` leaves it out, for benchmarks.
//
// Databases, their migrations and the defaults of `vars` are read from wrangler.toml, so that the tests run what is
// deployed. A var or secret given as null is left out.

import { createServer } from "node:http";
import { existsSync } from "node:fs";
import { mkdir, readFile, readdir } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

// Read by Miniflare when it loads: no look-up of its own leaves this machine.
process.env.CLOUDFLARE_CF_FETCH_ENABLED = "false";
const { Log, LogLevel, Miniflare } = await import("miniflare");

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const NAME = "carillon";
/** The Worker's name, isolate by isolate. */
const names = (isolates = 1) => Array.from({ length: isolates }, (_, i) => (i === 0 ? NAME : `${NAME}-${i + 1}`));
const ADMIN_WORKER = "test-admin";
const LOGS_KEPT = 20_000;

/** The entries `name = "text"` of each block of wrangler.toml that stands under `header`. */
function blocks(toml, header) {
  return toml
    .split(/^(?=\[)/m)
    .filter((block) => block.startsWith(header))
    .map((block) => Object.fromEntries([...block.matchAll(/^(\w+)\s*=\s*"([^"]*)"/gm)].map(([, k, v]) => [k, v])));
}

/** The entries of `compatibility_flags`. */
const flags = (toml) => [...(toml.match(/^compatibility_flags = \[(.*)\]$/m)?.[1] ?? "").matchAll(/"([^"]*)"/g)].map(([, flag]) => flag);

/** The triggers of `crons`. */
const crons = (toml) => [...(toml.match(/^crons = \[(.*)\]$/m)?.[1] ?? "").matchAll(/"([^"]*)"/g)].map(([, cron]) => cron);

const texts = (values) =>
  Object.fromEntries(
    Object.entries(values)
      .filter(([, value]) => value !== null)
      .map(([name, value]) => [name, { type: "text", value: String(value) }]),
  );

async function modules(build) {
  const files = (await readdir(build)).filter((file) => /\.(js|wasm)$/.test(file));
  const entries = files.map(async (file) => [
    file,
    file.endsWith(".wasm")
      ? { type: "wasm", contents: new Uint8Array(await readFile(join(build, file))) }
      : { type: "esm", contents: await readFile(join(build, file), "utf8") },
  ]);
  const hub = await readFile(join(ROOT, "tests/runtime/test_hub.mjs"), "utf8");
  return { ...Object.fromEntries(await Promise.all(entries)), "test_hub.mjs": { type: "esm", contents: hub } };
}

/** The static files of a build, as wrangler.toml describes them; none of a build that has none. */
function assetsOf(toml, folder) {
  const [{ html_handling: htmlHandling, not_found_handling: notFoundHandling }] = blocks(toml, "[assets]");
  const directory = join(folder, "assets");
  if (!existsSync(directory)) return {};
  return { assets: { directory, runWorkerFirst: true, hasUserWorker: true, htmlHandling, notFoundHandling } };
}

/** The Worker as wrangler.toml describes it, with the test's own vars and secrets. Only the first isolate has the hubs. */
async function worker(name, toml, databases, { build = "build", vars = {}, secrets = {}, addressLimit = true, shields = true, canAbort = false }) {
  const folder = resolve(ROOT, build);
  const top = blocks(`[top]\n${toml}`, "[top]")[0];
  const assets = assetsOf(toml, folder);
  return {
    config: {
      name,
      ...assets,
      compatibilityDate: top.compatibility_date,
      compatibilityFlags: flags(toml),
      manifest: { mainModule: canAbort ? "test_hub.mjs" : "index.js", modulesRoot: folder, modules: await modules(folder) },
      env: {
        ...texts({ ...blocks(toml, "[vars]")[0], ...vars, ...secrets }),
        ...Object.fromEntries(databases.map(({ binding }) => [binding, { type: "d1", id: binding }])),
        KV: { type: "kv", id: "KV" },
        MEDIA: { type: "r2", name: "MEDIA" },
        ...(assets.assets && { ASSETS: { type: "assets" } }),
        HUB: { type: "durable-object", worker: NAME, exportName: "Hub" },
        ...(shields && { SHIELD: { type: "durable-object", worker: NAME, exportName: "Shield" } }),
        ...(addressLimit && {
          ADDRESS_LIMIT: { type: "rate-limit", namespace: "1001", simple: { limit: 1000, period: 10 } },
          LOGIN_LIMIT: { type: "rate-limit", namespace: "1002", simple: { limit: 40, period: 60 } },
        }),
      },
      ...(name === NAME && { exports: { Hub: { type: "durable-object", storage: "sqlite" }, Shield: { type: "durable-object", storage: "sqlite" } } }),
    },
    dev: { unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }] },
  };
}

/** The test admin worker: reads and writes behind the Worker under test, with the databases, KV and R2 of the one under test. */
async function adminWorker(toml, databases) {
  const top = blocks(`[top]\n${toml}`, "[top]")[0];
  const contents = await readFile(join(ROOT, "tests/runtime/test_admin_worker.mjs"), "utf8");
  return {
    config: {
      name: ADMIN_WORKER,
      compatibilityDate: top.compatibility_date,
      compatibilityFlags: ["unsafe_module"],
      manifest: { mainModule: "test_admin_worker.mjs", modulesRoot: ROOT, modules: { "test_admin_worker.mjs": { type: "esm", contents } } },
      env: {
        ...Object.fromEntries(databases.map(({ binding }) => [binding, { type: "d1", id: binding }])),
        KV: { type: "kv", id: "KV" },
        MEDIA: { type: "r2", name: "MEDIA" },
        HUB: { type: "durable-object", worker: NAME, exportName: "Hub" },
        WORKER: { type: "worker", worker: NAME },
      },
    },
    dev: { unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }] },
  };
}

/** Asks the test admin worker. */
async function ask(url, action, asked) {
  const response = await fetch(url, { method: "POST", body: JSON.stringify({ action, ...asked }) });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

/** Applies what is new of a database's migrations, each in one transaction with its row in the tracking table. */
async function migrate(url, { binding, migrations_dir }) {
  const folder = join(ROOT, migrations_dir);
  const files = (await readdir(folder).catch(() => [])).filter((file) => file.endsWith(".sql")).sort();
  if (files.length === 0) return;
  const sql =
    "CREATE TABLE IF NOT EXISTS d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)";
  await ask(url, "d1", { binding, sql });
  const { results } = await ask(url, "d1", { binding, sql: "SELECT name FROM d1_migrations" });
  const applied = new Set(results.map(({ name }) => name));
  for (const file of files.filter((name) => !applied.has(name))) {
    const statements = [
      [await readFile(join(folder, file), "utf8")],
      ["INSERT INTO d1_migrations (name) VALUES (?)", [file]],
    ];
    await ask(url, "batch", { binding, statements }).catch((error) => {
      throw new Error(`${basename(folder)}/${file} on ${binding}: ${error.message}`);
    });
  }
}

/** The last lines that the Worker logged. */
class Logs {
  #lines = [];

  add({ level, message }) {
    this.#lines.push(Logs.#isObject(message) ? message : JSON.stringify({ level, message }));
    if (this.#lines.length > LOGS_KEPT) this.#lines.splice(0, this.#lines.length - LOGS_KEPT);
  }

  text() {
    return this.#lines.map((line) => `${line}\n`).join("");
  }

  static #isObject(message) {
    if (!message.startsWith("{") || message.includes("\n")) return false;
    try {
      return typeof JSON.parse(message) === "object";
    } catch {
      return false;
    }
  }
}

class BadRequest extends Error {}

function controls(adminUrl, triggers) {
  const asking = (action) => (asked) => ask(adminUrl, action, asked);
  return {
    "POST /evict": asking("evict"),
    "POST /abort": asking("abort"),
    "POST /scheduled": async () => {
      for (const cron of triggers) await ask(adminUrl, "scheduled", { cron });
    },
    "POST /fetch": asking("fetch"),
    "POST /d1": asking("d1"),
    "POST /d1/batch": asking("batch"),
    "POST /kv/get": asking("kvGet"),
    "POST /kv/put": asking("kvPut"),
    "POST /kv/delete": asking("kvDelete"),
    "POST /kv/forget": asking("kvForget"),
    "POST /r2/list": asking("r2List"),
    "POST /r2/put": asking("r2Put"),
  };
}

async function bodyOf(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  try {
    return text === "" ? {} : JSON.parse(text);
  } catch {
    throw new BadRequest("the body is not JSON");
  }
}

function controlServer(adminUrl, logs, triggers) {
  const table = controls(adminUrl, triggers);
  const server = createServer(async (request, response) => {
    const answer = (status, type, body) => response.writeHead(status, { "content-type": type }).end(body);
    const route = `${request.method} ${request.url}`;
    if (route === "GET /logs") return answer(200, "application/x-ndjson", logs.text());
    try {
      if (table[route] === undefined) throw new BadRequest(`no such control: ${route}`);
      answer(200, "application/json", JSON.stringify((await table[route](await bodyOf(request))) ?? {}));
    } catch (error) {
      answer(error instanceof BadRequest ? 400 : 500, "application/json", JSON.stringify({ error: String(error.message) }));
    }
  });
  // A connection that a test reuses must not be closed under its hands.
  server.keepAliveTimeout = 10 * 60_000;
  return server;
}

/** Ends with the test: when its end of stdin closes, or by a signal. */
function endWith(miniflare) {
  const end = async () => {
    await miniflare.dispose().catch(() => {});
    process.exit(0);
  };
  process.stdin.resume().once("end", end);
  process.once("SIGTERM", end).once("SIGINT", end);
}

async function serve(options) {
  const state = resolve(options.state);
  // Miniflare's temporary files: a killed runtime leaves them where the test's own clean-up finds them.
  process.env.TMPDIR = join(state, "tmp");
  await mkdir(process.env.TMPDIR, { recursive: true });
  const toml = await readFile(join(ROOT, "wrangler.toml"), "utf8");
  const databases = blocks(toml, "[[d1_databases]]");
  const logs = new Logs();
  const miniflare = new Miniflare({
    host: "127.0.0.1",
    port: 0,
    cf: false,
    log: new Log(LogLevel.ERROR),
    logRequests: false,
    handleStructuredLogs: (line) => logs.add(line),
    enableDevRegistry: false,
    resourcePersistencePath: state,
    workers: [
      ...(await Promise.all(names(options.isolates).map((name) => worker(name, toml, databases, options)))),
      await adminWorker(toml, databases),
    ],
  });
  endWith(miniflare);
  await miniflare.ready;
  const adminUrl = await miniflare.unsafeGetDirectURL(ADMIN_WORKER);
  await Promise.all(databases.map((database) => migrate(adminUrl, database)));
  const server = controlServer(adminUrl, logs, crons(toml));
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const urls = await Promise.all(
    names(options.isolates).map(async (name) => (await miniflare.unsafeGetDirectURL(name)).origin),
  );
  console.log(JSON.stringify({ url: urls[0], urls, control: `http://127.0.0.1:${server.address().port}` }));
}

try {
  await serve(JSON.parse(process.argv[2]));
} catch (error) {
  console.error(`serve.mjs: ${error.stack ?? error}`);
  process.exit(1);
}
