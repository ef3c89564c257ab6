//! The Durable Object: the runtime's events on one side, [`Awake`] on the other.
//!
//! Invariants
//! - One object per tenant, named by its id; a message that names another tenant is refused.
//! - The fan-out window is the only timer, set only while events wait. No await and no pending
//!   promise outlives a turn otherwise, so the object can hibernate while its sockets stay open.
//! - One drain of the outbox goes on at a time; a message that comes meanwhile makes it look once more.
//! - A failure of its storage drops the memory; the next turn builds it anew.

#![allow(missing_docs, reason = "what the macro exports has none")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use serde_json::value::{RawValue, to_raw_value};
use wasm_bindgen::JsValue;
use worker::{
    Delay, DurableObject, Env, Method, Request, Response, ScheduledTime, State, WebSocket, WebSocketIncomingMessage,
    durable_object,
};

use super::attach::Moment;
use super::awake::{Awake, Failure};
use super::drain::{self, Halt, Sink};
use super::protocol::{
    ATTACH_HEADER, ATTACH_PATH, Ask, Attach, Caller, Configure, Configured, CountLogin, CountLooks, Done, Drain,
    Drained, EndMinted, Inspect, IssueTicket, ListSubscriptions, Message, Publish, Purge, Refusal, Reply,
};
use super::sockets::{Socket, Sockets};
use super::sqlite::{ObjectSqlite, SqliteError};
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::outbox::{Announced, Outbox};
use crate::storage::sealed::random;
use crate::storage::tenant_db::Placement;
use crate::tenant_id::TenantId;
use domain::clock::Clock;
use domain::json;

/// A tenant's hub.
#[durable_object]
pub struct Hub {
    core: Rc<Core>,
}

/// Milliseconds without a page after which a drain counts as lost: its waits may have ended with whoever asked for it.
const DRAIN_MILLIS: i64 = 60_000;

/// With what a bridge closes the socket of a client that left.
const CLIENT_LEFT: usize = 1000;

struct Core {
    state: State,
    env: Env,
    silence: i64,
    started_at: i64,
    awake: RefCell<Option<Awake>>,
    spread_set: Cell<bool>,
    /// When the drain that goes on was last heard of; 0 if none does.
    draining_at: Cell<i64>,
    drain_again: Cell<bool>,
}

impl DurableObject for Hub {
    fn new(state: State, env: Env) -> Self {
        let keep_alive = env.var("KEEP_ALIVE_SECONDS").ok().and_then(|v| v.to_string().parse().ok()).unwrap_or(20);
        let silence = 3 * 1000 * i64::from(u16::max(keep_alive, 1));
        let core = Core {
            state,
            env,
            silence,
            started_at: now(),
            awake: RefCell::default(),
            spread_set: Cell::new(false),
            draining_at: Cell::new(0),
            drain_again: Cell::new(false),
        };
        Self { core: Rc::new(core) }
    }

    async fn fetch(&self, request: Request) -> worker::Result<Response> {
        if request.path() == Purge::PATH {
            return self.core.purge().await;
        }
        let response = self.dispatch(request).await;
        self.core.settle().await;
        response
    }

    async fn alarm(&self) -> worker::Result<Response> {
        self.core.turn(|awake| Ok(awake.tidy(now())?)).map_err(explain)?;
        self.core.settle().await;
        Response::empty()
    }

    async fn websocket_message(&self, socket: WebSocket, message: WebSocketIncomingMessage) -> worker::Result<()> {
        // The only word a bridge says that the runtime does not answer itself.
        if matches!(&message, WebSocketIncomingMessage::String(word) if word == "next") {
            let id = stream_id(&Socket::of(&socket));
            self.core.turn(|awake| Ok(awake.next_page(id, now())?)).map_err(explain)?;
        }
        Ok(())
    }

    async fn websocket_close(
        &self,
        socket: WebSocket,
        code: usize,
        _reason: String,
        _was_clean: bool,
    ) -> worker::Result<()> {
        self.forget(&socket, code == CLIENT_LEFT);
        self.core.settle().await;
        Ok(())
    }

    async fn websocket_error(&self, socket: WebSocket, _error: worker::Error) -> worker::Result<()> {
        self.forget(&socket, false);
        self.core.settle().await;
        Ok(())
    }
}

impl Hub {
    async fn dispatch(&self, mut request: Request) -> worker::Result<Response> {
        let path = request.path();
        if path == ATTACH_PATH && request.method() == Method::Get {
            let header = request.headers().get(ATTACH_HEADER)?.unwrap_or_default();
            return self.attach(&header);
        }
        let body = request.text().await?;
        match path.as_str() {
            Configure::PATH => self.answer(&body, |awake, message: Configure| {
                Ok(Configured { revision: awake.configure(message.config, now())? })
            }),
            Ask::PATH => self.answer(&body, |awake, ask: Ask| awake.grant(&ask, now())),
            Publish::PATH => self.answer(&body, |awake, message: Publish| awake.publish(message, now())),
            IssueTicket::PATH => {
                self.answer(&body, |awake, ask: IssueTicket| awake.issue_ticket(&ask, now()).map(|()| Done {}))
            }
            Drain::PATH => reply(match serde_json::from_str::<Drain>(&body) {
                Ok(message) => self.core.drain(&message.caller).await,
                Err(_) => Err(Refusal::Malformed.into()),
            }),
            EndMinted::PATH => {
                self.answer(&body, |awake, message: EndMinted| awake.end_minted(&message, now()).map(|()| Done {}))
            }
            CountLogin::PATH => {
                self.answer(&body, |awake, message: CountLogin| awake.count_login(&message, now()).map(|()| Done {}))
            }
            CountLooks::PATH => {
                self.answer(&body, |awake, message: CountLooks| awake.count_looks(&message).map(|()| Done {}))
            }
            ListSubscriptions::PATH => {
                self.answer(&body, |awake, ask: ListSubscriptions| awake.subscriptions(&ask, now()))
            }
            Inspect::PATH => {
                let started_at = self.core.started_at;
                self.answer(&body, |awake, _: Inspect| Ok(awake.condition(started_at, now())?))
            }
            _ => Response::error("unknown message", 404),
        }
    }

    fn answer<M: Message>(
        &self,
        body: &str,
        act: impl FnOnce(&mut Awake, M) -> Result<M::Answer, Failure>,
    ) -> worker::Result<Response> {
        let outcome = match serde_json::from_str::<M>(body) {
            Ok(message) => self.core.turn(|awake| act(awake, message)),
            Err(_) => Err(Refusal::Malformed.into()),
        };
        reply(outcome)
    }

    fn attach(&self, header: &str) -> worker::Result<Response> {
        let json = percent_decode_str(header).decode_utf8_lossy();
        let Ok(attach) = serde_json::from_str::<Attach>(&json) else {
            return refuse(Refusal::Malformed.into());
        };
        let moment = Moment { now: now(), random: random().map_or(1, u64::from_be_bytes), silence: self.core.silence };
        match self.core.turn(|awake| awake.attach(attach, &moment)) {
            Ok(response) => Ok(response),
            Err(failure) => refuse(failure),
        }
    }

    fn forget(&self, socket: &WebSocket, ended: bool) {
        let socket = Socket::of(socket);
        let id = stream_id(&socket);
        let _ = self.core.turn(|awake| {
            awake.remove(id, ended);
            Ok(())
        });
        socket.close_back();
    }
}

impl Core {
    /// One turn on the memory, built first where there is none.
    fn turn<T>(&self, act: impl FnOnce(&mut Awake) -> Result<T, Failure>) -> Result<T, Failure> {
        let mut awake = self.awake.try_borrow_mut().map_err(|_| Refusal::Failed)?;
        if awake.is_none() {
            *awake = Some(self.wake()?);
        }
        let outcome = match awake.as_mut() {
            Some(awake) => act(awake),
            None => Err(Refusal::Failed.into()),
        };
        if matches!(outcome, Err(Failure::Storage(_))) {
            *awake = None;
        }
        outcome
    }

    fn wake(&self) -> Result<Awake, SqliteError> {
        let missing = |_| SqliteError("ctx.storage.sql is missing".into());
        let storage = js_sys::Reflect::get(self.state.as_raw(), &"storage".into()).map_err(missing)?;
        let sql = js_sys::Reflect::get(&storage, &"sql".into()).map_err(missing)?;
        let ctx: JsValue = self.state.as_raw().into();
        let epoch = random().map_err(|_| SqliteError("no randomness".into()))?;
        let name = self.state.id().name().unwrap_or_default();
        Awake::wake(name, ObjectSqlite::new(storage, sql), Sockets::new(ctx), epoch, now())
    }

    /// After a turn: whoever left is told of, the alarm where it is due, and the spread where events wait.
    async fn settle(self: &Rc<Self>) {
        let _ = self.turn(|awake| awake.tell_departures(now()));
        if let Ok(Some(at)) = self.turn(|awake| Ok(awake.alarm_due(now())?)) {
            #[allow(clippy::cast_precision_loss)]
            let at = js_sys::Date::new(&JsValue::from_f64(at as f64));
            let _ = self.state.storage().set_alarm(ScheduledTime::new(at)).await;
        }
        self.set_spread();
    }

    fn set_spread(self: &Rc<Self>) {
        let due = self.turn(|awake| Ok(awake.spread_due(now()))).ok().flatten();
        let Some(wait) = due.filter(|_| !self.spread_set.get()) else { return };
        self.spread_set.set(true);
        let core = Rc::clone(self);
        wasm_bindgen_futures::spawn_local(async move {
            let mut wait = Some(wait);
            while let Some(millis) = wait {
                Delay::from(Duration::from_millis(millis.unsigned_abs())).await;
                while let Some(lull) = core.turn(|awake| Ok(awake.spread_holds(now()))).ok().flatten() {
                    Delay::from(Duration::from_millis(lull.unsigned_abs())).await;
                }
                let _ = core.turn(|awake| {
                    awake.spread(now());
                    Ok(())
                });
                Delay::from(Duration::ZERO).await;
                let next = core.turn(|awake| {
                    awake.spread_done(now());
                    Ok(awake.spread_due(now()))
                });
                wait = next.ok().flatten();
            }
            core.spread_set.set(false);
        });
    }

    /// Drains the outbox, unless that goes on already: then it will look once more at its end.
    async fn drain(self: &Rc<Self>, caller: &Caller) -> Result<Drained, Failure> {
        let (tenant, placement) = self.turn(|awake| awake.outbox(caller, now()))?;
        if now() - self.draining_at.get() < DRAIN_MILLIS {
            self.drain_again.set(true);
            return Ok(Drained { events: 0 });
        }
        self.draining_at.set(now());
        let outcome = self.drain_outbox(caller, &tenant, &placement).await;
        self.draining_at.set(0);
        outcome
    }

    async fn drain_outbox(
        self: &Rc<Self>,
        caller: &Caller,
        tenant: &TenantId,
        placement: &Placement,
    ) -> Result<Drained, Failure> {
        let bindings = Bindings::new(self.env.clone()).map_err(undrained)?;
        let outbox = Outbox::open(&bindings, tenant, placement).map_err(|error| undrained(error.to_string()))?;
        let mut events = 0;
        loop {
            self.drain_again.set(false);
            events +=
                drain::drain(&outbox, &Draining { core: self, caller, tenant }).await.map_err(|halt| match halt {
                    Halt::Shard(error) => undrained(error.to_string()),
                    Halt::Hub(failure) => failure,
                })?;
            if !self.drain_again.get() {
                return Ok(Drained { events });
            }
        }
    }

    /// Forgets everything. Nothing may follow in the turn that would write again.
    async fn purge(&self) -> worker::Result<Response> {
        let outcome = self.turn(|awake| {
            awake.close_all();
            Ok(())
        });
        if let Err(failure) = outcome {
            return refuse(failure);
        }
        *self.awake.borrow_mut() = None;
        self.state.storage().delete_alarm().await?;
        self.state.storage().delete_all().await?;
        reply(Ok(Done {}))
    }
}

/// The hub as a drain sees it.
struct Draining<'a> {
    core: &'a Rc<Core>,
    caller: &'a Caller,
    tenant: &'a TenantId,
}

impl Sink for Draining<'_> {
    fn watermark(&self) -> Result<u64, Failure> {
        self.core.turn(|awake| awake.outbox_watermark())
    }

    fn take(&self, rows: Vec<Announced>) -> Result<u64, Failure> {
        self.core.draining_at.set(now());
        let events = self.core.turn(|awake| awake.take_announced((self.caller, self.tenant), rows, now()))?;
        self.core.set_spread();
        Ok(events)
    }

    fn start_over(&self) -> Result<(), Failure> {
        self.core.turn(Awake::forget_outbox_watermark)
    }
}

/// The shard was not reached: the next drain begins where this one stood.
fn undrained(cause: String) -> Failure {
    worker::console_error!("{}", json!({ "level": "error", "event": "outbox", "cause": cause }));
    Refusal::Failed.into()
}

fn reply<T: serde::Serialize>(outcome: Result<T, Failure>) -> worker::Result<Response> {
    match outcome {
        Ok(answer) => respond(&Reply::Ok(to_raw_value(&answer)?)),
        Err(failure) => refuse(failure),
    }
}

fn refuse(failure: Failure) -> worker::Result<Response> {
    respond(&Reply::Refused(match failure {
        Failure::Refused(refusal) => refusal,
        Failure::Storage(error) => {
            worker::console_error!("{}", json!({ "level": "error", "event": "hub_storage", "error": error.0 }));
            Refusal::Failed
        }
    }))
}

fn respond(reply: &Reply<Box<RawValue>>) -> worker::Result<Response> {
    Response::ok(serde_json::to_string(reply)?)
}

fn explain(failure: Failure) -> worker::Error {
    match failure {
        Failure::Refused(refusal) => worker::Error::RustError(format!("{refusal:?}")),
        Failure::Storage(error) => worker::Error::RustError(error.0),
    }
}

fn stream_id(socket: &Socket) -> u64 {
    #[derive(serde::Deserialize)]
    struct Id {
        id: u64,
    }
    socket.attachment().and_then(|json| serde_json::from_str(&json).ok()).map_or(0, |id: Id| id.id)
}

fn now() -> i64 {
    SystemClock.now().millis()
}
