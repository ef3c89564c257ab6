//! Files of records: their names and types, and what a browser may do with them.
//!
//! Invariant: no allowed type is one that a browser would run as a page of the tenant's host, and types that can contain
//! scripts (SVG) are downloaded, never shown.

use std::borrow::Cow;

use crate::error::Invalid;

/// Most bytes of a file: the largest request body that Cloudflare accepts on every plan.
pub const MAX_BYTES: u64 = 100_000_000;

/// Further allowed types: documents, archives, data.
const DOCUMENTS: [&str; 17] = [
    "application/gzip",
    "application/json",
    "application/msword",
    "application/ogg",
    "application/pdf",
    "application/rtf",
    "application/vnd.ms-excel",
    "application/vnd.ms-powerpoint",
    "application/vnd.oasis.opendocument.presentation",
    "application/vnd.oasis.opendocument.spreadsheet",
    "application/vnd.oasis.opendocument.text",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/x-gzip",
    "application/x-zip-compressed",
    "application/zip",
];
/// Images that browsers show and that cannot contain scripts.
const PICTURES: [&str; 9] = ["apng", "avif", "bmp", "gif", "jpeg", "png", "vnd.microsoft.icon", "webp", "x-icon"];
/// Other images.
const OTHER_IMAGES: [&str; 4] = ["heic", "heif", "svg+xml", "tiff"];
/// Sounds and films.
const AUDIO: [&str; 11] = ["aac", "flac", "m4a", "mp3", "mp4", "mpeg", "ogg", "wav", "webm", "x-m4a", "x-wav"];
const VIDEO: [&str; 7] = ["mp4", "mpeg", "ogg", "quicktime", "webm", "x-m4v", "x-matroska"];
/// Text that is read as such.
const TEXT: [&str; 5] = ["calendar", "csv", "markdown", "plain", "vtt"];

/// An allowed media type of a file, in lower case and without parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileType(Box<str>);

impl FileType {
    /// Reads a media type; its parameters are dropped.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let is_allowed = match essence.split_once('/') {
            Some(("image", kind)) => PICTURES.contains(&kind) || OTHER_IMAGES.contains(&kind),
            Some(("audio", kind)) => AUDIO.contains(&kind),
            Some(("video", kind)) => VIDEO.contains(&kind),
            Some(("text", kind)) => TEXT.contains(&kind),
            _ => DOCUMENTS.contains(&essence.as_str()),
        };
        if is_allowed {
            Ok(Self(essence.into()))
        } else {
            let message = "must be a media type of images, audio, video, text, PDF, office documents or archives, such as image/png";
            Err(Invalid::new("type_not_allowed", message))
        }
    }

    /// Every allowed type.
    pub fn names() -> impl Iterator<Item = String> {
        let of = |kind: &'static str, subtypes: &'static [&'static str]| {
            subtypes.iter().map(move |subtype| [kind, subtype].concat())
        };
        let media = of("image/", &PICTURES).chain(of("image/", &OTHER_IMAGES)).chain(of("audio/", &AUDIO));
        media.chain(of("video/", &VIDEO)).chain(of("text/", &TEXT)).chain(of("", &DOCUMENTS))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of `Content-Type`; text is declared as UTF-8.
    pub fn content_type(&self) -> Cow<'_, str> {
        if self.0.starts_with("text/") { format!("{}; charset=utf-8", self.0).into() } else { (&*self.0).into() }
    }

    /// Whether a browser may show it; any other type is downloaded.
    pub fn is_shown(&self) -> bool {
        match self.0.split_once('/') {
            Some(("image", kind)) => PICTURES.contains(&kind),
            Some(("audio" | "video", _)) => true,
            _ => matches!(&*self.0, "application/pdf" | "text/plain"),
        }
    }
}

/// A file's name: 1 to 200 bytes, not a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName(Box<str>);

impl FileName {
    /// Reads a name: no slash, no control character, and neither `.` nor `..`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let is_path = text.contains(['/', '\\']) || matches!(text, "." | "..");
        if text.is_empty() || text.len() > 200 || is_path || text.chars().any(char::is_control) {
            let message = "must be 1 to 200 bytes long, without slashes and control characters";
            return Err(Invalid::new("invalid_file_name", message));
        }
        Ok(Self(text.into()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of `Content-Disposition` (RFC 6266), with the name in ASCII and in UTF-8.
    pub fn disposition(&self, file_type: &FileType) -> String {
        let how = if file_type.is_shown() { "inline" } else { "attachment" };
        let plain = |c: char| if c.is_ascii() && !matches!(c, '"' | '\\' | '%') { c } else { '_' };
        let ascii: String = self.0.chars().map(plain).collect();
        format!(
            "{how}; filename=\"{ascii}\"; filename*=UTF-8''{}",
            percent_encoding::utf8_percent_encode(&self.0, SEGMENT)
        )
    }

    /// The name as a percent-encoded path segment.
    pub fn segment(&self) -> String {
        percent_encoding::utf8_percent_encode(&self.0, SEGMENT).to_string()
    }
}

/// What is escaped in a segment of a path, and in RFC 8187's values: everything but unreserved characters.
const SEGMENT: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_runs_is_not_on_the_list() {
        for bad in [
            "text/html",
            "TEXT/HTML; charset=utf-8",
            "application/xhtml+xml",
            "text/xml",
            "application/javascript",
            "text/javascript",
            "application/octet-stream",
            "image/svg",
            "image",
            "",
            "image/png/x",
            "multipart/form-data",
        ] {
            assert!(FileType::parse(bad).is_err(), "{bad}");
        }
        for good in ["image/png", "audio/mpeg", "video/mp4", "application/pdf", "text/csv", "application/zip"] {
            assert_eq!(FileType::parse(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn what_could_hold_a_script_is_saved() {
        let is_shown = |text: &str| FileType::parse(text).unwrap().is_shown();
        for shown in ["image/png", "IMAGE/WEBP", "video/webm", "audio/ogg", "application/pdf", "text/plain;a=b"] {
            assert!(is_shown(shown), "{shown}");
        }
        for saved in ["image/svg+xml", "text/csv", "application/json", "application/zip", "image/tiff"] {
            assert!(!is_shown(saved), "{saved}");
        }
        assert_eq!(FileType::parse("Text/Plain; charset=x").unwrap().content_type(), "text/plain; charset=utf-8");
        assert_eq!(FileType::parse("image/png").unwrap().content_type(), "image/png");
    }

    #[test]
    fn names_are_no_paths_and_break_no_header() {
        for bad in ["", ".", "..", "a/b", "a\\b", "a\r\nb", &"x".repeat(201)] {
            assert!(FileName::parse(bad).is_err(), "{bad}");
        }
        let name = FileName::parse("Grüße \"50%\".png").unwrap();
        let png = FileType::parse("image/png").unwrap();
        assert_eq!(
            name.disposition(&png),
            "inline; filename=\"Gr__e _50__.png\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%2250%25%22.png"
        );
        assert_eq!(name.segment(), "Gr%C3%BC%C3%9Fe%20%2250%25%22.png");
    }
}
