// Calls servers that are not ours: no redirect is followed, and no more is waited for or read than was asked for.
// `headers` is a JSON list of names and values, as in an answer.
function ask(url, method, headers, body, signal) {
  return fetch(url, { method, headers: JSON.parse(headers), body, redirect: "manual", signal });
}

// The answer is its status, a blank, its body.
export async function call(url, method, headers, body, millis, most) {
  const response = await ask(url, method, headers, body, AbortSignal.timeout(millis));
  if (most === 0) {
    await response.body?.cancel();
    return `${response.status} `;
  }
  const decoder = new TextDecoder();
  let text = "";
  let read = 0;
  for await (const chunk of response.body ?? []) {
    read += chunk.byteLength;
    if (read > most) throw new Error("too long");
    text += decoder.decode(chunk, { stream: true });
  }
  return `${response.status} ${text}${decoder.decode()}`;
}

// Reads a body: its text, if that is no longer than `most` bytes and valid UTF-8; else a stream of the same bytes.
export async function gather(stream, most) {
  const reader = stream.getReader();
  const chunks = [];
  let read = 0;
  let done = false;
  while (!done && read <= most) {
    const next = await reader.read();
    done = next.done;
    if (next.value) {
      chunks.push(next.value);
      read += next.value.byteLength;
    }
  }
  if (done && read <= most) {
    const text = decoded(chunks);
    if (text !== undefined) return text;
  }
  return new ReadableStream({
    async pull(controller) {
      const next = chunks.length > 0 ? { value: chunks.shift() } : done ? { done } : await reader.read();
      if (next.done) controller.close();
      else controller.enqueue(next.value);
    },
    cancel: (reason) => reader.cancel(reason),
  });
}

function decoded(chunks) {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  try {
    return chunks.map((chunk) => decoder.decode(chunk, { stream: true })).join("") + decoder.decode();
  } catch {
    return undefined;
  }
}

// A body was read, or will not be: its time need not be watched. A timer would keep the object that set it awake.
export function end(timer) {
  clearTimeout(timer);
}

// Passes a request on, and its answer back: status, headers, body, and the timer that ends it. It begins within `millis` and
// is whole within `most_millis` more.
export async function forward(url, method, headers, body, millis, most_millis) {
  const controller = new AbortController();
  const stop = () => controller.abort(new DOMException("The server takes too long.", "TimeoutError"));
  const begins = setTimeout(stop, millis);
  try {
    const response = await ask(url, method, headers, body, controller.signal);
    const ends = setTimeout(stop, most_millis);
    return [response.status, JSON.stringify([...response.headers]), response.body, ends];
  } finally {
    clearTimeout(begins);
  }
}
