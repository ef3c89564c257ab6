// Objects in R2: bytes are streamed from a request into the bucket and from the bucket into a response, never through Wasm.

// Writes an object of the whole stream. Returns `{size} {entity tag}`.
export async function put(bucket, key, body, contentType) {
  const written = await bucket.put(key, body, { httpMetadata: { contentType } });
  return `${written.size} ${written.etag}`;
}

// `length` bytes of an object from `offset` on; null if there is no such object.
export async function get(bucket, key, offset, length) {
  const found = await bucket.get(key, { range: { offset, length } });
  if (found === null) return null;
  // FixedLengthStream lets the runtime send Content-Length.
  return found.body.pipeThrough(new FixedLengthStream(length));
}

export async function remove(bucket, keys) {
  await bucket.delete(keys);
}

// Deletes one page of the objects under a prefix. Returns whether none is left.
export async function removeSome(bucket, prefix) {
  const { objects, truncated } = await bucket.list({ prefix });
  if (objects.length > 0) await bucket.delete(objects.map(({ key }) => key));
  return !truncated;
}

// Throws unless the bucket answers.
export async function probe(bucket) {
  await bucket.head("health");
}
