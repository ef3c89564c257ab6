// The signatures of an issuer, verified by WebCrypto, which costs no byte of Wasm.

const encoder = new TextEncoder();

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
