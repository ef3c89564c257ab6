//! A tenant's user has no session on the platform's host: an operation for them cannot be there.

use carillon::auth::principal::Member;
use carillon::http::response::Response;
use carillon::http::request::Request;
use carillon::http::problem::Problem;
use carillon::routes::{Endpoint, Route, Surface, entry};

async fn me(_: Request<Member>) -> Result<Response, Problem> {
    Ok(Response::empty(204))
}

const ME: Route = entry::get("auth.me", "/api/v1/auth/me", Endpoint::User(|call| Box::pin(me(call)))).on(Surface::Both);

fn main() {
    let _ = ME;
}
