// What the hub does in JavaScript: one call for each statement, one for each broadcast.

import { DirectStream } from "./direct_streams.js";
import { parseMessage } from "./client_stream.js";

export function query(sql, text, args) {
  return sql.exec(text, ...args).raw().toArray();
}

// Runs `work` in a transaction, which is rolled back if `work` returns false.
export function atomically(storage, work) {
  const rollback = new Error("rollback");
  try {
    storage.transactionSync(() => {
      if (!work()) throw rollback;
    });
  } catch (error) {
    if (error !== rollback) throw error;
  }
}

// Accepts a socket that survives hibernation; returns the client's end and the hub's end.
export function accept(ctx, attachment) {
  const [client, server] = Object.values(new WebSocketPair());
  ctx.acceptWebSocket(server);
  server.serializeAttachment(attachment);
  return [client, server];
}

export function upgradeResponse(client, lastEventId) {
  return new Response(null, { status: 101, webSocket: client, headers: beginning(lastEventId) });
}

// The response whose body is a direct stream.
export function directResponse(stream, lastEventId) {
  return new Response(stream.readable, { headers: { "x-carillon-direct": "1", ...beginning(lastEventId) } });
}

function beginning(lastEventId) {
  return lastEventId === undefined ? {} : { "x-carillon-last-event-id": encodeURIComponent(lastEventId) };
}

export function openSockets(ctx) {
  return ctx.getWebSockets();
}

export function attachmentOf(socket) {
  return socket.deserializeAttachment();
}

export function attach(socket, attachment) {
  socket.serializeAttachment(attachment);
}

// The runtime answers `ping` with this text, without waking the object.
export function setPingReply(ctx, text) {
  ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", text));
}

export function pingReply(ctx) {
  return ctx.getWebSocketAutoResponse()?.response;
}

// When the client of this socket was last known to be there, in milliseconds since 1970; 0 if never: of a direct stream by
// what it has taken, else by the runtime's last answer to a ping.
export function lastSignAt(ctx, socket) {
  if (socket instanceof DirectStream) return socket.lastSignAt();
  return ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0;
}

// Sends the same words to every socket. One that is closing is skipped: its close event follows.
export function sendAll(sockets, text) {
  for (const socket of sockets) {
    try {
      socket.send(text);
    } catch {}
  }
}

// The same with a message of events. Direct streams share what is read of it.
export function sendEvents(sockets, message) {
  let read;
  for (const socket of sockets) {
    try {
      if (socket instanceof DirectStream) {
        if (!read) socket.streams.lookAtTheClock();
        read ??= parseMessage(message);
        socket.given(read);
      } else {
        socket.send(message);
      }
    } catch {}
  }
}

export function close(socket, code, reason) {
  try {
    socket.close(code, reason);
  } catch {}
}
