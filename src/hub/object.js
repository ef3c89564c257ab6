// What the hub does in JavaScript: one call for each statement, one for each broadcast.

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
  const headers = lastEventId === undefined ? {} : { "x-carillon-last-event-id": encodeURIComponent(lastEventId) };
  return new Response(null, { status: 101, webSocket: client, headers });
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

// When the runtime last answered a ping on this socket, in milliseconds since 1970; 0 if never.
export function lastPingAt(ctx, socket) {
  return ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0;
}

// Sends the same message to every socket. One that is closing is skipped: its close event follows.
export function sendAll(sockets, message) {
  for (const socket of sockets) {
    try {
      socket.send(message);
    } catch {}
  }
}

export function close(socket, code, reason) {
  try {
    socket.close(code, reason);
  } catch {}
}
