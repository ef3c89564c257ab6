//! The names of documents in requests: Apollo's extension `persistedQuery`, `queryId`, and `documentId` of the draft of
//! GraphQL over HTTP for persisted documents.

use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::errors::Refused;
use domain::document_name::{DocumentHash, DocumentName};

/// The hash of a text.
pub fn hash_of(text: &str) -> DocumentHash {
    DocumentHash::of_sha256(&Sha256::digest(text.as_bytes()).into())
}

/// The name that a request gives its document, if it gives one. 400 if one cannot be read, or if two of them differ.
pub fn read(
    extension: Option<&RawValue>,
    query_id: Option<&str>,
    document_id: Option<&str>,
) -> Result<Option<DocumentName>, Refused> {
    let of_apollo = extension.map(of_extension).transpose()?.flatten();
    let by_id = |name: &str, id: Option<&str>| id.map(|id| of_id(name, id)).transpose();
    let names = [of_apollo, by_id("queryId", query_id)?, by_id("documentId", document_id)?];
    let mut names = names.into_iter().flatten();
    let first = names.next();
    match names.all(|other| Some(other) == first) {
        true => Ok(first),
        false => Err(Refused::request(
            "The request names two documents: `queryId`, `documentId` and the extension `persistedQuery` must agree.",
        )),
    }
}

/// Refuses a text that comes under the name of another one. An alias is given by the tenant's registry alone, so no text
/// comes with one.
pub fn check(name: &DocumentName, text: &str) -> Result<(), Refused> {
    match name {
        DocumentName::Hash(hash) if *hash == hash_of(text) => Ok(()),
        DocumentName::Hash(_) => {
            Err(Refused::mismatch("The document does not have the SHA-256 that the request names."))
        }
        DocumentName::Alias(_) => Err(Refused::mismatch(
            "A document that is sent with its text is named by its SHA-256: send the alias, or the text.",
        )),
    }
}

fn of_id(name: &str, id: &str) -> Result<DocumentName, Refused> {
    DocumentName::parse(id).map_err(|invalid| Refused::request(format!("`{name}` {invalid}.")))
}

/// Apollo's form: `{"version": 1, "sha256Hash": "…"}`. Its protocol knows hashes only.
fn of_extension(extension: &RawValue) -> Result<Option<DocumentName>, Refused> {
    let wrong = || {
        Refused::request(
            "The extension `persistedQuery` must be {\"version\": 1, \"sha256Hash\": 64 hexadecimal digits}.",
        )
    };
    let extension: Value = serde_json::from_str(extension.get()).map_err(|_| wrong())?;
    if extension.is_null() {
        return Ok(None);
    }
    let is_first_version = extension.get("version").and_then(domain::json::whole) == Some(1);
    let hash = extension.get("sha256Hash").and_then(Value::as_str).and_then(|text| DocumentHash::parse(text).ok());
    hash.filter(|_| is_first_version).map(|hash| Some(DocumentName::Hash(hash))).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::document_name::DocumentAlias;

    const TEXT: &str = "{posts{nodes{id uri}}}";
    /// Of that text, as sha256sum and a recorded site have it.
    const HASH: &str = "02e6b22743ddc0cb4daa5732dc472da74299544f933096a9bd533ca4fa5bb597";

    fn named(extension: Option<&str>, query_id: Option<&str>, document_id: Option<&str>) -> Result<Option<String>, ()> {
        let extension = extension.map(|text| RawValue::from_string(text.to_owned()).unwrap());
        let read = read(extension.as_deref(), query_id, document_id).map_err(drop)?;
        Ok(read.map(|name| match name {
            DocumentName::Hash(hash) => hash.to_string(),
            DocumentName::Alias(alias) => alias.as_str().to_owned(),
        }))
    }

    fn apollo(hash: &str) -> String {
        format!(r#"{{"version":1,"sha256Hash":"{hash}"}}"#)
    }

    #[test]
    fn each_form_names_a_document_and_all_of_them_must_agree() {
        let (prefixed, upper) = (format!("sha256:{HASH}"), HASH.to_uppercase());
        let hash = Ok(Some(HASH.to_owned()));
        assert_eq!(named(None, None, None), Ok(None));
        assert_eq!(named(Some("null"), None, None), Ok(None));
        assert_eq!(named(Some(&apollo(HASH)), None, None), hash);
        for id in [HASH, &prefixed, &upper] {
            assert_eq!(named(None, Some(id), None), hash, "{id}");
            assert_eq!(named(None, None, Some(id)), hash, "{id}");
            assert_eq!(named(Some(&apollo(HASH)), Some(id), Some(id)), hash, "{id}");
        }
        assert_eq!(named(None, Some("GetPosts"), Some("GetPosts")), Ok(Some("GetPosts".to_owned())));
        let other = "0".repeat(64);
        assert_eq!(named(None, Some(HASH), Some(&other)), Err(()));
        assert_eq!(named(Some(&apollo(&other)), Some(HASH), None), Err(()));
        assert_eq!(named(Some(&apollo(HASH)), Some("GetPosts"), None), Err(()));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for wrong in [
            "{}",
            "1",
            "[]",
            r#"{"version":1}"#,
            r#"{"version":1,"sha256Hash":1}"#,
            &apollo("ab"),
            &apollo("GetPosts"),
            &apollo(HASH).replace('1', "2"),
        ] {
            assert_eq!(named(Some(wrong), None, None), Err(()), "{wrong}");
        }
        for wrong in ["", "a b", "sha256:ab", "md5:ab"] {
            assert_eq!(named(None, Some(wrong), None), Err(()), "{wrong}");
            assert_eq!(named(None, None, Some(wrong)), Err(()), "{wrong}");
        }
    }

    #[test]
    fn a_text_comes_under_its_own_hash_only() {
        assert_eq!(hash_of(TEXT).as_str(), HASH);
        let name = |text: &str| DocumentName::Hash(hash_of(text));
        assert!(check(&name("{a}"), "{a}").is_ok());
        for (name, text) in [
            (name("{a}"), "{a} "),
            (name("{b}"), "{a}"),
            (DocumentName::Alias(DocumentAlias::parse("GetPosts").unwrap()), "{a}"),
        ] {
            assert!(matches!(check(&name, text), Err(Refused::Request(_))), "{text}");
        }
    }
}
