//! What a client takes (RFC 9110, 12.5.1): `Accept` held against the media types that there are.

use super::incoming::Incoming;

/// How gladly a representation is taken, in thousandths: 0 is not at all.
pub type Quality = u16;

/// The media ranges of a request's `Accept`; none where it was not sent, and everything is taken alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accept(Option<Vec<MediaRange>>);

/// `text/event-stream`, `text/*` or `*/*`, with its weight.
#[derive(Debug, Clone, PartialEq, Eq)]
struct MediaRange {
    /// In lower case, without parameters.
    name: String,
    has_parameters: bool,
    quality: Quality,
}

impl Accept {
    /// That of a request.
    pub fn of(request: &Incoming) -> Self {
        Self::parse(request.header("Accept").as_deref())
    }

    /// Reads the header. What is no media range is passed over.
    pub fn parse(header: Option<&str>) -> Self {
        Self(header.map(|list| split(list, ',').into_iter().filter_map(MediaRange::parse).collect()))
    }

    /// The quality of a media type without parameters: that of the most specific range that takes it in, and of two that
    /// are alike the higher one.
    pub fn quality(&self, media_type: &str) -> Quality {
        let Some(ranges) = &self.0 else { return 1000 };
        let fitting = ranges.iter().filter_map(|range| Some((range.precedence(media_type)?, range.quality)));
        fitting.max().map_or(0, |(_, quality)| quality)
    }

    /// Whether a media type is taken at all.
    pub fn takes(&self, media_type: &str) -> bool {
        self.quality(media_type) > 0
    }

    /// Whether a media type is named itself, however it is weighted.
    pub fn names(&self, media_type: &str) -> bool {
        self.0.iter().flatten().any(|range| range.name == media_type)
    }
}

impl MediaRange {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = split(text, ';').into_iter().map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let name = if name == "*" { "*/*".to_owned() } else { name };
        let (kind, subtype) = name.split_once('/')?;
        if kind.is_empty() || subtype.is_empty() || subtype.contains('/') || kind == "*" && subtype != "*" {
            return None;
        }
        let (mut has_parameters, mut quality) = (false, 1000);
        for part in parts.filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                // Behind the weight stand extensions, which say nothing of the type.
                Some((q, weight)) if q.trim().eq_ignore_ascii_case("q") => {
                    quality = parse_quality(weight.trim())?;
                    break;
                }
                _ => has_parameters = true,
            }
        }
        Some(Self { name, has_parameters, quality })
    }

    /// How specific the range is where it takes in this type. One that asks for parameters, which no type of ours has, fits
    /// it less well than one that does not.
    fn precedence(&self, media_type: &str) -> Option<u8> {
        let of_kind = |kind: &str| media_type.split('/').next() == Some(kind);
        match self.name.split_once('/')? {
            _ if self.name == media_type => Some(if self.has_parameters { 2 } else { 3 }),
            ("*", "*") => Some(0),
            (kind, "*") if of_kind(kind) => Some(1),
            _ => None,
        }
    }
}

/// A weight of 0 to 1 in thousandths; none for any other text. Clients of old leave the zero before the point out.
fn parse_quality(text: &str) -> Option<Quality> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = fraction.len() <= 3 && fraction.bytes().all(|b| b.is_ascii_digit());
    let thousandths: u16 = format!("{fraction:0<3}").parse().ok().filter(|_| is_number)?;
    match whole {
        "0" => Some(thousandths),
        "" if !fraction.is_empty() => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// Splits a text at a separator, but not within quotes (RFC 9110, 5.6.4).
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut pieces, mut from, mut in_quotes, mut is_escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if in_quotes => is_escaped = true,
            '"' => in_quotes = !in_quotes,
            c if c == separator && !in_quotes => {
                pieces.extend(text.get(from..at));
                from = at + separator.len_utf8();
            }
            _ => {}
        }
    }
    pieces.extend(text.get(from..));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quality(header: &str, media_type: &str) -> Quality {
        Accept::parse(Some(header)).quality(media_type)
    }

    #[test]
    fn ranges_and_weights() {
        for (header, expected) in [
            ("text/event-stream", 1000),
            ("TEXT/Event-Stream", 1000),
            ("text/*", 1000),
            ("*/*", 1000),
            ("*", 1000),
            ("text/html, */*;q=0.8", 800),
            ("text/event-stream;q=0", 0),
            ("text/event-stream; Q=0.000", 0),
            ("text/event-stream;q=0.", 0),
            ("text/event-stream;q=1.000", 1000),
            ("text/event-stream;q=0.001", 1),
            ("text/event-stream ; q=.5", 500),
            ("text/*;q=0", 0),
            ("*/*;q=0", 0),
            ("application/json", 0),
            ("text/html", 0),
            ("", 0),
            (",", 0),
            // The most specific range says it.
            ("text/event-stream, */*;q=0", 1000),
            ("*/*;q=0, text/event-stream", 1000),
            ("text/*;q=0, */*", 0),
            ("text/event-stream;q=0, text/*, */*", 0),
            ("*/*, text/*, text/event-stream;q=0", 0),
            ("text/event-stream;q=0.3, text/*;q=0.7", 300),
            ("text/event-stream;q=0.3, text/event-stream;q=0.4", 400),
            // Parameters, of which ours has none.
            ("text/event-stream;charset=utf-8", 1000),
            ("text/event-stream;charset=utf-8;q=0.2", 200),
            ("text/event-stream;charset=utf-8;q=0, text/event-stream", 1000),
            ("text/event-stream;charset=utf-8, text/event-stream;q=0", 0),
            ("text/event-stream;q=0.4;extension=1", 400),
            ("application/json;a=\"x, text/event-stream\"", 0),
            ("application/json;a=\"\\\", text/event-stream\", text/*;q=0.1", 100),
            // What is no weight or no range is passed over.
            ("text/event-stream;q=2", 0),
            ("text/event-stream;q=1.001", 0),
            ("text/event-stream;q=0.0001", 0),
            ("text/event-stream;q=-1, text/*;q=0.1", 100),
            ("text/event-stream;q=, */*", 1000),
            ("*/event-stream", 0),
            ("text", 0),
            ("text/event-stream/x", 0),
        ] {
            assert_eq!(quality(header, "text/event-stream"), expected, "{header}");
        }
        assert_eq!(Accept::parse(None).quality("text/event-stream"), 1000);
    }

    proptest! {
        #[test]
        fn weights_are_thousandths(thousandths in 0u16..=1000) {
            let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
            prop_assert_eq!(quality(&format!("a/b;q={text}"), "a/b"), thousandths);
        }

        #[test]
        fn no_header_breaks_the_reader(header in "[a-c/*;,=q.01\"\\\\ ]{0,40}") {
            prop_assert!(quality(&header, "a/b") <= 1000);
        }

        #[test]
        fn a_range_more_specific_than_others_decides(own in 0u16..=1, kind in 0u16..=1, all in 0u16..=1, order in 0usize..3) {
            let mut ranges = [format!("a/b;q={own}"), format!("a/*;q={kind}"), format!("*/*;q={all}")];
            ranges.rotate_left(order);
            let accept = Accept::parse(Some(&ranges.join(", ")));
            prop_assert_eq!([accept.quality("a/b"), accept.quality("a/c"), accept.quality("b/c")], [own, kind, all].map(|q| q * 1000));
        }
    }
}
