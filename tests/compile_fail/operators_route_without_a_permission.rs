//! An operator's operation that asks for no permission.

use carillon::auth::principal::Operator;
use carillon::http::response::Response;
use carillon::http::request::Request;
use carillon::http::problem::Problem;
use carillon::routes::{Endpoint, entry};

async fn list_tenants(_: Request<Operator>) -> Result<Response, Problem> {
    Ok(Response::empty(204))
}

fn main() {
    let _ = entry::get("tenants.list", "/api/v1/tenants", Endpoint::Operator(|call| Box::pin(list_tenants(call))));
}
