//! The Durable Object: receives the runtime's events and hands them to [`HubState`].
//!
//! Invariants
//! - One object per tenant, named by its id; a message that names another tenant is refused.
//! - The timers are the fan-out's, which is set only while events wait, those of newcomers at a limit and of replays that a
//!   network has read too much for, and those of direct streams, which pend only while there are any. Otherwise no `await` and no pending promise
//!   outlives a turn, so that the object can hibernate while its sockets stay open.
//! - A hub whose log is of before events named their collections reads which collections stand, once, behind the first
//!   message that it gets.
//! - One drain of the outbox runs at a time; a message that arrives meanwhile makes it look once more.
//! - When its storage fails the memory is dropped, and the next turn rebuilds it.

#![allow(missing_docs, reason = "what the macro exports has none")]

use std::cell::{Cell, OnceCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

use percent_encoding::percent_decode_str;
use serde_json::value::{RawValue, to_raw_value};
use wasm_bindgen::JsValue;
use worker::{
    Delay, DurableObject, Env, Method, Request, Response, ScheduledTime, State, WebSocket, WebSocketIncomingMessage,
    durable_object,
};

use super::drain::{self, DrainError, Sink};
use super::object_sockets::{DirectStreams, ObjectSocket, ObjectSockets};
use super::object_sqlite::ObjectSqlite;
use super::presence::Leaving;
use super::protocol::{
    ATTACH_HEADER, ATTACH_PATH, Attach, Caller, Configure, CountLogin, CountMail, Done, Drain, Drained, EndMinted,
    GrantRequest, Inspect, IssueTicket, LearnCollections, ListAnswerCounts, ListSubscriptions, LoginSucceeded, Message,
    Platform, Publish, Purge, PurgeAnswers, ReadTicket, RecordAnswerCounts, RecordCacheStats, Refusal, Reply,
    from_json,
};
use super::sockets::NORMAL_CLOSURE;
use super::sqlite::SqliteError;
use super::state::{HubState, LoadedState};
use super::state_error::StateError;
use crate::log;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::outbox::{CollectionsRead, Outbox, OutboxRow};
use crate::storage::sealed::random;
use crate::storage::tenant_db::Placement;
use crate::tenant_id::TenantId;
use domain::clock::{Clock, Timestamp};
use domain::keep_alive;

type ObjectState = HubState<ObjectSqlite, ObjectSockets>;

/// A tenant's hub.
#[durable_object]
pub struct Hub {
    core: Rc<Core>,
}

/// Milliseconds without a page after which a drain counts as lost: whoever called it may be gone, and its promises with
/// it.
const DRAIN_MILLIS: i64 = 60_000;

struct Core {
    state: State,
    env: Env,
    keep_alive_seconds: u32,
    started_at: Timestamp,
    memory: LoadedState<ObjectState>,
    fan_out_is_scheduled: Cell<bool>,
    /// Whether the timer of direct streams runs.
    is_carrying: Cell<bool>,
    direct: OnceCell<Rc<DirectStreams>>,
    /// When the running drain last took a page; none if none runs.
    draining_at: Cell<Option<Timestamp>>,
    drain_again: Cell<bool>,
    /// Whether the collections are being read because what is known of them is outdated.
    is_reading_collections: Cell<bool>,
}

impl DurableObject for Hub {
    fn new(state: State, env: Env) -> Self {
        let keep_alive =
            keep_alive::seconds(env.var("KEEP_ALIVE_SECONDS").ok().map(|value| value.to_string()).as_deref());
        let core = Core {
            state,
            env,
            keep_alive_seconds: keep_alive,
            started_at: now(),
            memory: LoadedState::default(),
            fan_out_is_scheduled: Cell::new(false),
            is_carrying: Cell::new(false),
            direct: OnceCell::new(),
            draining_at: Cell::new(None),
            drain_again: Cell::new(false),
            is_reading_collections: Cell::new(false),
        };
        Self { core: Rc::new(core) }
    }

    async fn fetch(&self, request: Request) -> worker::Result<Response> {
        if request.path() == Purge::PATH {
            return self.core.purge().await;
        }
        let response = self.dispatch(request).await;
        self.core.after_turn().await;
        response
    }

    async fn alarm(&self) -> worker::Result<Response> {
        self.core.turn(|state| state.on_alarm(now())).map_err(to_worker_error)?;
        self.core.after_turn().await;
        Response::empty()
    }

    async fn websocket_message(&self, socket: WebSocket, message: WebSocketIncomingMessage) -> worker::Result<()> {
        match message {
            WebSocketIncomingMessage::String(text) => {
                self.core.socket_message(&ObjectSocket::of(&socket), &text).await.map_err(to_worker_error)
            }
            WebSocketIncomingMessage::Binary(_) => Ok(()),
        }
    }

    async fn websocket_close(
        &self,
        socket: WebSocket,
        code: usize,
        _reason: String,
        _was_clean: bool,
    ) -> worker::Result<()> {
        // A bridge whose client has left closes normally.
        let is_normal = code == usize::from(NORMAL_CLOSURE);
        self.core.socket_closed(&socket, if is_normal { Leaving::ForGood } else { Leaving::MayReturn });
        self.core.after_turn().await;
        Ok(())
    }

    async fn websocket_error(&self, socket: WebSocket, _error: worker::Error) -> worker::Result<()> {
        self.core.socket_closed(&socket, Leaving::MayReturn);
        self.core.after_turn().await;
        Ok(())
    }
}

impl Hub {
    async fn dispatch(&self, mut request: Request) -> worker::Result<Response> {
        let path = request.path();
        if path == ATTACH_PATH && request.method() == Method::Get {
            let header = request.headers().get(ATTACH_HEADER)?.unwrap_or_default();
            return self.attach(&header).await;
        }
        let body = request.text().await?;
        let now = now();
        match path.as_str() {
            GrantRequest::PATH => {
                self.answer_caller(&body, |state, caller, message: GrantRequest| state.grant(caller, &message, now))
            }
            Publish::PATH => {
                self.answer_caller(&body, |state, caller, message: Publish| state.publish(caller, message, now))
            }
            PurgeAnswers::PATH => self.answer_caller(&body, |state, caller, message: PurgeAnswers| {
                state.purge_answers(caller, &message, now)
            }),
            Drain::PATH => reply(match from_json::<Drain>(&body) {
                Ok((caller, Drain {})) => self.core.drain(&caller).await,
                Err(_) => Err(Refusal::Malformed.into()),
            }),
            LearnCollections::PATH => reply(match from_json::<LearnCollections>(&body) {
                Ok((caller, LearnCollections {})) => self.core.learn_collections(&caller).await,
                Err(_) => Err(Refusal::Malformed.into()),
            }),
            CountLogin::PATH => self.answer_caller(&body, |state, caller, message: CountLogin| {
                state.count_login(caller, &message, now).map(|()| Done {})
            }),
            LoginSucceeded::PATH => self.answer_caller(&body, |state, caller, message: LoginSucceeded| {
                state.login_succeeded(caller, &message, now).map(|()| Done {})
            }),
            CountMail::PATH => self.answer_caller(&body, |state, caller, message: CountMail| {
                state.count_mail(caller, &message, now).map(|()| Done {})
            }),
            IssueTicket::PATH => self.answer_caller(&body, |state, caller, message: IssueTicket| {
                state.issue_ticket(caller, &message, now).map(|()| Done {})
            }),
            ReadTicket::PATH => {
                self.answer_caller(&body, |state, caller, message: ReadTicket| state.read_ticket(caller, &message, now))
            }
            ListSubscriptions::PATH => self.answer_caller(&body, |state, caller, message: ListSubscriptions| {
                state.subscriptions(caller, &message, now)
            }),
            Configure::PATH => {
                self.answer_platform(&body, |state, message: Configure| state.configure(message.config, now))
            }
            EndMinted::PATH => self
                .answer_platform(&body, |state, message: EndMinted| state.end_minted(&message, now).map(|()| Done {})),
            RecordCacheStats::PATH => self.answer_platform(&body, |state, message: RecordCacheStats| {
                state.record_cache_stats(&message).map(|()| Done {})
            }),
            RecordAnswerCounts::PATH => self.answer_platform(&body, |state, message: RecordAnswerCounts| {
                state.record_answer_counts(&message, now).map(|()| Done {})
            }),
            ListAnswerCounts::PATH => {
                self.answer_platform(&body, |state, message: ListAnswerCounts| state.answer_counts(&message, now))
            }
            Inspect::PATH => {
                let started_at = self.core.started_at;
                self.answer_platform(&body, |state, Inspect {}| state.status(started_at, now))
            }
            _ => Response::error("unknown message", 404),
        }
    }

    fn answer_caller<M: Message<Sender = Caller>>(
        &self,
        body: &str,
        act: impl FnOnce(&mut ObjectState, &Caller, M) -> Result<M::Reply, StateError>,
    ) -> worker::Result<Response> {
        reply(match from_json::<M>(body) {
            Ok((caller, message)) => self.core.turn(|state| act(state, &caller, message)),
            Err(_) => Err(Refusal::Malformed.into()),
        })
    }

    fn answer_platform<M: Message<Sender = Platform>>(
        &self,
        body: &str,
        act: impl FnOnce(&mut ObjectState, M) -> Result<M::Reply, StateError>,
    ) -> worker::Result<Response> {
        reply(match serde_json::from_str::<M>(body) {
            Ok(message) => self.core.turn(|state| act(state, message)),
            Err(_) => Err(Refusal::Malformed.into()),
        })
    }

    /// Opens a stream. At a limit it waits a moment for clients that have gone to make room.
    async fn attach(&self, header: &str) -> worker::Result<Response> {
        let json = percent_decode_str(header).decode_utf8_lossy();
        let Ok((caller, attach)) = from_json::<Attach>(&json) else {
            return refuse(Refusal::Malformed.into());
        };
        let random = random().map_or(1, u64::from_be_bytes);
        let open = || self.core.turn(|state| state.attach(&caller, attach.clone(), random, now()));
        let refused = match open() {
            Ok(upgrade) => return Ok(upgrade),
            Err(refused) => refused,
        };
        let wait = self.core.turn(|state| Ok(state.wait_for_room(&refused, now()))).ok().flatten();
        let Some(millis) = wait else { return refuse(refused) };
        Delay::from(Duration::from_millis(millis.unsigned_abs())).await;
        open().or_else(refuse)
    }
}

impl Core {
    fn turn<T>(self: &Rc<Self>, act: impl FnOnce(&mut ObjectState) -> Result<T, StateError>) -> Result<T, StateError> {
        self.memory.turn(|| self.wake(), act)
    }

    fn wake(self: &Rc<Self>) -> Result<ObjectState, SqliteError> {
        let missing = |_| SqliteError("ctx.storage.sql is missing".into());
        let storage = js_sys::Reflect::get(self.state.as_raw(), &"storage".into()).map_err(missing)?;
        let sql = js_sys::Reflect::get(&storage, &"sql".into()).map_err(missing)?;
        let net = ObjectSockets::new(self.state.as_raw().into(), self.direct_streams()?);
        let epoch = random().map_err(|_| SqliteError("the runtime gave no random bytes".into()))?;
        // The object is named by its tenant, which the registry placed.
        let tenant = TenantId::proven(&self.state.id().name().unwrap_or_default());
        let silence_millis = 3 * 1000 * i64::from(self.keep_alive_seconds);
        HubState::wake(tenant, ObjectSqlite::new(storage, sql), net, epoch, silence_millis, now())
    }

    fn direct_streams(self: &Rc<Self>) -> Result<Rc<DirectStreams>, SqliteError> {
        if let Some(direct) = self.direct.get() {
            return Ok(Rc::clone(direct));
        }
        let (saying, leaving) = (Rc::downgrade(self), Rc::downgrade(self));
        let direct = DirectStreams::new(
            self.state.as_raw().as_ref(),
            self.keep_alive_seconds * 1000,
            // Both are told in the middle of turns: what follows is a turn of its own.
            move |stream, word| {
                in_its_own_turn(&saying, async move |core| {
                    let _ = core.socket_message(&stream, &word).await;
                })
            },
            move |stream| {
                in_its_own_turn(&leaving, async move |core| {
                    core.stream_gone(&stream, Leaving::ForGood);
                    core.after_turn().await;
                })
            },
        );
        let direct = Rc::new(direct.map_err(|error| SqliteError(format!("{error:?}")))?);
        Ok(Rc::clone(self.direct.get_or_init(|| direct)))
    }

    /// A stream's other end said something: it asks for a page.
    async fn socket_message(self: &Rc<Self>, socket: &ObjectSocket, text: &str) -> Result<(), StateError> {
        let due = self.turn(|state| Ok(state.page_due_in(socket, text, now())))?;
        if due > 0 {
            Delay::from(Duration::from_millis(due.unsigned_abs())).await;
        }
        self.turn(|state| state.socket_message(socket, text, now()))
    }

    fn stream_gone(self: &Rc<Self>, socket: &ObjectSocket, leaving: Leaving) {
        let _ = self.turn(|state| {
            state.socket_closed(socket, leaving);
            Ok(())
        });
    }

    fn socket_closed(self: &Rc<Self>, socket: &WebSocket, leaving: Leaving) {
        let socket = ObjectSocket::of(socket);
        self.stream_gone(&socket, leaving);
        socket.close_back();
    }

    /// After each turn: announces departed subscribers, sets the alarm if it is due, schedules a fan-out if events wait.
    async fn after_turn(self: &Rc<Self>) {
        let _ = self.turn(|state| state.announce_departures(now()));
        if let Ok(Some(at)) = self.turn(|state| state.alarm_due(now())) {
            #[allow(clippy::cast_precision_loss)]
            let at = js_sys::Date::new(&JsValue::from_f64(at.millis() as f64));
            let _ = self.state.storage().set_alarm(ScheduledTime::new(at)).await;
        }
        self.schedule_fan_out();
        self.schedule_carrying();
        self.read_outdated_collections();
    }

    /// While streams are direct, or are to become so, or go back, a step is done each second.
    fn schedule_carrying(self: &Rc<Self>) {
        if self.is_carrying.get() {
            return;
        }
        let Some(mut wait) = self.turn(|state| Ok(state.carry(now()))).ok().flatten() else { return };
        self.is_carrying.set(true);
        let core = Rc::clone(self);
        wasm_bindgen_futures::spawn_local(async move {
            loop {
                Delay::from(Duration::from_millis(wait.unsigned_abs())).await;
                // Where the storage fails, the memory is built again with the streams that are there.
                let next = core.turn(|state| Ok(state.carry(now()))).unwrap_or(Some(wait));
                // What is to be done from then on begins with another turn.
                core.is_carrying.set(next.is_some());
                core.after_turn().await;
                match next {
                    Some(next) => wait = next,
                    None => break,
                }
            }
        });
    }

    fn read_outdated_collections(self: &Rc<Self>) {
        let wanted = self.turn(|state| Ok(state.collections_wanted(now()))).ok().flatten();
        let Some(caller) = wanted.filter(|_| !self.is_reading_collections.get()) else { return };
        self.is_reading_collections.set(true);
        let core = Rc::clone(self);
        wasm_bindgen_futures::spawn_local(async move {
            // A failure is logged; the next message tries again.
            let _ = core.learn_collections(&caller).await;
            core.is_reading_collections.set(false);
        });
    }

    fn schedule_fan_out(self: &Rc<Self>) {
        let due = self.turn(|state| Ok(state.fan_out_due_in(now()))).ok().flatten();
        let Some(wait) = due.filter(|_| !self.fan_out_is_scheduled.get()) else { return };
        self.fan_out_is_scheduled.set(true);
        let core = Rc::clone(self);
        wasm_bindgen_futures::spawn_local(async move {
            let mut wait = Some(wait);
            while let Some(millis) = wait {
                Delay::from(Duration::from_millis(millis.unsigned_abs())).await;
                while let Some(pause) = core.turn(|state| Ok(state.fan_out_debounce(now()))).ok().flatten() {
                    Delay::from(Duration::from_millis(pause.unsigned_abs())).await;
                }
                let _ = core.turn(|state| {
                    state.fan_out(now());
                    Ok(())
                });
                Delay::from(Duration::ZERO).await;
                let next = core.turn(|state| {
                    state.fan_out_finished(now());
                    Ok(state.fan_out_due_in(now()))
                });
                wait = next.ok().flatten();
            }
            core.fan_out_is_scheduled.set(false);
        });
    }

    /// Drains the outbox, unless a drain is running already: then that one will look once more when it is done.
    async fn drain(self: &Rc<Self>, caller: &Caller) -> Result<Drained, StateError> {
        let (tenant, placement) = self.turn(|state| state.outbox(caller, now()))?;
        if self.draining_at.get().is_some_and(|at| now().since(at) < DRAIN_MILLIS) {
            self.drain_again.set(true);
            return Ok(Drained { events: 0 });
        }
        self.draining_at.set(Some(now()));
        let outcome = self.drain_outbox(caller, &tenant, &placement).await;
        self.draining_at.set(None);
        outcome
    }

    async fn drain_outbox(
        self: &Rc<Self>,
        caller: &Caller,
        tenant: &TenantId,
        placement: &Placement,
    ) -> Result<Drained, StateError> {
        let outbox = self.open_outbox(tenant, placement)?;
        let mut events = 0;
        loop {
            self.drain_again.set(false);
            events += drain::drain(&outbox, &LogSink { core: self, caller, tenant }).await.map_err(drain_failed)?;
            if !self.drain_again.get() {
                return Ok(Drained { events });
            }
        }
    }

    /// Reads which collections stand, whether or not a drain is running.
    async fn learn_collections(self: &Rc<Self>, caller: &Caller) -> Result<Done, StateError> {
        let (tenant, placement) = self.turn(|state| state.outbox(caller, now()))?;
        let outbox = self.open_outbox(&tenant, &placement)?;
        let sink = LogSink { core: self, caller, tenant: &tenant };
        drain::learn_collections(&outbox, &sink).await.map(|()| Done {}).map_err(drain_failed)
    }

    fn open_outbox(&self, tenant: &TenantId, placement: &Placement) -> Result<Outbox, StateError> {
        let bindings = Bindings::new(self.env.clone()).map_err(|cause| shard_failed(&cause))?;
        Outbox::open(&bindings, tenant, placement).map_err(|error| shard_failed(&error.to_string()))
    }

    /// Closes all streams and deletes everything. No turn may follow that would write again.
    async fn purge(self: &Rc<Self>) -> worker::Result<Response> {
        let outcome = self.turn(|state| {
            state.close_all();
            Ok(())
        });
        if let Err(error) = outcome {
            return refuse(error);
        }
        self.memory.forget();
        self.state.storage().delete_alarm().await?;
        self.state.storage().delete_all().await?;
        reply(Ok(Done {}))
    }
}

/// Runs behind the turn that is under way, if the object is still there.
fn in_its_own_turn<F: Future<Output = ()> + 'static>(core: &Weak<Core>, act: impl FnOnce(Rc<Core>) -> F) {
    if let Some(core) = core.upgrade() {
        wasm_bindgen_futures::spawn_local(act(core));
    }
}

/// The hub's log, for a drain.
struct LogSink<'a> {
    core: &'a Rc<Core>,
    caller: &'a Caller,
    tenant: &'a TenantId,
}

impl Sink for LogSink<'_> {
    fn watermark(&self) -> Result<u64, StateError> {
        self.core.turn(|state| state.outbox_watermark())
    }

    fn take(&self, rows: Vec<OutboxRow>) -> Result<u64, StateError> {
        self.core.draining_at.set(Some(now()));
        let taken = self.core.turn(|state| state.take_changes(self.caller, rows, now()))?;
        for seq in taken.unreadable {
            log::outbox_row_unreadable(self.tenant.as_str(), seq);
        }
        self.core.schedule_fan_out();
        Ok(taken.events)
    }

    fn are_collections_behind(&self, rows: &[OutboxRow]) -> Result<bool, StateError> {
        self.core.turn(|state| Ok(state.are_collections_behind(rows)))
    }

    fn collections_through(&self) -> Result<u64, StateError> {
        self.core.turn(|state| Ok(state.collections_through()))
    }

    fn learn(&self, read: CollectionsRead) -> Result<bool, StateError> {
        self.core.turn(|state| state.learn_collections(self.caller, read, now()))
    }

    fn start_over(&self) -> Result<(), StateError> {
        log::outbox_started_over(self.tenant.as_str());
        self.core.turn(HubState::reset_outbox_watermark)
    }
}

fn drain_failed(error: DrainError) -> StateError {
    match error {
        DrainError::Shard(error) => shard_failed(&error.to_string()),
        DrainError::Hub(error) => error,
    }
}

/// The shard did not answer. The next drain continues where this one stopped.
fn shard_failed(cause: &str) -> StateError {
    log::fault("outbox", cause);
    Refusal::Failed.into()
}

fn reply<T: serde::Serialize>(outcome: Result<T, StateError>) -> worker::Result<Response> {
    match outcome {
        Ok(reply) => respond(&Reply::Ok(to_raw_value(&reply)?)),
        Err(error) => refuse(error),
    }
}

fn refuse(error: StateError) -> worker::Result<Response> {
    respond(&Reply::Refused(match error {
        StateError::Refused(refusal) => refusal,
        StateError::Storage(error) => {
            log::fault("hub_storage", &error.0);
            Refusal::Failed
        }
    }))
}

fn respond(reply: &Reply<Box<RawValue>>) -> worker::Result<Response> {
    Response::ok(serde_json::to_string(reply)?)
}

fn to_worker_error(error: StateError) -> worker::Error {
    match error {
        StateError::Refused(refusal) => worker::Error::RustError(format!("{refusal:?}")),
        StateError::Storage(error) => worker::Error::RustError(error.0),
    }
}

fn now() -> Timestamp {
    SystemClock.now()
}
