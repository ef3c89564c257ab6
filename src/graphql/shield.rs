//! The shield of a tenant's site: a Durable Object through which all isolates ask it, so that equal questions at one time are
//! one question to the site.
//!
//! Invariants
//! - A question joins only one that was sent when the log was known as far as whoever asks knows it ([`Flights`]).
//! - It holds fresh answers for a minute and a half, because KV elsewhere may be as old, and stores nothing: whoever is shown
//!   one judges it by the purges that they know. It is out of memory as soon as nothing is under way for a while.
//! - It is on the way of no answer that is kept, and where it fails the Worker asks the site by itself.

#![allow(missing_docs, reason = "what the macro exports has none")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use super::exchange::{self, SiteBody, SiteRequest};
use super::fetching::{decide, gathered};
use super::shield_protocol::{ShieldQuestion, ShieldReply, Wants};
use crate::http::outbound::{GatheredBody, NoResponse};
use crate::storage::bindings::{Bindings, SystemClock};
use crate::tenant_id::TenantId;
use domain::clock::Clock;
use domain::graphql_cache::{AnswerMemory, Boarding, Flights, KeptAnswer};
use domain::log_position::Cursor;

/// Bytes of answers that a shield holds, and how long it holds one, in milliseconds.
const MEMORY_BYTES: usize = 8 * 1024 * 1024;
/// Most questions that are under way: the platform lets an object wait for six servers at once. Further ones are asked past it.
const MOST_UNDER_WAY: usize = 6;
const HELD_MILLIS: i64 = 90_000;

/// A tenant's shield.
#[durable_object]
pub struct Shield {
    core: Rc<ShieldCore>,
}

struct ShieldCore {
    tenant: TenantId,
    env: Env,
    flights: RefCell<Flights>,
    /// The replies that are waited for, by the number of their question.
    under_way: RefCell<HashMap<u64, Promise>>,
    held: RefCell<AnswerMemory<()>>,
}

impl DurableObject for Shield {
    fn new(state: State, env: Env) -> Self {
        // The object is named by its tenant, which the registry placed.
        let tenant = TenantId::proven(&state.id().name().unwrap_or_default());
        let core = ShieldCore {
            tenant,
            env,
            flights: RefCell::default(),
            under_way: RefCell::default(),
            held: RefCell::new(AnswerMemory::shared(MEMORY_BYTES, MEMORY_BYTES)),
        };
        Self { core: Rc::new(core) }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let question: ShieldQuestion = match serde_json::from_str(&request.text().await?) {
            Ok(question) => question,
            Err(_) => return Response::error("malformed", 400),
        };
        if !self.core.tenant.is_named_by(&question.tenant) {
            return Response::error("another tenant's", 400);
        }
        if matches!(question.wants, Wants::Any | Wants::Held)
            && let Some(held) = self.core.held(&question.key)
        {
            return self.core.told(&ShieldReply::Kept(held, true));
        }
        if question.wants == Wants::Held {
            return self.core.told(&ShieldReply::Nothing);
        }
        let has_token = question.has_token;
        let Some((reply, boarding)) = self.core.asked(question) else {
            return self.core.told(&ShieldReply::Nothing);
        };
        let text = JsFuture::from(reply).await?.as_string().unwrap_or_default();
        match (boarding, ShieldReply::parse(&self.core.tenant, &text)) {
            (Boarding::Joins(_), Some(ShieldReply::NotKept(..))) if has_token => self.core.told(&ShieldReply::Nothing),
            (Boarding::Joins(_), Some(reply @ ShieldReply::NotKept(..))) => self.core.told(&reply.shared()),
            _ => Response::ok(text),
        }
    }
}

impl ShieldCore {
    fn told(&self, reply: &ShieldReply) -> worker::Result<Response> {
        Response::ok(reply.to_text(&self.tenant)?)
    }

    fn held(&self, key: &str) -> Option<Rc<KeptAnswer>> {
        let held = self.held.borrow_mut().get(&(), key)?;
        let age = held.age(SystemClock.now());
        (age < HELD_MILLIS && age < held.lifetime.fresh).then_some(held)
    }

    /// The reply to a question, when it is there: of the one that it joins, or its own. None if too many are under way.
    fn asked(self: &Rc<Self>, question: ShieldQuestion) -> Option<(Promise, Boarding)> {
        let most = if question.wants == Wants::WarmUp { MOST_UNDER_WAY / 2 } else { MOST_UNDER_WAY };
        let is_full = self.under_way.borrow().len() >= most;
        let boarding = self.flights.borrow_mut().board(&question.key, &question.began);
        let number = match boarding {
            Boarding::Begins(number) if is_full => {
                self.flights.borrow_mut().land(&question.key, number);
                return None;
            }
            Boarding::Begins(number) => number,
            Boarding::Joins(number) => return Some((self.under_way.borrow().get(&number)?.clone(), boarding)),
        };
        let core = Rc::clone(self);
        let promise = future_to_promise(async move {
            let reply = core.ask(&question).await;
            core.flights.borrow_mut().land(&question.key, number);
            core.under_way.borrow_mut().remove(&number);
            let text = reply.to_text(&core.tenant).map_err(|error| JsValue::from(error.to_string()))?;
            Ok(text.into())
        });
        self.under_way.borrow_mut().insert(number, promise.clone());
        Some((promise, boarding))
    }

    async fn ask(&self, question: &ShieldQuestion) -> ShieldReply {
        let Ok(bindings) = Bindings::new(self.env.clone()) else { return ShieldReply::Nothing };
        // Whoever asks has judged the address; it is judged again where it is called.
        let Ok(endpoint) = bindings.settings.outbound(&question.endpoint) else {
            return ShieldReply::NoAnswer(NoResponse::Failed);
        };
        let request = SiteRequest {
            method: "POST",
            content_type: None,
            body: SiteBody::Text(question.body.clone()),
            parameters: question.parameters.clone(),
            // What nobody waits for is not asked twice.
            only_reads: question.wants != Wants::WarmUp,
        };
        let asked_at = SystemClock.now();
        let sent = exchange::send(&endpoint, &request, &question.headers, question.timeout_ms).await;
        let response = match gathered(sent).await {
            Ok(response) => response,
            Err(reason) => return ShieldReply::NoAnswer(reason),
        };
        if let Some(GatheredBody::Stream(stream)) = &response.body {
            drop(stream.cancel());
            return ShieldReply::TooLarge;
        }
        let document = (question.document.tagged(), question.has_token);
        match decide(&question.settings, document, &response, (asked_at, &question.began)) {
            Ok(kept) => {
                let kept = Rc::new(kept);
                self.hold(&question.key, &question.began, &kept);
                ShieldReply::Kept(kept, false)
            }
            Err(reason) => ShieldReply::NotKept(response, reason),
        }
    }

    /// Holds an answer, unless a later one is there already.
    fn hold(&self, key: &str, began: &Cursor, kept: &Rc<KeptAnswer>) {
        let mut held = self.held.borrow_mut();
        let is_later = |other: Rc<KeptAnswer>| other.began.epoch == began.epoch && other.began.seq > began.seq;
        if !held.get(&(), key).is_some_and(is_later) {
            held.put(&(), key, Rc::clone(kept), ());
        }
    }
}
