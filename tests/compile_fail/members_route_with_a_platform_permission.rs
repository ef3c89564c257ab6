//! An operation in a tenant, for a permission on the platform.

use carillon::auth::principal::Member;
use domain::permission::PlatformPermission;
use carillon::http::response::Response;
use carillon::http::request::Request;
use carillon::http::problem::Problem;
use carillon::routes::{Endpoint, Handler};

async fn list_users(_: Request<Member>) -> Result<Response, Problem> {
    Ok(Response::empty(204))
}

fn main() {
    let handler: Handler<Member> = |call| Box::pin(list_users(call));
    let _ = Endpoint::Member(PlatformPermission::TenantsRead, handler);
}
