// Calls a server that is not ours: no redirect is followed, and no more is waited for or read than was asked for.
// The answer is its status, a blank, its body.
export async function call(url, method, headers, body, millis, most) {
  const response = await fetch(url, {
    method,
    headers: JSON.parse(headers),
    body,
    redirect: "manual",
    signal: AbortSignal.timeout(millis),
  });
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
