// A list that stays what the server shows, with nothing but what browsers have: the list, then the stream of its changes
// from where the list was read, each of them merged into it.

class LiveList {
  constructor(collection, filter) {
    this.collection = collection;
    this.filter = filter;
    this.records = new Map();
  }

  // Reads the list page by page. Where its first page was read is where the stream begins; what changes meanwhile is told.
  async load() {
    this.source?.close();
    const records = new Map();
    let from, cursor;
    do {
      const query = new URLSearchParams({ filter: this.filter, limit: 20 });
      if (cursor) query.set("cursor", cursor);
      const answer = await fetch(`/api/v1/${this.collection}?${query}`);
      if (!answer.ok) throw new Error(await answer.text());
      const { data, pagination } = await answer.json();
      for (const record of data) records.set(record.id, record);
      from ??= answer.headers.get("Last-Event-ID");
      cursor = pagination.cursor;
    } while (cursor);
    this.records = records;
    this.follow(from);
  }

  // The browser reconnects by itself, and sends the id of the last event that it was told.
  follow(from) {
    const query = new URLSearchParams({ topic: `records/${this.collection}`, filter: this.filter, last_event_id: from });
    this.source = new EventSource(`/events?${query}`);
    this.source.onmessage = ({ data }) => this.merge(JSON.parse(data));
    // The log does not reach back that far: the list is read anew.
    this.source.addEventListener("hub.reset", () => this.load());
  }

  merge({ action, data }) {
    // What was read behind the first page may be newer than what is told first.
    if (this.records.get(data.id)?.version > data.version) return;
    if (action === "DELETE" || action === "LEAVE") this.records.delete(data.id);
    else this.records.set(data.id, data.record);
  }
}

globalThis.LiveList = LiveList;
