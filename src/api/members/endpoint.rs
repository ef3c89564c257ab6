//! The GraphQL endpoint that a site names becomes the tenant's.

use crate::api::tenants::input::parse_endpoint;
use crate::http::problem::{self, Problem};
use crate::records::provision::provision;
use crate::storage::bindings::Bindings;
use crate::storage::control_db::ControlDb;
use crate::storage::sql::{args, statements};
use crate::tenant::change::TenantChange;
use crate::tenant::registry::Tenant;
use crate::tenant::settings::MayCall;

statements! { ControlSql;
    /// Changes the endpoint.
    SET_ENDPOINT = "UPDATE tenants SET wpgraphql_endpoint = ?2 WHERE id = ?1";
}

/// An endpoint that the platform may call, or the one that the tenant has already: a site that repeats what was stored
/// before it would have been refused goes on as it was. It is judged again when it is called.
pub async fn admitted(
    bindings: &Bindings,
    tenant: &str,
    sent: String,
    may_call: MayCall<'_>,
) -> Result<String, Problem> {
    let Err(invalid) = parse_endpoint(&sent, may_call) else { return Ok(sent) };
    let stored =
        Tenant::get(&ControlDb::open(bindings, "read a site's endpoint")?, tenant).await?.row.wpgraphql_endpoint;
    if stored.as_deref() == Some(sent.as_str()) {
        return Ok(sent);
    }
    Err(problem::invalid_field("/wpgraphql_endpoint", invalid))
}

/// Changes a tenant's endpoint, unless it is the same.
pub async fn set(
    bindings: &Bindings,
    db: &ControlDb,
    tenant: &str,
    endpoint: &str,
    actor: String,
    request_id: &str,
) -> Result<(), Problem> {
    let tenant = Tenant::get(db, tenant).await?;
    if tenant.row.wpgraphql_endpoint.as_deref() == Some(endpoint) {
        return Ok(());
    }
    let id = tenant.id.as_str();
    let change = TenantChange {
        bindings,
        tenant: id,
        revision: tenant.row.revision,
        actor,
        operation: "tenant.set_endpoint",
        request_id,
        is_conditional: false,
        hosts: Vec::new(),
        templates: Vec::new(),
        detail: None,
    };
    change.write(db, vec![(SET_ENDPOINT, args![id, endpoint])], |text| problem::internal(text)).await?;
    change.carry(db, provision).await.map(drop)
}
