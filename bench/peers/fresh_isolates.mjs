// Serves built Workers so that each request gets an isolate of its own, made for it and gone after it: what a Worker
// pays for its first request, and nothing else. The header Worker says which one is asked.
//
// Argument, JSON: {"workers": {"name": {"build": "/dir", "vars": {…}}}}
//
// workerd reads and compiles the Workers of its configuration before it listens. So a Worker of a few lines loads
// them (a worker-loader binding), with their modules in its memory: no disk is read while the clock runs.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Miniflare } from "miniflare";

const COMPATIBILITY_DATE = "2026-11-17";
const { workers } = JSON.parse(process.argv[2]);

const modules = {};
const codes = [];
for (const [name, { build, vars }] of Object.entries(workers)) {
  const [js, wasm] = [`${name}.txt`, `${name}.bin`];
  modules[js] = { type: "text", contents: await readFile(join(build, "index.js"), "utf8") };
  modules[wasm] = { type: "data", contents: new Uint8Array(await readFile(join(build, "index_bg.wasm"))) };
  codes.push({ name, js, wasm, vars });
}

const loader = `
${codes.map(({ js, wasm }, n) => `import js${n} from "./${js}"; import wasm${n} from "./${wasm}";`).join("\n")}
const code = (js, wasm, env) => ({
  compatibilityDate: "${COMPATIBILITY_DATE}",
  mainModule: "index.js",
  modules: { "index.js": { js }, "index_bg.wasm": { wasm } },
  env,
  globalOutbound: null,
});
const codes = {
${codes.map(({ name, vars }, n) => `  ${name}: code(js${n}, wasm${n}, ${JSON.stringify(vars)}),`).join("\n")}
};
export default {
  fetch(request, env) {
    return env.LOADER.load(codes[request.headers.get("Worker")]).getEntrypoint().fetch(request);
  },
};`;

const miniflare = new Miniflare({
  host: "127.0.0.1",
  port: 0,
  cf: false,
  logRequests: false,
  // The Workers' own log lines.
  handleStructuredLogs: () => {},
  enableDevRegistry: false,
  workers: [
    {
      config: {
        name: "loader",
        compatibilityDate: COMPATIBILITY_DATE,
        manifest: {
          mainModule: "loader.mjs",
          modulesRoot: "/",
          modules: { ...modules, "loader.mjs": { type: "esm", contents: loader } },
        },
        env: { LOADER: { type: "worker-loader" } },
      },
      dev: { unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }] },
    },
  ],
});
await miniflare.ready;

const url = await miniflare.unsafeGetDirectURL();
console.log(JSON.stringify({ url: url.origin }));

process.stdin.resume();
process.stdin.on("end", async () => {
  await miniflare.dispose();
  process.exit(0);
});
