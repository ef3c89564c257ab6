// eventsource, as its documentation has it: `node --import localhost.mjs eventsource.mjs {url, token, types}`.
// What its callbacks are told stands on a line each.
import { EventSource } from "eventsource";

const { url, token, types } = JSON.parse(process.argv[2]);
const say = (what) => console.log(JSON.stringify(what));
const withToken = (input, init) => fetch(input, { ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` } });

const source = new EventSource(url, token ? { fetch: withToken } : {});
source.onopen = () => say({ kind: "open" });
source.onerror = ({ code }) => say({ kind: "error", status: code ?? null, closed: source.readyState === EventSource.CLOSED });
for (const type of ["message", ...types]) {
  source.addEventListener(type, ({ lastEventId, data }) => say({ kind: "message", id: lastEventId, type, data }));
}
