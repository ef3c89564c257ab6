//! `POST /api/v1/tenants/{tenant_id}/secrets/{kind}/rotate`: a new secret. The previous one stays good for a grace, so that
//! a site can change over without losing a webhook.

use super::subject::{change_of, check_match, find};
use crate::auth::principal::Operator;
use crate::credentials::webhook_secret;
use crate::http::fields::Fields;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::records::provision::provision;
use crate::storage::sql::args;
use crate::tenant::secrets::{self, SecretKind};
use domain::clock::Timestamp;
use domain::json;

/// Seconds for which the previous secret stays good, where the body does not say.
const GRACE_SECONDS: i64 = 24 * 3600;
/// The longest grace: 30 days.
const MAX_GRACE_SECONDS: i64 = 30 * 24 * 3600;

/// Makes a new version of a secret, and shows it once.
pub async fn rotate(mut request: Request<Operator>) -> Result<Response, Problem> {
    let Some(kind) = SecretKind::parse(request.params.get("kind")) else { return Err(problem::not_found()) };
    let mut fields = Fields::new(request.incoming.optional_json_object().await?);
    let grace = fields.number("grace_seconds", 0..=MAX_GRACE_SECONDS).unwrap_or(GRACE_SECONDS);
    let chosen = fields.parsed("secret", webhook_secret::parse);
    fields.finish()?;

    let (db, tenant) = find(&request, "rotate a secret").await?;
    check_match(&request, &tenant)?;
    let id = tenant.id.as_str();
    let secret = chosen.map_or_else(|| kind.generate(), Ok)?;
    let version = tenant.latest_version(kind.as_str()) + 1;
    let wrapped = tenant.row.data_key.as_deref().ok_or_else(|| problem::internal("the tenant has no data key"))?;
    let key = request.bindings.settings.keys.unwrap(id, wrapped).map_err(problem::internal)?;
    let sealed = secrets::seal(&key, id, kind, version, &secret)?;
    let now = request.now();
    let until = now.plus_seconds(grace);
    let statements = vec![
        (secrets::INSERT_SECRET, args![id, kind.as_str(), i64::from(version), sealed, now.millis()]),
        // Versions before the last one do not get another grace.
        (secrets::END_GRACE, args![id, kind.as_str(), i64::from(version) - 1, now.millis()]),
        (secrets::END_GRACE, args![id, kind.as_str(), i64::from(version), until.millis()]),
        (secrets::DELETE_EXPIRED, args![id, kind.as_str(), now.millis()]),
    ];
    let change = change_of(&request, &tenant, "secret.rotate");
    change.write(&db, statements, |text| problem::internal(text)).await?;
    let is_applied = change.carry(&db, provision).await?;
    let data = json!({
        "kind": kind,
        "secret": secret,
        "version": version,
        "previous_valid_until": if grace > 0 { Some(until) } else { None::<Timestamp> },
        "pending": !is_applied,
    });
    Response::json(if is_applied { 200 } else { 202 }, &data, Some(id))
}
