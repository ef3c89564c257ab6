//! How the Worker asks a tenant's shield.

use std::cell::RefCell;

use worker::wasm_bindgen::JsValue;
use worker::{Method, Request, RequestInit};

use super::asking::Asking;
use super::exchange::SiteBody;
use super::question_of::QuestionOf;
use super::shield_protocol::{ShieldQuestion, ShieldReply, Wants};
use crate::isolate_cache::IsolateCache;
use crate::storage::bindings::SystemClock;
use domain::clock::Clock;
use domain::log_position::Cursor;

/// Most questions whose answers an isolate knows to be too large for a shield, and how long, in milliseconds.
const MAX_LARGE: usize = 1_000;
const LARGE_MILLIS: i64 = 600_000;

thread_local! {
    static LARGE: RefCell<IsolateCache<QuestionOf, ()>> = RefCell::new(IsolateCache::new(MAX_LARGE, LARGE_MILLIS));
}

/// Asks the tenant's shield; none if it fails, or has nothing to say. `headers` are those that the site is sent.
pub async fn ask(asking: &Asking, headers: &[(String, String)], began: &Cursor, wants: Wants) -> Option<ShieldReply> {
    let (question, asked) = (&asking.question, QuestionOf::new(&asking.tenant, &asking.question.key));
    if LARGE.with_borrow_mut(|large| large.get(&asked, SystemClock.now()).is_some()) {
        return None;
    }
    let SiteBody::Text(body) = &question.request.body else { return None };
    let message = ShieldQuestion {
        tenant: (&asking.tenant).into(),
        key: question.shield_key.clone(),
        document: question.document.clone(),
        endpoint: asking.endpoint.as_str().to_owned(),
        parameters: question.request.parameters.clone(),
        headers: headers.to_vec(),
        body: body.clone(),
        timeout_ms: asking.site.settings.timeout_ms,
        settings: asking.site.settings.cache.clone(),
        has_token: question.has_token,
        began: began.clone(),
        wants,
    };
    let json = serde_json::to_string(&message).ok()?;
    let text = send(asking, json).await.ok()?;
    match ShieldReply::parse(&asking.tenant, &text)? {
        ShieldReply::TooLarge => {
            LARGE.with_borrow_mut(|large| large.insert(asked, (), SystemClock.now()));
            None
        }
        ShieldReply::Nothing => None,
        reply => Some(reply),
    }
}

async fn send(asking: &Asking, json: String) -> worker::Result<String> {
    let shields = asking.bindings.shields().map_err(|error| worker::Error::RustError(error.to_string()))?;
    let stub = shields.get_by_name(asking.tenant.as_str())?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_body(Some(JsValue::from(json)));
    let mut response = stub.fetch_with_request(Request::new_with_init("http://shield/", &init)?).await?;
    match response.status_code() {
        200 => response.text().await,
        status => Err(worker::Error::RustError(format!("status {status}"))),
    }
}
