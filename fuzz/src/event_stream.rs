//! A reader of event streams as the HTML standard has it ("Interpreting an event stream"), for whole streams.

/// An event as a page gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `message` where the stream names none.
    pub name: String,
    /// Its lines, with LF in between.
    pub data: String,
    /// The last id that the stream named.
    pub last_id: String,
}

/// All that a stream says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The events in their order.
    pub events: Vec<Event>,
    /// The last id, also of blocks without data.
    pub last_id: String,
    /// The reconnection times in their order.
    pub retries: Vec<u64>,
}

/// Reads a stream from its beginning to its end.
pub fn read(stream: &str) -> Reading {
    let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream).replace("\r\n", "\n").replace('\r', "\n");
    let mut reading = Reading::default();
    let (mut data, mut name) = (String::new(), String::new());
    // What stands behind the last line end is no whole line, and a block without an empty line behind it is dropped.
    for line in stream.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        if line.is_empty() {
            let (data, name) = (std::mem::take(&mut data), std::mem::take(&mut name));
            if let Some(data) = data.strip_suffix('\n') {
                let name = if name.is_empty() { "message".into() } else { name };
                reading.events.push(Event { name, data: data.into(), last_id: reading.last_id.clone() });
            }
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => name = value.into(),
            "data" => data.extend([value, "\n"]),
            "id" if !value.contains('\0') => reading.last_id = value.into(),
            "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                reading.retries.extend(value.parse::<u64>());
            }
            _ => {}
        }
    }
    reading
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str, last_id: &str) -> Event {
        Event { name: name.into(), data: data.into(), last_id: last_id.into() }
    }

    #[test]
    fn the_examples_of_the_standard() {
        let events = |stream: &str| read(stream).events;
        assert_eq!(events("data: YHOO\ndata: +2\ndata: 10\n\n"), [event("message", "YHOO\n+2\n10", "")]);
        let stream = ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n";
        assert_eq!(
            events(stream),
            [
                event("message", "first event", "1"),
                event("message", "second event", ""),
                event("message", " third event", "")
            ]
        );
        assert_eq!(events("data\n\ndata\ndata\n\ndata:"), [event("message", "", ""), event("message", "\n", "")]);
        assert_eq!(events("event: add\r\ndata: 7\r\rdata: x\n"), [event("add", "7", "")]);
        assert_eq!(
            read("retry: 5\nretry: x\nid: a\n\n"),
            Reading { events: vec![], last_id: "a".into(), retries: vec![5] }
        );
    }
}
