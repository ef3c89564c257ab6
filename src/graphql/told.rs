//! What every site is told with a question, whoever asks: that this platform asks.

use crate::credentials::site_key;
use crate::http::problem::{self, Problem};
use crate::storage::bindings::{Bindings, SystemClock};
use crate::tenant::secrets;
use crate::tenant::site::Site;
use crate::tenant_id::TenantId;
use domain::clock::Clock;

/// The header by which a site knows that its tenant's endpoint asks.
const SITE_KEY: &str = "x-carillon-site-key";
/// The header of what this platform asks, by which it knows its own request where an endpoint leads back here.
pub const VIA: (&str, &str) = ("x-carillon-via", "graphql");

/// What every site is told, and the key by which one knows that its tenant's endpoint asks, where it is to be sent.
pub async fn to_site(bindings: &Bindings, tenant: &TenantId, site: &Site) -> Result<Vec<(String, String)>, Problem> {
    let mut told = vec![(VIA.0.to_owned(), VIA.1.to_owned())];
    if let Some(secret) = secret_of(bindings, tenant, site).await? {
        told.push((SITE_KEY.into(), secret.key));
    }
    Ok(told)
}

/// The version of the secret that the site's key is made of, where the site is sent one.
pub async fn secret_version(bindings: &Bindings, tenant: &TenantId, site: &Site) -> Result<Option<u32>, Problem> {
    Ok(secret_of(bindings, tenant, site).await?.map(|secret| secret.version))
}

/// The key that a site is sent, and the version of the secret that it is made of.
struct SentKey {
    key: String,
    version: u32,
}

async fn secret_of(bindings: &Bindings, tenant: &TenantId, site: &Site) -> Result<Option<SentKey>, Problem> {
    if !site.settings.send_site_key {
        return Ok(None);
    }
    let kept = secrets::load(bindings, tenant.as_str()).await?;
    let newest = kept.signing(SystemClock.now()).into_iter().max_by_key(|secret| secret.version);
    let secret = newest.ok_or_else(|| problem::internal("the tenant has no webhook secret"))?;
    Ok(Some(SentKey { key: site_key::of(secret.secret), version: secret.version }))
}
