//! `GET /api/v1/auth/me`: the user of the request's credential, and who impersonates them.

use crate::auth::principal::{Actor, Member};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use domain::json;

/// Responds with the user, their permissions and session, and with the operator who impersonates them, if one does: pages
/// show a banner then.
pub async fn show(request: Request<Member>) -> Result<Response, Problem> {
    let user = request.caller.user().ok_or_else(problem::not_a_user)?;
    let impersonation = match request.caller.who() {
        Actor::Impersonator { operator, until, .. } => {
            Some(json!({ "operator": operator, "until": until, "banner": true }))
        }
        Actor::User(_) | Actor::Key { .. } | Actor::Operator { .. } => None,
    };
    let data = json!({
        "user": {
            "id": user.id,
            "email": user.email,
            "name": user.name,
            "role": user.role,
            "email_verified": user.email_verified,
        },
        "permissions": request.caller.permissions().names(),
        "session_id": user.session,
        "impersonation": impersonation,
    });
    Response::json(200, &data, Some(request.caller.tenant.as_str()))
}
