// Sends one message to a hub; returns the text of its reply.
export async function send(hub, path, message) {
  const response = await hub.fetch(`http://hub${path}`, { method: "POST", body: message });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return response.text();
}
