// What single sign-on needs of the platform: bounded calls to a provider, and its signatures verified by WebCrypto,
// which costs no byte of Wasm.

const encoder = new TextEncoder();

// Calls a provider: no redirect is followed, and no more is waited for or read than was asked for.
// The answer is its status, a blank, its body.
export async function call(url, method, headers, body, millis, most) {
  const response = await fetch(url, {
    method,
    headers: JSON.parse(headers),
    body,
    redirect: "manual",
    signal: AbortSignal.timeout(millis),
  });
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

const ALGORITHMS = {
  RS256: [{ name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }, "RSASSA-PKCS1-v1_5"],
  ES256: [
    { name: "ECDSA", namedCurve: "P-256" },
    { name: "ECDSA", hash: "SHA-256" },
  ],
  EdDSA: ["Ed25519", "Ed25519"],
};

// Whether a signature is this key's, with the algorithm that belongs to the key.
export async function verifies(algorithm, jwk, signed, signature) {
  const [kind, how] = ALGORITHMS[algorithm];
  const key = await crypto.subtle.importKey("jwk", JSON.parse(jwk), kind, false, ["verify"]);
  return crypto.subtle.verify(how, key, signature, encoder.encode(signed));
}
