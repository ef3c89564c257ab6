//! What can happen to a hub, at random.

use proptest::prelude::*;

use super::reference::Rules;
use crate::hub::protocol::{RequestClass, WireFormat};
use domain::hearing::HearingRights;

/// One thing that happens. `slot` is one of a few places for clients, or the next one that has what it takes.
#[derive(Debug, Clone)]
pub enum Step {
    /// Time passes; alarms that become due fire, and clients ping.
    Wait {
        millis: i64,
    },
    /// The tenant's configuration changes: whether it is served, and which versions of its subscription secret are
    /// accepted (`rotate`: version 1 only for five more seconds), and who may open streams.
    Configure {
        served: bool,
        rotate: bool,
        rules: Rules,
    },
    /// A client opens a stream, in place of the one that its slot had.
    Open {
        slot: usize,
        wish: Wish,
        from: From,
    },
    /// The bridge of a lost stream attaches again. If the stream has ended, its client reconnects with its last id; so does
    /// one with a ticket whose connection is lost without the hub's knowing.
    Return {
        slot: usize,
    },
    /// A client leaves, or (not `cleanly`) its connection is lost.
    Leave {
        slot: usize,
        cleanly: bool,
    },
    /// A client has read a page.
    NextPage {
        slot: usize,
    },
    Publish {
        event: Event,
        id: Option<(u8, u8)>,
    },
    /// Records of the collection that stands change, and the hub takes the rows of the outbox, some of them (`again`) for
    /// the second time.
    Change {
        /// Of each record, before and after.
        scores: Vec<(Option<u64>, u64)>,
        again: usize,
    },
    /// The collection is made, made again, hidden or shown, or deleted; the hub is told at once, or (not `told`) learns of
    /// it from the outbox. If `late`, what was read before comes behind it.
    Collection {
        becomes: Becomes,
        told: bool,
        late: bool,
    },
    /// The fan-out's timer fires; the runtime carries it out in so many milliseconds.
    FanOut {
        cost: i64,
    },
    /// A principal (none: every one) loses its rights.
    Revoke {
        by: Option<usize>,
    },
    Lease {
        class: RequestClass,
    },
    /// The timer of direct streams fires.
    Carry,
    /// The memory is lost. Sockets and SQLite survive, as in hibernation.
    Kill,
    /// The runtime restarts: the connections are lost too.
    Restart,
    /// In the next step, one of its first SQLite statements fails.
    FailStorage {
        after: u8,
    },
}

/// What becomes of the collection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Becomes {
    Deleted,
    Private,
    Public,
}

/// What a client asks for and may see.
#[derive(Debug, Clone)]
pub struct Wish {
    pub selected: &'static [&'static str],
    /// Whether its token grants private events of [`GRANTED`].
    pub granted: bool,
    /// Whether it asks for records with a score of 3 or more only.
    pub filtered: bool,
    pub token: Token,
    pub wire: WireFormat,
    /// Whether it never pings.
    pub is_mute: bool,
}

/// What tokens grant.
pub const GRANTED: &[&str] = &["a*", "records/*"];

/// Who let the client in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Token {
    None,
    /// A token that this principal minted, valid for an hour.
    Minted(usize),
    /// A token signed with this version of the subscription secret.
    Signed(u32),
    /// A token that expires in six seconds.
    Expiring,
    /// A ticket that was issued for a token of this principal.
    Ticket(usize),
    /// A token of the tenant's issuer.
    Issuer,
    /// The principal itself, with these rights.
    Principal(usize, HearingRights),
}

/// Where a new stream begins.
#[derive(Debug, Clone, Copy)]
pub enum From {
    Now,
    /// Behind the event of this number; there may be none of this number.
    Event(u64),
    /// At a cursor of another log.
    Elsewhere,
}

/// An event that a site publishes.
#[derive(Debug, Clone)]
pub struct Event {
    pub topics: &'static [&'static str],
    pub private: bool,
    /// So large that one fills a page, and two are a burst.
    pub is_large: bool,
    /// Whether it is a Mercure update.
    pub is_update: bool,
}

pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let configured = Step::Configure { served: true, rotate: false, rules: Rules::OPEN };
    prop::collection::vec(step(), 1..100).prop_map(move |steps| [vec![configured.clone()], steps].concat())
}

fn step() -> impl Strategy<Value = Step> {
    let slot = 0..super::SLOTS;
    let cost = prop_oneof![Just(0i64), Just(30), Just(400)];
    let id = prop::option::of((0u8..3, 0u8..2));
    let becomes = prop_oneof![1 => Just(Becomes::Deleted), 1 => Just(Becomes::Private), 2 => Just(Becomes::Public)];
    let class = prop_oneof![Just(RequestClass::Api), Just(RequestClass::Anonymous)];
    let from = prop_oneof![3 => Just(From::Now), 3 => (0u64..20).prop_map(From::Event), 1 => Just(From::Elsewhere)];
    let millis =
        prop_oneof![4 => Just(1i64), 4 => Just(300), 3 => Just(7_000), 1 => Just(70_000), 1 => Just(2 * 3_600_000)];
    prop_oneof![
        6 => (slot.clone(), wish(), from).prop_map(|(slot, wish, from)| Step::Open { slot, wish, from }),
        12 => (event(), id).prop_map(|(event, id)| Step::Publish { event, id }),
        10 => cost.prop_map(|cost| Step::FanOut { cost }),
        8 => slot.clone().prop_map(|slot| Step::NextPage { slot }),
        6 => millis.prop_map(|millis| Step::Wait { millis }),
        4 => Just(Step::Kill),
        4 => slot.clone().prop_map(|slot| Step::Return { slot }),
        4 => (prop::collection::vec((prop::option::of(0u64..6), 0u64..6), 1..4), 0usize..3)
            .prop_map(|(scores, again)| Step::Change { scores, again }),
        3 => (becomes, prop::bool::weighted(0.8), any::<bool>())
            .prop_map(|(becomes, told, late)| Step::Collection { becomes, told, late }),
        2 => (slot, any::<bool>()).prop_map(|(slot, cleanly)| Step::Leave { slot, cleanly }),
        2 => prop::option::of(0usize..2).prop_map(|by| Step::Revoke { by }),
        3 => (prop::bool::weighted(0.8), any::<bool>(), rules())
            .prop_map(|(served, rotate, rules)| Step::Configure { served, rotate, rules }),
        2 => class.prop_map(|class| Step::Lease { class }),
        4 => Just(Step::Carry),
        1 => Just(Step::Restart),
        2 => (0u8..12).prop_map(|after| Step::FailStorage { after }),
    ]
}

fn rules() -> impl Strategy<Value = Rules> {
    let narrow = prop::bool::weighted(0.3);
    (prop::bool::weighted(0.7), prop::bool::weighted(0.7), narrow, narrow, any::<bool>()).prop_map(
        |(anonymous, issuer, lists_last, one_stream, direct)| Rules {
            anonymous,
            issuer,
            lists_last,
            one_stream,
            direct,
        },
    )
}

fn wish() -> impl Strategy<Value = Wish> {
    let selected = prop::sample::select(vec![&["a"][..], &["a", "b"], &["a*"], &["*"], &["records/*"], &["c"]]);
    let token = prop_oneof![
        Just(Token::None),
        (0usize..2).prop_map(Token::Minted),
        (1u32..3).prop_map(Token::Signed),
        Just(Token::Expiring),
        (0usize..2).prop_map(Token::Ticket),
        Just(Token::Issuer),
        (0usize..2, any::<bool>(), any::<bool>())
            .prop_map(|(by, events, records)| Token::Principal(by, HearingRights { events, records })),
    ];
    let wire = prop::sample::select(vec![WireFormat::Plain, WireFormat::Named, WireFormat::Mercure]);
    (selected, any::<bool>(), prop::bool::weighted(0.2), token, wire, prop::bool::weighted(0.2)).prop_map(
        |(selected, granted, filtered, token, wire, is_mute)| Wish {
            selected,
            granted: granted && !matches!(token, Token::None | Token::Principal(..)),
            filtered: filtered && wire != WireFormat::Mercure,
            token,
            wire,
            is_mute,
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    let topics = prop::sample::select(vec![&["a"][..], &["ab"], &["b"], &["a", "b"], &["b", "c"]]);
    (topics, prop::bool::weighted(0.3), prop::bool::weighted(0.3), prop::bool::weighted(0.3))
        .prop_map(|(topics, private, is_large, is_update)| Event { topics, private, is_large, is_update })
}
