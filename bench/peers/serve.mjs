// Serves one of the plain Workers on Miniflare, as the tests serve Carillon: a
// direct socket of workerd, one line {"url"} when ready, and an end with stdin.
//
// Argument, JSON: {"script": "plain_hub.js", "vars": {…}, "state": "/dir"}

import { readFile } from "node:fs/promises";
import { Miniflare } from "miniflare";

const { script, vars, state } = JSON.parse(process.argv[2]);
const contents = await readFile(new URL(script, import.meta.url), "utf8");
const hasHub = contents.includes("export class Hub ");

const miniflare = new Miniflare({
  host: "127.0.0.1",
  port: 0,
  cf: false,
  logRequests: false,
  enableDevRegistry: false,
  resourcePersistencePath: state,
  workers: [
    {
      config: {
        name: "plain",
        compatibilityDate: "2026-11-17",
        manifest: { mainModule: script, modulesRoot: "/", modules: { [script]: { type: "esm", contents } } },
        env: {
          ...Object.fromEntries(Object.entries(vars).map(([name, value]) => [name, { type: "text", value }])),
          ...(hasHub && { HUB: { type: "durable-object", worker: "plain", exportName: "Hub" } }),
          CONTROL: { type: "d1", name: "control", id: "control" },
          KV: { type: "kv", id: "KV" },
        },
        ...(hasHub && { exports: { Hub: { type: "durable-object", storage: "sqlite", unsafePreventEviction: true } } }),
      },
      dev: { unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }] },
    },
  ],
});
await miniflare.ready;

if (script === "plain_api.js") {
  const control = await miniflare.getD1Database("CONTROL");
  await control.exec(
    "CREATE TABLE IF NOT EXISTS tenants (tenant_id TEXT PRIMARY KEY, slug TEXT, display_name TEXT, status TEXT, plan TEXT, settings TEXT, created_at INTEGER)",
  );
  await control
    .prepare("INSERT OR REPLACE INTO tenants VALUES ('bench', 'bench', 'Bench', 'active', 'enterprise', '{}', 0)")
    .run();
}

const url = await miniflare.unsafeGetDirectURL();
console.log(JSON.stringify({ url: url.origin }));

process.stdin.resume();
process.stdin.on("end", async () => {
  await miniflare.dispose();
  process.exit(0);
});
