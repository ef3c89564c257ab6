// Objects in R2: bytes pass from a request into the bucket and out of it into an answer, and never through Wasm.

// Writes an object of as many bytes as the stream has. The answer is its size, a blank, its entity tag.
export async function put(bucket, key, body, contentType) {
  const written = await bucket.put(key, body, { httpMetadata: { contentType } });
  return `${written.size} ${written.etag}`;
}

// The bytes of an object, or so many of them from an offset on; null if it is not there.
export async function get(bucket, key, offset, length) {
  const found = await bucket.get(key, { range: { offset, length } });
  if (found === null) return null;
  // A length that is known goes out as Content-Length.
  return found.body.pipeThrough(new FixedLengthStream(length));
}

export async function remove(bucket, keys) {
  await bucket.delete(keys);
}

// Deletes some of the objects under a prefix; whether none is left.
export async function removeSome(bucket, prefix) {
  const { objects, truncated } = await bucket.list({ prefix });
  if (objects.length > 0) await bucket.delete(objects.map(({ key }) => key));
  return !truncated;
}

// Whether the bucket answers.
export async function probe(bucket) {
  await bucket.head("health");
}
