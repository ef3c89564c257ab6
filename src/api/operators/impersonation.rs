//! `POST /api/v1/auth/impersonate`: an operator acts as one of a tenant's users, for a reason and for a while.
//!
//! The token names both (RFC 8693: `sub` is the user, `act` the operator). It cannot be refreshed, and allows what both
//! user and operator may do, but nothing that would outlast it. Every response to it names the operator.

use super::switching::{EnteredTenant, audit_entry, enter_tenant};
use super::{audit_in_tenant, person};
use crate::auth::authenticate_member::basis_of_impersonation;
use crate::auth::principal::Operator;
use crate::auth::signing_keys;
use crate::credentials::platform_token::{ActorClaim, Claims, TokenKind};
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::audit_log::AuditEntry;
use crate::storage::control_db::ControlDb;
use crate::storage::row::row_types;
use crate::storage::sql::{args, statements};
use domain::json;
use domain::permission::PlatformPermission;
use domain::text::parse_reason;

statements! { TenantSql;
    /// The user who is to be impersonated.
    USER = "SELECT id, email, name, role, security_stamp FROM users WHERE tenant_id = ?1 AND id = ?2 AND status = 'active'";
}

/// Minutes that a token lives, where the body does not say.
const MINUTES: i64 = 15;

row_types! {
    #[derive(serde::Serialize)]
    struct ImpersonatedUserRow {
        id: String,
        email: String,
        name: String,
        role: String,
        #[serde(skip)]
        security_stamp: String,
    }
}

struct ImpersonationBody {
    tenant: String,
    user: String,
    reason: String,
    minutes: i64,
}

impl ImpersonationBody {
    fn read(mut fields: Fields) -> Result<Self, Problem> {
        for name in ["tenant_id", "user_id", "reason"] {
            fields.require(name);
        }
        let tenant = fields.text("tenant_id", 200).unwrap_or_default();
        let user = fields.text("user_id", 200).unwrap_or_default();
        let reason = fields.parsed("reason", parse_reason).unwrap_or_default();
        let minutes = fields.number("minutes", 1..=60).unwrap_or(MINUTES);
        fields.finish()?;
        Ok(Self { tenant, user, reason, minutes })
    }
}

/// Mints the token, once both audit logs have the entry with its reason.
pub async fn impersonate(mut request: Request<Operator>) -> Result<Response, Problem> {
    let body = ImpersonationBody::read(Fields::new(request.incoming.json_object(JSON).await?))?;
    let (operator, session) = person(&request, PlatformPermission::UsersImpersonate)?;
    let db = ControlDb::open(&request.bindings, "impersonate a user")?;
    let entered = enter_tenant(&request, &db, &body.tenant, session).await?;
    let EnteredTenant { tenant, rows, basis, .. } = entered.ok_or_else(problem::not_found)?;
    let user =
        rows.row::<ImpersonatedUserRow>(&USER, args![body.user.as_str()]).await?.ok_or_else(problem::not_found)?;
    let id = tenant.id.as_str();
    let detail = json!({ "reason": body.reason, "minutes": body.minutes });
    let platform_detail = json!({ "subject": user.id, "reason": body.reason, "minutes": body.minutes });
    db.batch(vec![audit_in_tenant(&request, "user.impersonate", Some(id), platform_detail)]).await?;
    let entry = AuditEntry { detail: Some(detail), ..audit_entry(&request, "user.impersonate", Some(&user.id)) };
    rows.write().audit(entry).commit().await?;
    let claims = Claims {
        sub: format!("user:{}", user.id),
        tenant_id: id.to_owned(),
        client_id: id.to_owned(),
        user_id: Some(user.id.clone()),
        role: Some(user.role.clone()),
        sid: Some(session.to_owned()),
        basis: Some(basis_of_impersonation(&basis, &user.security_stamp)),
        act: Some(ActorClaim { sub: request.caller.actor() }),
        ..Claims::default()
    };
    let seconds = body.minutes * 60;
    let (token, expires_at) = signing_keys::mint(&request.bindings, TokenKind::Impersonation, claims, seconds).await?;
    let impersonation = json!({ "operator": operator, "user": user, "reason": body.reason, "banner": true });
    let host = tenant.hosts(&request.bindings).into_iter().next();
    let data = json!({
        "token": token,
        "token_type": "Bearer",
        "expires_at": expires_at,
        "host": host,
        "impersonation": impersonation,
    });
    Response::json(200, &data, Some(id))
}
