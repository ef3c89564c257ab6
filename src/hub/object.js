// What the hub does on the JavaScript side. One crossing per statement, one per fan-out.

export function query(sql, text, args) {
  return sql.exec(text, ...args).raw().toArray();
}

// All of what `work` writes, or nothing where it says no.
export function atomically(storage, work) {
  const undone = new Error("undone");
  try {
    storage.transactionSync(() => {
      if (!work()) throw undone;
    });
  } catch (error) {
    if (error !== undone) throw error;
  }
}

// Accepts a socket that survives hibernation; gives its client end and its server end.
export function accept(ctx, attachment) {
  const [client, server] = Object.values(new WebSocketPair());
  ctx.acceptWebSocket(server);
  server.serializeAttachment(attachment);
  return [client, server];
}

export function upgraded(client, told) {
  const headers = told === undefined ? {} : { "x-carillon-last-event-id": encodeURIComponent(told) };
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
export function setAnswer(ctx, text) {
  ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", text));
}

export function answer(ctx) {
  return ctx.getWebSocketAutoResponse()?.response;
}

// When the runtime last answered this socket, in milliseconds since 1970; 0 if never.
export function answeredAt(ctx, socket) {
  return ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0;
}

// Sends the same message to every socket; one that is closing is passed over, its close event follows.
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
