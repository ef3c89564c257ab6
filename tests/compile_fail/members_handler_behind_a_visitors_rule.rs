//! What is a member's to do, offered to everybody on the tenant's host.

use carillon::auth::principal::Member;
use carillon::http::response::Response;
use carillon::http::request::Request;
use carillon::http::problem::Problem;
use carillon::routes::{Endpoint, TokenRule};

async fn list_users(_: Request<Member>) -> Result<Response, Problem> {
    Ok(Response::empty(204))
}

fn main() {
    let _ = Endpoint::Visitor(TokenRule::Ignored, |call| Box::pin(list_users(call)));
}
