//! Static files of the build (`scripts/build-assets`), which the platform keeps beside the Worker (Workers Static Assets).
//! Each is named in the source: no text of a client's leads to a file.

use web_sys::ReadableStream;

use super::bindings::Bindings;
use super::sql::StorageError;

/// The host of the binding's requests, which says nothing: the path alone counts.
const HOST: &str = "http://assets";

/// A file of the build.
pub struct StaticFile {
    /// The entity tag of its bytes, with quotes.
    pub etag: String,
    /// Its bytes.
    pub bytes: ReadableStream,
}

/// Opens a file of the build, by its path from the folder of assets. `Unavailable` where the deployment has none, or not this one.
pub async fn open(bindings: &Bindings, path: &'static str) -> Result<StaticFile, StorageError> {
    let failed = |error: worker::Error| StorageError::Unavailable(format!("{path}: {error}").into());
    let missing = |what: &str| StorageError::Unavailable(format!("{path}: {what}").into());
    let response = bindings.assets()?.fetch([HOST, path].concat(), None).await.map_err(failed)?;
    if response.status_code() != 200 {
        return Err(missing("it is not among the assets of this deployment"));
    }
    let etag = response.headers().get("ETag").map_err(failed)?.ok_or_else(|| missing("it has no entity tag"))?;
    let bytes = web_sys::Response::from(response).body().ok_or_else(|| missing("it has no bytes"))?;
    Ok(StaticFile { etag, bytes })
}
