// @microsoft/fetch-event-source, as its documentation has it: `node --import localhost.mjs fetch-event-source.mjs
// {url, token}`. What its callbacks are told stands on a line each.
import { EventStreamContentType, fetchEventSource } from "@microsoft/fetch-event-source";

// It is made for pages: it looks whether its page is shown, and takes the window's timers.
globalThis.window = globalThis;
globalThis.document = Object.assign(new EventTarget(), { hidden: false });

const { url, token } = JSON.parse(process.argv[2]);
const say = (what) => console.log(JSON.stringify(what));

class Refused extends Error {}

const following = fetchEventSource(url, {
  headers: token ? { Authorization: `Bearer ${token}` } : {},
  async onopen(answer) {
    if (answer.ok && answer.headers.get("content-type") === EventStreamContentType) return say({ kind: "open" });
    say({ kind: "error", status: answer.status, closed: true });
    throw new Refused();
  },
  onmessage: ({ id, event, data }) => say({ kind: "message", id, type: event || "message", data }),
  // An error that is thrown again ends it; after any other it comes back.
  onerror(error) {
    if (error instanceof Refused) throw error;
    say({ kind: "error", status: null, closed: false });
  },
});
await following.catch(() => {});
