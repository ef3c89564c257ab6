//! TXT records in the answers of DNS over HTTPS, in the JSON form that Cloudflare's and Google's resolvers give.
//!
//! <https://developers.cloudflare.com/1.1.1.1/encryption/dns-over-https/make-api-requests/dns-json/>

use serde::Deserialize;

/// Most records of one answer that are read.
const MAX_RECORDS: usize = 200;
/// The type of TXT records.
const TXT: u16 = 16;
/// There is an answer, which may have no record of the type (`NOERROR`).
const NO_ERROR: u32 = 0;
/// The name does not exist (`NXDOMAIN`).
const NO_SUCH_NAME: u32 = 3;

#[derive(Deserialize)]
struct DnsResponse {
    #[serde(rename = "Status")]
    status: u32,
    #[serde(rename = "Answer", default)]
    records: Vec<DnsRecord>,
}

#[derive(Deserialize)]
struct DnsRecord {
    #[serde(rename = "type")]
    kind: u16,
    #[serde(default)]
    data: String,
}

/// The texts of the TXT records that an answer has, each with its strings joined; none if it does not tell whether there
/// are any: it is no answer, or the domain's name servers failed.
///
/// Records that an alias (CNAME) led to are among them: whoever controls the name decided that.
pub fn txt_records(body: &str) -> Option<Vec<String>> {
    let answer: DnsResponse = serde_json::from_str(body).ok()?;
    match answer.status {
        NO_SUCH_NAME => Some(Vec::new()),
        NO_ERROR => {
            let records = answer.records.into_iter().filter(|record| record.kind == TXT).take(MAX_RECORDS);
            Some(records.map(|record| joined(&record.data)).collect())
        }
        _ => None,
    }
}

/// The text of a record's data: its quoted strings one behind the other, or the data itself if it is not quoted
/// (RFC 1035, 5.1: `\"` is a quotation mark, `\032` the byte 32).
fn joined(data: &str) -> String {
    let data = data.trim_ascii();
    if !data.starts_with('"') {
        return data.to_owned();
    }
    let (mut text, mut is_inside) = (Vec::new(), false);
    let mut bytes = data.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => is_inside = !is_inside,
            b'\\' if is_inside => text.extend(escaped(&mut bytes)),
            _ if is_inside => text.push(byte),
            // Between two strings.
            _ => {}
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The byte that stands behind a backslash, as itself or as three digits.
fn escaped(bytes: &mut std::str::Bytes<'_>) -> Option<u8> {
    let first = bytes.next()?;
    if !first.is_ascii_digit() {
        return Some(first);
    }
    let digits = [Some(first), bytes.next(), bytes.next()];
    let value = digits.into_iter().try_fold(0_u16, |value, digit| {
        let digit = digit.filter(u8::is_ascii_digit)?;
        Some(value * 10 + u16::from(digit - b'0'))
    });
    u8::try_from(value?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(records: &str) -> Option<Vec<String>> {
        txt_records(&format!(r#"{{"Status":0,"TC":false,"Question":[{{"name":"a","type":16}}],"Answer":[{records}]}}"#))
    }

    #[test]
    fn records_are_read_in_every_form_that_resolvers_give() {
        for (data, text) in [
            (r#"\"carillon=a:b\""#, "carillon=a:b"),
            ("carillon=a:b", "carillon=a:b"),
            (r#"\"caril\" \"lon=a:b\""#, "carillon=a:b"),
            (r#"\"caril\"\"lon=a:b\""#, "carillon=a:b"),
            (r#"\"a\\\"b\\\\c\\032d\""#, "a\"b\\c d"),
            (r#"\"\""#, ""),
            (r#"\"open"#, "open"),
            (r#"\"odd\\9\""#, "odd"),
            (r#"\"\\999\""#, ""),
        ] {
            assert_eq!(
                read(&format!(r#"{{"name":"a.","type":16,"TTL":60,"data":"{data}"}}"#)).unwrap(),
                [text],
                "{data}"
            );
        }
        let alias = r#"{"name":"a.","type":5,"TTL":1,"data":"b."},{"name":"b.","type":16,"TTL":1,"data":"\"x\""}"#;
        assert_eq!(read(alias).unwrap(), ["x"]);
        assert_eq!(read("").unwrap(), [""; 0]);
    }

    #[test]
    fn an_answer_that_does_not_tell_is_told_from_one_that_says_no() {
        assert_eq!(txt_records(r#"{"Status":3}"#), Some(Vec::new()));
        assert_eq!(txt_records(r#"{"Status":0}"#), Some(Vec::new()));
        for unknown in [r#"{"Status":2}"#, r#"{"Status":5}"#, "", "<html>", "[]", "{}", r#"{"Status":"0"}"#] {
            assert_eq!(txt_records(unknown), None, "{unknown}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(data in "\\PC{0,40}|[\"\\\\0-9a ]{0,20}") {
            let body = serde_json::json!({"Status": 0, "Answer": [{"name": "a", "type": 16, "data": data}]});
            prop_assert_eq!(txt_records(&body.to_string()).map(|records| records.len()), Some(1));
            let _ = txt_records(&data);
        }

        /// However a text is cut into strings, it is read as one.
        #[test]
        fn strings_are_joined(parts in prop::collection::vec("[ -~]{0,12}", 1..5)) {
            let quoted = |part: &String| format!("\"{}\"", part.replace('\\', "\\\\").replace('"', "\\\""));
            let data = parts.iter().map(quoted).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(joined(&data), parts.concat());
        }
    }
}
