//! Signed URLs of files: for one upload, or for reading one file, of one tenant and until a given time.
//!
//! A URL names who asked for it, in a text that this room does not read: whoever serves the URL asks whether they still
//! may do what it is for.

use serde_json::Value;

use super::file::File;
use super::upload::{Seen, Upload};
use crate::credentials::signed_text;
use crate::http::problem::{self, Problem};
use crate::storage::sealed::{KeyRing, SigningPurpose};
use domain::clock::Timestamp;
use domain::file::{FileName, FileType};
use domain::json;

/// Seconds until an upload URL expires.
pub const UPLOAD_SECONDS: i64 = 900;

/// The token of an upload URL: everything that the upload may do, signed.
pub fn upload_token(
    keys: &KeyRing,
    tenant: &str,
    (upload, maker): (&Upload, &str),
    until: Timestamp,
) -> Result<String, Problem> {
    let seen = upload.seen.as_ref();
    let claims = json!([
        upload.collection,
        upload.record_id,
        upload.name.as_str(),
        upload.file_type.as_str(),
        upload.size,
        upload.by,
        upload.ticket,
        seen.map(|seen| &seen.creation_id),
        seen.map(|seen| &seen.object),
        until.millis(),
        maker,
    ]);
    let key = keys.signing_key(SigningPurpose::Upload).map_err(problem::internal)?;
    Ok(signed_text::seal(&key, &["upload", tenant], &claims.to_string()))
}

/// Reads a token of this tenant, and who asked for it; none if it is not one or has expired.
pub fn read_upload_token(keys: &KeyRing, tenant: &str, token: &str, now: Timestamp) -> Option<(Upload, String)> {
    let find_key = |version| keys.signing_key_of(SigningPurpose::Upload, version);
    let claims = signed_text::open(find_key, &["upload", tenant], token)?;
    let Value::Array(claims) = serde_json::from_str(&claims).ok()? else { return None };
    let mut claims = claims.into_iter();
    let text = |claims: &mut std::vec::IntoIter<Value>| Some(claims.next()?.as_str()?.to_owned());
    let upload = Upload {
        collection: text(&mut claims)?,
        record_id: text(&mut claims)?,
        name: FileName::parse(&text(&mut claims)?).ok()?,
        file_type: FileType::parse(&text(&mut claims)?).ok()?,
        size: claims.next()?.as_u64()?,
        by: text(&mut claims)?,
        ticket: text(&mut claims)?,
        seen: Some(Seen { creation_id: text(&mut claims)?, object: text(&mut claims)? }),
    };
    let is_open = now.millis() < claims.next()?.as_i64()?;
    let maker = text(&mut claims)?;
    is_open.then_some((upload, maker))
}

/// The file that a signed URL gives access to.
#[derive(Debug, Clone, Copy)]
pub struct FileLink<'a> {
    /// The tenant.
    pub tenant: &'a str,
    /// The collection.
    pub collection: &'a str,
    /// Its creation id and the record's, one behind the other: another collection under the slug shows nothing by this URL,
    /// and no other record under the id.
    pub creation_id: &'a str,
    /// The record.
    pub record_id: &'a str,
    /// What the file is called.
    pub name: &'a str,
    /// Its entity tag, without quotes.
    pub etag: &'a str,
    /// Who asked for it.
    pub maker: &'a str,
}

impl FileLink<'_> {
    fn parts(&self) -> [&str; 8] {
        let Self { tenant, collection, creation_id, record_id, name, etag, maker } = *self;
        ["download", tenant, collection, creation_id, record_id, name, etag, maker]
    }

    /// The signature of a URL that is good until a moment (seconds since 1970).
    pub fn sign(&self, keys: &KeyRing, until: i64) -> Result<String, Problem> {
        let key = keys.signing_key(SigningPurpose::Download).map_err(problem::internal)?;
        Ok(signed_text::sign(&key, &self.parts(), &until.to_string()))
    }

    /// Whether a signature was given for this, and is good now.
    pub fn is_signed(&self, keys: &KeyRing, until: i64, signature: &str, now: Timestamp) -> bool {
        let find_key = |version| keys.signing_key_of(SigningPurpose::Download, version);
        now.seconds() < until && signed_text::is_signed(find_key, &self.parts(), &until.to_string(), signature)
    }
}

/// The path of a record's file, and which file it means: for good where everybody may read it.
pub fn path(collection: &str, record_id: &str, file: &File) -> String {
    format!("/media/{collection}/{record_id}/{}?v={}", file.name.segment(), file.etag())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::storage::sealed::MasterKey;

    fn keys() -> KeyRing {
        KeyRing::new(1, HashMap::from([(1, MasterKey::new([3; 32]))])).unwrap()
    }

    fn upload() -> Upload {
        Upload {
            collection: "media".into(),
            record_id: "r1".into(),
            name: FileName::parse("a.png").unwrap(),
            file_type: FileType::parse("image/png").unwrap(),
            size: 17,
            by: "user:u".into(),
            ticket: "t".into(),
            seen: Some(Seen { creation_id: "c1".into(), object: String::new() }),
        }
    }

    #[test]
    fn an_upload_token_is_read_in_its_tenant_and_its_time() {
        let at = Timestamp::from_millis;
        let token = upload_token(&keys(), "acme", (&upload(), "who"), at(1000)).unwrap();
        let read = |tenant: &str, token: &str, now| read_upload_token(&keys(), tenant, token, at(now));
        assert_eq!(format!("{:?}", read("acme", &token, 999).unwrap()), format!("{:?}", (upload(), "who")));
        assert!(read("acme", &token, 1000).is_none(), "it is over");
        assert!(read("globex", &token, 999).is_none());
        for edited in [&token[1..], &token[..token.len() - 1], "", "x"] {
            assert!(read("acme", edited, 999).is_none());
        }
    }

    #[test]
    fn a_signature_is_good_for_one_file_and_its_time() {
        let (tenant, collection, creation_id) = ("acme", "media", "c1");
        let shown =
            FileLink { tenant, collection, creation_id, record_id: "r1", name: "a.png", etag: "e", maker: "who" };
        let (keys, at) = (keys(), |seconds: i64| Timestamp::from_millis(seconds * 1000));
        let signature = shown.sign(&keys, 100).unwrap();
        assert!(shown.is_signed(&keys, 100, &signature, at(99)));
        assert!(!shown.is_signed(&keys, 100, &signature, at(100)));
        assert!(!shown.is_signed(&keys, 101, &signature, at(99)));
        for other in [
            FileLink { tenant: "globex", ..shown },
            FileLink { creation_id: "c2", ..shown },
            FileLink { collection: "mediar", record_id: "1", ..shown },
            FileLink { name: "b.png", ..shown },
            FileLink { etag: "f", ..shown },
            FileLink { maker: "somebody else", ..shown },
        ] {
            assert!(!other.is_signed(&keys, 100, &signature, at(99)));
        }
    }
}
