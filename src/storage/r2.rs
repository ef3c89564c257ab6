//! Files' bytes in R2, by typed keys. Bytes are streamed in JavaScript (`r2.js`); none of them crosses into Wasm.

use js_sys::Array;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::prelude::*;
use web_sys::ReadableStream;

use super::bindings::Bindings;
use super::keys::ObjectKey;
use super::sql::StorageError;
use crate::tenant_id::TenantId;

#[wasm_bindgen(module = "/src/storage/r2.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    async fn put(bucket: &JsValue, key: &str, body: ReadableStream, content_type: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    async fn get(bucket: &JsValue, key: &str, offset: f64, length: f64) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    async fn remove(bucket: &JsValue, keys: Array) -> Result<(), JsValue>;
    #[wasm_bindgen(catch, js_name = removeSome)]
    async fn remove_some(bucket: &JsValue, prefix: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    async fn probe(bucket: &JsValue) -> Result<(), JsValue>;
}

/// Most pages of objects that one call of a purge deletes.
const PURGE_PAGES: u32 = 100;

/// The bucket that holds every tenant's files.
pub struct Bucket(JsValue);

/// An object that was written.
#[derive(Debug)]
pub struct StoredObject {
    /// Its size in bytes.
    pub size: u64,
    /// The entity tag of its bytes, without quotes.
    pub etag: String,
}

impl Bucket {
    /// Opens the binding `MEDIA`.
    pub fn open(bindings: &Bindings) -> Result<Self, StorageError> {
        bindings.media().map(Self)
    }

    /// Writes an object. It exists only once the whole stream was read.
    pub async fn put(
        &self,
        key: &ObjectKey,
        body: ReadableStream,
        content_type: &str,
    ) -> Result<StoredObject, StorageError> {
        let answer = put(&self.0, key.as_str(), body, content_type).await.map_err(failed)?.as_string();
        let read = |answer: String| {
            let (size, etag) = answer.split_once(' ')?;
            Some(StoredObject { size: size.parse().ok()?, etag: etag.to_owned() })
        };
        answer.and_then(read).ok_or_else(|| StorageError::Malformed("r2.js gave no size and entity tag".into()))
    }

    /// `length` bytes of an object from `offset` on; none if there is no such object.
    pub async fn get(&self, key: &ObjectKey, offset: u64, length: u64) -> Result<Option<ReadableStream>, StorageError> {
        #[allow(clippy::cast_precision_loss)]
        let found = get(&self.0, key.as_str(), offset as f64, length as f64).await.map_err(failed)?;
        Ok(found.dyn_into().ok())
    }

    /// Deletes at most 1,000 objects; a missing one is no error.
    pub async fn delete(&self, keys: &[ObjectKey]) -> Result<(), StorageError> {
        remove(&self.0, keys.iter().map(|key| JsValue::from(key.as_str())).collect()).await.map_err(failed)
    }

    /// Deletes every object of a tenant. Idempotent. `Unavailable` if there are more than one call deletes: call it again.
    pub async fn purge(&self, tenant: &TenantId) -> Result<(), StorageError> {
        let prefix = ObjectKey::prefix(tenant);
        for _ in 0..PURGE_PAGES {
            if remove_some(&self.0, &prefix).await.map_err(failed)?.is_truthy() {
                return Ok(());
            }
        }
        Err(StorageError::Unavailable("the purge of files is not finished: call it again".into()))
    }

    /// Fails unless the bucket answers.
    pub(super) async fn probe(&self) -> Result<(), StorageError> {
        probe(&self.0).await.map_err(failed)
    }
}

fn failed(thrown: JsValue) -> StorageError {
    StorageError::Unavailable(format!("R2: {}", String::from(js_sys::Error::from(thrown).message())).into())
}
